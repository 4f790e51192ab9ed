/* SPDX-License-Identifier: MIT */
/*
 * Output of the client.
 *
 * JSON is made by jansson, whose output passes a filter here: JSON for a
 * terminal must not contain the characters that the quoting of keys hides
 * either.
 */
#include "print.h"
#include "quote.h"

#include "base/text.h"

#include <stdlib.h>

/* Writes bytes. Empty ones may have no address, which fwrite does not
 * permit. */
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
    char *text = malloc(KM_BYTES_BASE64(bytes.len));
    bool set =
        text != NULL &&
        cli_json_set(object, member, json_string(km_bytes_base64(bytes, text)));
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

/* Returns how many bytes at the start of b may go to a terminal. */
static size_t shown_run(kama_bytes b)
{
    size_t len = 0;
    size_t n;
    while ((n = km_text_shown(km_bytes_skip(b, len))) > 0) {
        len += n;
    }
    return len;
}

/* Writes the JSON escape of a character. Above U+FFFF it is a pair of
 * surrogates. */
static void write_json_escape(uint32_t c)
{
    if (c > 0xffff) {
        c -= 0x10000;
        printf("\\u%04x", 0xd800 | c >> 10);
        c = 0xdc00 | (c & 0x3ff);
    }
    printf("\\u%04x", c);
}

/* Writes a piece of JSON. Jansson escapes only the control characters of ASCII.
 * All other characters that must not reach a terminal can only be in strings,
 * where JSON has escapes for them. */
static int write_json(const char *text, size_t len, void *arg)
{
    kama_bytes rest = kama_bytes_make(text, len);
    (void)arg;
    while (rest.len > 0) {
        size_t run = shown_run(rest);
        fwrite(rest.data, 1, run, stdout);
        rest = km_bytes_skip(rest, run);
        size_t hidden = km_bytes_utf8_char(rest);
        if (hidden > 0) {
            write_json_escape(km_bytes_utf8_code(rest));
            rest = km_bytes_skip(rest, hidden);
        } else if (rest.len > 0) {
            return -1; /* never happens, because jansson's strings are UTF-8 */
        }
    }
    return ferror(stdout) ? -1 : 0;
}

enum cli_exit cli_print_json(json_t *value)
{
    /* 0.170778, not 0.17077800000000001: nothing here is that exact. */
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(9);
    bool printed = value != NULL &&
                   json_dump_callback(value, write_json, NULL, flags) == 0;
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
