/* SPDX-License-Identifier: MIT */
/* clear and keys: the commands on all entries of a group. */
#include "call.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "base/status.h"
#include "wire/msg/msg.h"

/* Says on standard error which members may still have their entries. */
static void warn_unsynced(struct km_pb_list unsynced)
{
    kama_bytes address;
    if (unsynced.count == 0) {
        return;
    }
    fputs("kamacache-cli: clear: warning: these members have not answered, and "
          "may still have their entries:",
          stderr);
    while (km_pb_next(&unsynced, &address)) {
        fputc(' ', stderr);
        cli_quote_write(stderr, address);
    }
    fputs("\nWith sync=owner or local, clear the group again when they can be "
          "reached; with any other sync the clear comes to them by itself. "
          "'kamacache-cli peers' shows that.\n",
          stderr);
}

static enum cli_exit print_cleared(struct cli *cli, const void *arg)
{
    const struct km_msg_clear_response *r = arg;
    if (cli->mode != CLI_MODE_JSON) {
        warn_unsynced(r->unsynced);
        return cli_print_ok(cli);
    }
    json_t *o = json_object();
    bool made = cli_json_set(o, "ok", json_true()) &&
                cli_json_set(o, "unsynced", cli_members_texts(r->unsynced));
    return cli_print_json(cli_json_made(o, made));
}

enum cli_exit cli_cmd_clear(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    const struct km_msg_clear_request request = {.group = cli->group};
    struct km_msg_clear_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Clear",
                                     .request_table = &km_msg_clear_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_clear_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_cleared, &response);
}

/* -- keys ---------------------------------------------------------------- */

/* The output of `keys`. Keys are printed as they arrive, by the thread of the
 * loop; the main thread waits meanwhile. */
struct keys_output {
    const struct cli *cli;
    bool begun; /* with --json, the bracket was printed */
};

static json_t *entry_json(const struct km_msg_scan_entry *entry)
{
    json_t *object = json_object();
    bool made = cli_json_set_bytes(object, "key", entry->key) &&
                cli_json_set(object, "value_bytes",
                             cli_json_uint(entry->value_bytes)) &&
                cli_json_set(object, "ttl_ms", json_integer(entry->ttl_ms));
    return cli_json_made(object, made);
}

static kama_status print_entry(void *arg, const void *message)
{
    struct keys_output *out = arg;
    const struct km_msg_scan_entry *entry = message;
    if (out->cli->mode != CLI_MODE_JSON) {
        cli_print_key(out->cli, entry->key);
    } else {
        json_t *object = entry_json(entry);
        if (object == NULL) {
            return KAMA_ERR_NO_MEMORY;
        }
        putchar(out->begun ? ',' : '[');
        out->begun = true;
        if (cli_print_json(object) != CLI_EXIT_OK) {
            return KAMA_ERR_IO;
        }
    }
    return ferror(stdout) ? KAMA_ERR_IO : KAMA_OK;
}

static kama_status on_keys(void *arg, kama_bytes message)
{
    struct km_msg_scan_response response;
    struct km_msg_scan_entry entry;
    kama_status status =
        cli_decode(&km_msg_scan_response_pb, message, &response);
    return status == KAMA_OK ? cli_each(response.entries, &km_msg_scan_entry_pb,
                                        &entry, print_entry, arg)
                             : status;
}

/* Receives the keys. A pager may hold the stream up for a long time, so that
 * there is a time limit only if --timeout was given. */
static kama_status stream_keys(struct cli *cli,
                               const struct km_msg_scan_request *request,
                               struct keys_output *out)
{
    struct km_buf encoded;
    km_buf_init(&encoded, km_mem_default(), SIZE_MAX);
    kama_status status =
        km_pb_append(&encoded, &km_msg_scan_request_pb, request);
    if (status == KAMA_OK) {
        const struct km_client_request call = {
            .path = "/kama.v2.Cache/Scan",
            .message = km_buf_bytes(&encoded),
            .timeout_ms = cli->options.has_timeout ? cli->options.timeout : 0,
            .unreached = KAMA_ERR_UNREACHABLE,
        };
        status = cli_endpoints_stream(&cli->endpoints, &call, on_keys, out);
    }
    km_buf_fini(&encoded);
    return status;
}

enum cli_exit cli_cmd_keys(struct cli *cli, const kama_bytes *args, int count)
{
    const struct km_msg_scan_request request = {
        .group = cli->group,
        .glob = count == 1 ? args[0] : (kama_bytes){NULL, 0},
        .limit = cli->options.limit};
    struct keys_output out = {.cli = cli};
    kama_status status = stream_keys(cli, &request, &out);
    bool json = cli->mode == CLI_MODE_JSON;
    if (json && (out.begun || status == KAMA_OK)) {
        puts(out.begun ? "]" : "[]"); /* also after an error */
    }
    if (status == KAMA_ERR_IO && ferror(stdout)) {
        return CLI_EXIT_OTHER; /* cli_close_output prints the sentence */
    }
    return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
}
