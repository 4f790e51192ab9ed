/* SPDX-License-Identifier: MIT */
/* A failed assertion ends the process, and its message names the place. */
#include "base/assert.h"
#include "base/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct outer {
    int before;
    int inner;
};

/* Runs an assertion that fails in a child process whose stderr is a pipe. */
static void fail_in_child(int err)
{
    (void)dup2(err, STDERR_FILENO);
    KM_ASSERT(1 + 1 == 3);
    _exit(0);
}

/* The child is killed by SIGABRT, and file and condition are on stderr. */
static void test_failure_aborts(void **state)
{
    (void)state;
    int fds[2];
    char said[512] = "";
    int status;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        fail_in_child(fds[1]);
    }
    close(fds[1]);
    ssize_t n = read(fds[0], said, sizeof said - 1);
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(n > 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "assert_test.c"));
    assert_non_null(strstr(said, "1 + 1 == 3"));
}

/* A condition that holds is evaluated once, and nothing happens. */
static void test_success_is_silent(void **state)
{
    (void)state;
    int evaluated = 0;
    KM_ASSERT(++evaluated == 1);
    assert_int_equal(evaluated, 1);
}

/* KM_CONTAINER_OF leads from a member to its structure. */
static void test_container_of(void **state)
{
    (void)state;
    struct outer outer = {1, 2};
    assert_ptr_equal(KM_CONTAINER_OF(&outer.inner, struct outer, inner),
                     &outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_aborts),
        cmocka_unit_test(test_success_is_silent),
        cmocka_unit_test(test_container_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
