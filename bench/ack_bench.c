/* SPDX-License-Identifier: MIT */
/*
 * How long a change takes until it is acknowledged: sets of 16 and 100 bytes at one of three
 * nodes that synchronize over the loopback, for each sync_ack.
 *
 *   ack_bench --etcd HOST:PORT [--seconds N] [--rate N] [--rounds N]
 *
 * bench/ack.py starts an etcd, and runs this. A set begins every 1 / rate seconds, whether
 * the ones before are answered or not, and its time counts from when it was due; so a
 * wait that grows is seen. The modes take turns, and the figures are of all rounds
 * together.
 */
#include "base/assert.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES 3
#define KEYS 1000u
#define SETS_MAX 2000000u
#define NS_PER_S 1000000000u

static const char *const modes[] = {"async", "one", "all"};
#define MODES (sizeof modes / sizeof modes[0])

/* A set that is under way, and then its time. */
struct sample {
    uint64_t due;
    uint64_t ns;
    kama_status status;
};

static struct {
    const char *etcd;
    unsigned seconds, rate, rounds;
} options = {NULL, 10, 1000, 3};

static struct sample *samples[MODES];
static size_t counts[MODES];
static atomic_size_t waiting;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    const struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S),
                               .tv_nsec = (long)(ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) {
    }
}

/* -- the nodes --------------------------------------------------------------- */

static kama_node *open_node(void)
{
    kama_node_options node_options;
    kama_node *node = NULL;
    kama_node_options_init(&node_options);
    node_options.listen = "127.0.0.1:0";
    node_options.threads = 1;
    node_options.etcd = options.etcd;
    node_options.require_discovery = 1;
    kama_status st = kama_node_new(&node_options, &node);
    for (size_t i = 0; st == KAMA_OK && i < MODES; i++) {
        kama_group_options group_options;
        kama_group *group = NULL;
        kama_group_options_init(&group_options);
        group_options.name = modes[i];
        group_options.sync = "broadcast";
        group_options.sync_ack = modes[i];
        st = kama_node_add_group(node, &group_options, &group);
    }
    if (st == KAMA_OK) {
        st = kama_node_start(node);
    }
    if (st != KAMA_OK) {
        char why[256];
        kama_last_error(why, sizeof why);
        fprintf(stderr, "ack_bench: %s\n", why);
        exit(1);
    }
    return node;
}

static void count_up(void *arg, const kama_member *member)
{
    *(unsigned *)arg += member->sync_up;
}

/* Waits until the streams from a node to the others stand. */
static void wait_for_streams(kama_node *node)
{
    unsigned up = 0;
    for (unsigned i = 0; i < 3000 && up < NODES - 1; i++) {
        up = 0;
        kama_status st = kama_node_members(node, count_up, &up);
        KM_ASSERT(st == KAMA_OK);
        sleep_until(now_ns() + NS_PER_S / 100);
    }
    KM_ASSERT(up == NODES - 1);
}

/* -- sets -------------------------------------------------------------------- */

static void on_set(void *arg, kama_status status)
{
    struct sample *sample = arg;
    sample->ns = now_ns() - sample->due;
    sample->status = status;
    (void)atomic_fetch_sub(&waiting, 1);
}

static void set_at_a_rate(kama_group *group, size_t mode)
{
    static const uint8_t value[100] = {1};
    size_t sets = (size_t)options.seconds * options.rate;
    uint64_t begin = now_ns() + NS_PER_S / 100;
    for (size_t i = 0; i < sets; i++) {
        struct sample *sample = &samples[mode][counts[mode]++];
        char key[17];
        (void)snprintf(key, sizeof key, "key-%012zu", i % KEYS);
        sample->due = begin + i * NS_PER_S / options.rate;
        sleep_until(sample->due);
        (void)atomic_fetch_add(&waiting, 1);
        kama_status st = kama_set_async(group, KAMA_BYTES(key, 16),
                                        KAMA_BYTES(value, sizeof value), NULL,
                                        on_set, sample);
        if (st != KAMA_OK) {
            on_set(sample, st);
        }
    }
    while (atomic_load(&waiting) > 0) {
        sleep_until(now_ns() + NS_PER_S / 1000);
    }
}

/* -- the report -------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct sample *)a)->ns;
    uint64_t y = ((const struct sample *)b)->ns;
    return (x > y) - (x < y);
}

static void report(size_t mode)
{
    size_t n = counts[mode];
    size_t late = 0;
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        late += samples[mode][i].status == KAMA_UNSYNCED;
        failed += samples[mode][i].status < 0;
    }
    qsort(samples[mode], n, sizeof samples[mode][0], by_time);
    printf("sync_ack=%-5s  %zu sets  p50 %.3f ms  p99 %.3f ms  max %.3f ms  "
           "unsynced %zu  failed %zu\n",
           modes[mode], n, (double)samples[mode][n / 2].ns / 1e6,
           (double)samples[mode][n * 99 / 100].ns / 1e6,
           (double)samples[mode][n - 1].ns / 1e6, late, failed);
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned *number = strcmp(argv[i], "--seconds") == 0  ? &options.seconds
                           : strcmp(argv[i], "--rate") == 0   ? &options.rate
                           : strcmp(argv[i], "--rounds") == 0 ? &options.rounds
                                                              : NULL;
        if (number != NULL) {
            *number = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--etcd") == 0) {
            options.etcd = argv[i + 1];
        }
    }
    size_t sets = (size_t)options.seconds * options.rate * options.rounds;
    if (options.etcd == NULL || sets == 0 || sets > SETS_MAX) {
        fprintf(stderr, "usage: ack_bench --etcd HOST:PORT [--seconds N] "
                        "[--rate N] [--rounds N]\n");
        exit(2);
    }
    for (size_t i = 0; i < MODES; i++) {
        samples[i] = calloc(sets, sizeof *samples[i]);
        KM_ASSERT(samples[i] != NULL);
    }
}

int main(int argc, char **argv)
{
    kama_node *nodes[NODES];
    read_arguments(argc, argv);
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = open_node();
    }
    for (size_t i = 0; i < NODES; i++) {
        wait_for_streams(nodes[i]);
    }
    for (size_t i = 0; i < options.rounds * MODES; i++) {
        size_t mode = i % MODES;
        set_at_a_rate(kama_node_group(nodes[0], modes[mode]), mode);
    }
    for (size_t i = 0; i < MODES; i++) {
        report(i);
        free(samples[i]);
    }
    for (size_t i = 0; i < NODES; i++) {
        kama_node_free(nodes[i]);
    }
    return 0;
}
