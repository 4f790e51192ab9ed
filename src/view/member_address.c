/* SPDX-License-Identifier: MIT */
/*
 * The canonical form of an address. Nodes hash the addresses of members, so all
 * of them must write an address in the same way. libc's inet_ntop differs
 * between systems, which is why IPv6 is formatted here.
 */
#include "view/member.h"

#include "base/status.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 253
#define NAME_LABEL_BYTES_MAX 63
#define V6_GROUPS 8

/* The pieces of a text, as views of it. */
struct pieces {
    kama_bytes host; /* without brackets */
    bool bracketed;
    unsigned port;
};

static kama_status invalid(const char *text, const char *why)
{
    return km_fail(KAMA_ERR_INVALID, "address \"%.*s\": %s",
                   KM_TEXT_UP_TO(100, text), why);
}

/* Reads a decimal port. Returns 0 for anything that is not 1 to 65535. */
static unsigned parse_port(const char *text)
{
    unsigned port = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return 0;
        }
        port = port * 10 + (unsigned)(*c - '0');
        if (port > 65535) {
            return 0;
        }
    }
    return port;
}

static kama_status split(const char *text, struct pieces *ret_pieces)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return invalid(text, "it must end in :PORT");
    }
    struct pieces pieces = {.port = parse_port(colon + 1)};
    if (pieces.port == 0) {
        return invalid(text, "the port must be a number from 1 to 65535");
    }
    size_t len = (size_t)(colon - text);
    pieces.bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    pieces.host = pieces.bracketed ? kama_bytes_make(text + 1, len - 2)
                                   : kama_bytes_make(text, len);
    *ret_pieces = pieces;
    return KAMA_OK;
}

/* -- IPv6 ---------------------------------------------------------------- */

/* Finds the longest run of at least two zero groups, the first one of equals.
 * Returns its length, or 0. */
static size_t longest_zeros(const unsigned *groups, size_t *ret_start)
{
    size_t best = 0;
    size_t run = 0;
    for (size_t i = 0; i < V6_GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best && run >= 2) {
            best = run;
            *ret_start = i + 1 - run;
        }
    }
    return best;
}

/* Writes the groups as RFC 5952 says. */
static void format_groups(const unsigned *groups, char *text, size_t cap)
{
    size_t start = V6_GROUPS;
    size_t zeros = longest_zeros(groups, &start);
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < V6_GROUPS; i++) {
        if (zeros > 0 && i == start) {
            len += (size_t)snprintf(text + len, cap - len, "::");
            i += zeros - 1;
            continue;
        }
        const char *colon = len == 0 || text[len - 1] == ':' ? "" : ":";
        len +=
            (size_t)snprintf(text + len, cap - len, "%s%x", colon, groups[i]);
    }
}

/* Addresses of IPv4 in IPv6 (::ffff:0:0/96) are written in mixed notation. */
static bool is_mapped(const uint8_t *v6)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(v6, prefix, sizeof prefix) == 0;
}

/* Returns whether the bytes are all zero: the address that stands for all. */
static bool is_wildcard(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static kama_status wildcard(const char *text)
{
    return invalid(text, "it stands for all addresses of a machine, and nobody "
                         "could connect to it; name one address");
}

static kama_status format_v6(const char *text, const struct pieces *pieces,
                             char *ret_text)
{
    char host[INET6_ADDRSTRLEN];
    uint8_t v6[16];
    unsigned groups[V6_GROUPS];
    if (pieces->host.len >= sizeof host) {
        return invalid(text, "between the brackets must be an IPv6 address");
    }
    memcpy(host, pieces->host.data, pieces->host.len);
    host[pieces->host.len] = '\0';
    if (inet_pton(AF_INET6, host, v6) != 1) {
        return invalid(text, "between the brackets must be an IPv6 address "
                             "without a zone");
    }
    size_t prefix = is_mapped(v6) ? 12 : 0;
    if (is_wildcard(v6 + prefix, sizeof v6 - prefix)) {
        return wildcard(text);
    }
    for (size_t i = 0; i < V6_GROUPS; i++) {
        groups[i] = (unsigned)v6[2 * i] << 8 | v6[2 * i + 1];
    }
    if (prefix != 0) {
        (void)snprintf(host, sizeof host, "::ffff:%u.%u.%u.%u", v6[12], v6[13],
                       v6[14], v6[15]);
    } else {
        format_groups(groups, host, sizeof host);
    }
    (void)snprintf(ret_text, KM_MEMBER_ADDRESS_BYTES, "[%s]:%u", host,
                   pieces->port);
    return KAMA_OK;
}

/* -- names and IPv4 -------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool name_char_ok(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* Returns whether the host is labels of letters, digits, '-' and '_' between
 * dots. One dot may be at its end. */
static bool name_ok(const char *host)
{
    size_t label = 0;
    for (const char *c = host; *c != '\0'; c++) {
        if (*c == '.' ? label == 0 : !name_char_ok(*c)) {
            return false;
        }
        label = *c == '.' ? 0 : label + 1;
        if (label > NAME_LABEL_BYTES_MAX) {
            return false;
        }
    }
    return host[0] != '\0';
}

/* Returns whether libc could take the host for a number: its last label begins
 * with a digit and is decimal or hexadecimal, such as "127.1" or
 * "0x7f000001". */
static bool looks_numeric(const char *host)
{
    size_t len = strlen(host);
    len -= len > 0 && host[len - 1] == '.';
    size_t start = len;
    while (start > 0 && host[start - 1] != '.') {
        start--;
    }
    const char *label = host + start;
    size_t size = len - start;
    if (size == 0 || !is_digit(label[0])) {
        return false;
    }
    bool hex = size >= 2 && label[0] == '0' && label[1] == 'x';
    return hex ? strspn(label + 2, "0123456789abcdef") >= size - 2
               : strspn(label, "0123456789") >= size;
}

static kama_status check_host(const char *text, const char *host)
{
    uint8_t v4[4];
    if (host[0] == '\0' || strcmp(host, "*") == 0) {
        return wildcard(text);
    }
    if (strchr(host, ':') != NULL) {
        return invalid(text, "it must be HOST:PORT, and IPv6 is written as "
                             "[ADDRESS]:PORT");
    }
    if (looks_numeric(host)) {
        if (inet_pton(AF_INET, host, v4) != 1) {
            return invalid(text, "an IPv4 address has four decimal numbers "
                                 "from 0 to 255 without leading zeros");
        }
        return is_wildcard(v4, sizeof v4) ? wildcard(text) : KAMA_OK;
    }
    return name_ok(host) ? KAMA_OK
                         : invalid(text, "a host name has letters, digits, "
                                         "'-', '_' and single dots");
}

kama_status km_member_address(const char *text,
                              char ret_text[KM_MEMBER_ADDRESS_BYTES])
{
    struct pieces pieces = {.port = 0};
    char host[NAME_BYTES_MAX + 1];
    kama_status status = split(text, &pieces);
    if (status != KAMA_OK) {
        return status;
    }
    if (pieces.bracketed) {
        return format_v6(text, &pieces, ret_text);
    }
    if (pieces.host.len > NAME_BYTES_MAX) {
        return invalid(text, "a host name has at most 253 characters");
    }
    for (size_t i = 0; i < pieces.host.len; i++) {
        host[i] = lower(((const char *)pieces.host.data)[i]);
    }
    host[pieces.host.len] = '\0';
    status = check_host(text, host);
    if (status == KAMA_OK) {
        (void)snprintf(ret_text, KM_MEMBER_ADDRESS_BYTES, "%s:%u", host,
                       pieces.port);
    }
    return status;
}
