/* SPDX-License-Identifier: MIT */
/* get, set and del: the commands that send one key per call. del sends a call
 * for each of its keys. */
#include "call.h"
#include "commands.h"
#include "hex.h"
#include "print.h"
#include "report.h"
#include "unsynced.h"

#include "base/status.h"
#include "wire/msg/msg.h"

#include <errno.h>
#include <unistd.h>

/* The longest etag that is shown and typed: those of later versions are too. */
#define ETAG_BYTES_MAX 32

/* -- get ----------------------------------------------------------------- */

struct get_answer {
    kama_bytes key;
    struct km_msg_get_response response;
};

/* Makes the JSON object of an answer. A miss has neither a value nor a time to
 * live. */
static json_t *answer_json(const struct get_answer *answer)
{
    const struct km_msg_get_response *r = &answer->response;
    char etag[2 * ETAG_BYTES_MAX + 1];
    json_t *object = json_object();
    bool made = cli_json_set_bytes(object, "key", answer->key) &&
                cli_json_set(object, "found", json_boolean(r->found));
    if (made && r->found) {
        made = cli_json_set_bytes(object, "value", r->value) &&
               cli_json_set(object, "ttl_ms", json_integer(r->ttl_ms)) &&
               cli_json_set(object, "version", cli_json_uint(r->version)) &&
               cli_json_set(
                   object, "etag",
                   json_string(cli_hex_write(r->etag, etag, sizeof etag)));
    }
    return cli_json_made(object, made);
}

/* Prints the value. A miss is an exit code and, on a terminal, a remark on
 * standard error, so that it cannot be confused with a value. */
static enum cli_exit print_answer(struct cli *cli, const void *arg)
{
    const struct get_answer *answer = arg;
    enum cli_exit code = CLI_EXIT_OK;
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_print_json(answer_json(answer));
    } else if (answer->response.found) {
        cli_print_value(cli, answer->response.value);
    } else if (cli->mode == CLI_MODE_PEOPLE) {
        fputs("(miss)\n", stderr);
    }
    return code == CLI_EXIT_OK && !answer->response.found ? CLI_EXIT_MISS
                                                          : code;
}

enum cli_exit cli_cmd_get(struct cli *cli, const kama_bytes *args, int count)
{
    (void)count;
    struct get_answer answer = {.key = args[0]};
    const struct km_msg_get_request request = {.group = cli->group,
                                               .key = answer.key,
                                               .want_etag =
                                                   cli->mode == CLI_MODE_JSON};
    const struct cli_request call = {.path = "/kama.v2.Cache/Get",
                                     .request_table = &km_msg_get_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_get_response_pb,
                                     .reply = &answer.response};
    return cli_ask(cli, &call, print_answer, &answer);
}

/* -- set ----------------------------------------------------------------- */

/* Reads the value from standard input up to its end. The buffer permits one
 * byte more than a value, so that a value that is too large is noticed. */
static kama_status read_input(struct km_buf *value)
{
    for (;;) {
        kama_status status = km_buf_reserve(value, 1);
        if (status == KAMA_ERR_TOO_LARGE) {
            return km_fail(status, "standard input: more than %u bytes",
                           KM_VALUE_BYTES_LOCAL_MAX);
        }
        if (status != KAMA_OK) {
            return status;
        }
        ssize_t n = read(STDIN_FILENO, value->data + value->len,
                         value->cap - value->len);
        if (n == 0) {
            return KAMA_OK;
        }
        if (n > 0) {
            value->len += (size_t)n;
        } else if (errno != EINTR) {
            return km_fail(KAMA_ERR_IO, "standard input: %s", strerror(errno));
        }
    }
}

/* Reads --nx, --xx or --etag into a request. etag: the place for its bytes. */
static kama_status read_condition(const struct cli *cli,
                                  uint8_t etag[ETAG_BYTES_MAX],
                                  struct km_msg_set_request *request)
{
    char shown[64];
    const char *text = cli->options.etag;
    size_t len = 0;
    if (cli->options.nx != 0) {
        request->condition = KM_MSG_CONDITION_ABSENT;
    } else if (cli->options.xx != 0) {
        request->condition = KM_MSG_CONDITION_PRESENT;
    } else if (text != NULL) {
        request->condition = KM_MSG_CONDITION_MATCH;
        if (!cli_hex_read(text, etag, ETAG_BYTES_MAX, &len)) {
            km_bytes_quote(KAMA_STR(text), shown, sizeof shown);
            return km_fail(KAMA_ERR_INVALID,
                           "--etag: \"%s\" is no etag; --json get prints them",
                           shown);
        }
    }
    request->if_match = kama_bytes_make(etag, len);
    return KAMA_OK;
}

/* Returns whether the status says that the condition was not met. After
 * KAMA_ERR_TRY_AGAIN the key has to be read again in any case. */
static bool is_unmet(int32_t condition, kama_status status)
{
    switch (condition) {
    case KM_MSG_CONDITION_ABSENT:
        return status == KAMA_ERR_EXISTS;
    case KM_MSG_CONDITION_PRESENT:
        return status == KAMA_MISS;
    case KM_MSG_CONDITION_MATCH:
        return status == KAMA_ERR_TRY_AGAIN;
    default:
        return false;
    }
}

/* Ends a set that was not carried out. A condition that was not met is an exit code,
 * as a miss is, and a sentence on a terminal. */
static enum cli_exit fail_set(const struct cli *cli, int32_t condition,
                              kama_status status)
{
    enum cli_exit code = CLI_EXIT_OK;
    if (!is_unmet(condition, status)) {
        return cli_failed(cli, status);
    }
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_print_json(json_pack("{s:b}", "ok", 0));
    } else if (cli->mode == CLI_MODE_PEOPLE) {
        (void)cli_failed(cli, status);
    }
    return code == CLI_EXIT_OK ? CLI_EXIT_MISS : code;
}

static enum cli_exit send_set(struct cli *cli, kama_bytes key, kama_bytes value)
{
    uint8_t etag[ETAG_BYTES_MAX];
    struct km_msg_set_request request = {.group = cli->group,
                                         .key = key,
                                         .value = value,
                                         .ttl_ms = cli->options.ttl};
    struct km_msg_set_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Set",
                                     .request_table = &km_msg_set_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_set_response_pb,
                                     .reply = &response};
    struct km_buf buf;
    kama_status status = read_condition(cli, etag, &request);
    if (status != KAMA_OK) {
        return cli_usage_error("set %s", km_last_error());
    }
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    status = cli_request(cli, &call, &buf);
    enum cli_exit code = status == KAMA_OK
                             ? cli_unsynced_ok(cli, "set", response.unsynced)
                             : fail_set(cli, request.condition, status);
    km_buf_fini(&buf);
    return code;
}

/* Reads the value from standard input, after a hint if that is a terminal. */
static enum cli_exit set_from_input(struct cli *cli, kama_bytes key)
{
    struct km_buf value;
    km_buf_init(&value, km_mem_default(), KM_VALUE_BYTES_LOCAL_MAX + 1u);
    if (isatty(STDIN_FILENO)) {
        fputs("kamacache-cli: set: reading the value from standard input; "
              "Ctrl-D ends it\n",
              stderr);
    }
    kama_status status = read_input(&value);
    enum cli_exit code = status == KAMA_OK
                             ? send_set(cli, key, km_buf_bytes(&value))
                             : cli_failed(cli, status);
    km_buf_fini(&value);
    return code;
}

enum cli_exit cli_cmd_set(struct cli *cli, const kama_bytes *args, int count)
{
    return count == 2 ? send_set(cli, args[0], args[1])
                      : set_from_input(cli, args[0]);
}

/* -- del ----------------------------------------------------------------- */

/* What several dels have answered. */
struct removed {
    int count;          /* keys that were in memory */
    struct km_buf late; /* of the last del that names members: its answer */
    struct km_pb_list unsynced; /* in `late` */
};

/* Sends one del. */
static kama_status send_del(struct cli *cli, kama_bytes key,
                            struct removed *removed)
{
    const struct km_msg_delete_request request = {.group = cli->group,
                                                  .key = key};
    struct km_msg_delete_response response;
    const struct cli_request call = {.path = "/kama.v2.Cache/Delete",
                                     .request_table = &km_msg_delete_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_delete_response_pb,
                                     .reply = &response};
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    kama_status status = cli_request(cli, &call, &buf);
    if (status == KAMA_OK) {
        removed->count += response.removed ? 1 : 0;
    }
    if (status == KAMA_OK && response.unsynced.count > 0) {
        km_buf_fini(&removed->late);
        removed->late = buf;
        removed->unsynced = response.unsynced;
    } else {
        km_buf_fini(&buf);
    }
    return status;
}

static enum cli_exit print_removed(struct cli *cli,
                                   const struct removed *removed)
{
    enum cli_exit code = CLI_EXIT_OK;
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_unsynced_json(json_pack("{s:i}", "removed", removed->count),
                                 removed->unsynced);
    } else {
        cli_unsynced_warn(cli, "del", removed->unsynced);
        printf("%d\n", removed->count);
    }
    return code == CLI_EXIT_OK && removed->count == 0 ? CLI_EXIT_MISS : code;
}

enum cli_exit cli_cmd_del(struct cli *cli, const kama_bytes *args, int count)
{
    struct removed removed = {.count = 0};
    kama_status status = KAMA_OK;
    km_buf_init(&removed.late, km_mem_default(), SIZE_MAX);
    for (int i = 0; i < count && status == KAMA_OK; i++) {
        status = send_del(cli, args[i], &removed);
    }
    enum cli_exit code = status == KAMA_OK ? print_removed(cli, &removed)
                                           : cli_failed(cli, status);
    km_buf_fini(&removed.late);
    return code;
}
