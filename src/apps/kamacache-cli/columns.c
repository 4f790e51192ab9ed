/* SPDX-License-Identifier: MIT */
/*
 * The C library's wcwidth knows the widths of characters, but only in a locale
 * with UTF-8. The user's locale may be another one, so that C.UTF-8 is set for
 * characters.
 */
#include "columns.h"
#include "quote.h"

#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>

void cli_columns_init(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
}

int cli_columns_width(kama_bytes text)
{
    int width = 0;
    while (text.len > 0) {
        size_t len = km_bytes_utf8_char(text);
        int columns = len > 0 ? wcwidth((wchar_t)km_bytes_utf8_code(text)) : 1;
        width += columns >= 0 ? columns : 1;
        text = km_bytes_skip(text, len > 0 ? len : 1);
    }
    return width;
}

/* open_memstream makes a string of everything that the quoting prints. */
char *cli_columns_quote(kama_bytes b)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        return NULL;
    }
    cli_quote_write(out, b);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* A size of one digit gets one decimal, unless it is whole; larger ones are
 * rounded. */
const char *cli_columns_size(uint64_t bytes, char buf[CLI_SIZE_BYTES])
{
    static const char units[] = "kmg";
    double size = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        (void)snprintf(buf, CLI_SIZE_BYTES, "%" PRIu64, bytes);
        return buf;
    }
    for (; size >= 1023.5 && units[unit + 1] != '\0'; unit++) {
        size /= 1024;
    }
    bool is_whole = size == (double)(uint64_t)size;
    (void)snprintf(buf, CLI_SIZE_BYTES, "%.*f%c",
                   size < 9.95 && !is_whole ? 1 : 0, size, units[unit]);
    return buf;
}

const char *cli_columns_time(uint64_t ms, char buf[CLI_TIME_BYTES])
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms >= units[i].ms) {
            (void)snprintf(buf, CLI_TIME_BYTES, "%" PRIu64 "%s",
                           ms / units[i].ms, units[i].unit);
            return buf;
        }
    }
    (void)snprintf(buf, CLI_TIME_BYTES, "%" PRIu64 "ms", ms);
    return buf;
}

/* Prints the blanks that text needs to fill a cell. */
static void pad(FILE *out, const char *text, int width)
{
    int blanks = width - cli_columns_width(KAMA_STR(text));
    fprintf(out, "%*s", blanks > 0 ? blanks : 0, "");
}

void cli_columns_left(FILE *out, const char *text, int width)
{
    fputs(text, out);
    pad(out, text, width);
}

void cli_columns_right(FILE *out, const char *text, int width)
{
    pad(out, text, width);
    fputs(text, out);
}
