/* SPDX-License-Identifier: MIT */
/*
 * Streams of mutations on a virtual network (sim/net.h): the table that the machine of
 * sync/sync.h sends by. A stream is one connection with an ordered way in each
 * direction:
 *
 *     machine of A --send--> | m1 | m2 | m3 |  --km_sync_in_message--> machine of B
 *                  <-------- |      acks     | <--reply--
 *
 *     struct sim_streams streams;
 *     sim_streams_init(&streams, &net);
 *     streams.begin = begin;                 says which machine gets a stream
 *     sim_streams_env(&streams, node, &options.env);
 *
 * While a way is blocked its messages wait, as those of TCP do, and arrive in their order
 * when it is open again. So do those for a node that stands still. A stream that was
 * hung up may lose what is under way, or the other node may still receive it, although it
 * has got a newer stream meanwhile. When a node has gone or a connection was cut,
 * both ends hear of it.
 *
 * The messages that have not arrived count as waiting at the sender, and no more of them
 * may be sent when they have KM_SYNC_QUEUED_BYTES.
 *
 * Threads: one. Errors: the memory is malloc's, which must not fail. Ownership: the
 * streams belong to the network, which frees them when both ends have left.
 */
#pragma once

#include "base/limits.h"
#include "sim/net.h"
#include "sync/sync.h"
#include "wire/msg/peer.h"

#define SIM_DIAL_SPAN (2 * KM_NS_PER_S)
#define SIM_RETRY_SPAN (20 * KM_NS_PER_MS)

struct sim_streams;

/* One direction of a stream. */
struct sim_pipe {
    struct km_list messages;
    km_ns last;      /* the time at which the newest message arrives */
    bool is_running; /* an event will deliver the first message */
    bool has_ended;  /* nothing is put into it any more */
};

struct sim_message {
    struct km_list node;
    km_ns at;
    bool is_end;
    kama_status status; /* of the end */
    char text[64];
    struct km_buf bytes;
};

struct sim_stream {
    struct km_list node;
    struct sim_streams *streams;
    struct sim_node *from;
    struct sim_node *to;     /* NULL: nobody listens at the address */
    struct km_sync_out *out; /* NULL: the dialler has left */
    struct km_sync_in *in;   /* NULL: it was not accepted, or has ended */
    struct sim_pipe there;
    struct sim_pipe back;
    size_t waiting;   /* bytes that have not arrived */
    bool is_refused;  /* by the machine of the other end */
    bool is_accepted; /* its first message has arrived */
    bool is_full;     /* the dialler waits until it may send */
    unsigned events;  /* that will come back to it */
    km_ns dialled_at;
};

struct sim_streams {
    struct sim_net *net;
    struct km_list list;
    /* Returns the machine that a stream is for, if its first message is welcome.
     * Otherwise writes why it is not. */
    struct km_sync *(*begin)(void *arg, struct sim_node *to, kama_bytes message,
                             kama_status *ret_status);
    void *arg;
    bool blocked[SIM_NODES]
                [SIM_NODES]; /* [from][to]: besides those of the network */
    uint64_t messages, bytes;
    size_t most_waiting;
    size_t open; /* streams that exist */
};

/* -- the life of a stream --------------------------------------------------- */

static inline void sim_message_free(struct sim_message *message)
{
    km_buf_fini(&message->bytes);
    free(message);
}

static inline void sim_pipe_clear(struct sim_pipe *pipe)
{
    struct km_list *first;
    while ((first = km_list_pop_front(&pipe->messages)) != NULL) {
        sim_message_free(KM_CONTAINER_OF(first, struct sim_message, node));
    }
}

static inline void sim_stream_drop(struct sim_stream *s)
{
    if (s->events > 0 || s->out != NULL || s->in != NULL) {
        return;
    }
    sim_pipe_clear(&s->there);
    sim_pipe_clear(&s->back);
    km_list_remove(&s->node);
    s->streams->open--;
    free(s);
}

/* Returns whether messages of a stream pass between two nodes. */
static inline bool sim_is_open(const struct sim_streams *streams,
                               const struct sim_node *from,
                               const struct sim_node *to)
{
    return !streams->blocked[from->index][to->index] &&
           from->health != SIM_SILENT && to->health != SIM_SILENT &&
           !from->net->blocked[from->index][to->index];
}

/* -- the ways --------------------------------------------------------------- */

static inline void sim_on_pipe_there(void *a, void *b);
static inline void sim_on_pipe_back(void *a, void *b);

/* Lets an event deliver the first message of a way, which is due at a time. */
static inline void sim_pipe_run(struct sim_stream *s, struct sim_pipe *pipe,
                                km_ns at)
{
    bool is_there = pipe == &s->there;
    pipe->is_running = true;
    s->events++;
    sim_at_node(s->streams->net, is_there ? s->to : s->from, at,
                is_there ? sim_on_pipe_there : sim_on_pipe_back, s, NULL);
}

static inline struct sim_message *sim_pipe_put(struct sim_stream *s,
                                               struct sim_pipe *pipe)
{
    struct sim_message *message = calloc(1, sizeof *message);
    struct sim_net *net = s->streams->net;
    KM_ASSERT(message != NULL);
    km_buf_init(&message->bytes, km_mem_default(), SIZE_MAX);
    message->at = sim_net_now(net) + sim_way(s->from, s->to);
    message->at = message->at > pipe->last ? message->at : pipe->last;
    pipe->last = message->at;
    km_list_push_back(&pipe->messages, &message->node);
    if (!pipe->is_running) {
        sim_pipe_run(s, pipe, message->at);
    }
    return message;
}

static inline void sim_pipe_end(struct sim_stream *s, struct sim_pipe *pipe,
                                kama_status status, const char *text)
{
    if (!pipe->has_ended) {
        struct sim_message *message = sim_pipe_put(s, pipe);
        pipe->has_ended = true;
        message->is_end = true;
        message->status = status;
        (void)snprintf(message->text, sizeof message->text, "%s", text);
    }
}

/* Loses what is under way, except the end. */
static inline void sim_pipe_cut(struct sim_stream *s, struct sim_pipe *pipe,
                                kama_status status, const char *text)
{
    sim_pipe_clear(pipe);
    pipe->has_ended = false;
    sim_pipe_end(s, pipe, status, text);
}

/* Takes the first message of a way, if it may arrive now. */
static inline struct sim_message *sim_pipe_take(struct sim_stream *s,
                                                struct sim_pipe *pipe,
                                                const struct sim_node *from,
                                                const struct sim_node *to)
{
    km_ns now = sim_net_now(s->streams->net);
    struct km_list *first = km_list_first(&pipe->messages);
    pipe->is_running = false;
    s->events--;
    if (first == NULL) {
        return NULL;
    }
    struct sim_message *message =
        KM_CONTAINER_OF(first, struct sim_message, node);
    if (message->at > now) {
        sim_pipe_run(s, pipe, message->at);
        return NULL;
    }
    if (to != NULL && !sim_is_open(s->streams, from, to)) {
        sim_pipe_run(s, pipe, now + SIM_RETRY_SPAN);
        return NULL;
    }
    (void)km_list_pop_front(&pipe->messages);
    first = km_list_first(&pipe->messages);
    if (first != NULL) {
        sim_pipe_run(s, pipe,
                     KM_CONTAINER_OF(first, struct sim_message, node)->at);
    }
    return message;
}

/* -- the end of a stream ----------------------------------------------------- */

/* The accepting end leaves. */
static inline void sim_stream_leave_in(struct sim_stream *s)
{
    if (s->in != NULL) {
        km_sync_in_free(s->in);
        s->in = NULL;
    }
}

/* The dialling end is told. */
static inline void sim_stream_leave_out(struct sim_stream *s,
                                        kama_status status, const char *text)
{
    struct km_sync_out *out = s->out;
    s->out = NULL;
    if (out != NULL) {
        km_sync_out_closed(out, status, text);
    }
}

/* -- from the dialler -------------------------------------------------------- */

static inline void sim_stream_on_writable(void *a, void *b)
{
    struct sim_stream *s = a;
    (void)b;
    s->events--;
    if (s->out != NULL && s->waiting < KM_SYNC_QUEUED_BYTES && s->is_full) {
        s->is_full = false;
        km_sync_out_writable(s->out);
    }
    sim_stream_drop(s);
}

static inline void sim_stream_arrived(struct sim_stream *s, size_t len)
{
    s->waiting -= len;
    if (s->is_full && s->waiting < KM_SYNC_QUEUED_BYTES && s->out != NULL) {
        s->events++;
        sim_at_node(s->streams->net, s->from, sim_net_now(s->streams->net),
                    sim_stream_on_writable, s, NULL);
    }
}

/* The first message decides which machine gets the stream, if any does. */
static inline void sim_stream_accept(struct sim_stream *s, kama_bytes message)
{
    kama_status status = KAMA_ERR_DISCONNECTED;
    struct km_sync *sync = NULL;
    s->is_accepted = true;
    if (s->to->health != SIM_DOWN) {
        sync = s->streams->begin(s->streams->arg, s->to, message, &status);
    }
    if (sync != NULL) {
        s->in = km_sync_in_new(sync, s);
        KM_ASSERT(s->in != NULL);
    } else {
        sim_pipe_end(s, &s->back, status, "it was not admitted");
    }
}

static inline void sim_on_pipe_there(void *a, void *b)
{
    struct sim_stream *s = a;
    struct sim_message *message = sim_pipe_take(s, &s->there, s->from, s->to);
    (void)b;
    if (message == NULL) {
        sim_stream_drop(s);
        return;
    }
    kama_bytes bytes = km_buf_bytes(&message->bytes);
    s->events++; /* it stays until this has returned */
    if (message->is_end) {
        sim_stream_leave_in(s);
    } else {
        sim_stream_arrived(s, bytes.len);
        if (!s->is_accepted) {
            sim_stream_accept(s, bytes);
        }
        if (s->in != NULL && !s->is_refused) {
            km_sync_in_message(s->in, bytes);
        }
        if (s->is_refused) {
            sim_stream_leave_in(s);
        }
    }
    s->events--;
    sim_message_free(message);
    sim_stream_drop(s);
}

static inline void sim_on_pipe_back(void *a, void *b)
{
    struct sim_stream *s = a;
    struct sim_message *message =
        sim_pipe_take(s, &s->back, s->to != NULL ? s->to : s->from, s->from);
    (void)b;
    if (message == NULL) {
        sim_stream_drop(s);
        return;
    }
    s->events++;
    if (s->from->health == SIM_DOWN) {
        s->out = NULL;
    } else if (message->is_end) {
        sim_stream_leave_out(s, message->status, message->text);
    } else if (s->out != NULL) {
        km_sync_out_message(s->out, km_buf_bytes(&message->bytes));
    }
    s->events--;
    sim_message_free(message);
    sim_stream_drop(s);
}

/* A dial that nothing came of ends. */
static inline void sim_on_dial_span(void *a, void *b)
{
    struct sim_stream *s = a;
    (void)b;
    s->events--;
    if (!s->is_accepted) {
        sim_stream_leave_out(s, KAMA_ERR_TIMEOUT, "deadline exceeded");
        sim_pipe_end(s, &s->there, KAMA_OK, "");
        s->is_accepted = true; /* what is under way reaches nobody */
    }
    sim_stream_drop(s);
}

/* -- the table of the machine ------------------------------------------------- */

/* The world of one node. */
struct sim_streams_node {
    struct sim_streams *streams;
    struct sim_node *node;
};

static inline km_ns sim_streams_now(void *arg)
{
    return sim_now(((struct sim_streams_node *)arg)->node);
}

static inline uint64_t sim_streams_wall_ms(void *arg)
{
    return sim_wall_ms(((struct sim_streams_node *)arg)->node);
}

static inline void sim_streams_arm(void *arg, struct km_timer *timer, km_ns at)
{
    sim_arm_timer(((struct sim_streams_node *)arg)->node, 0, timer, at);
}

static inline void sim_streams_disarm(void *arg, struct km_timer *timer)
{
    sim_disarm(((struct sim_streams_node *)arg)->node, 0, timer);
}

static inline void sim_on_no_listener(void *a, void *b)
{
    struct sim_stream *s = a;
    (void)b;
    s->events--;
    sim_stream_leave_out(s, KAMA_ERR_DISCONNECTED, "connection refused");
    sim_stream_drop(s);
}

static inline kama_status sim_streams_dial(void *arg, struct km_sync_out *out,
                                           const char *address, void **ret_use)
{
    struct sim_streams_node *self = arg;
    struct sim_net *net = self->streams->net;
    struct sim_stream *s = calloc(1, sizeof *s);
    KM_ASSERT(s != NULL);
    s->streams = self->streams;
    s->from = self->node;
    s->to = sim_find(net, address);
    s->out = out;
    s->dialled_at = sim_net_now(net);
    km_list_init(&s->there.messages);
    km_list_init(&s->back.messages);
    km_list_push_back(&self->streams->list, &s->node);
    self->streams->open++;
    s->events++;
    if (s->to == NULL || s->to->health == SIM_DOWN) {
        s->to = NULL;
        s->is_accepted = true;
        sim_at_node(net, s->from, sim_net_now(net) + sim_delay(net),
                    sim_on_no_listener, s, NULL);
    } else {
        sim_at_node(net, s->from, sim_net_now(net) + SIM_DIAL_SPAN,
                    sim_on_dial_span, s, NULL);
    }
    *ret_use = s;
    return KAMA_OK;
}

static inline kama_status sim_streams_send(void *arg, void *use,
                                           kama_bytes head, kama_value *body)
{
    struct sim_streams *streams = ((struct sim_streams_node *)arg)->streams;
    struct sim_stream *s = use;
    kama_bytes rest =
        body != NULL ? kama_value_bytes(body) : kama_bytes_make(NULL, 0);
    if (s->to == NULL || s->there.has_ended) {
        return KAMA_OK; /* its end is under way */
    }
    struct sim_message *message = sim_pipe_put(s, &s->there);
    KM_ASSERT(km_buf_append(&message->bytes, head.data, head.len) == KAMA_OK &&
              km_buf_append(&message->bytes, rest.data, rest.len) == KAMA_OK);
    s->waiting += head.len + rest.len;
    streams->messages++;
    streams->bytes += head.len + rest.len;
    if (s->waiting > streams->most_waiting) {
        streams->most_waiting = s->waiting;
    }
    return KAMA_OK;
}

static inline bool sim_streams_can_send(void *arg, void *use)
{
    struct sim_stream *s = use;
    (void)arg;
    s->is_full = s->waiting >= KM_SYNC_QUEUED_BYTES;
    return !s->is_full;
}

static inline void sim_streams_hang_up(void *arg, void *use)
{
    struct sim_stream *s = use;
    (void)arg;
    s->out = NULL;
    if (s->to != NULL) {
        if (sim_chance(s->streams->net->world, 500)) {
            sim_pipe_cut(s, &s->there, KAMA_OK, "");
        }
        sim_pipe_end(s, &s->there, KAMA_OK, "");
    }
    sim_stream_drop(s);
}

static inline void sim_streams_reply(void *arg, void *in_use,
                                     kama_bytes message)
{
    struct sim_stream *s = in_use;
    (void)arg;
    if (!s->back.has_ended) {
        struct sim_message *m = sim_pipe_put(s, &s->back);
        KM_ASSERT(km_buf_append(&m->bytes, message.data, message.len) ==
                  KAMA_OK);
    }
}

static inline void sim_on_refused(void *a, void *b)
{
    struct sim_stream *s = a;
    (void)b;
    s->events--;
    sim_stream_leave_in(s);
    sim_stream_drop(s);
}

static inline void sim_streams_refuse(void *arg, void *in_use,
                                      kama_status status, const char *text)
{
    struct sim_stream *s = in_use;
    struct sim_net *net = s->streams->net;
    (void)arg;
    s->is_refused = true;
    sim_pipe_end(s, &s->back, status, text);
    s->events++;
    sim_at(net, sim_net_now(net), sim_on_refused, s, NULL);
}

static inline void sim_streams_env(struct sim_streams_node *self,
                                   struct km_sync_env *ret_env)
{
    *ret_env = (struct km_sync_env){.now = sim_streams_now,
                                    .wall_ms = sim_streams_wall_ms,
                                    .arm = sim_streams_arm,
                                    .disarm = sim_streams_disarm,
                                    .dial = sim_streams_dial,
                                    .send = sim_streams_send,
                                    .can_send = sim_streams_can_send,
                                    .hang_up = sim_streams_hang_up,
                                    .reply = sim_streams_reply,
                                    .refuse = sim_streams_refuse,
                                    .arg = self};
}

/* -- the network --------------------------------------------------------------- */

static inline void sim_streams_init(struct sim_streams *streams,
                                    struct sim_net *net)
{
    *streams = (struct sim_streams){.net = net};
    km_list_init(&streams->list);
}

/* Breaks a connection: what is under way is lost, and both ends hear of it. */
static inline void sim_stream_break(struct sim_stream *s)
{
    if (s->to == NULL) {
        return;
    }
    s->waiting = 0;
    sim_pipe_cut(s, &s->there, KAMA_OK, "");
    sim_pipe_cut(s, &s->back, KAMA_ERR_DISCONNECTED, "the connection was lost");
}

/* Breaks the streams from and to a node; those with one other node, or with all
 * (NULL). */
static inline void sim_streams_cut(struct sim_streams *streams,
                                   const struct sim_node *node,
                                   const struct sim_node *other)
{
    struct km_list *at;
    struct km_list *tmp;
    KM_LIST_FOREACH(at, tmp, &streams->list) {
        struct sim_stream *s = KM_CONTAINER_OF(at, struct sim_stream, node);
        if ((s->from == node && (other == NULL || s->to == other)) ||
            (s->to == node && (other == NULL || s->from == other))) {
            sim_stream_break(s);
        }
    }
}

/* The process of a node has gone. Its machine, which was closed, forgets the streams of
 * the others, and they hear of the end. */
static inline void sim_streams_gone(struct sim_streams *streams,
                                    const struct sim_node *node)
{
    struct km_list *at;
    struct km_list *tmp;
    KM_LIST_FOREACH(at, tmp, &streams->list) {
        struct sim_stream *s = KM_CONTAINER_OF(at, struct sim_stream, node);
        if (s->to == node) {
            s->events++;
            sim_stream_leave_in(s);
            sim_stream_break(s);
            s->events--;
            sim_stream_drop(s);
        }
    }
}

/* Everything has ended. */
static inline void sim_streams_fini(struct sim_streams *streams)
{
    KM_ASSERT(streams->open == 0);
}
