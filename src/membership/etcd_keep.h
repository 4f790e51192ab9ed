/* SPDX-License-Identifier: MIT */
/*
 * The stream of keepalives. Its n-th answer belongs to the n-th request, so that
 * the requests without an answer are a queue:
 *
 *     sent     1  2  3  4  5
 *     answered 1  2  3
 *                      ^ the first of `beats`; its deadline is the stream's
 *
 * An answer that is overdue ends the stream. The requests without an answer are
 * sent again on the next one, as new ones.
 *
 * Threads: the loop. Ownership: part of the registry. Errors: end as events.
 * Cost: O(1) for each keepalive.
 */
#pragma once

#include "membership/etcd_internal.h"

void km_etcd_keep_init(struct km_etcd *etcd);
/* Ends the stream without a word. */
void km_etcd_keep_fini(struct km_etcd *etcd);
/* Sends a keepalive for the lease. */
void km_etcd_keep_add(struct km_etcd_keep *keep, int64_t lease);
/* Opens the stream and sends all that has no answer, or waits for the token. */
void km_etcd_keep_run(struct km_etcd_keep *keep);
/* Tells the failure of a FAILED job, once for each request. */
void km_etcd_keep_tell(struct km_etcd_keep *keep);
