/* SPDX-License-Identifier: MIT */
/*
 * `load` counts the bytes that are under way to the node. Its highest bit says that
 * the call is paused and waits for room. Whoever takes that bit away acts for it: the
 * node with a mail, or the call itself, if the node has applied everything in the
 * moment between the count and the bit.
 */
#include "services/peer_sync.h"

#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "rpc/server_call.h"
#include "services/peer_source.h"
#include "services/service.h"
#include "wire/msg/peer.h"

#include <stdatomic.h>
#include <string.h>

#define WAITS_FOR_ROOM ((uint64_t)1 << 63)
#define LOW_BYTES (KM_SYNC_QUEUED_BYTES / 2)

struct km_peer_stream {
    struct km_service_env *env;
    struct km_server_call *call; /* held */
    struct km_service_sync sync;
    struct km_loop *call_loop;
    struct km_loop *sync_loop;
    _Atomic uint64_t load;
    struct km_mail end_mail;    /* to the node, the last one */
    struct km_mail room_mail;   /* to the call */
    struct km_mail refuse_mail; /* to the call, once */
    struct km_mail gone_mail;   /* to the call, the last one */
    /* -- the node's -- */
    bool has_begun;
    bool refused; /* why and text are written */
    void *in;     /* NULL: not begun, or without memory */
    kama_status why;
    char text[KM_ERROR_BYTES_MAX];
};

/* A message under way in either direction. */
struct parcel {
    struct km_mail mail;
    struct km_peer_stream *stream;
    size_t len;
    uint8_t bytes[];
};

/* Returns a copy of the message as a mail, or NULL without memory. */
static struct parcel *parcel_new(struct km_peer_stream *stream,
                                 kama_bytes message,
                                 void (*run)(struct km_mail *mail))
{
    struct parcel *parcel =
        km_mem_alloc(stream->env->mem, sizeof *parcel + message.len);
    if (parcel == NULL) {
        return NULL;
    }
    parcel->mail.run = run;
    parcel->stream = stream;
    parcel->len = message.len;
    if (message.len > 0) {
        memcpy(parcel->bytes, message.data, message.len);
    }
    return parcel;
}

static kama_bytes contents(const struct parcel *parcel)
{
    return kama_bytes_make(parcel->bytes, parcel->len);
}

/* -- on the loop of the node ------------------------------------------------ */

static void on_room(struct km_mail *mail);
static void on_refused(struct km_mail *mail);
static void on_gone(struct km_mail *mail);
static void on_reply(struct km_mail *mail);

void km_peer_stream_refuse(struct km_peer_stream *stream, kama_status status,
                           const char *text)
{
    if (stream->refused) {
        return;
    }
    stream->refused = true;
    stream->why = status;
    (void)km_text_printf(stream->text, sizeof stream->text, "%s",
                         text != NULL ? text : kama_strerror(status));
    stream->refuse_mail.run = on_refused;
    km_loop_post(stream->call_loop, &stream->refuse_mail);
}

void km_peer_stream_reply(struct km_peer_stream *stream, kama_bytes message)
{
    struct parcel *reply =
        stream->refused ? NULL : parcel_new(stream, message, on_reply);
    if (reply != NULL) {
        km_loop_post(stream->call_loop, &reply->mail);
    } else {
        km_peer_stream_refuse(stream, KAMA_ERR_NO_MEMORY, NULL);
    }
}

static void deliver(struct km_peer_stream *stream, kama_bytes message)
{
    const struct km_service_sync *sync = &stream->sync;
    if (!stream->has_begun) {
        stream->has_begun = true;
        stream->in = sync->ops->begin(sync->arg, stream);
        if (stream->in == NULL) {
            km_peer_stream_refuse(stream, KAMA_ERR_NO_MEMORY, NULL);
        }
    }
    if (!stream->refused) {
        sync->ops->message(sync->arg, stream->in, message);
    }
}

/* Counts bytes as applied, and lets a call that waits for that go on. */
static void give_room(struct km_peer_stream *stream, size_t bytes)
{
    uint64_t load = atomic_fetch_sub(&stream->load, bytes) - bytes;
    if ((load & WAITS_FOR_ROOM) != 0 && (load & ~WAITS_FOR_ROOM) <= LOW_BYTES &&
        (atomic_fetch_and(&stream->load, ~WAITS_FOR_ROOM) & WAITS_FOR_ROOM) !=
            0) {
        stream->room_mail.run = on_room;
        km_loop_post(stream->call_loop, &stream->room_mail);
    }
}

static void on_message(struct km_mail *mail)
{
    struct parcel *parcel = KM_CONTAINER_OF(mail, struct parcel, mail);
    struct km_peer_stream *stream = parcel->stream;
    size_t bytes = sizeof *parcel + parcel->len;
    if (!stream->refused) {
        deliver(stream, contents(parcel));
    }
    km_mem_free(stream->env->mem, parcel);
    give_room(stream, bytes);
}

static void on_end(struct km_mail *mail)
{
    struct km_peer_stream *stream =
        KM_CONTAINER_OF(mail, struct km_peer_stream, end_mail);
    struct km_service_env *env = stream->env;
    if (stream->in != NULL) {
        stream->sync.ops->end(stream->sync.arg, stream->in);
    }
    stream->gone_mail.run = on_gone;
    km_loop_post(stream->call_loop, &stream->gone_mail);
    km_service_env_unpark(env);
}

/* -- on the loop of the call ------------------------------------------------ */

/* The call has ended, or is about to: nothing more goes to the node. */
static void leave(struct km_server_call *call)
{
    struct km_service_peer_sync *state = km_server_call_state(call);
    struct km_peer_stream *stream = state->stream;
    if (stream != NULL) {
        state->stream = NULL;
        stream->end_mail.run = on_end;
        km_loop_post(stream->sync_loop, &stream->end_mail);
    }
}

static void finish(struct km_server_call *call, kama_status status,
                   const char *text)
{
    km_server_call_finish(call, status, text);
    leave(call);
}

static void on_room(struct km_mail *mail)
{
    struct km_peer_stream *stream =
        KM_CONTAINER_OF(mail, struct km_peer_stream, room_mail);
    km_server_call_resume_reading(stream->call);
}

static void on_refused(struct km_mail *mail)
{
    struct km_peer_stream *stream =
        KM_CONTAINER_OF(mail, struct km_peer_stream, refuse_mail);
    finish(stream->call, stream->why, stream->text);
}

static void on_reply(struct km_mail *mail)
{
    struct parcel *parcel = KM_CONTAINER_OF(mail, struct parcel, mail);
    struct km_peer_stream *stream = parcel->stream;
    kama_status status =
        km_server_call_send(stream->call, contents(parcel), NULL);
    if (status != KAMA_OK) {
        finish(stream->call, status, NULL);
    }
    km_mem_free(stream->env->mem, parcel);
}

static void on_gone(struct km_mail *mail)
{
    struct km_peer_stream *stream =
        KM_CONTAINER_OF(mail, struct km_peer_stream, gone_mail);
    struct km_server_call *call = stream->call;
    km_mem_free(stream->env->mem, stream);
    km_server_call_release(call);
}

/* Stops the messages while the node has too many of them. */
static void look_room(struct km_peer_stream *stream, uint64_t load)
{
    if (load < KM_SYNC_QUEUED_BYTES) {
        return;
    }
    load = atomic_fetch_or(&stream->load, WAITS_FOR_ROOM);
    if (load <= LOW_BYTES && (atomic_fetch_and(&stream->load, ~WAITS_FOR_ROOM) &
                              WAITS_FOR_ROOM) != 0) {
        return;
    }
    km_server_call_pause_reading(stream->call);
}

static void pass_on(struct km_server_call *call, kama_bytes message)
{
    const struct km_service_peer_sync *state = km_server_call_state(call);
    struct km_peer_stream *stream = state->stream;
    struct parcel *parcel = parcel_new(stream, message, on_message);
    if (parcel == NULL) {
        finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    size_t bytes = sizeof *parcel + message.len;
    uint64_t load = atomic_fetch_add(&stream->load, bytes) + bytes;
    km_loop_post(stream->sync_loop, &parcel->mail);
    look_room(stream, load);
}

static bool open_stream(struct km_server_call *call)
{
    struct km_service_env *env = km_service_env_of(call);
    struct km_service_peer_sync *state = km_server_call_state(call);
    struct km_peer_stream *stream = km_mem_zalloc(env->mem, 1, sizeof *stream);
    if (stream == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return false;
    }
    stream->env = env;
    stream->call = call;
    stream->sync = env->sync;
    stream->call_loop = km_server_call_loop(call);
    stream->sync_loop = env->sync.ops->loop(env->sync.arg);
    km_server_call_hold(call);
    km_service_env_park(env);
    state->stream = stream;
    return true;
}

/* Reads the sender in the first message. Returns false if there is none; the call is
 * finished then. */
static bool read_hello(struct km_server_call *call, kama_bytes message,
                       struct km_msg_sync_hello *hello)
{
    struct km_msg_sync_request request;
    if (!km_service_decode(call, &km_msg_sync_request_pb, message, &request)) {
        return false;
    }
    if (request.hello.len == 0) {
        km_server_call_finish(call, KAMA_ERR_MALFORMED,
                              "the first message of a stream needs `hello`");
        return false;
    }
    return km_service_decode(call, &km_msg_sync_hello_pb, request.hello, hello);
}

/* Admits the sender, and begins. Returns false, without an answer, if the sender is not
 * known and the Hello may still wait. */
static bool try_to_begin(struct km_server_call *call, kama_bytes message,
                         bool may_wait)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    struct km_msg_sync_hello hello;
    if (!read_hello(call, message, &hello)) {
        return true;
    }
    km_last_error_clear();
    kama_status status = peers->ops->admit(peers->arg, &hello.sender);
    if (status == KAMA_ERR_NOT_MEMBER && may_wait) {
        return false;
    }
    if (status != KAMA_OK) {
        km_service_fail(call, status);
    } else if (open_stream(call)) {
        km_server_call_trust_peer(call);
        pass_on(call, message);
    }
    return true;
}

/* -- a sender that is not known yet ------------------------------------------ */

static int64_t look(struct km_server_call *call, kama_bytes hello)
{
    const struct km_service_peer_sync *state = km_server_call_state(call);
    km_ns now = km_loop_now(km_server_call_loop(call));
    if (!try_to_begin(call, hello, now < state->until)) {
        return KM_SERVICE_SYNC_POLL_MS;
    }
    km_server_call_resume_reading(call);
    return 0;
}

static void wait_for_member(struct km_server_call *call, kama_bytes message)
{
    struct km_service_peer_sync *state = km_server_call_state(call);
    state->until = km_ns_after_ms(km_loop_now(km_server_call_loop(call)),
                                  KM_SERVICE_SYNC_WAIT_MS);
    if (km_waiting_call_start(&state->waiting, call, message,
                              KM_SERVICE_SYNC_POLL_MS, look)) {
        km_server_call_pause_reading(call);
    }
}

/* -- the method --------------------------------------------------------------- */

void km_service_peer_sync(struct km_server_call *call, kama_bytes message)
{
    const struct km_service_env *env = km_service_env_of(call);
    const struct km_service_peer_sync *state = km_server_call_state(call);
    if (env->peers.ops == NULL || env->sync.ops == NULL) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "this node is in no cluster; start it with etcd "
                              "to make it a member");
    } else if (state->stream != NULL) {
        pass_on(call, message);
    } else if (!try_to_begin(call, message, true)) {
        wait_for_member(call, message);
    }
}

void km_service_peer_sync_half_closed(struct km_server_call *call)
{
    finish(call, KAMA_OK, NULL);
}

void km_service_peer_sync_cancelled(struct km_server_call *call,
                                    kama_status why)
{
    struct km_service_peer_sync *state = km_server_call_state(call);
    (void)why;
    if (km_waiting_call_waits(&state->waiting)) {
        km_waiting_call_end(&state->waiting);
    }
    leave(call);
}
