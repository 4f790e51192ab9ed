/* SPDX-License-Identifier: MIT */
/*
 * explain: where a key lives, and what a get of it would do at each member.
 *
 *     RANK   ADDRESS         HELD      VERSION                         AGE ...
 *     owner  127.0.0.1:8002  explicit  1764357361123.0@127.0.0.1:8001  12s
 *     2      127.0.0.1:8001  no        -                               -
 *
 *     ... TTL      SIZE  RECORD             GET
 *         forever     9  none               hit
 *         -           -  set #7, 12s ago    fill from 127.0.0.1:8002
 */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "hex.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"
#include "table.h"

#include "wire/msg/diagnose.h"

#include <inttypes.h>
#include <stdlib.h>

/* -- JSON ---------------------------------------------------------------- */

/* A word, or null for what is not known. */
static json_t *known(const char *text)
{
    return strcmp(text, "unknown") == 0 ? json_null() : json_string(text);
}

/* null: there is none. */
static json_t *version_json(const struct km_msg_version *version)
{
    char origin[2 * KM_MSG_VERSION_ORIGIN_BYTES + 1];
    if (version->origin.len == 0) {
        return json_null();
    }
    json_t *o = json_object();
    bool made = cli_json_set(o, "unix_ms", cli_json_uint(version->unix_ms)) &&
                cli_json_set(o, "counter", cli_json_uint(version->counter)) &&
                cli_json_set(o, "origin",
                             json_string(cli_hex_write(version->origin, origin,
                                                       sizeof origin))) &&
                cli_json_set_bytes(o, "address", version->address);
    return cli_json_made(o, made);
}

static json_t *record_json(const struct km_msg_key_record *record)
{
    char id[CLI_ID_BYTES];
    if (record->operation.len == 0) {
        return json_null();
    }
    json_t *o = json_object();
    bool made = cli_json_set_bytes(o, "operation", record->operation) &&
                cli_json_set(o, "origin",
                             json_string(cli_members_id(record->origin, id))) &&
                cli_json_set(o, "age_ms", cli_json_uint(record->age_ms)) &&
                cli_json_set(o, "seq", cli_json_uint(record->seq)) &&
                cli_json_set(o, "version", version_json(&record->version));
    return cli_json_made(o, made);
}

/* Sets what is known about the entry of a member; null is "not known". */
static bool set_entry(json_t *o, const struct km_msg_copy *copy)
{
    bool held = km_msg_copy_is_held(copy);
    return cli_json_set(o, "held",
                        km_msg_copy_is_known(copy) ? json_boolean(held)
                                                   : json_null()) &&
           cli_json_set(o, "negative",
                        json_boolean(copy->status == KAMA_MISS)) &&
           cli_json_set(o, "kind", known(km_msg_copy_kind_name(copy->kind))) &&
           cli_json_set(o, "absence",
                        known(km_msg_absence_name(copy->absence))) &&
           cli_json_set(o, "age_ms",
                        copy->age_ms > 0 ? cli_json_uint(copy->age_ms)
                                         : json_null()) &&
           cli_json_set(o, "ttl_ms",
                        held ? json_integer(copy->ttl_ms) : json_null()) &&
           cli_json_set(o, "value_bytes", cli_json_uint(copy->value_bytes)) &&
           cli_json_set(o, "version", cli_json_uint(copy->version)) &&
           cli_json_set(o, "stamp", version_json(&copy->stamp)) &&
           cli_json_set(o, "record", record_json(&copy->record));
}

static bool set_get(json_t *o, const struct km_msg_copy *copy)
{
    return cli_json_set(o, "get",
                        json_string(km_msg_get_action_name(copy->get))) &&
           cli_json_set_bytes(o, "get_peer", copy->get_peer) &&
           cli_json_set(
               o, "get_status",
               json_string(kama_status_name((kama_status)copy->get_status))) &&
           cli_json_set_bytes(o, "reason", copy->reason) &&
           cli_json_set(o, "loading", json_boolean(copy->loading)) &&
           cli_json_set(o, "waiters", cli_json_uint(copy->waiters));
}

static json_t *copy_json(const struct km_msg_copy *copy)
{
    char id[CLI_ID_BYTES];
    char view[CLI_VIEW_BYTES];
    json_t *o = json_object();
    bool made =
        cli_json_set_bytes(o, "address", copy->address) &&
        cli_json_set(o, "id", json_string(cli_members_id(copy->id, id))) &&
        cli_json_set(o, "state",
                     json_string(km_msg_member_state_name(copy->state))) &&
        cli_json_set(o, "rank", cli_json_uint(copy->rank)) &&
        cli_json_set(o, "view_id",
                     json_string(cli_members_view(copy->view_id, view))) &&
        cli_json_set(
            o, "status",
            json_string(kama_status_name((kama_status)copy->status))) &&
        set_entry(o, copy) && set_get(o, copy);
    return cli_json_made(o, made);
}

static kama_status add_json(void *arg, const void *message)
{
    return json_array_append_new(arg, copy_json(message)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

/* -- lines --------------------------------------------------------------- */

static void add_rank(struct cli_table *table, const struct km_msg_copy *copy)
{
    if (copy->rank > 1) {
        cli_table_text(table, "%" PRIu32, copy->rank);
    } else {
        cli_table_text(table, "%s", copy->rank == 1 ? "owner" : "-");
    }
}

static void add_held(struct cli_table *table, const struct km_msg_copy *copy)
{
    if (copy->status == KAMA_OK) {
        cli_table_text(table, "%s",
                       copy->kind == 0 ? "yes"
                                       : km_msg_copy_kind_name(copy->kind));
    } else if (copy->status == KAMA_MISS) {
        cli_table_text(table, "negative");
    } else if (copy->status == KAMA_WOULD_LOAD) {
        cli_table_text(table, "no (%s)", km_msg_absence_name(copy->absence));
    } else {
        cli_table_text(table, "?");
    }
}

/* The origin is its address, or hexadecimal digits if nobody knows the address. */
static void add_version(struct cli_table *table,
                        const struct km_msg_version *version)
{
    char origin[2 * KM_MSG_VERSION_ORIGIN_BYTES + 1];
    char *address = cli_columns_quote(version->address);
    if (version->origin.len == 0) {
        cli_table_text(table, "-");
    } else {
        cli_table_text(
            table, "%" PRIu64 ".%" PRIu32 "@%s", version->unix_ms,
            version->counter,
            version->address.len > 0 && address != NULL
                ? address
                : cli_hex_write(version->origin, origin, sizeof origin));
    }
    free(address);
}

/* A time that only an entry has. */
static void add_time(struct cli_table *table, const struct km_msg_copy *copy,
                     uint64_t ms, const char *otherwise)
{
    char text[CLI_TIME_BYTES];
    bool told = km_msg_copy_is_held(copy) && otherwise == NULL;
    cli_table_text(table, "%s",
                   told                        ? cli_columns_time(ms, text)
                   : km_msg_copy_is_held(copy) ? otherwise
                                               : "-");
}

static void add_record(struct cli_table *table, const struct km_msg_copy *copy)
{
    char text[CLI_TIME_BYTES];
    char *operation = cli_columns_quote(copy->record.operation);
    if (copy->record.operation.len == 0) {
        cli_table_text(table, "unknown");
    } else if (copy->record.seq == 0) {
        cli_table_text(table, "%s", operation != NULL ? operation : "?");
    } else {
        cli_table_text(table, "%s #%" PRIu64 ", %s ago",
                       operation != NULL ? operation : "?", copy->record.seq,
                       cli_columns_time(copy->record.age_ms, text));
    }
    free(operation);
}

/* Writes what a get would do, without the reason. */
static void write_get(FILE *out, const struct km_msg_copy *copy)
{
    fputs(km_msg_get_action_name(copy->get), out);
    switch (copy->get) {
    case KM_MSG_GET_JOIN:
        fprintf(out, " a load (%" PRIu32 " wait)", copy->waiters);
        break;
    case KM_MSG_GET_FILL:
        fputs(" from ", out);
        cli_quote_write(out, copy->get_peer);
        break;
    case KM_MSG_GET_LOAD:
        fputs(" here", out);
        break;
    case KM_MSG_GET_REFUSE:
        fprintf(out, " with %s",
                kama_status_name((kama_status)copy->get_status));
        break;
    default:
        break;
    }
}

static void add_get(struct cli_table *table, const struct km_msg_copy *copy)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        table->failed = true;
        return;
    }
    write_get(out, copy);
    if (copy->reason.len > 0) {
        fputs(": ", out);
        cli_quote_write_text(out, copy->reason);
    }
    if (fclose(out) != 0) {
        table->failed = true;
    } else {
        cli_table_text(table, "%s", text);
    }
    free(text);
}

static kama_status add_line(void *arg, const void *message)
{
    struct cli_table *table = arg;
    const struct km_msg_copy *copy = message;
    char size[CLI_SIZE_BYTES];
    add_rank(table, copy);
    cli_table_quoted(table, copy->address);
    add_held(table, copy);
    add_version(table, &copy->stamp);
    add_time(table, copy, copy->age_ms, copy->age_ms == 0 ? "unknown" : NULL);
    add_time(table, copy, (uint64_t)copy->ttl_ms,
             copy->ttl_ms < 0 ? "forever" : NULL);
    cli_table_text(table, "%s",
                   copy->status == KAMA_OK
                       ? cli_columns_size(copy->value_bytes, size)
                       : "-");
    add_record(table, copy);
    add_get(table, copy);
    return KAMA_OK;
}

/* -- the command --------------------------------------------------------- */

/* The question, for printing it. */
struct question {
    kama_bytes group;
    kama_bytes key;
    struct km_msg_explain_response response;
};

static enum cli_exit print_json(const struct cli *cli,
                                const struct question *question)
{
    struct km_msg_copy copy;
    json_t *o = json_object();
    json_t *copies = json_array();
    kama_status status = cli_each(question->response.copies, &km_msg_copy_pb,
                                  &copy, add_json, copies);
    if (status != KAMA_OK) {
        json_decref(copies);
        json_decref(o);
        return cli_failed(cli, status);
    }
    bool made =
        cli_json_set_bytes(o, "group", question->group) &&
        cli_json_set_bytes(o, "key", question->key) &&
        cli_json_set(o, "owner", cli_members_owner(&question->response.owner));
    made = cli_json_set(o, "copies", copies) && made;
    return cli_print_json(cli_json_made(o, made));
}

static enum cli_exit print_explain(struct cli *cli, const void *arg)
{
    static const char *const heads[] = {"RANK",    "ADDRESS", "HELD",
                                        "VERSION", "AGE",     "TTL",
                                        "SIZE",    "RECORD",  "GET"};
    const struct question *question = arg;
    struct km_msg_copy copy;
    struct cli_table table;
    if (cli->mode == CLI_MODE_JSON) {
        return print_json(cli, question);
    }
    cli_table_init(&table, sizeof heads / sizeof heads[0], "llllllrll");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        cli_table_text(&table, "%s", heads[i]);
    }
    kama_status status = cli_each(question->response.copies, &km_msg_copy_pb,
                                  &copy, add_line, &table);
    if (status != KAMA_OK) {
        cli_table_fini(&table);
        return cli_failed(cli, status);
    }
    return cli_table_print(&table);
}

enum cli_exit cli_cmd_explain(struct cli *cli, const kama_bytes *args,
                              int count)
{
    struct question question = {.group = cli->group, .key = args[0]};
    const struct km_msg_explain_request request = {.group = cli->group,
                                                   .key = args[0]};
    const struct cli_request call = {.path = "/kama.v2.Cache/Explain",
                                     .request_table =
                                         &km_msg_explain_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_explain_response_pb,
                                     .reply = &question.response};
    (void)count;
    return cli_ask(cli, &call, print_explain, &question);
}
