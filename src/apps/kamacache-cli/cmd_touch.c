/* SPDX-License-Identifier: MIT */
/* touch: it gives an entry a new time to live, that of --ttl or that of the
 * group. */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "unsynced.h"

#include "wire/msg/msg.h"

/* Prints whether there was an entry whose time could be changed. */
static enum cli_exit print_touched(struct cli *cli, const void *arg)
{
    const struct km_msg_touch_response *response = arg;
    if (response->found) {
        return cli_unsynced_ok(cli, "touch", response->unsynced);
    }
    if (cli->mode == CLI_MODE_JSON) {
        enum cli_exit code = cli_print_json(json_pack("{s:b}", "ok", 0));
        return code == CLI_EXIT_OK ? CLI_EXIT_MISS : code;
    }
    if (cli->mode == CLI_MODE_PEOPLE) {
        fputs("(miss)\n", stderr);
    }
    return CLI_EXIT_MISS;
}

/* Without --ttl, the time is 0, which stands for the ttl of the group. */
enum cli_exit cli_cmd_touch(struct cli *cli, const kama_bytes *args, int count)
{
    (void)count;
    struct km_msg_touch_response response = {0};
    const struct km_msg_touch_request request = {
        .group = cli->group, .key = args[0], .ttl_ms = cli->options.ttl};
    const struct cli_request call = {.path = "/kama.v2.Cache/Touch",
                                     .request_table = &km_msg_touch_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_touch_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_touched, &response);
}
