/* SPDX-License-Identifier: MIT */
/*
 * Groups in a forked child. A group without threads is the child's own copy. A
 * group with threads belongs to the parent, and calls in the child fail with a
 * sentence that says so. A child that hangs is killed by its alarm.
 */
#include "group/group_fixture.h"
#include "helpers/asleep.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4, CHILD_SECONDS = 20 };

/* Ends the child if a condition is false. An assertion of cmocka would go on with
 * the parent's other tests instead. */
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            (void)fprintf(stderr, "child: line %d: %s\n", __LINE__,            \
                          #condition);                                         \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static bool is_value(kama_group *group, const char *key, const char *text)
{
    char buf[64];
    size_t len;
    return kama_get_copy(group, kama_bytes_str(key), NULL, buf, sizeof buf,
                         &len) == KAMA_OK &&
           len == strlen(text) && memcmp(buf, text, len) == 0;
}

static void take(void *arg, kama_status status, kama_value *value)
{
    CHECK(status == KAMA_OK);
    kama_value_unref(value);
    atomic_store((atomic_bool *)arg, true);
}

/* Does all that an application does with a group. The first asynchronous call
 * starts threads of the child. */
static void use_as_own(struct fixture *f, int worker)
{
    kama_bytes keys[2] = {KAMA_STR("m"), KAMA_STR("n")};
    kama_item items[2];
    atomic_bool answered = false;
    char own[16];
    (void)snprintf(own, sizeof own, "own %d", worker);
    CHECK(is_value(f->group, "warm", "value of warm"));
    CHECK(atomic_load(&f->script.calls) == 1);
    CHECK(is_value(f->group, "cold", "value of cold"));
    CHECK(kama_set(f->group, KAMA_STR("warm"), kama_bytes_str(own), NULL) ==
          KAMA_OK);
    CHECK(is_value(f->group, "warm", own));
    CHECK(kama_del(f->group, KAMA_STR("cold"), NULL) == KAMA_OK);
    CHECK(kama_mget(f->group, keys, 2, NULL, items) == KAMA_OK);
    kama_items_unref(items, 2);
    CHECK(kama_get_async(f->group, KAMA_STR("async"), NULL, take, &answered) ==
          KAMA_OK);
    while (!atomic_load(&answered)) {
        (void)usleep(1000);
    }
    kama_group_free(f->group);
    CHECK(atomic_load(&f->script.frees) == 1);
    CHECK(atomic_load(&f->probe.live_blocks) == 0);
}

/* In a group with threads, hits are still answered, and other calls are refused. */
static void use_as_anothers(struct fixture *f, int worker)
{
    kama_value *value;
    kama_item item;
    kama_bytes key = KAMA_STR("cold");
    char sentence[256];
    atomic_bool answered = false;
    (void)worker;
    CHECK(is_value(f->group, "warm", "value of warm"));
    CHECK(kama_get(f->group, key, NULL, &value) == KAMA_ERR_STATE);
    kama_last_error(sentence, sizeof sentence);
    CHECK(strstr(sentence, "parent process") != NULL);
    CHECK(kama_mget(f->group, &key, 1, NULL, &item) == KAMA_OK);
    CHECK(item.status == KAMA_ERR_STATE);
    CHECK(kama_get_async(f->group, key, NULL, take, &answered) ==
          KAMA_ERR_STATE);
    kama_group_free(f->group);
    CHECK(atomic_load(&f->script.frees) == 0);
}

static void fork_workers(struct fixture *f,
                         void (*work)(struct fixture *f, int worker))
{
    pid_t children[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            (void)alarm(CHILD_SECONDS);
            work(f, i);
            _exit(0);
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* The parent of a prefork server fills the group, and each worker has a copy. */
static void test_workers_have_copies(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_int_equal(get_text(f->group, "warm", NULL, "value of warm"),
                     KAMA_OK);
    fork_workers(f, use_as_own);
    assert_int_equal(get_text(f->group, "warm", NULL, "value of warm"),
                     KAMA_OK);
    assert_int_equal(stats(f).entries, 1);
    fixture_free(f);
}

static void set_answered(void *arg, kama_status status, kama_value *value)
{
    assert_int_equal(status, KAMA_OK);
    kama_value_unref(value);
    atomic_store((atomic_bool *)arg, true);
}

static void test_a_group_with_threads_is_the_parents(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    atomic_bool answered = false;
    (void)state;
    assert_int_equal(kama_get_async(f->group, KAMA_STR("warm"), NULL,
                                    set_answered, &answered),
                     KAMA_OK);
    AWAIT(atomic_load(&answered));
    assert_true(other_threads_await_sleep());
    fork_workers(f, use_as_anothers);
    assert_int_equal(get_text(f->group, "cold", NULL, "value of cold"),
                     KAMA_OK);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_have_copies),
        cmocka_unit_test(test_a_group_with_threads_is_the_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
