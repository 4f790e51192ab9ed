/* SPDX-License-Identifier: MIT */
/*
 * A server with loops and a handful of methods for tests:
 *   /t/Echo    unary: the message
 *   /t/Where   unary: the index of the loop, in one byte
 *   /t/Fail    unary: ends with the status whose number is the message, after
 *              the answer "done" if that is a success
 *   /t/Park    unary: waits until world_release, then answers "late"
 *   /t/Count   server stream: messages 0.. of 10,000 bytes, as many as asked
 *   /t/Chat    bidi: each message back; "bye" ends the call at once
 * Handlers run on loop threads, where cmocka's assertions do not work:
 * KM_ASSERT.
 */
#pragma once

#include "rpc/wire_client.h"

#include "base/assert.h"
#include "base/status.h"
#include "base/sync.h"
#include "rpc/server.h"
#include "rpc/server_call.h"
#include "rpc/server_figures.h"
#include "rpc/server_method.h"

#include <sched.h>

#define WORLD_LOOPS_MAX 4
#define WORLD_PARKED_MAX 64
#define COUNT_BYTES 10000

struct world {
    struct km_loop *loops[WORLD_LOOPS_MAX];
    unsigned loop_count;
    struct km_server *server;
    char address[64];
    struct km_mutex lock;
    struct km_cond cond;
    /* under the mutex */
    struct parked *parked[WORLD_PARKED_MAX];
    unsigned parked_count;
    unsigned half_closed;
    unsigned cancelled;
    kama_status cancelled_why;
    bool drained;
    unsigned cut;
};

static inline struct world *world_of(struct km_server_call *call)
{
    return km_server_call_arg(call);
}

/* The deadline of every wait. */
static inline km_ns world_patience(void)
{
    return km_ns_after_ms(km_clock_mono(km_clock_system()), WIRE_PATIENCE_MS);
}

/* Waits until *counter, under the mutex, is n. */
static inline void world_wait(struct world *world, const unsigned *counter,
                              unsigned n)
{
    km_ns until = world_patience();
    km_mutex_lock(&world->lock);
    while (*counter < n) {
        if (!km_cond_wait_until(&world->cond, &world->lock, until)) {
            fail_msg("waited for %u, have %u", n, *counter);
        }
    }
    km_mutex_unlock(&world->lock);
}

static inline void world_count(struct world *world, unsigned *counter)
{
    km_mutex_lock(&world->lock);
    (*counter)++;
    km_cond_broadcast(&world->cond);
    km_mutex_unlock(&world->lock);
}

/* Returns a counter that the loops may be changing. */
static inline unsigned world_read(struct world *world, const unsigned *counter)
{
    km_mutex_lock(&world->lock);
    unsigned count = *counter;
    km_mutex_unlock(&world->lock);
    return count;
}

static inline void on_any_cancel(struct km_server_call *call, kama_status why)
{
    struct world *world = world_of(call);
    KM_ASSERT(km_server_call_ended(call));
    km_mutex_lock(&world->lock);
    world->cancelled_why = why;
    km_mutex_unlock(&world->lock);
    world_count(world, &world->cancelled);
}

static inline void on_echo(struct km_server_call *call, kama_bytes message)
{
    km_server_call_reply(call, message, NULL);
}

static inline void on_where(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    const uint8_t index = (uint8_t)km_loop_index(km_server_call_loop(call));
    KM_ASSERT(km_loop_is_inside(km_server_call_loop(call)));
    km_server_call_reply(call, kama_bytes_make(&index, 1), NULL);
}

static inline void on_fail(struct km_server_call *call, kama_bytes message)
{
    char number[8] = {0};
    KM_ASSERT(message.len < sizeof number);
    memcpy(number, message.data, message.len);
    kama_status status = (kama_status)atoi(number);
    if (km_status_is_success(status)) {
        KM_ASSERT(km_server_call_send(call, KM_LIT("done"), NULL) == KAMA_OK);
    }
    km_server_call_finish(call, status, "100% \xe7\xbc\x93\n");
}

/* -- parked calls -------------------------------------------------------- */

struct parked {
    struct km_mail mail;
    uint64_t zero; /* state comes zeroed */
};

static inline void on_released(struct km_mail *mail)
{
    struct parked *parked = (struct parked *)(void *)mail;
    struct km_server_call *call = km_server_call_of_state(parked);
    km_server_call_reply(call, KM_LIT("late"), NULL);
    km_server_call_release(call);
}

static inline void on_park(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    struct world *world = world_of(call);
    struct parked *parked = km_server_call_state(call);
    KM_ASSERT(parked->zero == 0);
    parked->zero = 1;
    parked->mail.run = on_released;
    km_server_call_hold(call);
    km_mutex_lock(&world->lock);
    KM_ASSERT(world->parked_count < WORLD_PARKED_MAX);
    world->parked[world->parked_count] = parked;
    km_mutex_unlock(&world->lock);
    world_count(world, &world->parked_count);
}

/* Answers every parked call, from this thread. */
static inline void world_release(struct world *world)
{
    km_mutex_lock(&world->lock);
    for (unsigned i = 0; i < world->parked_count; i++) {
        struct km_server_call *call = km_server_call_of_state(world->parked[i]);
        km_loop_post(km_server_call_loop(call), &world->parked[i]->mail);
    }
    world->parked_count = 0;
    km_mutex_unlock(&world->lock);
}

/* -- streams ------------------------------------------------------------- */

struct counting {
    uint32_t next;
    uint32_t end;
};

static inline void count_on(struct km_server_call *call)
{
    struct counting *counting = km_server_call_state(call);
    uint8_t message[COUNT_BYTES];
    while (counting->next < counting->end) {
        if (!km_server_call_writable(call)) {
            return;
        }
        memset(message, (int)counting->next, sizeof message);
        counting->next++;
        kama_status status = km_server_call_send(
            call, kama_bytes_make(message, COUNT_BYTES), NULL);
        if (status != KAMA_OK) {
            km_server_call_finish(call, status, NULL);
            return;
        }
    }
    km_server_call_finish(call, KAMA_OK, NULL);
}

static inline void on_count(struct km_server_call *call, kama_bytes message)
{
    char number[8] = {0};
    KM_ASSERT(message.len < sizeof number);
    memcpy(number, message.data, message.len);
    struct counting *counting = km_server_call_state(call);
    counting->end = (uint32_t)atoi(number);
    count_on(call);
}

static inline void on_chat(struct km_server_call *call, kama_bytes message)
{
    kama_status status = km_server_call_send(call, message, NULL);
    if (status != KAMA_OK || km_bytes_eq(message, KM_LIT("bye"))) {
        km_server_call_finish(call, status, NULL);
        KM_ASSERT(km_server_call_send(call, message, NULL) == KAMA_ERR_CLOSED);
    }
}

static inline void on_chat_half_close(struct km_server_call *call)
{
    struct world *world = world_of(call);
    km_server_call_finish(call, KAMA_OK, NULL);
    world_count(world, &world->half_closed);
}

static const struct km_server_method world_methods[] = {
    {.path = "/t/Echo", .kind = KM_RPC_UNARY, .on_message = on_echo},
    {.path = "/t/Where", .kind = KM_RPC_UNARY, .on_message = on_where},
    {.path = "/t/Fail", .kind = KM_RPC_UNARY, .on_message = on_fail},
    {.path = "/t/Park",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct parked),
     .on_message = on_park,
     .on_cancel = on_any_cancel},
    {.path = "/t/Count",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct counting),
     .on_message = on_count,
     .on_writable = count_on,
     .on_cancel = on_any_cancel},
    {.path = "/t/Chat",
     .kind = KM_RPC_BIDI_STREAM,
     .on_message = on_chat,
     .on_half_close = on_chat_half_close,
     .on_cancel = on_any_cancel},
};

/* -- life ---------------------------------------------------------------- */

#define WORLD_HINT "gRPC lives here"

struct world_options {
    const kama_allocator *mem;
    unsigned loops; /* 0: 1 */
    unsigned max_connections;
    uint64_t held_bytes_max;
    int64_t stall_ms;
    const struct km_clock *clock;           /* NULL: the machine's */
    const struct km_server_method *methods; /* NULL: world_methods */
    size_t method_count;
    enum km_server_company company;
    size_t conn_state_bytes;
    void (*on_conn_end)(void *arg, void *conn_state);
};

static inline const struct km_clock *world_clock(
    const struct world_options *options)
{
    return options->clock != NULL ? options->clock : km_clock_system();
}

static inline kama_status world_open_server(struct world *world,
                                            const struct world_options *options)
{
    struct km_server_options server = {
        .mem = options->mem,
        .clock = world_clock(options),
        .loops = world->loops,
        .loop_count = world->loop_count,
        .methods = options->methods != NULL ? options->methods : world_methods,
        .method_count = options->methods != NULL
                            ? options->method_count
                            : sizeof world_methods / sizeof world_methods[0],
        .company = options->company,
        .conn_state_bytes = options->conn_state_bytes,
        .on_conn_end = options->on_conn_end,
        .arg = world,
        .held_bytes_max = options->held_bytes_max,
        .stall_ms = options->stall_ms,
        .max_connections = options->max_connections,
        .http1_hint = WORLD_HINT,
    };
    kama_status status = km_server_new(&server, &world->server);
    if (status != KAMA_OK) {
        return status;
    }
    assert_null(km_server_address(world->server));
    status = km_server_listen(world->server, "127.0.0.1:0");
    if (status == KAMA_OK) {
        snprintf(world->address, sizeof world->address, "%s",
                 km_server_address(world->server));
    }
    return status;
}

static inline kama_status world_init(struct world *world,
                                     const struct world_options *options)
{
    *world =
        (struct world){.loop_count = options->loops > 0 ? options->loops : 1};
    assert_true(km_mutex_init(&world->lock, KM_RANK_NODE));
    assert_true(km_cond_init(&world->cond));
    for (unsigned i = 0; i < world->loop_count; i++) {
        assert_int_equal(
            km_loop_new(NULL, world_clock(options), i, &world->loops[i]),
            KAMA_OK);
        assert_int_equal(km_loop_start(world->loops[i]), KAMA_OK);
    }
    return world_open_server(world, options);
}

static inline void world_start(struct world *world)
{
    assert_int_equal(world_init(world, &(struct world_options){.loops = 1}),
                     KAMA_OK);
}

static inline void on_world_drained(void *arg, unsigned cut)
{
    struct world *world = arg;
    km_mutex_lock(&world->lock);
    world->drained = true;
    world->cut = cut;
    km_cond_broadcast(&world->cond);
    km_mutex_unlock(&world->lock);
}

static inline void world_wait_drained(struct world *world)
{
    km_ns until = world_patience();
    km_mutex_lock(&world->lock);
    while (!world->drained) {
        if (!km_cond_wait_until(&world->cond, &world->lock, until)) {
            fail_msg("%s", "the drain did not end");
        }
    }
    km_mutex_unlock(&world->lock);
}

static inline uint64_t world_metric(const struct world *world, unsigned row)
{
    return km_metric_read(km_server_metrics(world->server), row);
}

/* Waits until the row has reached n, because an answer may reach the client
 * before it is counted. */
static inline void world_wait_metric(const struct world *world, unsigned row,
                                     uint64_t n)
{
    km_ns until = world_patience();
    while (world_metric(world, row) != n) {
        if (km_clock_mono(km_clock_system()) > until) {
            fail_msg("row %u is %llu", row,
                     (unsigned long long)world_metric(world, row));
        }
        sched_yield();
    }
}

/* Returns how many calls of all methods have ended with any code. */
static inline uint64_t world_ended(const struct world *world)
{
    uint64_t sum = 0;
    static struct km_server_figures_sum figures;
    for (size_t row = 0; row < km_server_figures_rows(world->server); row++) {
        if (!km_server_figures_read(world->server, row, &figures)) {
            continue;
        }
        uint64_t of_row = 0;
        for (unsigned code = 0; code < KM_STATUS_GRPC_CODES; code++) {
            of_row += figures.codes[code];
        }
        assert_int_equal(km_histogram_count(&figures.times), of_row);
        sum += of_row;
    }
    return sum;
}

static inline void world_free(struct world *world)
{
    for (unsigned i = 0; i < world->loop_count; i++) {
        km_loop_stop(world->loops[i]);
        km_loop_join(world->loops[i]);
    }
    km_server_free(world->server);
    for (unsigned i = 0; i < world->loop_count; i++) {
        km_loop_free(world->loops[i]);
    }
    km_cond_fini(&world->cond);
    km_mutex_fini(&world->lock);
}

/* Drains, unless a test did, and checks that nothing is left over. */
static inline void world_fini(struct world *world)
{
    if (world->server != NULL && !world->drained) {
        km_server_drain(world->server, 5000, on_world_drained, world);
        world_wait_drained(world);
    }
    if (world->server != NULL) {
        assert_int_equal(world_metric(world, KM_SERVER_M_CONNECTIONS), 0);
        assert_int_equal(world_metric(world, KM_SERVER_M_CALLS_RUNNING), 0);
        assert_int_equal(world_metric(world, KM_SERVER_M_HELD_BYTES), 0);
        assert_int_equal(world_metric(world, KM_SERVER_M_CALLS),
                         world_ended(world));
    }
    world_free(world);
}
