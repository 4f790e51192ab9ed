/* SPDX-License-Identifier: MIT */
/* The addresses of members come from the network. They are used as addresses,
 * which refuses everything else, and quoted in print. */
#include "members.h"
#include "call.h"
#include "hex.h"
#include "report.h"

#include "base/mem.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#include <inttypes.h>
#include <string.h>

const char *cli_members_short_id(kama_bytes id, char text[CLI_ID_BYTES])
{
    return cli_hex_write(id, text, 2 * 4 + 1);
}

const char *cli_members_id(kama_bytes id, char text[CLI_ID_BYTES])
{
    return cli_hex_write(id, text, CLI_ID_BYTES);
}

const char *cli_members_view(uint64_t view_id, char text[CLI_VIEW_BYTES])
{
    (void)snprintf(text, CLI_VIEW_BYTES, "%016" PRIx64, view_id);
    return text;
}

json_t *cli_members_texts(struct km_pb_list list)
{
    json_t *array = json_array();
    kama_bytes element;
    while (array != NULL && km_pb_next(&list, &element)) {
        json_t *text = json_stringn(element.data, element.len);
        if (text == NULL || json_array_append_new(array, text) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

const char *cli_members_reach(int32_t reach)
{
    static const char *const names[] = {"unknown", "self", "up", "unreachable",
                                        "refused"};
    return reach >= 0 && reach < 5 ? names[reach] : names[0];
}

bool cli_members_is_cut(const struct km_msg_member *member)
{
    return member->reach == KM_MSG_REACH_UNREACHABLE ||
           member->reach == KM_MSG_REACH_REFUSED;
}

json_t *cli_members_owner(const struct km_msg_owner_response *r)
{
    char id[CLI_ID_BYTES];
    char view[CLI_VIEW_BYTES];
    json_t *o = json_object();
    bool made = cli_json_set(o, "addresses", cli_members_texts(r->addresses)) &&
                cli_json_set(o, "owner_id",
                             json_string(cli_members_id(r->owner_id, id))) &&
                cli_json_set(o, "slot", cli_json_uint(r->slot)) &&
                cli_json_set(o, "view_id",
                             json_string(cli_members_view(r->view_id, view))) &&
                cli_json_set(o, "self", json_boolean(r->self));
    return cli_json_made(o, made);
}

/* -- all members --------------------------------------------------------- */

struct tour {
    struct cli *cli;
    cli_member_fn visit;
    void *arg;
    enum cli_exit code; /* the largest one so far */
};

/* Visits a member with endpoints of its own. */
static enum cli_exit visit_at(struct tour *tour, const char *address)
{
    struct cli *cli = tour->cli;
    struct cli_endpoints all = cli->endpoints;
    kama_status status =
        cli_endpoints_init(&cli->endpoints, address, cli->options.timeout);
    enum cli_exit code = status == KAMA_OK
                             ? tour->visit(cli, address, tour->arg)
                             : cli_failed(cli, status);
    if (status == KAMA_OK) {
        cli_endpoints_fini(&cli->endpoints);
    }
    cli->endpoints = all;
    return code;
}

static kama_status visit_member(void *arg, const void *message)
{
    struct tour *tour = arg;
    const struct km_msg_member *member = message;
    char *address = km_mem_strndup(km_mem_default(), member->address.data,
                                   member->address.len);
    if (address == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    enum cli_exit code = visit_at(tour, address);
    tour->code = code > tour->code ? code : tour->code;
    km_mem_free(km_mem_default(), address);
    return KAMA_OK;
}

enum cli_exit cli_members_each(struct cli *cli, cli_member_fn visit, void *arg)
{
    struct tour tour = {.cli = cli, .visit = visit, .arg = arg};
    struct km_msg_members_response response = {0};
    struct km_msg_member member;
    const struct cli_request call = {.path = "/kama.v2.Cache/Members",
                                     .encoded = {"", 0},
                                     .reply_table = &km_msg_members_response_pb,
                                     .reply = &response};
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    kama_status status = cli_request(cli, &call, &buf);
    if (status == KAMA_OK) {
        status = cli_each(response.members, &km_msg_member_pb, &member,
                          visit_member, &tour);
    }
    km_buf_fini(&buf);
    return status == KAMA_OK ? tour.code : cli_failed(cli, status);
}
