/* SPDX-License-Identifier: MIT */
/* Spellings of names, numbers with units, and the sentence about an unknown
 * name. */
#include "base/option_text.h"

#include "base/assert.h"
#include "base/status.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

void km_option_show_name(const char *name,
                         char ret_shown[KM_OPTION_SHOWN_BYTES])
{
    size_t len = strnlen(name, KM_OPTION_SHOWN_BYTES - 1);
    for (size_t i = 0; i < len; i++) {
        ret_shown[i] = name[i] == '_' ? '-' : name[i];
    }
    ret_shown[len] = '\0';
}

void km_option_env_name(const char *prefix, const char *name, size_t cap,
                        char *ret_name)
{
    (void)snprintf(ret_name, cap, "%s_%s", prefix, name);
    for (char *c = ret_name; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
}

/* The row must exist, because the name is a constant of the caller. */
void km_options_spelling(const struct km_options *o, const char *prefix,
                         const char *name,
                         char ret_spelling[KM_OPTION_SPELLING_BYTES])
{
    char shown[KM_OPTION_SHOWN_BYTES];
    const struct km_option *row =
        km_option_find(o->rows, o->row_count, KAMA_STR(name));
    KM_ASSERT(row != NULL);
    if (o->origins[row - o->rows] == KM_ORIGIN_ENV) {
        km_option_env_name(prefix, row->name, KM_OPTION_SPELLING_BYTES,
                           ret_spelling);
        return;
    }
    km_option_show_name(row->name, shown);
    (void)snprintf(ret_spelling, KM_OPTION_SPELLING_BYTES, "--%s", shown);
}

/* Writes number in the greatest unit that divides it. The factors of the units
 * rise and end with 0. */
static void format_scaled(uint64_t number, const uint64_t *factors,
                          const char *const *suffixes,
                          char ret_text[KM_OPTION_NUMBER_BYTES])
{
    size_t unit = 0;
    while (factors[unit + 1] != 0 && number != 0 &&
           number % factors[unit + 1] == 0) {
        unit++;
    }
    (void)snprintf(ret_text, KM_OPTION_NUMBER_BYTES, "%" PRIu64 "%s",
                   number / factors[unit], suffixes[unit]);
}

/* The units are those that base/parse.h reads, so that a printed number can be
 * typed again. */
void km_option_format_number(enum km_option_kind kind, uint64_t number,
                             char ret_text[KM_OPTION_NUMBER_BYTES])
{
    static const uint64_t sizes[] = {1, 1u << 10, 1u << 20, 1u << 30, 0};
    static const char *const size_names[] = {"", "k", "m", "g"};
    static const uint64_t spans[] = {1, 1000, 60000, 3600000, 0};
    static const char *const span_names[] = {"ms", "s", "m", "h"};
    if (kind == KM_OPTION_BYTES) {
        format_scaled(number, sizes, size_names, ret_text);
    } else if (kind == KM_OPTION_TTL && number == (uint64_t)KAMA_TTL_FOREVER) {
        (void)snprintf(ret_text, KM_OPTION_NUMBER_BYTES, "forever");
    } else if (kind == KM_OPTION_DURATION || kind == KM_OPTION_TTL) {
        format_scaled(number, spans, span_names, ret_text);
    } else {
        (void)snprintf(ret_text, KM_OPTION_NUMBER_BYTES, "%" PRIu64, number);
    }
}

/* A quoted name is cut at 63 bytes, which is longer than any option. */
kama_status km_option_unknown(const struct km_options *o, kama_bytes name,
                              const char *dashes)
{
    char quoted[64];
    char shown[KM_OPTION_SHOWN_BYTES];
    const char *nearest = km_option_nearest(o->rows, o->row_count, name);
    (void)km_bytes_quote(name, quoted, sizeof quoted);
    if (nearest == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s%s: unknown option", dashes,
                       quoted);
    }
    km_option_show_name(nearest, shown);
    return km_fail(KAMA_ERR_INVALID, "%s%s: unknown option, did you mean %s%s?",
                   dashes, quoted, dashes, shown);
}
