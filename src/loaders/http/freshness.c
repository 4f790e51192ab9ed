/* SPDX-License-Identifier: MIT */
/* Cache-Control and Age. */
#include "freshness.h"

#include <string.h>
#include <strings.h>

/* RFC 9111 1.2.2: larger numbers count as this one. */
#define SECONDS_MAX ((int64_t)1 << 31)

struct text {
    const char *data;
    size_t len;
};

void km_freshness_init(struct km_freshness *freshness)
{
    freshness->max_age_s = -1;
    freshness->s_maxage_s = -1;
    freshness->age_s = 0;
    freshness->do_not_keep = false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct text trim(struct text text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

static bool equals(struct text text, const char *word)
{
    return text.len == strlen(word) &&
           strncasecmp(text.data, word, text.len) == 0;
}

/* Cuts text at the first separator. Returns what is before it, trimmed; rest
 * becomes what is behind it. */
static struct text cut(struct text text, char separator, struct text *rest)
{
    const char *at = memchr(text.data, separator, text.len);
    struct text head = text;
    rest->data = text.data + text.len;
    rest->len = 0;
    if (at != NULL) {
        head.len = (size_t)(at - text.data);
        rest->data = at + 1;
        rest->len = text.len - head.len - 1;
    }
    return trim(head);
}

/* Seconds, with or without quotes; 0 when it is not a number. */
static int64_t parse_seconds(struct text text)
{
    text = trim(text);
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

/* Said twice, the shorter counts. */
static void lower(int64_t *seconds, int64_t said)
{
    if (*seconds < 0 || said < *seconds) {
        *seconds = said;
    }
}

static void read_directive(struct km_freshness *freshness,
                           struct text directive)
{
    struct text value;
    struct text name = cut(directive, '=', &value);
    if (equals(name, "max-age")) {
        lower(&freshness->max_age_s, parse_seconds(value));
    } else if (equals(name, "s-maxage")) {
        lower(&freshness->s_maxage_s, parse_seconds(value));
    } else if (equals(name, "no-store") || equals(name, "no-cache") ||
               equals(name, "private")) {
        freshness->do_not_keep = true;
    }
}

void km_freshness_read(struct km_freshness *freshness, const char *line,
                       size_t len)
{
    struct text rest;
    struct text whole = {.data = line, .len = len};
    struct text name = cut(whole, ':', &rest);
    if (equals(name, "age")) {
        freshness->age_s = parse_seconds(rest);
    } else if (equals(name, "cache-control")) {
        while (rest.len > 0) {
            read_directive(freshness, cut(rest, ',', &rest));
        }
    }
}

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
