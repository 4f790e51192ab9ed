/* SPDX-License-Identifier: MIT */
/* groups: how the groups of a node are configured, and how full they are. */
#include "commands.h"
#include "print.h"
#include "quote.h"

#include "wire/msg.h"

#include <inttypes.h>

/* -- JSON ---------------------------------------------------------------- */

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
