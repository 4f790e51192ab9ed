/* SPDX-License-Identifier: MIT */
/*
 * Keys are numbered with an open-addressed table that is twice as large as the
 * number of requests, so that it never has to grow.
 */
#include "trace.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/status.h"
#include "random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 256
#define REQUESTS_FIRST 4096u

/* The requests of a file, before their keys are numbered. */
struct raw {
    uint64_t *keys;
    uint32_t *sizes;
    uint64_t count;
    uint64_t room;
};

void *hr_array(size_t count, size_t size)
{
    void *p = km_mem_zalloc(km_mem_default(), count > 0 ? count : 1, size);
    KM_ASSERT(p != NULL);
    return p;
}

static void *grow(void *p, size_t bytes)
{
    void *larger = km_mem_resize(km_mem_default(), p, bytes);
    KM_ASSERT(larger != NULL);
    return larger;
}

static void raw_add(struct raw *raw, uint64_t key, uint64_t size)
{
    if (raw->count == raw->room) {
        raw->room = raw->room > 0 ? raw->room * 2 : REQUESTS_FIRST;
        raw->keys = grow(raw->keys, raw->room * sizeof *raw->keys);
        raw->sizes = grow(raw->sizes, raw->room * sizeof *raw->sizes);
    }
    uint64_t kept = size == 0 ? 1 : size > UINT32_MAX ? UINT32_MAX : size;
    raw->keys[raw->count] = key;
    raw->sizes[raw->count] = (uint32_t)kept;
    raw->count++;
}

static void raw_free(struct raw *raw)
{
    km_mem_free(km_mem_default(), raw->keys);
    km_mem_free(km_mem_default(), raw->sizes);
}

/* -- formats -------------------------------------------------------------- */

static kama_status read_int32be(FILE *file, struct raw *raw)
{
    uint8_t b[4];
    size_t got;
    while ((got = fread(b, 1, sizeof b, file)) == sizeof b) {
        raw_add(raw,
                (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
                    (uint32_t)b[2] << 8 | b[3],
                1);
    }
    return got == 0
               ? KAMA_OK
               : km_fail(KAMA_ERR_INVALID,
                         "the trace ends with %zu bytes of a key; each key "
                         "of the format int32be has 4",
                         got);
}

static kama_status bad_line(uint64_t line, const char *wanted)
{
    return km_fail(KAMA_ERR_INVALID,
                   "line %" PRIu64 " of the trace is not %s; check --format",
                   line, wanted);
}

static kama_status read_lines(FILE *file, struct raw *raw)
{
    char text[LINE_BYTES_MAX];
    for (uint64_t line = 1; fgets(text, sizeof text, file) != NULL; line++) {
        char *end;
        if (strchr("*\r\n", text[0]) != NULL) {
            continue;
        }
        uint64_t key = strtoull(text, &end, 10);
        if (end == text || strchr("\r\n", *end) == NULL) {
            return bad_line(line, "a decimal key");
        }
        raw_add(raw, key, 1);
    }
    return KAMA_OK;
}

static kama_status read_adaptsize(FILE *file, struct raw *raw)
{
    char text[LINE_BYTES_MAX];
    for (uint64_t line = 1; fgets(text, sizeof text, file) != NULL; line++) {
        uint64_t time;
        uint64_t key;
        uint64_t size;
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &time, &key,
                   &size) != 3) {
            return bad_line(line, "a time, a key and a size");
        }
        raw_add(raw, key, size);
    }
    return KAMA_OK;
}

struct format {
    const char *name;
    kama_status (*read)(FILE *file, struct raw *raw);
    bool has_sizes;
};

static const struct format formats[] = {
    {"int32be", read_int32be, false},
    {"lines", read_lines, false},
    {"adaptsize", read_adaptsize, true},
};

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

kama_status hr_trace_read(FILE *file, const char *name,
                          struct hr_trace *ret_trace)
{
    struct raw raw = {0};
    const struct format *format = find_format(name);
    if (format == NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "\"%s\" is no format of traces; int32be, lines and "
                       "adaptsize are",
                       name);
    }
    kama_status status = format->read(file, &raw);
    if (status == KAMA_OK && raw.count == 0) {
        status = km_fail(KAMA_ERR_INVALID, "the trace has no requests");
    }
    if (status == KAMA_OK) {
        hr_trace_make(raw.keys, format->has_sizes ? raw.sizes : NULL, raw.count,
                      ret_trace);
    }
    raw_free(&raw);
    return status;
}

/* -- numbers for keys ----------------------------------------------------- */

/* A table from keys to their numbers plus one. */
struct numbers {
    uint64_t *keys;
    uint32_t *numbers;
    uint64_t mask;
};

static struct numbers numbers_new(uint64_t requests)
{
    uint64_t slots = 16;
    while (slots < requests * 2) {
        slots *= 2;
    }
    return (struct numbers){.keys = hr_array(slots, sizeof(uint64_t)),
                            .numbers = hr_array(slots, sizeof(uint32_t)),
                            .mask = slots - 1};
}

/* Returns the slot of a key, or the free slot where it belongs. */
static uint64_t numbers_slot(const struct numbers *table, uint64_t key)
{
    uint64_t slot = hr_hash(key) & table->mask;
    while (table->numbers[slot] != 0 && table->keys[slot] != key) {
        slot = (slot + 1) & table->mask;
    }
    return slot;
}

void hr_trace_make(const uint64_t *keys, const uint32_t *sizes, uint64_t count,
                   struct hr_trace *ret_trace)
{
    struct numbers table = numbers_new(count);
    struct hr_trace trace = {.requests = hr_array(count, sizeof(uint32_t)),
                             .sizes = hr_array(count, sizeof(uint32_t)),
                             .count = count,
                             .has_sizes = sizes != NULL};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t slot = numbers_slot(&table, keys[i]);
        if (table.numbers[slot] == 0) {
            trace.sizes[trace.keys] = sizes != NULL ? sizes[i] : 1;
            table.keys[slot] = keys[i];
            table.numbers[slot] = ++trace.keys;
        }
        trace.requests[i] = table.numbers[slot] - 1;
    }
    km_mem_free(km_mem_default(), table.keys);
    km_mem_free(km_mem_default(), table.numbers);
    *ret_trace = trace;
}

void hr_trace_part(const struct hr_trace *trace, unsigned shard,
                   unsigned shards, struct hr_trace *ret_part)
{
    struct raw raw = {0};
    for (uint64_t i = 0; i < trace->count; i++) {
        uint32_t key = trace->requests[i];
        if (hr_hash(key) % shards == shard) {
            raw_add(&raw, key, trace->sizes[key]);
        }
    }
    hr_trace_make(raw.keys, raw.sizes, raw.count, ret_part);
    raw_free(&raw);
}

void hr_trace_free(struct hr_trace *trace)
{
    km_mem_free(km_mem_default(), trace->requests);
    km_mem_free(km_mem_default(), trace->sizes);
}
