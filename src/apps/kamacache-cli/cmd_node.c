/* SPDX-License-Identifier: MIT */
/* node: how a node sees itself as a member of its cluster. */
#include "call.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "wire/msg/msg.h"

#include <inttypes.h>

/* Writes the id of a lease as etcdctl does; "" is none. Returns text. */
#define LEASE_BYTES 17
static const char *format_lease(int64_t lease_id, char text[LEASE_BYTES])
{
    text[0] = '\0';
    if (lease_id != 0) {
        (void)snprintf(text, LEASE_BYTES, "%" PRIx64, (uint64_t)lease_id);
    }
    return text;
}

static json_t *node_json(const struct km_msg_node_response *r)
{
    char id[CLI_ID_BYTES];
    char view[CLI_VIEW_BYTES];
    char lease[LEASE_BYTES];
    json_t *o = json_object();
    bool made = cli_json_set_bytes(o, "listen", r->listen) &&
                cli_json_set_bytes(o, "advertise", r->advertise) &&
                cli_json_set_bytes(o, "admin", r->admin) &&
                cli_json_set_bytes(o, "cluster", r->cluster) &&
                cli_json_set_bytes(o, "service", r->service) &&
                cli_json_set_bytes(o, "etcd", r->etcd) &&
                cli_json_set(o, "id", json_string(cli_members_id(r->id, id))) &&
                cli_json_set(o, "lease_id",
                             json_string(format_lease(r->lease_id, lease))) &&
                cli_json_set_bytes(o, "registration", r->registration) &&
                cli_json_set(o, "view_id",
                             json_string(cli_members_view(r->view_id, view))) &&
                cli_json_set(o, "settled", json_boolean(r->settled)) &&
                cli_json_set(o, "peer_count", cli_json_uint(r->peer_count)) &&
                cli_json_set(o, "group_count", cli_json_uint(r->group_count)) &&
                cli_json_set(o, "ready", json_boolean(r->ready)) &&
                cli_json_set(o, "missing", cli_members_texts(r->missing)) &&
                cli_json_set_bytes(o, "degraded", r->degraded) &&
                cli_json_set_bytes(o, "sync_differs", r->sync_differs) &&
                cli_json_set_bytes(o, "version", r->version) &&
                cli_json_set(o, "start_ms", cli_json_uint(r->start_ms)) &&
                cli_json_set(o, "uptime_ms", cli_json_uint(r->uptime_ms));
    return cli_json_made(o, made);
}

static void print_text(const char *name, kama_bytes text)
{
    printf("%-13s ", name);
    if (text.len == 0) {
        putchar('-');
    } else {
        cli_quote_write(stdout, text);
    }
    putchar('\n');
}

/* Prints the steps that are missing behind "no", or "yes". */
static void print_ready(const struct km_msg_node_response *r)
{
    struct km_pb_list missing = r->missing;
    kama_bytes step;
    printf("%-13s %s", "ready", r->ready ? "yes" : "no, missing:");
    while (!r->ready && km_pb_next(&missing, &step)) {
        putchar(' ');
        cli_quote_write(stdout, step);
    }
    putchar('\n');
}

static enum cli_exit print_node(struct cli *cli, const void *arg)
{
    const struct km_msg_node_response *r = arg;
    char id[CLI_ID_BYTES];
    char view[CLI_VIEW_BYTES];
    char lease[LEASE_BYTES];
    if (cli->mode == CLI_MODE_JSON) {
        return cli_print_json(node_json(r));
    }
    print_text("listen", r->listen);
    print_text("advertise", r->advertise);
    print_text("admin", r->admin);
    print_text("cluster", r->cluster);
    print_text("service", r->service);
    print_text("etcd", r->etcd);
    printf("%-13s %s\n", "id", cli_members_id(r->id, id));
    print_text("registration", r->registration);
    print_text("lease", KAMA_STR(format_lease(r->lease_id, lease)));
    printf("%-13s %s%s\n", "view", cli_members_view(r->view_id, view),
           r->settled ? "" : " (not settled)");
    printf("%-13s %" PRIu32 "\n", "peers", r->peer_count);
    printf("%-13s %" PRIu32 "\n", "groups", r->group_count);
    print_ready(r);
    print_text("degraded", r->degraded);
    print_text("sync differs", r->sync_differs);
    print_text("version", r->version);
    printf("%-13s %" PRIu64 " ms\n", "start", r->start_ms);
    printf("%-13s %" PRIu64 " ms\n", "uptime", r->uptime_ms);
    return CLI_EXIT_OK;
}

enum cli_exit cli_cmd_node(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    struct km_msg_node_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Node",
                                     .encoded = {"", 0},
                                     .reply_table = &km_msg_node_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_node, &response);
}
