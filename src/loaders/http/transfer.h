/* SPDX-License-Identifier: MIT */
/*
 * A transfer: one HTTP client handle and the response that it receives. It
 * keeps its connection open for the next request.
 *
 *     struct km_transfer *transfer = km_transfer_new(&options);
 *     km_transfer_run(transfer, url, deadline_ms);
 *     if (transfer->end == KM_TRANSFER_ANSWERED && transfer->status == 200) {
 *         use(transfer->body);
 *     }
 *     km_transfer_clear(transfer);
 *
 * Redirects are followed here and not by libcurl, which cannot be told to stay
 * with one origin. Up to three are followed, and only to places that the
 * configuration permits. User name and password go to the configured origin
 * alone.
 *
 *     request --> 200           the body is decoded into `body`
 *             --> 30x           follow: request the new URL, or end
 *             --> other status  the body is read and dropped
 *
 * Cost: a request on a connection that is usually open. Threads: one at a time
 * per transfer; the calling thread blocks. Errors: `end` says how the request
 * ended.
 * Ownership: the options are borrowed; the response belongs to the transfer
 * until km_transfer_clear or the next run.
 */
#pragma once

#include "../common/blob.h"
#include "coding.h"
#include "config.h"
#include "freshness.h"
#include "origin.h"

#include <kamacache/loader.h>

#include <curl/curl.h>

/* A transfer that was idle for so long is closed, because its connection would
 * not be used again. */
enum { KM_TRANSFER_IDLE_MS_MAX = 60000 };

/* How a request ended. */
enum km_transfer_end {
    KM_TRANSFER_ANSWERED,  /* the origin has answered with `status` */
    KM_TRANSFER_BROKEN,    /* the answer is not complete; `result` says why */
    KM_TRANSFER_TOO_LARGE, /* the body does not fit */
    KM_TRANSFER_UNDECODED, /* the body was not decoded; `coding` says why */
    KM_TRANSFER_OVERDUE,   /* the deadline has passed */
    KM_TRANSFER_NO_MEMORY,
    KM_TRANSFER_REDIRECTS, /* there were more than three redirects */
    KM_TRANSFER_ELSEWHERE  /* a redirect led to `there`, and is not followed */
};

/* The options that the transfers of a loader share. */
struct km_transfer_options {
    struct km_origin origin;
    enum km_redirects redirects;
    uint64_t max_value_bytes;
};

struct km_transfer {
    CURL *easy;
    struct curl_slist *headers;                /* of every request */
    const struct km_transfer_options *options; /* borrowed */

    /* The last response: */
    enum km_transfer_end end;
    CURLcode result;
    long status;            /* the HTTP status; 0 without a response */
    struct km_blob body;    /* of a response 200 */
    uint64_t ignored_bytes; /* of the body of another response */
    struct km_freshness freshness;
    struct km_coding coding;
    enum km_coding_result body_result;
    char error[CURL_ERROR_SIZE];      /* a sentence of libcurl, or empty */
    char there[KM_ORIGIN_TEXT_BYTES]; /* the origin that a redirect leads to */
};

/* Makes a transfer for these options. Returns NULL without memory. */
struct km_transfer *km_transfer_new(const struct km_transfer_options *options);

/* Closes the connection and frees the transfer. NULL does nothing. */
void km_transfer_free(struct km_transfer *transfer);

/* Requests url, which must belong to the origin, and fills in the response. It
 * ends at deadline_ms (on the clock of km_load_call_now_ms) at the latest. */
void km_transfer_run(struct km_transfer *transfer, const char *url,
                     int64_t deadline_ms);

/* Forgets the response and frees its memory. */
void km_transfer_clear(struct km_transfer *transfer);
