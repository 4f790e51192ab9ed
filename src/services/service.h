/* SPDX-License-Identifier: MIT */
/*
 * What the handlers of all services share: decoding a request and finding its
 * group, refusing what belongs to a later version, and replying. The contract
 * of a handler is that of struct km_server_method in rpc/server.h.
 *
 * Each function that can fail finishes the call itself, with the status and a
 * sentence for the client. The handler then has nothing more to do than to
 * return.
 *
 * Cost: no allocation. Threads: loop thread. Ownership: everything is borrowed.
 */
#pragma once

#include "group/group.h"
#include "services/env.h"

/* The group of that name ("" is "default"). NULL: the call was finished. */
kama_group *km_service_find_group(struct km_server_call *call, kama_bytes name);

/* Finishes the call with an error and the sentence of this thread's
 * km_last_error, if there is one. */
void km_service_fail(struct km_server_call *call, kama_status status);

/* The message is malformed: finishes the call. */
void km_service_fail_malformed(struct km_server_call *call);

/* enum kama.v2.Ack. */
enum { KM_ACK_UNSPECIFIED = 0, KM_ACK_ASYNC = 1 };

/* true: the call was finished, because it asks for a condition or an
 * acknowledgement, which belong to a later version. Such a wish is refused,
 * never ignored: the caller relies on it. */
bool km_service_refuse_condition(struct km_server_call *call,
                                 bool has_condition);
bool km_service_refuse_ack(struct km_server_call *call, int32_t ack);

struct km_buf;
/* Replies with what buf holds, or with status when it is an error; takes
 * buf. */
void km_service_reply_buf(struct km_server_call *call, struct km_buf *buf,
                          kama_status status);
