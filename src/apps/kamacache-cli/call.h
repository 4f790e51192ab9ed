/* SPDX-License-Identifier: MIT */
/*
 * Calls of the client: a command describes a request, and gets a decoded reply.
 *
 *     struct km_msg_ttl_response response = {0};
 *     const struct cli_request call = {.path = "/kama.v2.Cache/Ttl",
 *                                      .request_table = &km_msg_ttl_request_pb,
 *                                      .request = &request,
 *                                      .reply_table = &km_msg_ttl_response_pb,
 *                                      .reply = &response};
 *     return cli_ask(cli, &call, print_ttl, &response);
 *
 * Cost: one round trip. Threads: the main thread. Errors: a status with a
 * sentence, which cli_failed prints.
 * Ownership: a reply borrows the bytes of the answer, which cli_ask frees after
 * printing, and the caller of cli_request afterwards.
 */
#pragma once

#include "cli.h"
#include "wire/msg/pb.h"

/* A unary call. The request is one of three kinds: a message with its table, or
 * the group (field 1) and keys (field 2), or bytes that are encoded already. */
struct cli_request {
    const char *path;
    const struct km_pb_message *request_table; /* NULL for another kind */
    const void *request;
    const kama_bytes *keys; /* NULL for another kind */
    int key_count;
    kama_bytes encoded;
    const struct km_pb_message *reply_table; /* NULL to ignore the reply */
    void *reply; /* borrows the bytes of the answer */
};

/* Sends the request and decodes the reply, whose bytes lie in buf. The caller
 * has initialised buf, and frees it after using the reply. A mutation that has
 * not reached all members (KAMA_UNSYNCED) succeeds: it returns KAMA_OK, and the
 * reply lists them. */
KAMA_NODISCARD kama_status cli_request(struct cli *cli,
                                       const struct cli_request *call,
                                       struct km_buf *buf);

/* Sends the request and calls print(cli, arg) while the reply is valid. After
 * an error it calls cli_failed instead. Returns the exit code of either. */
typedef enum cli_exit (*cli_print_fn)(struct cli *cli, const void *arg);
enum cli_exit cli_ask(struct cli *cli, const struct cli_request *call,
                      cli_print_fn print, const void *arg);

/* Decodes bytes that the node has sent. Errors: KAMA_ERR_PROTOCOL with a
 * sentence, because a malformed answer is a fault of the node and not of the
 * user. */
KAMA_NODISCARD kama_status cli_decode(const struct km_pb_message *table,
                                      kama_bytes bytes, void *message);

/* Decodes each element of list into message and visits it. Stops at the first
 * error and returns it. */
typedef kama_status (*cli_visit_fn)(void *arg, const void *message);
KAMA_NODISCARD kama_status cli_each(struct km_pb_list list,
                                    const struct km_pb_message *table,
                                    void *message, cli_visit_fn visit,
                                    void *arg);

/* Asks once for the health of the whole node (grpc.health.v1). A node that
 * cannot be reached is an error at once. */
KAMA_NODISCARD kama_status cli_health(struct cli *cli, int64_t timeout_ms,
                                      bool *ret_serving);

/* Waits until the node serves, for as long as --wait permits. Returns
 * CLI_EXIT_OK, or prints a sentence and returns CLI_EXIT_UNREACHABLE. */
enum cli_exit cli_wait(struct cli *cli);
