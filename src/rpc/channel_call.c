/* SPDX-License-Identifier: MIT */
/*
 * The functions of a caller. A message of a waiting call is only kept;
 * one of a running call is sent at once, and kept besides while the call may
 * have to be sent again.
 */
#include "rpc/channel_call.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "rpc/channel_call_life.h"

/* Path and metadata live behind the call, in one block with it:
 *
 *     | call | pairs of pointers | path\0 name\0 value\0 name\0 value\0 ... |
 */
static size_t text_bytes(const struct km_channel_call_options *options)
{
    size_t n = options->metadata_count * sizeof(const char *[2]) +
               strlen(options->path) + 1;
    for (size_t i = 0; i < options->metadata_count; i++) {
        n += strlen(options->metadata[i][0]) + 1 +
             strlen(options->metadata[i][1]) + 1;
    }
    return n;
}

static const char *put_text(char **to, const char *text)
{
    size_t len = strlen(text) + 1;
    const char *copy = memcpy(*to, text, len);
    *to += len;
    return copy;
}

static void copy_texts(struct km_channel_call *call,
                       const struct km_channel_call_options *options)
{
    call->metadata = (const char *(*)[2])(void *)(call + 1);
    call->metadata_count = options->metadata_count;
    char *to = (char *)(call->metadata + call->metadata_count);
    call->path = put_text(&to, options->path);
    for (size_t i = 0; i < options->metadata_count; i++) {
        call->metadata[i][0] = put_text(&to, options->metadata[i][0]);
        call->metadata[i][1] = put_text(&to, options->metadata[i][1]);
    }
}

static void arm_deadline(struct km_channel_call *call, km_ns deadline)
{
    call->deadline = deadline;
    call->timer.fire = km_channel_call_on_deadline;
    if (deadline != KM_NS_NEVER) {
        km_loop_timer_arm(call->channel->loop, &call->timer, deadline);
    }
}

/* Whether the channel's last attempt has failed, and the call would not be the
 * one that makes the next attempt begin. One call per attempt waits for its
 * outcome; the others end at once with the failure that is known. A call that
 * waits while there is no link makes the attempt begin at the end of the turn.
 */
static bool is_hopeless(const struct km_channel *channel)
{
    if (channel->failure == KAMA_OK) {
        return false;
    }
    if (channel->link != NULL) {
        return channel->link->state != KM_CHANNEL_LINK_READY;
    }
    return !km_list_empty(&channel->waiting) ||
           km_loop_now(channel->loop) < channel->next_attempt_at;
}

/* Where a new call goes: to the link, to the calls that wait, or nowhere. */
static void admit(struct km_channel_call *call)
{
    struct km_channel *channel = call->channel;
    bool hopeless = !call->wait_for_ready && is_hopeless(channel);
    km_list_push_back(&channel->waiting, &call->node);
    if (channel->link != NULL && km_channel_link_accepts(channel->link) &&
        km_list_first(&channel->waiting) == &call->node) {
        km_channel_call_start(call, channel->link);
    } else if (hopeless) {
        km_channel_call_end(call, channel->failure, KM_CHANNEL_NO_CODE,
                            channel->sentence);
    } else {
        km_channel_wake(channel);
    }
}

kama_status km_channel_call_new(struct km_channel *channel,
                                const struct km_channel_call_options *options,
                                const struct km_channel_call_ops *ops,
                                void *arg, struct km_channel_call **ret_call)
{
    if (channel->closing) {
        return KAMA_ERR_CLOSED;
    }
    if (options->metadata_count > KM_CHANNEL_METADATA_MAX) {
        return km_fail(KAMA_ERR_INVALID, "more than %d metadata",
                       KM_CHANNEL_METADATA_MAX);
    }
    struct km_channel_call *call =
        km_mem_alloc(channel->mem, sizeof *call + text_bytes(options));
    if (call == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    *call = (struct km_channel_call){.magic = KM_CHANNEL_CALL_MAGIC,
                                     .channel = channel,
                                     .ops = ops,
                                     .arg = arg,
                                     .wait_for_ready = options->wait_for_ready,
                                     .unary = options->unary,
                                     .repeat = options->repeat,
                                     .fate = KM_CHANNEL_FATE_NOT_SENT,
                                     .request.cache = channel->cache};
    copy_texts(call, options);
    km_list_init(&call->node);
    km_grpc_reader_init(&call->reader, channel->mem,
                        channel->max_message_bytes);
    /* No request offers an encoding, so that an answer may have none. */
    call->reader.encoding = KM_GRPC_ENCODING_ELSE;
    arm_deadline(call, options->deadline);
    admit(call);
    *ret_call = call;
    return KAMA_OK;
}

/* -- the request --------------------------------------------------------- */

/* The message was sent once it is queued. If it cannot be kept besides, the
 * request can only not be repeated, which is no error. */
static kama_status send_running(struct km_channel_call *call, kama_bytes head,
                                kama_value *body, size_t bytes)
{
    kama_status status = km_grpc_send(call->stream, head, body);
    if (status != KAMA_OK) {
        return status;
    }
    km_channel_link_wake(call->link);
    if (call->request_state != KM_CHANNEL_REQUEST_FORGOTTEN &&
        (call->request.bytes + bytes > KM_CHANNEL_REPEAT_BYTES_MAX ||
         km_channel_kept_add(&call->request, head, body) != KAMA_OK)) {
        km_channel_call_forget_request(call);
    }
    return KAMA_OK;
}

/* A message of any size is taken while the queue is short of the limit, so that
 * each message can be sent by itself. */
static kama_status check_queue(const struct km_channel_call *call)
{
    size_t queued = km_channel_call_queued_bytes(call);
    if (queued < KM_RPC_CALL_QUEUED_BYTES_MAX) {
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_OVERLOADED,
                   "%zu bytes of the request wait to be sent, the limit is %u; "
                   "send more when the call is writable",
                   queued, KM_RPC_CALL_QUEUED_BYTES_MAX);
}

kama_status km_channel_call_send_parts(struct km_channel_call *call,
                                       kama_bytes head, kama_value *body)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    if (call->state == KM_CHANNEL_CALL_ENDED) {
        return KAMA_ERR_CLOSED;
    }
    if (call->half_closed) {
        return KAMA_ERR_STATE;
    }
    size_t bytes = head.len + (body != NULL ? kama_value_bytes(body).len : 0);
    if (bytes > UINT32_MAX) {
        return KAMA_ERR_TOO_LARGE;
    }
    kama_status status = check_queue(call);
    if (status != KAMA_OK) {
        return status;
    }
    return call->state == KM_CHANNEL_CALL_RUNNING
               ? send_running(call, head, body, bytes)
               : km_channel_kept_add(&call->request, head, body);
}

kama_status km_channel_call_send(struct km_channel_call *call,
                                 kama_bytes message)
{
    return km_channel_call_send_parts(call, message, NULL);
}

bool km_channel_call_writable(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    if (call->state == KM_CHANNEL_CALL_ENDED) {
        return false;
    }
    call->awaits_room = call->state == KM_CHANNEL_CALL_RUNNING
                            ? !km_h2_has_room(call->stream)
                            : call->request.bytes >= KM_H2_LOW_WATER_BYTES;
    return !call->awaits_room;
}

size_t km_channel_call_queued_bytes(const struct km_channel_call *call)
{
    switch (call->state) {
    case KM_CHANNEL_CALL_WAITING:
        return call->request.bytes;
    case KM_CHANNEL_CALL_RUNNING:
        return km_h2_queued(call->stream);
    default:
        return 0;
    }
}

void km_channel_call_half_close(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    if (call->half_closed || call->state == KM_CHANNEL_CALL_ENDED) {
        return;
    }
    call->half_closed = true;
    if (call->state == KM_CHANNEL_CALL_RUNNING) {
        kama_status status = km_h2_end(call->stream, NULL, 0);
        km_channel_link_wake(call->link);
        if (status != KAMA_OK) {
            call->half_closed = false; /* so that the stream is reset */
            km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, NULL);
        }
    }
}

void km_channel_call_cancel(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    km_channel_call_end(call, KAMA_ERR_CANCELLED, KM_CHANNEL_NO_CODE, NULL);
}

/* -- the answer ---------------------------------------------------------- */

void km_channel_call_pause_reading(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    call->paused = true;
    if (call->state == KM_CHANNEL_CALL_RUNNING) {
        km_h2_pause(call->stream);
    }
}

void km_channel_call_resume_reading(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    call->paused = false;
    if (call->state == KM_CHANNEL_CALL_RUNNING) {
        km_h2_resume(call->stream);
        km_channel_link_wake(call->link);
    }
}
