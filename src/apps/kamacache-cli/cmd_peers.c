/* SPDX-License-Identifier: MIT */
/*
 * peers: the members of the cluster, as the asked node sees them.
 *
 *     ADDR            ID        STATE   LATENCY  SINCE  REACH
 *     127.0.0.1:8001  5f09c2d1  active        -      -  self
 *     127.0.0.1:8002  a80b13e7  active  0.212ms    10s  up
 *
 * The columns are as wide as their widest cell, so that all members are visited
 * twice: once to measure and once to print.
 */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "report.h"

#include "wire/msg/msg.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ADDR, ID, STATE, LATENCY, SINCE, REACH, COLUMNS };

#define CELL_BYTES 40

static const char *state_name(int32_t state)
{
    static const char *const names[] = {"unknown", "joining", "active",
                                        "leaving"};
    return state >= 0 && state < 4 ? names[state] : names[0];
}

static const char *reach_name(int32_t reach)
{
    static const char *const names[] = {"unknown", "self", "up", "unreachable",
                                        "refused"};
    return reach >= 0 && reach < 5 ? names[reach] : names[0];
}

/* -- JSON ---------------------------------------------------------------- */

static json_t *member_json(const struct km_msg_member *m)
{
    char id[CLI_ID_BYTES];
    json_t *o = json_object();
    bool made =
        cli_json_set_bytes(o, "address", m->address) &&
        cli_json_set_bytes(o, "admin_address", m->admin_address) &&
        cli_json_set(o, "id", json_string(cli_members_id(m->id, id))) &&
        cli_json_set(o, "state", json_string(state_name(m->state))) &&
        cli_json_set(o, "labels", cli_members_texts(m->labels)) &&
        cli_json_set(o, "weight", cli_json_uint(m->weight)) &&
        cli_json_set_bytes(o, "version", m->version) &&
        cli_json_set(o, "share_ppm", cli_json_uint(m->share_ppm)) &&
        cli_json_set(o, "self", json_boolean(m->self)) &&
        cli_json_set(o, "reach", json_string(reach_name(m->reach))) &&
        cli_json_set(o, "latency_ns", cli_json_uint(m->latency_ns)) &&
        cli_json_set(o, "since_ms", cli_json_uint(m->since_ms)) &&
        cli_json_set(o, "fills", cli_json_uint(m->fills)) &&
        cli_json_set(o, "fills_failed", cli_json_uint(m->fills_failed)) &&
        cli_json_set(o, "mutations", cli_json_uint(m->mutations)) &&
        cli_json_set(o, "mutations_failed",
                     cli_json_uint(m->mutations_failed)) &&
        cli_json_set(o, "served", cli_json_uint(m->served));
    return cli_json_made(o, made);
}

static kama_status add_member(void *arg, const void *message)
{
    return json_array_append_new(arg, member_json(message)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

static enum cli_exit print_json(const struct cli *cli,
                                const struct km_msg_members_response *r)
{
    char view[CLI_VIEW_BYTES];
    struct km_msg_member member;
    json_t *o = json_object();
    json_t *members = json_array();
    kama_status status =
        cli_each(r->members, &km_msg_member_pb, &member, add_member, members);
    if (status != KAMA_OK) {
        json_decref(members);
        json_decref(o);
        return cli_failed(cli, status);
    }
    bool made = cli_json_set_bytes(o, "cluster", r->cluster) &&
                cli_json_set_bytes(o, "service", r->service) &&
                cli_json_set(o, "view_id",
                             json_string(cli_members_view(r->view_id, view))) &&
                cli_json_set(o, "settled", json_boolean(r->settled)) &&
                cli_json_set(o, "registry_up", json_boolean(r->registry_up));
    made = cli_json_set(o, "members", members) && made;
    return cli_print_json(cli_json_made(o, made));
}

/* -- lines --------------------------------------------------------------- */

/* The cells of a line; the address is owned. */
struct cells {
    char *address;
    char texts[COLUMNS][CELL_BYTES]; /* texts[ADDR] is not used */
};

/* Writes a time in the largest unit in which it is at least 1. */
static void format_since(uint64_t ms, char cell[CELL_BYTES])
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms >= units[i].ms) {
            (void)snprintf(cell, CELL_BYTES, "%" PRIu64 "%s", ms / units[i].ms,
                           units[i].unit);
            return;
        }
    }
    (void)snprintf(cell, CELL_BYTES, "%" PRIu64 "ms", ms);
}

static kama_status make_cells(const struct km_msg_member *m,
                              struct cells *ret_cells)
{
    char id[CLI_ID_BYTES];
    struct cells cells = {.address = cli_columns_quote(m->address)};
    if (cells.address == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    (void)snprintf(cells.texts[ID], CELL_BYTES, "%s",
                   cli_members_short_id(m->id, id));
    (void)snprintf(cells.texts[STATE], CELL_BYTES, "%s", state_name(m->state));
    (void)snprintf(cells.texts[REACH], CELL_BYTES, "%s", reach_name(m->reach));
    (void)snprintf(cells.texts[LATENCY], CELL_BYTES, "-");
    if (m->latency_ns > 0) {
        (void)snprintf(cells.texts[LATENCY], CELL_BYTES, "%.3fms",
                       (double)m->latency_ns / 1e6);
    }
    (void)snprintf(cells.texts[SINCE], CELL_BYTES, "-");
    if (!m->self) {
        format_since(m->since_ms, cells.texts[SINCE]);
    }
    *ret_cells = cells;
    return KAMA_OK;
}

static const char *cell_of(const struct cells *cells, int column)
{
    return column == ADDR ? cells->address : cells->texts[column];
}

static void widen(int widths[COLUMNS], const struct cells *cells)
{
    for (int i = 0; i < COLUMNS; i++) {
        int needed = cli_columns_width(KAMA_STR(cell_of(cells, i)));
        widths[i] = needed > widths[i] ? needed : widths[i];
    }
}

static kama_status measure_member(void *arg, const void *message)
{
    struct cells cells;
    kama_status status = make_cells(message, &cells);
    if (status == KAMA_OK) {
        widen(arg, &cells);
        free(cells.address);
    }
    return status;
}

/* Times are aligned at the right. Nothing is padded behind the last column. */
static void print_cells(const int widths[COLUMNS], const struct cells *cells)
{
    for (int i = 0; i < COLUMNS; i++) {
        fputs(i > 0 ? "  " : "", stdout);
        if (i == LATENCY || i == SINCE) {
            cli_columns_right(stdout, cell_of(cells, i), widths[i]);
        } else {
            cli_columns_left(stdout, cell_of(cells, i),
                             i == REACH ? 0 : widths[i]);
        }
    }
    putchar('\n');
}

static kama_status print_member(void *arg, const void *message)
{
    struct cells cells;
    kama_status status = make_cells(message, &cells);
    if (status == KAMA_OK) {
        print_cells(arg, &cells);
        free(cells.address);
    }
    return status;
}

static enum cli_exit print_peers(struct cli *cli, const void *arg)
{
    const struct km_msg_members_response *r = arg;
    struct km_msg_member member;
    char address[] = "ADDR";
    const struct cells head = {
        .address = address,
        .texts = {"", "ID", "STATE", "LATENCY", "SINCE", "REACH"}};
    int widths[COLUMNS] = {0};
    if (cli->mode == CLI_MODE_JSON) {
        return print_json(cli, r);
    }
    widen(widths, &head);
    kama_status status = cli_each(r->members, &km_msg_member_pb, &member,
                                  measure_member, widths);
    if (status == KAMA_OK) {
        print_cells(widths, &head);
        status = cli_each(r->members, &km_msg_member_pb, &member, print_member,
                          widths);
    }
    if (status == KAMA_OK && !r->registry_up) {
        fputs("kamacache-cli: peers: etcd does not answer the node; these are "
              "the members that it knew last\n",
              stderr);
    }
    return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
}

enum cli_exit cli_cmd_peers(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    struct km_msg_members_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Members",
                                     .encoded = {"", 0},
                                     .reply_table = &km_msg_members_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_peers, &response);
}
