/* SPDX-License-Identifier: MIT */
/*
 * A link: one connection of a channel, from the attempt to the last byte.
 *
 *     CONNECTING ----> GREETING ----> READY ----> RETIRED ----> freed
 *         |               |                          ^
 *         |               +-----> TIMED_OUT ---------+
 *         +----> freed                    (also from every other state)
 *
 *     CONNECTING  the name is resolved, addresses are tried (net/connect.h)
 *     GREETING    connected; the server's SETTINGS are not here yet
 *     READY       SETTINGS have arrived: calls may run
 *     TIMED_OUT   SETTINGS have not arrived in time; the connection is closing
 *     RETIRED     no new calls; the link lives on until its calls have ended
 *
 * A link is ready only when SETTINGS have arrived, because a server that
 * accepts connections and then says nothing, or something else, is one that
 * cannot be reached. A GOAWAY retires a link; new calls go to another one.
 *
 * Threads: the loop's. Ownership: the channel's list of links; a link frees
 * itself when its connection is gone. Errors: km_channel_failed is told of an
 * attempt that failed. Cost: about 14 KiB with HTTP/2's memory.
 */
#pragma once

#include "net/connect.h"
#include "rpc/channel_turn.h"
#include "wire/h2/h2.h"

enum km_channel_link_state {
    KM_CHANNEL_LINK_CONNECTING,
    KM_CHANNEL_LINK_GREETING,
    KM_CHANNEL_LINK_READY,
    KM_CHANNEL_LINK_TIMED_OUT,
    KM_CHANNEL_LINK_RETIRED
};

struct km_channel_link {
    struct km_conn_owner owner; /* first */
    struct km_channel *channel;
    enum km_channel_link_state state;
    struct km_list node;        /* in channel->links */
    struct km_list calls;       /* those that run here */
    struct km_h2 *h2;           /* NULL once it is gone */
    struct km_conn *conn;       /* NULL until connected */
    struct km_connect *connect; /* while CONNECTING */
};

/* Begins to connect, with a link that becomes channel->link. Errors:
 * KAMA_ERR_NO_MEMORY, and those of km_connect_start; there is no link then. */
KAMA_NODISCARD kama_status km_channel_link_open(struct km_channel *channel);

/* Returns whether one more call may run on the link now. */
bool km_channel_link_accepts(const struct km_channel_link *link);

/* Asks for a write at the end of the turn. */
void km_channel_link_wake(struct km_channel_link *link);

/* Ends the attempt, or the connection after its queued output. */
void km_channel_link_close(struct km_channel_link *link);

/* The time for SETTINGS is over: closes the connection if they are not here. */
void km_channel_link_time_out(struct km_channel_link *link);

/* Writes why a connection that was ready has been lost, as a sentence of at most
 * KM_CHANNEL_TEXT_BYTES, and returns the status. */
kama_status km_channel_link_loss(const struct km_channel_link *link,
                                 enum km_h2_why why, char *text);

/* Returns the step that a link that is not ready waits for, as the sentence of
 * a call whose deadline has passed. Static. */
const char *km_channel_link_waits_for(const struct km_channel_link *link);
