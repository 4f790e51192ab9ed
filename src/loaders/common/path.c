/* SPDX-License-Identifier: MIT */
/*
 * Reading a path as carelessly as some server may.
 *
 * Decoding works on a stack: a byte is pushed, and while the top of the stack
 * is an encoded byte it is replaced by the byte that it encodes. That gives the same
 * bytes as decoding the whole text again and again until it stays the same,
 * because two encodings never overlap ("%" is no hexadecimal digit, and the
 * first byte of a UTF-8 sequence is no later one). A segment of dots that is
 * visible after fewer rounds is still there at the end: dots and separators
 * are never part of an encoding.
 */
#include "path.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BYTES = sizeof KM_PATH_SLOT - 1 };

/* -- decoding ----------------------------------------------------------- */

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the number that `count` hexadecimal digits stand for, or -1. */
static int hex_number(const unsigned char *digits, size_t count)
{
    int number = 0;
    for (size_t i = 0; i < count; i++) {
        int value = hex_value(digits[i]);
        if (value < 0) {
            return -1;
        }
        number = number * 16 + value;
    }
    return number;
}

/* Each of the next three functions returns the byte that the last bytes in
 * front of `end` encode, or -1 if they are no such encoding. len bytes are
 * there. */

/* Decodes "%2e". */
static int decode_percent(const unsigned char *end, size_t len)
{
    return len >= 3 && end[-3] == '%' ? hex_number(end - 2, 2) : -1;
}

/* Decodes "%u002e", which IIS and JavaScript's unescape() know. Only ASCII is
 * of interest here. */
static int decode_percent_u(const unsigned char *end, size_t len)
{
    if (len < 6 || end[-6] != '%' || (end[-5] | 0x20) != 'u') {
        return -1;
    }
    int number = hex_number(end - 4, 4);
    return number < 0x80 ? number : -1;
}

static bool is_continuation(unsigned char c)
{
    return c >= 0x80 && c <= 0xbf;
}

/* Decodes ASCII in two, three or four bytes of UTF-8, which no correct encoder
 * writes but some decoders read: c0 ae, e0 80 ae and f0 80 80 ae all stand for
 * ".". */
static int decode_overlong(const unsigned char *end, size_t len)
{
    if (len < 2 || !is_continuation(end[-1])) {
        return -1;
    }
    unsigned char high = end[-2];
    bool starts = high == 0xc0 || high == 0xc1;
    bool goes_on =
        (high == 0x80 || high == 0x81) && len >= 3 &&
        (end[-3] == 0xe0 || (end[-3] == 0x80 && len >= 4 && end[-4] == 0xf0));
    if (!starts && !goes_on) {
        return -1;
    }
    return (high & 1) << 6 | (end[-1] & 0x3f);
}

/* Returns how many bytes the overlong sequence in front of `end` has. */
static size_t overlong_len(const unsigned char *end)
{
    if (end[-2] >= 0xc0) {
        return 2;
    }
    return end[-3] == 0xe0 ? 3 : 4;
}

/* Replaces one encoded byte at the top of the stack. Returns false if there is
 * none. */
static bool collapse(unsigned char *stack, size_t *len)
{
    const unsigned char *end = stack + *len;
    size_t taken = 3;
    int byte = decode_percent(end, *len);
    if (byte < 0) {
        byte = decode_percent_u(end, *len);
        taken = 6;
    }
    if (byte < 0) {
        byte = decode_overlong(end, *len);
        taken = byte < 0 ? 0 : overlong_len(end);
    }
    if (byte < 0) {
        return false;
    }
    *len -= taken;
    stack[(*len)++] = (unsigned char)byte;
    return true;
}

/* Appends bytes to the decoded text on the stack, which has *len bytes. */
static void push(unsigned char *stack, size_t *len, kama_bytes bytes)
{
    const unsigned char *in = bytes.data;
    for (size_t i = 0; i < bytes.len; i++) {
        stack[(*len)++] = in[i];
        while (collapse(stack, len)) {
        }
    }
}

/* Fills the slots of path with key and decodes the whole path onto the stack,
 * which has room for the path and a key per slot. Returns the length. */
static size_t fill(unsigned char *stack, kama_bytes path, kama_bytes key)
{
    const char *in = path.data;
    const char *end = in + path.len;
    size_t len = 0;
    for (;;) {
        const char *slot =
            memmem(in, (size_t)(end - in), KM_PATH_SLOT, SLOT_BYTES);
        const char *stop = slot != NULL ? slot : end;
        push(stack, &len, kama_bytes_make(in, (size_t)(stop - in)));
        if (slot == NULL) {
            return len;
        }
        push(stack, &len, key);
        in = slot + SLOT_BYTES;
    }
}

/* Returns the number of slots in path. */
static size_t count_keys(kama_bytes path)
{
    const char *in = path.data;
    const char *end = in + path.len;
    size_t count = 0;
    while ((in = memmem(in, (size_t)(end - in), KM_PATH_SLOT, SLOT_BYTES)) !=
           NULL) {
        in += SLOT_BYTES;
        count++;
    }
    return count;
}

/* -- segments ----------------------------------------------------------- */

static bool is_slash(unsigned char c)
{
    return c == '/' || c == '\\';
}

/* Returns whether some servers end the name of a segment at this byte: at
 * parameters, a query, a fragment, or the end of a C string. */
static bool ends_name(unsigned char c)
{
    return c == ';' || c == '?' || c == '#' || c == '\0';
}

/* Returns whether some servers drop this byte wherever it stands. */
static bool is_ignored(unsigned char c)
{
    return c <= ' ' || c == 0x7f;
}

/* Returns whether some server takes the segment for `.`, `..` and so on. */
static bool is_dots(const unsigned char *segment, size_t len)
{
    size_t dots = 0;
    for (size_t i = 0; i < len && !ends_name(segment[i]); i++) {
        if (segment[i] != '.' && !is_ignored(segment[i])) {
            return false;
        }
        dots += segment[i] == '.';
    }
    return dots > 0;
}

/* Returns the number of segments that consist of dots. */
static size_t count_dots(const unsigned char *text, size_t len)
{
    size_t count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i == len || is_slash(text[i])) {
            count += is_dots(text + start, i - start);
            start = i + 1;
        }
    }
    return count;
}

/* -- the whole ---------------------------------------------------------- */

/* Returns the number of segments of dots in the template alone, with a harmless
 * name in its slots. */
static size_t count_own_dots(unsigned char *stack, kama_bytes path)
{
    return count_dots(stack, fill(stack, path, kama_bytes_str("x")));
}

enum km_path_verdict km_path_check(kama_bytes path, kama_bytes key)
{
    unsigned char *stack = malloc(path.len + count_keys(path) * key.len + 1);
    if (stack == NULL) {
        return KM_PATH_NO_MEMORY;
    }
    size_t own = count_own_dots(stack, path);
    size_t all = count_dots(stack, fill(stack, path, key));
    free(stack);
    return all > own ? KM_PATH_LEAVES : KM_PATH_STAYS;
}
