/* SPDX-License-Identifier: MIT */
/* Unary calls of the commands: encode, send, decode. */
#include "cli.h"
#include "quote.h"

#include "base/status.h"
#include "wire/pb.h"

kama_status cli_call(struct cli *cli, const struct cli_call *call,
                     struct km_buf *reply, void *ret_message)
{
    struct km_buf request;
    km_buf_init(&request, cli->mem, SIZE_MAX);
    kama_status st = km_pb_append(&request, call->request_table, call->request);
    if (st == KAMA_OK) {
        const struct km_client_request unary = {
            .path = call->path,
            .message = km_buf_bytes(&request),
            .timeout_ms = cli->timeout_ms,
            .wait_for_ready = cli->wait,
        };
        st = km_client_unary(cli->client, &unary, reply);
    }
    km_buf_fini(&request);
    if (st == KAMA_OK && call->reply_table != NULL) {
        st = km_pb_decode(call->reply_table, km_buf_bytes(reply), ret_message);
    }
    return st;
}

bool cli_argument(const struct cli *cli, const char *text, struct km_buf *buf)
{
    km_buf_init(buf, cli->mem, SIZE_MAX);
    kama_status st = cli_quote_parse(text, buf);
    if (st != KAMA_OK) {
        (void)cli_usage_error("%s: %s", text, km_last_error());
    }
    return st == KAMA_OK;
}
