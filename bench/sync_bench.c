/* SPDX-License-Identifier: MIT */
/*
 * What a mutation costs on its way: in the log of the node where it begins, in the stream
 * to one peer, and at that peer. Two nodes in one process, with real groups; a message goes
 * from one to the other in memory.
 *
 *   append    wall time of km_sync_log_append, per mutation, by 1 and by 2 threads
 *   send      processor time to read the log and the values, and to build the frames
 *   apply     processor time to read the frames and to apply them; bar: 200,000 a second
 *   bytes     of the frames, per mutation; bars: 35 for a Delete of a 16-byte key, 140
 *             for a Set of 16 and 100 bytes
 *
 *   sync_bench [--rounds N]
 */
#include "base/assert.h"
#include "base/pool.h"
#include "group/group.h"
#include "group/sync.h"
#include "sync/sync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUTATIONS 20000u /* fewer than the ring holds */
#define APPENDS 2000000u
#define ROUNDS_MAX 100u
#define MESSAGES 4096u

static double clock_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* -- append --------------------------------------------------------------------- */

static void *append_all(void *arg)
{
    const struct km_asking asking = {.kind = KM_APPLY_SET,
                                     .key = {"key-0123456789ab", 16}};
    for (unsigned i = 0; i < APPENDS; i++) {
        (void)km_sync_log_append(arg, 0, &asking, NULL);
    }
    return NULL;
}

static double append_ns(unsigned threads)
{
    pthread_t other;
    struct km_sync_log *log;
    const struct km_sync_log_options options = {.mem = km_mem_default(),
                                                .clock = km_clock_system()};
    KM_ASSERT(km_sync_log_new(&options, &log) == KAMA_OK);
    (void)km_sync_log_add(log, "g", NULL);
    km_sync_log_begin(log, 1, 0);
    double before = clock_ns(CLOCK_MONOTONIC);
    if (threads == 2) {
        KM_ASSERT(pthread_create(&other, NULL, append_all, log) == 0);
    }
    (void)append_all(log);
    if (threads == 2) {
        (void)pthread_join(other, NULL);
    }
    double ns = clock_ns(CLOCK_MONOTONIC) - before;
    km_sync_log_free(log);
    return ns / (APPENDS * threads);
}

/* -- two nodes --------------------------------------------------------------------- */

struct node;

/* The stream of the one node to the other, as a list of messages. */
struct wire {
    struct km_sync_out *out;
    struct km_sync_in *in;
    struct km_buf messages[MESSAGES];
    unsigned count;
    size_t bytes;
};

struct node {
    struct node *other;
    struct km_pool *pool;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    struct km_sync *sync;
    kama_group *group;
    struct km_timer_heap heap;
    struct wire wire; /* to the other node */
};

static km_ns now(void *arg)
{
    (void)arg;
    return km_clock_mono(km_clock_system());
}

static uint64_t wall_ms(void *arg)
{
    (void)arg;
    return km_clock_system()->wall_ms(NULL);
}

static void arm(void *arg, struct km_timer *timer, km_ns at)
{
    km_timer_heap_add(&((struct node *)arg)->heap, timer, at);
}

static void disarm(void *arg, struct km_timer *timer)
{
    km_timer_heap_remove(&((struct node *)arg)->heap, timer);
}

static kama_status dial(void *arg, struct km_sync_out *out, const char *address,
                        void **ret_use)
{
    struct node *node = arg;
    (void)address;
    node->wire.out = out;
    *ret_use = &node->wire;
    return KAMA_OK;
}

static kama_status send(void *arg, void *use, kama_bytes head, kama_value *body)
{
    struct wire *wire = use;
    (void)arg;
    (void)body;
    KM_ASSERT(wire->count < MESSAGES);
    struct km_buf *message = &wire->messages[wire->count++];
    message->len = 0;
    wire->bytes += head.len;
    return km_buf_append(message, head.data, head.len);
}

static bool can_send(void *arg, void *use)
{
    (void)arg;
    (void)use;
    return true;
}

static void hang_up(void *arg, void *use)
{
    (void)arg;
    (void)use;
}

static void reply(void *arg, void *in_use, kama_bytes message)
{
    struct node *node = arg; /* it has received over the other one's wire */
    (void)in_use;
    km_sync_out_message(node->other->wire.out, message);
}

static void refuse(void *arg, void *in_use, kama_status status,
                   const char *text)
{
    (void)arg;
    (void)in_use;
    (void)status;
    (void)text;
}

static kama_group *find_group(void *owner, kama_bytes name)
{
    (void)name;
    return ((struct node *)owner)->group;
}

static void lost_member(void *owner, uint64_t hlc, const char *why)
{
    (void)owner;
    (void)hlc;
    (void)why;
}

static void write_line(void *owner, int level, const char *name,
                       const char *address, const char *text)
{
    (void)owner;
    (void)level;
    (void)name;
    (void)address;
    (void)text;
}

static void said_goodbye(void *owner)
{
    (void)owner;
}

static const struct km_sync_events events = {.group = find_group,
                                             .lost_member = lost_member,
                                             .log = write_line,
                                             .said_goodbye = said_goodbye};

/* -- the group of a node --------------------------------------------------------------- */

static enum km_sync_role enter(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    (void)reader;
    return KM_SYNC_ORIGINATES;
}

static void leave(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    (void)reader;
}

static struct km_version originate(void *sync, uint32_t number,
                                   const struct km_asking *asking,
                                   uint64_t *ret_seq)
{
    return km_sync_log_append(((struct node *)sync)->log, number, asking,
                              ret_seq);
}

static uint32_t add(void *arg, const char *name, struct km_store *store)
{
    return km_sync_log_add(((struct node *)arg)->log, name, store);
}

static const struct km_group_sync_ops sync_ops = {
    .enter = enter, .leave = leave, .originate = originate};

static void ask(void *owner, uint32_t slot, struct km_owner_answer *ret)
{
    (void)owner;
    (void)slot;
    *ret = (struct km_owner_answer){.place = KM_OWNER_HERE, .adoption = 1};
}

static const struct km_owner_ops owner_ops = {.ask = ask};

static void node_init(struct node *node, struct node *other)
{
    const struct km_clock *clock = km_clock_system();
    const struct km_sync_log_options log = {.mem = km_mem_default(),
                                            .clock = clock};
    kama_group_options options;
    node->other = other;
    for (unsigned i = 0; i < MESSAGES; i++) {
        km_buf_init(&node->wire.messages[i], NULL, SIZE_MAX);
    }
    KM_ASSERT(km_pool_new_manual(km_mem_default(), clock, &node->pool) ==
              KAMA_OK);
    KM_ASSERT(km_sync_log_new(&log, &node->log) == KAMA_OK);
    KM_ASSERT(km_sync_origins_new(log.mem, node->log, &node->origins) ==
              KAMA_OK);
    kama_group_options_init(&options);
    options.name = "g";
    options.sync = "broadcast";
    options.max_bytes = UINT64_C(256) << 20;
    const struct km_group_env env = {
        .pool = node->pool,
        .owner = {.ops = &owner_ops, .arg = node},
        .sync = {.ops = &sync_ops, .arg = node, .add = add}};
    KM_ASSERT(km_group_new(&options, &env, &node->group) == KAMA_OK);
    const struct km_sync_options sync = {.mem = log.mem,
                                         .env = {.now = now,
                                                 .wall_ms = wall_ms,
                                                 .arm = arm,
                                                 .disarm = disarm,
                                                 .dial = dial,
                                                 .send = send,
                                                 .can_send = can_send,
                                                 .hang_up = hang_up,
                                                 .reply = reply,
                                                 .refuse = refuse,
                                                 .arg = node},
                                         .events = &events,
                                         .owner = node,
                                         .log = node->log,
                                         .origins = node->origins,
                                         .cluster = "c",
                                         .service = "s"};
    KM_ASSERT(km_sync_new(&sync, &node->sync) == KAMA_OK);
}

static void node_fini(struct node *node)
{
    km_sync_close(node->sync);
    km_sync_in_free(node->other->wire.in);
    km_sync_free(node->sync);
    km_sync_origins_free(node->origins);
    km_group_free(node->group);
    km_sync_log_free(node->log);
    km_pool_free(node->pool);
    for (unsigned i = 0; i < MESSAGES; i++) {
        km_buf_fini(&node->wire.messages[i]);
    }
}

/* Gives the messages of a node to the other one. */
static void deliver(struct node *node)
{
    struct wire *wire = &node->wire;
    for (unsigned i = 0; i < wire->count; i++) {
        km_sync_in_message(wire->in, km_buf_bytes(&wire->messages[i]));
    }
    wire->count = 0;
    wire->bytes = 0;
}

/* Runs the acknowledgements, which are due in 10 ms at the latest. */
static void run_timers(struct node *node)
{
    struct km_timer *timer;
    km_ns until = now(NULL) + 20 * KM_NS_PER_MS;
    while ((timer = km_timer_heap_pop(&node->heap, now(NULL))) != NULL ||
           now(NULL) < until) {
        if (timer != NULL) {
            timer->fire(timer);
        }
    }
}

static void join(struct node nodes[2])
{
    struct km_view *view;
    struct km_member members[2] = {{.address = "a:1"}, {.address = "b:1"}};
    for (unsigned i = 0; i < 2; i++) {
        members[i].id.bytes[0] = (uint8_t)(i + 1);
        members[i].state = KM_MEMBER_ACTIVE;
        members[i].weight = 1;
        members[i].admin = "";
        members[i].version = "";
    }
    KM_ASSERT(km_view_new(km_mem_default(), members, 2, &view) == KAMA_OK);
    for (unsigned i = 0; i < 2; i++) {
        km_sync_set_self(nodes[i].sync, &members[i].id, members[i].address, 0);
        km_sync_adopt(nodes[i].sync, view);
    }
    km_view_unref(view);
    for (unsigned i = 0; i < 2; i++) {
        nodes[i].wire.in = km_sync_in_new(nodes[1 - i].sync, &nodes[i].wire);
        KM_ASSERT(nodes[i].wire.in != NULL);
        deliver(&nodes[i]);
    }
    deliver(&nodes[0]);
    deliver(&nodes[1]);
}

/* -- measuring -------------------------------------------------------------------------- */

enum mutation { SET, DELETE };

static void mutate(struct node *node, enum mutation what)
{
    static const char value[100] = {0};
    for (unsigned i = 0; i < MUTATIONS; i++) {
        char text[17];
        (void)snprintf(text, sizeof text, "key-%012u", i);
        kama_bytes key = kama_bytes_make(text, 16);
        kama_status status =
            what == SET ? kama_set(node->group, key,
                                   kama_bytes_make(value, sizeof value), NULL)
                        : kama_del(node->group, key, NULL);
        KM_ASSERT(status == KAMA_OK || status == KAMA_MISS);
    }
}

static void check_received(void *arg, const struct km_sync_member_info *info)
{
    const uint64_t *expected = arg;
    KM_ASSERT(info->received == *expected && info->duplicates == 0);
}

static void measure(struct node nodes[2], enum mutation what, unsigned rounds)
{
    static uint64_t total;
    double send[ROUNDS_MAX];
    double apply[ROUNDS_MAX];
    double bytes = 0;
    for (unsigned i = 0; i < rounds; i++) {
        mutate(&nodes[0], what);
        double before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        km_sync_grew(nodes[0].sync);
        double sent = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        bytes = (double)nodes[0].wire.bytes / MUTATIONS;
        deliver(&nodes[0]);
        apply[i] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - sent) / MUTATIONS;
        send[i] = (sent - before) / MUTATIONS;
        total += MUTATIONS;
        km_sync_visit(nodes[1].sync, check_received, &total);
        run_timers(&nodes[1]);
    }
    double apply_ns = median(apply, rounds);
    printf("%-8s send %6.0f ns  apply %6.0f ns  %9.0f/s  %6.1f bytes\n",
           what == SET ? "set" : "delete", median(send, rounds), apply_ns,
           1e9 / apply_ns, bytes);
}

int main(int argc, char **argv)
{
    static struct node nodes[2];
    unsigned rounds = 15;
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) {
        rounds = (unsigned)strtoul(argv[2], NULL, 10);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: sync_bench [--rounds 1..%u]\n", ROUNDS_MAX);
        return 2;
    }
    for (unsigned threads = 1; threads <= 2; threads++) {
        printf("append   %u threads %6.1f ns\n", threads, append_ns(threads));
    }
    node_init(&nodes[0], &nodes[1]);
    node_init(&nodes[1], &nodes[0]);
    join(nodes);
    measure(nodes, SET, rounds);
    measure(nodes, DELETE, rounds);
    node_fini(&nodes[0]);
    node_fini(&nodes[1]);
    return 0;
}
