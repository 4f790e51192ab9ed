/* SPDX-License-Identifier: MIT */
/*
 * What finds hot keys: Space-Saving, which groups use, beside two others in about
 * the same memory, on streams of which the exact counts are known. For each stream,
 * the output is how many of the 20 most frequent keys are among the 20 that are
 * named, and by how much their counts are wrong on average (a key that is not named
 * counts as 100 %). Then what a get pays for being counted.
 *
 *   hot_keys_bench [--gets N]
 *
 * Misra-Gries: "Finding Repeated Elements", 1982. A key without a counter, when none
 * is free, takes one from each counter.
 * HeavyKeeper: Gong et al., "HeavyKeeper: An Accurate Algorithm for Finding Top-k
 * Elephant Flows", USENIX ATC 2018. Two rows of buckets with a fingerprint and a
 * count that decays by chance when another key meets it; the most frequent keys are
 * in a list of 128.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/space_saving.h"
#include "group/hot_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KEYS 1000000u
#define COUNTERS 1024u
#define TOP 20u
#define ROW 2048u
#define LIST 128u

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double uniform(void)
{
    return (double)(next_random() >> 11) / (double)(1ull << 53);
}

static uint64_t hash_of(uint32_t key)
{
    return km_hash(kama_bytes_make(&key, sizeof key), 1);
}

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A key and how often it was counted. */
struct named {
    uint32_t key;
    double count;
};

/* -- Misra-Gries ------------------------------------------------------------- */

static struct named mg[COUNTERS];

static void mg_add(uint32_t key)
{
    struct named *free_one = NULL;
    for (unsigned i = 0; i < COUNTERS; i++) {
        if (mg[i].count > 0 && mg[i].key == key) {
            mg[i].count++;
            return;
        }
        free_one = mg[i].count == 0 ? &mg[i] : free_one;
    }
    if (free_one != NULL) {
        *free_one = (struct named){key, 1};
        return;
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        mg[i].count--;
    }
}

/* -- HeavyKeeper ------------------------------------------------------------- */

static struct {
    uint32_t print;
    uint32_t count;
} hk[2][ROW];
static struct named hk_list[LIST];

static uint32_t hk_count(uint64_t hash)
{
    uint32_t print = (uint32_t)(hash >> 32) | 1;
    uint32_t most = 0;
    for (unsigned r = 0; r < 2; r++) {
        unsigned at = (unsigned)(hash >> (r * 11)) % ROW;
        if (hk[r][at].count == 0 || hk[r][at].print == print) {
            hk[r][at].print = print;
            hk[r][at].count++;
        } else if (uniform() < pow(1.08, -(double)hk[r][at].count) &&
                   --hk[r][at].count == 0) {
            hk[r][at].print = print;
            hk[r][at].count = 1;
        }
        if (hk[r][at].print == print && hk[r][at].count > most) {
            most = hk[r][at].count;
        }
    }
    return most;
}

static void hk_add(uint32_t key)
{
    double count = hk_count(hash_of(key));
    struct named *least = &hk_list[0];
    for (unsigned i = 0; i < LIST; i++) {
        if (hk_list[i].count > 0 && hk_list[i].key == key) {
            hk_list[i].count = count;
            return;
        }
        least = hk_list[i].count < least->count ? &hk_list[i] : least;
    }
    if (count > least->count) {
        *least = (struct named){key, count};
    }
}

/* -- streams ----------------------------------------------------------------- */

static double *sums;
static uint32_t fresh; /* keys that come once */

static void make_zipf(double alpha)
{
    for (unsigned i = 0; i < KEYS; i++) {
        sums[i] = (i > 0 ? sums[i - 1] : 0) + pow(i + 1, -alpha);
    }
}

static uint32_t zipf(void)
{
    double at = uniform() * sums[KEYS - 1];
    uint32_t low = 0;
    for (uint32_t step = 1u << 19; step > 0; step /= 2) {
        low += low + step < KEYS && sums[low + step - 1] < at ? step : 0;
    }
    return low;
}

/* Key n of a stream. Keys from KEYS on are those that come once. */
static uint32_t of_zipf(unsigned n)
{
    (void)n;
    return zipf();
}
static uint32_t of_scan(unsigned n)
{
    return n % 2 == 0 ? zipf() : KEYS + fresh++;
}
static uint32_t of_drift(unsigned n)
{
    return (zipf() + n / 250000 * 1000) % KEYS;
}
static uint32_t of_rotation(unsigned n)
{
    return n % 100 == 0 ? n / 100 % 4 : 4 + n % (COUNTERS + 1);
}

static const struct {
    const char *name;
    double alpha;
    uint32_t (*next)(unsigned n);
} streams[] = {{"zipf 0.8", 0.8, of_zipf},
               {"zipf 0.99", 0.99, of_zipf},
               {"zipf 1.2", 1.2, of_zipf},
               {"zipf 0.99, every second key is new", 0.99, of_scan},
               {"zipf 0.99, other hot keys twice", 0.99, of_drift},
               {"4 hot keys among 1025 in rotation", 0.99, of_rotation}};

/* -- comparing --------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
    double x = ((const struct named *)a)->count;
    double y = ((const struct named *)b)->count;
    return (x < y) - (x > y);
}

/* Writes the TOP keys with the largest counts. */
static void top_of(const struct named *all, size_t n, struct named *ret_top)
{
    struct named *copy = malloc(n * sizeof *copy);
    KM_ASSERT(copy != NULL);
    memcpy(copy, all, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_count);
    memcpy(ret_top, copy, TOP * sizeof *copy);
    free(copy);
}

static void judge(const char *what, const struct named *real,
                  const struct named *top, double ns)
{
    unsigned hits = 0;
    unsigned wanted = 0;
    double wrong = 0;
    for (unsigned i = 0; i < TOP && real[i].count > 0; i++, wanted++) {
        double found = 0;
        for (unsigned j = 0; j < TOP; j++) {
            if (top[j].count > 0 && top[j].key == real[i].key) {
                found = top[j].count;
                hits++;
            }
        }
        wrong += fabs(found - real[i].count) / real[i].count;
    }
    printf("  %-14s %2u of %u found, counts wrong by %5.1f %%, %4.0f ns each\n",
           what, hits, wanted, 100 * wrong / wanted, ns);
}

static void ss_top(const struct km_space_saving *s, struct named *ret_top)
{
    struct km_space_saving_entry entries[TOP];
    size_t n = km_space_saving_top(s, entries, TOP);
    memset(ret_top, 0, TOP * sizeof *ret_top);
    for (size_t i = 0; i < n; i++) {
        memcpy(&ret_top[i].key, entries[i].key.data, sizeof ret_top[i].key);
        ret_top[i].count = entries[i].count - entries[i].error;
    }
}

static void run(unsigned stream, unsigned gets)
{
    struct km_space_saving *s;
    uint32_t *keys = malloc(gets * sizeof *keys);
    struct named *exact = calloc(KEYS, sizeof *exact);
    struct named real[TOP];
    struct named top[TOP];
    KM_ASSERT(keys != NULL && exact != NULL);
    memset(mg, 0, sizeof mg);
    memset(hk, 0, sizeof hk);
    memset(hk_list, 0, sizeof hk_list);
    make_zipf(streams[stream].alpha);
    for (unsigned n = 0; n < gets; n++) {
        keys[n] = streams[stream].next(n);
        if (keys[n] < KEYS) {
            exact[keys[n]].key = keys[n];
            exact[keys[n]].count++;
        }
    }
    top_of(exact, KEYS, real);
    for (unsigned i = 0; i < TOP && streams[stream].next == of_rotation; i++) {
        real[i].count *= i < 4;
    }
    printf("%s\n", streams[stream].name);

    KM_ASSERT(km_space_saving_new(km_mem_default(), COUNTERS, &s) == KAMA_OK);
    double from = cpu_ns();
    for (unsigned n = 0; n < gets; n++) {
        km_space_saving_add(s, hash_of(keys[n]),
                            kama_bytes_make(&keys[n], sizeof keys[n]), 1);
    }
    double ns = (cpu_ns() - from) / gets;
    ss_top(s, top);
    judge("Space-Saving", real, top, ns);
    km_space_saving_free(s);

    from = cpu_ns();
    for (unsigned n = 0; n < gets; n++) {
        hk_add(keys[n]);
    }
    ns = (cpu_ns() - from) / gets;
    top_of(hk_list, LIST, top);
    judge("HeavyKeeper", real, top, ns);

    from = cpu_ns();
    for (unsigned n = 0; n < gets; n++) {
        mg_add(keys[n]);
    }
    ns = (cpu_ns() - from) / gets;
    top_of(mg, COUNTERS, top);
    judge("Misra-Gries", real, top, ns);
    free(exact);
    free(keys);
}

/* -- what a get pays --------------------------------------------------------- */

static void run_notes(unsigned gets)
{
    static struct km_hot_keys hot;
    const struct km_hot_keys_options options = {.mem = km_mem_default(),
                                                .clock = km_clock_system(),
                                                .max_bytes = 64u << 20,
                                                .seed = 1};
    uint32_t *keys = malloc((1u << 20) * sizeof *keys);
    KM_ASSERT(keys != NULL);
    make_zipf(0.99);
    for (unsigned n = 0; n < 1u << 20; n++) {
        keys[n] = zipf();
    }
    km_hot_keys_init(&hot, &options);
    double from = cpu_ns();
    for (unsigned n = 0; n < gets; n++) {
        const uint32_t *key = &keys[n % (1u << 20)];
        km_hot_keys_note(&hot, n * UINT64_C(0x9e3779b97f4a7c15),
                         kama_bytes_make(key, sizeof *key));
    }
    printf("a get that is counted: %.2f ns, period %u\n",
           (cpu_ns() - from) / gets,
           1u << hot.cells[km_thread_cell()].period_bits);
    km_hot_keys_fini(&hot);
    free(keys);
}

int main(int argc, char **argv)
{
    unsigned gets = 500000;
    if (argc == 3 && strcmp(argv[1], "--gets") == 0) {
        gets = (unsigned)strtoul(argv[2], NULL, 10);
    }
    sums = malloc(KEYS * sizeof *sums);
    KM_ASSERT(sums != NULL && gets > 0);
    for (unsigned i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        run(i, gets);
    }
    run_notes(100 * gets);
    free(sums);
    return 0;
}
