/* SPDX-License-Identifier: MIT */
/*
 * Fill and FillMany: gets for another node, with a slot for each key that is
 * under way:
 *
 *     free --next key--> running --mail--> ready --there is room--> sent, free
 *              |                             ^
 *              +-- a hit, an error, no owner +
 *
 * A pool thread writes the answer into the slot and posts its mail; everything
 * else happens on the loop of the call.
 *
 * A Fill has its one slot in the state of the call, so that a key that is in
 * memory is answered without an allocation. A FillMany has an object with at most
 * KM_SERVICE_FILLS_PARALLEL slots. Keys that have not begun when the handler
 * returns, for want of slots or of room, are copied.
 *
 * A fill that peeks (R9) is answered from memory, whoever owns the key: the asking node
 * is its owner since a moment ago, and this one has been that before.
 *
 * Threads: loop thread. Errors: those of the get stand in the answer of its key;
 * KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP and KAMA_ERR_NO_MEMORY end the call.
 * Ownership: the fills hold the call.
 */
#pragma once

#include "base/limits.h"
#include "group/get_op.h"
#include "services/peer_work.h"

struct km_peer_fills;

/* One key. */
struct km_peer_slot {
    struct km_get_op op;
    struct km_mail mail;
    struct km_list node; /* in free, running or ready */
    struct km_peer_fills *fills;
    uint32_t index;
    enum km_msg_peer_outcome outcome;
    enum km_get_source source;
    km_ns current_ns; /* of the get, */
    bool current;     /* and these two */
    int64_t absent_ttl_ms;
    kama_status status;
    kama_value *value; /* owned */
    char *text;        /* owned; NULL: none */
};

enum km_peer_fills_kind { KM_PEER_FILLS_ONE, KM_PEER_FILLS_MANY };

/* One call. */
struct km_peer_fills {
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    enum km_peer_fills_kind kind;
    enum km_peer_knowledge knowledge;
    enum km_fill_effort effort;
    char traceparent[KM_TRACEPARENT_BYTES]; /* "": none */
    struct km_pb_list keys;                 /* that have not begun */
    uint8_t *copy; /* of their bytes, owned; NULL: they are in the message */
    uint32_t left;
    uint32_t next; /* index of the next key */
    struct km_list free;
    struct km_list running;
    struct km_list ready;
    size_t slot_count;
    struct km_peer_slot *slots;
};

/* The state of a Fill. */
struct km_peer_fill_state {
    struct km_peer_method_state method;
    struct km_peer_fills fills;
    struct km_peer_slot slot;
};
