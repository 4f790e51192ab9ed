/* SPDX-License-Identifier: MIT */
/* get, set, del: one key at a time. */
#include "commands.h"
#include "print.h"

#include "base/limits.h"
#include "base/option.h"
#include "base/status.h"
#include "wire/msg.h"

#include <unistd.h>

static bool one_argument(int *argc, char **argv, const char *usage)
{
    if (!cli_take_end(argc, argv)) {
        return false;
    }
    if (*argc != 1) {
        (void)cli_usage_error("usage: %s", usage);
        return false;
    }
    return true;
}

static bool print_got_json(kama_bytes key,
                           const struct km_msg_get_response *got)
{
    json_t *object = json_object();
    bool made =
        object != NULL && cli_json_set_bytes(object, "key", key) &&
        json_object_set_new(object, "found", json_boolean(got->found)) == 0;
    if (made && got->found) {
        made = cli_json_set_bytes(object, "value", got->value) &&
               json_object_set_new(object, "ttl_ms",
                                   json_integer(got->ttl_ms)) == 0 &&
               json_object_set_new(object, "version",
                                   json_integer((json_int_t)got->version)) == 0;
    }
    if (!made) {
        json_decref(object);
        object = NULL;
    }
    return cli_print_json(object);
}

static enum cli_exit print_got(const struct cli *cli, kama_bytes key,
                               const struct km_msg_get_response *got)
{
    bool printed = true;
    if (cli->mode == CLI_MODE_JSON) {
        printed = print_got_json(key, got);
    } else if (got->found) {
        printed = cli_print_value(cli, got->value);
    } else if (cli->mode == CLI_MODE_PEOPLE) {
        fputs("(miss)\n", stderr);
    }
    if (!printed) {
        return CLI_EXIT_OTHER;
    }
    return got->found ? CLI_EXIT_OK : CLI_EXIT_MISS;
}

enum cli_exit cli_cmd_get(struct cli *cli, int argc, char **argv)
{
    struct km_buf key;
    if (!one_argument(&argc, argv, "get KEY") ||
        !cli_argument(cli, argv[0], &key)) {
        return CLI_EXIT_USAGE;
    }
    const struct km_msg_get_request request = {.group = KAMA_STR(cli->group),
                                               .key = km_buf_bytes(&key)};
    const struct cli_call call = {"/kama.v2.Cache/Get", &km_msg_get_request_pb,
                                  &request, &km_msg_get_response_pb};
    struct km_msg_get_response got;
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = cli_call(cli, &call, &reply, &got);
    enum cli_exit code = st == KAMA_OK ? print_got(cli, request.key, &got)
                                       : cli_failed(cli, argv[0], st);
    km_buf_fini(&reply);
    km_buf_fini(&key);
    return code;
}

static bool read_stdin(struct km_buf *value)
{
    km_buf_init(value, km_mem_default(), KM_VALUE_BYTES_LOCAL_MAX + 1u);
    for (;;) {
        kama_status st = km_buf_reserve(value, 1);
        if (st == KAMA_ERR_TOO_LARGE) {
            fputs("kamacache-cli: standard input is over 64 MiB\n", stderr);
            return false;
        }
        if (st != KAMA_OK) {
            fputs("kamacache-cli: out of memory\n", stderr);
            return false;
        }
        ssize_t n = read(STDIN_FILENO, value->data + value->len,
                         value->cap - value->len);
        if (n <= 0) {
            return n == 0;
        }
        value->len += (size_t)n;
    }
}

static bool parse_ttl(const char *text, int64_t *ret_ttl_ms)
{
    *ret_ttl_ms = 0;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "forever") == 0) {
        *ret_ttl_ms = KAMA_TTL_FOREVER;
        return true;
    }
    if (km_parse_duration_ms(text, ret_ttl_ms) != KAMA_OK) {
        (void)cli_usage_error("--ttl: %s", km_last_error());
        return false;
    }
    if (*ret_ttl_ms <= 0) {
        (void)cli_usage_error("--ttl: must be more than 0, or forever");
        return false;
    }
    return true;
}

static enum cli_exit send_set(struct cli *cli, kama_bytes key, kama_bytes value,
                              int64_t ttl_ms)
{
    const struct km_msg_set_request request = {.group = KAMA_STR(cli->group),
                                               .key = key,
                                               .value = value,
                                               .ttl_ms = ttl_ms};
    const struct cli_call call = {"/kama.v2.Cache/Set", &km_msg_set_request_pb,
                                  &request, NULL};
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = cli_call(cli, &call, &reply, NULL);
    km_buf_fini(&reply);
    if (st != KAMA_OK) {
        return cli_failed(cli, "set", st);
    }
    if (cli->mode == CLI_MODE_JSON) {
        return cli_printed(cli_print_json(json_pack("{s:b}", "ok", 1)));
    }
    return cli_printed(cli->mode != CLI_MODE_PEOPLE || cli_write("OK\n", 3));
}

enum cli_exit cli_cmd_set(struct cli *cli, int argc, char **argv)
{
    const char *ttl;
    int64_t ttl_ms;
    if (!cli_take_option(&argc, argv, "ttl", &ttl) ||
        !cli_take_end(&argc, argv) || !parse_ttl(ttl, &ttl_ms)) {
        return CLI_EXIT_USAGE;
    }
    if (argc < 1 || argc > 2) {
        return cli_usage_error("usage: set KEY [VALUE] [--ttl=TIME]");
    }
    struct km_buf key;
    struct km_buf value;
    if (!cli_argument(cli, argv[0], &key)) {
        km_buf_fini(&key);
        return CLI_EXIT_USAGE;
    }
    bool have =
        argc == 2 ? cli_argument(cli, argv[1], &value) : read_stdin(&value);
    enum cli_exit code = argc == 2 ? CLI_EXIT_USAGE : CLI_EXIT_OTHER;
    if (have) {
        code = send_set(cli, km_buf_bytes(&key), km_buf_bytes(&value), ttl_ms);
    }
    km_buf_fini(&value);
    km_buf_fini(&key);
    return code;
}

/* KAMA_OK removed, KAMA_MISS was not there, or an error. */
static kama_status send_del(struct cli *cli, kama_bytes key)
{
    const struct km_msg_delete_request request = {.group = KAMA_STR(cli->group),
                                                  .key = key};
    const struct cli_call call = {"/kama.v2.Cache/Delete",
                                  &km_msg_delete_request_pb, &request,
                                  &km_msg_delete_response_pb};
    struct km_msg_delete_response response;
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = cli_call(cli, &call, &reply, &response);
    km_buf_fini(&reply);
    if (st == KAMA_OK && !response.removed) {
        return KAMA_MISS;
    }
    return st;
}

enum cli_exit cli_cmd_del(struct cli *cli, int argc, char **argv)
{
    if (!cli_take_end(&argc, argv)) {
        return CLI_EXIT_USAGE;
    }
    int removed = 0;
    for (int i = 0; i < argc; i++) {
        struct km_buf key;
        bool parsed = cli_argument(cli, argv[i], &key);
        kama_status st =
            parsed ? send_del(cli, km_buf_bytes(&key)) : KAMA_ERR_INVALID;
        km_buf_fini(&key);
        if (!parsed) {
            return CLI_EXIT_USAGE;
        }
        if (st < 0) {
            return cli_failed(cli, argv[i], st);
        }
        removed += st == KAMA_OK;
    }
    bool printed = cli->mode == CLI_MODE_JSON
                       ? cli_print_json(json_pack("{s:i}", "removed", removed))
                       : printf("%d\n", removed) > 0;
    if (!printed) {
        return CLI_EXIT_OTHER;
    }
    return removed > 0 ? CLI_EXIT_OK : CLI_EXIT_MISS;
}
