/* SPDX-License-Identifier: MIT */
/* libcurl, set up once per handle. */
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

static const char PROTOCOLS[] = "http,https";
static const char USER_AGENT[] = "kamacache/" KAMA_VERSION_STRING;

enum { REDIRECTS_MAX = 3 };

/* A body that is no value is read this far, to keep the connection. */
enum { IGNORED_BYTES_MAX = 64 * 1024 };

/* Called once per header line, of redirects and 1xx too: each status line
 * begins anew. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct km_transfer *transfer = arg;
    size_t len = size * count;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        km_freshness_init(&transfer->freshness);
    } else {
        km_freshness_read(&transfer->freshness, line, len);
    }
    return len;
}

/* Returns less than it got to end the transfer. */
static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct km_transfer *transfer = arg;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        curl_off_t received = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
        return received <= IGNORED_BYTES_MAX ? len : 0;
    }
    transfer->body_result = km_blob_add(&transfer->body, data, len);
    return transfer->body_result == KM_BLOB_OK ? len : 0;
}

static bool set_up(struct km_transfer *transfer)
{
    CURL *easy = transfer->easy;
    CURLcode results[] = {
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, PROTOCOLS),
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, PROTOCOLS),
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L),
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX),
        curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L),
        curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT),
        /* A name server that hangs does not hold the thread. */
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L),
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error),
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header),
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer),
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body),
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer),
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i] != CURLE_OK) {
            return false;
        }
    }
    return true;
}

struct km_transfer *km_transfer_new(uint64_t max_value_bytes)
{
    struct km_transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL) {
        return NULL;
    }
    km_blob_init(&transfer->body, max_value_bytes);
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL || !set_up(transfer)) {
        km_transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

void km_transfer_free(struct km_transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    curl_easy_cleanup(transfer->easy);
    km_blob_fini(&transfer->body);
    free(transfer);
}

static CURLcode perform(struct km_transfer *transfer, const char *url,
                        int64_t timeout_ms)
{
    CURLcode result = curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    if (result == CURLE_OK) {
        result = curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS,
                                  (long)timeout_ms);
    }
    return result == CURLE_OK ? curl_easy_perform(transfer->easy) : result;
}

void km_transfer_run(struct km_transfer *transfer, const char *url,
                     int64_t timeout_ms)
{
    km_transfer_clear(transfer);
    transfer->result = perform(transfer, url, timeout_ms);
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE,
                      &transfer->status);
}

void km_transfer_clear(struct km_transfer *transfer)
{
    km_blob_fini(&transfer->body);
    km_freshness_init(&transfer->freshness);
    transfer->result = CURLE_OK;
    transfer->status = 0;
    transfer->body_result = KM_BLOB_OK;
    transfer->error[0] = '\0';
}
