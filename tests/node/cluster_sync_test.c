/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240 */
/* Nodes of one process over a real etcd, whose group is synchronized: each node has
 * what the others set, and has nothing that they have deleted. */
#include "base/clock.h"
#include "base/container.h"
#include "base/status.h"
#include "helpers/etcd_server.h"
#include "helpers/failmalloc.h"
#include "node/cluster_sync.h"
#include "node/group_sync.h"
#include "node/node.h"
#include "services/cluster.h"
#include "sync/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 30000
#define NODES 3

static struct etcd_server etcd;
static atomic_int loads;
static atomic_int differences;

/* -- nodes ------------------------------------------------------------------ */

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    atomic_fetch_add(&loads, 1);
    return kama_sink_set(out, req->key, NULL);
}

static kama_group *add_group_with(kama_node *node, const char *name,
                                  const char *sync, bool loader)
{
    kama_group_options options;
    kama_group *group = NULL;
    kama_group_options_init(&options);
    options.name = name;
    options.sync = sync;
    options.loader = loader ? load : NULL;
    assert_int_equal(kama_node_add_group(node, &options, &group), KAMA_OK);
    return group;
}

static kama_group *add_group(kama_node *node, const char *name, bool loader)
{
    return add_group_with(node, name, "broadcast", loader);
}

static void init_options(kama_node_options *options, const kama_allocator *mem)
{
    kama_node_options_init(options);
    options->listen = "127.0.0.1:0";
    options->threads = 1;
    options->etcd = etcd.address;
    options->require_discovery = 1;
    options->allocator = mem;
}

static kama_node *new_node(const kama_allocator *mem)
{
    kama_node_options options;
    kama_node *node = NULL;
    init_options(&options, mem);
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    (void)add_group(node, "values", false);
    (void)add_group(node, "loaded", true);
    return node;
}

/* Counts the lines about a group "late" that is owner's at the other node. */
static void count_difference(void *arg, const kama_node_event *event)
{
    (void)arg;
    if (strstr(event->message, "has sync=") != NULL) {
        assert_int_equal(event->level, 2);
        assert_non_null(strstr(event->message,
                               "group late has sync=local here and sync=owner "
                               "on 127.0.0.1:"));
        atomic_fetch_add(&differences, 1);
    }
}

static kama_node *start_node(void)
{
    kama_node *node = new_node(NULL);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    return node;
}

static kama_group *values(kama_node *node)
{
    return kama_node_group(node, "values");
}

static kama_group *loaded(kama_node *node)
{
    return kama_node_group(node, "loaded");
}

static void pause_ms(unsigned ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Waits until a condition holds. */
#define WAIT_UNTIL(condition)                                                  \
    do {                                                                       \
        km_ns until_ =                                                         \
            km_ns_after_ms(km_clock_mono(km_clock_system()), PATIENCE_MS);     \
        while (!(condition)) {                                                 \
            if (km_clock_mono(km_clock_system()) > until_) {                   \
                fail_msg("waited in vain for " #condition);                    \
            }                                                                  \
            pause_ms(1);                                                       \
        }                                                                      \
    } while (0)

/* -- what is shown of the streams -------------------------------------------- */

struct streams {
    size_t live, down;
    uint64_t queue, gaps, applied;
};

static void count_streams(void *arg, const struct km_cluster_view *view)
{
    struct streams *streams = arg;
    for (size_t i = 0; i < view->count; i++) {
        const struct km_cluster_stream *s = &view->members[i].stream;
        bool live = s->up;
        streams->live += live ? 1 : 0;
        streams->down += live || view->members[i].self ? 0 : 1;
        streams->queue += s->sync_queue;
        streams->gaps += s->gaps_received;
        streams->applied += s->applied;
    }
}

static struct streams streams_of(kama_node *node)
{
    struct streams streams = {0};
    km_cluster_view(&node->services, count_streams, &streams);
    return streams;
}

static bool is_linked(kama_node *node, size_t others)
{
    struct streams streams = streams_of(node);
    return streams.live == others && streams.down == 0 && streams.queue == 0;
}

/* -- entries ----------------------------------------------------------------- */

static kama_bytes key_of(char text[24], unsigned i)
{
    (void)snprintf(text, 24, "key-%u", i);
    return KAMA_STR(text);
}

static void set(kama_group *group, kama_bytes key, const char *value)
{
    kama_status status = kama_set(group, key, KAMA_STR(value), NULL);
    if (status != KAMA_OK) {
        fail_msg("%s: %s", kama_status_name(status), km_last_error());
    }
}

/* Returns whether this node itself has that value; NULL: it has none. */
static bool has(kama_group *group, kama_bytes key, const char *text)
{
    kama_ctx ctx;
    kama_value *value = NULL;
    bool same = false;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY | KAMA_NO_LOAD;
    kama_status status = kama_get(group, key, &ctx, &value);
    if (status == KAMA_OK) {
        kama_bytes got = kama_value_bytes(value);
        same = text != NULL && got.len == strlen(text) &&
               memcmp(got.data, text, got.len) == 0;
        kama_value_unref(value);
        return same;
    }
    return text == NULL;
}

static int64_t ttl_of(kama_group *group, kama_bytes key)
{
    int64_t ttl_ms = 0;
    kama_status status = kama_ttl(group, key, NULL, &ttl_ms);
    return status == KAMA_OK ? ttl_ms : 0;
}

/* Sets a value on a node, again and again until another node has it: whoever waits for a
 * Gap may lose it once. */
static void set_until(kama_node *from, kama_node *to, const char *key)
{
    WAIT_UNTIL((set(values(from), KAMA_STR(key), "v"),
                has(values(to), KAMA_STR(key), "v")));
}

/* -- tests --------------------------------------------------------------------- */

/* Each kind of mutation reaches the others, from each of them. */
static void mutate(kama_node *from, kama_node *to, kama_bytes key)
{
    set(values(from), key, "one");
    assert_true(has(values(from), key, "one"));
    WAIT_UNTIL(has(values(to), key, "one"));
    set(values(from), key, "two");
    WAIT_UNTIL(has(values(to), key, "two"));
    assert_int_equal(kama_touch(values(from), key, 3600 * 1000, NULL), KAMA_OK);
    WAIT_UNTIL(ttl_of(values(to), key) > 3590 * 1000);
    assert_int_equal(kama_del(values(from), key, NULL), KAMA_OK);
    assert_true(has(values(from), key, NULL));
    WAIT_UNTIL(has(values(to), key, NULL));
    set(values(to), key, "three");
    WAIT_UNTIL(has(values(from), key, "three"));
    assert_int_equal(kama_group_clear(values(from)), KAMA_OK);
    assert_true(has(values(from), key, NULL));
    WAIT_UNTIL(has(values(to), key, NULL));
}

/* Waits until all nodes have applied what one has changed, with a key that is new. A
 * clear that comes late takes away what the node has set meanwhile. */
static void wait_heard(kama_node *nodes[NODES], unsigned origin,
                       const char *key)
{
    for (unsigned i = 0; i < NODES; i++) {
        set_until(nodes[origin], nodes[i], key);
    }
}

static void test_mutations_reach_the_others(void **state)
{
    kama_node *nodes[NODES];
    (void)state;
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = start_node();
    }
    for (unsigned i = 0; i < NODES; i++) {
        WAIT_UNTIL(is_linked(nodes[i], NODES - 1));
    }
    for (unsigned i = 0; i < NODES * NODES; i++) {
        char text[24];
        if (i / NODES != i % NODES) {
            mutate(nodes[i / NODES], nodes[i % NODES], key_of(text, i));
            wait_heard(nodes, i / NODES, key_of(text, NODES * NODES + i).data);
        }
    }
    for (unsigned i = 0; i < NODES; i++) {
        kama_node_free(nodes[i]);
    }
}

/* A node that may begin nothing any more lets the owner of the empty key clear the group: it
 * is a record of that node, so that it is ordered among the sets. */
static void test_a_leaving_node_clears(void **state)
{
    kama_node *a = start_node();
    kama_node *b = start_node();
    kama_group_stats of_a;
    kama_group_stats of_b;
    char text[24];
    kama_bytes key = key_of(text, 1);
    (void)state;
    WAIT_UNTIL(is_linked(a, 1) && is_linked(b, 1));
    set(values(a), key, "v");
    WAIT_UNTIL(has(values(b), key, "v"));
    km_cluster_sync_retire(b->cluster);
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 300;
    kama_status st = kama_group_clear_ctx(values(b), &ctx);
    kama_group_stats_get(values(a), &of_a);
    kama_group_stats_get(values(b), &of_b);
    if (of_b.mutations_forwarded > 0) {
        assert_int_equal(st, KAMA_OK);
        assert_true(has(values(b), key, NULL));
        assert_true(has(values(a), key, NULL));
        assert_int_equal(of_a.clears, 1);
        assert_int_equal(of_a.mutations_served, 1);
    } else { /* b owns the empty key */
        assert_int_equal(st, KAMA_ERR_NOT_READY);
        assert_true(has(values(b), key, "v"));
        assert_int_equal(of_a.clears, 0);
    }
    assert_int_equal(of_b.clears, 0);
    kama_node_free(b);
    kama_node_free(a);
}

/* A node that is ready has streams with all active members, and is shown with them. */
static void test_streams_are_shown_at_once(void **state)
{
    kama_node *nodes[NODES];
    (void)state;
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = start_node();
        struct streams streams = streams_of(nodes[i]);
        assert_int_equal(streams.live, i);
        assert_int_equal(streams.down, 0);
    }
    for (unsigned i = 0; i < NODES; i++) {
        kama_node_free(nodes[i]);
    }
}

/* -- waits ------------------------------------------------------------------- */

/* A wait for the newest mutation of a node, as a group makes it. */
struct waiter {
    struct km_sync_wait wait;
    struct km_unsynced *unsynced;
    atomic_bool ended;
};

static void on_acknowledged(struct km_sync_wait *wait,
                            struct km_unsynced *unsynced)
{
    struct waiter *waiter = KM_CONTAINER_OF(wait, struct waiter, wait);
    waiter->unsynced = unsynced;
    atomic_store(&waiter->ended, true);
}

static void await_newest(kama_node *node, struct waiter *waiter,
                         enum km_sync_ack ack, int64_t patience_ms)
{
    struct km_group_sync sync;
    struct km_sync_log_state log;
    km_node_group_sync_of(node, &sync);
    km_sync_log_get(node->sync_log, &log);
    *waiter = (struct waiter){
        .wait = {.version = {.hlc = log.newest, .origin = log.origin},
                 .seq = log.seq,
                 .ack = ack,
                 .until = km_ns_after_ms(km_clock_mono(km_clock_system()),
                                         patience_ms),
                 .done = on_acknowledged}};
    sync.ops->await(sync.arg, &waiter->wait);
}

static bool has_witnesses(kama_node *node)
{
    struct km_group_sync sync;
    km_node_group_sync_of(node, &sync);
    return sync.ops->has_witnesses(sync.arg);
}

/* A node that is alone or stopped has nobody to wait for; otherwise the mutation is on
 * all nodes when the wait ends. */
static void test_waits_end_when_the_others_have_it(void **state)
{
    static const enum km_sync_ack acks[] = {KM_SYNC_ACK_ONE, KM_SYNC_ACK_ALL};
    kama_node *nodes[NODES] = {start_node()};
    struct waiter waiter;
    char text[24];
    (void)state;
    set(values(nodes[0]), KAMA_STR("alone"), "value");
    assert_false(has_witnesses(nodes[0]));
    await_newest(nodes[0], &waiter, KM_SYNC_ACK_ALL, PATIENCE_MS);
    WAIT_UNTIL(atomic_load(&waiter.ended));
    assert_null(waiter.unsynced);
    for (unsigned i = 1; i < NODES; i++) {
        nodes[i] = start_node();
    }
    for (unsigned i = 0; i < NODES; i++) {
        WAIT_UNTIL(is_linked(nodes[i], NODES - 1) && has_witnesses(nodes[i]));
    }
    for (unsigned i = 0; i < 40; i++) {
        kama_node *node = nodes[i % NODES];
        unsigned have = 0;
        set(values(node), key_of(text, i), "value");
        await_newest(node, &waiter, acks[i % 2], PATIENCE_MS);
        WAIT_UNTIL(atomic_load(&waiter.ended));
        assert_null(waiter.unsynced);
        for (unsigned k = 0; k < NODES; k++) {
            have += has(values(nodes[k]), key_of(text, i), "value");
        }
        assert_true(have >= (acks[i % 2] == KM_SYNC_ACK_ALL ? NODES : 2));
    }
    assert_int_equal(kama_node_stop(nodes[1]), KAMA_OK);
    assert_false(has_witnesses(nodes[1]));
    await_newest(nodes[1], &waiter, KM_SYNC_ACK_ONE, PATIENCE_MS);
    WAIT_UNTIL(atomic_load(&waiter.ended));
    assert_null(waiter.unsynced);
    for (unsigned i = 0; i < NODES; i++) {
        kama_node_free(nodes[i]);
    }
}

#define WAITS 300

struct waiting {
    kama_node *node;
    unsigned number;
    struct waiter waiters[WAITS];
};

static void *wait_often(void *arg)
{
    struct waiting *w = arg;
    char text[24];
    for (unsigned i = 0; i < WAITS; i++) {
        set(values(w->node), key_of(text, w->number * WAITS + i), "value");
        await_newest(w->node, &w->waiters[i],
                     i % 2 == 0 ? KM_SYNC_ACK_ONE : KM_SYNC_ACK_ALL,
                     PATIENCE_MS);
    }
    return NULL;
}

/* Four threads wait at the same time, and the last node is stopped meanwhile: each wait
 * ends once. */
static void test_waits_of_many_threads(void **state)
{
    static struct waiting waiting[4];
    pthread_t threads[4];
    (void)state;
    kama_node *one = start_node();
    kama_node *two = start_node();
    WAIT_UNTIL(is_linked(one, 1) && has_witnesses(one));
    for (unsigned i = 0; i < 4; i++) {
        waiting[i].node = one;
        waiting[i].number = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, wait_often, &waiting[i]), 0);
    }
    kama_node_free(two);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(kama_node_stop(one), KAMA_OK);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < WAITS; k++) {
            struct waiter *waiter = &waiting[i].waiters[k];
            WAIT_UNTIL(atomic_load(&waiter->ended));
            km_unsynced_unref(waiter->unsynced);
        }
    }
    kama_node_free(one);
}

/* -- values and fills -------------------------------------------------------- */

/* A value of each length travels: within a message, alone, and in parts. */
static void test_values_of_all_lengths(void **state)
{
    static const size_t lengths[] = {0, 1, 4096, 70000, 300000, 1u << 20};
    static char bytes[1u << 20];
    (void)state;
    kama_node *one = start_node();
    kama_node *two = start_node();
    WAIT_UNTIL(is_linked(one, 1) && is_linked(two, 1));
    memset(bytes, 'x', sizeof bytes);
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char text[24];
        kama_bytes key = key_of(text, i);
        bytes[lengths[i] / 2] = 'y';
        assert_int_equal(kama_set(values(one), key,
                                  kama_bytes_make(bytes, lengths[i]), NULL),
                         KAMA_OK);
        WAIT_UNTIL(!has(values(two), key, NULL));
        kama_value *value = NULL;
        assert_int_equal(kama_get(values(two), key, NULL, &value), KAMA_OK);
        assert_int_equal(kama_value_bytes(value).len, lengths[i]);
        assert_true(lengths[i] == 0 || memcmp(kama_value_bytes(value).data,
                                              bytes, lengths[i]) == 0);
        kama_value_unref(value);
        bytes[lengths[i] / 2] = 'x';
    }
    kama_node_free(one);
    kama_node_free(two);
}

/* A key without a value is loaded once in the cluster, by its owner, and kept by each
 * node that has asked. */
static void test_what_is_loaded_is_kept(void **state)
{
    (void)state;
    kama_node *one = start_node();
    kama_node *two = start_node();
    WAIT_UNTIL(is_linked(one, 1) && is_linked(two, 1));
    int before = atomic_load(&loads);
    for (unsigned i = 0; i < 64; i++) {
        char text[24];
        kama_bytes key = key_of(text, i);
        kama_value *value = NULL;
        kama_node *first = i % 2 == 0 ? one : two;
        kama_node *second = i % 2 == 0 ? two : one;
        assert_int_equal(kama_get(loaded(first), key, NULL, &value), KAMA_OK);
        kama_value_unref(value);
        assert_int_equal(kama_get(loaded(second), key, NULL, &value), KAMA_OK);
        kama_value_unref(value);
        assert_true(has(loaded(one), key, text));
        assert_true(has(loaded(two), key, text));
    }
    assert_int_equal(atomic_load(&loads) - before, 64);
    kama_node_free(one);
    kama_node_free(two);
}

/* A node that comes and goes many times takes nothing away from the one that stays,
 * and leaves what it has set. */
static void test_comes_and_goes(void **state)
{
    char text[24];
    kama_value *value = NULL;
    (void)state;
    kama_node *one = start_node();
    set(values(one), KAMA_STR("old"), "value");
    assert_int_equal(kama_get(loaded(one), KAMA_STR("old"), NULL, &value),
                     KAMA_OK);
    kama_value_unref(value);
    for (unsigned i = 0; i < 12; i++) {
        kama_node *two = start_node();
        kama_bytes key = key_of(text, i);
        set(values(two), key, "new");
        assert_int_equal(kama_node_stop(two), KAMA_OK);
        assert_true(has(values(one), key, "new"));
        kama_node_free(two);
    }
    assert_true(has(values(one), KAMA_STR("old"), "value"));
    assert_true(has(loaded(one), KAMA_STR("old"), "old"));
    for (unsigned i = 0; i < 12; i++) {
        assert_true(has(values(one), key_of(text, i), "new"));
    }
    assert_int_equal(streams_of(one).gaps, 0);
    kama_node_free(one);
}

/* A thread that sets one key all the time, with a number that counts up. It leaves the
 * streams the time to follow: one that sets for a second as fast as it can fills the
 * whole ring, and the others are told of a gap. */
struct writer {
    kama_group *group;
    atomic_uint done; /* the last number that was set */
    atomic_uint limit;
    kama_status end;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    char text[24];
    while (w->end == KAMA_OK && w->done < atomic_load(&w->limit)) {
        (void)snprintf(text, sizeof text, "%u", w->done + 1);
        w->end = kama_set(w->group, KAMA_STR("counter"), KAMA_STR(text), NULL);
        atomic_fetch_add(&w->done, w->end == KAMA_OK ? 1 : 0);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    }
    return NULL;
}

/* Nothing that was acknowledged is lost when its node stops. */
static void test_a_stop_loses_nothing(void **state)
{
    (void)state;
    kama_node *one = start_node();
    for (unsigned i = 0; i < 5; i++) {
        kama_node *two = start_node();
        struct writer writer = {.group = values(two), .limit = UINT32_MAX};
        char text[24];
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
        WAIT_UNTIL(atomic_load(&writer.done) > 0);
        pause_ms(20);
        assert_int_equal(kama_node_stop(two), KAMA_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)snprintf(text, sizeof text, "%u", writer.done);
        assert_true(has(values(one), KAMA_STR("counter"), text));
        kama_node_free(two);
        assert_int_equal(kama_del(values(one), KAMA_STR("counter"), NULL),
                         KAMA_OK);
    }
    kama_node_free(one);
}

static void read_id(void *arg, const kama_node_info *info)
{
    memcpy(arg, info->id, KM_MEMBER_ID_BYTES);
}

/* Deletes the record of a node, and waits until it has registered again. */
static void lose_record(kama_node *node)
{
    uint8_t before[KM_MEMBER_ID_BYTES];
    uint8_t id[KM_MEMBER_ID_BYTES];
    char key[128];
    (void)snprintf(key, sizeof key, "/kamacache/v1/kama-cache/members/%s",
                   kama_node_address(node));
    assert_int_equal(kama_node_describe(node, read_id, before), KAMA_OK);
    etcd_server_ctl(&etcd, (const char *[]){"del", key, NULL});
    do {
        assert_int_equal(kama_node_describe(node, read_id, id), KAMA_OK);
        pause_ms(1);
    } while (memcmp(id, before, sizeof id) == 0);
}

static void start_three(kama_node *nodes[NODES])
{
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = start_node();
    }
    for (unsigned i = 0; i < NODES; i++) {
        WAIT_UNTIL(is_linked(nodes[i], NODES - 1));
    }
}

static void free_three(kama_node *nodes[NODES])
{
    for (unsigned i = 0; i < NODES; i++) {
        kama_node_free(nodes[i]);
    }
}

/* A node that has lost its record, and nothing else, gets another id; nobody loses a
 * value for that. */
static void test_another_id(void **state)
{
    kama_node *nodes[NODES];
    (void)state;
    start_three(nodes);
    set(values(nodes[0]), KAMA_STR("a"), "one");
    set(values(nodes[1]), KAMA_STR("b"), "two");
    for (unsigned i = 0; i < NODES; i++) {
        WAIT_UNTIL(has(values(nodes[i]), KAMA_STR("a"), "one"));
        WAIT_UNTIL(has(values(nodes[i]), KAMA_STR("b"), "two"));
    }
    uint64_t gaps = streams_of(nodes[0]).gaps;
    lose_record(nodes[1]);
    set_until(nodes[0], nodes[1], "c");
    set_until(nodes[1], nodes[0], "d");
    for (unsigned i = 0; i < NODES; i++) {
        assert_true(has(values(nodes[i]), KAMA_STR("a"), "one"));
        assert_true(has(values(nodes[i]), KAMA_STR("b"), "two"));
    }
    assert_int_equal(streams_of(nodes[0]).gaps, gaps);
    free_three(nodes);
}

/* The same while it is written to: afterwards both have the last value, or none. */
static void test_another_id_under_way(void **state)
{
    kama_node *nodes[NODES];
    char text[24];
    char last[24];
    (void)state;
    start_three(nodes);
    for (unsigned i = 0; i < 4; i++) {
        struct writer writer = {.group = values(nodes[1]), .limit = UINT32_MAX};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
        lose_record(nodes[1]);
        atomic_store(&writer.limit, 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(writer.end, KAMA_OK);
        (void)snprintf(text, sizeof text, "%u", writer.done);
        for (unsigned n = 0; n < NODES; n++) {
            set_until(nodes[1], nodes[n], key_of(last, i).data);
            assert_true(has(values(nodes[n]), KAMA_STR("counter"), text) ||
                        has(values(nodes[n]), KAMA_STR("counter"), NULL));
        }
    }
    free_three(nodes);
}

/* Before the start and after the stop nothing can be changed. */
static void test_out_of_the_cluster(void **state)
{
    (void)state;
    kama_node *node = new_node(NULL);
    assert_int_equal(kama_set(values(node), KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_ERR_NOT_READY);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    set(values(node), KAMA_STR("k"), "v");
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_int_equal(kama_del(values(node), KAMA_STR("k"), NULL),
                     KAMA_ERR_NOT_READY);
    assert_int_equal(kama_group_clear(values(node)), KAMA_ERR_NOT_READY);
    kama_node_free(node);
}

/* A group that is added while the nodes run. */
static void test_a_group_is_added(void **state)
{
    (void)state;
    kama_node *one = start_node();
    kama_node *two = start_node();
    WAIT_UNTIL(is_linked(one, 1) && is_linked(two, 1));
    kama_group *first = add_group(one, "late", false);
    set(first, KAMA_STR("skipped"), "v");
    WAIT_UNTIL(streams_of(two).applied == 1);
    kama_group *second = add_group(two, "late", false);
    set(first, KAMA_STR("k"), "v");
    WAIT_UNTIL(has(second, KAMA_STR("k"), "v"));
    assert_true(has(second, KAMA_STR("skipped"), NULL));
    set(second, KAMA_STR("k"), "w");
    WAIT_UNTIL(has(first, KAMA_STR("k"), "w"));
    kama_node_free(one);
    kama_node_free(two);
}

/* Two groups that are added while the nodes run, and of which one has another strategy on
 * each: the node that has added it last says so. */
static void test_a_strategy_differs(void **state)
{
    (void)state;
    kama_node *one = start_node();
    atomic_store(&differences, 0);
    kama_node_options options;
    kama_node *two = NULL;
    init_options(&options, NULL);
    options.event = count_difference;
    assert_int_equal(kama_node_new(&options, &two), KAMA_OK);
    assert_int_equal(kama_node_start(two), KAMA_OK);
    WAIT_UNTIL(is_linked(one, 1) && is_linked(two, 1));
    (void)add_group_with(one, "same", "owner", false);
    (void)add_group_with(one, "late", "owner", false);
    (void)add_group_with(two, "same", "owner", false);
    (void)add_group_with(two, "late", "local", false);
    WAIT_UNTIL(atomic_load(&differences) == 1);
    kama_node_free(one);
    kama_node_free(two);
    assert_int_equal(atomic_load(&differences), 1);
}

/* One after the other, an allocation of a node fails that receives mutations: it may
 * have fewer entries, but none that is old. */
static void receive_short_of_memory(kama_node *one, long long n)
{
    struct km_mem_probe probe;
    char text[24];
    km_mem_probe_init(&probe);
    kama_node *two = new_node(&probe.allocator);
    if (kama_node_start(two) == KAMA_OK) {
        atomic_store(&probe.fail_at, atomic_load(&probe.allocs) + n);
        for (unsigned i = 0; i < 8; i++) {
            set(values(one), key_of(text, i), "old");
        }
        for (unsigned i = 0; i < 8; i++) {
            set(values(one), key_of(text, i), "new");
            (void)!kama_set(values(two), key_of(text, 8 + i), KAMA_STR("own"),
                            NULL);
        }
        atomic_store(&probe.fail_at, 0);
        set(values(one), KAMA_STR("last"), "v");
        WAIT_UNTIL(has(values(two), KAMA_STR("last"), "v"));
        for (unsigned i = 0; i < 8; i++) {
            kama_bytes key = key_of(text, i);
            assert_true(has(values(two), key, "new") ||
                        has(values(two), key, NULL));
        }
    }
    kama_node_free(two);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
    assert_int_equal(kama_del(values(one), KAMA_STR("last"), NULL), KAMA_OK);
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    kama_node *one = start_node();
    for (long long n = 1; n < 60; n += 3) {
        receive_short_of_memory(one, n);
    }
    kama_node_free(one);
}

/* A test that fails leaves an etcd that runs, and nodes that nobody frees. */
static int start_etcd(void **state)
{
    (void)state;
    etcd_server_start(&etcd);
    return 0;
}

static int kill_etcd(void **state)
{
    (void)state;
    etcd_server_kill(&etcd);
    etcd_server_wipe(&etcd);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    etcd_server_init(&etcd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    etcd_server_fini(&etcd);
    return 0;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, start_etcd, kill_etcd)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mutations_reach_the_others),
        TEST(test_a_leaving_node_clears),
        TEST(test_streams_are_shown_at_once),
        TEST(test_waits_end_when_the_others_have_it),
        TEST(test_waits_of_many_threads),
        TEST(test_values_of_all_lengths),
        TEST(test_what_is_loaded_is_kept),
        TEST(test_comes_and_goes),
        TEST(test_a_stop_loses_nothing),
        TEST(test_out_of_the_cluster),
        TEST(test_another_id),
        TEST(test_another_id_under_way),
        TEST(test_a_group_is_added),
        TEST(test_a_strategy_differs),
        TEST(test_allocations_may_fail),
    };
    if (!etcd_is_installed()) {
        print_message("etcd-server or etcd-client is missing\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
