/* SPDX-License-Identifier: MIT */
/* Mutexes, conditions and threads, and the checks of debug builds. */
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

/* A wait ends when its deadline has passed, and not earlier. */
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

/* A new thread wakes one that waits without a deadline. Its signals are
 * blocked, and those of its creator are not. */
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

/* Locks of rising rank nest, and they may be unlocked in any order. */
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

/* Taking a lock of the same or of a lower rank ends the process. */
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

static void want_locked(struct km_mutex *mutex)
{
    KM_ASSERT_HELD(mutex);
}

static void *want_locked_by_me(void *arg)
{
    (void)close(STDERR_FILENO);
    want_locked(arg);
    return NULL;
}

/* The ways in which a thread can be wrong about a mutex of this rank. */
enum wrong_holder { NOBODY, ANOTHER_MUTEX, ANOTHER_THREAD, WRONG_HOLDERS };

static _Noreturn void assert_held_wrongly(enum wrong_holder holder)
{
    struct km_mutex wanted;
    struct km_mutex other;
    pthread_t thread;
    (void)km_mutex_init(&wanted, KM_RANK_STORE);
    (void)km_mutex_init(&other, KM_RANK_STORE);
    if (holder == ANOTHER_THREAD) {
        km_mutex_lock(&wanted);
        (void)km_thread_start(&thread, "stranger", want_locked_by_me, &wanted);
        km_thread_join(thread);
    } else if (holder == ANOTHER_MUTEX) {
        km_mutex_lock(&other);
        (void)want_locked_by_me(&wanted);
    } else {
        (void)want_locked_by_me(&wanted);
    }
    _exit(0);
}

/* KM_ASSERT_HELD passes for the thread that holds this very mutex, and ends the
 * process for every other one. */
static void test_assert_held(void **state)
{
    (void)state;
    struct shared s;
    init(&s);
    km_mutex_lock(&s.lock);
    want_locked(&s.lock);
    assert_false(km_cond_wait_until(&s.cond, &s.lock, 1));
    want_locked(&s.lock);
    km_mutex_unlock(&s.lock);
    assert_false(km_mutex_is_held(&s.lock));
    fini(&s);
    for (int holder = NOBODY; holder < WRONG_HOLDERS; holder++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            assert_held_wrongly((enum wrong_holder)holder);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_until), cmocka_unit_test(test_thread),
        cmocka_unit_test(test_nesting),
#ifdef KAMA_DEBUG
        cmocka_unit_test(test_ranks),      cmocka_unit_test(test_assert_held),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
