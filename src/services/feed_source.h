/* SPDX-License-Identifier: MIT */
/*
 * Where a watch gets the mutations of a group. node/ fills the table in; a node that is
 * in no cluster has none.
 *
 *     st = ops->begin(feed, "users", &place);
 *     while (ops->read(feed, &place, &event) == KM_FEED_EVENT) { ... }
 *     ops->end(feed);
 *
 * When something new is there, the node calls km_service_watches_notify
 * (services/watch_group.h).
 *
 * Threads: any thread. Errors: those of begin. Ownership: events are copied out. Cost: a
 * lock for each event.
 */
#pragma once

#include "base/limits.h"
#include "base/version.h"

#include <kamacache/kamacache.h>

/* Where a watcher is. */
struct km_feed_place {
    uint64_t feed; /* the feed of which the position is */
    uint64_t position;
    uint32_t number; /* of the group */
};

struct km_feed_event {
    int32_t
        operation; /* enum km_msg_operation; UNSPECIFIED: mutations were missed */
    struct km_version version;
    size_t key_len;
    uint8_t key[KM_KEY_BYTES_MAX];
};

enum km_feed_result {
    KM_FEED_EVENT,
    KM_FEED_NONE, /* there is nothing new */
    KM_FEED_MORE, /* many events of other groups were passed; go on */
    KM_FEED_LOST  /* what follows the place is not remembered any more */
};

struct km_service_feed_ops {
    /* Begins to watch behind the newest mutation. Errors: KAMA_ERR_STATE if the
     * group's mutations do not travel, KAMA_ERR_NO_MEMORY; both with a sentence. */
    kama_status (*begin)(void *feed, const char *group,
                         struct km_feed_place *ret_place);
    void (*end)(void *feed);
    /* Returns whether a watcher can go on at a position. */
    bool (*has)(void *feed, uint64_t position);
    /* Reads the next event of the group, and moves the place behind it. */
    enum km_feed_result (*read)(void *feed, struct km_feed_place *place,
                                struct km_feed_event *ret_event);
};

struct km_service_feed {
    const struct km_service_feed_ops *ops; /* NULL: in no cluster */
    void *arg;
};
