/* SPDX-License-Identifier: MIT */
/*
 * One HTTP client handle and the response it is receiving. A handle keeps its
 * connection open for the next transfer.
 *
 * Threads: one at a time per handle. The calling thread blocks.
 */
#pragma once

#include "../common/blob.h"
#include "freshness.h"

#include <kamacache/loader.h>

#include <curl/curl.h>

struct km_transfer {
    CURL *easy;
    /* Of the last response. */
    CURLcode result;
    long status;         /* of HTTP; 0: there was no response */
    struct km_blob body; /* of a 200 */
    struct km_freshness freshness;
    enum km_blob_result body_result;
    char error[CURL_ERROR_SIZE]; /* curl's words, or empty */
};

/* A handle whose bodies have at most max_value_bytes. NULL: no memory. */
struct km_transfer *km_transfer_new(uint64_t max_value_bytes);

/* Closes it. NULL is a no-op. */
void km_transfer_free(struct km_transfer *transfer);

/* Gets url within timeout_ms (> 0) and fills in the response. */
void km_transfer_run(struct km_transfer *transfer, const char *url,
                     int64_t timeout_ms);

/* Forgets the response and its memory. */
void km_transfer_clear(struct km_transfer *transfer);
