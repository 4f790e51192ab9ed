/* SPDX-License-Identifier: MIT */
/*
 * The steps that the handlers of all services share: decoding a request, finding
 * its group, refusing a field of a later version, and replying. The contract
 * of a handler is that of struct km_server_method in rpc/server.h.
 *
 * Each function that can fail finishes the call itself, with the status and a
 * sentence for the client. The handler then has nothing more to do than to
 * return.
 *
 * Cost: no allocation.
 * Threads: loop thread.
 * Ownership: everything is borrowed.
 */
#pragma once

#include "group/group.h"
#include "services/env.h"

struct km_buf;
struct km_pb_message;

/* -- the request --------------------------------------------------------- */

/* Decodes the message into *request, a structure of the table's kind that
 * borrows the message. Returns false if the message is malformed; the call is
 * finished then. */
bool km_service_decode(struct km_server_call *call,
                       const struct km_pb_message *table, kama_bytes message,
                       void *request);

/* Returns the group of that name; the empty name means "default". Returns NULL
 * if there is none; the call is finished then. */
kama_group *km_service_find_group(struct km_server_call *call, kama_bytes name);

/* Decodes a message whose first field is the name of a group, and returns that
 * group. Returns NULL if the message is malformed or the group does not exist;
 * the call is finished then. */
kama_group *km_service_decode_for_group(struct km_server_call *call,
                                        const struct km_pb_message *table,
                                        kama_bytes message, void *request);

/* The values of kama.v2.Ack that this version knows. */
enum { KM_ACK_UNSPECIFIED = 0, KM_ACK_ASYNC = 1 };

/* Return true if the request asks for the condition of a Delete, or for an
 * acknowledgement by other nodes. Both belong to a later version, and the call is
 * finished then. Such a wish is refused and never ignored, because the client
 * relies on it. */
bool km_service_refuse_if_match(struct km_server_call *call,
                                kama_bytes if_match);
bool km_service_refuse_ack(struct km_server_call *call, int32_t ack);

/* -- the answer ---------------------------------------------------------- */

/* Finishes the call with an error and the sentence that this thread's
 * km_last_error holds. Callers clear that sentence before the function that may
 * fail, so that an older one cannot be sent. */
void km_service_fail(struct km_server_call *call, kama_status status);

/* Replies with an empty message, or fails with the status if it is an error. */
void km_service_reply_status(struct km_server_call *call, kama_status status);

/* Replies with a message that takes at most KM_SERVICE_SMALL_BYTES when it is
 * encoded: a few numbers. Nothing is allocated for it. */
#define KM_SERVICE_SMALL_BYTES 32
void km_service_reply_message(struct km_server_call *call,
                              const struct km_pb_message *table,
                              const void *message);

/* Appends the addresses of a list to buf as the field `number`: all of them, or, without
 * memory, none. */
KAMA_NODISCARD kama_status km_service_append_unsynced(
    struct km_buf *buf, uint32_t number, const struct km_unsynced *list);

/* Replies with a message that is encoded already, and with KAMA_OK, or with KAMA_UNSYNCED,
 * which is a success, too. */
void km_service_reply_as(struct km_server_call *call, kama_bytes message,
                         kama_status status);

/* Replies with the bytes in buf if the status is KAMA_OK, and fails with the
 * status otherwise. Ends buf, which then owns no memory any more. */
void km_service_reply_buf(struct km_server_call *call, struct km_buf *buf,
                          kama_status status);
