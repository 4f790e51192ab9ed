/* SPDX-License-Identifier: MIT */
/* Snapshots: readers see whole objects, and none that was freed. */
#include "base/snapshot.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORDS 32
#define READERS 4
#define REPLACEMENTS 200u
#define FREED UINT64_MAX

/* All words are equal. A freed object has other words, so that a test sees that
 * without a sanitizer too. */
struct object {
    uint64_t words[WORDS];
};

static struct object *object_new(uint64_t number)
{
    struct object *object = malloc(sizeof *object);
    assert_non_null(object);
    for (int i = 0; i < WORDS; i++) {
        object->words[i] = number;
    }
    return object;
}

static void object_free(struct object *object)
{
    for (int i = 0; i < WORDS; i++) {
        object->words[i] = FREED;
    }
    free(object);
}

static void test_reader_gets_the_newest(void **state)
{
    struct km_snapshot s;
    struct km_snapshot_reader outer, inner;
    int a, b;
    (void)state;
    km_snapshot_init(&s, NULL);
    assert_null(km_snapshot_enter(&s, &outer));
    km_snapshot_leave(&outer);
    assert_null(km_snapshot_replace(&s, &a));
    assert_ptr_equal(km_snapshot_enter(&s, &outer), &a);
    assert_ptr_equal(km_snapshot_enter(&s, &inner), &a); /* sections nest */
    km_snapshot_check(&s);
    km_snapshot_leave(&inner);
    km_snapshot_leave(&outer);
    assert_ptr_equal(km_snapshot_replace(&s, &b), &a);
    assert_ptr_equal(km_snapshot_own(&s), &b);
    assert_ptr_equal(km_snapshot_fini(&s), &b);
    assert_null(km_snapshot_own(&s));
}

/* -- a writer waits -------------------------------------------------------- */

struct replacement {
    struct km_snapshot *snapshot;
    void *object;
    void *old;
    atomic_bool is_done;
};

static void *run_replacement(void *arg)
{
    struct replacement *r = arg;
    r->old = km_snapshot_replace(r->snapshot, r->object);
    atomic_store(&r->is_done, true);
    return NULL;
}

/* While a reader has the old object, the writer does not get it back; a reader
 * that comes meanwhile has the new one and does not wait. */
static void test_writer_waits_for_old_readers(void **state)
{
    struct km_snapshot s;
    int a, b;
    struct replacement r = {.snapshot = &s, .object = &b};
    struct km_snapshot_reader old, later;
    pthread_t writer;
    (void)state;
    km_snapshot_init(&s, &a);
    assert_ptr_equal(km_snapshot_enter(&s, &old), &a);
    assert_int_equal(pthread_create(&writer, NULL, run_replacement, &r), 0);
    while (km_snapshot_own(&s) != &b) {
        (void)sched_yield();
    }
    for (int i = 0; i < 1000; i++) {
        assert_ptr_equal(km_snapshot_enter(&s, &later), &b);
        km_snapshot_leave(&later);
        (void)sched_yield();
        assert_false(atomic_load(&r.is_done));
    }
    km_snapshot_leave(&old);
    (void)pthread_join(writer, NULL);
    assert_ptr_equal(r.old, &a);
    assert_ptr_equal(km_snapshot_fini(&s), &b);
}

/* -- many readers ---------------------------------------------------------- */

struct crowd {
    struct km_snapshot snapshot;
    atomic_bool is_over;
    atomic_uint begun; /* readers that have read once */
};

/* Reads until it is over. Returns how often something was wrong. */
static void *run_reader(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t newest = 0;
    uintptr_t faults = 0;
    bool is_first = true;
    while (!atomic_load_explicit(&crowd->is_over, memory_order_relaxed)) {
        struct km_snapshot_reader reader;
        const struct object *object =
            km_snapshot_enter(&crowd->snapshot, &reader);
        uint64_t number = object->words[0];
        for (int i = 1; i < WORDS; i++) {
            faults += object->words[i] != number;
        }
        km_snapshot_leave(&reader);
        faults += number == FREED || number < newest;
        newest = number;
        if (is_first) {
            is_first = false;
            atomic_fetch_add(&crowd->begun, 1);
        }
    }
    return (void *)faults;
}

/* Each object that a reader sees is whole, is not freed, and is not older than the
 * one that the same reader saw before. */
static void test_readers_under_replacement(void **state)
{
    struct crowd crowd;
    pthread_t readers[READERS];
    (void)state;
    km_snapshot_init(&crowd.snapshot, object_new(0));
    atomic_init(&crowd.is_over, false);
    atomic_init(&crowd.begun, 0);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, run_reader, &crowd),
                         0);
    }
    while (atomic_load(&crowd.begun) < READERS) {
        (void)sched_yield();
    }
    for (unsigned i = 1; i <= REPLACEMENTS; i++) {
        object_free(km_snapshot_replace(&crowd.snapshot, object_new(i)));
        km_snapshot_check(&crowd.snapshot);
    }
    atomic_store(&crowd.is_over, true);
    for (int i = 0; i < READERS; i++) {
        void *faults;
        (void)pthread_join(readers[i], &faults);
        assert_null(faults);
    }
    object_free(km_snapshot_fini(&crowd.snapshot));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_gets_the_newest),
        cmocka_unit_test(test_writer_waits_for_old_readers),
        cmocka_unit_test(test_readers_under_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
