/* SPDX-License-Identifier: MIT */
/* Quoting keys and values for people, and reading them again. */
#include "quote.h"
#include "hex.h"

#include "base/status.h"
#include "base/text.h"

/* -- text for a terminal ------------------------------------------------- */

/* Returns whether every character of b may be shown or is one of those in
 * `also`, and none is one of those in `but`. Both are ASCII. */
static bool consists_of(kama_bytes b, const char *also, const char *but)
{
    while (b.len > 0) {
        char first = *(const char *)b.data;
        size_t len = km_text_shown(b);
        if (len == 0 && first != '\0' && strchr(also, first) != NULL) {
            len = 1;
        }
        if (len == 0 || strchr(but, first) != NULL) {
            return false;
        }
        b = km_bytes_skip(b, len);
    }
    return true;
}

bool cli_quote_is_plain(kama_bytes b)
{
    if (b.len == 0) {
        return false;
    }
    char first = *(const char *)b.data;
    return first != '-' && first != '(' && consists_of(b, "", " \"\\");
}

bool cli_quote_is_text(kama_bytes b)
{
    return (b.len == 0 || *(const char *)b.data != '"') &&
           consists_of(b, "\n\t", "");
}

/* -- showing ------------------------------------------------------------- */

/* Prints the escape of one byte. */
static void write_escape(FILE *out, uint8_t c)
{
    char shown[4];
    fwrite(shown, 1, km_bytes_quote_byte(c, shown), out);
}

/* Prints b and escapes the characters that must not be shown and those in
 * special. */
static void write_escaped(FILE *out, kama_bytes b, const char *special)
{
    while (b.len > 0) {
        const uint8_t *p = b.data;
        size_t len = km_text_shown(b);
        if (len == 0 || strchr(special, p[0]) != NULL) {
            write_escape(out, p[0]);
            len = 1;
        } else {
            fwrite(p, 1, len, out);
        }
        b = km_bytes_skip(b, len);
    }
}

void cli_quote_write(FILE *out, kama_bytes b)
{
    if (cli_quote_is_plain(b)) {
        fwrite(b.data, 1, b.len, out);
        return;
    }
    fputc('"', out);
    write_escaped(out, b, "\"\\");
    fputc('"', out);
}

void cli_quote_write_text(FILE *out, kama_bytes text)
{
    write_escaped(out, text, "");
}

void cli_quote_write_sentence(FILE *out, const char *text)
{
    cli_quote_write_text(out, KAMA_STR(text));
}

/* -- reading ------------------------------------------------------------- */

/* Reads the escape that begins with the backslash at *at, and moves *at behind
 * it. */
static kama_status read_escape(const char **at, char *ret_byte)
{
    static const char letters[] = "\"\\nrt0";
    static const char bytes[] = "\"\\\n\r\t";
    const char *p = *at + 1;
    if (*p == 'x') {
        int high = cli_hex_digit(p[1]);
        int low = high < 0 ? -1 : cli_hex_digit(p[2]);
        if (low < 0) {
            return km_fail(KAMA_ERR_INVALID,
                           "\\x needs two hexadecimal digits");
        }
        *ret_byte = (char)(high << 4 | low);
        *at = p + 3;
        return KAMA_OK;
    }
    const char *letter = *p != '\0' ? strchr(letters, *p) : NULL;
    if (letter == NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "a backslash takes one of \" \\ n r t 0 xNN");
    }
    *ret_byte = bytes[letter - letters];
    *at = p + 1;
    return KAMA_OK;
}

/* The result is never longer than the text, so that it can be written in its
 * place. */
kama_status cli_unquote(char *text, kama_bytes *ret_bytes)
{
    if (text[0] != '"') {
        *ret_bytes = KAMA_STR(text);
        return KAMA_OK;
    }
    const char *from = text + 1;
    char *to = text;
    while (*from != '"') {
        kama_status status = KAMA_OK;
        if (*from == '\0') {
            return km_fail(KAMA_ERR_INVALID, "the closing quote is missing");
        }
        if (*from == '\\') {
            status = read_escape(&from, to);
        } else {
            *to = *from++;
        }
        if (status != KAMA_OK) {
            return status;
        }
        to++;
    }
    if (from[1] != '\0') {
        return km_fail(KAMA_ERR_INVALID,
                       "there is text behind the closing quote");
    }
    *ret_bytes = kama_bytes_make(text, (size_t)(to - text));
    return KAMA_OK;
}
