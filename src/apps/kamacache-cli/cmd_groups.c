/* SPDX-License-Identifier: MIT */
/*
 * groups: the configuration of the groups of a node, and how full they are.
 *
 *     users      1021 entries  9.8m of 64m  s3fifo+  loader
 *     sessions     12 entries  3.1k of 1g   lru
 *
 * The columns are as wide as their widest cell, so that all groups are visited
 * twice: once to measure and once to print.
 */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "print.h"
#include "report.h"

#include "wire/msg/msg.h"

#include <inttypes.h>
#include <stdlib.h>

/* -- JSON ---------------------------------------------------------------- */

/* Adds an option of a group, as the node spells it, to a JSON object. */
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
                cli_json_set_bytes(o, "sync", info->sync) &&
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

static enum cli_exit print_json(const struct cli *cli,
                                const struct km_msg_groups_response *response)
{
    struct km_msg_group_info info;
    json_t *array = json_array();
    kama_status status = cli_each(response->groups, &km_msg_group_info_pb,
                                  &info, add_group, array);
    if (status != KAMA_OK) {
        json_decref(array);
        return cli_failed(cli, status);
    }
    return cli_print_json(array);
}

/* -- lines --------------------------------------------------------------- */

/* The cells of a group's line. */
struct cells {
    char *name;   /* owned */
    char *policy; /* owned */
    char entries[CLI_SIZE_BYTES];
    char bytes[CLI_SIZE_BYTES];
    char max_bytes[CLI_SIZE_BYTES];
};

/* The widths of the columns. */
struct lines {
    const struct cli *cli;
    int name;
    int entries;
    int bytes;
    int max_bytes;
    int policy;
};

/* Writes a size as --bytes demands: as an exact number, or rounded with a
 * unit. */
static void format_bytes(const struct cli *cli, uint64_t bytes,
                         char ret_cell[CLI_SIZE_BYTES])
{
    if (cli->options.bytes != 0) {
        (void)snprintf(ret_cell, CLI_SIZE_BYTES, "%" PRIu64, bytes);
    } else {
        (void)cli_columns_size(bytes, ret_cell);
    }
}

static void free_cells(struct cells *cells)
{
    free(cells->name);
    free(cells->policy);
}

/* Makes the cells of a group. Names come from the network and are quoted. */
static kama_status make_cells(const struct cli *cli,
                              const struct km_msg_group_info *info,
                              struct cells *ret_cells)
{
    struct cells cells = {.name = cli_columns_quote(info->name),
                          .policy = cli_columns_quote(info->policy)};
    if (cells.name == NULL || cells.policy == NULL) {
        free_cells(&cells);
        return KAMA_ERR_NO_MEMORY;
    }
    (void)snprintf(cells.entries, sizeof cells.entries, "%" PRIu64,
                   info->entries);
    format_bytes(cli, info->bytes, cells.bytes);
    format_bytes(cli, info->max_bytes, cells.max_bytes);
    *ret_cells = cells;
    return KAMA_OK;
}

static void widen(int *width, const char *cell)
{
    int needed = cli_columns_width(KAMA_STR(cell));
    *width = needed > *width ? needed : *width;
}

/* Widens the columns for a group. */
static kama_status measure_group(void *arg, const void *message)
{
    struct lines *lines = arg;
    struct cells cells;
    kama_status status = make_cells(lines->cli, message, &cells);
    if (status == KAMA_OK) {
        widen(&lines->name, cells.name);
        widen(&lines->entries, cells.entries);
        widen(&lines->bytes, cells.bytes);
        widen(&lines->max_bytes, cells.max_bytes);
        widen(&lines->policy, cells.policy);
        free_cells(&cells);
    }
    return status;
}

/* Prints the line of a group. */
static kama_status print_group(void *arg, const void *message)
{
    const struct km_msg_group_info *info = message;
    const struct lines *lines = arg;
    struct cells cells;
    kama_status status = make_cells(lines->cli, info, &cells);
    if (status != KAMA_OK) {
        return status;
    }
    cli_columns_left(stdout, cells.name, lines->name + 2);
    cli_columns_right(stdout, cells.entries, lines->entries);
    fputs(" entries  ", stdout);
    cli_columns_right(stdout, cells.bytes, lines->bytes);
    fputs(" of ", stdout);
    cli_columns_right(stdout, cells.max_bytes, lines->max_bytes);
    fputs(lines->cli->options.bytes != 0 ? " bytes  " : "  ", stdout);
    cli_columns_left(stdout, cells.policy,
                     info->has_loader ? lines->policy + 2 : 0);
    puts(info->has_loader ? "loader" : "");
    free_cells(&cells);
    return KAMA_OK;
}

static enum cli_exit print_groups(struct cli *cli, const void *arg)
{
    const struct km_msg_groups_response *response = arg;
    struct km_msg_group_info info;
    struct lines lines = {.cli = cli};
    if (cli->mode == CLI_MODE_JSON) {
        return print_json(cli, response);
    }
    kama_status status = cli_each(response->groups, &km_msg_group_info_pb,
                                  &info, measure_group, &lines);
    if (status == KAMA_OK) {
        status = cli_each(response->groups, &km_msg_group_info_pb, &info,
                          print_group, &lines);
    }
    return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
}

/* -- the command --------------------------------------------------------- */

enum cli_exit cli_cmd_groups(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    struct km_msg_groups_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Groups",
                                     .reply_table = &km_msg_groups_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_groups, &response);
}
