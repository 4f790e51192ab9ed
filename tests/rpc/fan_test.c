/* SPDX-License-Identifier: MIT */
/* Several servers at once: answers, errors, one that stands still, one that is not
 * there, and an address that is none. */
#include "rpc/fan.h"

#include "rpc/mute_server.h"
#include "rpc/rpc_world.h"

#include <dlfcn.h>
#include <netdb.h>
#include <sys/stat.h>

#define PATIENCE_MS 300

static int64_t now_ms(void)
{
    return (int64_t)(km_clock_mono(km_clock_system()) / KM_NS_PER_MS);
}

static void fan_end(struct km_fan_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        km_fan_call_fini(&calls[i]);
    }
}

/* Each call has the outcome of its own server, and the whole takes the time that
 * was given, although one server says nothing. */
static void test_all(void **state)
{
    struct world world;
    struct mute mute;
    struct mute nobody;
    struct km_fan_call calls[5];
    (void)state;
    world_start(&world);
    mute_bind(&mute);
    mute_listen(&mute);
    mute_bind(&nobody);
    km_fan_call_init(&calls[0], world.address, "/t/Echo", KAMA_STR("hello"));
    km_fan_call_init(&calls[1], mute.address, "/t/Echo", KAMA_STR("hello"));
    km_fan_call_init(&calls[2], nobody.address, "/t/Echo", KAMA_STR("hello"));
    km_fan_call_init(&calls[3], "nonsense", "/t/Echo", KAMA_STR("hello"));
    km_fan_call_init(&calls[4], world.address, "/t/None", KAMA_STR("hello"));
    int64_t from = now_ms();
    assert_int_equal(km_fan(calls, 5, PATIENCE_MS, KM_FAN_ALL), KAMA_OK);
    assert_true(now_ms() - from >= PATIENCE_MS - 1);
    assert_int_equal(calls[0].status, KAMA_OK);
    assert_true(km_bytes_eq(km_buf_bytes(&calls[0].reply), KAMA_STR("hello")));
    assert_true(calls[0].begin_ms > 0 && calls[0].end_ms >= calls[0].begin_ms);
    assert_int_equal(calls[1].status, KAMA_ERR_TIMEOUT);
    assert_int_equal(calls[2].status, KAMA_ERR_UNREACHABLE);
    assert_int_equal(calls[3].status, KAMA_ERR_INVALID);
    assert_int_equal(calls[4].status, KAMA_ERR_UNSUPPORTED);
    for (unsigned i = 1; i < 5; i++) {
        assert_true(strlen(calls[i].text) > 0);
        assert_int_equal(calls[i].reply.len, 0);
    }
    fan_end(calls, 5);
    mute_end(&mute);
    mute_end(&nobody);
    world_fini(&world);
}

/* The first success ends the calls that nobody waits for any more. */
static void test_first(void **state)
{
    struct world world;
    struct mute mute;
    struct km_fan_call calls[2];
    (void)state;
    world_start(&world);
    mute_bind(&mute);
    mute_listen(&mute);
    km_fan_call_init(&calls[0], mute.address, "/t/Echo", KAMA_STR("a"));
    km_fan_call_init(&calls[1], world.address, "/t/Echo", KAMA_STR("b"));
    assert_int_equal(km_fan(calls, 2, WIRE_PATIENCE_MS, KM_FAN_FIRST), KAMA_OK);
    assert_int_equal(calls[0].status, KAMA_ERR_CANCELLED);
    assert_int_equal(calls[1].status, KAMA_OK);
    fan_end(calls, 2);
    mute_end(&mute);
    world_fini(&world);
}

/* -- a name that is resolved for ever --------------------------------------- */

static struct latch resolving; /* calls of getaddrinfo for the name "hangs" */
static struct latch released;

/* Stands before the function of libc; libuv calls it on a thread of its own. */
KAMA_API int getaddrinfo(const char *node, const char *service,
                         const struct addrinfo *hints, struct addrinfo **list)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    if (node != NULL && strcmp(node, "hangs") == 0 &&
        (hints->ai_flags & AI_NUMERICHOST) == 0) {
        latch_hit(&resolving);
        latch_wait(&released, 1);
        return EAI_NONAME;
    }
    return real(node, service, hints, list);
}

/* The folder of the threads has a link for each of them. No descriptor is opened,
 * whose number a loop on another thread may just have given back. */
static unsigned thread_count(void)
{
    struct stat tasks;
    assert_int_equal(stat("/proc/self/task", &tasks), 0);
    return (unsigned)tasks.st_nlink;
}

/* The whole takes the time that was given nevertheless, and what is left ends when
 * the name has been resolved. */
static void test_a_name_that_hangs(void **state)
{
    struct world world;
    struct km_fan_call calls[2];
    (void)state;
    latch_init(&resolving);
    latch_init(&released);
    world_start(&world);
    km_fan_call_init(&calls[0], "hangs:1", "/t/Echo", KAMA_STR("a"));
    km_fan_call_init(&calls[1], world.address, "/t/Echo", KAMA_STR("b"));
    assert_int_equal(km_fan(calls, 2, PATIENCE_MS, KM_FAN_ALL), KAMA_OK);
    assert_int_equal(latch_count(&resolving), 1);
    assert_int_equal(calls[0].status, KAMA_ERR_TIMEOUT);
    assert_int_equal(calls[1].status, KAMA_OK);
    fan_end(calls, 2);
    unsigned before = thread_count();
    latch_hit(&released);
    int64_t until = now_ms() + WIRE_PATIENCE_MS;
    while (thread_count() > before - 2) { /* the loop and the reaper */
        assert_true(now_ms() < until);
        (void)sched_yield();
    }
    world_fini(&world);
}

static void test_none(void **state)
{
    (void)state;
    assert_int_equal(km_fan(NULL, 0, PATIENCE_MS, KM_FAN_ALL), KAMA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_a_name_that_hangs),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
