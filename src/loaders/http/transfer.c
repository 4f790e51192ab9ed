/* SPDX-License-Identifier: MIT */
/*
 * Requests with libcurl. A handle is set up once, and a request then sets only
 * its URL, its login and its time limit.
 */
#include "transfer.h"

#include "../common/call.h"

#include <stdlib.h>
#include <string.h>

static const char PROTOCOLS[] = "http,https";
static const char ACCEPT_ENCODING[] = "Accept-Encoding: identity";
static const char USER_AGENT[] = "kamacache/" KAMA_VERSION_STRING;

enum { REDIRECTS_MAX = 3 };

/* A connection is given up so long after it was made, whether it is idle or
 * not, because the name of the host may stand for other servers by then.
 * Addresses are remembered only for the time of a few attempts; otherwise a new
 * connection could go to an address that is old already. */
enum { CONNECTION_SECONDS_MAX = 60, ADDRESS_SECONDS_MAX = 5 };

/* A body that is not a value is read up to this length, to keep the
 * connection. */
enum { IGNORED_BYTES_MAX = 64 * 1024 };

/* -- the response -------------------------------------------------------- */

/* libcurl calls this for each header line, also for those of an interim
 * response (1xx). A status line begins a new response. Returning less than len
 * ends the transfer. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct km_transfer *transfer = arg;
    size_t len = size * count;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        km_freshness_init(&transfer->freshness);
        km_coding_fini(&transfer->coding);
        km_coding_init(&transfer->coding);
        return len;
    }
    km_freshness_read(&transfer->freshness, line, len);
    return km_coding_read(&transfer->coding, line, len) ? len : 0;
}

/* libcurl calls this for each piece of the body. Returning less than len ends
 * the transfer. */
static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct km_transfer *transfer = arg;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        transfer->ignored_bytes += len;
        return transfer->ignored_bytes <= IGNORED_BYTES_MAX ? len : 0;
    }
    transfer->body_result =
        km_coding_decode(&transfer->coding, data, len, &transfer->body);
    return transfer->body_result == KM_CODING_OK ? len : 0;
}

/* -- handles ------------------------------------------------------------ */

/* Trusts the authorities that the environment names. The program curl reads these
 * variables, the library leaves that to its callers. Without them the certificates
 * of the system count. */
static bool set_authorities(CURL *easy)
{
    const char *file = getenv("SSL_CERT_FILE");
    const char *folder = getenv("SSL_CERT_DIR");
    bool is_set = true;
    if (file != NULL && file[0] != '\0') {
        is_set = curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
    }
    if (folder != NULL && folder[0] != '\0') {
        is_set = is_set &&
                 curl_easy_setopt(easy, CURLOPT_CAPATH, folder) == CURLE_OK;
    }
    return is_set;
}

/* Sets the options of all requests. Returns false without memory. */
static bool set_up(struct km_transfer *transfer)
{
    CURL *easy = transfer->easy;
    CURLcode results[] = {
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, PROTOCOLS),
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L),
        curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT),
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers),
        curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN,
                         (long)CONNECTION_SECONDS_MAX),
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN,
                         (long)CONNECTION_SECONDS_MAX),
        curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT,
                         (long)ADDRESS_SECONDS_MAX),
        /* A name server that hangs must not hold the thread. */
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
    return set_authorities(easy);
}

struct km_transfer *km_transfer_new(const struct km_transfer_options *options)
{
    struct km_transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL) {
        return NULL;
    }
    transfer->options = options;
    km_blob_init(&transfer->body, options->max_value_bytes);
    transfer->headers = curl_slist_append(NULL, ACCEPT_ENCODING);
    transfer->easy = curl_easy_init();
    if (transfer->headers == NULL || transfer->easy == NULL ||
        !set_up(transfer)) {
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
    curl_slist_free_all(transfer->headers);
    km_coding_fini(&transfer->coding);
    km_blob_fini(&transfer->body);
    free(transfer);
}

/* Forgets a response, for example a redirect. */
static void clear_response(struct km_transfer *transfer)
{
    km_blob_fini(&transfer->body);
    km_freshness_init(&transfer->freshness);
    km_coding_fini(&transfer->coding);
    km_coding_init(&transfer->coding);
    transfer->result = CURLE_OK;
    transfer->status = 0;
    transfer->ignored_bytes = 0;
    transfer->body_result = KM_CODING_OK;
    transfer->error[0] = '\0';
}

void km_transfer_clear(struct km_transfer *transfer)
{
    clear_response(transfer);
    transfer->end = KM_TRANSFER_ANSWERED;
    transfer->there[0] = '\0';
}

/* -- one request -------------------------------------------------------- */

/* Whether the user name and the password are sent. */
enum login { WITH_LOGIN, WITHOUT_LOGIN };

/* Sends one request and receives its response. */
static CURLcode perform(struct km_transfer *transfer, const char *url,
                        enum login login, int64_t timeout_ms)
{
    CURL *easy = transfer->easy;
    const struct km_origin *origin = &transfer->options->origin;
    bool with = login == WITH_LOGIN;
    CURLcode results[] = {
        curl_easy_setopt(easy, CURLOPT_URL, url),
        curl_easy_setopt(easy, CURLOPT_USERNAME, with ? origin->user : NULL),
        curl_easy_setopt(easy, CURLOPT_PASSWORD,
                         with ? origin->password : NULL),
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms),
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i] != CURLE_OK) {
            return results[i];
        }
    }
    return curl_easy_perform(easy);
}

/* Returns whether there is an answer. A status other than 200 is one, whatever
 * the end and the coding of its body are, because that body is not used. */
static bool is_answered(const struct km_transfer *transfer)
{
    return transfer->result == CURLE_OK ||
           (transfer->result == CURLE_WRITE_ERROR && transfer->status != 200);
}

/* Returns whether there is a body that was not decoded to its end. */
static bool is_undecoded(struct km_transfer *transfer)
{
    return transfer->status == 200 &&
           (transfer->coding.kind == KM_CODING_REFUSED ||
            transfer->body_result == KM_CODING_BROKEN ||
            (transfer->result == CURLE_OK &&
             !km_coding_is_whole(&transfer->coding)));
}

/* Returns how the request ended, from the results of its parts. */
static enum km_transfer_end end_of(struct km_transfer *transfer)
{
    if (transfer->body_result == KM_CODING_FULL) {
        return KM_TRANSFER_TOO_LARGE;
    }
    if (transfer->body_result == KM_CODING_NO_MEMORY ||
        transfer->result == CURLE_OUT_OF_MEMORY) {
        return KM_TRANSFER_NO_MEMORY;
    }
    if (is_undecoded(transfer)) {
        return KM_TRANSFER_UNDECODED;
    }
    if (is_answered(transfer)) {
        return KM_TRANSFER_ANSWERED;
    }
    return transfer->result == CURLE_OPERATION_TIMEDOUT ? KM_TRANSFER_OVERDUE
                                                        : KM_TRANSFER_BROKEN;
}

/* Returns whether a kept connection ended before a part of the answer came: the
 * origin has closed it while the request was on its way. libcurl tries again by
 * itself, but it fails each sixth time in the life of a handle, and always with
 * HTTP/2 when the origin has sent GOAWAY, which a server that reloads also does on
 * a new connection. */
static bool was_too_late(const struct km_transfer *transfer)
{
    static const CURLcode codes[] = {CURLE_SEND_ERROR, CURLE_RECV_ERROR,
                                     CURLE_GOT_NOTHING, CURLE_HTTP2,
                                     CURLE_HTTP2_STREAM};
    long connects = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
    bool is_end = false;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        is_end = is_end || transfer->result == codes[i];
    }
    bool is_kept = connects == 0 || transfer->result == CURLE_HTTP2;
    return is_end && is_kept && transfer->status == 0;
}

/* Sends one request with the time that is left, and sets `end`. */
static void request_once(struct km_transfer *transfer, const char *url,
                         enum login login, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - km_load_call_now_ms();
    clear_response(transfer);
    if (left_ms <= 0) {
        transfer->end = KM_TRANSFER_OVERDUE;
        return;
    }
    transfer->result = perform(transfer, url, login, left_ms);
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE,
                      &transfer->status);
    transfer->end = end_of(transfer);
}

/* The same, and once more on a new connection if the kept one had ended. */
static void request(struct km_transfer *transfer, const char *url,
                    enum login login, int64_t deadline_ms)
{
    request_once(transfer, url, login, deadline_ms);
    if (transfer->end == KM_TRANSFER_BROKEN && was_too_late(transfer)) {
        curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
        request_once(transfer, url, login, deadline_ms);
        curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 0L);
    }
}

/* -- redirects ---------------------------------------------------------- */

/* Returns the URL that the answer redirects to, or NULL if it is no redirect.
 * The URL is valid until the next request. */
static const char *redirect_url(const struct km_transfer *transfer)
{
    static const long statuses[] = {301, 302, 303, 307, 308};
    char *url = NULL;
    if (transfer->end != KM_TRANSFER_ANSWERED) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (transfer->status == statuses[i]) {
            curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &url);
        }
    }
    return url;
}

/* Returns the URL of the next request, for curl_free, and whether the login is
 * sent with it. Returns NULL if the redirect is not followed; `end` says
 * why. */
static char *follow(struct km_transfer *transfer, const char *url,
                    enum login *ret_login)
{
    const struct km_transfer_options *options = transfer->options;
    char *next = NULL;
    enum km_redirect_place place =
        km_origin_redirect(&options->origin, url, transfer->there, &next);
    *ret_login = place == KM_REDIRECT_SAME ? WITH_LOGIN : WITHOUT_LOGIN;
    if (place == KM_REDIRECT_NO_MEMORY) {
        transfer->end = KM_TRANSFER_NO_MEMORY;
    } else if (place == KM_REDIRECT_WRONG ||
               (place == KM_REDIRECT_OTHER &&
                options->redirects == KM_REDIRECTS_SAME)) {
        transfer->end = KM_TRANSFER_ELSEWHERE;
    } else {
        return next;
    }
    curl_free(next);
    return NULL;
}

void km_transfer_run(struct km_transfer *transfer, const char *url,
                     int64_t deadline_ms)
{
    const char *target;
    int followed = 0;
    km_transfer_clear(transfer);
    request(transfer, url, WITH_LOGIN, deadline_ms);
    while ((target = redirect_url(transfer)) != NULL) {
        enum login login;
        if (followed++ == REDIRECTS_MAX) {
            transfer->end = KM_TRANSFER_REDIRECTS;
            return;
        }
        char *next = follow(transfer, target, &login);
        if (next == NULL) {
            return;
        }
        request(transfer, next, login, deadline_ms);
        curl_free(next);
    }
}
