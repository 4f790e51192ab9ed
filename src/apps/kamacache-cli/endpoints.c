/* SPDX-License-Identifier: MIT */
/* All addresses are checked before the first call, so that a mistake in the last
 * one is not found on the day when the others are down. */
#include "endpoints.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"

/* Of several addresses, one that does not answer must not use up the time of the
 * others. */
#define CONNECT_MS_OF_SEVERAL 2000

/* Makes a client that accepts the largest value that a node can send. */
static kama_status new_client(const struct cli_endpoints *endpoints, size_t at,
                              struct km_client **ret_client)
{
    int64_t connect_ms = endpoints->timeout_ms;
    if (endpoints->count > 1 && connect_ms > CONNECT_MS_OF_SEVERAL) {
        connect_ms = CONNECT_MS_OF_SEVERAL;
    }
    const struct km_channel_options options = {
        .mem = km_mem_default(),
        .clock = km_clock_system(),
        .address = endpoints->items[at],
        .max_message_bytes =
            KM_VALUE_BYTES_LOCAL_MAX + KM_RPC_MESSAGE_SLACK_BYTES,
        .connect_timeout_ms = connect_ms,
    };
    return km_client_new(&options, ret_client);
}

static kama_status cut(struct cli_endpoints *endpoints)
{
    char *p = endpoints->copy;
    while (p != NULL) {
        char *comma = strchr(p, ',');
        if (endpoints->count == CLI_ENDPOINTS_MAX) {
            return km_fail(KAMA_ERR_INVALID,
                           "more than the limit of %d addresses",
                           CLI_ENDPOINTS_MAX);
        }
        if (comma != NULL) {
            *comma = '\0';
        }
        endpoints->items[endpoints->count++] = p;
        p = comma != NULL ? comma + 1 : NULL;
    }
    return KAMA_OK;
}

kama_status cli_endpoints_init(struct cli_endpoints *endpoints,
                               const char *list, int64_t timeout_ms)
{
    *endpoints = (struct cli_endpoints){.timeout_ms = timeout_ms};
    endpoints->copy = km_mem_strdup(km_mem_default(), list);
    kama_status status =
        endpoints->copy != NULL ? cut(endpoints) : KAMA_ERR_NO_MEMORY;
    for (size_t i = endpoints->count; i-- > 0 && status == KAMA_OK;) {
        km_client_free(endpoints->client);
        endpoints->client = NULL;
        status = new_client(endpoints, i, &endpoints->client);
    }
    if (status != KAMA_OK) {
        cli_endpoints_fini(endpoints);
    }
    return status;
}

void cli_endpoints_fini(struct cli_endpoints *endpoints)
{
    km_client_free(endpoints->client);
    km_mem_free(km_mem_default(), endpoints->copy);
    *endpoints = (struct cli_endpoints){0};
}

/* Uses the next address. Returns false if there is only one, or no memory for a
 * client. */
static bool use_next(struct cli_endpoints *endpoints)
{
    struct km_client *client = NULL;
    size_t next = (endpoints->at + 1) % endpoints->count;
    if (endpoints->count == 1 ||
        new_client(endpoints, next, &client) != KAMA_OK) {
        return false;
    }
    km_client_free(endpoints->client);
    endpoints->client = client;
    endpoints->at = next;
    return true;
}

/* A call, of one of the two kinds. */
struct call {
    const struct km_client_request *request;
    struct km_buf *reply; /* NULL: a stream */
    km_client_message_fn cb;
    void *arg;
};

static kama_status call_once(const struct cli_endpoints *endpoints,
                             const struct call *call)
{
    return call->reply != NULL
               ? km_client_unary(endpoints->client, call->request, call->reply)
               : km_client_stream(endpoints->client, call->request, call->cb,
                                  call->arg);
}

/* The sentence of the failure names the address that was tried last. */
static kama_status call_around(struct cli_endpoints *endpoints,
                               const struct call *call)
{
    kama_status status = call_once(endpoints, call);
    for (size_t i = 1; i < endpoints->count && status == KAMA_ERR_UNREACHABLE;
         i++) {
        if (!use_next(endpoints)) {
            break;
        }
        status = call_once(endpoints, call);
    }
    return status;
}

kama_status cli_endpoints_unary(struct cli_endpoints *endpoints,
                                const struct km_client_request *request,
                                struct km_buf *ret_reply)
{
    const struct call call = {.request = request, .reply = ret_reply};
    return call_around(endpoints, &call);
}

kama_status cli_endpoints_stream(struct cli_endpoints *endpoints,
                                 const struct km_client_request *request,
                                 km_client_message_fn cb, void *arg)
{
    const struct call call = {.request = request, .cb = cb, .arg = arg};
    return call_around(endpoints, &call);
}
