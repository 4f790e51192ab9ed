/* SPDX-License-Identifier: MIT */
/* resize: changes how much memory a group of the node may use. */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "print.h"
#include "report.h"

#include "base/parse.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#include <stdlib.h>

struct resized {
    struct km_msg_resize_request request;
    struct km_msg_resize_response response;
};

/* Says on standard error why more memory is in use than the bound allows. */
static void warn_held(const struct resized *r)
{
    char bytes[CLI_SIZE_BYTES];
    if (r->response.bytes > r->request.max_bytes) {
        fprintf(stderr,
                "kamacache-cli: resize: warning: the group uses %s, because "
                "values are still referenced; the bound is kept to when they "
                "are given back\n",
                cli_columns_size(r->response.bytes, bytes));
    }
}

static enum cli_exit print_resized(struct cli *cli, const void *arg)
{
    const struct resized *r = arg;
    if (cli->mode != CLI_MODE_JSON) {
        warn_held(r);
        return cli_print_ok(cli);
    }
    json_t *o = json_object();
    bool made =
        cli_json_set(o, "ok", json_true()) &&
        cli_json_set(o, "max_bytes", cli_json_uint(r->request.max_bytes)) &&
        cli_json_set(o, "old_max_bytes",
                     cli_json_uint(r->response.old_max_bytes)) &&
        cli_json_set(o, "bytes", cli_json_uint(r->response.bytes));
    return cli_print_json(cli_json_made(o, made));
}

/* Reads a size as it is typed. */
static kama_status read_size(kama_bytes arg, uint64_t *ret_bytes)
{
    char text[32];
    if (arg.len >= sizeof text || memchr(arg.data, '\0', arg.len) != NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "the size is no number of bytes, with k, m or g");
    }
    memcpy(text, arg.data, arg.len);
    text[arg.len] = '\0';
    return km_parse_bytes(text, ret_bytes);
}

enum cli_exit cli_cmd_resize(struct cli *cli, const kama_bytes *args, int count)
{
    (void)count;
    struct resized r = {.request.group = args[0]};
    if (read_size(args[1], &r.request.max_bytes) != KAMA_OK) {
        return cli_usage_error("resize: SIZE: %s", km_last_error());
    }
    const struct cli_request call = {.path = "/kama.v2.Cache/Resize",
                                     .request_table = &km_msg_resize_request_pb,
                                     .request = &r.request,
                                     .reply_table = &km_msg_resize_response_pb,
                                     .reply = &r.response};
    return cli_ask(cli, &call, print_resized, &r);
}
