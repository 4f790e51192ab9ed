/* SPDX-License-Identifier: MIT */
/*
 * A value is escaped unit by unit, and cut between units. A unit is the escaped
 * form of one UTF-8 character, or of one malformed byte:
 *
 *     value      t   o   m   \n  e9      (e9 is malformed UTF-8)
 *     text       t   o   m   \n  \xe9
 *     JSON       t   o   m   \n  \\xe9
 *
 * A KM_FIELD_STR keeps the characters that may be shown (base/text.h). In a
 * KM_FIELD_BYTES, every byte that is not printable ASCII becomes \xNN, and JSON
 * gets the same text with its backslashes doubled.
 */
#include "base/log_format.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define BYTE_UNIT_BYTES_MAX 8
#define UNIT_BYTES_MAX (4 * BYTE_UNIT_BYTES_MAX)
#define TAIL_BYTES 32 /* room for the text that closes a line that was cut */

/* A line that is being written. */
struct line {
    char *buf;
    size_t len;
    size_t room; /* without the tail */
    enum km_log_format format;
    bool cut; /* a field did not fit */
};

bool km_log_level_parse(const char *name, enum km_log_level *ret_level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (unsigned level = 0; level < 4; level++) {
        if (strcmp(name, names[level]) == 0) {
            *ret_level = (enum km_log_level)level;
            return true;
        }
    }
    return false;
}

bool km_log_format_parse(const char *name, enum km_log_format *ret_format)
{
    if (strcmp(name, "text") == 0) {
        *ret_format = KM_LOG_TEXT;
        return true;
    }
    if (strcmp(name, "json") == 0) {
        *ret_format = KM_LOG_JSON;
        return true;
    }
    return false;
}

/* -- units --------------------------------------------------------------- */

/* Puts a backslash in front of each quote and backslash, which a JSON string
 * may not hold otherwise. */
static size_t json_escape(const char *text, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            out[n++] = '\\';
        }
        out[n++] = text[i];
    }
    return n;
}

/* How a value is written: KM_FIELD_STR keeps the UTF-8 that may be shown, and
 * KM_FIELD_BYTES keeps nothing but printable ASCII. */
struct style {
    enum km_log_format format;
    enum km_field_kind kind;
};

/* Writes the escaped form of one byte and returns its length. */
static size_t encode_byte(const struct style *style, uint8_t c, char *out)
{
    char shown[4];
    bool json = style->format == KM_LOG_JSON;
    size_t n = km_bytes_quote_byte(c, shown);
    if (json && style->kind == KM_FIELD_BYTES) {
        return json_escape(shown, n, out);
    }
    if (json && n == 4) {
        return c < 0x80
                   ? (size_t)snprintf(out, BYTE_UNIT_BYTES_MAX, "\\u%04x", c)
                   : json_escape(shown, n, out);
    }
    memcpy(out, shown, n); /* \n \r \t \" \\ mean the same in JSON */
    return n;
}

/* Writes the unit at the start of rest and returns its length. *ret_taken bytes
 * of rest are in it. */
static size_t encode_unit(const struct style *style, kama_bytes rest,
                          char out[UNIT_BYTES_MAX], size_t *ret_taken)
{
    const uint8_t *p = rest.data;
    size_t taken = km_bytes_utf8_char(rest);
    size_t n = 0;
    taken = taken > 0 ? taken : 1;
    *ret_taken = taken;
    if (style->kind == KM_FIELD_STR && p[0] >= 0x80 &&
        km_text_shown(rest) > 0) {
        memcpy(out, p, taken);
        return taken;
    }
    for (size_t i = 0; i < taken; i++) {
        n += encode_byte(style, p[i], out + n);
    }
    return n;
}

/* -- values -------------------------------------------------------------- */

/* Appends text as it is. Returns false if there is no room, and appends nothing
 * then. */
static bool add(struct line *line, const char *text, size_t len)
{
    if (len > line->room - line->len) {
        return false;
    }
    memcpy(line->buf + line->len, text, len);
    line->len += len;
    return true;
}

static bool add_str(struct line *line, const char *text)
{
    return add(line, text, strlen(text));
}

/* Appends the escaped value up to the position `end`. A value that does not fit
 * is cut and ends with "...". */
static void add_units(struct line *line, enum km_field_kind kind,
                      kama_bytes value, size_t end)
{
    const struct style style = {.format = line->format, .kind = kind};
    size_t cut = line->len; /* the last place at which "..." still fits */
    while (value.len > 0) {
        char unit[UNIT_BYTES_MAX];
        size_t taken;
        size_t n = encode_unit(&style, value, unit, &taken);
        if (line->len + n > end) {
            memcpy(line->buf + cut, "...", 3);
            line->len = cut + 3;
            return;
        }
        memcpy(line->buf + line->len, unit, n);
        line->len += n;
        cut = line->len + 3 <= end ? line->len : cut;
        value = km_bytes_skip(value, taken);
    }
}

static bool add_quoted(struct line *line, enum km_field_kind kind,
                       kama_bytes value)
{
    size_t left = line->room - line->len;
    if (left < 5) { /* two quotes and "..." */
        return false;
    }
    size_t room =
        left - 2 < KM_LOG_VALUE_BYTES_MAX ? left - 2 : KM_LOG_VALUE_BYTES_MAX;
    line->buf[line->len++] = '"';
    add_units(line, kind, value, line->len + room);
    line->buf[line->len++] = '"';
    return true;
}

/* Returns whether the value may stand in logfmt without quotes. */
static bool is_bare(kama_bytes value)
{
    const uint8_t *p = value.data;
    if (value.len == 0 || value.len > KM_LOG_VALUE_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '"' || p[i] == '=' ||
            p[i] == '\\') {
            return false;
        }
    }
    return true;
}

static bool add_value(struct line *line, const struct km_field *field)
{
    char digits[24];
    if (field->kind == KM_FIELD_INT) {
        (void)snprintf(digits, sizeof digits, "%" PRId64, field->number);
        return add_str(line, digits);
    }
    if (field->kind == KM_FIELD_STR && line->format == KM_LOG_TEXT &&
        is_bare(field->bytes)) {
        return add(line, field->bytes.data, field->bytes.len);
    }
    return add_quoted(line, field->kind, field->bytes);
}

/* Appends a field. A field that does not fit is taken back as a whole, and the
 * line is marked as cut. */
static void add_field(struct line *line, const struct km_field *field)
{
    size_t start = line->len;
    bool added;
    if (line->format == KM_LOG_JSON) {
        added = add_str(line, start == 0 ? "{\"" : ",\"") &&
                add_str(line, field->name) && add_str(line, "\":");
    } else {
        added = add_str(line, start == 0 ? "" : " ") &&
                add_str(line, field->name) && add_str(line, "=");
    }
    if (!added || !add_value(line, field)) {
        line->len = start;
        line->cut = true;
    }
}

/* -- the line ------------------------------------------------------------ */

static void add_time(struct line *line, uint64_t wall_us)
{
    char text[64];
    struct tm utc;
    time_t seconds = (time_t)(wall_us / 1000000);
    (void)gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%06uZ",
                   (unsigned)(wall_us % 1000000));
    struct km_field field = km_f_str("ts", text);
    add_field(line, &field);
}

size_t km_log_format(enum km_log_format format,
                     const struct km_log_event *event,
                     char buf[KM_LOG_LINE_BYTES_MAX])
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const struct km_field head[] = {
        km_f_str("level", levels[event->level]),
        km_f_str("component", event->component),
        km_f_str("msg", event->msg),
    };
    struct line line = {.buf = buf,
                        .room = KM_LOG_LINE_BYTES_MAX - TAIL_BYTES,
                        .format = format};
    add_time(&line, event->wall_us);
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        add_field(&line, &head[i]);
    }
    if (event->held_back > 0) {
        struct km_field held = km_f_int("held_back", event->held_back);
        add_field(&line, &held);
    }
    for (size_t i = 0; i < event->field_count; i++) {
        add_field(&line, &event->fields[i]);
    }
    bool json = format == KM_LOG_JSON;
    line.room = KM_LOG_LINE_BYTES_MAX;
    if (line.cut) {
        (void)add_str(&line, json ? ",\"cut\":true" : " cut=true");
    }
    (void)add_str(&line, json ? "}\n" : "\n");
    return line.len;
}
