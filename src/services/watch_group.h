/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Watch: the mutations of a group, as they happen at this node.
 *
 * A watch is a long call. It reads the feed (feed_source.h) while its connection has
 * room, a few events at a time:
 *
 *                 nothing new, or no room
 *     READS -----------------------------------> WAITS
 *       ^  |                                       |
 *       |  +-- what follows has left the feed --> ends with KAMA_ERR_OVERLOADED
 *       +------- news, room, or its next turn -----+
 *
 * So a client that reads slowly costs no memory, and is ended when the feed, which has
 * one bound for all, has moved on. The value of an event is read when it is sent; if it
 * is not there any more, the event is a DROP, and a newer mutation of the key follows.
 *
 * A cursor is 16 bytes: the feed, and the position in it, the highest byte first.
 *
 * Threads: loop thread; km_service_watches_notify: any thread. Errors:
 * KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP, KAMA_ERR_INVALID (cursor), KAMA_ERR_TOO_LARGE
 * (glob), KAMA_ERR_STATE, KAMA_ERR_OVERLOADED, KAMA_ERR_NO_MEMORY, KAMA_ERR_CLOSED when
 * the node stops. Cost: a glob and a look into the store for each event.
 */
#pragma once

#include "services/long_call.h"

struct km_service_watching;

/* The state of a call. */
struct km_service_watch_group {
    struct km_long_call long_call; /* first */
    struct km_service_watching
        *watching; /* NULL: it has not begun, or has ended */
};

/* on_message; message: borrowed until return. */
void km_service_v2_watch(struct km_server_call *call, kama_bytes message);
/* on_writable: goes on where there was no room. */
void km_service_watch_group_writable(struct km_server_call *call);
/* on_cancel. */
void km_service_watch_group_cancelled(struct km_server_call *call,
                                      kama_status why);

/* There is something new in the feed. The caller holds no lock. */
void km_service_watches_notify(struct km_service_env *env);
