/* SPDX-License-Identifier: MIT */
/* exists: it tells how many of the keys have a value in memory. With --json, it
 * tells which ones. */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "report.h"

#include "base/status.h"
#include "wire/msg/msg.h"

struct answers {
    const kama_bytes *keys;
    int count;
    struct km_msg_numbers_response response;
};

/* Makes the JSON object of one key. */
static json_t *answer_json(kama_bytes key, uint64_t exists)
{
    json_t *object = json_object();
    bool made = cli_json_set_bytes(object, "key", key) &&
                cli_json_set(object, "exists", json_boolean(exists != 0));
    return cli_json_made(object, made);
}

/* Prints the number of keys that exist or, with --json, an object per key. */
static enum cli_exit print_answers(struct cli *cli, const void *arg)
{
    const struct answers *answers = arg;
    struct km_pb_list list = answers->response.numbers;
    json_t *array = cli->mode == CLI_MODE_JSON ? json_array() : NULL;
    int found = 0;
    for (int i = 0; i < answers->count; i++) {
        uint64_t exists = 0;
        if (!km_pb_next_varint(&list, &exists)) {
            json_decref(array);
            return cli_failed(
                cli, km_fail(KAMA_ERR_PROTOCOL, "fewer answers than keys"));
        }
        found += exists != 0;
        if (array != NULL &&
            json_array_append_new(array,
                                  answer_json(answers->keys[i], exists)) != 0) {
            json_decref(array);
            return cli_failed(cli, KAMA_ERR_NO_MEMORY);
        }
    }
    enum cli_exit code = CLI_EXIT_OK;
    if (array != NULL) {
        code = cli_print_json(array);
    } else {
        printf("%d\n", found);
    }
    return code == CLI_EXIT_OK && found < answers->count ? CLI_EXIT_MISS : code;
}

enum cli_exit cli_cmd_exists(struct cli *cli, const kama_bytes *args, int count)
{
    struct answers answers = {.keys = args, .count = count};
    const struct cli_request call = {.path = "/kama.v2.Cache/Exists",
                                     .keys = args,
                                     .key_count = count,
                                     .reply_table = &km_msg_numbers_response_pb,
                                     .reply = &answers.response};
    return cli_ask(cli, &call, print_answers, &answers);
}
