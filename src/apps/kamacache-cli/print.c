/* SPDX-License-Identifier: MIT */
/* Output of the client. */
#include "print.h"
#include "quote.h"

#include <stdlib.h>

/* Empty bytes may have no address. */
static void write_bytes(kama_bytes b)
{
    if (b.len > 0) {
        fwrite(b.data, 1, b.len, stdout);
    }
}

void cli_print_key(const struct cli *cli, kama_bytes key)
{
    if (cli->mode == CLI_MODE_RAW) {
        write_bytes(key);
    } else {
        cli_quote_write(stdout, key);
    }
    putchar('\n');
}

void cli_print_value(const struct cli *cli, kama_bytes value)
{
    if (cli->mode == CLI_MODE_PEOPLE && !cli_quote_is_text(value)) {
        cli_quote_write(stdout, value);
    } else {
        write_bytes(value);
    }
    if (cli->mode != CLI_MODE_RAW) {
        putchar('\n');
    }
}

enum cli_exit cli_print_ok(const struct cli *cli)
{
    if (cli->mode == CLI_MODE_JSON) {
        return cli_print_json(json_pack("{s:b}", "ok", 1));
    }
    if (cli->mode == CLI_MODE_PEOPLE) {
        puts("OK");
    }
    return CLI_EXIT_OK;
}

/* -- JSON ---------------------------------------------------------------- */

/* b in base64 (RFC 4648, padded); NULL without memory. */
static char *base64(kama_bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = b.data;
    char *text = malloc((b.len + 2) / 3 * 4 + 1);
    char *to = text;
    for (size_t i = 0; i < b.len && text != NULL; i += 3) {
        size_t n = b.len - i;
        uint32_t bits = (uint32_t)p[i] << 16;
        bits |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[bits & 63] : '=';
    }
    if (text != NULL) {
        *to = '\0';
    }
    return text;
}

bool cli_json_set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

bool cli_json_set_bytes(json_t *object, const char *name, kama_bytes bytes)
{
    if (km_bytes_is_utf8(bytes)) {
        const char *text = bytes.len == 0 ? "" : bytes.data;
        return cli_json_set(object, name, json_stringn(text, bytes.len));
    }
    char member[64];
    snprintf(member, sizeof member, "%s_base64", name);
    char *text = base64(bytes);
    bool set = text != NULL && cli_json_set(object, member, json_string(text));
    free(text);
    return set;
}

json_t *cli_json_uint(uint64_t number)
{
    return json_integer(number < INT64_MAX ? (json_int_t)number : INT64_MAX);
}

json_t *cli_json_made(json_t *object, bool made)
{
    if (!made) {
        json_decref(object);
        return NULL;
    }
    return object;
}

enum cli_exit cli_print_json(json_t *value)
{
    bool printed =
        value != NULL && json_dumpf(value, stdout, JSON_COMPACT) == 0;
    json_decref(value);
    if (printed) {
        putchar('\n');
        return CLI_EXIT_OK;
    }
    if (!ferror(stdout)) {
        fputs("kamacache-cli: out of memory\n", stderr);
    }
    return CLI_EXIT_OTHER;
}
