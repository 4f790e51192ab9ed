/* SPDX-License-Identifier: MIT */
/*
 * One request of HTTP/1.0 or 1.1, read from bytes as they come. Only the
 * parts that the admin port needs are kept; anything unusual is refused.
 *
 *     km_admin_request_begin(&request);
 *     verdict = km_admin_request_feed(&request, data, len, &used);
 *
 *     MORE      the request is not complete: feed again
 *     COMPLETE  a GET or HEAD without a body; `used` bytes belong to it
 *     REFUSED   request.code and request.sentence say why; the connection ends
 *               with that answer, because where the next request begins is not
 *               known
 *
 * Refused are: other methods (405), other versions (505), a request line or
 * headers of more than KM_ADMIN_HEAD_BYTES_MAX (414, 431), more than
 * KM_ADMIN_HEADERS_MAX headers (431), every body (413) and Transfer-Encoding
 * (400), a blank in the name of a header (400), more or less than one Host (400;
 * HTTP/1.0 may have none), targets that are no path (400), and everything that the
 * parser takes for malformed (400).
 *
 * Threads: one owner. Errors: as above. Ownership: nothing is allocated; the
 * views of a request are valid until the next begin. Cost: 10 KiB.
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>

#include <http_parser.h>
#include <stdbool.h>

enum km_admin_verdict { KM_ADMIN_MORE, KM_ADMIN_COMPLETE, KM_ADMIN_REFUSED };

/* The headers that are kept; the others are counted only. */
enum km_admin_header {
    KM_ADMIN_H_OTHER,
    KM_ADMIN_H_HOST,
    KM_ADMIN_H_ACCEPT,
    KM_ADMIN_H_TRANSFER_ENCODING
};

struct km_admin_request {
    http_parser parser;
    enum km_admin_verdict verdict;
    int code;             /* of the refusal; 0: none */
    const char *sentence; /* static */
    size_t bytes;         /* of the request so far */
    bool is_head;         /* the method is HEAD */
    bool keeps_alive;     /* the client wants to go on */
    char first[4];        /* its first bytes */
    bool has_line;        /* the request line has come to its end */
    char tail[9];         /* the last bytes of the request line */

    size_t target_len;
    size_t host_len;
    size_t accept_len;
    unsigned hosts;
    unsigned headers;
    bool in_value; /* the parser has begun the value of a header */
    size_t name_len;
    char name[20]; /* of the header; a longer one is none that is kept */
    char host[KM_ADMIN_HOST_BYTES_MAX + 1];
    char accept[256]; /* cut */
    char target[KM_ADMIN_HEAD_BYTES_MAX];
};

/* Makes ready for the next request. */
void km_admin_request_begin(struct km_admin_request *request);

/* Takes bytes that have arrived. Writes how many of them belong to the request;
 * after REFUSED that number means nothing. */
enum km_admin_verdict km_admin_request_feed(struct km_admin_request *request,
                                            const void *data, size_t len,
                                            size_t *ret_used);

/* Returns whether a byte of the request has arrived. */
static inline bool km_admin_request_has_begun(const struct km_admin_request *r)
{
    return r->bytes > 0;
}

/* The path of the target, and the parameters behind its first `?`. */
kama_bytes km_admin_request_path(const struct km_admin_request *request);
kama_bytes km_admin_request_query(const struct km_admin_request *request);
