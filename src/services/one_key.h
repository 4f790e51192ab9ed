/* SPDX-License-Identifier: MIT */
/*
 * The calls that change or look at one key without loading it: Set, Delete and
 * Touch, and Ttl. The owner of the key answers them, and the call is parked when
 * that is another node (parked.h).
 *
 *     struct km_mutate_order order = {.kind = KM_MUTATION_DELETE, .key = key};
 *     km_service_mutate_start(call, group, &order, reply_delete);
 *
 * Cost: a key of this node is answered at once, without an allocation for the
 * call. Threads: loop thread. Errors: those of kama_set, kama_del, kama_touch
 * and kama_ttl go to the reply. Ownership: the state of the call holds
 * everything.
 */
#pragma once

#include "group/mutate_op.h"
#include "group/peek_op.h"
#include "services/parked.h"

struct km_pb_message;

/* The state of a call that changes one key. */
struct km_service_mutate {
    struct km_service_parked parked;
    struct km_mutate_op op;
    uint64_t etag; /* a place for ret_etag of the order; for the reply */
    km_service_answer_fn reply;
    struct km_unsynced *unsynced; /* the members that are late; for the reply */
};

/* Carries out `order`, which the caller has filled in except for from, patience and
 * ctx, and replies now or later. The client's deadline is that of the order. */
void km_service_mutate_start(struct km_server_call *call, kama_group *group,
                             struct km_mutate_order *order,
                             km_service_answer_fn reply);

/* Replies to a change that has acted, with a message as km_service_reply_message does. The
 * members that are late stand behind its other fields, as KM_MSG_UNSYNCED, and the
 * kama-status says that there are some, also when there is no memory for the list. */
void km_service_mutate_reply(struct km_server_call *call,
                             const struct km_pb_message *table,
                             const void *message);

/* The state of a call that looks at one key. */
struct km_service_peek {
    struct km_service_parked parked;
    struct km_peek_op op;
    int64_t ttl_ms; /* that the value has left; for the reply with KAMA_OK */
};

/* Looks for the key and replies, now or later. */
void km_service_peek_start(struct km_server_call *call, kama_group *group,
                           kama_bytes key, km_service_answer_fn reply);
