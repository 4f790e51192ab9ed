/* SPDX-License-Identifier: MIT */
/*
 * mget: it gets several keys, in as few calls as their values fit into.
 *
 * A node bounds the size of its answer. A value that would make the answer too
 * large is left out, and its item has the status KAMA_ERR_TOO_LARGE. A value
 * that is too large by itself has the same status. So these keys are asked for
 * again, until a call brings none of them; the values that are left then are
 * too large by themselves:
 *
 *     pending    a b c d e
 *     call 1     a b . d .        the answer is full
 *     call 2     c .              e is asked again
 *     call 3     .                e alone is too large
 *
 * Nothing is printed before the last answer, because an error on the way must
 * not leave half a listing. The answers stay in memory until then.
 */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "base/status.h"
#include "wire/msg/msg.h"

/* One call and its answer. The items of the answer point into its bytes. */
struct round {
    struct round *next;
    struct km_buf answer;
};

struct mget {
    struct cli *cli;
    const kama_bytes *keys;
    int count;
    struct km_msg_mget_item *items; /* one per key */
    int *pending;                   /* the indices of keys to ask for */
    int pending_count;
    struct round *rounds;
};

/* -- printing ------------------------------------------------------------ */

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
    } else if (made && item->message.len > 0) {
        made = cli_json_set_bytes(object, "message", item->message);
    }
    return cli_json_made(object, made);
}

/* Prints "(miss)" or "(KAMA_ERR_...: sentence)". Values that begin with a
 * bracket are quoted, so that a remark cannot be confused with a value. */
static void print_remark(const struct km_msg_mget_item *item)
{
    if (item->status == KAMA_MISS) {
        fputs("(miss)", stdout);
        return;
    }
    printf("(%s", kama_status_name((kama_status)item->status));
    if (item->message.len > 0) {
        fputs(": ", stdout);
        cli_quote_write_text(stdout, item->message);
    }
    putchar(')');
}

/* Prints "KEY: VALUE", or "KEY: " and a remark. With --raw, it prints the
 * value. */
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
        print_remark(item);
    }
    putchar('\n');
}

static enum cli_exit print_json(const struct mget *mget)
{
    json_t *array = json_array();
    for (int i = 0; i < mget->count && array != NULL; i++) {
        json_t *item = item_json(mget->keys[i], &mget->items[i]);
        if (json_array_append_new(array, item) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return cli_print_json(array);
}

/* Prints all items. Returns the exit code of the worst one. */
static enum cli_exit print_items(const struct mget *mget)
{
    enum cli_exit worst = CLI_EXIT_OK;
    if (mget->cli->mode == CLI_MODE_JSON && print_json(mget) != CLI_EXIT_OK) {
        return CLI_EXIT_OTHER;
    }
    for (int i = 0; i < mget->count; i++) {
        const struct km_msg_mget_item *item = &mget->items[i];
        enum cli_exit code = cli_exit_of((kama_status)item->status);
        worst = code > worst ? code : worst;
        if (mget->cli->mode != CLI_MODE_JSON) {
            print_item(mget->cli, mget->keys[i], item);
        }
    }
    return worst;
}

/* -- asking -------------------------------------------------------------- */

/* An answer that is being read. Of the keys pending[0..asked), those that must
 * be asked for again are moved to pending[0..again). */
struct reading {
    struct mget *mget;
    int asked;
    int at; /* the index in `pending` of the next item's key */
    int again;
};

static kama_status read_item(void *arg, const void *message)
{
    struct reading *reading = arg;
    struct mget *mget = reading->mget;
    const struct km_msg_mget_item *item = message;
    if (reading->at == reading->asked) {
        return km_fail(KAMA_ERR_PROTOCOL, "more answers than keys");
    }
    int key = mget->pending[reading->at++];
    mget->items[key] = *item;
    if (item->status == KAMA_ERR_TOO_LARGE) {
        mget->pending[reading->again++] = key;
    }
    return KAMA_OK;
}

static kama_status read_answer(struct mget *mget, int asked,
                               const struct km_msg_mget_response *response)
{
    struct reading reading = {.mget = mget, .asked = asked};
    struct km_msg_mget_item item;
    kama_status status = cli_each(response->items, &km_msg_mget_item_pb, &item,
                                  read_item, &reading);
    if (status != KAMA_OK) {
        return status;
    }
    if (reading.at < asked) {
        return km_fail(KAMA_ERR_PROTOCOL, "fewer answers than keys");
    }
    int again = reading.again < asked ? reading.again : 0;
    int later = mget->pending_count - asked;
    memmove(mget->pending + again, mget->pending + asked,
            (size_t)later * sizeof *mget->pending);
    mget->pending_count = again + later;
    return KAMA_OK;
}

static kama_status encode(const struct mget *mget, int count,
                          struct km_buf *out)
{
    kama_status status = km_pb_append_bytes(out, 1, mget->cli->group);
    for (int i = 0; i < count && status == KAMA_OK; i++) {
        status = km_pb_append_bytes(out, KM_MSG_MGET_KEY,
                                    mget->keys[mget->pending[i]]);
    }
    return status;
}

static struct round *add_round(struct mget *mget)
{
    struct round *round = km_mem_zalloc(km_mem_default(), 1, sizeof *round);
    if (round != NULL) {
        km_buf_init(&round->answer, km_mem_default(), SIZE_MAX);
        round->next = mget->rounds;
        mget->rounds = round;
    }
    return round;
}

/* Asks for the pending keys, or for as many of them as a call may have. */
static kama_status ask(struct mget *mget)
{
    int count = mget->pending_count < KM_MGET_KEYS_MAX ? mget->pending_count
                                                       : KM_MGET_KEYS_MAX;
    struct round *round = add_round(mget);
    if (round == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    struct km_buf encoded;
    km_buf_init(&encoded, km_mem_default(), SIZE_MAX);
    kama_status status = encode(mget, count, &encoded);
    struct km_msg_mget_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/MGet",
                                     .encoded = km_buf_bytes(&encoded),
                                     .reply_table = &km_msg_mget_response_pb,
                                     .reply = &response};
    if (status == KAMA_OK) {
        status = cli_request(mget->cli, &call, &round->answer);
    }
    km_buf_fini(&encoded);
    return status == KAMA_OK ? read_answer(mget, count, &response) : status;
}

/* -- the command --------------------------------------------------------- */

static kama_status init(struct mget *mget)
{
    const kama_allocator *mem = km_mem_default();
    size_t count = (size_t)mget->count;
    mget->items = km_mem_zalloc(mem, count, sizeof *mget->items);
    mget->pending = km_mem_zalloc(mem, count, sizeof *mget->pending);
    if (mget->items == NULL || mget->pending == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (int i = 0; i < mget->count; i++) {
        mget->pending[i] = i;
    }
    mget->pending_count = mget->count;
    return KAMA_OK;
}

static void fini(struct mget *mget)
{
    while (mget->rounds != NULL) {
        struct round *round = mget->rounds;
        mget->rounds = round->next;
        km_buf_fini(&round->answer);
        km_mem_free(km_mem_default(), round);
    }
    km_mem_free(km_mem_default(), mget->pending);
    km_mem_free(km_mem_default(), mget->items);
}

enum cli_exit cli_cmd_mget(struct cli *cli, const kama_bytes *args, int count)
{
    struct mget mget = {.cli = cli, .keys = args, .count = count};
    kama_status status = init(&mget);
    while (status == KAMA_OK && mget.pending_count > 0) {
        status = ask(&mget);
    }
    enum cli_exit code =
        status == KAMA_OK ? print_items(&mget) : cli_failed(cli, status);
    fini(&mget);
    return code;
}
