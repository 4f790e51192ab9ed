/* SPDX-License-Identifier: MIT */
/* The calls of the commands: encoding a request, sending it, and decoding the
 * reply; and the health check, once or until the node serves. */
#include "call.h"
#include "report.h"

#include "base/option_text.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#include <time.h>

#define HEALTH_PATH "/grpc.health.v1.Health/Check"
#define WAIT_STEP_MS 50 /* between checks of a node that does not serve yet */

kama_status cli_decode(const struct km_pb_message *table, kama_bytes bytes,
                       void *message)
{
    if (km_pb_decode(table, bytes, message) == KAMA_OK) {
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_PROTOCOL,
                   "the answer of the node cannot be decoded");
}

/* Elements are decoded one after the other into the same message, so that a
 * long list needs no memory. */
kama_status cli_each(struct km_pb_list list, const struct km_pb_message *table,
                     void *message, cli_visit_fn visit, void *arg)
{
    kama_status status = KAMA_OK;
    kama_bytes element;
    while (status == KAMA_OK && km_pb_next(&list, &element)) {
        status = cli_decode(table, element, message);
        if (status == KAMA_OK) {
            status = visit(arg, message);
        }
    }
    return status;
}

/* Sends an encoded request and decodes the reply, which every success has. The
 * list in the reply says what KAMA_UNSYNCED says. */
static kama_status send_call(struct cli *cli, const struct cli_request *call,
                             const struct km_client_request *request,
                             struct km_buf *buf)
{
    kama_status status = cli_endpoints_unary(&cli->endpoints, request, buf);
    if (!km_status_is_success(status)) {
        return status;
    }
    return call->reply_table == NULL
               ? KAMA_OK
               : cli_decode(call->reply_table, km_buf_bytes(buf), call->reply);
}

/* Encodes a message with its table, or the group and the keys. */
static kama_status encode(const struct cli *cli, const struct cli_request *call,
                          struct km_buf *out)
{
    if (call->keys == NULL) {
        return km_pb_append(out, call->request_table, call->request);
    }
    kama_status status = km_pb_append_bytes(out, 1, cli->group);
    for (int i = 0; i < call->key_count && status == KAMA_OK; i++) {
        status = km_pb_append_bytes(out, KM_MSG_KEYS, call->keys[i]);
    }
    return status;
}

kama_status cli_request(struct cli *cli, const struct cli_request *call,
                        struct km_buf *buf)
{
    struct km_client_request request = {
        .path = call->path,
        .message = call->encoded,
        .timeout_ms = cli->options.timeout,
        .unreached = KAMA_ERR_UNREACHABLE,
    };
    if (call->request_table == NULL && call->keys == NULL) {
        return send_call(cli, call, &request, buf);
    }
    struct km_buf encoded;
    km_buf_init(&encoded, km_mem_default(), SIZE_MAX);
    kama_status status = encode(cli, call, &encoded);
    if (status == KAMA_OK) {
        request.message = km_buf_bytes(&encoded);
        status = send_call(cli, call, &request, buf);
    }
    km_buf_fini(&encoded);
    return status;
}

/* The answer is freed only after printing, because the decoded reply points
 * into it. */
enum cli_exit cli_ask(struct cli *cli, const struct cli_request *call,
                      cli_print_fn print, const void *arg)
{
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    kama_status status = cli_request(cli, call, &buf);
    enum cli_exit code =
        status == KAMA_OK ? print(cli, arg) : cli_failed(cli, status);
    km_buf_fini(&buf);
    return code;
}

/* -- health -------------------------------------------------------------- */

/* Sends one health check, which a node of another kind may not have. */
static kama_status check_health(struct cli *cli,
                                const struct km_client_request *request,
                                bool *ret_serving)
{
    struct km_msg_health_response response;
    const struct cli_request call = {.reply_table = &km_msg_health_response_pb,
                                     .reply = &response};
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    kama_status status = send_call(cli, &call, request, &buf);
    km_buf_fini(&buf);
    if (status == KAMA_OK) {
        *ret_serving = response.status == KM_MSG_HEALTH_SERVING;
    }
    return status;
}

kama_status cli_health(struct cli *cli, int64_t timeout_ms, bool *ret_serving)
{
    const struct km_client_request request = {
        .path = HEALTH_PATH,
        .timeout_ms = timeout_ms,
        .unreached = KAMA_ERR_UNREACHABLE,
    };
    return check_health(cli, &request, ret_serving);
}

/* Asks for the health of the node as soon as it can be reached. Of several
 * addresses, none is waited for: the caller goes round. */
static kama_status health_when_ready(struct cli *cli, int64_t timeout_ms,
                                     bool *ret_serving)
{
    if (cli->endpoints.count > 1) {
        return cli_health(cli, timeout_ms, ret_serving);
    }
    const struct km_client_request request = {
        .path = HEALTH_PATH,
        .timeout_ms = timeout_ms,
        .wait_for_ready = true,
        .unreached = KAMA_ERR_UNREACHABLE,
    };
    return check_health(cli, &request, ret_serving);
}

/* Returns whether a node that answers with this status may serve later. */
static bool may_come(kama_status status)
{
    return status == KAMA_OK || status == KAMA_ERR_TIMEOUT ||
           status == KAMA_ERR_OVERLOADED ||
           cli_exit_of(status) == CLI_EXIT_UNREACHABLE;
}

/* Waits until the node serves. A node that answers but knows no health check
 * counts as one that serves. */
static kama_status wait_until(struct cli *cli, km_ns end)
{
    static const struct timespec step = {0, WAIT_STEP_MS * KM_NS_PER_MS};
    for (;;) {
        bool serving = false;
        km_ns now = km_clock_mono(km_clock_system());
        if (now >= end) {
            return KAMA_ERR_TIMEOUT;
        }
        int64_t left_ms = (int64_t)((end - now) / KM_NS_PER_MS) + 1;
        kama_status status = health_when_ready(cli, left_ms, &serving);
        if (serving || status == KAMA_ERR_UNSUPPORTED) {
            return KAMA_OK;
        }
        if (!may_come(status)) {
            return status;
        }
        nanosleep(&step, NULL);
    }
}

enum cli_exit cli_wait(struct cli *cli)
{
    char shown[KM_OPTION_NUMBER_BYTES];
    int64_t wait_ms = cli->options.wait;
    km_ns end = km_ns_after_ms(km_clock_mono(km_clock_system()), wait_ms);
    kama_status status = wait_until(cli, end);
    if (status == KAMA_ERR_TIMEOUT) {
        km_option_format_number(KM_OPTION_DURATION, (uint64_t)wait_ms, shown);
        status = km_fail(KAMA_ERR_UNREACHABLE,
                         "no node serves after %s of waiting", shown);
    }
    return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
}
