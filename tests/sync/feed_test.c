/* SPDX-License-Identifier: MIT */
/*
 * The feed, with a real log:
 *
 *     own          mutations of this node, in their order
 *     applied      those of others, and what was missed
 *     groups       a watcher reads its group alone
 *     unwatched    nothing is recorded, and what is told is told again later
 *     kept         a watcher goes on where it was, for a minute
 *     lost         a slow watcher is told so
 *     lives        another life of the log is a gap
 *     threads      watchers come and go while mutations are applied
 *     no memory    new and watch fail cleanly
 */
#include "sync/feed.h"

#include "base/bytes.h"
#include "helpers/failmalloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct km_clock clock;
    km_ns now;
    struct km_sync_log *log;
    struct km_sync_feed *feed;
    unsigned told; /* by the log */
    unsigned grew; /* the feed */
    uint64_t position;
    struct km_sync_feed_event event;
};

static km_ns read_mono(void *arg)
{
    return ((struct world *)arg)->now;
}

static uint64_t read_wall(void *arg)
{
    (void)arg;
    return 1000;
}

static void on_told(void *arg)
{
    ((struct world *)arg)->told++;
}

static void on_grew(void *arg)
{
    ((struct world *)arg)->grew++;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->now = KM_NS_PER_S;
    w->clock = (struct km_clock){
        .mono = read_mono, .coarse = read_mono, .wall_ms = read_wall, .arg = w};
    const struct km_sync_log_options log = {
        .mem = km_mem_default(), .clock = &w->clock, .grew = on_told, .arg = w};
    assert_int_equal(km_sync_log_new(&log, &w->log), KAMA_OK);
    const struct km_sync_feed_options feed = {.mem = km_mem_default(),
                                              .clock = &w->clock,
                                              .log = w->log,
                                              .grew = on_grew,
                                              .arg = w};
    assert_int_equal(km_sync_feed_new(&feed, &w->feed), KAMA_OK);
    assert_int_equal(km_sync_log_add(w->log, "a", NULL), 0);
    assert_int_equal(km_sync_log_add(w->log, "b", NULL), 1);
    km_sync_log_begin(w->log, 7, 0);
    return w;
}

static void world_free(struct world *w)
{
    km_sync_feed_free(w->feed);
    km_sync_log_free(w->log);
    free(w);
}

static void watch(struct world *w)
{
    assert_int_equal(km_sync_feed_watch(w->feed, &w->position), KAMA_OK);
}

static void append(struct world *w, uint32_t number, const char *key)
{
    const struct km_asking asking = {.kind = KM_APPLY_SET,
                                     .key = kama_bytes_str(key)};
    (void)km_sync_log_append(w->log, number, &asking, NULL);
}

static void apply(struct world *w, uint32_t number, uint64_t hlc,
                  const char *key)
{
    km_sync_feed_applied(w->feed, number, KM_SYNC_DELETE,
                         (struct km_version){.hlc = hlc, .origin = 9},
                         kama_bytes_str(key));
}

static enum km_sync_feed_result read_next(struct world *w, uint32_t number)
{
    return km_sync_feed_read(w->feed, number, &w->position, &w->event);
}

/* Asserts that the next event of group 0 is of this kind and key. */
static void expect(struct world *w, unsigned kind, const char *key)
{
    assert_int_equal(read_next(w, 0), KM_SYNC_FEED_EVENT);
    assert_int_equal(w->event.kind, kind);
    assert_int_equal(w->event.key_len, strlen(key));
    assert_memory_equal(w->event.key, key, strlen(key));
}

static void test_own(void **state)
{
    struct world *w = world_new();
    (void)state;
    append(w, 0, "before");
    watch(w);
    append(w, 0, "one");
    append(w, 0, "two");
    assert_int_equal(read_next(w, 0), KM_SYNC_FEED_NONE);
    km_sync_feed_own(w->feed);
    assert_int_equal(w->grew, 1);
    expect(w, KM_SYNC_SET, "one");
    assert_int_equal(w->event.version.origin, 7);
    expect(w, KM_SYNC_SET, "two");
    assert_int_equal(read_next(w, 0), KM_SYNC_FEED_NONE);
    for (unsigned i = 0; i < 100; i++) {
        append(w, 0, "many");
    }
    km_sync_feed_own(w->feed);
    for (unsigned i = 0; i < 100; i++) {
        expect(w, KM_SYNC_SET, "many");
    }
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

static void test_applied_and_missed(void **state)
{
    struct world *w = world_new();
    (void)state;
    watch(w);
    apply(w, 0, 5, "k");
    km_sync_feed_missed(w->feed, 0);
    km_sync_feed_missed(w->feed, UINT32_MAX);
    assert_int_equal(w->grew, 3);
    expect(w, KM_SYNC_DELETE, "k");
    assert_int_equal(w->event.version.hlc, 5);
    assert_int_equal(w->event.version.origin, 9);
    expect(w, KM_SYNC_FEED_GAP, "");
    expect(w, KM_SYNC_FEED_GAP, "");
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

static void test_groups(void **state)
{
    struct world *w = world_new();
    (void)state;
    watch(w);
    for (unsigned i = 0; i < 300; i++) {
        apply(w, 1, 5 + i, "other");
    }
    apply(w, 0, 400, "mine");
    assert_int_equal(read_next(w, 0), KM_SYNC_FEED_MORE);
    expect(w, KM_SYNC_DELETE, "mine");
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

/* The log tells of its growth once until it is read. With a watcher it is told again. */
static void test_unwatched(void **state)
{
    struct world *w = world_new();
    (void)state;
    append(w, 0, "a");
    append(w, 0, "b");
    assert_int_equal(w->told, 1);
    km_sync_feed_own(w->feed);
    apply(w, 0, 5, "k");
    assert_int_equal(w->grew, 0);
    watch(w);
    append(w, 0, "c");
    assert_int_equal(w->told, 2);
    km_sync_feed_own(w->feed);
    expect(w, KM_SYNC_SET, "c");
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

static void test_kept(void **state)
{
    struct world *w = world_new();
    uint64_t now;
    (void)state;
    watch(w);
    km_sync_feed_unwatch(w->feed);
    apply(w, 0, 5, "meanwhile");
    assert_int_equal(w->grew, 0);
    assert_int_equal(km_sync_feed_watch(w->feed, &now), KAMA_OK);
    assert_true(km_sync_feed_has(w->feed, w->position));
    assert_false(km_sync_feed_has(w->feed, now + 1));
    expect(w, KM_SYNC_DELETE, "meanwhile");
    km_sync_feed_unwatch(w->feed);
    w->now += 61 * KM_NS_PER_S;
    apply(w, 0, 6, "too late"); /* ends the recording */
    assert_int_equal(km_sync_feed_watch(w->feed, &now), KAMA_OK);
    assert_int_equal(now, w->position);
    apply(w, 0, 7, "new");
    expect(w, KM_SYNC_DELETE, "new");
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

/* A record takes 56 bytes: more of them than the ring has room for. */
static void test_lost(void **state)
{
    struct world *w = world_new();
    (void)state;
    watch(w);
    for (unsigned i = 0; i < KM_SYNC_FEED_BYTES / 50; i++) {
        apply(w, 0, 5 + i, "12345678");
    }
    assert_false(km_sync_feed_has(w->feed, w->position));
    assert_int_equal(read_next(w, 0), KM_SYNC_FEED_LOST);
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

static void test_lives(void **state)
{
    struct world *w = world_new();
    (void)state;
    append(w, 0, "a");
    append(w, 0, "b");
    watch(w);
    km_sync_log_begin(w->log, 8, 0);
    append(w, 0, "c");
    km_sync_feed_own(w->feed);
    expect(w, KM_SYNC_FEED_GAP, "");
    expect(w, KM_SYNC_SET, "c");
    assert_int_equal(w->event.version.origin, 8);
    km_sync_feed_unwatch(w->feed);
    world_free(w);
}

#define READERS 3
#define WRITES 20000

struct reader {
    pthread_t thread;
    struct km_sync_feed *feed;
    atomic_bool *done;
    uint64_t last; /* clock of the last event */
    bool in_order;
};

/* Watches again and again, and reads what comes meanwhile. */
static void *read_along(void *arg)
{
    struct reader *r = arg;
    struct km_sync_feed_event event;
    uint64_t position;
    r->in_order = true;
    while (!atomic_load(r->done)) {
        if (km_sync_feed_watch(r->feed, &position) != KAMA_OK) {
            continue;
        }
        for (unsigned i = 0; i < 100; i++) {
            if (km_sync_feed_read(r->feed, 0, &position, &event) ==
                KM_SYNC_FEED_EVENT) {
                r->in_order = r->in_order && event.version.hlc > r->last;
                r->last = event.version.hlc;
            }
        }
        km_sync_feed_unwatch(r->feed);
    }
    return NULL;
}

/* Readers come and go while the sync loop writes, and each sees rising clocks. */
static void test_threads(void **state)
{
    struct world *w = world_new();
    struct reader readers[READERS];
    atomic_bool done = false;
    (void)state;
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.feed = w->feed, .done = &done};
        assert_int_equal(
            pthread_create(&readers[i].thread, NULL, read_along, &readers[i]),
            0);
    }
    for (unsigned i = 0; i < WRITES; i++) {
        apply(w, 0, 1 + i, "k");
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].in_order);
    }
    km_sync_log_check(w->log);
    world_free(w);
}

static kama_status make_and_watch(const kama_allocator *mem, void *arg)
{
    struct world *w = arg;
    struct km_sync_feed *feed;
    const struct km_sync_feed_options options = {.mem = mem,
                                                 .clock = &w->clock,
                                                 .log = w->log,
                                                 .grew = on_grew,
                                                 .arg = w};
    kama_status st = km_sync_feed_new(&options, &feed);
    if (st == KAMA_OK) {
        st = km_sync_feed_watch(feed, &w->position);
        km_sync_feed_free(feed);
    }
    return st;
}

static void test_no_memory(void **state)
{
    struct world *w = world_new();
    (void)state;
    assert_int_equal(km_test_fail_each(make_and_watch, w), 3);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_applied_and_missed),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_unwatched),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
