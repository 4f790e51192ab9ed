/* SPDX-License-Identifier: MIT */
#include "admin/reply.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"

#include <stdio.h>

#define TEXT "text/plain; charset=utf-8"
#define PAGE "text/html; charset=utf-8"
#define JSON "application/json"

void km_admin_reply_init(struct km_admin_reply *reply,
                         const kama_allocator *mem)
{
    reply->code = 200;
    reply->type = TEXT;
    reply->later = NULL;
    km_buf_init(&reply->body, mem, KM_ADMIN_ANSWER_BYTES_MAX);
}

void km_admin_reply_fini(struct km_admin_reply *reply)
{
    km_buf_fini(&reply->body);
}

/* -- bodies ----------------------------------------------------------------- */

/* Begins the body anew. */
static void begin(struct km_admin_reply *reply, int code, const char *type)
{
    reply->code = code;
    reply->type = type;
    km_buf_reset(&reply->body, SIZE_MAX);
}

/* Without memory, not even a sentence is certain to fit. */
static void check(struct km_admin_reply *reply, kama_status status)
{
    if (status != KAMA_OK) {
        begin(reply, 500, TEXT);
    }
}

void km_admin_reply_text(struct km_admin_reply *reply, int code,
                         const char *text)
{
    begin(reply, code, TEXT);
    check(reply, km_buf_append_str(&reply->body, text));
}

void km_admin_reply_page(struct km_admin_reply *reply, const char *html)
{
    begin(reply, 200, PAGE);
    check(reply, km_buf_append_str(&reply->body, html));
}

void km_admin_reply_line(struct km_admin_reply *reply, const char *fmt, ...)
{
    char text[KM_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(text, sizeof text, fmt, args);
    va_end(args);
    check(reply, km_buf_printf(&reply->body, "%s\n", text));
}

static int append_json(const char *text, size_t len, void *arg)
{
    return km_buf_append(arg, text, len) == KAMA_OK ? 0 : -1;
}

void km_admin_reply_json(struct km_admin_reply *reply, json_t *json)
{
    const size_t flags =
        JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9);
    begin(reply, 200, JSON);
    bool made = json != NULL &&
                json_dump_callback(json, append_json, &reply->body, flags) == 0;
    json_decref(json);
    check(reply,
          made ? km_buf_append_str(&reply->body, "\n") : KAMA_ERR_NO_MEMORY);
}

void km_admin_reply_wait(struct km_admin_reply *reply,
                         struct km_admin_later *later)
{
    reply->later = later;
}

void km_admin_reply_error(struct km_admin_reply *reply, kama_status status,
                          int code, const char *message)
{
    km_admin_reply_json(reply, json_pack("{s:s,s:i,s:s}", "error",
                                         kama_status_name(status), "status",
                                         code, "message", message));
    reply->code = reply->code == 200 ? code : reply->code;
}

void km_admin_reply_fail(struct km_admin_reply *reply, kama_status status)
{
    const char *sentence = km_last_error();
    km_admin_reply_error(reply, status, km_status_http(status),
                         sentence[0] != '\0' ? sentence
                                             : kama_strerror(status));
}

/* -- the head ----------------------------------------------------------------- */

static const char *reason_of(int code)
{
    switch (code) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return code < 500 ? "Refused" : "Internal Server Error";
    }
}

static const char *connection_header(enum km_admin_connection connection)
{
    static const char *const headers[] = {
        [KM_ADMIN_LAST] = "Connection: close\r\n",
        [KM_ADMIN_GOES_ON] = "",
        [KM_ADMIN_KEPT_OPEN] = "Connection: keep-alive\r\n",
    };
    return headers[connection];
}

size_t km_admin_reply_head(const struct km_admin_reply *reply,
                           enum km_admin_connection connection,
                           char ret_head[KM_ADMIN_REPLY_HEAD_BYTES])
{
    int n = snprintf(ret_head, KM_ADMIN_REPLY_HEAD_BYTES,
                     "HTTP/1.1 %d %s\r\n"
                     "Content-Type: %s\r\n"
                     "Content-Length: %zu\r\n"
                     "Cache-Control: no-store\r\n"
                     "X-Content-Type-Options: nosniff\r\n"
                     "Content-Security-Policy: default-src 'none'; "
                     "frame-ancestors 'none'\r\n"
                     "%s%s\r\n",
                     reply->code, reason_of(reply->code), reply->type,
                     reply->body.len, connection_header(connection),
                     reply->code == 405 ? "Allow: GET, HEAD\r\n" : "");
    KM_ASSERT(n > 0 && n < KM_ADMIN_REPLY_HEAD_BYTES);
    return (size_t)n;
}
