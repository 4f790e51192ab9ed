/* SPDX-License-Identifier: MIT */
/* clear, keys, groups: what concerns a group. */
#include "commands.h"
#include "print.h"

#include "base/limits.h"
#include "base/option.h"
#include "base/status.h"
#include "wire/msg.h"

#include <inttypes.h>

enum cli_exit cli_cmd_clear(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct km_msg_clear_request request = {.group = KAMA_STR(cli->group)};
    const struct cli_call call = {"/kama.v2.Cache/Clear",
                                  &km_msg_clear_request_pb, &request, NULL};
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = cli_call(cli, &call, &reply, NULL);
    km_buf_fini(&reply);
    if (st != KAMA_OK) {
        return cli_failed(cli, cli->group, st);
    }
    if (cli->mode == CLI_MODE_JSON) {
        return cli_printed(cli_print_json(json_pack("{s:b}", "ok", 1)));
    }
    return cli_printed(cli->mode != CLI_MODE_PEOPLE || cli_write("OK\n", 3));
}

/* -- keys ---------------------------------------------------------------- */

/* Keys are printed as they come; the loop thread is the only one to print
 * while the stream runs. */
struct keys_output {
    const struct cli *cli;
    uint64_t printed;
};

static bool print_entry_json(struct keys_output *out,
                             const struct km_msg_scan_entry *entry)
{
    const char *before = out->printed == 0 ? "[" : ",";
    json_t *object = json_object();
    bool made =
        object != NULL && cli_json_set_bytes(object, "key", entry->key) &&
        json_object_set_new(object, "value_bytes",
                            json_integer((json_int_t)entry->value_bytes)) ==
            0 &&
        json_object_set_new(object, "ttl_ms", json_integer(entry->ttl_ms)) == 0;
    if (!made) {
        json_decref(object);
        object = NULL;
    }
    return cli_write(before, 1) && cli_print_json(object);
}

static kama_status on_keys(void *arg, kama_bytes message)
{
    struct keys_output *out = arg;
    struct km_msg_scan_response response;
    kama_status st = km_pb_decode(&km_msg_scan_response_pb, message, &response);
    kama_bytes element;
    while (st == KAMA_OK && km_pb_next(&response.entries, &element)) {
        struct km_msg_scan_entry entry;
        st = km_pb_decode(&km_msg_scan_entry_pb, element, &entry);
        bool printed =
            st == KAMA_OK && (out->cli->mode == CLI_MODE_JSON
                                  ? print_entry_json(out, &entry)
                                  : cli_print_key(out->cli, entry.key));
        if (st == KAMA_OK && !printed) {
            st = KAMA_ERR_IO;
        }
        out->printed++;
    }
    return st;
}

static kama_status stream_keys(struct cli *cli,
                               const struct km_msg_scan_request *request,
                               struct keys_output *out)
{
    struct km_buf message;
    km_buf_init(&message, cli->mem, SIZE_MAX);
    kama_status st = km_pb_append(&message, &km_msg_scan_request_pb, request);
    if (st == KAMA_OK) {
        const struct km_client_request call = {
            .path = "/kama.v2.Cache/Scan",
            .message = km_buf_bytes(&message),
            .timeout_ms = cli->timeout_ms,
            .wait_for_ready = cli->wait,
        };
        st = km_client_stream(cli->client, &call, on_keys, out);
    }
    km_buf_fini(&message);
    return st;
}

static enum cli_exit print_keys(struct cli *cli, kama_bytes glob,
                                uint64_t limit)
{
    const struct km_msg_scan_request request = {
        .group = KAMA_STR(cli->group), .glob = glob, .limit = limit};
    struct keys_output out = {cli, 0};
    kama_status st = stream_keys(cli, &request, &out);
    if (st != KAMA_OK) {
        return cli_failed(cli, cli->group, st);
    }
    if (cli->mode != CLI_MODE_JSON) {
        return CLI_EXIT_OK;
    }
    return cli_printed(out.printed == 0 ? cli_write("[]\n", 3)
                                        : cli_write("]\n", 2));
}

enum cli_exit cli_cmd_keys(struct cli *cli, int argc, char **argv)
{
    const char *limit_text;
    uint64_t limit = 0;
    if (!cli_take_option(&argc, argv, "limit", &limit_text) ||
        !cli_take_end(&argc, argv)) {
        return CLI_EXIT_USAGE;
    }
    if (argc > 1) {
        return cli_usage_error("usage: keys [GLOB] [--limit=N]");
    }
    if (limit_text != NULL &&
        km_parse_uint(limit_text, 1, UINT64_MAX, &limit) != KAMA_OK) {
        return cli_usage_error("--limit: %s", km_last_error());
    }
    struct km_buf glob;
    bool parsed = cli_argument(cli, argc == 1 ? argv[0] : "", &glob);
    enum cli_exit code =
        parsed ? print_keys(cli, km_buf_bytes(&glob), limit) : CLI_EXIT_USAGE;
    km_buf_fini(&glob);
    return code;
}

/* -- groups -------------------------------------------------------------- */

static json_t *group_json(const struct km_msg_group_info *info)
{
    json_t *object = json_pack(
        "{s:I,s:I,s:I,s:I,s:b,s:I,s:I,s:I,s:I}", "max_bytes",
        (json_int_t)info->max_bytes, "max_value_bytes",
        (json_int_t)info->max_value_bytes, "ttl_ms", (json_int_t)info->ttl_ms,
        "negative_ttl_ms", (json_int_t)info->negative_ttl_ms, "has_loader",
        info->has_loader, "loader_timeout_ms",
        (json_int_t)info->loader_timeout_ms, "loader_concurrency",
        (json_int_t)info->loader_concurrency, "entries",
        (json_int_t)info->entries, "bytes", (json_int_t)info->bytes);
    if (object == NULL || !cli_json_set_bytes(object, "name", info->name) ||
        !cli_json_set_bytes(object, "policy", info->policy)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool print_group(const struct cli *cli,
                        const struct km_msg_group_info *info)
{
    char name[KM_GROUP_NAME_BYTES_MAX * 4 + 4];
    (void)cli;
    return printf("%-20s %12" PRIu64 " entries %14" PRIu64 " of %" PRIu64
                  " bytes  %.*s%s\n",
                  km_bytes_quote(info->name, name, sizeof name), info->entries,
                  info->bytes, info->max_bytes, (int)info->policy.len,
                  info->policy.len == 0 ? "" : (const char *)info->policy.data,
                  info->has_loader ? "  loader" : "") > 0;
}

static enum cli_exit print_groups(const struct cli *cli,
                                  struct km_pb_list groups)
{
    json_t *array = cli->mode == CLI_MODE_JSON ? json_array() : NULL;
    kama_bytes element;
    bool printed = true;
    while (printed && km_pb_next(&groups, &element)) {
        struct km_msg_group_info info;
        if (km_pb_decode(&km_msg_group_info_pb, element, &info) != KAMA_OK) {
            printed = false;
        } else if (array != NULL) {
            printed = json_array_append_new(array, group_json(&info)) == 0;
        } else {
            printed = print_group(cli, &info);
        }
    }
    if (array != NULL) {
        printed = cli_print_json(array) && printed;
    }
    return cli_printed(printed);
}

enum cli_exit cli_cmd_groups(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct km_client_request call = {
        .path = "/kama.v2.Cache/Groups",
        .timeout_ms = cli->timeout_ms,
        .wait_for_ready = cli->wait,
    };
    struct km_msg_groups_response response;
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = km_client_unary(cli->client, &call, &reply);
    if (st == KAMA_OK) {
        st = km_pb_decode(&km_msg_groups_response_pb, km_buf_bytes(&reply),
                          &response);
    }
    enum cli_exit code = st == KAMA_OK ? print_groups(cli, response.groups)
                                       : cli_failed(cli, "groups", st);
    km_buf_fini(&reply);
    return code;
}
