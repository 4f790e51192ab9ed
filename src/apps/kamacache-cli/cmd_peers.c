/* SPDX-License-Identifier: MIT */
/*
 * peers: the members of the cluster, as the asked node sees them.
 *
 *     ADDR            ID        STATE   LATENCY  SINCE  REACH  SYNC      LAG  QUEUE
 *     127.0.0.1:8001  5f09c2d1  active        -      -  self   -           -      -
 *     127.0.0.1:8002  a80b13e7  active  0.212ms    10s  up     live  0.000ms      0
 */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "report.h"
#include "table.h"

#include "base/text.h"
#include "wire/msg/msg.h"

#include <inttypes.h>
#include <string.h>

/* -- JSON ---------------------------------------------------------------- */

/* null: the member has no streams, as the asked node itself. */
static json_t *stream_json(const struct km_msg_member_stream *s)
{
    if (s->state.len == 0) {
        return json_null();
    }
    json_t *o = json_object();
    bool made =
        cli_json_set_bytes(o, "state", s->state) &&
        cli_json_set(o, "up", json_boolean(s->up)) &&
        cli_json_set(o, "unsynced", json_boolean(s->unsynced)) &&
        cli_json_set(o, "quarantined", json_boolean(s->quarantined)) &&
        cli_json_set(o, "differing", cli_json_uint(s->differing)) &&
        cli_json_set(o, "lag_ns", cli_json_uint(s->lag_ns)) &&
        cli_json_set(o, "lag_entries", cli_json_uint(s->lag_entries)) &&
        cli_json_set(o, "acked", cli_json_uint(s->acked)) &&
        cli_json_set(o, "applied", cli_json_uint(s->applied)) &&
        cli_json_set(o, "sent", cli_json_uint(s->sent)) &&
        cli_json_set(o, "received", cli_json_uint(s->received)) &&
        cli_json_set(o, "duplicates", cli_json_uint(s->duplicates)) &&
        cli_json_set(o, "bytes_sent", cli_json_uint(s->bytes_sent)) &&
        cli_json_set(o, "bytes_received", cli_json_uint(s->bytes_received)) &&
        cli_json_set(o, "gaps", cli_json_uint(s->gaps)) &&
        cli_json_set(o, "gaps_sent", cli_json_uint(s->gaps_sent)) &&
        cli_json_set(o, "gap_age_ms", cli_json_uint(s->gap_age_ms));
    return cli_json_made(o, made);
}

static json_t *member_json(const struct km_msg_member *m)
{
    char id[CLI_ID_BYTES];
    json_t *o = json_object();
    bool made =
        cli_json_set_bytes(o, "address", m->address) &&
        cli_json_set_bytes(o, "admin_address", m->admin_address) &&
        cli_json_set(o, "id", json_string(cli_members_id(m->id, id))) &&
        cli_json_set(o, "state",
                     json_string(km_msg_member_state_name(m->state))) &&
        cli_json_set(o, "labels", cli_members_texts(m->labels)) &&
        cli_json_set(o, "weight", cli_json_uint(m->weight)) &&
        cli_json_set_bytes(o, "version", m->version) &&
        cli_json_set(o, "share_ppm", cli_json_uint(m->share_ppm)) &&
        cli_json_set(o, "self", json_boolean(m->self)) &&
        cli_json_set(o, "reach", json_string(cli_members_reach(m->reach))) &&
        cli_json_set(o, "latency_ns", cli_json_uint(m->latency_ns)) &&
        cli_json_set(o, "since_ms", cli_json_uint(m->since_ms)) &&
        cli_json_set(o, "fills", cli_json_uint(m->fills)) &&
        cli_json_set(o, "fills_failed", cli_json_uint(m->fills_failed)) &&
        cli_json_set(o, "mutations", cli_json_uint(m->mutations)) &&
        cli_json_set(o, "mutations_failed",
                     cli_json_uint(m->mutations_failed)) &&
        cli_json_set(o, "served", cli_json_uint(m->served)) &&
        cli_json_set(o, "stream", stream_json(&m->stream));
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

static void add_ns(struct cli_table *table, uint64_t ns)
{
    char text[CLI_TIME_BYTES];
    if (ns < 1000000000) {
        cli_table_text(table, "%.3fms", (double)ns / 1e6);
    } else {
        cli_table_text(table, "%s", cli_columns_time(ns / 1000000, text));
    }
}

static void add_stream(struct cli_table *table,
                       const struct km_msg_member_stream *s)
{
    char state[16];
    if (s->state.len == 0) {
        cli_table_text(table, "-");
        cli_table_text(table, "-");
        cli_table_text(table, "-");
        return;
    }
    (void)km_text_clean(s->state, state, sizeof state);
    bool tells = s->unsynced && strcmp(state, "unsynced") != 0;
    cli_table_text(table, "%s%s%s%s", state, tells ? ",unsynced" : "",
                   s->quarantined ? ",quarantined" : "",
                   s->differing > 0 ? ",differs" : "");
    add_ns(table, s->lag_ns);
    cli_table_text(table, "%" PRIu64, s->lag_entries);
}

static kama_status add_line(void *arg, const void *message)
{
    struct cli_table *table = arg;
    const struct km_msg_member *m = message;
    char id[CLI_ID_BYTES];
    char since[CLI_TIME_BYTES];
    cli_table_quoted(table, m->address);
    cli_table_text(table, "%s", cli_members_short_id(m->id, id));
    cli_table_text(table, "%s", km_msg_member_state_name(m->state));
    if (m->latency_ns > 0) {
        add_ns(table, m->latency_ns);
    } else {
        cli_table_text(table, "-");
    }
    cli_table_text(table, "%s",
                   m->self ? "-" : cli_columns_time(m->since_ms, since));
    cli_table_text(table, "%s", cli_members_reach(m->reach));
    add_stream(table, &m->stream);
    return KAMA_OK;
}

static enum cli_exit print_peers(struct cli *cli, const void *arg)
{
    static const char *const heads[] = {"ADDR",    "ID",    "STATE",
                                        "LATENCY", "SINCE", "REACH",
                                        "SYNC",    "LAG",   "QUEUE"};
    const struct km_msg_members_response *r = arg;
    struct km_msg_member member;
    struct cli_table table;
    if (cli->mode == CLI_MODE_JSON) {
        return print_json(cli, r);
    }
    cli_table_init(&table, sizeof heads / sizeof heads[0], "lllrrllrr");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        cli_table_text(&table, "%s", heads[i]);
    }
    kama_status status =
        cli_each(r->members, &km_msg_member_pb, &member, add_line, &table);
    if (status != KAMA_OK) {
        cli_table_fini(&table);
        return cli_failed(cli, status);
    }
    enum cli_exit code = cli_table_print(&table);
    if (!r->registry_up) {
        fputs("kamacache-cli: peers: etcd does not answer the node; these are "
              "the members that it knew last\n",
              stderr);
    }
    return code;
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
