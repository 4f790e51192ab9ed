/* SPDX-License-Identifier: MIT */
/*
 * The watch, on a line of its own.
 *
 *     answers   created | events 7 7 8 | fragment 9 9 .. | .. 9 | canceled
 *     events              changed 7, 8                    changed 9
 *                                                           watch_ended
 *
 * Until etcd says that it watches, a failure is tried at the next endpoint, and
 * the time is bounded. After that the first failure is the end, because the
 * owner has to read everything before it watches again.
 *
 * Events are joined until the answer is whole, and then divided by their
 * revisions. The joined bytes are bounded by KM_ETCD_ANSWER_BYTES_MAX, and the
 * events of a revision by KM_ETCD_RECORDS_MAX.
 *
 * Threads: the loop. Ownership: part of the registry. Errors: end as
 * watch_ended. Cost: O(events); answers that are whole are not copied.
 */
#pragma once

#include "membership/etcd_internal.h"

void km_etcd_watch_init(struct km_etcd *etcd);
/* Ends the watch without a word, and frees its memory. */
void km_etcd_watch_fini(struct km_etcd *etcd);
/* Watches the prefix from a revision on, in place of an earlier watch. */
void km_etcd_watch_begin(struct km_etcd_watcher *watcher, kama_bytes prefix,
                         int64_t from_revision);
/* Ends the watch without a word. */
void km_etcd_watch_drop(struct km_etcd_watcher *watcher);
/* Makes an attempt, or waits for the token. */
void km_etcd_watch_run(struct km_etcd_watcher *watcher);
/* Tells the failure of a FAILED watch. */
void km_etcd_watch_tell(struct km_etcd_watcher *watcher);
