/* SPDX-License-Identifier: MIT */
/* Output of the client. */
#include "print.h"
#include "quote.h"

#include <stdlib.h>

static bool print_quoted(const struct cli *cli, kama_bytes b)
{
    struct km_buf out;
    km_buf_init(&out, cli->mem, SIZE_MAX);
    bool printed =
        cli_quote_append(&out, b) == KAMA_OK && cli_write(out.data, out.len);
    km_buf_fini(&out);
    return printed;
}

bool cli_print_key(const struct cli *cli, kama_bytes key)
{
    bool printed =
        cli->raw_given ? cli_write(key.data, key.len) : print_quoted(cli, key);
    return printed && cli_write("\n", 1);
}

bool cli_print_value(const struct cli *cli, kama_bytes value)
{
    if (cli->raw_given) {
        return cli_write(value.data, value.len);
    }
    bool as_is = cli->mode == CLI_MODE_RAW || cli_quote_is_text(value);
    bool printed =
        as_is ? cli_write(value.data, value.len) : print_quoted(cli, value);
    return printed && cli_write("\n", 1);
}

static bool set_base64(json_t *object, const char *name, kama_bytes bytes)
{
    char member[64];
    snprintf(member, sizeof member, "%s_base64", name);
    struct km_buf text;
    km_buf_init(&text, km_mem_default(), SIZE_MAX);
    bool set = cli_base64_append(&text, bytes) == KAMA_OK &&
               json_object_set_new(
                   object, member,
                   json_stringn((const char *)text.data, text.len)) == 0;
    km_buf_fini(&text);
    return set;
}

bool cli_json_set_bytes(json_t *object, const char *name, kama_bytes bytes)
{
    if (!km_bytes_is_utf8(bytes)) {
        return set_base64(object, name, bytes);
    }
    const char *text = bytes.len == 0 ? "" : bytes.data;
    return json_object_set_new(object, name, json_stringn(text, bytes.len)) ==
           0;
}

bool cli_print_json(json_t *value)
{
    char *text = value == NULL
                     ? NULL
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_PRESERVE_ORDER |
                                             JSON_COMPACT);
    json_decref(value);
    if (text == NULL) {
        fputs("kamacache-cli: out of memory\n", stderr);
        return false;
    }
    bool printed = cli_write(text, strlen(text)) && cli_write("\n", 1);
    free(text);
    return printed;
}
