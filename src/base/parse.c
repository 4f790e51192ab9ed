/* SPDX-License-Identifier: MIT */
/*
 * Numbers with and without a unit.
 *
 * A number and its unit are read together, because their product can overflow
 * even if the number fits: "99999999999g" must be refused and not wrap.
 */
#include "base/parse.h"

#include "base/bytes.h"
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
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {NULL, 0},
};

/* How reading a number with a unit ended. */
enum scaled {
    SCALED_OK,
    SCALED_MALFORMED, /* no digits, or a suffix that is no unit */
    SCALED_BARE,      /* a number whose unit is missing */
    SCALED_TOO_LARGE
};

/* Reads the decimal number at *at and moves *at behind it. Returns SCALED_OK,
 * SCALED_MALFORMED (no digit) or SCALED_TOO_LARGE (more than 64 bits). */
static enum scaled parse_digits(const char **at, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *begin = *at;
    bool fits = true;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, (uint64_t)(**at - '0'), &number);
    }
    if (*at == begin) {
        return SCALED_MALFORMED;
    }
    *ret_number = number;
    return fits ? SCALED_OK : SCALED_TOO_LARGE;
}

/* Reads a number and its unit and multiplies them. With SCALED_BARE,
 * *ret_number is the number as it was written. */
static enum scaled parse_scaled(const char *text, const struct unit *units,
                                uint64_t *ret_number)
{
    const char *suffix = text;
    enum scaled digits = parse_digits(&suffix, ret_number);
    while (units->suffix != NULL && strcmp(units->suffix, suffix) != 0) {
        units++;
    }
    if (digits == SCALED_MALFORMED ||
        (units->suffix == NULL && *suffix != '\0')) {
        return SCALED_MALFORMED;
    }
    if (digits == SCALED_TOO_LARGE) {
        return SCALED_TOO_LARGE;
    }
    if (units->suffix == NULL) {
        return SCALED_BARE;
    }
    return __builtin_mul_overflow(*ret_number, units->factor, ret_number)
               ? SCALED_TOO_LARGE
               : SCALED_OK;
}

/* Fails with the sentence: "TEXT" is `what`. */
static kama_status refuse(const char *text, const char *what)
{
    char shown[64];
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is %s",
                   km_bytes_quote(KAMA_STR(text), shown, sizeof shown), what);
}

kama_status km_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes;
    switch (parse_scaled(text, size_units, &bytes)) {
    case SCALED_OK:
        *ret_bytes = bytes;
        return KAMA_OK;
    case SCALED_TOO_LARGE:
        return refuse(text, "too large; the largest size is 17179869183g");
    default:
        return refuse(text, "not a size such as 4096, 512k, 64m or 1g");
    }
}

/* Reads a duration; wants ends the sentence about a text that is none. */
static kama_status parse_duration(const char *text, const char *wants,
                                  int64_t *ret_ms)
{
    uint64_t number = 0;
    enum scaled scaled = parse_scaled(text, duration_units, &number);
    if (scaled == SCALED_MALFORMED) {
        return refuse(text, wants);
    }
    if (scaled == SCALED_BARE && number != 0) {
        return km_fail(KAMA_ERR_INVALID, "%llu what? write %llus or %llums",
                       (unsigned long long)number, (unsigned long long)number,
                       (unsigned long long)number);
    }
    if (scaled == SCALED_TOO_LARGE || number > INT64_MAX) {
        return refuse(text,
                      "too large; the longest duration is 2562047788015h");
    }
    *ret_ms = (int64_t)number;
    return KAMA_OK;
}

kama_status km_parse_duration_ms(const char *text, int64_t *ret_ms)
{
    return parse_duration(text, "not a duration such as 250ms, 5s, 3m or 1h",
                          ret_ms);
}

kama_status km_parse_ttl_ms(const char *text, int64_t *ret_ms)
{
    if (strcmp(text, "forever") == 0) {
        *ret_ms = KAMA_TTL_FOREVER;
        return KAMA_OK;
    }
    return parse_duration(
        text, "not a duration such as 250ms, 5s, 3m, 1h, or forever", ret_ms);
}

/* Fails with the sentence: "TEXT" is `what` a number in 1..1024, or from 1 if
 * there is no upper bound. */
static kama_status refuse_number(const char *text, const char *what,
                                 uint64_t min, uint64_t max)
{
    char shown[64];
    (void)km_bytes_quote(KAMA_STR(text), shown, sizeof shown);
    if (max == UINT64_MAX) {
        return km_fail(KAMA_ERR_INVALID, "\"%s\" is %s a number from %llu",
                       shown, what, (unsigned long long)min);
    }
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is %s a number in %llu..%llu",
                   shown, what, (unsigned long long)min,
                   (unsigned long long)max);
}

/* Fails for a number that is outside its bounds. */
static kama_status refuse_range(uint64_t value, uint64_t min, uint64_t max)
{
    if (max == UINT64_MAX) {
        return km_fail(KAMA_ERR_INVALID, "%llu is less than %llu",
                       (unsigned long long)value, (unsigned long long)min);
    }
    return km_fail(KAMA_ERR_INVALID, "%llu is outside %llu..%llu",
                   (unsigned long long)value, (unsigned long long)min,
                   (unsigned long long)max);
}

kama_status km_parse_uint(const char *text, uint64_t min, uint64_t max,
                          uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *end = text;
    enum scaled digits = parse_digits(&end, &value);
    if (digits == SCALED_TOO_LARGE && *end == '\0') {
        return refuse_number(text, "too large; write", min, max);
    }
    if (digits != SCALED_OK || *end != '\0') {
        return refuse_number(text, "not", min, max);
    }
    if (value < min || value > max) {
        return refuse_range(value, min, max);
    }
    *ret_value = value;
    return KAMA_OK;
}
