/* SPDX-License-Identifier: MIT */
/* Mutex, condition and thread; ranks where they are checked. */
#include "base/sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct shared {
    struct km_mutex lock;
    struct km_cond cond;
    int count;
    bool is_masked;
};

static void init(struct shared *s)
{
    memset(s, 0, sizeof *s);
    assert_true(km_mutex_init(&s->lock, KM_RANK_STORE));
    assert_true(km_cond_init(&s->cond));
}

static void fini(struct shared *s)
{
    km_cond_fini(&s->cond);
    km_mutex_fini(&s->lock);
}

/* A deadline that has passed ends the wait, one that has not does not. */
static void test_wait_until(void **state)
{
    (void)state;
    struct shared s;
    init(&s);
    km_mutex_lock(&s.lock);
    km_ns now = km_clock_mono(km_clock_system());
    assert_false(km_cond_wait_until(&s.cond, &s.lock, 1));
    assert_false(km_cond_wait_until(&s.cond, &s.lock, now));
    km_ns deadline = now + 20 * KM_NS_PER_MS;
    while (km_cond_wait_until(&s.cond, &s.lock, deadline)) {
    }
    assert_true(km_clock_mono(km_clock_system()) >= deadline);
    km_mutex_unlock(&s.lock);
    fini(&s);
}

static void *count_and_signal(void *arg)
{
    struct shared *s = arg;
    sigset_t mask;
    km_mutex_lock(&s->lock);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->is_masked = sigismember(&mask, SIGTERM) == 1 &&
                   sigismember(&mask, SIGPIPE) == 1 &&
                   sigismember(&mask, SIGSEGV) == 0;
    s->count++;
    km_cond_broadcast(&s->cond);
    km_mutex_unlock(&s->lock);
    return NULL;
}

/* A started thread wakes one that waits for ever; its signals are blocked and
 * those of its creator are not. */
static void test_thread(void **state)
{
    (void)state;
    struct shared s;
    pthread_t thread;
    sigset_t mask;
    init(&s);
    km_mutex_lock(&s.lock);
    assert_true(km_thread_start(&thread, "a name that is too long",
                                count_and_signal, &s));
    while (s.count == 0) {
        assert_true(km_cond_wait_until(&s.cond, &s.lock, KM_NS_NEVER));
    }
    km_mutex_unlock(&s.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(s.is_masked);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
    fini(&s);
}

/* Locks of rising rank nest; after an unlock in any order all are free. */
static void test_nesting(void **state)
{
    (void)state;
    struct km_mutex low;
    struct km_mutex high;
    assert_true(km_mutex_init(&low, KM_RANK_NODE));
    assert_true(km_mutex_init(&high, KM_RANK_LOG));
    km_mutex_lock(&low);
    km_mutex_lock(&high);
    km_mutex_unlock(&low);
    km_mutex_unlock(&high);
    km_mutex_lock(&low);
    km_mutex_unlock(&low);
    km_mutex_fini(&low);
    km_mutex_fini(&high);
}

#ifdef KAMA_DEBUG
static void lock_falling(enum km_lock_rank first, enum km_lock_rank second)
{
    struct km_mutex a;
    struct km_mutex b;
    (void)close(STDERR_FILENO);
    (void)km_mutex_init(&a, first);
    (void)km_mutex_init(&b, second);
    km_mutex_lock(&a);
    km_mutex_lock(&b);
    _exit(0);
}

/* The same rank twice, or a lower one: the process ends. */
static void test_ranks(void **state)
{
    (void)state;
    for (int second = KM_RANK_NODE; second <= KM_RANK_LOG; second++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            lock_falling(KM_RANK_STORE, (enum km_lock_rank)second);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WIFSIGNALED(status), second <= KM_RANK_STORE);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_until),
        cmocka_unit_test(test_thread),
        cmocka_unit_test(test_nesting),
#ifdef KAMA_DEBUG
        cmocka_unit_test(test_ranks),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
