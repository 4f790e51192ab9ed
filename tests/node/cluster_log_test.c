/* SPDX-License-Identifier: MIT */
/* A real log as people see it, by a clock of the test. */
#include "node/cluster_log.h"

#include "base/bytes.h"
#include "sync/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct world {
    struct km_clock clock;
    km_ns now;
    struct km_sync_log *log;
    uint32_t number; /* of the group "g" */
};

static km_ns read_mono(void *arg)
{
    return ((struct world *)arg)->now;
}

static uint64_t read_wall(void *arg)
{
    (void)arg;
    return 1000;
}

static void world_init(struct world *w)
{
    *w = (struct world){.now = KM_NS_PER_S};
    w->clock = (struct km_clock){
        .mono = read_mono, .coarse = read_mono, .wall_ms = read_wall, .arg = w};
    const struct km_sync_log_options options = {.mem = km_mem_default(),
                                                .clock = &w->clock};
    assert_int_equal(km_sync_log_new(&options, &w->log), KAMA_OK);
    w->number = km_sync_log_add(w->log, "g", NULL);
    km_sync_log_begin(w->log, 7, 0);
}

static void append(struct world *w, enum km_operation_kind kind,
                   const char *key)
{
    const struct km_asking asking = {.kind = kind, .key = kama_bytes_str(key)};
    (void)km_sync_log_append(w->log, w->number, &asking, NULL);
}

static struct km_cluster_record find(struct world *w, const char *group,
                                     const char *key)
{
    struct km_cluster_record record;
    km_cluster_log_find(w->log, &w->clock, group, kama_bytes_str(key), &record);
    return record;
}

static void test_the_log(void **state)
{
    struct world w;
    struct km_cluster_log shown;
    (void)state;
    world_init(&w);
    km_cluster_log_show(w.log, &w.clock, &shown);
    assert_true(shown.exists);
    assert_int_equal(shown.seq, 0);
    assert_int_equal(shown.entries, 0);
    assert_int_equal(shown.bytes, 0);
    assert_int_equal(shown.oldest_ns, 0);
    append(&w, KM_APPLY_SET, "a");
    w.now += 5 * KM_NS_PER_MS;
    append(&w, KM_APPLY_SET, "b");
    w.now += 2 * KM_NS_PER_MS;
    km_cluster_log_show(w.log, &w.clock, &shown);
    assert_int_equal(shown.seq, 2);
    assert_int_equal(shown.entries, 2);
    assert_in_range(shown.bytes, 2 * 48, 2 * 100);
    assert_int_equal(shown.oldest_ns, 7 * KM_NS_PER_MS);
    km_sync_log_free(w.log);
}

static void test_records(void **state)
{
    static const struct {
        enum km_operation_kind kind;
        const char *name;
    } kinds[] = {{KM_APPLY_SET, "set"},
                 {KM_APPLY_DROP, "drop"},
                 {KM_APPLY_DELETE, "delete"},
                 {KM_APPLY_EXPIRE, "touch"}};
    struct world w;
    (void)state;
    world_init(&w);
    assert_string_equal(find(&w, "g", "k").operation, "none");
    assert_string_equal(find(&w, "other", "k").operation, "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        append(&w, kinds[i].kind, "k");
        w.now += 3 * KM_NS_PER_MS;
        struct km_cluster_record record = find(&w, "g", "k");
        assert_string_equal(record.operation, kinds[i].name);
        assert_int_equal(record.seq, i + 1);
        assert_int_equal(record.age_ns, 3 * KM_NS_PER_MS);
        assert_int_equal(record.version.origin, 7);
    }
    assert_string_equal(find(&w, "g", "l").operation, "none");
    (void)km_sync_log_clear(w.log, w.number, NULL);
    assert_string_equal(find(&w, "g", "l").operation, "clear");
    km_sync_log_free(w.log);
}

/* A node that is in no cluster has no log. */
static void test_no_log(void **state)
{
    struct world w = {.now = 1};
    struct km_cluster_log shown;
    (void)state;
    km_cluster_log_show(NULL, &w.clock, &shown);
    assert_false(shown.exists);
    assert_string_equal(find(&w, "g", "k").operation, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_log),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
