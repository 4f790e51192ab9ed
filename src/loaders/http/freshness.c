/* SPDX-License-Identifier: MIT */
/* Reading the header fields Cache-Control and Age. */
#include "freshness.h"

#include "field.h"

/* By RFC 9111 1.2.2, larger numbers count as this one. */
#define SECONDS_MAX ((int64_t)1 << 31)

void km_freshness_init(struct km_freshness *freshness)
{
    freshness->max_age_s = -1;
    freshness->s_maxage_s = -1;
    freshness->age_s = 0;
    freshness->do_not_keep = false;
}

/* Returns the seconds that text stands for, with or without quotes. A text that
 * is not a number counts as 0. */
static int64_t parse_seconds(struct km_field text)
{
    text = km_field_trim(text);
    if (text.len >= 2 && text.data[0] == '"' &&
        text.data[text.len - 1] == '"') {
        text.data++;
        text.len -= 2;
    }
    int64_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        seconds = seconds * 10 + (text.data[i] - '0');
        if (seconds > SECONDS_MAX) {
            seconds = SECONDS_MAX;
        }
    }
    return seconds;
}

/* Lowers a time: if a header gives it twice, the shorter one counts. */
static void lower(int64_t *seconds, int64_t said)
{
    if (*seconds < 0 || said < *seconds) {
        *seconds = said;
    }
}

/* Reads one directive of Cache-Control. Unknown ones are ignored, as RFC 9111
 * demands. */
static void read_directive(struct km_freshness *freshness,
                           struct km_field directive)
{
    struct km_field value;
    struct km_field name = km_field_cut(directive, '=', &value);
    if (km_field_is(name, "max-age")) {
        lower(&freshness->max_age_s, parse_seconds(value));
    } else if (km_field_is(name, "s-maxage")) {
        lower(&freshness->s_maxage_s, parse_seconds(value));
    } else if (km_field_is(name, "no-store") || km_field_is(name, "no-cache") ||
               km_field_is(name, "private")) {
        freshness->do_not_keep = true;
    }
}

void km_freshness_read(struct km_freshness *freshness, const char *line,
                       size_t len)
{
    struct km_field rest;
    struct km_field whole = {.data = line, .len = len};
    struct km_field name = km_field_cut(whole, ':', &rest);
    if (km_field_is(name, "age")) {
        freshness->age_s = parse_seconds(rest);
    } else if (km_field_is(name, "cache-control")) {
        while (rest.len > 0) {
            read_directive(freshness, km_field_cut(rest, ',', &rest));
        }
    }
}

/* s-maxage is meant for caches that many clients share, which this one is, so
 * that it overrides max-age. */
void km_freshness_options(const struct km_freshness *freshness,
                          kama_sink_options *ret_options)
{
    int64_t seconds = freshness->s_maxage_s >= 0 ? freshness->s_maxage_s
                                                 : freshness->max_age_s;
    *ret_options = (kama_sink_options){.struct_size = sizeof *ret_options};
    if (freshness->do_not_keep ||
        (seconds >= 0 && seconds <= freshness->age_s)) {
        ret_options->flags = KAMA_NO_STORE;
        ret_options->ttl_ms = 1;
    } else if (seconds >= 0) {
        ret_options->ttl_ms = (seconds - freshness->age_s) * 1000;
    }
}
