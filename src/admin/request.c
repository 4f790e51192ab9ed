/* SPDX-License-Identifier: MIT */
/*
 * The parser of http-parser finds the pieces, and its callbacks judge them. A
 * callback that refuses returns an error, with which the parser stops; otherwise
 * its own error is translated.
 */
#include "admin/request.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/container.h"

#include <strings.h>

static int refuse(struct km_admin_request *r, int code, const char *sentence)
{
    if (r->code == 0) {
        r->code = code;
        r->sentence = sentence;
    }
    return -1;
}

static struct km_admin_request *request_of(http_parser *parser)
{
    return KM_CONTAINER_OF(parser, struct km_admin_request, parser);
}

/* Appends a piece to a text. Returns false if it does not fit. */
static bool append(char *text, size_t cap, size_t *len, const char *at,
                   size_t n)
{
    if (n > cap - *len) {
        return false;
    }
    memcpy(text + *len, at, n);
    *len += n;
    return true;
}

/* -- the pieces ------------------------------------------------------------ */

/* A request line without a version is HTTP/0.9, which the parser reports as such
 * before it goes on to wait for headers that never come. */
static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct km_admin_request *r = request_of(parser);
    if (parser->http_major == 0 && parser->http_minor == 9) {
        return refuse(r, 505,
                      "the request names no version of HTTP; this port "
                      "speaks HTTP/1.1");
    }
    return append(r->target, sizeof r->target, &r->target_len, at, len)
               ? 0
               : refuse(r, 414,
                        "the request line is longer than " KM_TEXT_OF(
                            KM_ADMIN_HEAD_BYTES_MAX) " bytes");
}

/* The parser takes a name with blanks, and reads `Transfer-Encoding :` as if the
 * blank were not there. Others read it as another header, so that it is refused. */
static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    struct km_admin_request *r = request_of(parser);
    if (memchr(at, ' ', len) != NULL) {
        return refuse(r, 400, "the name of a header has a blank");
    }
    if (r->in_value || r->headers == 0) {
        r->in_value = false;
        r->name_len = 0;
        r->headers++;
    }
    if (r->headers > KM_ADMIN_HEADERS_MAX) {
        return refuse(r, 431,
                      "there are more than " KM_TEXT_OF(KM_ADMIN_HEADERS_MAX) //
                      " headers");
    }
    if (!append(r->name, sizeof r->name, &r->name_len, at, len)) {
        r->name_len = sizeof r->name; /* no header that is kept is so long */
    }
    return 0;
}

static enum km_admin_header header_of(const struct km_admin_request *r)
{
    static const struct {
        const char *name;
        enum km_admin_header header;
    } kept[] = {{"host", KM_ADMIN_H_HOST},
                {"accept", KM_ADMIN_H_ACCEPT},
                {"transfer-encoding", KM_ADMIN_H_TRANSFER_ENCODING}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (strlen(kept[i].name) == r->name_len &&
            strncasecmp(kept[i].name, r->name, r->name_len) == 0) {
            return kept[i].header;
        }
    }
    return KM_ADMIN_H_OTHER;
}

static int add_host(struct km_admin_request *r, const char *at, size_t len,
                    bool begins)
{
    r->hosts += begins ? 1 : 0;
    if (r->hosts > 1) {
        return refuse(r, 400, "there is more than one Host header");
    }
    return append(r->host, sizeof r->host - 1, &r->host_len, at, len)
               ? 0
               : refuse(r, 400,
                        "the Host header is longer than " KM_TEXT_OF(
                            KM_ADMIN_HOST_BYTES_MAX) " bytes");
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    struct km_admin_request *r = request_of(parser);
    bool begins = !r->in_value;
    r->in_value = true;
    switch (header_of(r)) {
    case KM_ADMIN_H_HOST:
        return add_host(r, at, len, begins);
    case KM_ADMIN_H_TRANSFER_ENCODING:
        return refuse(r, 400,
                      "a request with Transfer-Encoding has a body, and this "
                      "port takes none");
    case KM_ADMIN_H_ACCEPT:
        if (!append(r->accept, sizeof r->accept, &r->accept_len, at, len)) {
            r->accept_len = 0; /* as if there were none */
        }
        break;
    case KM_ADMIN_H_OTHER:
        break;
    }
    return 0;
}

/* -- the whole ------------------------------------------------------------- */

/* Paths have no escapes, because these would hide NUL, dots and slashes. */
static int check_target(struct km_admin_request *r)
{
    kama_bytes path = km_admin_request_path(r);
    const char *p = path.data;
    if (path.len == 0 || p[0] != '/') {
        return refuse(r, 400,
                      "the target of the request is no path; it begins "
                      "with a slash, without scheme and host");
    }
    for (size_t i = 0; i < path.len; i++) {
        bool dots = p[i] == '.' && i + 1 < path.len && p[i + 1] == '.';
        if (dots || p[i] <= ' ' || p[i] == 0x7f || strchr("%\\#;", p[i])) {
            return refuse(r, 400,
                          "the path has an escape, two dots, or a byte that no "
                          "path here has");
        }
    }
    return 0;
}

static int check_body(struct km_admin_request *r)
{
    const http_parser *parser = &r->parser;
    bool has_length =
        parser->content_length != 0 && parser->content_length != UINT64_MAX;
    return has_length ? refuse(r, 413, "this port takes no body") : 0;
}

/* The parser takes every four letters for HTTP. */
static bool names_http(const struct km_admin_request *r)
{
    return memcmp(r->tail, " HTTP/", 6) == 0 && r->tail[7] == '.';
}

static int on_headers_complete(http_parser *parser)
{
    struct km_admin_request *r = request_of(parser);
    unsigned version = parser->http_major * 10u + parser->http_minor;
    if (!names_http(r)) {
        return refuse(r, 400, "the request line is malformed");
    }
    if (version != 10 && version != 11) {
        return refuse(r, 505, "this port speaks HTTP/1.0 and HTTP/1.1");
    }
    if (parser->method != HTTP_GET && parser->method != HTTP_HEAD) {
        return refuse(r, 405,
                      "this port changes nothing: GET and HEAD are the "
                      "only methods");
    }
    r->is_head = parser->method == HTTP_HEAD;
    if (r->hosts == 0 && version == 11) {
        return refuse(r, 400, "there is no Host header");
    }
    int status = check_target(r);
    return status == 0 ? check_body(r) : status;
}

/* The bytes behind it belong to the next request. */
static int on_message_complete(http_parser *parser)
{
    struct km_admin_request *r = request_of(parser);
    r->keeps_alive = http_should_keep_alive(parser) != 0;
    r->verdict = KM_ADMIN_COMPLETE;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

/* -- errors ---------------------------------------------------------------- */

/* Whether the first bytes, up to the one that no method has, are those of a
 * ClientHello, or of HTTP/2. */
static bool begins_with(const struct km_admin_request *r, const char *bytes,
                        size_t len)
{
    return r->bytes >= len && memcmp(r->first, bytes, len) == 0;
}

static void explain(struct km_admin_request *r)
{
    if (begins_with(r, "\x16", 1)) {
        (void)refuse(r, 400, "this port speaks HTTP without TLS");
    } else if (begins_with(r, "PRI", 3)) {
        (void)refuse(r, 505,
                     "this port speaks HTTP/1.1; gRPC is at the data port");
    }
    switch (HTTP_PARSER_ERRNO(&r->parser)) {
    case HPE_INVALID_VERSION:
        (void)refuse(r, 505, "this port speaks HTTP/1.0 and HTTP/1.1");
        break;
    case HPE_INVALID_METHOD:
        (void)refuse(r, 400, "the method of the request is not known");
        break;
    case HPE_HEADER_OVERFLOW:
        (void)refuse(r, 431, "the headers are too long");
        break;
    default:
        (void)refuse(r, 400, "the request is malformed");
        break;
    }
}

/* The head is as long as it may be, and does not end. */
static void refuse_head(struct km_admin_request *r)
{
    if (r->headers == 0) {
        (void)refuse(r, 414,
                     "the request line is longer than " KM_TEXT_OF(
                         KM_ADMIN_HEAD_BYTES_MAX) " bytes");
    } else {
        (void)refuse(r, 431,
                     "request line and headers are longer than " KM_TEXT_OF(
                         KM_ADMIN_HEAD_BYTES_MAX) " bytes");
    }
}

/* -- feeding ---------------------------------------------------------------- */

void km_admin_request_begin(struct km_admin_request *r)
{
    memset(r, 0, offsetof(struct km_admin_request, host));
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->verdict = KM_ADMIN_MORE;
}

static void keep_first(struct km_admin_request *r, const char *data, size_t len)
{
    for (size_t i = 0; i < len && r->bytes + i < sizeof r->first; i++) {
        r->first[r->bytes + i] = data[i];
    }
}

/* Keeps the end of the request line. Lines without a byte may come before it. */
static void follow_line(struct km_admin_request *r, const char *data,
                        size_t len)
{
    for (size_t i = 0; i < len && !r->has_line; i++) {
        if (data[i] == '\r' || data[i] == '\n') {
            r->has_line = r->tail[sizeof r->tail - 1] != '\0';
        } else {
            memmove(r->tail, r->tail + 1, sizeof r->tail - 1);
            r->tail[sizeof r->tail - 1] = data[i];
        }
    }
}

enum km_admin_verdict km_admin_request_feed(struct km_admin_request *r,
                                            const void *data, size_t len,
                                            size_t *ret_used)
{
    KM_ASSERT(r->verdict == KM_ADMIN_MORE);
    size_t room = KM_ADMIN_HEAD_BYTES_MAX - r->bytes;
    size_t n = len < room ? len : room;
    keep_first(r, data, n);
    follow_line(r, data, n);
    size_t used = http_parser_execute(&r->parser, &settings, data, n);
    r->bytes += used;
    *ret_used = used;
    if (r->verdict == KM_ADMIN_COMPLETE) {
        return r->verdict;
    }
    enum http_errno error = HTTP_PARSER_ERRNO(&r->parser);
    if (error != HPE_OK || r->parser.upgrade != 0) {
        r->bytes += n - used; /* so that all first bytes count */
        explain(r);
    } else if (r->bytes == KM_ADMIN_HEAD_BYTES_MAX) {
        refuse_head(r);
    }
    r->verdict = r->code != 0 ? KM_ADMIN_REFUSED : KM_ADMIN_MORE;
    return r->verdict;
}

/* -- the target -------------------------------------------------------------- */

kama_bytes km_admin_request_path(const struct km_admin_request *r)
{
    const char *mark = memchr(r->target, '?', r->target_len);
    size_t len = mark != NULL ? (size_t)(mark - r->target) : r->target_len;
    return kama_bytes_make(r->target, len);
}

kama_bytes km_admin_request_query(const struct km_admin_request *r)
{
    size_t path = km_admin_request_path(r).len;
    return path < r->target_len
               ? kama_bytes_make(r->target + path + 1, r->target_len - path - 1)
               : kama_bytes_make("", 0);
}
