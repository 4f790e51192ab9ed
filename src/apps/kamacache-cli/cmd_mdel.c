/* SPDX-License-Identifier: MIT */
/* mdel: it removes several keys in one call. */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "unsynced.h"

#include "base/status.h"
#include "wire/msg/msg.h"

/* Prints how many keys were removed, which is the number of statuses KAMA_OK and
 * KAMA_UNSYNCED. */
static enum cli_exit print_removed(struct cli *cli, const void *arg)
{
    const struct km_msg_numbers_response *response = arg;
    struct km_pb_list list = response->numbers;
    enum cli_exit code = CLI_EXIT_OK;
    uint64_t status;
    int removed = 0;
    while (km_pb_next_varint(&list, &status)) {
        removed +=
            status == (uint64_t)KAMA_OK || status == (uint64_t)KAMA_UNSYNCED;
    }
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_unsynced_json(json_pack("{s:i}", "removed", removed),
                                 response->unsynced);
    } else {
        cli_unsynced_warn(cli, "mdel", response->unsynced);
        printf("%d\n", removed);
    }
    return code == CLI_EXIT_OK && removed == 0 ? CLI_EXIT_MISS : code;
}

/* A key that was not in memory has a status of its own in the answer, and is no
 * error. */
enum cli_exit cli_cmd_mdel(struct cli *cli, const kama_bytes *args, int count)
{
    struct km_msg_numbers_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/MDelete",
                                     .keys = args,
                                     .key_count = count,
                                     .reply_table = &km_msg_numbers_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_removed, &response);
}
