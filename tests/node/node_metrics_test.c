/* SPDX-License-Identifier: MIT */
/* kama_metrics_write of a node: in each of its states, and by other threads while it
 * stops. */
#include "base/buf.h"
#include "base/sync.h"
#include "node/node_metrics.h"

#include "helpers/failmalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define WRITERS 3
#define ROUNDS 10

static kama_node *make_node(const kama_allocator *mem)
{
    kama_node *node;
    kama_group *group;
    kama_node_options options;
    kama_group_options group_options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.allocator = mem;
    kama_group_options_init(&group_options);
    group_options.name = "g";
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    assert_int_equal(kama_node_add_group(node, &group_options, &group),
                     KAMA_OK);
    return node;
}

static kama_status keep(void *arg, const void *data, size_t len)
{
    return km_buf_append(arg, data, len);
}

/* Returns whether a text of the node has a line that begins so. */
static bool has(kama_node *node, const char *begin)
{
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    assert_int_equal(
        kama_metrics_write(node, NULL, KAMA_METRICS_OPENMETRICS, keep, &buf),
        KAMA_OK);
    assert_int_equal(km_buf_append(&buf, "", 1), KAMA_OK);
    const char *text = (const char *)buf.data;
    bool found = strstr(text, begin) != NULL;
    assert_non_null(strstr(text, "\n# EOF\n"));
    assert_non_null(strstr(text, "\nkamacache_entries{group=\"g\"} 0\n"));
    km_buf_fini(&buf);
    return found;
}

/* The server has figures only while it exists; the groups always have theirs. */
static void test_each_state(void **state)
{
    kama_node *node = make_node(NULL);
    (void)state;
    assert_false(has(node, "\nkamacache_connections "));
    assert_true(has(node, "\nkamacache_ready 0\n"));
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_true(has(node, "\nkamacache_connections 0\n"));
    assert_true(has(node, "\nkamacache_ready 1\n"));
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_false(has(node, "\nkamacache_connections "));
    assert_true(has(node, "\nkamacache_ready 0\n"));
    kama_node_free(node);
}

struct writers {
    kama_node *node;
    atomic_uint texts;
    atomic_bool over;
};

static void *write_until_over(void *arg)
{
    struct writers *w = arg;
    while (!atomic_load(&w->over)) {
        (void)has(w->node, "\nkamacache_connections ");
        atomic_fetch_add(&w->texts, 1);
    }
    return NULL;
}

/* Waits until the writers have written a few texts more. */
static void await_texts(struct writers *w)
{
    unsigned from = atomic_load(&w->texts);
    while (atomic_load(&w->texts) - from < 2 * WRITERS) {
        sched_yield();
    }
}

/* A loop closes its descriptors by a system call that ThreadSanitizer does not see.
 * If another thread opened a file at that moment, it could get the number of such a
 * descriptor, and the sanitizer would take both for one. So the writers get numbers
 * that no loop has had: those that were taken while the loops were made. */
static void take_descriptors(int fds[WRITERS])
{
    for (unsigned i = 0; i < WRITERS; i++) {
        fds[i] = dup(STDIN_FILENO);
    }
}

static void give_descriptors(const int fds[WRITERS])
{
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)close(fds[i]);
    }
}

/* A stop frees the server while other threads write texts. */
static void test_while_it_stops(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int fds[WRITERS];
        pthread_t threads[WRITERS];
        struct writers w = {.node = make_node(NULL)};
        take_descriptors(fds);
        assert_int_equal(kama_node_start(w.node), KAMA_OK);
        give_descriptors(fds);
        for (unsigned i = 0; i < WRITERS; i++) {
            assert_int_equal(
                pthread_create(&threads[i], NULL, write_until_over, &w), 0);
        }
        await_texts(&w);
        assert_int_equal(kama_node_stop(w.node), KAMA_OK);
        await_texts(&w);
        atomic_store(&w.over, true);
        for (unsigned i = 0; i < WRITERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        kama_node_free(w.node);
    }
}

/* A text for which there is no memory fails as a whole. */
static kama_status write_with(const kama_allocator *mem, void *arg)
{
    struct km_buf buf;
    km_buf_init(&buf, mem, SIZE_MAX);
    kama_status st = km_node_metrics_append(arg, KM_METRIC_PROMETHEUS, &buf);
    km_buf_fini(&buf);
    return st;
}

static void test_without_memory(void **state)
{
    kama_node *node = make_node(NULL);
    (void)state;
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_true(km_test_fail_each(write_with, node) > 2);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    kama_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_state),
        cmocka_unit_test(test_while_it_stops),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
