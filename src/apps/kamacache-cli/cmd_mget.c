/* SPDX-License-Identifier: MIT */
/* mget: several keys in one call. */
#include "commands.h"
#include "print.h"
#include "quote.h"

#include "base/status.h"
#include "wire/msg.h"

struct items {
    struct cli *cli;
    const kama_bytes *keys;
    int count;
    struct km_msg_mget_response response;
    json_t *array; /* with --json */
    int at;        /* the key of the item that comes next */
    enum cli_exit code;
};

static json_t *item_json(kama_bytes key, const struct km_msg_mget_item *item)
{
    const char *name = kama_status_name((kama_status)item->status);
    json_t *object = json_object();
    bool made = cli_json_set_bytes(object, "key", key) &&
                cli_json_set(object, "status", json_string(name));
    if (made && item->status == KAMA_OK) {
        made = cli_json_set_bytes(object, "value", item->value) &&
               cli_json_set(object, "ttl_ms", json_integer(item->ttl_ms)) &&
               cli_json_set(object, "version", cli_json_uint(item->version));
    }
    return cli_json_made(object, made);
}

/* "KEY: VALUE", "KEY: (miss)", "KEY: (KAMA_ERR_...)": what is in brackets is
 * no value, as values that begin so are quoted. --raw: the value. */
static void print_item(const struct cli *cli, kama_bytes key,
                       const struct km_msg_mget_item *item)
{
    if (cli->mode == CLI_MODE_RAW) {
        cli_print_key(cli, item->value);
        return;
    }
    cli_quote_write(stdout, key);
    fputs(": ", stdout);
    if (item->status == KAMA_OK) {
        cli_quote_write(stdout, item->value);
    } else {
        printf("(%s)", item->status == KAMA_MISS
                           ? "miss"
                           : kama_status_name((kama_status)item->status));
    }
    putchar('\n');
}

static kama_status visit_item(void *arg, const void *message)
{
    struct items *items = arg;
    const struct km_msg_mget_item *item = message;
    if (items->at == items->count) {
        return km_fail(KAMA_ERR_PROTOCOL, "more answers than keys");
    }
    kama_bytes key = items->keys[items->at++];
    enum cli_exit code = cli_exit_of((kama_status)item->status);
    items->code = code > items->code ? code : items->code;
    if (items->array == NULL) {
        print_item(items->cli, key, item);
        return KAMA_OK;
    }
    return json_array_append_new(items->array, item_json(key, item)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

static enum cli_exit print_items(struct cli *cli, const void *arg)
{
    struct items items = *(const struct items *)arg;
    struct km_msg_mget_item item;
    items.array = cli->mode == CLI_MODE_JSON ? json_array() : NULL;
    kama_status status = cli_each(items.response.items, &km_msg_mget_item_pb,
                                  &item, visit_item, &items);
    if (status == KAMA_OK && items.at < items.count) {
        status = km_fail(KAMA_ERR_PROTOCOL, "fewer answers than keys");
    }
    if (status != KAMA_OK) {
        json_decref(items.array);
        return cli_failed(cli, status);
    }
    if (cli->mode == CLI_MODE_JSON &&
        cli_print_json(items.array) != CLI_EXIT_OK) {
        return CLI_EXIT_OTHER;
    }
    return items.code;
}

static kama_status encode(const struct cli *cli, const kama_bytes *keys,
                          int count, struct km_buf *out)
{
    kama_status status = km_pb_append_bytes(out, 1, cli->group);
    for (int i = 0; i < count && status == KAMA_OK; i++) {
        status = km_pb_append_bytes(out, KM_MSG_MGET_KEY, keys[i]);
    }
    return status;
}

enum cli_exit cli_cmd_mget(struct cli *cli, const kama_bytes *args, int count)
{
    struct items items = {.cli = cli, .keys = args, .count = count};
    struct km_buf encoded;
    km_buf_init(&encoded, km_mem_default(), SIZE_MAX);
    kama_status status = encode(cli, args, count, &encoded);
    const struct cli_call call = {.path = "/kama.v2.Cache/MGet",
                                  .encoded = km_buf_bytes(&encoded),
                                  .reply_table = &km_msg_mget_response_pb,
                                  .reply = &items.response};
    enum cli_exit code = status == KAMA_OK
                             ? cli_ask(cli, &call, print_items, &items)
                             : cli_failed(cli, status);
    km_buf_fini(&encoded);
    return code;
}
