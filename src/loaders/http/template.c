/* SPDX-License-Identifier: MIT */
/* A URL, and the key in it. */
#include "template.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char SLOT[] = KM_PATH_SLOT;
static const char SHORT_SCHEME[] = "http:";
enum { SLOT_LEN = sizeof SLOT - 1 };

/* The text behind the scheme; NULL: another scheme. */
static const char *skip_scheme(const char *url)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(url, schemes[i], len) == 0) {
            return url + len;
        }
    }
    return NULL;
}

static bool has_bad_character(const char *url)
{
    for (; *url != '\0'; url++) {
        unsigned char c = (unsigned char)*url;
        if (c <= ' ' || c == 0x7f || c == '#' || c == '\\') {
            return true;
        }
    }
    return false;
}

/* A % that begins no encoded byte: a key behind it could complete one. */
static bool has_bad_percent(const char *url)
{
    while ((url = strchr(url, '%')) != NULL) {
        if (!isxdigit((unsigned char)url[1]) ||
            !isxdigit((unsigned char)url[2])) {
            return true;
        }
        url++;
    }
    return false;
}

static size_t count_slots(const char *url)
{
    size_t count = 0;
    while ((url = strstr(url, SLOT)) != NULL) {
        url += SLOT_LEN;
        count++;
    }
    return count;
}

/* NULL, or what is wrong. */
static const char *check(const char *url)
{
    const char *host = skip_scheme(url);
    if (host == NULL) {
        return "it is not a URL of http or https";
    }
    if (has_bad_character(url)) {
        return "a blank, a control character, # or \\ cannot be in the URL";
    }
    if (has_bad_percent(url)) {
        return "a % in the URL is not followed by two hexadecimal digits";
    }
    size_t host_len = strcspn(host, "/?");
    if (host_len == 0) {
        return "the URL names no host";
    }
    if (count_slots(host + host_len) == 0) {
        return "the URL has no {key} in its path or query";
    }
    if (count_slots(host) != count_slots(host + host_len)) {
        return "{key} cannot choose the host";
    }
    return NULL;
}

/* Scheme, host and port of a checked URL, for free(). NULL: no memory. */
static char *copy_origin(const char *url)
{
    const char *host = skip_scheme(url);
    size_t scheme_len = (size_t)(host - url);
    size_t len = strcspn(host, "/?");
    const char *at = memrchr(host, '@', len);
    if (at != NULL) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    char *origin = malloc(scheme_len + len + 1);
    if (origin != NULL) {
        memcpy(origin, url, scheme_len);
        memcpy(origin + scheme_len, host, len);
        origin[scheme_len + len] = '\0';
    }
    return origin;
}

const char *km_template_new(const char *text, struct km_template *ret_template)
{
    bool is_short = strncmp(text, "//", 2) == 0;
    size_t scheme_len = is_short ? strlen(SHORT_SCHEME) : 0;
    size_t text_bytes = strlen(text) + 1;
    char *url = malloc(scheme_len + text_bytes);
    if (url == NULL) {
        return "out of memory";
    }
    memcpy(url, SHORT_SCHEME, scheme_len);
    memcpy(url + scheme_len, text, text_bytes);
    const char *wrong = check(url);
    char *origin = wrong == NULL ? copy_origin(url) : NULL;
    if (origin == NULL) {
        free(url);
        return wrong != NULL ? wrong : "out of memory";
    }
    ret_template->url = url;
    ret_template->origin = origin;
    ret_template->slots = count_slots(url);
    const char *host = skip_scheme(url);
    ret_template->path = host + strcspn(host, "/?");
    return NULL;
}

void km_template_fini(struct km_template *template)
{
    free(template->url);
    free(template->origin);
    template->url = NULL;
    template->origin = NULL;
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* Writes the encoded key to out. Returns its end. */
static char *encode(kama_bytes key, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *in = key.data;
    for (size_t i = 0; i < key.len; i++) {
        if (is_plain(in[i])) {
            *out++ = (char)in[i];
            continue;
        }
        *out++ = '%';
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    return out;
}

char *km_template_url(const struct km_template *template, kama_bytes key)
{
    const char *in = template->url;
    char *url = malloc(strlen(in) + 1 + template->slots * 3 * key.len);
    if (url == NULL) {
        return NULL;
    }
    char *out = url;
    const char *slot;
    while ((slot = strstr(in, SLOT)) != NULL) {
        memcpy(out, in, (size_t)(slot - in));
        out = encode(key, out + (slot - in));
        in = slot + SLOT_LEN;
    }
    strcpy(out, in);
    return url;
}

/* -- keys --------------------------------------------------------------- */

/* Whether a parameter of the query is a path too, as the template writes it. */
static bool has_slash(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '/' || strncasecmp(text + i, "%2f", 3) == 0 ||
            strncasecmp(text + i, "%5c", 3) == 0) {
            return true;
        }
    }
    return false;
}

static enum km_path_verdict check_parameters(const char *query, kama_bytes key)
{
    enum km_path_verdict verdict = KM_PATH_STAYS;
    while (verdict == KM_PATH_STAYS) {
        size_t len = strcspn(query, "&");
        if (memmem(query, len, SLOT, SLOT_LEN) != NULL &&
            has_slash(query, len)) {
            verdict = km_path_check(kama_bytes_make(query, len), key);
        }
        if (query[len] == '\0') {
            break;
        }
        query += len + 1;
    }
    return verdict;
}

enum km_path_verdict km_template_check(const struct km_template *template,
                                       kama_bytes key)
{
    const char *path = template->path;
    size_t len = strcspn(path, "?");
    enum km_path_verdict verdict = KM_PATH_STAYS;
    if (memmem(path, len, SLOT, SLOT_LEN) != NULL) {
        verdict = km_path_check(kama_bytes_make(path, len), key);
    }
    if (verdict == KM_PATH_STAYS && path[len] == '?') {
        verdict = check_parameters(path + len + 1, key);
    }
    return verdict;
}
