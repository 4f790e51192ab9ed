/* SPDX-License-Identifier: MIT */
/* mget: several keys in one call. */
#include "commands.h"
#include "print.h"
#include "quote.h"

#include "base/status.h"
#include "wire/msg.h"

/* Writes group and keys as an MGetRequest. false: a usage error was printed,
 * or there was no memory. */
static bool encode_request(struct cli *cli, int argc, char **argv,
                           struct km_buf *out)
{
    if (km_pb_append_bytes(out, 1, KAMA_STR(cli->group)) != KAMA_OK) {
        return false;
    }
    for (int i = 0; i < argc; i++) {
        struct km_buf key;
        bool added = cli_argument(cli, argv[i], &key) &&
                     km_pb_append_bytes(out, KM_MSG_MGET_KEY,
                                        km_buf_bytes(&key)) == KAMA_OK;
        km_buf_fini(&key);
        if (!added) {
            return false;
        }
    }
    return true;
}

static json_t *item_json(const char *argument,
                         const struct km_msg_mget_item *item)
{
    json_t *object = json_object();
    struct km_buf key;
    km_buf_init(&key, km_mem_default(), SIZE_MAX);
    bool made =
        object != NULL && cli_quote_parse(argument, &key) == KAMA_OK &&
        cli_json_set_bytes(object, "key", km_buf_bytes(&key)) &&
        json_object_set_new(
            object, "status",
            json_string(kama_status_name((kama_status)item->status))) == 0;
    km_buf_fini(&key);
    if (made && item->status == KAMA_OK) {
        made = cli_json_set_bytes(object, "value", item->value) &&
               json_object_set_new(object, "ttl_ms",
                                   json_integer(item->ttl_ms)) == 0;
    }
    if (!made) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool print_item(const struct cli *cli, const char *argument,
                       const struct km_msg_mget_item *item)
{
    if (item->status == KAMA_OK) {
        return printf("%s: ", argument) > 0 &&
               cli_print_value(cli, item->value) &&
               (!cli->raw_given || cli_write("\n", 1));
    }
    return printf("%s: (%s)\n", argument,
                  item->status == KAMA_MISS
                      ? "miss"
                      : kama_status_name((kama_status)item->status)) > 0;
}

/* MISS when a key is missing, OTHER when one failed. */
static enum cli_exit worse(enum cli_exit code, int32_t status)
{
    if (status == KAMA_OK || code == CLI_EXIT_OTHER) {
        return code;
    }
    return status == KAMA_MISS ? CLI_EXIT_MISS : CLI_EXIT_OTHER;
}

static enum cli_exit print_items(const struct cli *cli, int argc, char **argv,
                                 struct km_pb_list items)
{
    json_t *array = cli->mode == CLI_MODE_JSON ? json_array() : NULL;
    enum cli_exit code = CLI_EXIT_OK;
    bool printed = true;
    kama_bytes element;
    for (int i = 0; i < argc && printed && km_pb_next(&items, &element); i++) {
        struct km_msg_mget_item item;
        printed = km_pb_decode(&km_msg_mget_item_pb, element, &item) == KAMA_OK;
        if (printed && array != NULL) {
            printed =
                json_array_append_new(array, item_json(argv[i], &item)) == 0;
        } else if (printed) {
            printed = print_item(cli, argv[i], &item);
        }
        code = printed ? worse(code, item.status) : CLI_EXIT_OTHER;
    }
    if (array != NULL && !cli_print_json(array)) {
        return CLI_EXIT_OTHER;
    }
    return code;
}

enum cli_exit cli_cmd_mget(struct cli *cli, int argc, char **argv)
{
    struct km_buf request;
    struct km_buf reply;
    if (!cli_take_end(&argc, argv)) {
        return CLI_EXIT_USAGE;
    }
    km_buf_init(&request, cli->mem, SIZE_MAX);
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    enum cli_exit code = CLI_EXIT_USAGE;
    if (encode_request(cli, argc, argv, &request)) {
        const struct km_client_request call = {
            .path = "/kama.v2.Cache/MGet",
            .message = km_buf_bytes(&request),
            .timeout_ms = cli->timeout_ms,
            .wait_for_ready = cli->wait,
        };
        struct km_msg_mget_response response;
        kama_status st = km_client_unary(cli->client, &call, &reply);
        if (st == KAMA_OK) {
            st = km_pb_decode(&km_msg_mget_response_pb, km_buf_bytes(&reply),
                              &response);
        }
        code = st == KAMA_OK ? print_items(cli, argc, argv, response.items)
                             : cli_failed(cli, "mget", st);
    }
    km_buf_fini(&reply);
    km_buf_fini(&request);
    return code;
}
