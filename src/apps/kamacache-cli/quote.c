/* SPDX-License-Identifier: MIT */
/* Quoting of keys and values for people, and back. */
#include "quote.h"

#include "base/status.h"

static bool is_plain_byte(uint8_t c)
{
    return c > 0x20 && c != 0x7f && c != '"' && c != '\\';
}

/* C1 controls (U+0080..U+009F) move terminals too. */
static bool has_c1_control(kama_bytes b)
{
    const uint8_t *p = b.data;
    for (size_t i = 0; i + 1 < b.len; i++) {
        if (p[i] == 0xc2 && p[i + 1] < 0xa0) {
            return true;
        }
    }
    return false;
}

bool cli_quote_is_plain(kama_bytes b)
{
    const uint8_t *p = b.data;
    for (size_t i = 0; i < b.len; i++) {
        if (!is_plain_byte(p[i])) {
            return false;
        }
    }
    return b.len > 0 && km_bytes_is_utf8(b) && !has_c1_control(b);
}

bool cli_quote_is_text(kama_bytes b)
{
    const uint8_t *p = b.data;
    for (size_t i = 0; i < b.len; i++) {
        bool control = (p[i] < 0x20 && p[i] != '\n' && p[i] != '\t');
        if (control || p[i] == 0x7f) {
            return false;
        }
    }
    return km_bytes_is_utf8(b) && !has_c1_control(b);
}

static kama_status append_escape(struct km_buf *out, uint8_t c)
{
    switch (c) {
    case '"':
        return km_buf_append_str(out, "\\\"");
    case '\\':
        return km_buf_append_str(out, "\\\\");
    case '\n':
        return km_buf_append_str(out, "\\n");
    case '\r':
        return km_buf_append_str(out, "\\r");
    case '\t':
        return km_buf_append_str(out, "\\t");
    default:
        return km_buf_printf(out, "\\x%02x", c);
    }
}

kama_status cli_quote_append(struct km_buf *out, kama_bytes b)
{
    if (cli_quote_is_plain(b)) {
        return km_buf_append(out, b.data, b.len);
    }
    bool utf8 = km_bytes_is_utf8(b) && !has_c1_control(b);
    const uint8_t *p = b.data;
    kama_status st = km_buf_append_str(out, "\"");
    for (size_t i = 0; i < b.len && st == KAMA_OK; i++) {
        bool as_is = is_plain_byte(p[i]) || p[i] == ' ';
        if (as_is && (p[i] < 0x80 || utf8)) {
            st = km_buf_append(out, &p[i], 1);
        } else {
            st = append_escape(out, p[i]);
        }
    }
    return st == KAMA_OK ? km_buf_append_str(out, "\"") : st;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* Reads the escape behind the backslash at *at; moves *at past it. */
static kama_status parse_escape(const char **at, uint8_t *ret_byte)
{
    static const char names[] = "nrtab0";
    static const char bytes[] = "\n\r\t\a\b";
    const char *p = *at + 1;
    if (*p == 'x') {
        int high = hex_digit(p[1]);
        int low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0) {
            return km_fail(KAMA_ERR_INVALID,
                           "\\x needs two hexadecimal digits");
        }
        *ret_byte = (uint8_t)(high << 4 | low);
        *at = p + 3;
        return KAMA_OK;
    }
    if (*p == '\0') {
        return km_fail(KAMA_ERR_INVALID, "unfinished escape at the end");
    }
    const char *name = strchr(names, *p);
    *ret_byte = name != NULL ? (uint8_t)bytes[name - names] : (uint8_t)*p;
    *at = p + 1;
    return KAMA_OK;
}

kama_status cli_quote_parse(const char *text, struct km_buf *out)
{
    if (text[0] != '"') {
        return km_buf_append_str(out, text);
    }
    const char *p = text + 1;
    while (*p != '"') {
        uint8_t byte = (uint8_t)*p;
        if (byte == '\0') {
            return km_fail(KAMA_ERR_INVALID, "the closing quote is missing");
        }
        kama_status st = KAMA_OK;
        if (byte == '\\') {
            st = parse_escape(&p, &byte);
        } else {
            p++;
        }
        if (st == KAMA_OK) {
            st = km_buf_append(out, &byte, 1);
        }
        if (st != KAMA_OK) {
            return st;
        }
    }
    if (p[1] != '\0') {
        return km_fail(KAMA_ERR_INVALID, "text behind the closing quote");
    }
    return KAMA_OK;
}

kama_status cli_base64_append(struct km_buf *out, kama_bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = b.data;
    for (size_t i = 0; i < b.len; i += 3) {
        size_t n = b.len - i < 3 ? b.len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16;
        bits |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        kama_status st = km_buf_append(out, four, sizeof four);
        if (st != KAMA_OK) {
            return st;
        }
    }
    return KAMA_OK;
}
