/* SPDX-License-Identifier: MIT */
/* A loader can say for how long its answer may be kept: an absence has a time to
 * live, and a value or an absence can be for the waiting callers only. */
#include "group/group_fixture.h"

/* The orders for the loader of these tests. */
struct says {
    kama_sink_options options;
    bool absent;
    bool defer;
    bool set_first;    /* a value, before the absence */
    kama_status given; /* the status that the sink returned */
    unsigned calls;
};

static kama_status say(const struct says *says, kama_sink *out)
{
    if (says->set_first || !says->absent) {
        kama_status st = kama_sink_set(out, KAMA_STR("v"), &says->options);
        if (!says->absent) {
            return st;
        }
    }
    return kama_sink_absent(out, &says->options);
}

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    struct says *says = arg;
    (void)req;
    says->calls++;
    if (says->defer) {
        kama_deferred *deferred = kama_load_defer(out);
        assert_non_null(deferred);
        kama_load_finish(deferred, says->absent ? KAMA_MISS : KAMA_OK,
                         KAMA_STR("v"), &says->options);
        return KAMA_DEFERRED;
    }
    says->given = say(says, out);
    return says->given;
}

static struct fixture *open_group(struct says *says, int64_t negative_ttl_ms)
{
    struct fixture *f = fixture_new();
    memset(says, 0, sizeof *says);
    kama_sink_options_init(&says->options);
    f->options.loader = load;
    f->options.loader_arg = says;
    f->options.loader_free = NULL;
    f->options.negative_ttl_ms = negative_ttl_ms;
    return fixture_open(f);
}

static void close_group(struct fixture *f)
{
    kama_group_free(f->group);
    assert_int_equal(atomic_load(&f->probe.live_blocks), 0);
    test_free(f);
}

/* Gets the key and returns whether the loader was called. */
static bool loads(struct fixture *f, struct says *says, kama_status expected)
{
    unsigned before = says->calls;
    assert_int_equal(get_text(f->group, "k", NULL, "v"), expected);
    return says->calls > before;
}

/* Without options, or with 0 or -1, the group's negative_ttl counts. */
static void test_absence_lasts_as_the_group_says(void **state)
{
    static const int64_t ttls[] = {0, KAMA_TTL_FOREVER, 120000};
    (void)state;
    for (size_t i = 0; i < sizeof ttls / sizeof ttls[0]; i++) {
        struct says says;
        struct fixture *f = open_group(&says, 60000);
        says.absent = true;
        says.options.ttl_ms = ttls[i];
        assert_true(loads(f, &says, KAMA_MISS));
        assert_int_equal(says.given, KAMA_MISS);
        assert_false(loads(f, &says, KAMA_MISS));
        close_group(f);
    }
}

/* The shorter of ttl_ms and negative_ttl counts. */
static void test_absence_ends_early(void **state)
{
    struct says says;
    struct fixture *f = open_group(&says, 60000);
    (void)state;
    says.absent = true;
    says.options.ttl_ms = 3;
    assert_true(loads(f, &says, KAMA_MISS));
    AWAIT(loads(f, &says, KAMA_MISS));
    close_group(f);
    f = open_group(&says, 3);
    says.absent = true;
    says.options.ttl_ms = 60000;
    assert_true(loads(f, &says, KAMA_MISS));
    AWAIT(loads(f, &says, KAMA_MISS));
    close_group(f);
}

/* A loader cannot make a group remember an absence if it remembers none. */
static void test_absence_without_negative_ttl(void **state)
{
    struct says says;
    struct fixture *f = open_group(&says, 0);
    (void)state;
    says.absent = true;
    says.options.ttl_ms = 60000;
    assert_true(loads(f, &says, KAMA_MISS));
    assert_true(loads(f, &says, KAMA_MISS));
    close_group(f);
}

/* With KAMA_NO_STORE the callers get the answer, and the next get loads again. */
static void test_no_store_keeps_nothing(void **state)
{
    (void)state;
    for (int absent = 0; absent <= 1; absent++) {
        for (int defer = 0; defer <= 1; defer++) {
            struct says says;
            struct fixture *f = open_group(&says, 60000);
            says.absent = absent != 0;
            says.defer = defer != 0;
            says.options.flags = KAMA_NO_STORE;
            kama_status expected = absent ? KAMA_MISS : KAMA_OK;
            assert_true(loads(f, &says, expected));
            assert_true(loads(f, &says, expected));
            assert_int_equal(stats(f).entries, 0);
            assert_int_equal(stats(f).pinned_bytes, 0);
            says.options.flags = 0;
            assert_true(loads(f, &says, expected));
            assert_false(loads(f, &says, expected));
            close_group(f);
        }
    }
}

/* The absence that a deferred load reports ends as early. */
static void test_deferred_absence_ends_early(void **state)
{
    struct says says;
    struct fixture *f = open_group(&says, 60000);
    (void)state;
    says.absent = true;
    says.defer = true;
    says.options.ttl_ms = 3;
    assert_true(loads(f, &says, KAMA_MISS));
    AWAIT(loads(f, &says, KAMA_MISS));
    close_group(f);
}

/* The last call counts: a value that was set before is dropped. */
static void test_absence_replaces_a_value(void **state)
{
    struct says says;
    struct fixture *f = open_group(&says, 60000);
    (void)state;
    says.absent = true;
    says.set_first = true;
    assert_true(loads(f, &says, KAMA_MISS));
    assert_false(loads(f, &says, KAMA_MISS));
    close_group(f);
}

/* Wrong options are an error of the loader, and not of the caller. */
static void test_wrong_options(void **state)
{
    (void)state;
    for (int defer = 0; defer <= 1; defer++) {
        struct says says;
        struct fixture *f = open_group(&says, 60000);
        says.absent = true;
        says.defer = defer != 0;
        says.options.ttl_ms = -2;
        assert_true(loads(f, &says, KAMA_ERR_LOADER));
        says.options.ttl_ms = 0;
        says.options.flags = 1u << 31;
        assert_true(loads(f, &says, KAMA_ERR_LOADER));
        says.absent = false;
        assert_true(loads(f, &says, KAMA_ERR_LOADER));
        close_group(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absence_lasts_as_the_group_says),
        cmocka_unit_test(test_absence_ends_early),
        cmocka_unit_test(test_absence_without_negative_ttl),
        cmocka_unit_test(test_no_store_keeps_nothing),
        cmocka_unit_test(test_deferred_absence_ends_early),
        cmocka_unit_test(test_absence_replaces_a_value),
        cmocka_unit_test(test_wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
