/* SPDX-License-Identifier: MIT */
/*
 * A hit that copies its value, beside the limit loop. The limit loop does only
 * the steps that no hit can avoid: XXH3 of the key, one index line of seven
 * tagged references, one comparison and one memcpy. Both sides alternate in
 * slices of at most 200 ms on the same keys. The output is the ratio of their
 * thread CPU times as median, p10 and p90.
 *
 *   hit_bench [--items N] [--uniform] [--threads 1|2] [--pairs N] [--ttl]
 *             [--dependent]
 */
#include "base/assert.h"

#include <kamacache/kamacache.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#define KEY_BYTES 16
#define VALUE_BYTES 100
#define LOOKUPS (1u << 20) /* keys that were made before, used in a ring */
#define SLICE_NS 100000000ull

struct options {
    unsigned items;
    unsigned threads;
    unsigned pairs;
    bool uniform;
    bool ttl;
    bool dependent;
};

struct limit_item {
    uint32_t key_len;
    uint32_t value_len;
    uint8_t data[KEY_BYTES + VALUE_BYTES];
};

struct limit_line {
    uint64_t slots[7];
    uint64_t unused;
} __attribute__((aligned(64)));

struct bench {
    struct options o;
    kama_group *group;
    struct limit_line *lines;
    uint64_t line_count;
    uint8_t (*keys)[KEY_BYTES]; /* in the order of the lookups */
};

/* The slice of one thread. */
struct slice {
    pthread_t thread;
    struct bench *b;
    bool limit;
    unsigned from;
    double ns_per_op;
    uint64_t sum;
};

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A Zipf distribution with exponent 0.99 over n ranks (Gray et al., 1994). */
struct zipf {
    double n, alpha, zetan, eta;
};

static void zipf_init(struct zipf *z, unsigned n)
{
    const double theta = 0.99;
    z->n = n;
    z->alpha = 1.0 / (1.0 - theta);
    z->zetan = 0;
    for (unsigned i = 1; i <= n; i++) {
        z->zetan += 1.0 / pow(i, theta);
    }
    double zeta2 = 1.0 + 1.0 / pow(2.0, theta);
    z->eta = (1.0 - pow(2.0 / n, 1.0 - theta)) / (1.0 - zeta2 / z->zetan);
}

static unsigned zipf_next(const struct zipf *z, double u)
{
    double uz = u * z->zetan;
    if (uz < 1.0) {
        return 0;
    }
    if (uz < 1.0 + pow(0.5, 0.99)) {
        return 1;
    }
    double rank = z->n * pow(z->eta * u - z->eta + 1.0, z->alpha);
    return rank >= z->n ? (unsigned)z->n - 1 : (unsigned)rank;
}

/* Makes key number i, whose bytes have no order. */
static void make_key(uint8_t *key, unsigned i)
{
    uint64_t a = (i + 1) * 0x9e3779b97f4a7c15u;
    uint64_t b = a ^ (a >> 29) * 0xbf58476d1ce4e5b9u;
    memcpy(key, &a, 8);
    memcpy(key + 8, &b, 8);
}

static void make_lookups(struct bench *b)
{
    struct zipf z;
    uint64_t r = 88172645463325252u;
    zipf_init(&z, b->o.items);
    b->keys = malloc((size_t)LOOKUPS * KEY_BYTES);
    KM_ASSERT(b->keys != NULL);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        uint64_t x = next_random(&r);
        double u = (double)(x >> 11) / 9007199254740992.0;
        unsigned n =
            b->o.uniform ? (unsigned)(x % b->o.items) : zipf_next(&z, u);
        make_key(b->keys[i], (unsigned)((uint64_t)n * 7919 % b->o.items));
    }
}

static void limit_add(struct bench *b, const uint8_t *key, const uint8_t *value)
{
    struct limit_item *item = malloc(sizeof *item);
    KM_ASSERT(item != NULL);
    item->key_len = KEY_BYTES;
    item->value_len = VALUE_BYTES;
    memcpy(item->data, key, KEY_BYTES);
    memcpy(item->data + KEY_BYTES, value, VALUE_BYTES);
    uint64_t hash = XXH3_64bits_withSeed(key, KEY_BYTES, 1);
    uint64_t at = hash & (b->line_count - 1);
    for (;; at = (at + 1) & (b->line_count - 1)) {
        for (unsigned i = 0; i < 7; i++) {
            if (b->lines[at].slots[i] == 0) {
                b->lines[at].slots[i] =
                    hash >> 48 << 48 | (uint64_t)(uintptr_t)item;
                return;
            }
        }
    }
}

/* The lookup of the limit loop. An item whose home line was full is found in
 * one of the next lines. */
static inline size_t limit_get(const struct bench *b, const uint8_t *key,
                               uint8_t *out)
{
    uint64_t hash = XXH3_64bits_withSeed(key, KEY_BYTES, 1);
    uint64_t tag = hash >> 48;
    for (uint64_t at = hash;; at++) {
        const struct limit_line *line = &b->lines[at & (b->line_count - 1)];
        uint32_t found = 0;
        for (unsigned i = 0; i < 7; i++) {
            found |= (uint32_t)(line->slots[i] >> 48 == tag) << i;
        }
        for (; found != 0; found &= found - 1) {
            uint64_t slot = line->slots[__builtin_ctz(found)];
            const struct limit_item *item =
                (const void *)(uintptr_t)(slot & 0xffffffffffffu);
            if (item != NULL && item->key_len == KEY_BYTES &&
                memcmp(item->data, key, KEY_BYTES) == 0) {
                memcpy(out, item->data + KEY_BYTES, item->value_len);
                return item->value_len;
            }
        }
    }
}

static void fill(struct bench *b)
{
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    for (unsigned i = 0; i < b->o.items; i++) {
        make_key(key, i);
        memset(value, (int)(i & 0xff), sizeof value);
        limit_add(b, key, value);
        kama_status st = kama_set(b->group, KAMA_BYTES(key, KEY_BYTES),
                                  KAMA_BYTES(value, VALUE_BYTES), NULL);
        KM_ASSERT(st == KAMA_OK);
    }
}

static void open_bench(struct bench *b)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.max_bytes = (uint64_t)b->o.items * 400 + (64u << 20);
    options.ttl_ms = b->o.ttl ? 3600 * 1000 : 0;
    kama_status st = kama_group_new(&options, &b->group);
    KM_ASSERT(st == KAMA_OK);
    b->line_count = 1;
    while (b->line_count * 4 < b->o.items) {
        b->line_count *= 2;
    }
    b->lines = aligned_alloc(64, b->line_count * sizeof *b->lines);
    KM_ASSERT(b->lines != NULL);
    memset(b->lines, 0, b->line_count * sizeof *b->lines);
    make_lookups(b);
    fill(b);
}

static size_t one(const struct bench *b, bool limit, unsigned i, uint8_t *out)
{
    const uint8_t *key = b->keys[i & (LOOKUPS - 1)];
    size_t len = 0;
    if (limit) {
        return limit_get(b, key, out);
    }
    kama_status st = kama_get_copy(b->group, KAMA_BYTES(key, KEY_BYTES), NULL,
                                   out, 128, &len);
    KM_ASSERT(st == KAMA_OK);
    return len;
}

static void *run_slice(void *arg)
{
    struct slice *s = arg;
    uint8_t out[128] = {0};
    unsigned i = s->from;
    uint64_t ops = 0;
    uint64_t from = cpu_ns();
    uint64_t now = from;
    while (now - from < SLICE_NS) {
        for (unsigned n = 0; n < 4096; n++) {
            s->sum += one(s->b, s->limit, i, out) + out[50];
            i += s->b->o.dependent ? 1 + (out[50] & 1) : 1;
        }
        ops += 4096;
        now = cpu_ns();
    }
    s->ns_per_op = (double)(now - from) / (double)ops;
    return NULL;
}

/* Returns the mean nanoseconds per operation over the threads. */
static double measure(struct bench *b, bool limit, unsigned pair)
{
    struct slice slices[2];
    double sum = 0;
    for (unsigned t = 0; t < b->o.threads; t++) {
        slices[t] = (struct slice){
            .b = b, .limit = limit, .from = pair * 77777 + t * LOOKUPS / 2};
        KM_ASSERT(pthread_create(&slices[t].thread, NULL, run_slice,
                                 &slices[t]) == 0);
    }
    for (unsigned t = 0; t < b->o.threads; t++) {
        (void)pthread_join(slices[t].thread, NULL);
        sum += slices[t].ns_per_op;
    }
    return sum / b->o.threads;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *values, unsigned n)
{
    qsort(values, n, sizeof *values, compare);
    printf("%s median %.2f  p10 %.2f  p90 %.2f\n", what, values[n / 2],
           values[n / 10], values[n * 9 / 10]);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.items = 1000000, .threads = 1, .pairs = 25};
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--items") == 0) {
            o.items = (unsigned)atoi(next);
            i++;
        } else if (strcmp(argv[i], "--threads") == 0) {
            o.threads = atoi(next) == 2 ? 2 : 1;
            i++;
        } else if (strcmp(argv[i], "--pairs") == 0) {
            o.pairs = (unsigned)atoi(next);
            i++;
        } else {
            o.uniform |= strcmp(argv[i], "--uniform") == 0;
            o.ttl |= strcmp(argv[i], "--ttl") == 0;
            o.dependent |= strcmp(argv[i], "--dependent") == 0;
        }
    }
    o.pairs = o.pairs < 1 || o.pairs > 1000 ? 25 : o.pairs;
    return o;
}

int main(int argc, char **argv)
{
    static double limit[1000], ours[1000], ratio[1000];
    struct bench b = {.o = parse(argc, argv)};
    open_bench(&b);
    (void)measure(&b, true, 0);
    (void)measure(&b, false, 0);
    for (unsigned p = 0; p < b.o.pairs; p++) {
        limit[p] = measure(&b, true, p);
        ours[p] = measure(&b, false, p);
        ratio[p] = ours[p] / limit[p];
    }
    printf("copying hit, %u items of %d+%d B, %s%s%s, %u thread%s\n", b.o.items,
           KEY_BYTES, VALUE_BYTES, b.o.uniform ? "uniform" : "zipf 0.99",
           b.o.ttl ? ", all with expiry" : "",
           b.o.dependent ? ", dependent" : "", b.o.threads,
           b.o.threads > 1 ? "s" : "");
    report("limit loop ns/op   ", limit, b.o.pairs);
    report("kama_get_copy ns/op", ours, b.o.pairs);
    report("ratio              ", ratio, b.o.pairs);
    kama_group_free(b.group);
    return 0;
}
