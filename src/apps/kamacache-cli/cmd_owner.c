/* SPDX-License-Identifier: MIT */
/* owner: which member owns a key, and which would be next. */
#include "call.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "wire/msg/msg.h"

#include <inttypes.h>

/* Prints the address of the owner, or "-" if no member is active. */
static void print_address(kama_bytes address)
{
    if (address.len == 0) {
        putchar('-');
    } else {
        cli_quote_write(stdout, address);
    }
}

static enum cli_exit print_owner(struct cli *cli, const void *arg)
{
    const struct km_msg_owner_response *r = arg;
    struct km_pb_list rank = r->addresses;
    kama_bytes address = {NULL, 0};
    char id[CLI_ID_BYTES];
    char view[CLI_VIEW_BYTES];
    if (cli->mode == CLI_MODE_JSON) {
        return cli_print_json(cli_members_owner(r));
    }
    (void)km_pb_next(&rank, &address);
    if (cli->mode == CLI_MODE_RAW) {
        print_address(address);
        putchar('\n');
        return CLI_EXIT_OK;
    }
    fputs("owner  ", stdout);
    print_address(address);
    printf("%s\nid     %s\nrank  ", r->self ? " (the node itself)" : "",
           cli_members_id(r->owner_id, id));
    for (rank = r->addresses; km_pb_next(&rank, &address);) {
        putchar(' ');
        print_address(address);
    }
    printf("\nslot   %" PRIu32 "\nview   %s\n", r->slot,
           cli_members_view(r->view_id, view));
    return CLI_EXIT_OK;
}

enum cli_exit cli_cmd_owner(struct cli *cli, const kama_bytes *args, int count)
{
    (void)count;
    const struct km_msg_owner_request request = {.group = cli->group,
                                                 .key = args[0]};
    struct km_msg_owner_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Owner",
                                     .request_table = &km_msg_owner_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_owner_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_owner, &response);
}
