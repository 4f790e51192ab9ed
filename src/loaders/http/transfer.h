/* SPDX-License-Identifier: MIT */
/*
 * One HTTP client handle and the response it is receiving. A handle keeps its
 * connection open for the next transfer.
 *
 * Redirects are followed here and not by libcurl, which cannot be told to stay
 * with one origin: up to three, and only to places that the configuration
 * permits. Name and password go to the configured origin alone.
 *
 * Threads: one at a time per handle. The calling thread blocks.
 */
#pragma once

#include "../common/blob.h"
#include "coding.h"
#include "config.h"
#include "freshness.h"
#include "origin.h"

#include <kamacache/loader.h>

#include <curl/curl.h>

/* A handle that is not used for so long is closed: its connection would not be
 * used again. */
enum { KM_TRANSFER_IDLE_MS_MAX = 60000 };

/* Why a transfer ended. */
enum km_transfer_end {
    KM_TRANSFER_ANSWERED,  /* by the origin; status says how */
    KM_TRANSFER_BROKEN,    /* before the answer was complete; result says why */
    KM_TRANSFER_TOO_LARGE, /* the body did not fit */
    KM_TRANSFER_UNDECODED, /* the body is coded; coding says how, and what is
                            * wrong */
    KM_TRANSFER_OVERDUE,
    KM_TRANSFER_NO_MEMORY,
    KM_TRANSFER_REDIRECTS, /* more than three */
    KM_TRANSFER_ELSEWHERE  /* to a place that is not followed; see there */
};

/* What the transfers of a loader have in common. Borrowed by the handles. */
struct km_transfer_options {
    struct km_origin origin;
    enum km_redirects redirects;
    uint64_t max_value_bytes;
};

struct km_transfer {
    CURL *easy;
    struct curl_slist *headers; /* of every request */
    const struct km_transfer_options *options;
    /* Of the last response. */
    enum km_transfer_end end;
    CURLcode result;
    long status;            /* of HTTP; 0: there was no response */
    struct km_blob body;    /* of a 200 */
    uint64_t ignored_bytes; /* of other bodies */
    struct km_freshness freshness;
    struct km_coding coding;
    enum km_coding_result body_result;
    char error[CURL_ERROR_SIZE];      /* curl's words, or empty */
    char there[KM_ORIGIN_TEXT_BYTES]; /* where a redirect would lead */
};

/* A handle for these options. NULL: no memory. */
struct km_transfer *km_transfer_new(const struct km_transfer_options *options);

/* Closes it. NULL is a no-op. */
void km_transfer_free(struct km_transfer *transfer);

/* Gets url, which is one of the origin's, until deadline_ms (on the clock of
 * km_load_call_now_ms) and fills in the response. */
void km_transfer_run(struct km_transfer *transfer, const char *url,
                     int64_t deadline_ms);

/* Forgets the response and its memory. */
void km_transfer_clear(struct km_transfer *transfer);
