/* SPDX-License-Identifier: MIT */
/*
 * Housekeeping by a thread that does nothing else with the store, so that the memory
 * of entries that were cleared, or have expired, comes back although nobody calls:
 *
 *     every second:
 *         while (km_store_keep(store, now() + 1 ms)) {
 *             let others run for some milliseconds
 *         }
 *
 * A store without such a thread keeps house in its other calls, and needs this one not:
 * each mutation, miss, scan, and look at the statistics does a bounded step.
 *
 *     keep_at   the earliest time at which a shard has something to do. Whoever
 *               stores an entry that expires earlier, clears, or leaves holes
 *               lowers it, with the lock of the shard.
 *
 * So a store in which nothing expires costs one load. Whoever has many stores lends each
 * a keep_at, and does not touch a store before its time.
 *
 * Some entries of a segment often live longer than others, and looking for a few
 * expired ones costs as much as looking for many. So a segment is looked through when
 * a sixteenth of its time has passed, and at the latest one second after its
 * first entry has expired, and one more for each GiB of the store. Then `entries` of
 * the statistics counts the entries that gets would find.
 *
 * Cost: a step of less than 100 microseconds at a time, with the lock of one shard.
 * Threads: any thread, one at a time. Errors: none. Ownership: nothing is kept.
 */
#pragma once

#include "store/store.h"

/* Keeps house until there is nothing to do, or until a time. Returns whether there is
 * more to do at once. */
bool km_store_keep(struct km_store *store, km_ns until);
