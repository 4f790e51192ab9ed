/* SPDX-License-Identifier: MIT */
/*
 * Reading the value of an option from text.
 *
 * base/parse.h reads numbers, sizes and durations; this file checks the result
 * against the bounds of the row and writes the sentence about a bound in the
 * unit of the row: "2h is outside 1ms..1h".
 */
#include "base/option_value.h"

#include "base/option_text.h"
#include "base/parse.h"
#include "base/status.h"

static kama_status parse_bool(const char *text, uint32_t *ret_flag)
{
    static const char *const words[2][4] = {
        {"false", "0", "no", "off"},
        {"true", "1", "yes", "on"},
    };
    for (uint32_t flag = 0; flag < 2; flag++) {
        for (size_t i = 0; i < 4; i++) {
            if (strcmp(text, words[flag][i]) == 0) {
                *ret_flag = flag;
                return KAMA_OK;
            }
        }
    }
    char shown[64];
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is not true or false",
                   km_bytes_quote(KAMA_STR(text), shown, sizeof shown));
}

bool km_option_allows(const struct km_option *row, uint64_t number)
{
    bool is_time =
        row->kind == KM_OPTION_DURATION || row->kind == KM_OPTION_TTL;
    if (row->kind == KM_OPTION_TTL && (int64_t)number == KAMA_TTL_FOREVER) {
        return true;
    }
    if (is_time && (int64_t)number < 0) {
        return false;
    }
    return number >= row->min && (row->max == 0 || number <= row->max);
}

/* Fails with KAMA_ERR_INVALID if number is outside the bounds of the row. */
static kama_status check_range(const struct km_option *row, const char *text,
                               uint64_t number)
{
    char low[KM_OPTION_NUMBER_BYTES];
    char high[KM_OPTION_NUMBER_BYTES];
    if (km_option_allows(row, number)) {
        return KAMA_OK;
    }
    km_option_format_number(row->kind, row->min, low);
    km_option_format_number(row->kind, row->max, high);
    if (row->max == 0) {
        return km_fail(KAMA_ERR_INVALID, "%s is less than %s", text, low);
    }
    return km_fail(KAMA_ERR_INVALID, "%s is outside %s..%s", text, low, high);
}

static kama_status parse_bytes_row(const struct km_option *row,
                                   const char *text, uint64_t *ret_number)
{
    uint64_t number;
    kama_status status = km_parse_bytes(text, &number);
    if (status == KAMA_OK) {
        status = check_range(row, text, number);
    }
    if (status == KAMA_OK) {
        *ret_number = number;
    }
    return status;
}

/* Reads a duration, or "forever" in a TTL row. */
static kama_status parse_duration_row(const struct km_option *row,
                                      const char *text, int64_t *ret_ms)
{
    int64_t ms;
    kama_status status = row->kind == KM_OPTION_TTL
                             ? km_parse_ttl_ms(text, &ms)
                             : km_parse_duration_ms(text, &ms);
    if (status == KAMA_OK) {
        status = check_range(row, text, (uint64_t)ms);
    }
    if (status == KAMA_OK) {
        *ret_ms = ms;
    }
    return status;
}

kama_status km_option_parse(const struct km_option *row, const char *text,
                            union km_option_value *ret_value)
{
    switch (row->kind) {
    case KM_OPTION_BOOL:
        return parse_bool(text, &ret_value->flag);
    case KM_OPTION_UINT:
        return km_parse_uint(text, row->min,
                             row->max != 0 ? row->max : UINT64_MAX,
                             &ret_value->number);
    case KM_OPTION_BYTES:
        return parse_bytes_row(row, text, &ret_value->number);
    case KM_OPTION_DURATION:
    case KM_OPTION_TTL:
        return parse_duration_row(row, text, &ret_value->ms);
    case KM_OPTION_STRING:
    case KM_OPTION_LIST:
        ret_value->text = text;
        return KAMA_OK;
    case KM_OPTION_LATER:
    case KM_OPTION_HEADING:
        break;
    }
    return km_fail(KAMA_ERR_UNSUPPORTED, "not in this version");
}
