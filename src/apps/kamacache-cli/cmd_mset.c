/* SPDX-License-Identifier: MIT */
/* mset: it stores several values in one call. */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "quote.h"
#include "report.h"
#include "unsynced.h"

#include "base/status.h"
#include "wire/msg/msg.h"

/* The pairs that were sent, and the status of each. */
struct stored {
    const kama_bytes *pairs; /* key, value, key, value, ... */
    int count;               /* the number of pairs */
    struct km_msg_numbers_response response;
};

/* Reads the next status of the answer. A missing one is an error of the
 * node. */
static kama_status next_status(struct km_pb_list *list, kama_status *ret_status)
{
    uint64_t number;
    if (!km_pb_next_varint(list, &number)) {
        return km_fail(KAMA_ERR_PROTOCOL, "fewer answers than keys");
    }
    *ret_status = (kama_status)(int64_t)number;
    return KAMA_OK;
}

/* Prints "KEY: (KAMA_ERR_...)" for each pair that could not be stored. Returns
 * the exit code of the worst one. */
static enum cli_exit print_failures(struct cli *cli,
                                    const struct stored *stored)
{
    struct km_pb_list list = stored->response.numbers;
    enum cli_exit code = CLI_EXIT_OK;
    for (int i = 0; i < stored->count; i++) {
        kama_status item = KAMA_OK;
        kama_status status = next_status(&list, &item);
        if (status != KAMA_OK) {
            return cli_failed(cli, status);
        }
        if (item != KAMA_OK && item != KAMA_UNSYNCED) {
            enum cli_exit of_item = cli_exit_of(item);
            code = of_item > code ? of_item : code;
            cli_quote_write(stderr, stored->pairs[2 * i]);
            fprintf(stderr, ": (%s)\n", kama_status_name(item));
        }
    }
    return code;
}

static enum cli_exit print_stored(struct cli *cli, const void *arg)
{
    const struct stored *stored = arg;
    struct km_pb_list unsynced = stored->response.unsynced;
    enum cli_exit code = print_failures(cli, stored);
    if (code == CLI_EXIT_OK) {
        return cli_unsynced_ok(cli, "mset", unsynced);
    }
    cli_unsynced_warn(cli, "mset", unsynced);
    return code;
}

/* Encodes the group and the pairs into one MSetRequest, without an array of
 * entries. */
static kama_status encode(const struct cli *cli, const struct stored *stored,
                          struct km_buf *out)
{
    kama_status status = km_pb_append_bytes(out, 1, cli->group);
    for (int i = 0; i < stored->count && status == KAMA_OK; i++) {
        const struct km_msg_mset_entry entry = {.key = stored->pairs[2 * i],
                                                .value =
                                                    stored->pairs[2 * i + 1],
                                                .ttl_ms = cli->options.ttl};
        status = km_pb_append_element(out, KM_MSG_MSET_ENTRIES,
                                      &km_msg_mset_entry_pb, &entry);
    }
    return status;
}

enum cli_exit cli_cmd_mset(struct cli *cli, const kama_bytes *args, int count)
{
    struct stored stored = {.pairs = args, .count = count / 2};
    struct km_buf encoded;
    if (count % 2 != 0) {
        char shown[64];
        return cli_usage_error(
            "mset: the last key, \"%s\", has no value",
            km_bytes_quote(args[count - 1], shown, sizeof shown));
    }
    km_buf_init(&encoded, km_mem_default(), SIZE_MAX);
    kama_status status = encode(cli, &stored, &encoded);
    const struct cli_request call = {.path = "/kama.v2.Cache/MSet",
                                     .encoded = km_buf_bytes(&encoded),
                                     .reply_table = &km_msg_numbers_response_pb,
                                     .reply = &stored.response};
    enum cli_exit code = status == KAMA_OK
                             ? cli_ask(cli, &call, print_stored, &stored)
                             : cli_failed(cli, status);
    km_buf_fini(&encoded);
    return code;
}
