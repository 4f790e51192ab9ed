/* SPDX-License-Identifier: MIT */
/* clear, keys, groups: what concerns a group. */
#include "commands.h"
#include "print.h"
#include "quote.h"

#include "base/status.h"
#include "wire/msg.h"

#include <inttypes.h>

static enum cli_exit print_cleared(struct cli *cli, const void *arg)
{
    (void)arg;
    return cli_print_ok(cli);
}

enum cli_exit cli_cmd_clear(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    const struct km_msg_clear_request request = {.group = cli->group};
    const struct cli_call call = {.path = "/kama.v2.Cache/Clear",
                                  .request_table = &km_msg_clear_request_pb,
                                  .request = &request};
    return cli_ask(cli, &call, print_cleared, NULL);
}

/* -- keys ---------------------------------------------------------------- */

/* Keys are printed as they come, by the loop thread: the other one waits. */
struct keys_output {
    const struct cli *cli;
    bool begun; /* with --json: the bracket is open */
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

/* A pager may hold the stream up for long, so that no time limit is set for
 * it unless one is asked for. */
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
        status = km_client_stream(cli->client, &call, on_keys, out);
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
        puts(out.begun ? "]" : "[]"); /* closed after an error, too */
    }
    if (status == KAMA_ERR_IO && ferror(stdout)) {
        return CLI_EXIT_OTHER; /* cli_close_output says it */
    }
    return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
}

/* -- groups -------------------------------------------------------------- */

static kama_status add_option(void *arg, const void *message)
{
    const struct km_msg_group_option *option = message;
    char name[KM_OPTION_NAME_BYTES_MAX + 1];
    km_bytes_quote(option->name, name, sizeof name);
    return cli_json_set_bytes(arg, name, option->value) ? KAMA_OK
                                                        : KAMA_ERR_NO_MEMORY;
}

static bool set_options(json_t *object, struct km_pb_list options)
{
    struct km_msg_group_option option;
    json_t *set = json_object();
    return cli_json_set(object, "options", set) &&
           cli_each(options, &km_msg_group_option_pb, &option, add_option,
                    set) == KAMA_OK;
}

static json_t *group_json(const struct km_msg_group_info *info)
{
    json_t *o = json_object();
    bool made = cli_json_set_bytes(o, "name", info->name) &&
                cli_json_set(o, "max_bytes", cli_json_uint(info->max_bytes)) &&
                cli_json_set(o, "max_value_bytes",
                             cli_json_uint(info->max_value_bytes)) &&
                cli_json_set(o, "ttl_ms", json_integer(info->ttl_ms)) &&
                cli_json_set(o, "negative_ttl_ms",
                             json_integer(info->negative_ttl_ms)) &&
                cli_json_set(o, "has_loader", json_boolean(info->has_loader)) &&
                cli_json_set(o, "loader_timeout_ms",
                             json_integer(info->loader_timeout_ms)) &&
                cli_json_set(o, "loader_concurrency",
                             cli_json_uint(info->loader_concurrency)) &&
                cli_json_set_bytes(o, "policy", info->policy) &&
                cli_json_set(o, "entries", cli_json_uint(info->entries)) &&
                cli_json_set(o, "bytes", cli_json_uint(info->bytes)) &&
                set_options(o, info->options);
    return cli_json_made(o, made);
}

static kama_status add_group(void *arg, const void *message)
{
    return json_array_append_new(arg, group_json(message)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

static kama_status print_group(void *arg, const void *message)
{
    const struct km_msg_group_info *info = message;
    (void)arg;
    cli_quote_write(stdout, info->name);
    printf("  %" PRIu64 " entries, %" PRIu64 " of %" PRIu64 " bytes, ",
           info->entries, info->bytes, info->max_bytes);
    cli_quote_write(stdout, info->policy);
    puts(info->has_loader ? ", loader" : "");
    return KAMA_OK;
}

static enum cli_exit print_groups(struct cli *cli, const void *arg)
{
    const struct km_msg_groups_response *response = arg;
    struct km_msg_group_info info;
    bool json = cli->mode == CLI_MODE_JSON;
    json_t *array = json ? json_array() : NULL;
    kama_status status = cli_each(response->groups, &km_msg_group_info_pb,
                                  &info, json ? add_group : print_group, array);
    if (status != KAMA_OK) {
        json_decref(array);
        return cli_failed(cli, status);
    }
    return json ? cli_print_json(array) : CLI_EXIT_OK;
}

enum cli_exit cli_cmd_groups(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    struct km_msg_groups_response response = {0};
    const struct cli_call call = {.path = "/kama.v2.Cache/Groups",
                                  .reply_table = &km_msg_groups_response_pb,
                                  .reply = &response};
    return cli_ask(cli, &call, print_groups, &response);
}
