/* SPDX-License-Identifier: MIT */
/* The text of one group and of many, beside the figures that it is made from. */
#include "group_fixture.h"

#include "base/buf.h"
#include "base/status.h"
#include "group/counters.h"
#include "group/metrics.h"
#include "group/registry.h"

#include "helpers/failmalloc.h"

#include <stdlib.h>

#define LINE_BYTES 256

static struct km_buf text;

static kama_status keep(void *arg, const void *data, size_t len)
{
    (void)arg;
    return km_buf_append(&text, data, len);
}

/* Writes the metrics of a group or of a registry into `text`, with a NUL. */
static void write_text(kama_group *group, const struct km_registry *registry)
{
    struct km_metric_text writer;
    km_buf_init(&text, NULL, SIZE_MAX);
    km_metric_text_init(&writer, &text, KM_METRIC_PROMETHEUS);
    if (group != NULL) {
        km_group_metrics_write(&writer, group);
    } else {
        km_group_metrics_write_all(&writer, registry);
    }
    assert_int_equal(km_metric_text_end(&writer), KAMA_OK);
    assert_int_equal(km_buf_append(&text, "", 1), KAMA_OK);
}

/* Returns how often a line begins with `begin`, and writes the number behind the
 * last one. */
static unsigned find(const char *begin, uint64_t *ret_value)
{
    char pattern[LINE_BYTES];
    unsigned count = 0;
    (void)snprintf(pattern, sizeof pattern, "\n%s", begin);
    const char *all = (const char *)text.data;
    for (const char *at = strstr(all, pattern); at != NULL;
         at = strstr(at + 1, pattern)) {
        *ret_value = strtoull(at + strlen(pattern), NULL, 10);
        count++;
    }
    return count;
}

/* Returns the value of a sample, which must be there once. */
static uint64_t sample(const char *name_and_labels)
{
    char begin[LINE_BYTES];
    uint64_t value = 0;
    (void)snprintf(begin, sizeof begin, "%s ", name_and_labels);
    unsigned count = find(begin, &value);
    if (count != 1) {
        fail_msg("%u times %s in %s", count, name_and_labels,
                 (const char *)text.data);
    }
    return value;
}

/* A family of several rows is written once, and its rows are the figures. */
static void test_one_group(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    uint64_t none = 0;
    (void)state;
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    atomic_store(&f->script.status, KAMA_ERR_LOADER);
    assert_int_equal(get_text(f->group, "l", NULL, ""), KAMA_ERR_LOADER);
    kama_group_stats s = stats(f);
    write_text(f->group, NULL);
    assert_int_equal(find("# TYPE kamacache_gets_total counter", &none), 1);
    assert_int_equal(find("# TYPE kamacache_bytes gauge", &none), 1);
    assert_int_equal(sample("kamacache_group_hits_total{group=\"test\"}"), 2);
    assert_int_equal(sample("kamacache_group_misses_total{group=\"test\"}"), 2);
    assert_int_equal(
        sample("kamacache_gets_total{group=\"test\",source=\"local\"}"), 2);
    assert_int_equal(
        sample("kamacache_gets_total{group=\"test\",source=\"loader\"}"), 2);
    assert_int_equal(
        sample("kamacache_loads_total{group=\"test\",result=\"found\"}"), 1);
    assert_int_equal(
        sample("kamacache_loads_total{group=\"test\",result=\"failed\"}"), 1);
    assert_int_equal(
        sample("kamacache_load_duration_seconds_count{group=\"test\"}"), 2);
    assert_int_equal(sample("kamacache_bytes{group=\"test\"}"), s.bytes);
    assert_int_equal(sample("kamacache_max_bytes{group=\"test\"}"),
                     s.max_bytes);
    km_buf_fini(&text);
    fixture_free(f);
}

/* The sources of the gets are parts of one sum. */
static void test_sum_of_sources(void **state)
{
    static const char *const sources[] = {"local", "negative", "loader",
                                          "peer",  "none",     "failed"};
    struct fixture *f = fixture_open(fixture_new());
    uint64_t sum = 0;
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    }
    write_text(f->group, NULL);
    for (unsigned i = 0; i < 6; i++) {
        char name[LINE_BYTES];
        (void)snprintf(name, sizeof name,
                       "kamacache_gets_total{group=\"test\",source=\"%s\"}",
                       sources[i]);
        sum += sample(name);
    }
    assert_int_equal(sum, 10);
    km_buf_fini(&text);
    fixture_free(f);
}

/* Returns a counter of removals, which must be there. */
static uint64_t removals(const char *reason)
{
    char name[LINE_BYTES];
    (void)snprintf(name, sizeof name,
                   "kamacache_evictions_total{group=\"test\",reason=\"%s\"}",
                   reason);
    return sample(name);
}

/* Entries that leave are counted by the reason, and each of them once. */
static void test_reasons_of_removals(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    fixture_set(f, "replaced", 0);
    fixture_set(f, "replaced", 0);
    fixture_set(f, "replaced", 0);
    fixture_set(f, "deleted", 0);
    assert_int_equal(kama_del(f->group, KAMA_STR("deleted"), NULL), KAMA_OK);
    assert_int_equal(kama_del(f->group, KAMA_STR("deleted"), NULL), KAMA_MISS);
    fixture_set(f, "expired", 1);
    AWAIT(kama_exists(f->group, KAMA_STR("expired"), NULL) == KAMA_MISS);
    fixture_set(f, "cleared", 0);
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    write_text(f->group, NULL);
    assert_int_equal(removals("capacity"), 0);
    assert_int_equal(removals("expired"), 1);
    assert_int_equal(removals("deleted"), 1);
    assert_int_equal(removals("replaced"), 2);
    assert_int_equal(removals("cleared"), 2);
    assert_int_equal(removals("moved"), 0);
    assert_int_equal(sample("kamacache_expirations_total{group=\"test\"}"), 1);
    km_buf_fini(&text);
    fixture_free(f);
}

/* The uses of the memory are parts of one sum, while a caller holds a large value and
 * after entries have left. */
static void test_sum_of_uses(void **state)
{
    static const char *const uses[] = {"live", "holes", "free",   "blocks",
                                       "held", "index", "ghosts", "fixed"};
    static char large[100000];
    struct fixture *f = fixture_new();
    kama_value *value;
    uint64_t sum = 0;
    (void)state;
    f->options.max_bytes = 1u << 20; /* one shard */
    fixture_open(f);
    fixture_set(f, "small", 0);
    fixture_set(f, "gone", 0);
    assert_int_equal(kama_del(f->group, KAMA_STR("gone"), NULL), KAMA_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kama_set(f->group,
                                  i == 0 ? KAMA_STR("held") : KAMA_STR("free"),
                                  KAMA_BYTES(large, sizeof large), NULL),
                         KAMA_OK);
    }
    assert_int_equal(kama_get(f->group, KAMA_STR("held"), NULL, &value),
                     KAMA_OK);
    write_text(f->group, NULL);
    for (unsigned i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        char name[LINE_BYTES];
        (void)snprintf(name, sizeof name,
                       "kamacache_store_bytes{group=\"test\",use=\"%s\"}",
                       uses[i]);
        assert_true(sample(name) > 0);
        sum += sample(name);
    }
    assert_int_equal(sum, sample("kamacache_bytes{group=\"test\"}"));
    assert_true(sample("kamacache_store_bytes{group=\"test\",use=\"held\"}") >
                sizeof large);
    assert_true(sample("kamacache_store_bytes{group=\"test\",use=\"blocks\"}") >
                sizeof large);
    km_buf_fini(&text);
    kama_value_unref(value);
    fixture_free(f);
}

/* Each row of the table is shown: where its name says, or as a part of a sum. */
static void test_each_row_is_shown(void **state)
{
    static const struct {
        const char *member;
        const char *metric;
    } rows[] = {
#define ROW(member, source, kind, unit, metric, sentence) {#member, metric},
        KM_GROUP_COUNTER_MAP(ROW, ROW, ROW)
#undef ROW
    };
    struct fixture *f = fixture_open(fixture_new());
    uint64_t none = 0;
    (void)state;
    write_text(f->group, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *metric = rows[i].metric;
        if (metric[0] == '\0') {
            assert_true(strcmp(rows[i].member, "gets") == 0 ||
                        strcmp(rows[i].member, "loads") == 0 ||
                        strcmp(rows[i].member, "load_ns") == 0);
            continue;
        }
        char begin[LINE_BYTES];
        (void)snprintf(begin, sizeof begin, "# TYPE kamacache_%.*s",
                       (int)strcspn(metric, " {"), metric);
        assert_true(find(begin, &none) > 0);
    }
    km_buf_fini(&text);
    fixture_free(f);
}

/* -- many groups ----------------------------------------------------------- */

static kama_status add_group(struct km_registry *registry,
                             const kama_allocator *mem, const char *name)
{
    kama_group_options options;
    struct km_group_env env = {0};
    kama_group *group;
    kama_group_options_init(&options);
    options.name = name;
    options.allocator = mem;
    kama_status st = km_group_new(&options, &env, &group);
    if (st == KAMA_OK) {
        km_registry_add(registry, group);
        st = kama_set(group, KAMA_STR("k"), KAMA_STR("v"), NULL);
    }
    return st;
}

/* Makes `count` groups, of which the second one is called "other". */
static void make_groups(struct km_registry *registry, unsigned count)
{
    assert_int_equal(km_registry_init(registry, km_mem_default()), KAMA_OK);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%u", i);
        assert_int_equal(add_group(registry, NULL, i == 1 ? "other" : name),
                         KAMA_OK);
    }
}

/* Each of 64 groups has its name. */
static void test_as_many_groups_as_have_names(void **state)
{
    struct km_registry registry;
    (void)state;
    make_groups(&registry, KM_METRIC_GROUPS_MAX);
    write_text(NULL, &registry);
    assert_int_equal(sample("kamacache_entries{group=\"other\"}"), 1);
    assert_int_equal(sample("kamacache_entries{group=\"g63\"}"), 1);
    km_buf_fini(&text);
    km_registry_fini(&registry);
}

/* More groups are summed under one name, together with the group that has it. */
static void test_more_groups(void **state)
{
    struct km_registry registry;
    uint64_t none = 0;
    (void)state;
    make_groups(&registry, KM_METRIC_GROUPS_MAX + 6);
    write_text(NULL, &registry);
    assert_int_equal(sample("kamacache_entries{group=\"g0\"}"), 1);
    assert_int_equal(sample("kamacache_entries{group=\"g63\"}"), 1);
    assert_int_equal(find("kamacache_entries{group=\"g64\"} ", &none), 0);
    assert_int_equal(sample("kamacache_entries{group=\"other\"}"), 7);
    assert_int_equal(
        sample("kamacache_mutations_total{group=\"other\",operation=\"set\"}"),
        7);
    assert_int_equal(find("kamacache_entries{group=", &none),
                     KM_METRIC_GROUPS_MAX);
    km_buf_fini(&text);
    km_registry_fini(&registry);
}

/* -- the public call -------------------------------------------------------- */

static void test_public_call(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    km_buf_init(&text, NULL, SIZE_MAX);
    assert_int_equal(kama_metrics_write(NULL, f->group,
                                        KAMA_METRICS_OPENMETRICS, keep, NULL),
                     KAMA_OK);
    assert_true(text.len > 6);
    assert_memory_equal(text.data + text.len - 6, "# EOF\n", 6);
    km_buf_fini(&text);
    fixture_free(f);
}

static kama_status refuse(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return KAMA_ERR_IO;
}

static void test_bad_calls(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_node *node = (kama_node *)f; /* is never looked at */
    (void)state;
    assert_int_equal(kama_metrics_write(NULL, NULL, 0, keep, NULL),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_metrics_write(node, f->group, 0, keep, NULL),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_metrics_write(NULL, f->group, 0, NULL, NULL),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_metrics_write(NULL, f->group, 2, keep, NULL),
                     KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "the format 2"));
    assert_int_equal(kama_metrics_write(NULL, f->group, 0, refuse, NULL),
                     KAMA_ERR_IO);
    fixture_free(f);
}

/* Without memory the text fails as a whole. */
static kama_status write_without(const kama_allocator *mem, void *arg)
{
    struct km_metric_text writer;
    struct km_buf buf;
    km_buf_init(&buf, mem, SIZE_MAX);
    km_metric_text_init(&writer, &buf, KM_METRIC_PROMETHEUS);
    km_group_metrics_write(&writer, arg);
    kama_status st = km_metric_text_end(&writer);
    km_buf_fini(&buf);
    return st;
}

static void test_without_memory(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_true(km_test_fail_each(write_without, f->group) > 2);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_group),
        cmocka_unit_test(test_sum_of_sources),
        cmocka_unit_test(test_reasons_of_removals),
        cmocka_unit_test(test_sum_of_uses),
        cmocka_unit_test(test_each_row_is_shown),
        cmocka_unit_test(test_as_many_groups_as_have_names),
        cmocka_unit_test(test_more_groups),
        cmocka_unit_test(test_public_call),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
