/* SPDX-License-Identifier: MIT */
/* A call has two owners: the channel until on_end, and the user until it lets
 * go. It is freed in on_end, which the channel promises. */
#include "membership/etcd_call.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "membership/etcd_line.h"
#include "rpc/channel_call.h"

struct km_etcd_call {
    struct km_etcd *etcd;
    struct km_etcd_line *line;
    unsigned endpoint;
    unsigned generation; /* of the line */
    km_ns sent_at;       /* monotonic */
    struct km_channel_call *call;
    const struct km_etcd_call_ops *ops; /* NULL: the user has let go */
    void *arg;
    kama_status refused; /* the error of this side, or KAMA_OK */
    char text[KM_ERROR_BYTES_MAX];
};

/* -- events of the channel ----------------------------------------------- */

static void on_message(void *arg, kama_bytes message)
{
    struct km_etcd_call *call = arg;
    if (call->ops == NULL || call->refused != KAMA_OK) {
        return;
    }
    km_etcd_line_answers(call->line, call->generation, call->sent_at);
    kama_status status = call->ops->message(call->arg, message);
    if (status != KAMA_OK && call->ops != NULL) {
        km_etcd_call_fail(call, status, km_last_error());
    }
}

/* One endpoint that is slow is better than a new connection to it, which costs
 * another round trip. If it is silent, PINGs find that out. */
static bool should_move(const struct km_etcd_call *call,
                        const struct km_etcd_failure *failure)
{
    return call->etcd->endpoints.count > 1 ||
           failure->status != KAMA_ERR_TIMEOUT;
}

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct km_etcd_call *call = arg;
    const struct km_etcd_call_ops *ops = call->ops;
    void *user = call->arg;
    struct km_etcd_failure failure;
    const char *endpoint = call->etcd->endpoints.at[call->endpoint];
    if (ops == NULL) {
        km_mem_free(call->etcd->mem, call);
        return;
    }
    if (call->refused != KAMA_OK) {
        km_etcd_failure_make(&failure, endpoint, call->refused, call->text);
    } else {
        km_etcd_failure_judge(&failure, endpoint, result);
    }
    if (failure.status == KAMA_ERR_TIMEOUT) {
        km_etcd_line_silent(call->line, call->generation);
    }
    if (km_etcd_failure_is_outage(&failure) && should_move(call, &failure)) {
        km_etcd_line_move(call->line, call->generation);
    }
    km_mem_free(call->etcd->mem, call);
    ops->end(user, &failure);
}

static const struct km_channel_call_ops channel_call_ops = {
    .on_message = on_message, .on_end = on_end};

/* -- the user's side ----------------------------------------------------- */

static kama_status start(struct km_etcd_call *call, struct km_channel *channel,
                         const char *path, enum km_etcd_call_shape shape)
{
    struct km_etcd *etcd = call->etcd;
    const char *metadata[2][2];
    size_t count = 0;
    if (etcd->login.state == KM_ETCD_LOGIN_DONE) {
        metadata[count][0] = "token";
        metadata[count++][1] = etcd->login.token;
    }
    if (shape == KM_ETCD_STREAM) {
        metadata[count][0] = "hasleader";
        metadata[count++][1] = "true";
    }
    km_ns now = km_loop_now(etcd->loop);
    const struct km_channel_call_options options = {
        .path = path,
        .deadline =
            shape == KM_ETCD_UNARY
                ? km_ns_after_ms(now, km_etcd_line_patience_ms(call->line))
                : KM_NS_NEVER,
        .unary = shape == KM_ETCD_UNARY,
        .metadata = (const char *const(*)[2])metadata,
        .metadata_count = count};
    return km_channel_call_new(channel, &options, &channel_call_ops, call,
                               &call->call);
}

kama_status km_etcd_call_new(struct km_etcd_line *line, const char *path,
                             enum km_etcd_call_shape shape, kama_bytes message,
                             const struct km_etcd_call_ops *ops, void *arg,
                             struct km_etcd_call **ret_call)
{
    struct km_etcd *etcd = line->etcd;
    struct km_channel *channel;
    kama_status status = km_etcd_line_channel(line, &channel);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_etcd_call *call = km_mem_zalloc(etcd->mem, 1, sizeof *call);
    if (call == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    call->etcd = etcd;
    call->line = line;
    call->endpoint = line->endpoint;
    call->generation = line->generation;
    call->sent_at = km_loop_now(etcd->loop);
    call->ops = ops;
    call->arg = arg;
    status = start(call, channel, path, shape);
    if (status != KAMA_OK) {
        km_mem_free(etcd->mem, call);
        return status;
    }
    status = km_channel_call_send(call->call, message);
    if (status != KAMA_OK && status != KAMA_ERR_CLOSED) {
        km_etcd_call_drop(call);
        return status;
    }
    if (shape == KM_ETCD_UNARY) {
        km_channel_call_half_close(call->call);
    }
    *ret_call = call;
    return KAMA_OK;
}

kama_status km_etcd_call_send(struct km_etcd_call *call, kama_bytes message)
{
    return km_channel_call_send(call->call, message);
}

void km_etcd_call_fail(struct km_etcd_call *call, kama_status status,
                       const char *text)
{
    KM_ASSERT(call->ops != NULL);
    if (call->refused == KAMA_OK) {
        call->refused = status;
        (void)km_text_printf(call->text, sizeof call->text, "%s", text);
        km_channel_call_cancel(call->call);
    }
}

void km_etcd_call_let_go(struct km_etcd_call *call)
{
    KM_ASSERT(call->ops != NULL);
    call->ops = NULL;
}

void km_etcd_call_drop(struct km_etcd_call *call)
{
    km_etcd_call_let_go(call);
    km_channel_call_cancel(call->call);
}
