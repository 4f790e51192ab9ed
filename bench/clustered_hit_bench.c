/* SPDX-License-Identifier: MIT */
/*
 * A copying hit in a group of a node that belongs to a cluster and owns all keys,
 * beside the same in a group of a node alone.
 *
 *   clustered_hit_bench [--pairs N] [--control]
 *
 * Where the memory of a group happens to lie makes more difference than the bar
 * permits. Therefore each pair makes two new groups, in alternating order, and their
 * slices are short and take turns. The time of a group is that of its fastest slice,
 * which no other program has disturbed. With --control both groups are those of a node
 * alone, which shows how exact the ratio is.
 */
#include "base/assert.h"
#include "group/group.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITEMS 10000u
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define SLICES 24
#define SLICE_OPS 20000u
#define PAIRS_MAX 1000u
#define BAR 1.05

enum side { ALONE, CLUSTERED };

static uint8_t keys[ITEMS][KEY_BYTES];

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- groups ---------------------------------------------------------------- */

/* This node owns every key. */
static void ask(void *owner, uint32_t slot, struct km_owner_answer *ret_answer)
{
    (void)owner;
    (void)slot;
    *ret_answer = (struct km_owner_answer){.place = KM_OWNER_HERE};
}

static kama_group *open_group(struct km_pool *pool, enum side side)
{
    static const struct km_owner_ops ops = {.ask = ask};
    const struct km_group_env env = {
        .pool = pool, .owner.ops = side == CLUSTERED ? &ops : NULL};
    const uint8_t value[VALUE_BYTES] = {1};
    kama_group_options options;
    kama_group *group = NULL;
    kama_group_options_init(&options);
    options.sync = "owner";
    kama_status st = km_group_new(&options, &env, &group);
    KM_ASSERT(st == KAMA_OK);
    for (unsigned i = 0; i < ITEMS; i++) {
        st = kama_set(group, KAMA_BYTES(keys[i], KEY_BYTES),
                      KAMA_BYTES(value, VALUE_BYTES), NULL);
        KM_ASSERT(st == KAMA_OK);
    }
    return group;
}

/* -- measuring ------------------------------------------------------------- */

static double slice(kama_group *group)
{
    static unsigned from;
    uint8_t out[VALUE_BYTES];
    size_t len = 0;
    uint64_t begin = cpu_ns();
    for (unsigned i = 0; i < SLICE_OPS; i++) {
        from = (from + 7919) % ITEMS;
        kama_status st = kama_get_copy(group, KAMA_BYTES(keys[from], KEY_BYTES),
                                       NULL, out, sizeof out, &len);
        KM_ASSERT(st == KAMA_OK && len == VALUE_BYTES);
    }
    return (double)(cpu_ns() - begin) / SLICE_OPS;
}

/* Returns the ratio, and adds the times to the sums. */
static double measure(struct km_pool *pool, enum side other, unsigned pair,
                      double sums[2])
{
    kama_group *groups[2] = {NULL, NULL};
    double best[2] = {1e9, 1e9};
    unsigned first = pair % 2;
    groups[first] = open_group(pool, first == 0 ? ALONE : other);
    groups[!first] = open_group(pool, first == 0 ? other : ALONE);
    for (unsigned i = 0; i < SLICES; i++) {
        for (unsigned n = 0; n < 2; n++) {
            unsigned side = (i + n) % 2;
            double ns = slice(groups[side]);
            best[side] = ns < best[side] ? ns : best[side];
        }
    }
    kama_group_free(groups[0]);
    kama_group_free(groups[1]);
    sums[0] += best[0];
    sums[1] += best[1];
    return best[1] / best[0];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static double ratios[PAIRS_MAX];
    unsigned pairs = 51;
    enum side other = CLUSTERED;
    struct km_pool *pool = NULL;
    double ns[2] = {0, 0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--control") == 0) {
            other = ALONE;
        } else if (strcmp(argv[i], "--pairs") == 0 && i + 1 < argc) {
            pairs = (unsigned)atoi(argv[++i]);
        }
    }
    pairs = pairs < 1 || pairs > PAIRS_MAX ? PAIRS_MAX : pairs;
    for (unsigned i = 0; i < ITEMS; i++) {
        uint64_t bits = (i + 1) * 0x9e3779b97f4a7c15u;
        memcpy(keys[i], &bits, sizeof bits);
    }
    kama_status st = km_pool_new(NULL, km_clock_system(), "bench", 1, &pool);
    KM_ASSERT(st == KAMA_OK);
    for (unsigned p = 0; p < pairs; p++) {
        ratios[p] = measure(pool, other, p, ns);
    }
    km_pool_free(pool);
    qsort(ratios, pairs, sizeof ratios[0], compare);
    printf("copying hit: %.1f ns alone, %.1f ns %s\n", ns[0] / pairs,
           ns[1] / pairs, other == ALONE ? "alone again" : "clustered");
    printf("ratio: median %.3f  p10 %.3f  p90 %.3f  bar %.2f  %s\n",
           ratios[pairs / 2], ratios[pairs / 10], ratios[pairs * 9 / 10], BAR,
           ratios[pairs * 9 / 10] <= BAR ? "met" : "MISSED");
    return 0;
}
