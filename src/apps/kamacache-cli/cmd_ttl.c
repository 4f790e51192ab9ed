/* SPDX-License-Identifier: MIT */
/* ttl: it prints how long an entry has to live. */
#include "call.h"
#include "commands.h"
#include "print.h"

#include "wire/msg/msg.h"

#include <inttypes.h>

struct asked {
    kama_bytes key;
    struct km_msg_ttl_response response;
};

/* Makes the JSON object of an answer. A miss has no time to live. */
static json_t *ttl_json(const struct asked *asked)
{
    json_t *object = json_object();
    bool made =
        cli_json_set_bytes(object, "key", asked->key) &&
        cli_json_set(object, "found", json_boolean(asked->response.found));
    if (made && asked->response.found) {
        made = cli_json_set(object, "ttl_ms",
                            json_integer(asked->response.ttl_ms));
    }
    return cli_json_made(object, made);
}

/* Prints a time so that it can be given to --ttl or, with --raw, as the bare
 * number of milliseconds. */
static void print_ttl(const struct cli *cli, int64_t ttl_ms)
{
    if (cli->mode == CLI_MODE_RAW) {
        printf("%" PRId64 "\n", ttl_ms);
    } else if (ttl_ms == KAMA_TTL_FOREVER) {
        puts("forever");
    } else {
        printf("%" PRId64 "ms\n", ttl_ms);
    }
}

/* Prints the time. A miss is an exit code and, on a terminal, a remark. */
static enum cli_exit print_asked(struct cli *cli, const void *arg)
{
    const struct asked *asked = arg;
    enum cli_exit code = CLI_EXIT_OK;
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_print_json(ttl_json(asked));
    } else if (asked->response.found) {
        print_ttl(cli, asked->response.ttl_ms);
    } else if (cli->mode == CLI_MODE_PEOPLE) {
        fputs("(miss)\n", stderr);
    }
    return code == CLI_EXIT_OK && !asked->response.found ? CLI_EXIT_MISS : code;
}

enum cli_exit cli_cmd_ttl(struct cli *cli, const kama_bytes *args, int count)
{
    (void)count;
    struct asked asked = {.key = args[0]};
    const struct km_msg_ttl_request request = {.group = cli->group,
                                               .key = args[0]};
    const struct cli_request call = {.path = "/kama.v2.Cache/Ttl",
                                     .request_table = &km_msg_ttl_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_ttl_response_pb,
                                     .reply = &asked.response};
    return cli_ask(cli, &call, print_asked, &asked);
}
