/* SPDX-License-Identifier: MIT */
/* A call as its caller sees it: start, messages, deadline, end. */
#include "rpc/channel_internal.h"

#include "base/container.h"
#include "base/status.h"
#include "base/text.h"

/* A larger request is not kept for a second attempt. */
#define REPEAT_BYTES_MAX (1u << 20)

#define FIXED_FIELDS 8

/* -- the end ------------------------------------------------------------- */

/* A stream that has closed needs no reset; one that the server has ended and
 * the caller too closes by itself when the rest of the request is out. */
static bool needs_reset(const struct km_channel_call *call)
{
    return !km_h2_remote_ended(call->stream) || !call->half_closed ||
           km_h2_queued(call->stream) > 0;
}

void km_channel_call_detach(struct km_channel_call *call)
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
    km_channel_call_detach(call);
    km_loop_timer_disarm(channel->loop, &call->timer);
    call->state = KM_CHANNEL_CALL_ENDED;
    call->status = status;
    call->code = code >= 0 ? code : km_status_grpc(status);
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
    km_buf_fini(&call->request);
    km_mem_free(call->channel->mem, call);
}

void km_channel_call_deliver(struct km_channel_call *call)
{
    const struct km_channel_result result = {.status = call->status,
                                             .grpc_code = call->code,
                                             .text = call->text,
                                             .unreached = call->unreached};
    km_list_remove(&call->node);
    call->ops->on_end(call->arg, &result);
    free_call(call);
}

/* Why a call that waits has no connection; NULL: it has one. */
static const char *unready_reason(const struct km_channel *channel)
{
    if (channel->failing) {
        return channel->sentence;
    }
    return channel->link != NULL && !channel->link->ready
               ? km_channel_link_waits_for(channel->link)
               : NULL;
}

static void on_deadline(struct km_timer *timer)
{
    struct km_channel_call *call =
        KM_CONTAINER_OF(timer, struct km_channel_call, timer);
    char text[KM_CHANNEL_TEXT_BYTES];
    const char *reason = call->state == KM_CHANNEL_CALL_WAITING
                             ? unready_reason(call->channel)
                             : NULL;
    if (reason == NULL) {
        km_channel_call_end(call, KAMA_ERR_TIMEOUT, -1, NULL);
        return;
    }
    (void)km_text_printf(text, sizeof text, "deadline exceeded; %s", reason);
    call->unreached = true;
    km_channel_call_end(call, KAMA_ERR_TIMEOUT, -1, text);
}

bool km_channel_call_requeue(struct km_channel_call *call)
{
    struct km_channel *channel = call->channel;
    bool again = call->wait_for_ready && call->link->retired;
    if (call->answered || call->unrepeated || channel->closing ||
        (call->retried && !again)) {
        return false;
    }
    km_channel_call_detach(call);
    call->retried = true;
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

/* What the channel owns outlives the connection, what the call owns is
 * copied: a call may end before its headers are sent. */
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

static kama_status send_request(struct km_channel_call *call)
{
    kama_status status = KAMA_OK;
    if (call->request.len > 0) {
        status = km_h2_send(call->stream, km_buf_bytes(&call->request), NULL);
    }
    if (status == KAMA_OK && call->half_closed) {
        status = km_h2_end(call->stream, NULL, 0);
    }
    return status;
}

/* What is kept of the request has become too much, or is of no more use. */
static void forget_request(struct km_channel_call *call)
{
    call->unrepeated = true;
    km_buf_reset(&call->request, 0);
}

static void reset_answer(struct km_channel_call *call)
{
    call->http_status = 0;
    call->grpc_content = false;
    call->has_code = false;
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
    kama_status status =
        km_h2_request(link->h2, fields, count, call, &call->stream);
    if (status != KAMA_OK) {
        km_channel_call_end(call, status, -1, NULL);
        return;
    }
    reset_answer(call);
    call->state = KM_CHANNEL_CALL_RUNNING;
    call->link = link;
    km_list_remove(&call->node);
    km_list_push_back(&link->calls, &call->node);
    status = send_request(call);
    if (status != KAMA_OK) {
        km_channel_call_end(call, status, -1, NULL);
        return;
    }
    if (call->request.len > REPEAT_BYTES_MAX) {
        forget_request(call);
    }
    km_channel_link_wake(link);
}

/* -- what the caller does ------------------------------------------------ */

/* Path and metadata in one block with the call. */
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
    call->timer.fire = on_deadline;
    if (deadline != KM_NS_NEVER) {
        km_loop_timer_arm(call->channel->loop, &call->timer, deadline);
    }
}

/* Where a new call goes: to the link, to those who wait, or nowhere. */
static void admit(struct km_channel_call *call)
{
    struct km_channel *channel = call->channel;
    km_list_push_back(&channel->waiting, &call->node);
    if (channel->link != NULL && km_channel_link_accepts(channel->link) &&
        km_list_first(&channel->waiting) == &call->node) {
        km_channel_call_start(call, channel->link);
    } else if (channel->link == NULL && channel->failing &&
               !call->wait_for_ready &&
               km_loop_now(channel->loop) < channel->next_attempt_at) {
        km_channel_call_end(call, channel->failure, -1, channel->sentence);
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
                                     .unary = options->unary};
    copy_texts(call, options);
    km_list_init(&call->node);
    km_buf_init(&call->request, channel->mem, SIZE_MAX);
    km_grpc_reader_init(&call->reader, channel->mem,
                        channel->max_message_bytes);
    /* No request offers an encoding, so that an answer may have none. */
    call->reader.encoding = KM_GRPC_ENCODING_ELSE;
    arm_deadline(call, options->deadline);
    admit(call);
    *ret_call = call;
    return KAMA_OK;
}

static kama_status keep_message(struct km_channel_call *call,
                                kama_bytes message)
{
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)message.len);
    kama_status status =
        km_buf_reserve(&call->request, sizeof prefix + message.len);
    if (status != KAMA_OK) {
        return status;
    }
    status = km_buf_append(&call->request, prefix, sizeof prefix);
    return status == KAMA_OK
               ? km_buf_append(&call->request, message.data, message.len)
               : status;
}

static kama_status send_running(struct km_channel_call *call,
                                kama_bytes message)
{
    kama_status status = km_grpc_send(call->stream, message, NULL);
    if (status != KAMA_OK) {
        return status;
    }
    km_channel_link_wake(call->link);
    if (!call->unrepeated &&
        (call->answered || call->request.len + message.len > REPEAT_BYTES_MAX ||
         keep_message(call, message) != KAMA_OK)) {
        forget_request(call);
    }
    return KAMA_OK;
}

kama_status km_channel_call_send(struct km_channel_call *call,
                                 kama_bytes message)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    if (call->state == KM_CHANNEL_CALL_ENDED) {
        return KAMA_ERR_CLOSED;
    }
    if (call->half_closed) {
        return KAMA_ERR_STATE;
    }
    if (message.len > UINT32_MAX) {
        return KAMA_ERR_TOO_LARGE;
    }
    return call->state == KM_CHANNEL_CALL_RUNNING ? send_running(call, message)
                                                  : keep_message(call, message);
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
            km_channel_call_end(call, status, -1, NULL);
        }
    }
}

void km_channel_call_cancel(struct km_channel_call *call)
{
    KM_ASSERT(call->magic == KM_CHANNEL_CALL_MAGIC);
    km_channel_call_end(call, KAMA_ERR_CANCELLED, -1, NULL);
}
