/* SPDX-License-Identifier: MIT */
/*
 * The blocking client. An exchange is a structure on the caller's stack that
 * travels to the loop as mail; the caller sleeps until the loop has ended it.
 *
 *     caller                          loop
 *     run() --- mail ---------------> start(): call, send, half_close
 *       |                             on_message() ..
 *     wait_until_done() <-- signal -- on_end(): finish()
 *
 * The loop touches the exchange last in finish(), under the lock that the
 * caller waits with, so that the caller may leave its stack frame after that.
 */
#include "rpc/client.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "rpc/channel_call.h"

struct km_client {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *loop;
    struct km_channel *channel;
    struct km_mail close_mail;
};

/* One call. The caller owns it, and the loop uses it until it is done. */
struct exchange {
    struct km_mail mail;
    struct km_client *client;
    const struct km_client_request *request;
    bool unary;
    km_ns deadline;
    km_client_message_fn on_message;
    void *arg;
    struct km_channel_call *call;
    kama_status refused; /* the error of on_message or of the first send */
    kama_status status;
    char text[KM_ERROR_BYTES_MAX];
    struct km_event done;
};

/* -- on the loop --------------------------------------------------------- */

static void finish(struct exchange *exchange, kama_status status,
                   const char *text)
{
    exchange->status = status;
    (void)km_text_printf(exchange->text, sizeof exchange->text, "%s", text);
    km_event_set(&exchange->done);
}

/* The result is the error of this side, not the cancellation after it. */
static void refuse(struct exchange *exchange, kama_status status)
{
    exchange->refused = status;
    km_channel_call_cancel(exchange->call);
}

static void on_message(void *arg, kama_bytes message)
{
    struct exchange *exchange = arg;
    kama_status status = exchange->on_message(exchange->arg, message);
    if (status != KAMA_OK) {
        refuse(exchange, status);
    }
}

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct exchange *exchange = arg;
    if (exchange->refused != KAMA_OK) {
        finish(exchange, exchange->refused, kama_strerror(exchange->refused));
    } else if (result->unreached && exchange->request->unreached != KAMA_OK) {
        finish(exchange, exchange->request->unreached, result->text);
    } else {
        finish(exchange, result->status, result->text);
    }
}

static const struct km_channel_call_ops client_ops = {.on_message = on_message,
                                                      .on_end = on_end};

static void start(struct km_mail *mail)
{
    struct exchange *exchange = KM_CONTAINER_OF(mail, struct exchange, mail);
    const struct km_client_request *request = exchange->request;
    const struct km_channel_call_options options = {
        .path = request->path,
        .deadline = exchange->deadline,
        .wait_for_ready = request->wait_for_ready,
        .unary = exchange->unary,
        .metadata = request->metadata,
        .metadata_count = request->metadata_count,
    };
    kama_status status =
        km_channel_call_new(exchange->client->channel, &options, &client_ops,
                            exchange, &exchange->call);
    if (status != KAMA_OK) {
        finish(exchange, status, kama_strerror(status));
        return;
    }
    status = km_channel_call_send(exchange->call, request->message);
    if (status == KAMA_OK) {
        km_channel_call_half_close(exchange->call);
    } else if (status != KAMA_ERR_CLOSED) {
        refuse(exchange, status);
    }
}

/* -- the caller's side --------------------------------------------------- */

/* Runs one exchange to its end. A caller on the loop's own thread would wait
 * for itself, and is told so. */
static kama_status run(struct km_client *client, struct exchange *exchange)
{
    int64_t timeout_ms = exchange->request->timeout_ms;
    if (km_loop_is_inside(client->loop)) {
        return km_fail(KAMA_ERR_WOULD_DEADLOCK,
                       "a blocking call on the client's own thread");
    }
    if (!km_event_init(&exchange->done)) {
        return KAMA_ERR_NO_MEMORY;
    }
    exchange->client = client;
    exchange->mail.run = start;
    exchange->deadline = KM_NS_NEVER;
    if (timeout_ms > 0) {
        exchange->deadline =
            km_ns_after_ms(km_clock_mono(client->clock), timeout_ms);
    }
    km_loop_post(client->loop, &exchange->mail);
    (void)km_event_wait(&exchange->done, KM_NS_NEVER);
    km_event_fini(&exchange->done);
    return km_status_is_success(exchange->status)
               ? exchange->status
               : km_fail(exchange->status, "%s", exchange->text);
}

static kama_status append_reply(void *arg, kama_bytes message)
{
    return km_buf_append(arg, message.data, message.len);
}

kama_status km_client_unary(struct km_client *client,
                            const struct km_client_request *request,
                            struct km_buf *ret_reply)
{
    size_t len_before = ret_reply->len;
    struct exchange exchange = {.request = request,
                                .unary = true,
                                .on_message = append_reply,
                                .arg = ret_reply};
    kama_status status = run(client, &exchange);
    if (!km_status_is_success(status)) {
        ret_reply->len = len_before;
    }
    return status;
}

kama_status km_client_stream(struct km_client *client,
                             const struct km_client_request *request,
                             km_client_message_fn cb, void *arg)
{
    struct exchange exchange = {
        .request = request, .on_message = cb, .arg = arg};
    return run(client, &exchange);
}

/* -- life ---------------------------------------------------------------- */

static void close_channel(struct km_mail *mail)
{
    struct km_client *client =
        KM_CONTAINER_OF(mail, struct km_client, close_mail);
    km_channel_close(client->channel, NULL, NULL);
}

kama_status km_client_new(const struct km_channel_options *options,
                          struct km_client **ret_client)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_client *client = km_mem_zalloc(mem, 1, sizeof *client);
    if (client == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    client->mem = mem;
    client->clock = options->clock != NULL ? options->clock : km_clock_system();
    client->close_mail.run = close_channel;
    kama_status status = km_loop_new(mem, client->clock, 0, &client->loop);
    if (status != KAMA_OK) {
        goto fail_loop;
    }
    status = km_channel_new(client->loop, options, &client->channel);
    if (status != KAMA_OK) {
        goto fail_channel;
    }
    status = km_loop_start(client->loop);
    if (status != KAMA_OK) {
        goto fail_start;
    }
    *ret_client = client;
    return KAMA_OK;

fail_start:
    km_channel_close(client->channel, NULL, NULL);
fail_channel:
    km_loop_free(client->loop);
fail_loop:
    km_mem_free(mem, client);
    return status;
}

void km_client_free(struct km_client *client)
{
    if (client == NULL) {
        return;
    }
    km_loop_post(client->loop, &client->close_mail);
    km_loop_stop(client->loop);
    km_loop_join(client->loop);
    km_loop_free(client->loop);
    km_mem_free(client->mem, client);
}
