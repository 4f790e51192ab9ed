/* SPDX-License-Identifier: MIT */
/* Parsers of one option value, from text without sign, space or fraction. */
#include "base/option.h"
#include "base/status.h"

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"k", UINT64_C(1) << 10},
    {"K", UINT64_C(1) << 10},
    {"m", UINT64_C(1) << 20},
    {"M", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"G", UINT64_C(1) << 30},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"", 1},          {"ms", 1},          {"s", 1000},
    {"m", 60 * 1000}, {"h", 3600 * 1000}, {NULL, 0},
};

/* The decimal number at text; what follows it, or NULL when there is none or
 * it does not fit. */
static const char *parse_digits(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return NULL;
        }
    }
    *ret_number = number;
    return at > text ? at : NULL;
}

static bool parse_scaled(const char *text, const struct unit *units,
                         uint64_t *ret_number)
{
    uint64_t number;
    const char *suffix = parse_digits(text, &number);
    if (suffix == NULL) {
        return false;
    }
    while (units->suffix != NULL && strcmp(units->suffix, suffix) != 0) {
        units++;
    }
    return units->suffix != NULL &&
           !__builtin_mul_overflow(number, units->factor, ret_number);
}

/* The sentence about text; wants is what is accepted. */
static kama_status refuse(const char *text, const char *wants)
{
    char shown[64];
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is not %s",
                   km_bytes_quote(KAMA_STR(text), shown, sizeof shown), wants);
}

kama_status km_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes;
    if (!parse_scaled(text, size_units, &bytes)) {
        return refuse(text, "a size such as 4096, 512k, 64m or 1g");
    }
    *ret_bytes = bytes;
    return KAMA_OK;
}

kama_status km_parse_duration_ms(const char *text, int64_t *ret_ms)
{
    uint64_t ms;
    if (!parse_scaled(text, duration_units, &ms) || ms > INT64_MAX) {
        return refuse(text, "a duration such as 250ms, 5s, 3m or 1h");
    }
    *ret_ms = (int64_t)ms;
    return KAMA_OK;
}

kama_status km_parse_uint(const char *text, uint64_t min, uint64_t max,
                          uint64_t *ret_value)
{
    uint64_t value;
    const char *end = parse_digits(text, &value);
    if (end != NULL && *end == '\0' && value >= min && value <= max) {
        *ret_value = value;
        return KAMA_OK;
    }
    char shown[64];
    (void)km_bytes_quote(KAMA_STR(text), shown, sizeof shown);
    if (max == UINT64_MAX) {
        return km_fail(KAMA_ERR_INVALID, "\"%s\" is not a number from %llu",
                       shown, (unsigned long long)min);
    }
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is not a number in %llu..%llu",
                   shown, (unsigned long long)min, (unsigned long long)max);
}
