/* SPDX-License-Identifier: MIT */
#include "unsynced.h"

#include "members.h"
#include "print.h"
#include "quote.h"

void cli_unsynced_warn(const struct cli *cli, const char *command,
                       struct km_pb_list unsynced)
{
    kama_bytes address;
    if (unsynced.count == 0 || cli->mode == CLI_MODE_JSON) {
        return;
    }
    fprintf(stderr,
            "kamacache-cli: %s: warning: done, but these members have not "
            "acknowledged it in time:",
            command);
    while (km_pb_next(&unsynced, &address)) {
        fputc(' ', stderr);
        cli_quote_write(stderr, address);
    }
    fputc('\n', stderr);
}

enum cli_exit cli_unsynced_json(json_t *object, struct km_pb_list unsynced)
{
    bool made = object != NULL &&
                (unsynced.count == 0 ||
                 cli_json_set(object, "unsynced", cli_members_texts(unsynced)));
    return cli_print_json(cli_json_made(object, made));
}

enum cli_exit cli_unsynced_ok(const struct cli *cli, const char *command,
                              struct km_pb_list unsynced)
{
    if (cli->mode == CLI_MODE_JSON) {
        return cli_unsynced_json(json_pack("{s:b}", "ok", 1), unsynced);
    }
    cli_unsynced_warn(cli, command, unsynced);
    return cli_print_ok(cli);
}
