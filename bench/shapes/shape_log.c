/* SPDX-License-Identifier: MIT */
/*
 * A log: records of 8 bytes of header, key and value, one behind the other in
 * segments. The order of the log is the order of the queue.
 *
 *     oldest [ gone | record | dead | record ] -> [ record | gap | free ] youngest
 *                     ^ walk                                       ^ append
 *
 * An eviction walks the oldest segment, and copies records that had a hit to the end. A
 * record that dies elsewhere leaves a hole. While more than holes_percent of the log are
 * holes, the sweep slides records together in place and in their order: those of
 * `from_segment` go to `to_segment`, which is the same one or the one before it. Between
 * two steps, the bytes from the last record that was slid to the next one are a gap. It
 * looks like a dead record and does not count as a hole any more.
 */
#include "base/assert.h"
#include "index.h"
#include "region.h"
#include "shape.h"

#include <stdlib.h>

/* A full log has about so many segments, unless they would be very small or large. */
#define SEGMENTS 512u
#define SEGMENT_MIN ((size_t)16 << 10)
#define SEGMENT_MAX ((size_t)256 << 10)
#define STEP_BYTES 4096u
/* A call goes on with the sweep for at most so many steps. */
#define STEPS_MAX 256u

struct record {
    uint32_t value_bytes;
    uint16_t key_bytes; /* 0: a hole */
    uint16_t unused;    /* has its place for flags */
    uint8_t data[];
};

struct segment {
    uint32_t used; /* bytes that were appended */
    uint32_t live; /* bytes of records that live */
    uint32_t prev, next;
};

struct log {
    struct shape_options options;
    size_t segment_bytes;
    struct shape_region region;
    struct shape_index index;
    struct segment *segments; /* by the number of the block; 0: none */
    uint32_t oldest, youngest;
    uint32_t walked; /* bytes of the oldest segment that are gone */
    uint64_t used, live;
    bool sweeping;
    uint32_t to_segment, to;
    uint32_t from_segment, from;
    uint64_t payload, moved;
};

static uint32_t size_for(uint32_t value_bytes)
{
    uint32_t bytes = (uint32_t)sizeof(struct record) + BENCH_KEY_BYTES;
    return (bytes + value_bytes + 7) & ~7u;
}

static uint32_t size_of(const struct record *r)
{
    return ((uint32_t)sizeof *r + r->key_bytes + r->value_bytes + 7) & ~7u;
}

static struct record *record_at(const struct log *log, uint32_t segment,
                                uint32_t offset)
{
    return (void *)(shape_region_block(&log->region, segment) + offset);
}

static struct record *record_of(const struct log *log, uint64_t ref)
{
    return (void *)(log->region.base + ref * 8);
}

static uint64_t ref_of(const struct log *log, const struct record *r)
{
    return (uint64_t)((const uint8_t *)r - log->region.base) / 8;
}

static uint64_t payload_of(const struct record *r)
{
    return r->key_bytes + (uint64_t)r->value_bytes;
}

/* -- segments ---------------------------------------------------------------- */

/* Frees a segment without live records, which is not the youngest one. */
static void free_segment(struct log *log, uint32_t number)
{
    const struct segment *s = &log->segments[number];
    KM_ASSERT(s->live == 0 && number != log->youngest);
    log->used -= s->used;
    log->segments[s->next].prev = s->prev;
    if (s->prev != 0) {
        log->segments[s->prev].next = s->next;
    } else {
        log->oldest = s->next;
        log->walked = 0;
    }
    log->sweeping = log->sweeping && number != log->to_segment &&
                    number != log->from_segment;
    shape_region_give(&log->region, shape_region_block(&log->region, number));
}

static void add_segment(struct log *log)
{
    uint32_t before = log->youngest;
    uint8_t *block = shape_region_take(&log->region);
    uint32_t number = shape_region_number(&log->region, block);
    log->segments[number] = (struct segment){.prev = before};
    if (before != 0) {
        log->segments[before].next = number;
    } else {
        log->oldest = number;
        log->walked = 0;
    }
    log->youngest = number;
    if (before != 0 && log->segments[before].live == 0) {
        free_segment(log, before);
    }
}

/* Makes room for a record at the end of the log. */
static struct record *append(struct log *log, uint32_t bytes)
{
    if (log->youngest == 0 ||
        log->segments[log->youngest].used + bytes > log->segment_bytes) {
        add_segment(log);
    }
    struct segment *s = &log->segments[log->youngest];
    struct record *r = record_at(log, log->youngest, s->used);
    s->used += bytes;
    s->live += bytes;
    log->used += bytes;
    log->live += bytes;
    return r;
}

/* Makes a hole of a record. */
static void kill(struct log *log, struct record *r)
{
    uint32_t bytes = size_of(r);
    uint32_t number = shape_region_number(&log->region, r);
    log->segments[number].live -= bytes;
    log->live -= bytes;
    r->value_bytes += r->key_bytes;
    r->key_bytes = 0;
    if (log->segments[number].live == 0 && number != log->youngest) {
        free_segment(log, number);
    }
}

/* -- the sweep --------------------------------------------------------------- */

/* Bytes between the last record that was slid and the next one. */
static uint32_t gap(const struct log *log)
{
    if (!log->sweeping) {
        return 0;
    }
    return log->from_segment == log->to_segment ? log->from - log->to
                                                : log->from;
}

static bool has_holes(const struct log *log)
{
    uint64_t holes = log->used - log->live - gap(log);
    return holes * 100 > log->used * log->options.holes_percent;
}

static void write_gap(struct log *log)
{
    uint32_t begin = log->from_segment == log->to_segment ? log->to : 0;
    if (log->from > begin) {
        struct record *r = record_at(log, log->from_segment, begin);
        *r = (struct record){.value_bytes =
                                 log->from - begin - (uint32_t)sizeof *r};
    }
}

/* Ends the segment `to` behind the last record that was slid into it. */
static void truncate_to(struct log *log)
{
    struct segment *s = &log->segments[log->to_segment];
    log->used -= s->used - log->to;
    s->used = log->to;
}

static void begin_sweep(struct log *log)
{
    log->sweeping = true;
    log->to_segment = log->from_segment = log->oldest;
    log->to = log->from = log->walked;
}

/* Goes on to the next segment. Returns false at the youngest one, to which records are
 * appended, so that nothing can be slid there. */
static bool next_segment(struct log *log)
{
    uint32_t done = log->from_segment;
    uint32_t next = log->segments[done].next;
    if (done == log->to_segment) {
        truncate_to(log);
    }
    log->from_segment = next;
    log->from = 0;
    if (done != log->to_segment) {
        free_segment(log, done);
    }
    if (next == log->youngest) {
        log->sweeping = false;
        return false;
    }
    return true;
}

/* Slides the next record to its place. */
static void slide(struct log *log, struct record *r, uint32_t bytes)
{
    if (log->to + bytes > log->segment_bytes) {
        truncate_to(log);
        log->to_segment = log->from_segment;
        log->to = 0;
    }
    struct record *to = record_at(log, log->to_segment, log->to);
    if (to != r) {
        struct shape_place place =
            shape_index_find_ref(&log->index, ref_of(log, r));
        memmove(to, r, bytes);
        shape_index_move(&log->index, &place, ref_of(log, to));
        log->moved += bytes;
    }
    if (log->to_segment != log->from_segment) {
        struct segment *s = &log->segments[log->to_segment];
        log->segments[log->from_segment].live -= bytes;
        s->live += bytes;
        log->used += log->to + bytes - s->used;
        s->used = log->to + bytes;
    }
    log->to += bytes;
}

/* Looks at about STEP_BYTES of the log. */
static void sweep_step(struct log *log)
{
    for (uint32_t seen = 0; seen < STEP_BYTES;) {
        if (log->from >= log->segments[log->from_segment].used) {
            if (!next_segment(log)) {
                return;
            }
            continue;
        }
        struct record *r = record_at(log, log->from_segment, log->from);
        uint32_t bytes = size_of(r);
        log->from += bytes;
        seen += bytes;
        if (r->key_bytes != 0) {
            slide(log, r, bytes);
        }
    }
    write_gap(log);
}

/* The walk of the evictions may have passed the place of the sweep, and records may be
 * appended to its segment if all behind them have died. */
static bool can_go_on(const struct log *log)
{
    return log->sweeping && log->from_segment != log->youngest &&
           (log->to_segment != log->oldest || log->to >= log->walked);
}

static void sweep(struct log *log)
{
    for (unsigned i = 0; i < STEPS_MAX && has_holes(log); i++) {
        if (log->oldest == log->youngest) {
            log->sweeping = false;
            return;
        }
        if (!can_go_on(log)) {
            begin_sweep(log);
        }
        sweep_step(log);
    }
}

/* -- eviction ---------------------------------------------------------------- */

static void remove_record(struct log *log, const struct shape_place *place)
{
    struct record *r = record_of(log, place->ref);
    log->payload -= payload_of(r);
    shape_index_remove(&log->index, place);
    kill(log, r);
}

/* Copies a record that had a hit to the end of the log. */
static void begin_round(struct log *log, const struct shape_place *place)
{
    struct record *r = record_of(log, place->ref);
    uint32_t bytes = size_of(r);
    struct record *copy = append(log, bytes);
    memcpy(copy, r, bytes);
    shape_place_set_freq(place, 0);
    shape_index_move(&log->index, place, ref_of(log, copy));
    log->moved += bytes;
    kill(log, r);
}

/* Goes past the oldest record, which leaves or begins another round. */
static void walk(struct log *log)
{
    KM_ASSERT(log->oldest != log->youngest);
    struct record *r = record_at(log, log->oldest, log->walked);
    log->walked += size_of(r);
    if (r->key_bytes == 0) {
        return;
    }
    struct shape_place place =
        shape_index_find_ref(&log->index, ref_of(log, r));
    if (shape_place_freq(&place) > 0) {
        begin_round(log, &place);
    } else {
        remove_record(log, &place);
    }
}

/* Evicts records until the bound has room for `bytes` more. */
static void make_room(struct log *log, size_t bytes)
{
    while (shape_region_taken(&log->region) + shape_index_bytes(&log->index) +
               bytes >
           log->options.max_bytes) {
        walk(log);
    }
    shape_region_trim(&log->region, 1);
}

/* -- the shape --------------------------------------------------------------- */

static size_t segment_bytes_for(uint64_t max_bytes)
{
    size_t bytes = SEGMENT_MIN;
    while (bytes < SEGMENT_MAX && bytes * 2 * SEGMENTS <= max_bytes) {
        bytes *= 2;
    }
    return bytes;
}

static size_t table_bytes(const struct log *log)
{
    return SHAPE_REGION_BYTES / log->segment_bytes * sizeof *log->segments;
}

static void *log_open(const struct shape_options *options)
{
    struct log *log = calloc(1, sizeof *log);
    KM_ASSERT(log != NULL);
    log->options = *options;
    log->segment_bytes = segment_bytes_for(options->max_bytes);
    shape_region_init(&log->region, log->segment_bytes);
    shape_index_init(&log->index, SHAPE_NARROW);
    log->index.base = log->region.base;
    log->index.shift = 3;
    log->index.key_offset = sizeof(struct record);
    log->segments = shape_map(table_bytes(log));
    return log;
}

static void log_close(void *shape)
{
    struct log *log = shape;
    shape_region_fini(&log->region);
    shape_index_fini(&log->index);
    shape_unmap(log->segments, table_bytes(log));
    free(log);
}

static size_t log_get(void *shape, const uint8_t *key, uint8_t *out)
{
    struct log *log = shape;
    struct shape_place place =
        shape_index_find(&log->index, shape_index_hash(key), key);
    if (place.ref == 0) {
        return 0;
    }
    const struct record *r = record_of(log, place.ref);
    memcpy(out, r->data + BENCH_KEY_BYTES, r->value_bytes);
    shape_place_touch(&place);
    return r->value_bytes;
}

static void write_record(struct log *log, struct record *r,
                         const struct shape_item *item)
{
    r->value_bytes = item->value_bytes;
    r->key_bytes = BENCH_KEY_BYTES;
    memcpy(r->data, item->key, BENCH_KEY_BYTES);
    memcpy(r->data + BENCH_KEY_BYTES, item->value, item->value_bytes);
    log->payload += payload_of(r);
}

/* Makes room for a segment if this record needs one. */
static void make_room_for(struct log *log, uint32_t bytes)
{
    if (log->youngest != 0 &&
        log->segments[log->youngest].used + bytes > log->segment_bytes) {
        make_room(log, log->segment_bytes);
    }
}

static void log_set(void *shape, const struct shape_item *item)
{
    struct log *log = shape;
    uint64_t hash = shape_index_hash(item->key);
    uint32_t bytes = size_for(item->value_bytes);
    struct shape_place place = shape_index_find(&log->index, hash, item->key);
    if (place.ref != 0) {
        struct record *r = record_of(log, place.ref);
        if (size_of(r) == bytes) {
            log->payload -= payload_of(r);
            write_record(log, r, item);
            return;
        }
        remove_record(log, &place);
    }
    make_room_for(log, bytes);
    struct record *r = append(log, bytes);
    write_record(log, r, item);
    shape_index_add(&log->index, hash, ref_of(log, r));
    sweep(log);
}

/* The segments that were freed go back to the system, and as much room in one piece is
 * taken elsewhere. */
static void log_take(void *shape, size_t bytes)
{
    struct log *log = shape;
    make_room(log, bytes);
    memset(shape_region_take_run(&log->region, bytes), 1, bytes);
}

static void log_count(void *shape, struct shape_counts *ret)
{
    const struct log *log = shape;
    *ret = (struct shape_counts){.entries = log->index.entry_count,
                                 .payload = log->payload,
                                 .used = log->region.used_bytes +
                                         shape_index_bytes(&log->index),
                                 .moved = log->moved};
}

const struct shape_ops shape_log = {.name = "log",
                                    .open = log_open,
                                    .close = log_close,
                                    .get = log_get,
                                    .set = log_set,
                                    .take = log_take,
                                    .count = log_count};
