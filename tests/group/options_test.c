/* SPDX-License-Identifier: MIT */
/*
 * Options of a group: set by name, at their limits and beyond them, and options
 * that contradict each other. Structs of programs that are older or newer than the
 * library are read correctly.
 */
#include "group/group_fixture.h"
#include "group/options.h"

#include <stdio.h>
#include <stdlib.h>

static kama_status try_new(const kama_group_options *options)
{
    kama_group *group = NULL;
    kama_status st = kama_group_new(options, &group);
    if (st == KAMA_OK) {
        kama_group_free(group);
    }
    return st;
}

static kama_status set(kama_group_options *o, const char *name,
                       const char *value)
{
    return kama_group_options_set(o, name, value);
}

static void expect_sentence(const char *part)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    if (strstr(sentence, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", sentence, part);
    }
}

static void test_by_name(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    assert_int_equal(set(&o, "max_bytes", "1g"), KAMA_OK);
    assert_int_equal(o.max_bytes, 1u << 30);
    assert_int_equal(set(&o, "max_value_bytes", "2m"), KAMA_OK);
    assert_int_equal(o.max_value_bytes, 2u << 20);
    assert_int_equal(set(&o, "ttl", "5s"), KAMA_OK);
    assert_int_equal(o.ttl_ms, 5000);
    assert_int_equal(set(&o, "negative_ttl", "250ms"), KAMA_OK);
    assert_int_equal(o.negative_ttl_ms, 250);
    assert_int_equal(set(&o, "ttl_jitter", "10"), KAMA_OK);
    assert_int_equal(o.ttl_jitter, 10);
    assert_int_equal(set(&o, "policy", "lru"), KAMA_OK);
    assert_string_equal(o.policy, "lru");
    assert_int_equal(set(&o, "loader_timeout", "1m"), KAMA_OK);
    assert_int_equal(o.loader_timeout_ms, 60000);
    assert_int_equal(set(&o, "loader_concurrency", "8"), KAMA_OK);
    assert_int_equal(o.loader_concurrency, 8);
    assert_int_equal(set(&o, "async_threads", "3"), KAMA_OK);
    assert_int_equal(o.async_threads, 3);
    assert_int_equal(set(&o, "sync_timeout", "3s"), KAMA_OK);
    assert_int_equal(o.sync_timeout_ms, 3000);
    assert_int_equal(set(&o, "fence_wait", "0"), KAMA_OK);
    assert_int_equal(o.fence_wait_ms, 0);
    assert_int_equal(set(&o, "fence_wait", "20ms"), KAMA_OK);
    assert_int_equal(o.fence_wait_ms, 20);
    assert_int_equal(set(&o, "sync_ack", "one"), KAMA_OK);
    assert_string_equal(o.sync_ack, "one");
    assert_int_equal(o.struct_size, sizeof o);
    assert_int_equal(try_new(&o), KAMA_OK);
}

/* The word "forever" says that values, or absences, never expire. */
static void test_forever(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    assert_int_equal(set(&o, "ttl", "forever"), KAMA_OK);
    assert_true(o.ttl_ms == KAMA_TTL_FOREVER);
    assert_int_equal(set(&o, "negative_ttl", "forever"), KAMA_OK);
    assert_true(o.negative_ttl_ms == KAMA_TTL_FOREVER);
    assert_int_equal(try_new(&o), KAMA_OK);
}

/* The sentence about a wrong value names the option and shows the typed value. */
static void test_wrong_value_names_its_option(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *sentence;
    } rows[] = {
        {"loader_concurrency", "0", "loader_concurrency: 0 is outside 1..1024"},
        {"ttl", "5", "ttl: 5 what? write 5s or 5ms"},
        {"negative-ttl", "5", "negative-ttl: 5 what? write 5s or 5ms"},
        {"loader_timeout", "forever", "loader_timeout: \"forever\" is not a "},
        {"loader_timeout", "2h", "loader_timeout: 2h is outside 1ms..1h"},
        {"max_bytes", "1k", "max_bytes: 1k is outside 64k..65536g"},
        {"max_bytes", "65537g", "max_bytes: 65537g is outside 64k..65536g"},
        {"max_bytes", "99999999999g",
         "max_bytes: \"99999999999g\" is too large"},
        {"max_value_bytes", "65m", "max_value_bytes: 65m is outside 1..64m"},
        {"max_byte", "1g",
         "max_byte: unknown group option, did you mean max_bytes?"},
        {"colour", "red", "colour: unknown group option"},
        {"hot_copies", "1", "hot_copies: not in this version"},
    };
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char sentence[256];
        assert_int_not_equal(set(&o, rows[i].name, rows[i].value), KAMA_OK);
        kama_last_error(sentence, sizeof sentence);
        if (strncmp(sentence, rows[i].sentence, strlen(rows[i].sentence))) {
            fail_msg("\"%s\" is not \"%s\"", sentence, rows[i].sentence);
        }
    }
}

/* A pointer that must be given, and is NULL, is an ordinary error. */
static void test_null_pointers(void **state)
{
    kama_group_options o;
    kama_group *group;
    kama_group_options_init(&o);
    (void)state;
    assert_int_equal(kama_group_new(NULL, &group), KAMA_ERR_INVALID);
    expect_sentence("group options: the pointer is NULL");
    assert_int_equal(set(NULL, "ttl", "5s"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, NULL, "5s"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "ttl", NULL), KAMA_ERR_INVALID);
    expect_sentence("NULL");
}

static void test_names_that_are_none(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    assert_int_equal(set(&o, "max_byte", "1g"), KAMA_ERR_INVALID);
    expect_sentence("max_bytes");
    assert_int_equal(set(&o, "colour", "red"), KAMA_ERR_INVALID);
    expect_sentence("colour");
    assert_int_equal(set(&o, "loader", "x"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "stale_if_error", "5s"), KAMA_ERR_UNSUPPORTED);
    expect_sentence("stale_if_error");
    assert_int_equal(set(&o, "hot_copies", "1"), KAMA_ERR_UNSUPPORTED);
    assert_int_equal(set(&o, "max_bytes", "many"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "max_bytes", "1"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "ttl", "-5s"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "ttl_jitter", "51"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "ttl_jitter", "50"), KAMA_OK);
    assert_int_equal(set(&o, "loader_concurrency", "0"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "loader_concurrency", "1025"), KAMA_ERR_INVALID);
    assert_int_equal(set(&o, "loader_concurrency", "1024"), KAMA_OK);
    assert_int_equal(o.max_bytes, KM_GROUP_BYTES_DEFAULT);
}

/* Fields at the limit and one past it; the sentence names the field. */
static void test_limits(void **state)
{
    kama_group_options o;
    char name[KM_GROUP_NAME_BYTES_MAX + 2];
    (void)state;
#define EXPECT(field, ok, bad, status)                                         \
    do {                                                                       \
        kama_group_options_init(&o);                                           \
        o.field = (ok);                                                        \
        assert_int_equal(try_new(&o), KAMA_OK);                                \
        o.field = (bad);                                                       \
        assert_int_equal(try_new(&o), (status));                               \
        expect_sentence(#field);                                               \
    } while (0)
    EXPECT(max_bytes, KM_GROUP_BYTES_MIN, KM_GROUP_BYTES_MIN - 1,
           KAMA_ERR_INVALID);
    EXPECT(ttl_jitter, 50, 51, KAMA_ERR_INVALID);
    EXPECT(ttl_ms, INT64_MAX, -2, KAMA_ERR_INVALID);
    EXPECT(ttl_ms, KAMA_TTL_FOREVER, INT64_MIN, KAMA_ERR_INVALID);
    EXPECT(negative_ttl_ms, INT64_MAX, -2, KAMA_ERR_INVALID);
    EXPECT(negative_ttl_ms, KAMA_TTL_FOREVER, INT64_MIN, KAMA_ERR_INVALID);
    EXPECT(loader_timeout_ms, 1, 0, KAMA_ERR_INVALID);
    EXPECT(loader_timeout_ms, KM_LOADER_TIMEOUT_MS_MAX,
           KM_LOADER_TIMEOUT_MS_MAX + 1, KAMA_ERR_INVALID);
    EXPECT(loader_concurrency, KM_LOADER_CONCURRENCY_MAX,
           KM_LOADER_CONCURRENCY_MAX + 1, KAMA_ERR_INVALID);
    EXPECT(async_threads, KM_ASYNC_THREADS_MAX, KM_ASYNC_THREADS_MAX + 1,
           KAMA_ERR_INVALID);
    EXPECT(policy, "lru", "fifo", KAMA_ERR_INVALID);
    EXPECT(policy, "s3fifo", NULL, KAMA_ERR_INVALID);
    EXPECT(sync, "local", "everyone", KAMA_ERR_INVALID);
    EXPECT(sync, "owner", NULL, KAMA_ERR_INVALID);
    EXPECT(sync, "invalidate", "invalidated", KAMA_ERR_INVALID);
    EXPECT(sync, "shard:16", "shard:17", KAMA_ERR_INVALID);
    EXPECT(sync, "peers:eu", "peers:", KAMA_ERR_INVALID);
    EXPECT(sync_timeout_ms, KM_UNSYNCED_MS_MAX, 0, KAMA_ERR_INVALID);
    EXPECT(fence_wait_ms, 0, KM_FENCE_WAIT_MS_MAX + 1, KAMA_ERR_INVALID);
    EXPECT(sync_ack, "async", "none", KAMA_ERR_INVALID);
    EXPECT(sync_ack, "one", NULL, KAMA_ERR_INVALID);
    EXPECT(sync_ack, "all", "two", KAMA_ERR_INVALID);
    EXPECT(huge_pages, "on", "often", KAMA_ERR_INVALID);
    EXPECT(huge_pages, "off", NULL, KAMA_ERR_INVALID);
    EXPECT(name, "\xe7\x94\xa8\xe6\x88\xb7", "\xff", KAMA_ERR_INVALID);
    EXPECT(name, "x", "", KAMA_ERR_INVALID);
#undef EXPECT
    memset(name, 'n', sizeof name);
    name[KM_GROUP_NAME_BYTES_MAX + 1] = '\0';
    kama_group_options_init(&o);
    o.name = name;
    assert_int_equal(try_new(&o), KAMA_ERR_TOO_LARGE);
    o.name = name + 1;
    assert_int_equal(try_new(&o), KAMA_OK);
}

/* -- the table -- */

/* The member of a row, as a number. */
static uint64_t read_member(const kama_group_options *o, size_t i)
{
    const char *member = (const char *)o + km_group_option_rows[i].offset;
    uint32_t narrow;
    uint64_t wide = 0;
    memcpy(&wide, member, km_group_option_details[i].member_bytes);
    memcpy(&narrow, member, sizeof narrow);
    return km_group_option_details[i].member_bytes == 4 ? narrow : wide;
}

static void write_member(kama_group_options *o, size_t i, uint64_t number)
{
    char *member = (char *)o + km_group_option_rows[i].offset;
    uint32_t narrow = (uint32_t)number;
    if (km_group_option_details[i].member_bytes == 4) {
        memcpy(member, &narrow, sizeof narrow);
    } else {
        memcpy(member, &number, sizeof number);
    }
}

static const char *read_text(const kama_group_options *o, size_t i)
{
    const char *text;
    memcpy(&text, (const char *)o + km_group_option_rows[i].offset,
           sizeof text);
    return text;
}

static bool is_number(size_t i)
{
    return km_group_option_rows[i].kind != KM_OPTION_STRING;
}

/* A default as people read it is the default that a struct begins with. A struct
 * may have 0 for "forever", and for a default that the sentence explains. */
static void test_defaults_are_as_shown(void **state)
{
    kama_group_options fresh;
    kama_group_options o;
    (void)state;
    kama_group_options_init(&fresh);
    for (size_t i = 0; i < km_group_option_count; i++) {
        const struct km_option *row = &km_group_option_rows[i];
        kama_group_options_init(&o);
        if (read_member(&fresh, i) == 0 &&
            (row->fallback == NULL || strcmp(row->fallback, "forever") == 0)) {
            continue;
        }
        assert_non_null(row->fallback);
        assert_int_equal(set(&o, row->name, row->fallback), KAMA_OK);
        if (is_number(i)) {
            assert_int_equal(read_member(&o, i), read_member(&fresh, i));
        } else {
            assert_string_equal(read_text(&o, i), read_text(&fresh, i));
        }
    }
}

/* A number outside its range is refused with the name of its member, its value
 * and the range. */
static void expect_refused(kama_group_options *o, size_t i, const char *shown)
{
    char sentence[256];
    char wanted[256];
    const struct km_option *row = &km_group_option_rows[i];
    const char *member = km_group_option_details[i].member;
    assert_int_not_equal(km_group_options_check(o), KAMA_OK);
    kama_last_error(sentence, sizeof sentence);
    if (row->max == 0) {
        (void)snprintf(wanted, sizeof wanted, "%s: %s is less than %llu",
                       member, shown, (unsigned long long)row->min);
    } else {
        (void)snprintf(wanted, sizeof wanted, "%s: %s is outside %llu..%llu",
                       member, shown, (unsigned long long)row->min,
                       (unsigned long long)row->max);
    }
    assert_string_equal(sentence, wanted);
}

/* Every number is accepted at both ends of the range of its row, and refused
 * one past them. */
static void test_ranges_come_from_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < km_group_option_count; i++) {
        const struct km_option *row = &km_group_option_rows[i];
        kama_group_options o;
        char shown[32];
        kama_group_options_init(&o);
        if (!is_number(i)) {
            continue;
        }
        write_member(&o, i, row->min);
        assert_int_equal(km_group_options_check(&o), KAMA_OK);
        if (row->max != 0) {
            write_member(&o, i, row->max);
            assert_int_equal(km_group_options_check(&o), KAMA_OK);
            write_member(&o, i, row->max + 1);
            (void)snprintf(shown, sizeof shown, "%llu",
                           (unsigned long long)row->max + 1);
            expect_refused(&o, i, shown);
        }
        kama_group_options_init(&o);
        if (row->min > 0 && read_member(&o, i) != row->min - 1) {
            write_member(&o, i, row->min - 1);
            (void)snprintf(shown, sizeof shown, "%llu",
                           (unsigned long long)row->min - 1);
            expect_refused(&o, i, shown);
        }
        if (row->kind == KM_OPTION_TTL || row->kind == KM_OPTION_DURATION) {
            write_member(&o, i, (uint64_t)-5);
            expect_refused(&o, i, "-5");
        }
    }
}

/* A size over its maximum is too large; any other number is invalid. */
static void test_status_of_a_range(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    o.max_value_bytes = KM_VALUE_BYTES_LOCAL_MAX + 1;
    assert_int_equal(try_new(&o), KAMA_ERR_TOO_LARGE);
    expect_sentence("max_value_bytes: 67108865 is outside 1..67108864");
    kama_group_options_init(&o);
    o.loader_concurrency = 1025;
    assert_int_equal(try_new(&o), KAMA_ERR_INVALID);
    expect_sentence("group default: loader_concurrency: 1025 is outside ");
}

/* The sentence names the group, because a program may make many of them. */
static void test_wrong_group_is_named(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    o.name = "users";
    o.max_value_bytes = o.max_bytes;
    assert_int_equal(try_new(&o), KAMA_ERR_INVALID);
    expect_sentence("group users: max_value_bytes: 67108864 needs max_bytes");
    kama_group_options_init(&o);
    o.name = "users";
    o.policy = "fifo";
    assert_int_equal(try_new(&o), KAMA_ERR_INVALID);
    expect_sentence(
        "group users: policy: \"fifo\" is none of s3fifo+, s3fifo and lru");
}

/* max_bytes must have room for four of the largest values. If max_value_bytes is
 * not set, it follows from max_bytes. */
static void test_value_limit(void **state)
{
    kama_group_options o;
    kama_group *group;
    (void)state;
    kama_group_options_init(&o);
    o.max_bytes = 4u << 20;
    o.max_value_bytes = (1u << 20) + 1;
    assert_int_equal(try_new(&o), KAMA_ERR_INVALID);
    o.max_value_bytes = 1u << 20;
    assert_int_equal(try_new(&o), KAMA_OK);
    o.max_bytes = (uint64_t)1 << 40;
    o.max_value_bytes = KM_VALUE_BYTES_LOCAL_MAX;
    assert_int_equal(try_new(&o), KAMA_OK);
    o.max_value_bytes = KM_VALUE_BYTES_LOCAL_MAX + 1;
    assert_int_equal(try_new(&o), KAMA_ERR_TOO_LARGE);
    o.max_value_bytes = 0;
    o.max_bytes = 1u << 20;
    assert_int_equal(kama_group_new(&o, &group), KAMA_OK);
    assert_int_equal(km_group_max_value_bytes(group), 1u << 18);
    kama_group_free(group);
    kama_group_free(NULL);
}

/* -- structs of another age -- */

/* kama_group_options as it was when it ended at ttl_ms. */
struct old_options {
    uint32_t struct_size;
    uint32_t ttl_jitter;
    const char *name;
    uint64_t max_bytes;
    uint64_t max_value_bytes;
    int64_t ttl_ms;
    uint64_t canary;
};

struct old_stats {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t gets;
    uint64_t hits;
    uint64_t canary;
};

/* Nothing is written past the structs of an older program, and the members that it
 * does not have get their defaults. */
static void test_older_program(void **state)
{
    struct old_options old = {.canary = 0xabcdef};
    struct old_stats stats = {.canary = 0xabcdef};
    kama_group_options *o = (kama_group_options *)(void *)&old;
    kama_group *group;
    (void)state;
    kama_group_options_init_sized(o, offsetof(struct old_options, canary));
    assert_int_equal(old.canary, 0xabcdef);
    assert_int_equal(old.max_bytes, KM_GROUP_BYTES_DEFAULT);
    assert_int_equal(kama_group_options_set(o, "ttl", "5s"), KAMA_OK);
    assert_int_equal(kama_group_options_set(o, "negative_ttl", "5s"),
                     KAMA_ERR_UNSUPPORTED);
    assert_int_equal(old.canary, 0xabcdef);
    assert_int_equal(kama_group_new(o, &group), KAMA_OK);
    kama_group_stats_get_sized(group, (kama_group_stats *)(void *)&stats,
                               offsetof(struct old_stats, canary));
    assert_int_equal(stats.struct_size, offsetof(struct old_stats, canary));
    assert_int_equal(stats.canary, 0xabcdef);
    kama_group_free(group);
}

/* The members that a newer program has must be zero. */
static void test_newer_program(void **state)
{
    struct {
        kama_group_options options;
        uint64_t later;
    } o;
    struct {
        kama_ctx ctx;
        uint64_t later;
    } c;
    kama_group *group;
    kama_value *value;
    (void)state;
    kama_group_options_init_sized(&o.options, sizeof o);
    assert_int_equal(o.later, 0);
    assert_int_equal(kama_group_new(&o.options, &group), KAMA_OK);
    kama_ctx_init_sized(&c.ctx, sizeof c);
    assert_int_equal(kama_get(group, KAMA_STR("k"), &c.ctx, &value), KAMA_MISS);
    c.later = 1;
    assert_int_equal(kama_get(group, KAMA_STR("k"), &c.ctx, &value),
                     KAMA_ERR_INVALID);
    kama_group_free(group);
    o.later = 1;
    assert_int_equal(kama_group_new(&o.options, &group), KAMA_ERR_INVALID);
    o.options.struct_size = 0;
    assert_int_equal(kama_group_new(&o.options, &group), KAMA_ERR_INVALID);
    expect_sentence("initialised");
}

static void test_inits(void **state)
{
    kama_ctx ctx;
    kama_sink_options sink;
    kama_set_options set_options;
    (void)state;
    memset(&ctx, 0xff, sizeof ctx);
    kama_ctx_init(&ctx);
    assert_int_equal(ctx.struct_size, sizeof ctx);
    assert_int_equal(ctx.flags | ctx.deadline_ms | ctx.origin, 0);
    kama_sink_options_init(&sink);
    assert_int_equal(sink.struct_size, sizeof sink);
    kama_set_options_init(&set_options);
    assert_int_equal(set_options.struct_size, sizeof set_options);
    assert_null(set_options.ctx);
}

/* A program asks for an option by the version of the header, so no option may be newer. */
static void test_no_option_is_newer_than_the_header(void **state)
{
    (void)state;
    for (size_t i = 0; i < km_group_option_count; i++) {
        int major = -1;
        int minor = -1;
        assert_int_equal(
            sscanf(km_group_option_details[i].since, "%d.%d", &major, &minor),
            2);
        assert_true(
            major < KAMA_VERSION_MAJOR ||
            (major == KAMA_VERSION_MAJOR && minor <= KAMA_VERSION_MINOR));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_forever),
        cmocka_unit_test(test_wrong_value_names_its_option),
        cmocka_unit_test(test_null_pointers),
        cmocka_unit_test(test_names_that_are_none),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_defaults_are_as_shown),
        cmocka_unit_test(test_ranges_come_from_the_table),
        cmocka_unit_test(test_no_option_is_newer_than_the_header),
        cmocka_unit_test(test_status_of_a_range),
        cmocka_unit_test(test_wrong_group_is_named),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_older_program),
        cmocka_unit_test(test_newer_program),
        cmocka_unit_test(test_inits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
