/* SPDX-License-Identifier: MIT */
/*
 * A function that ends its thread instead of returning ends the process with a
 * sentence. Each case runs in a child process. C++ exceptions are tested in
 * tests/group/callbacks_test.
 */
#include "base/boundary.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const kama_bytes no_key = {NULL, 0};

static KM_BOUNDARY_FUNCTION void outer(void (*fn)(void), const char *group,
                                       kama_bytes key)
{
    KM_BOUNDARY_BEGIN("the outer function", group, key);
    fn();
    KM_BOUNDARY_END();
}

static KM_BOUNDARY_FUNCTION void inner(void (*fn)(void))
{
    KM_BOUNDARY_BEGIN("the inner function", NULL, no_key);
    fn();
    KM_BOUNDARY_END();
}

static void return_at_once(void)
{
}

static void end_thread(void)
{
    pthread_exit(NULL);
}

static void end_in_the_inner_one(void)
{
    inner(return_at_once);
    inner(end_thread);
}

static void end_after_the_inner_one(void)
{
    inner(return_at_once);
    pthread_exit(NULL);
}

/* The function that a child process runs in a thread of its own. */
struct action {
    void (*fn)(void);
    const char *group;
    kama_bytes key;
};

static void *act(void *arg)
{
    const struct action *action = arg;
    outer(action->fn, action->group, action->key);
    return NULL;
}

static void run_child(struct action *action, int err)
{
    pthread_t thread;
    (void)dup2(err, STDERR_FILENO);
    (void)signal(SIGABRT, SIG_DFL);
    if (pthread_create(&thread, NULL, act, action) == 0) {
        (void)pthread_join(thread, NULL);
    }
    _exit(0);
}

/* Asserts that the child is killed by SIGABRT after it has printed `what`. */
static void expect_end(struct action action, const char *what)
{
    char text[512] = "";
    size_t len = 0;
    ssize_t n;
    int status = 0;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run_child(&action, fds[1]);
    }
    (void)close(fds[1]);
    while ((n = read(fds[0], text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)n;
    }
    (void)close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (strstr(text, what) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", what, text);
    }
}

static void test_the_function_is_named(void **state)
{
    (void)state;
    expect_end((struct action){end_thread, "users", KAMA_STR("a\n")},
               "kamacache: group users: the outer function ended its thread");
    expect_end((struct action){end_thread, "users", KAMA_STR("a\n")},
               "completed (key \"a\\n\")\n");
    expect_end((struct action){end_thread, NULL, no_key},
               "kamacache: the outer function ended its thread");
}

static void test_boundaries_nest(void **state)
{
    (void)state;
    expect_end((struct action){end_in_the_inner_one, "g", no_key},
               "kamacache: the inner function ended its thread");
    expect_end((struct action){end_after_the_inner_one, "g", no_key},
               "kamacache: group g: the outer function ended its thread");
}

static void test_functions_that_return_pass(void **state)
{
    (void)state;
    outer(return_at_once, "g", no_key);
    inner(return_at_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_that_return_pass),
        cmocka_unit_test(test_the_function_is_named),
        cmocka_unit_test(test_boundaries_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
