/* SPDX-License-Identifier: MIT */
/*
 * A stream of this node, from its first to its last event:
 *
 *     OPEN --the call ends--> km_sync_out_closed --+--> channel closed --> freed
 *       +------ hang_up (no event follows) --------+
 *
 * The channel ends its call with an event later, never from inside, so nothing here
 * calls the machine back while it is in one of these functions.
 */
#include "node/sync_streams.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "net/loop.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"

#define SYNC_PATH "/kama.peer.v1.Peer/Sync"

struct km_sync_streams {
    struct km_sync_streams_options o;
    struct km_sync *sync;
    struct km_list arrivals; /* of arrival.node */
    unsigned open;           /* channels that are not freed yet */
    bool refuses;            /* streams of other nodes */
    bool stops;              /* `stopped` is to be told */
};

/* The stream to a member. */
struct departure {
    struct km_sync_streams *streams;
    struct km_sync_out
        *out; /* NULL: the machine has hung up, or knows its end */
    struct km_channel *channel;
    struct km_channel_call *call; /* NULL: it has ended */
    kama_status failure;          /* of a message that could not be sent */
    char text[KM_ERROR_BYTES_MAX];
};

/* The stream of another node. */
struct arrival {
    struct km_list node;
    struct km_sync_streams *streams;
    struct km_peer_stream *stream;
    struct km_sync_in *in;
    bool refused;
};

/* -- time ------------------------------------------------------------------ */

static km_ns now(void *arg)
{
    return km_loop_now(((struct km_sync_streams *)arg)->o.loop);
}

static uint64_t wall_ms(void *arg)
{
    const struct km_clock *clock = ((struct km_sync_streams *)arg)->o.clock;
    return clock->wall_ms(clock->arg);
}

static void arm(void *arg, struct km_timer *timer, km_ns at)
{
    km_loop_timer_arm(((struct km_sync_streams *)arg)->o.loop, timer, at);
}

static void disarm(void *arg, struct km_timer *timer)
{
    km_loop_timer_disarm(((struct km_sync_streams *)arg)->o.loop, timer);
}

/* -- streams of this node ---------------------------------------------------- */

static void look_stopped(struct km_sync_streams *streams)
{
    if (streams->stops && streams->open == 0) {
        streams->stops = false;
        streams->o.stopped(streams->o.arg);
    }
}

static void on_freed(void *arg)
{
    struct departure *d = arg;
    struct km_sync_streams *streams = d->streams;
    km_mem_free(streams->o.mem, d);
    streams->open--;
    look_stopped(streams);
}

static void on_message(void *arg, kama_bytes message)
{
    struct departure *d = arg;
    struct km_sync_streams *streams = d->streams;
    streams->o.woke(streams->o.arg);
    if (d->out != NULL) {
        km_sync_out_message(d->out, message);
        streams->o.moved(streams->o.arg);
    }
}

static void on_writable(void *arg)
{
    struct departure *d = arg;
    d->streams->o.woke(d->streams->o.arg);
    if (d->out != NULL) {
        km_sync_out_writable(d->out);
    }
}

/* A message that could not be sent says more than the cancelled call. */
static void on_end(void *arg, const struct km_channel_result *result)
{
    struct departure *d = arg;
    struct km_sync_out *out = d->out;
    bool failed = d->failure != KAMA_OK;
    d->call = NULL;
    if (out == NULL) {
        return;
    }
    d->out = NULL;
    km_channel_close(d->channel, on_freed, d);
    km_sync_out_closed(out, failed ? d->failure : result->status,
                       failed ? d->text : result->text);
}

static const struct km_channel_call_ops call_ops = {
    .on_message = on_message, .on_end = on_end, .on_writable = on_writable};

static kama_status open_channel(struct departure *d, const char *address)
{
    const struct km_channel_options options = {
        .mem = d->streams->o.mem,
        .clock = d->streams->o.clock,
        .address = address,
        .max_message_bytes = KM_SYNC_FRAME_BYTES,
        .connect_timeout_ms = KM_SYNC_SILENT_MS,
        .keepalive_ms = KM_RPC_PEER_PING_MS,
        .keepalive_timeout_ms = KM_RPC_PEER_PING_TIMEOUT_MS,
        .keepalive = KM_CHANNEL_KEEPALIVE_CALLS};
    return km_channel_new(d->streams->o.loop, &options, &d->channel);
}

static kama_status open_call(struct departure *d)
{
    const struct km_channel_call_options options = {
        .path = SYNC_PATH,
        .deadline = KM_NS_NEVER,
        .repeat = KM_CHANNEL_REPEAT_NEVER};
    return km_channel_call_new(d->channel, &options, &call_ops, d, &d->call);
}

static kama_status dial(void *arg, struct km_sync_out *out, const char *address,
                        void **ret_use)
{
    struct km_sync_streams *streams = arg;
    struct departure *d = km_mem_zalloc(streams->o.mem, 1, sizeof *d);
    if (d == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    d->streams = streams;
    kama_status status = open_channel(d, address);
    if (status != KAMA_OK) {
        km_mem_free(streams->o.mem, d);
        return status;
    }
    streams->open++;
    status = open_call(d);
    if (status != KAMA_OK) {
        km_channel_close(d->channel, on_freed, d);
        return status;
    }
    d->out = out;
    *ret_use = d;
    return KAMA_OK;
}

static void hang_up(void *arg, void *use)
{
    struct departure *d = use;
    (void)arg;
    KM_ASSERT(d->out != NULL);
    d->out = NULL;
    km_channel_close(d->channel, on_freed, d);
}

static kama_status send_message(void *arg, void *use, kama_bytes head,
                                kama_value *body)
{
    struct departure *d = use;
    (void)arg;
    if (d->call == NULL || d->failure != KAMA_OK) {
        return KAMA_ERR_CLOSED;
    }
    km_last_error_clear();
    kama_status status = km_channel_call_send_parts(d->call, head, body);
    if (status != KAMA_OK) {
        d->failure = status;
        (void)km_text_printf(d->text, sizeof d->text, "%s", km_last_error());
        km_channel_call_cancel(d->call);
    }
    return status;
}

/* The question makes the call say when there is room again. */
static bool can_send(void *arg, void *use)
{
    struct departure *d = use;
    (void)arg;
    return d->call != NULL && d->failure == KAMA_OK &&
           (km_channel_call_queued_bytes(d->call) < KM_SYNC_QUEUED_BYTES ||
            km_channel_call_writable(d->call));
}

/* -- streams of other nodes -------------------------------------------------- */

static struct km_loop *loop_of(void *sync)
{
    return ((struct km_sync_streams *)sync)->o.loop;
}

static void refuse(void *arg, void *in_use, kama_status status,
                   const char *text)
{
    struct arrival *arrival = in_use;
    (void)arg;
    arrival->refused = true;
    km_peer_stream_refuse(arrival->stream, status, text);
}

static void reply(void *arg, void *in_use, kama_bytes message)
{
    struct arrival *arrival = in_use;
    (void)arg;
    km_peer_stream_reply(arrival->stream, message);
}

static void refuse_stopping(struct arrival *arrival)
{
    refuse(NULL, arrival, KAMA_ERR_CLOSED, "this node stops");
}

static void *begin(void *sync, struct km_peer_stream *stream)
{
    struct km_sync_streams *streams = sync;
    struct arrival *arrival = km_mem_zalloc(streams->o.mem, 1, sizeof *arrival);
    if (arrival == NULL) {
        return NULL;
    }
    arrival->streams = streams;
    arrival->stream = stream;
    arrival->in = km_sync_in_new(streams->sync, arrival);
    if (arrival->in == NULL) {
        km_mem_free(streams->o.mem, arrival);
        return NULL;
    }
    km_list_push_back(&streams->arrivals, &arrival->node);
    if (streams->refuses) {
        refuse_stopping(arrival);
    }
    return arrival;
}

static void deliver(void *sync, void *in, kama_bytes message)
{
    struct km_sync_streams *streams = sync;
    struct arrival *arrival = in;
    streams->o.woke(streams->o.arg);
    if (!arrival->refused) {
        km_sync_in_message(arrival->in, message);
        streams->o.moved(streams->o.arg);
    }
}

static void end(void *sync, void *in)
{
    struct km_sync_streams *streams = sync;
    struct arrival *arrival = in;
    km_sync_in_free(arrival->in);
    km_list_remove(&arrival->node);
    km_mem_free(streams->o.mem, arrival);
}

const struct km_service_sync_ops km_sync_streams_ops = {
    .loop = loop_of,
    .begin = begin,
    .message = deliver,
    .end = end,
};

/* -- life ------------------------------------------------------------------ */

kama_status km_sync_streams_new(const struct km_sync_streams_options *options,
                                struct km_sync_streams **ret_streams)
{
    struct km_sync_streams *streams =
        km_mem_zalloc(options->mem, 1, sizeof *streams);
    if (streams == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    streams->o = *options;
    km_list_init(&streams->arrivals);
    *ret_streams = streams;
    return KAMA_OK;
}

void km_sync_streams_free(struct km_sync_streams *streams)
{
    if (streams == NULL) {
        return;
    }
    KM_ASSERT(streams->open == 0 && km_list_empty(&streams->arrivals));
    km_mem_free(streams->o.mem, streams);
}

struct km_sync_env km_sync_streams_env(struct km_sync_streams *streams)
{
    return (struct km_sync_env){
        .now = now,
        .wall_ms = wall_ms,
        .arm = arm,
        .disarm = disarm,
        .dial = dial,
        .send = send_message,
        .can_send = can_send,
        .hang_up = hang_up,
        .reply = reply,
        .refuse = refuse,
        .arg = streams,
    };
}

void km_sync_streams_bind(struct km_sync_streams *streams, struct km_sync *sync)
{
    streams->sync = sync;
}

void km_sync_streams_refuse(struct km_sync_streams *streams)
{
    struct km_list *node;
    struct km_list *tmp;
    streams->refuses = true;
    KM_LIST_FOREACH(node, tmp, &streams->arrivals) {
        refuse_stopping(KM_CONTAINER_OF(node, struct arrival, node));
    }
}

void km_sync_streams_stop(struct km_sync_streams *streams)
{
    streams->stops = true;
    look_stopped(streams);
}
