/* SPDX-License-Identifier: MIT */
/*
 * Requests to peers: fills, mutations and peeks of km_owner_ops, the questions of
 * surveys, and the calls that carry them.
 *
 *     any thread      fill(list) --> inbox of a lane
 *     lane            job: takes the inbox; each peer gets one open call
 *                     OPEN --the job ends--> RUNNING --answers--> gone
 *                                               |        ^
 *                                  NOT_MEMBER   +-> RESTING  (50 ms, once)
 *
 * Requests that one job finds travel in one call, if they are of one kind, for
 * one peer, one group and one traceparent. A call is bounded in keys and bytes.
 * Each answer ends its request at once; a request that has no answer when the
 * call ends is ended by the way in which the call has ended.
 *
 * Threads: the lane, except km_peers_fill, _mutate, _peek and _clear. Errors:
 * the outcome of each request. Ownership: a call holds its requests, each of
 * which holds a reference of its peer.
 */
#pragma once

#include "base/buf.h"
#include "peers/state.h"

enum km_peers_kind {
    KM_PEERS_FILL,
    KM_PEERS_MUTATE,
    KM_PEERS_PEEK,
    KM_PEERS_CLEAR, /* the request is a struct km_peers_clear_one */
    KM_PEERS_ASK    /* a struct km_peers_ask_one */
};

/* Returns whether requests of a kind travel alone. */
static inline bool km_peers_kind_is_alone(enum km_peers_kind kind)
{
    return kind == KM_PEERS_CLEAR || kind == KM_PEERS_ASK;
}

/* Returns whether requests of a kind change something. */
static inline bool km_peers_kind_is_mutation(enum km_peers_kind kind)
{
    return kind == KM_PEERS_MUTATE || kind == KM_PEERS_CLEAR;
}

enum km_peers_call_stage {
    KM_PEERS_CALL_OPEN,    /* it takes requests */
    KM_PEERS_CALL_RUNNING, /* it is the transport's */
    KM_PEERS_CALL_RESTING  /* its timer runs, before the second try */
};

struct km_peers_call {
    struct km_link_call link;
    struct km_list node; /* in the peer's list of calls, or the lane's open */
    struct km_timer timer;
    struct km_peer_lane *on; /* the call holds a reference of its peer */
    enum km_peers_kind kind;
    enum km_peers_call_stage stage;
    bool tried;        /* once already */
    bool marked;       /* it has a need that the peer has lacked (lacking.h) */
    kama_status error; /* that has ended the call as a whole; KAMA_OK: none */
    km_ns began_at;
    size_t bytes;
    void **requests; /* `one`, or allocated; NULL for those that have ended */
    void *one[1];
    size_t count;
    size_t cap;
    size_t left; /* requests that have not ended */
};

/* The Clear of one member. */
struct km_peers_clear_one {
    const char *group;
    km_ns deadline;
    struct km_peer *peer;
    void (*done)(struct km_peers_clear_one *one,
                 const struct km_owner_reply *reply);
};

/* Any method with any message (peers/survey.h). The reply has the message of the
 * answer as its value; its text names no peer. */
struct km_peers_ask_one {
    const char *path;
    kama_bytes message;
    km_ns deadline;
    struct km_peer *peer;
    void (*done)(struct km_peers_ask_one *one,
                 const struct km_owner_reply *reply);
};

/* The parts that all kinds of requests have. */
struct km_peers_request {
    struct km_peer **peer;
    const char *group;
    kama_bytes key;
    const char *traceparent;
    km_ns deadline;
    size_t bytes; /* that it adds to a message */
    uint64_t
        floor; /* of the key, if the answer must include something; else 0 */
    enum km_fill_effort effort; /* of a fill */
};

/* -- calls.c --------------------------------------------------------------- */

void km_peers_fill(void *owner, struct km_list *fills);
void km_peers_mutate(void *owner, struct km_list *mutations);
void km_peers_peek(void *owner, struct km_list *peeks);
/* Starts one request on a lane, in a call of its own or with others. */
void km_peers_start(struct km_peers_lane *lane, enum km_peers_kind kind,
                    void *request);
/* Starts the open calls of a lane. */
void km_peers_start_open(struct km_peers_lane *lane);

/* -- request.c ------------------------------------------------------------- */

struct km_peers_request km_peers_request_of(enum km_peers_kind kind,
                                            void *request);
/* Gives a request that is in no call its answer. */
void km_peers_done(enum km_peers_kind kind, void *request,
                   const struct km_owner_reply *reply);
/* Ends one request. */
void km_peers_end_one(struct km_peers_call *call, size_t index,
                      const struct km_owner_reply *reply);
/* Ends all that are left, with a sentence that names the peer. */
void km_peers_end_all(struct km_peers_call *call, enum km_owner_outcome outcome,
                      kama_status status, const char *why);
/* Writes a sentence about an outcome that names the peer, and returns the text. */
const char *km_peers_sentence(char text[KM_ERROR_BYTES_MAX],
                              const char *address,
                              enum km_owner_outcome outcome, const char *why);

/* -- message.c ------------------------------------------------------------- */

/* Appends the message of a call without the bytes of the value in *ret_body
 * (NULL: there is none). */
KAMA_NODISCARD kama_status km_peers_encode(struct km_peers_call *call,
                                           struct km_buf *out,
                                           kama_value **ret_body);
const char *km_peers_path(const struct km_peers_call *call);

/* -- reply.c --------------------------------------------------------------- */

/* Takes a message of the answer. */
void km_peers_decode(struct km_peers_call *call, kama_bytes message);

/* -- clear.c --------------------------------------------------------------- */

void km_peers_clear(void *owner, struct km_owner_clear *clear);
