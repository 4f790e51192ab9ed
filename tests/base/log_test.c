/* SPDX-License-Identifier: MIT */
/* The log writes to descriptors that work, block, are full, are closed or are
 * broken. */
#include "base/log.h"

#include "base/limits.h"
#include "base/sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

static int fds[2]; /* a pipe; the log writes to fds[1] */

static int open_pipe(void **state)
{
    (void)state;
    return pipe(fds);
}

static int close_pipe(void **state)
{
    (void)state;
    km_log_stop();
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}

static void start(enum km_log_level level)
{
    assert_int_equal(km_log_start(fds[1], level, KM_LOG_TEXT), KAMA_OK);
}

/* Logs a line from a call site of its own. */
static void say(enum km_log_level level, int64_t number)
{
    struct km_log_site site = {0};
    KM_LOG_AT(&site, level, "test", "said", km_f_int("n", number));
}

/* Reads until the other end is closed. The caller frees the string. */
static char *read_all(void)
{
    char *all = malloc(1);
    size_t len = 0;
    char chunk[4096];
    ssize_t n;
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0) {
        all = realloc(all, len + (size_t)n + 1);
        assert_non_null(all);
        memcpy(all + len, chunk, (size_t)n);
        len += (size_t)n;
    }
    all[len] = '\0';
    return all;
}

/* Stops the log and returns all that was written to the pipe. */
static char *stop_and_read(void)
{
    km_log_stop();
    (void)close(fds[1]);
    fds[1] = -1;
    return read_all();
}

/* Returns how many lines were lost, by all reports of the log together. */
static uint64_t told_lost(const char *all)
{
    uint64_t sum = 0;
    for (; (all = strstr(all, "lines were lost")) != NULL; all++) {
        sum += strtoull(strstr(all, "count=") + strlen("count="), NULL, 10);
    }
    return sum;
}

/* Returns the number behind the first `name=` after text, or -1. */
static long long number_after(const char *all, const char *text,
                              const char *name)
{
    const char *at = strstr(all, text);
    at = at != NULL ? strstr(at, name) : NULL;
    return at != NULL ? atoll(at + strlen(name)) : -1;
}

static size_t count(const char *all, const char *text)
{
    size_t found = 0;
    for (; (all = strstr(all, text)) != NULL; all++) {
        found++;
    }
    return found;
}

/* Fills the pipe with blanks until a write would block, and returns their
 * number. */
static size_t fill_pipe(void)
{
    char chunk[4096];
    size_t filled = 0;
    int flags = fcntl(fds[1], F_GETFL);
    memset(chunk, ' ', sizeof chunk);
    (void)fcntl(fds[1], F_SETFL, flags | O_NONBLOCK);
    while (write(fds[1], chunk, sizeof chunk) == sizeof chunk) {
        filled += sizeof chunk;
    }
    (void)fcntl(fds[1], F_SETFL, flags);
    return filled;
}

/* Lines of the level and above are written in their order, and all of them
 * before stop returns. */
static void test_order_and_level(void **state)
{
    (void)state;
    start(KM_LOG_INFO);
    for (int i = 0; i < 100; i++) {
        say(KM_LOG_DEBUG, -1);
        say(KM_LOG_INFO, i);
    }
    char *all = stop_and_read();
    const char *at = all;
    for (int i = 0; i < 100; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "msg=said n=%d\n", i);
        at = strstr(at, expected);
        assert_non_null(at);
    }
    assert_int_equal(count(all, "\n"), 100);
    free(all);
}

/* The macro works without fields, with two fields, and as JSON. */
static void test_macro(void **state)
{
    (void)state;
    assert_int_equal(km_log_start(fds[1], KM_LOG_DEBUG, KM_LOG_JSON), KAMA_OK);
    KM_LOG(KM_LOG_DEBUG, "test", "bare");
    KM_LOG(KM_LOG_ERROR, "test", "full", km_f_str("a", "b"), km_f_int("c", 2));
    char *all = stop_and_read();
    assert_non_null(strstr(all, "\"msg\":\"bare\"}\n"));
    assert_non_null(strstr(all, "\"msg\":\"full\",\"a\":\"b\",\"c\":2}\n"));
    free(all);
}

/* A second start is refused, and after a stop the log can be started again. */
static void test_start_twice(void **state)
{
    (void)state;
    start(KM_LOG_INFO);
    assert_int_equal(km_log_start(fds[1], KM_LOG_INFO, KM_LOG_TEXT),
                     KAMA_ERR_STATE);
    km_log_stop();
    km_log_stop();
    start(KM_LOG_INFO);
    say(KM_LOG_INFO, 1);
    char *all = stop_and_read();
    assert_int_equal(count(all, "\n"), 1);
    free(all);
}

/* A call site that logs all the time gets its burst and its rate, and the next
 * line that passes has the number of lines that were held back. */
static void test_rate(void **state)
{
    (void)state;
    struct km_log_site site = {0};
    km_ns begin = km_clock_mono(km_clock_system());
    start(KM_LOG_INFO);
    for (int i = 0; i < 100; i++) {
        KM_LOG_AT(&site, KM_LOG_INFO, "test", "often");
    }
    km_ns span = km_clock_mono(km_clock_system()) - begin;
    unsigned held = atomic_load(&site.held_back);
    assert_in_range(100 - held, 20, 21 + span / (KM_NS_PER_S / 10));
    atomic_store(&site.tokens_at, 0);
    KM_LOG_AT(&site, KM_LOG_INFO, "test", "rested");
    assert_int_equal(atomic_load(&site.held_back), 0);
    char *all = stop_and_read();
    assert_int_equal(number_after(all, "msg=rested", "held_back="), held);
    assert_int_equal(count(all, "msg=often"), 100 - held);
    free(all);
}

static void *read_pipe(void *arg)
{
    (void)arg;
    return read_all();
}

/* When nobody reads the pipe, callers go on and lines that do not fit are
 * counted. When somebody reads again, the log reports how many lines were
 * lost. */
static void test_blocked_pipe_recovers(void **state)
{
    (void)state;
    pthread_t reader;
    void *all;
    uint64_t before = km_log_dropped();
    size_t filled = fill_pipe();
    start(KM_LOG_INFO);
    for (int i = 0; i < 3 * KM_LOG_RING_LINES; i++) {
        say(KM_LOG_INFO, i);
    }
    uint64_t lost = km_log_dropped() - before;
    assert_true(lost >= 2 * KM_LOG_RING_LINES);
    assert_true(km_thread_start(&reader, "read", read_pipe, NULL));
    km_log_stop();
    (void)close(fds[1]);
    fds[1] = -1;
    (void)pthread_join(reader, &all);
    const char *lines = (const char *)all + filled;
    assert_int_equal(count(lines, "msg=said"),
                     3 * KM_LOG_RING_LINES - (km_log_dropped() - before));
    assert_true(told_lost(lines) >= lost);
    free(all);
}

/* A pipe that stays blocked does not hang km_log_stop. */
static void test_stop_with_blocked_pipe(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    (void)fill_pipe();
    start(KM_LOG_INFO);
    say(KM_LOG_INFO, 1);
    km_ns begin = km_clock_mono(km_clock_system());
    km_log_stop();
    assert_true(km_clock_mono(km_clock_system()) - begin < 4 * KM_NS_PER_S);
    assert_int_equal(km_log_dropped() - before, 1);
}

/* Waits until so many lines were lost. */
static void wait_dropped(uint64_t expected)
{
    static const struct timespec pause = {0, 1000000};
    km_ns deadline = km_clock_mono(km_clock_system()) + 20 * KM_NS_PER_S;
    while (km_log_dropped() < expected &&
           km_clock_mono(km_clock_system()) < deadline) {
        (void)nanosleep(&pause, NULL);
    }
    assert_true(km_log_dropped() == expected);
}

/* When the reader has gone, there is no signal and the lines are counted as
 * lost. */
static void test_broken_pipe(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    (void)close(fds[0]);
    start(KM_LOG_INFO);
    say(KM_LOG_INFO, 1);
    wait_dropped(before + 1);
    say(KM_LOG_INFO, 2);
    wait_dropped(before + 2);
    km_log_stop();
    fds[0] = -1;
}

/* When the disk was full and has room again, the log reports how many lines
 * were lost. */
static void test_full_disk_recovers(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    int saved = dup(fds[1]);
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    assert_int_equal(dup2(full, fds[1]), fds[1]);
    start(KM_LOG_INFO);
    say(KM_LOG_INFO, 1);
    wait_dropped(before + 1);
    say(KM_LOG_INFO, 2);
    wait_dropped(before + 2);
    assert_int_equal(dup2(saved, fds[1]), fds[1]);
    (void)close(saved);
    (void)close(full);
    say(KM_LOG_INFO, 3);
    char *all = stop_and_read();
    assert_true(told_lost(all) >= 2);
    assert_non_null(strstr(all, "msg=said n=3\n"));
    free(all);
}

/* When the descriptor is closed, lines are counted as lost and nothing else
 * happens. */
static void test_closed_descriptor(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    int closed = dup(fds[1]);
    (void)close(closed);
    assert_int_equal(km_log_start(closed, KM_LOG_INFO, KM_LOG_TEXT), KAMA_OK);
    say(KM_LOG_INFO, 1);
    wait_dropped(before + 1);
    km_log_stop();
}

/* -- without a writer thread ---------------------------------------------- */

/* Runs f with the pipe as stderr. */
static void with_stderr(void (*f)(void))
{
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    f();
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
}

static void say_once(void)
{
    say(KM_LOG_INFO, 7);
}

/* Without a writer, the line is on stderr when the call returns. */
static void test_direct(void **state)
{
    (void)state;
    with_stderr(say_once);
    char *all = stop_and_read();
    assert_int_equal(count(all, "msg=said n=7\n"), 1);
    free(all);
}

/* When stderr is a full pipe, a line is lost and the caller does not wait. */
static void test_direct_blocked(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    (void)fill_pipe();
    with_stderr(say_once);
    assert_int_equal(km_log_dropped() - before, 1);
}

/* When stderr has no reader, no SIGPIPE is raised, which would end this
 * test. */
static void test_direct_broken(void **state)
{
    (void)state;
    uint64_t before = km_log_dropped();
    sigset_t pending;
    (void)close(fds[0]);
    fds[0] = -1;
    with_stderr(say_once);
    assert_int_equal(km_log_dropped() - before, 1);
    (void)sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
}

/* -- threads --------------------------------------------------------------- */

static void *say_many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        say(KM_LOG_INFO, *(int *)arg);
    }
    return NULL;
}

/* Lines of several threads are whole, and lines that are lost are counted. */
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3};
    uint64_t before = km_log_dropped();
    start(KM_LOG_INFO);
    for (int i = 0; i < 4; i++) {
        assert_true(km_thread_start(&threads[i], "say", say_many, &numbers[i]));
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    /* 800 lines of 80 bytes are more than the pipe holds, and less than the
     * pipe and the ring hold together. */
    km_ns deadline = km_clock_mono(km_clock_system()) + 20 * KM_NS_PER_S;
    char *all = NULL;
    size_t len = 0;
    while (len == 0 || count(all, "\n") - count(all, "lines were lost") +
                               km_log_dropped() - before <
                           800) {
        assert_true(km_clock_mono(km_clock_system()) < deadline);
        all = realloc(all, len + 4097);
        assert_non_null(all);
        ssize_t n = read(fds[0], all + len, 4096);
        assert_true(n > 0);
        len += (size_t)n;
        all[len] = '\0';
    }
    km_log_stop();
    size_t whole = count(all, " level=info component=test msg=said n=");
    size_t reports = count(all, "msg=\"lines were lost\"");
    assert_int_equal(whole + reports, count(all, "\n"));
    assert_int_equal(whole + reports, count(all, "ts="));
    assert_int_equal(whole + (km_log_dropped() - before), 800);
    free(all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pipe, close_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_and_level),
        TEST(test_macro),
        TEST(test_start_twice),
        TEST(test_rate),
        TEST(test_broken_pipe),
        TEST(test_full_disk_recovers),
        TEST(test_closed_descriptor),
        TEST(test_stop_with_blocked_pipe),
        TEST(test_blocked_pipe_recovers),
        TEST(test_direct),
        TEST(test_direct_blocked),
        TEST(test_direct_broken),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
