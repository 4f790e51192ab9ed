/* SPDX-License-Identifier: MIT */
/* pkg-config: libcurl zlib */
/*
 * The http loader: the value of a key is the body of the response to a URL with
 * the key in it.
 *
 * Each load that runs has a transfer of its own. A transfer is made when all
 * others are in use, and kept with its connection for later loads.
 *
 *     200          the body is the value
 *     404, 410     the key does not exist
 *     30x          a redirect is followed (transfer.h)
 *     others       an error with the status
 */
#include "../common/call.h"
#include "../common/spares.h"
#include "template.h"
#include "transfer.h"

#include <kamacache/loader.h>

#include <pthread.h>
#include <stdlib.h>

struct http_loader {
    const kama_loader_host *host;
    struct km_http_config config;
    struct km_transfer_options transfers;
    struct km_spares spares; /* of struct km_transfer */
};

static void close_transfer(void *item)
{
    km_transfer_free(item);
}

/* -- one load ----------------------------------------------------------- */

static const char *origin_of(const struct http_loader *loader)
{
    return loader->transfers.origin.text;
}

static kama_status answer_status(const struct http_loader *loader,
                                 const struct km_load_call *call,
                                 const struct km_transfer *transfer)
{
    kama_sink_options options;
    km_freshness_options(&transfer->freshness, &options);
    switch (transfer->status) {
    case 200:
        return km_load_call_set(
            call, kama_bytes_make(transfer->body.data, transfer->body.len),
            &options);
    case 404:
    case 410:
        return km_load_call_absent(call, &options);
    default:
        return km_load_call_fail(call, KAMA_ERR_LOADER, "%s: HTTP status %ld",
                                 origin_of(loader), transfer->status);
    }
}

/* Fails for a value that is too large. A small body may decode to a large
 * value, so the sentence names the coding. */
static kama_status answer_too_large(const struct http_loader *loader,
                                    const struct km_load_call *call,
                                    const struct km_transfer *transfer)
{
    uint64_t max_value_bytes = loader->transfers.max_value_bytes;
    if (transfer->coding.kind == KM_CODING_NONE) {
        return km_load_call_too_large(call, max_value_bytes);
    }
    return km_load_call_fail(call, KAMA_ERR_TOO_LARGE,
                             "the value, decoded from %s, is larger than "
                             "max_value_bytes, %llu",
                             transfer->coding.name,
                             (unsigned long long)max_value_bytes);
}

static kama_status answer(const struct http_loader *loader,
                          const struct km_load_call *call,
                          const struct km_transfer *transfer)
{
    switch (transfer->end) {
    case KM_TRANSFER_ANSWERED:
        return answer_status(loader, call, transfer);
    case KM_TRANSFER_TOO_LARGE:
        return answer_too_large(loader, call, transfer);
    case KM_TRANSFER_UNDECODED:
        return km_load_call_fail(
            call, KAMA_ERR_LOADER, "%s: the answer is coded as \"%s\": %s",
            origin_of(loader), transfer->coding.name, transfer->coding.reason);
    case KM_TRANSFER_OVERDUE:
        return km_load_call_timeout(call, origin_of(loader));
    case KM_TRANSFER_NO_MEMORY:
        return KAMA_ERR_NO_MEMORY;
    case KM_TRANSFER_REDIRECTS:
        return km_load_call_fail(
            call, KAMA_ERR_LOADER,
            "%s: more than 3 redirects, the last one to %s", origin_of(loader),
            transfer->there);
    case KM_TRANSFER_ELSEWHERE:
        return km_load_call_fail(
            call, KAMA_ERR_LOADER,
            "%s: it redirects to %s, which is not followed; "
            "the loader's option redirects=any permits other "
            "origins of http and https",
            origin_of(loader), transfer->there);
    case KM_TRANSFER_BROKEN:
        break;
    }
    return km_load_call_fail(call, KAMA_ERR_LOADER, "%s: %s", origin_of(loader),
                             transfer->error[0] != '\0'
                                 ? transfer->error
                                 : curl_easy_strerror(transfer->result));
}

static struct km_transfer *take_transfer(struct http_loader *loader)
{
    struct km_transfer *transfer = km_spares_take(&loader->spares);
    return transfer != NULL ? transfer : km_transfer_new(&loader->transfers);
}

/* Gives a transfer back, and closes those that were idle for long. Nothing else
 * would notice that the origin has closed their connections. */
static void give_transfer(struct http_loader *loader,
                          struct km_transfer *transfer)
{
    km_transfer_clear(transfer);
    if (!km_spares_give(&loader->spares, transfer)) {
        km_transfer_free(transfer);
    }
    int64_t before_ms = km_load_call_now_ms() - KM_TRANSFER_IDLE_MS_MAX;
    void *idle;
    while ((idle = km_spares_take_idle(&loader->spares, before_ms)) != NULL) {
        km_transfer_free(idle);
    }
}

static kama_status fetch(struct http_loader *loader,
                         const struct km_load_call *call, const char *url)
{
    struct km_transfer *transfer = take_transfer(loader);
    if (transfer == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    km_transfer_run(transfer, url, call->deadline_ms);
    kama_status status = answer(loader, call, transfer);
    give_transfer(loader, transfer);
    return status;
}

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    struct http_loader *loader = arg;
    struct km_load_call call;
    km_load_call_init(&call, loader->host, req, out);
    enum km_path_verdict verdict =
        km_template_check(loader->config.path, req->key);
    if (verdict == KM_PATH_NO_MEMORY) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (verdict == KM_PATH_LEAVES) {
        return km_load_call_refuse_key(&call, KM_PATH_LEAVES_REASON);
    }
    char *url =
        km_template_fill(origin_of(loader), loader->config.path, req->key);
    if (url == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    kama_status status = fetch(loader, &call, url);
    free(url);
    return status;
}

/* -- setup -------------------------------------------------------------- */

/* libcurl's own state. There is one for the process, and it is never freed,
 * because plug-ins are never unloaded. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_result;

static void init_curl(void)
{
    curl_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void close_loader(void *arg)
{
    struct http_loader *loader = arg;
    km_spares_fini(&loader->spares, close_transfer);
    km_origin_fini(&loader->transfers.origin);
    km_http_config_fini(&loader->config);
    free(loader);
}

/* Makes a loader that is not configured yet. Returns NULL without memory. */
static struct http_loader *make(const kama_loader_host *host,
                                const kama_loader_config *config)
{
    struct http_loader *loader = calloc(1, sizeof *loader);
    if (loader == NULL ||
        !km_spares_init(&loader->spares, config->concurrency)) {
        free(loader);
        return NULL;
    }
    loader->host = host;
    loader->transfers.max_value_bytes = config->max_value_bytes;
    return loader;
}

static kama_status configure(struct http_loader *loader, const char *text,
                             char *error, size_t cap)
{
    kama_status status =
        km_http_config_parse(text, &loader->config, error, cap);
    if (status == KAMA_OK) {
        loader->transfers.redirects = loader->config.redirects;
        status = km_origin_new(loader->config.site, &loader->transfers.origin,
                               error, cap);
    }
    return status;
}

static kama_status open_loader(const kama_loader_host *host,
                               const kama_loader_config *config, char *error,
                               size_t cap, void **ret_loader)
{
    kama_status status = km_open_check(host, config, error, cap);
    if (status != KAMA_OK) {
        return status;
    }
    pthread_once(&curl_once, init_curl);
    struct http_loader *loader =
        curl_result == CURLE_OK ? make(host, config) : NULL;
    if (loader == NULL) {
        return km_open_fail(error, cap, KAMA_ERR_NO_MEMORY, "out of memory");
    }
    status = configure(loader, config->config, error, cap);
    if (status != KAMA_OK) {
        close_loader(loader);
        return status;
    }
    *ret_loader = loader;
    return KAMA_OK;
}

static const char HELP[] =
    "http://HOST/PATH/{key} [redirects=any]\n"
    "http:https://HOST/PATH/{key} [redirects=any]\n"
    "  The value is the body of a response 200; 404 and 410 mean that the\n"
    "  key does not exist. Cache-Control gives the time to live. {key} is\n"
    "  the percent-encoded key, in the path or in the query.\n";

static const kama_loader_plugin_info INFO = {
    .struct_size = sizeof INFO,
    .abi_version = KAMA_LOADER_ABI_VERSION,
    .name = "http",
    .version = KAMA_VERSION_STRING,
    .help = HELP,
    .open = open_loader,
    .load = load,
    .close = close_loader,
};

const kama_loader_plugin_info *kama_loader_plugin(void)
{
    return &INFO;
}
