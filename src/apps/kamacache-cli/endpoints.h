/* SPDX-License-Identifier: MIT */
/*
 * The addresses that the user has given, "A,B,C", and the client of the one that
 * is in use.
 *
 *     cli_endpoints_init(&endpoints, "a:1,b:1", timeout_ms);
 *     cli_endpoints_unary(&endpoints, &request, &reply);
 *     cli_endpoints_fini(&endpoints);
 *
 * A call that could not be sent, because there is no connection, is sent to the
 * next address, once around. A call that was sent is never sent again. Later
 * calls begin with the address that answered last.
 *
 * Threads: the main thread. Cost: a client when an address is used first.
 * Errors: those of km_client_new and of the calls.
 * Ownership: the texts are copied.
 */
#pragma once

#include "rpc/client.h"

#define CLI_ENDPOINTS_MAX 16

struct cli_endpoints {
    char *copy;
    const char *items[CLI_ENDPOINTS_MAX]; /* in copy */
    size_t count;
    size_t at; /* the one in use */
    int64_t timeout_ms;
    struct km_client *client; /* of items[at] */
};

/* Cuts the list and makes a client of the first address, which connects at the
 * first call. Errors: KAMA_ERR_INVALID with a sentence, for every address that
 * is none. */
KAMA_NODISCARD kama_status cli_endpoints_init(struct cli_endpoints *endpoints,
                                              const char *list,
                                              int64_t timeout_ms);
/* Frees the client and the texts. */
void cli_endpoints_fini(struct cli_endpoints *endpoints);

/* As km_client_unary and km_client_stream, at the first address that can be
 * reached. */
KAMA_NODISCARD kama_status cli_endpoints_unary(
    struct cli_endpoints *endpoints, const struct km_client_request *request,
    struct km_buf *ret_reply);
KAMA_NODISCARD kama_status cli_endpoints_stream(
    struct cli_endpoints *endpoints, const struct km_client_request *request,
    km_client_message_fn cb, void *arg);
