/* SPDX-License-Identifier: MIT */
/*
 * A unary request: from its message to its event, over as many attempts as it
 * takes.
 *
 *     request = km_etcd_request_begin(etcd, KM_ETCD_STAMP);
 *     status = km_etcd_encode_stamp(&request->message, key, value);
 *     km_etcd_request_go(request, status);          -> events.stamped
 *
 * Threads: the loop. Ownership: requests are part of the registry. Errors: end
 * as the event of the request. Cost: one message each way.
 */
#pragma once

#include "membership/etcd_internal.h"

/* Makes an empty request of each kind. */
void km_etcd_requests_init(struct km_etcd *etcd);
/* Drops them all, and frees their memory. */
void km_etcd_requests_fini(struct km_etcd *etcd);

/* Returns the request of the kind, which must be idle, with an empty message. */
struct km_etcd_request *km_etcd_request_begin(struct km_etcd *etcd,
                                              enum km_etcd_kind kind);
/* Sends the message that was encoded with this status. */
void km_etcd_request_go(struct km_etcd_request *request, kama_status encoded);
/* Begins to fetch a token. */
void km_etcd_request_log_in(struct km_etcd *etcd);

/* Makes an attempt, or waits for the token. */
void km_etcd_request_run(struct km_etcd_request *request);
/* Tells the failure of a FAILED request. */
void km_etcd_request_tell(struct km_etcd_request *request);
