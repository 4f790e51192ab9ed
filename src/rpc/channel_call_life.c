/* SPDX-License-Identifier: MIT */
/*
 * How a call gets a stream, loses it, and ends. The end of a call only puts it
 * into the list of ended calls; the channel's turn delivers its result.
 */
#include "rpc/channel_call_life.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "base/text.h"

#define FIXED_FIELDS 8

/* -- the end ------------------------------------------------------------- */

/* A stream that has closed needs no reset; one that the server has ended and
 * the caller too closes by itself when the rest of the request is out. */
static bool needs_reset(const struct km_channel_call *call)
{
    return !km_h2_remote_ended(call->stream) || !call->half_closed ||
           km_h2_queued(call->stream) > 0;
}

/* Takes the call off its stream, which is reset unless it has closed. */
static void detach(struct km_channel_call *call)
{
    if (call->stream != NULL) {
        call->stream->user = NULL;
        if (needs_reset(call)) {
            km_h2_reset(call->stream, KM_H2_CANCEL);
            km_channel_link_wake(call->link);
        }
        call->stream = NULL;
    }
    call->link = NULL;
    km_list_remove(&call->node);
}

void km_channel_call_end(struct km_channel_call *call, kama_status status,
                         int code, const char *text)
{
    struct km_channel *channel = call->channel;
    if (call->state == KM_CHANNEL_CALL_ENDED) {
        return;
    }
    if (call->stream != NULL && km_h2_request_taken(call->stream)) {
        call->fate = KM_CHANNEL_FATE_MAYBE;
    }
    detach(call);
    km_loop_timer_disarm(channel->loop, &call->timer);
    call->state = KM_CHANNEL_CALL_ENDED;
    call->status = status;
    call->code = code != KM_CHANNEL_NO_CODE ? code : km_status_grpc(status);
    if (text != call->text) {
        (void)km_text_printf(call->text, sizeof call->text, "%s",
                             text != NULL ? text : kama_strerror(status));
    }
    km_list_push_back(&channel->ended, &call->node);
    km_channel_wake(channel);
}

static void free_call(struct km_channel_call *call)
{
    call->magic = 0;
    km_grpc_reader_fini(&call->reader);
    km_channel_kept_drop(&call->request);
    km_mem_free(call->channel->mem, call);
}

void km_channel_call_deliver(struct km_channel_call *call)
{
    const struct km_channel_result result = {.status = call->status,
                                             .grpc_code = call->code,
                                             .text = call->text,
                                             .fate = call->fate,
                                             .unreached = call->unreached};
    KM_ASSERT(call->state == KM_CHANNEL_CALL_ENDED && call->stream == NULL);
    km_list_remove(&call->node);
    call->ops->on_end(call->arg, &result);
    free_call(call);
}

/* Why a call that waits has no connection; NULL: it has one. */
static const char *unready_reason(const struct km_channel *channel)
{
    if (channel->failure != KAMA_OK) {
        return channel->sentence;
    }
    return channel->link != NULL &&
                   channel->link->state != KM_CHANNEL_LINK_READY
               ? km_channel_link_waits_for(channel->link)
               : NULL;
}

/* A call that has never had a connection names the step that it waited for:
 * "deadline exceeded" alone would send people to look at the server. */
void km_channel_call_on_deadline(struct km_timer *timer)
{
    struct km_channel_call *call =
        KM_CONTAINER_OF(timer, struct km_channel_call, timer);
    char text[KM_CHANNEL_TEXT_BYTES];
    const char *reason = call->state == KM_CHANNEL_CALL_WAITING
                             ? unready_reason(call->channel)
                             : NULL;
    if (reason == NULL) {
        km_channel_call_end(call, KAMA_ERR_TIMEOUT, KM_CHANNEL_NO_CODE, NULL);
        return;
    }
    (void)km_text_printf(text, sizeof text, "deadline exceeded; %s", reason);
    call->unreached = true;
    km_channel_call_end(call, KAMA_ERR_TIMEOUT, KM_CHANNEL_NO_CODE, text);
}

void km_channel_call_note_fate(struct km_channel_call *call,
                               uint32_t error_code)
{
    if (km_h2_request_taken(call->stream)) {
        call->fate = error_code == KM_H2_REFUSED_STREAM
                         ? KM_CHANNEL_FATE_REFUSED
                         : KM_CHANNEL_FATE_MAYBE;
    }
}

/* A server that ends its connections in order, one after the other, may refuse
 * a call often, and each time it was right to try again; a server that refuses
 * streams for another reason gets one more attempt. The call goes to the
 * front, because it has waited longest. */
bool km_channel_call_requeue(struct km_channel_call *call)
{
    struct km_channel *channel = call->channel;
    bool in_order = call->link->state == KM_CHANNEL_LINK_RETIRED;
    KM_ASSERT(call->state == KM_CHANNEL_CALL_RUNNING);
    if (channel->closing ||
        call->request_state == KM_CHANNEL_REQUEST_FORGOTTEN ||
        (call->request_state == KM_CHANNEL_REQUEST_REPEATED &&
         !(call->wait_for_ready && in_order))) {
        return false;
    }
    detach(call);
    call->request_state = KM_CHANNEL_REQUEST_REPEATED;
    call->state = KM_CHANNEL_CALL_WAITING;
    km_list_push_front(&channel->waiting, &call->node);
    km_channel_wake(channel);
    return true;
}

/* -- the request --------------------------------------------------------- */

static struct km_h2_field fixed(kama_bytes name, kama_bytes value)
{
    return (struct km_h2_field){name, value, KM_H2_FIELD_STATIC};
}

/* Strings of the channel outlive the connection and are not copied. Strings of
 * the call are, because a call may end before its headers are sent. Returns
 * the number of fields. */
static size_t fill_fields(const struct km_channel_call *call, km_ns now,
                          char *timeout, struct km_h2_field *fields)
{
    const struct km_channel *channel = call->channel;
    size_t n = 0;
    fields[n++] = fixed(KM_LIT(":method"), KM_LIT("POST"));
    fields[n++] = fixed(KM_LIT(":scheme"), KM_LIT("http"));
    fields[n++] =
        (struct km_h2_field){KM_LIT(":path"), kama_bytes_str(call->path), 0};
    fields[n++] = fixed(KM_LIT(":authority"), kama_bytes_str(channel->address));
    fields[n++] = fixed(KM_LIT("te"), KM_LIT("trailers"));
    if (call->deadline != KM_NS_NEVER) {
        km_ns left = call->deadline > now ? call->deadline - now : 1;
        kama_bytes text = kama_bytes_str(km_grpc_timeout_format(left, timeout));
        fields[n++] = (struct km_h2_field){KM_LIT("grpc-timeout"), text,
                                           KM_H2_FIELD_NO_INDEX};
    }
    fields[n++] = fixed(KM_LIT("content-type"), KM_LIT("application/grpc"));
    fields[n++] =
        fixed(KM_LIT("user-agent"), kama_bytes_str(channel->user_agent));
    KM_ASSERT(n <= FIXED_FIELDS);
    for (size_t i = 0; i < call->metadata_count; i++) {
        fields[n++] =
            (struct km_h2_field){kama_bytes_str(call->metadata[i][0]),
                                 kama_bytes_str(call->metadata[i][1]), 0};
    }
    return n;
}

/* Sends the messages that the caller has given so far. */
static kama_status send_request(struct km_channel_call *call)
{
    kama_status status = km_channel_kept_send(&call->request, call->stream);
    if (status == KAMA_OK && call->half_closed) {
        status = km_h2_end(call->stream, NULL, 0);
    }
    return status;
}

void km_channel_call_forget_request(struct km_channel_call *call)
{
    call->request_state = KM_CHANNEL_REQUEST_FORGOTTEN;
    km_channel_kept_drop(&call->request);
}

/* Whether the request must not, or cannot, be sent again after this time. */
static bool is_final_attempt(const struct km_channel_call *call)
{
    return call->repeat == KM_CHANNEL_REPEAT_NEVER ||
           call->request.bytes > KM_CHANNEL_REPEAT_BYTES_MAX;
}

void km_channel_call_tell_room(struct km_channel_call *call)
{
    if (call->awaits_room && !call->half_closed) {
        call->awaits_room = false;
        if (call->ops->on_writable != NULL) {
            call->ops->on_writable(call->arg);
        }
    }
}

/* Forgets the answer of a stream that was refused. */
static void reset_answer(struct km_channel_call *call)
{
    call->http_status = 0;
    call->grpc_content = false;
    call->code = KM_CHANNEL_NO_CODE;
    call->kama = KAMA_OK;
    call->text[0] = '\0';
}

void km_channel_call_start(struct km_channel_call *call,
                           struct km_channel_link *link)
{
    struct km_h2_field fields[FIXED_FIELDS + KM_CHANNEL_METADATA_MAX];
    char timeout[KM_GRPC_TIMEOUT_CHARS];
    size_t count =
        fill_fields(call, km_loop_now(call->channel->loop), timeout, fields);
    KM_ASSERT(call->state == KM_CHANNEL_CALL_WAITING);
    KM_ASSERT(km_channel_link_accepts(link));
    kama_status status =
        km_h2_request(link->h2, fields, count, call, &call->stream);
    if (status != KAMA_OK) {
        km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, NULL);
        return;
    }
    reset_answer(call);
    call->state = KM_CHANNEL_CALL_RUNNING;
    call->link = link;
    km_list_remove(&call->node);
    km_list_push_back(&link->calls, &call->node);
    if (call->paused) {
        km_h2_pause(call->stream);
    }
    status = send_request(call);
    if (status != KAMA_OK) {
        km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, NULL);
        return;
    }
    if (is_final_attempt(call)) {
        km_channel_call_forget_request(call);
    }
    km_channel_link_wake(link);
    if (call->awaits_room && km_h2_has_room(call->stream)) {
        km_channel_call_tell_room(call);
    }
}
