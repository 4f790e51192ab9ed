/* SPDX-License-Identifier: MIT */
/* Reading URLs with libcurl's parser, and comparing their origins. */
#include "origin.h"

#include "../common/call.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT_MAX = 65535 };

/* A host with brackets and zone. A DNS name has at most 253 bytes. */
enum { HOST_BYTES_MAX = 280, HOST_NAME_BYTES_MAX = 253 };

/* -- reading ------------------------------------------------------------ */

/* Reads a part of the URL. A part that is absent leaves *ret_text NULL. Returns
 * false without memory. */
static bool get_part(CURLU *url, CURLUPart part, unsigned flags,
                     char **ret_text)
{
    CURLUcode code = curl_url_get(url, part, ret_text, flags);
    return code != CURLUE_OUT_OF_MEMORY;
}

/* Writes the host as a URL has it: "[fe80::1%25eth0]" for "[fe80::1]" and its
 * zone. */
static void write_host(const struct km_origin *origin, char *text, size_t cap)
{
    size_t len = strlen(origin->host);
    if (origin->zone == NULL || len == 0) {
        snprintf(text, cap, "%s", origin->host);
    } else {
        snprintf(text, cap, "%.*s%%25%s]", (int)len - 1, origin->host,
                 origin->zone);
    }
}

/* Writes the origin for people, without its login. */
static void write_text(struct km_origin *origin)
{
    char host[HOST_BYTES_MAX + 1];
    write_host(origin, host, sizeof host);
    bool usual =
        strcmp(origin->port,
               strcmp(origin->scheme, "https") == 0 ? "443" : "80") == 0;
    snprintf(origin->text, sizeof origin->text, "%s://%s%s%.5s", origin->scheme,
             host, usual ? "" : ":", usual ? "" : origin->port);
}

/* Reads all parts of the URL. Returns false without memory. */
static bool get_parts(CURLU *url, struct km_origin *origin)
{
    return get_part(url, CURLUPART_SCHEME, 0, &origin->scheme) &&
           get_part(url, CURLUPART_HOST, 0, &origin->host) &&
           get_part(url, CURLUPART_ZONEID, 0, &origin->zone) &&
           get_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &origin->port) &&
           get_part(url, CURLUPART_USER, CURLU_URLDECODE, &origin->user) &&
           get_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE,
                    &origin->password);
}

/* Returns whether the scheme is http or https. */
static bool is_http(const struct km_origin *origin)
{
    return origin->scheme != NULL && (strcmp(origin->scheme, "http") == 0 ||
                                      strcmp(origin->scheme, "https") == 0);
}

/* Writes the text if the parts are those of an http origin. Returns false if
 * they are not. */
static bool complete(struct km_origin *origin)
{
    if (!is_http(origin) || origin->host == NULL || origin->host[0] == '\0' ||
        origin->port == NULL) {
        return false;
    }
    long port = strtol(origin->port, NULL, 10);
    if (port < 1 || port > PORT_MAX) {
        return false;
    }
    write_text(origin);
    return true;
}

/* -- the configured one ------------------------------------------------- */

/* Fails with a sentence that contains nothing of the URL, which may hold a
 * password. */
static kama_status fail_parse(CURLUcode code, char *error, size_t cap)
{
    switch (code) {
    case CURLUE_OUT_OF_MEMORY:
        return km_open_fail(error, cap, KAMA_ERR_NO_MEMORY, "out of memory");
    case CURLUE_BAD_PORT_NUMBER:
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "the port of the URL is not a number in 1..%d",
                            PORT_MAX);
    default:
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "the URL cannot be read: %s",
                            curl_url_strerror(code));
    }
}

/* Reads the parts of a configured URL and checks them. */
static kama_status read_origin(CURLU *url, struct km_origin *origin,
                               char *error, size_t cap)
{
    if (!get_parts(url, origin)) {
        return fail_parse(CURLUE_OUT_OF_MEMORY, error, cap);
    }
    if (!complete(origin)) {
        return fail_parse(origin->host != NULL && origin->host[0] != '\0'
                              ? CURLUE_BAD_PORT_NUMBER
                              : CURLUE_NO_HOST,
                          error, cap);
    }
    if (strlen(origin->host) > HOST_NAME_BYTES_MAX) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "the host of the URL has more than %d bytes",
                            HOST_NAME_BYTES_MAX);
    }
    return KAMA_OK;
}

kama_status km_origin_new(const char *url, struct km_origin *ret_origin,
                          char *error, size_t cap)
{
    struct km_origin origin = {0};
    CURLU *parsed = curl_url();
    if (parsed == NULL) {
        return fail_parse(CURLUE_OUT_OF_MEMORY, error, cap);
    }
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
    kama_status status = code == CURLUE_OK
                             ? read_origin(parsed, &origin, error, cap)
                             : fail_parse(code, error, cap);
    curl_url_cleanup(parsed);
    if (status != KAMA_OK) {
        km_origin_fini(&origin);
        return status;
    }
    *ret_origin = origin;
    return KAMA_OK;
}

void km_origin_fini(struct km_origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->zone);
    curl_free(origin->port);
    curl_free(origin->user);
    curl_free(origin->password);
    memset(origin, 0, sizeof *origin);
}

/* -- redirects ---------------------------------------------------------- */

/* Compares two strings, either of which may be NULL, which is equal to "". */
static bool is_equal(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* Returns whether both have the same scheme, host, zone and port. */
static bool is_same(const struct km_origin *a, const struct km_origin *b)
{
    return strcmp(a->scheme, b->scheme) == 0 &&
           strcasecmp(a->host, b->host) == 0 && is_equal(a->zone, b->zone) &&
           strcmp(a->port, b->port) == 0;
}

/* Writes the place of a URL that is not one of http, for a sentence. */
static void write_wrong(const struct km_origin *origin,
                        char text[KM_ORIGIN_TEXT_BYTES])
{
    snprintf(text, KM_ORIGIN_TEXT_BYTES, "%.32s:%.253s",
             origin->scheme != NULL ? origin->scheme : "something",
             origin->host != NULL ? origin->host : "");
}

/* Compares a parsed URL with origin. */
static enum km_redirect_place place_of(CURLU *url,
                                       const struct km_origin *origin,
                                       char text[KM_ORIGIN_TEXT_BYTES],
                                       char **ret_url)
{
    struct km_origin target = {0};
    enum km_redirect_place place = KM_REDIRECT_WRONG;
    if (!get_parts(url, &target)) {
        place = KM_REDIRECT_NO_MEMORY;
    } else if (!complete(&target)) {
        write_wrong(&target, text);
    } else if (!get_part(url, CURLUPART_URL, 0, ret_url)) {
        place = KM_REDIRECT_NO_MEMORY;
    } else {
        place = is_same(origin, &target) ? KM_REDIRECT_SAME : KM_REDIRECT_OTHER;
        memcpy(text, target.text, sizeof target.text);
    }
    km_origin_fini(&target);
    return place;
}

enum km_redirect_place km_origin_redirect(const struct km_origin *origin,
                                          const char *url,
                                          char ret_text[KM_ORIGIN_TEXT_BYTES],
                                          char **ret_url)
{
    *ret_url = NULL;
    snprintf(ret_text, KM_ORIGIN_TEXT_BYTES, "%s", "a URL that cannot be read");
    CURLU *parsed = curl_url();
    if (parsed == NULL) {
        return KM_REDIRECT_NO_MEMORY;
    }
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url,
                                  CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE |
                                      CURLU_ALLOW_SPACE);
    enum km_redirect_place place = KM_REDIRECT_WRONG;
    if (code == CURLUE_OUT_OF_MEMORY) {
        place = KM_REDIRECT_NO_MEMORY;
    } else if (code == CURLUE_OK) {
        place = place_of(parsed, origin, ret_text, ret_url);
    }
    curl_url_cleanup(parsed);
    return place;
}
