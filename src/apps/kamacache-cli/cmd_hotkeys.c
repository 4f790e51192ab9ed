/* SPDX-License-Identifier: MIT */
/*
 * hotkeys: the keys that are asked for most often, or the longest values.
 *
 *     GETS/S  ERROR  KEY            BYTES  KEY
 *     1204.5   13.1  tom            1.0m   photo:7
 *       31.0    0.0  ann            512    tom
 */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "print.h"
#include "report.h"
#include "table.h"

#include "base/limits.h"
#include "base/parse.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#include <inttypes.h>

/* -- JSON ---------------------------------------------------------------- */

/* The output, and the array or table that it is added to. */
struct output {
    const struct cli *cli;
    json_t *array;
    struct cli_table table;
};

static bool is_by_size(const struct cli *cli)
{
    return cli->options.largest != 0;
}

static json_t *key_json(const struct cli *cli, const struct km_msg_hot_key *k)
{
    json_t *o = json_object();
    bool made = cli_json_set_bytes(o, "key", k->key);
    if (is_by_size(cli)) {
        made = made &&
               cli_json_set(o, "value_bytes", cli_json_uint(k->value_bytes));
    } else {
        made = made &&
               cli_json_set(o, "gets_per_s",
                            json_real(km_msg_double(k->gets_per_s))) &&
               cli_json_set(o, "error_per_s",
                            json_real(km_msg_double(k->error_per_s)));
    }
    return cli_json_made(o, made);
}

static kama_status add_json(void *arg, const void *message)
{
    struct output *out = arg;
    return json_array_append_new(out->array, key_json(out->cli, message)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

/* -- lines --------------------------------------------------------------- */

static kama_status print_key(void *arg, const void *message)
{
    const struct output *out = arg;
    const struct km_msg_hot_key *k = message;
    cli_print_key(out->cli, k->key);
    return KAMA_OK;
}

static kama_status add_line(void *arg, const void *message)
{
    struct output *out = arg;
    const struct km_msg_hot_key *k = message;
    char size[CLI_SIZE_BYTES];
    if (is_by_size(out->cli) && out->cli->options.bytes != 0) {
        cli_table_text(&out->table, "%" PRIu64, k->value_bytes);
    } else if (is_by_size(out->cli)) {
        cli_table_text(&out->table, "%s",
                       cli_columns_size(k->value_bytes, size));
    } else {
        cli_table_text(&out->table, "%.1f", km_msg_double(k->gets_per_s));
        cli_table_text(&out->table, "%.1f", km_msg_double(k->error_per_s));
    }
    cli_table_quoted(&out->table, k->key);
    return KAMA_OK;
}

static void begin_table(struct output *out)
{
    if (is_by_size(out->cli)) {
        cli_table_init(&out->table, 2, "rl");
        cli_table_text(&out->table, "BYTES");
    } else {
        cli_table_init(&out->table, 3, "rrl");
        cli_table_text(&out->table, "GETS/S");
        cli_table_text(&out->table, "ERROR");
    }
    cli_table_text(&out->table, "KEY");
}

static enum cli_exit print_hotkeys(struct cli *cli, const void *arg)
{
    const struct km_msg_hot_keys_response *r = arg;
    struct km_msg_hot_key key;
    struct output out = {.cli = cli};
    bool as_json = cli->mode == CLI_MODE_JSON;
    bool as_keys = cli->mode == CLI_MODE_RAW;
    out.array = as_json ? json_array() : NULL;
    begin_table(&out);
    kama_status status = cli_each(r->keys, &km_msg_hot_key_pb, &key,
                                  as_json   ? add_json
                                  : as_keys ? print_key
                                            : add_line,
                                  &out);
    if (status != KAMA_OK || as_json || as_keys) {
        cli_table_fini(&out.table);
    }
    if (status != KAMA_OK) {
        json_decref(out.array);
        return cli_failed(cli, status);
    }
    return as_json   ? cli_print_json(out.array)
           : as_keys ? CLI_EXIT_OK
                     : cli_table_print(&out.table);
}

/* -- the command --------------------------------------------------------- */

/* Reads "-n N" behind the command. */
static kama_status read_limit(const kama_bytes *args, int count,
                              uint64_t *limit)
{
    char text[16];
    if (count == 0) {
        return KAMA_OK;
    }
    if (count != 2 || args[0].len != 2 || memcmp(args[0].data, "-n", 2) != 0) {
        return km_fail(KAMA_ERR_INVALID, "usage: hotkeys [-n N] [--largest]");
    }
    km_bytes_quote(args[1], text, sizeof text);
    kama_status st = km_parse_uint(text, 1, KM_HOT_KEYS_SHOWN_MAX, limit);
    return st == KAMA_OK ? KAMA_OK
                         : km_fail(st, "hotkeys: -n: %s", km_last_error());
}

enum cli_exit cli_cmd_hotkeys(struct cli *cli, const kama_bytes *args,
                              int count)
{
    uint64_t limit = cli->options.limit;
    if (read_limit(args, count, &limit) != KAMA_OK) {
        return cli_usage_error("%s", km_last_error());
    }
    if (limit > KM_HOT_KEYS_SHOWN_MAX) {
        return cli_usage_error("hotkeys: --limit: %" PRIu64 " is outside 1..%d",
                               limit, KM_HOT_KEYS_SHOWN_MAX);
    }
    const struct km_msg_hot_keys_request request = {
        .group = cli->group,
        .limit = (uint32_t)limit,
        .order = is_by_size(cli) ? KM_MSG_HOT_KEYS_VALUE_BYTES
                                 : KM_MSG_HOT_KEYS_GETS};
    struct km_msg_hot_keys_response response = {0};
    const struct cli_request call = {
        .path = "/kama.v2.Cache/HotKeys",
        .request_table = &km_msg_hot_keys_request_pb,
        .request = &request,
        .reply_table = &km_msg_hot_keys_response_pb,
        .reply = &response};
    return cli_ask(cli, &call, print_hotkeys, &response);
}
