/* SPDX-License-Identifier: MIT */
/*
 * The feed: the mutations that have begun or were applied on this node lately, for clients
 * that watch a group.
 *
 *     own mutations     log --km_sync_feed_own--> +------+
 *     of other nodes    --km_sync_feed_applied--> | ring | --km_sync_feed_read--> watchers
 *     that were missed  --km_sync_feed_missed-->  +------+
 *
 *     km_sync_feed_watch(feed, &position);
 *     while (km_sync_feed_read(feed, number, &position, &event) ==
 *            KM_SYNC_FEED_EVENT) { ... }
 *     km_sync_feed_unwatch(feed);
 *
 * The ring has KM_SYNC_FEED_BYTES. It is filled while somebody watches, and for
 * KM_SYNC_FEED_KEPT_MS behind that, so that a watcher whose connection broke can go on
 * where it was. Otherwise there is no ring, and a mutation costs one load.
 *
 * Positions count on as long as the feed lives, and `id` says which feed they are of.
 * The mutations of one origin are in their order.
 *
 * Threads: own, applied and missed: the sync loop; the rest: any thread. Errors:
 * KAMA_ERR_NO_MEMORY from new and watch. Ownership: the log is borrowed. Cost: one lock
 * and 48 bytes with the key for a mutation while somebody watches.
 */
#pragma once

#include "base/limits.h"
#include "sync/log.h"

struct km_sync_feed;

/* Mutations were missed for good, behind the kinds of records. */
#define KM_SYNC_FEED_GAP (KM_SYNC_CLEAR + 1)

struct km_sync_feed_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_sync_log *log;
    void (*grew)(void *arg); /* on the sync loop, without a lock */
    void *arg;
};

KAMA_NODISCARD kama_status km_sync_feed_new(
    const struct km_sync_feed_options *options, struct km_sync_feed **ret_feed);
/* Passing NULL does nothing. */
void km_sync_feed_free(struct km_sync_feed *feed);
/* Returns a random number that no other feed has. */
uint64_t km_sync_feed_id(const struct km_sync_feed *feed);

/* -- the sync loop --------------------------------------------------------- */

/* Takes over the records that have come into the log. */
void km_sync_feed_own(struct km_sync_feed *feed);
/* A mutation of another node was applied. */
void km_sync_feed_applied(struct km_sync_feed *feed, uint32_t number,
                          enum km_sync_kind kind, struct km_version version,
                          kama_bytes key);
/* Mutations of a group were missed; UINT32_MAX: of all groups. */
void km_sync_feed_missed(struct km_sync_feed *feed, uint32_t number);

/* -- watchers -------------------------------------------------------------- */

/* Begins to watch; ret_position: behind which the next mutation comes. */
KAMA_NODISCARD kama_status km_sync_feed_watch(struct km_sync_feed *feed,
                                              uint64_t *ret_position);
void km_sync_feed_unwatch(struct km_sync_feed *feed);
/* Returns whether a watcher can go on behind a position. */
bool km_sync_feed_has(struct km_sync_feed *feed, uint64_t position);

struct km_sync_feed_event {
    unsigned kind; /* enum km_sync_kind, or KM_SYNC_FEED_GAP */
    struct km_version version;
    size_t key_len;
    uint8_t key[KM_KEY_BYTES_MAX];
};

enum km_sync_feed_result {
    KM_SYNC_FEED_EVENT,
    KM_SYNC_FEED_NONE, /* there is nothing new */
    KM_SYNC_FEED_MORE, /* many events of other groups were passed; go on */
    KM_SYNC_FEED_LOST  /* the events behind the position have left the ring */
};

/* Reads the next event of a group behind *position, which moves on. */
enum km_sync_feed_result km_sync_feed_read(
    struct km_sync_feed *feed, uint32_t number, uint64_t *position,
    struct km_sync_feed_event *ret_event);
