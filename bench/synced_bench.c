/* SPDX-License-Identifier: MIT */
/*
 * What synchronizing costs on the node that is called: a set, by one thread and by two,
 * and a copying hit, in a synchronized group with the log of a node, beside the same in
 * a group of a node alone.
 *
 *   synced_bench [--pairs N]
 *
 * As in clustered_hit_bench, each pair makes two new groups in alternating order, their
 * slices take turns, and the time of a group is that of its fastest slice. Nobody reads
 * the log, so that its ring is full, as it is when another node is slow.
 */
#include "base/assert.h"
#include "base/snapshot.h"
#include "group/group.h"
#include "sync/log.h"

#include <kamacache/kamacache.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITEMS 10000u
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define SLICES 12
#define SLICE_OPS 20000u
#define PAIRS_MAX 1000u

enum side { ALONE, SYNCED };

static uint8_t keys[ITEMS][KEY_BYTES];

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- a node whose log is real ------------------------------------------------- */

struct node {
    struct km_pool *pool;
    struct km_sync_log *log;
    struct km_snapshot role;
};

static void grew(void *arg)
{
    (void)arg;
}

/* This node owns every key. */
static void ask(void *owner, uint32_t slot, struct km_owner_answer *ret_answer)
{
    (void)owner;
    (void)slot;
    *ret_answer = (struct km_owner_answer){.place = KM_OWNER_HERE};
}

static enum km_sync_role enter(void *sync, struct km_snapshot_reader *reader)
{
    struct node *node = sync;
    (void)km_snapshot_enter(&node->role, reader);
    return KM_SYNC_ORIGINATES;
}

static void leave(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    km_snapshot_leave(reader);
}

static struct km_version originate(void *sync, uint32_t number,
                                   const struct km_asking *asking,
                                   uint64_t *ret_seq)
{
    struct node *node = sync;
    return km_sync_log_append(node->log, number, asking, ret_seq);
}

static uint32_t add(void *sync, const char *name, struct km_store *store)
{
    struct node *node = sync;
    return km_sync_log_add(node->log, name, store);
}

static const struct km_group_sync_ops sync_ops = {
    .enter = enter, .leave = leave, .originate = originate};

static kama_group *open_group(struct node *node, enum side side)
{
    static const struct km_owner_ops ops = {.ask = ask};
    struct km_group_env env = {.pool = node->pool};
    const uint8_t value[VALUE_BYTES] = {1};
    kama_group_options options;
    kama_group *group = NULL;
    kama_group_options_init(&options);
    options.sync = "broadcast";
    if (side == SYNCED) {
        env.owner.ops = &ops;
        env.sync =
            (struct km_group_sync){.ops = &sync_ops, .arg = node, .add = add};
    }
    kama_status st = km_group_new(&options, &env, &group);
    KM_ASSERT(st == KAMA_OK);
    for (unsigned i = 0; i < ITEMS; i++) {
        st = kama_set(group, KAMA_BYTES(keys[i], KEY_BYTES),
                      KAMA_BYTES(value, VALUE_BYTES), NULL);
        KM_ASSERT(st == KAMA_OK);
    }
    return group;
}

/* -- slices ----------------------------------------------------------------- */

static void set_many(kama_group *group, unsigned from)
{
    const uint8_t value[VALUE_BYTES] = {2};
    for (unsigned i = 0; i < SLICE_OPS; i++) {
        from = (from + 7919) % ITEMS;
        kama_status st = kama_set(group, KAMA_BYTES(keys[from], KEY_BYTES),
                                  KAMA_BYTES(value, VALUE_BYTES), NULL);
        KM_ASSERT(st == KAMA_OK);
    }
}

static void hit_many(kama_group *group, unsigned from)
{
    uint8_t out[VALUE_BYTES];
    size_t len = 0;
    for (unsigned i = 0; i < SLICE_OPS; i++) {
        from = (from + 7919) % ITEMS;
        kama_status st = kama_get_copy(group, KAMA_BYTES(keys[from], KEY_BYTES),
                                       NULL, out, sizeof out, &len);
        KM_ASSERT(st == KAMA_OK && len == VALUE_BYTES);
    }
}

struct task {
    const char *name;
    void (*run)(kama_group *group, unsigned from);
    unsigned threads;
    double bar;
};

/* A thread that takes part in a slice. */
struct helper {
    pthread_t thread;
    const struct task *task;
    kama_group *group;
    atomic_bool *go;
};

static void *helper_run(void *arg)
{
    struct helper *helper = arg;
    while (!atomic_load(helper->go)) {
    }
    helper->task->run(helper->group, 5000);
    return NULL;
}

/* Returns the time of one call of each thread. */
static double slice(const struct task *task, kama_group *group)
{
    atomic_bool go = false;
    struct helper helper = {.task = task, .group = group, .go = &go};
    if (task->threads == 2) {
        int error = pthread_create(&helper.thread, NULL, helper_run, &helper);
        KM_ASSERT(error == 0);
    }
    uint64_t begin = now_ns();
    atomic_store(&go, true);
    task->run(group, 0);
    if (task->threads == 2) {
        (void)pthread_join(helper.thread, NULL);
    }
    return (double)(now_ns() - begin) / SLICE_OPS;
}

/* Returns the ratio, and adds the times to the sums. */
static double measure(struct node *node, const struct task *task, unsigned pair,
                      double sums[2])
{
    kama_group *groups[2] = {NULL, NULL};
    double best[2] = {1e9, 1e9};
    unsigned first = pair % 2;
    groups[first] = open_group(node, first == 0 ? ALONE : SYNCED);
    groups[!first] = open_group(node, first == 0 ? SYNCED : ALONE);
    for (unsigned i = 0; i < SLICES; i++) {
        for (unsigned n = 0; n < 2; n++) {
            unsigned side = (i + n) % 2;
            double ns = slice(task, groups[side]);
            best[side] = ns < best[side] ? ns : best[side];
        }
    }
    km_group_free(groups[0]);
    km_group_free(groups[1]);
    sums[0] += best[0];
    sums[1] += best[1];
    return best[1] / best[0];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(struct node *node, const struct task *task, unsigned pairs)
{
    static double ratios[PAIRS_MAX];
    double ns[2] = {0, 0};
    for (unsigned p = 0; p < pairs; p++) {
        ratios[p] = measure(node, task, p, ns);
    }
    qsort(ratios, pairs, sizeof ratios[0], compare);
    printf("%-18s %6.1f ns alone, %6.1f ns synchronized; ratio: median %.3f  "
           "p10 %.3f  p90 %.3f  bar %.2f  %s\n",
           task->name, ns[0] / pairs, ns[1] / pairs, ratios[pairs / 2],
           ratios[pairs / 10], ratios[pairs * 9 / 10], task->bar,
           ratios[pairs / 2] <= task->bar ? "met" : "MISSED");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct task tasks[] = {{"set, 1 thread", set_many, 1, 1.5},
                                        {"set, 2 threads", set_many, 2, 1.5},
                                        {"copying hit", hit_many, 1, 1.02}};
    unsigned pairs = 21;
    struct node node = {.log = NULL};
    const struct km_sync_log_options options = {
        .mem = km_mem_default(), .clock = km_clock_system(), .grew = grew};
    if (argc == 3 && strcmp(argv[1], "--pairs") == 0) {
        pairs = (unsigned)atoi(argv[2]);
    }
    pairs = pairs < 1 || pairs > PAIRS_MAX ? PAIRS_MAX : pairs;
    for (unsigned i = 0; i < ITEMS; i++) {
        uint64_t bits = (i + 1) * 0x9e3779b97f4a7c15u;
        memcpy(keys[i], &bits, sizeof bits);
    }
    km_snapshot_init(&node.role, NULL);
    kama_status st =
        km_pool_new(NULL, km_clock_system(), "bench", 1, &node.pool);
    KM_ASSERT(st == KAMA_OK);
    st = km_sync_log_new(&options, &node.log);
    KM_ASSERT(st == KAMA_OK);
    km_sync_log_begin(node.log, 1, 0);
    for (unsigned i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        report(&node, &tasks[i], pairs);
    }
    km_sync_log_free(node.log);
    (void)km_snapshot_fini(&node.role);
    km_pool_free(node.pool);
    return 0;
}
