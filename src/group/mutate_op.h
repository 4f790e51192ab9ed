/* SPDX-License-Identifier: MIT */
/*
 * One mutation of one key, from the call to the answer. This is the only road for a
 * set, a delete, a touch, and the clear of a synchronized group: kama_set, kama_del, kama_touch, kama_mset, kama_mdel,
 * the asynchronous calls and the services of a node are this, and a wait, a copy,
 * or a group of them.
 *
 *     struct km_mutate_op *op = ...;               stays until done has run
 *     op->done = on_done;
 *     status = km_mutate_op_start(group, op, &order);
 *     if (status == KAMA_DEFERRED) { ... done runs later, exactly once ... }
 *
 * A group that owns all its keys answers at once. In a cluster:
 *
 *            +---------------- changed ------------------+
 *            v                                           |
 *     start: ASKS --this node, settled--> stored         |
 *            | | |                                       |
 *            | | +--this node, unsettled--------> WAITS_SETTLED (at most 2 s)
 *            | +----cannot know it yet----------> WAITS_VIEW (the deadline, or 2 s)
 *            |                                           ^
 *            +--another node--> SENT --NOT_OWNER, BEHIND-+   (asked again)
 *                                |
 *                                +--ANSWERED-----> the owner's answer
 *                                +--UNREACHABLE--> KAMA_ERR_PEER
 *                                +--LOST---------> KAMA_ERR_PEER, "may have been
 *                                                  applied"; never sent again
 *
 * A wait that ends without a change is KAMA_ERR_TRY_AGAIN, or KAMA_ERR_NOT_READY
 * if the cluster has no active node yet or this node is no member of it yet. After
 * a refusal of a peer the owner is asked again when this node has a newer view,
 * and else after a pause: the peer may be the one that learns of a view late. A
 * refusal says that nothing was changed, so that the op may be repeated until its
 * time is over. When another node may have changed the value, the loads of the key
 * on this node are overtaken before the caller is answered, so that its next get
 * cannot join one that has begun before.
 *
 * In a synchronized group (group/sync.h) the store of this node is changed at once,
 * whoever owns the key, if its strategy lets this node keep the value, and the other
 * nodes hear of it:
 *
 *     start --this node originates------------------------> stored
 *       |---set with a condition, or for a peer--+
 *       |---this node does not hold the key------+    (group/holders.h)
 *       +---it is joining or leaving-------------+--> ASKS, as above: the owner of the
 *                                                     key originates it
 *
 * With sync_ack=one or all, it is answered when other nodes have applied it:
 *
 *     stored --> WAITS_ACKS --acknowledged--------------------> KAMA_OK
 *                    +---sync_timeout, or the deadline is over--> KAMA_UNSYNCED, and a
 *                                                                 list of the others
 *
 * That stands for KAMA_OK alone; KAMA_MISS stays, with the list. A mutation that has changed
 * nothing on any node, because its condition is not fulfilled, does not wait, and neither
 * does one on a node that is alone. Whoever originates it waits, so that the answer of an
 * owner has the list as well.
 *
 * When the owner on another node has done it, its version is applied here as a DROP: the
 * value itself comes with the owner's stream. A clear has the empty key, whose owner is as
 * good as any other node to begin it, and is an invalidation here (R6). In a group that is
 * not synchronized, each member is asked to clear itself (clear_op.h).
 *
 * A set with a condition goes the same way, and the owner checks the condition when
 * it stores the value. A refusal for that reason is an ANSWER: it is not asked again.
 *
 * In a synchronized group without a loader, an owner that does not have the key gets it
 * first, as for any get (R9): a node that has become the owner begins without values, and
 * would say of a key which all others show that it is absent.
 *
 * A mutation that a peer has sent is never passed on: if this node is not the
 * owner, it is answered with op->outcome KM_OWNER_NOT_OWNER or KM_OWNER_BEHIND.
 *
 * Threads: any thread may start; done runs on a loop or pool thread, without a
 * lock, and never inside the call. Errors: those of kama_set, kama_del and
 * kama_touch. Ownership: the op is the caller's memory and must stay where it is
 * until done has run; key and value are copied. Cost: one allocation for a set, and
 * one more for a key that has to wait or to travel.
 */
#pragma once

#include "base/clock.h"
#include "group/checks.h"
#include "group/get_op.h"
#include "group/owner.h"
#include "group/sync.h"

/* The side that has asked for a mutation. */
enum km_mutate_from {
    KM_MUTATE_FOR_CALLER, /* an application, or a client on the wire */
    KM_MUTATE_FOR_PEER    /* another node, which takes this one for the owner */
};

/* Whether the answer has a way to go before the deadline of the call. */
enum km_mutate_answer {
    KM_MUTATE_ANSWERS_HERE,   /* the caller is in this process */
    KM_MUTATE_ANSWERS_CLIENT, /* the caller is a client on the wire */
};

/* Whether the thread that starts a mutation is going to wait for it. */
enum km_mutate_patience {
    KM_MUTATE_PARKS,  /* no thread waits */
    KM_MUTATE_BLOCKS, /* the calling thread waits */
    KM_MUTATE_TRIES, /* it does not wait: KAMA_WOULD_LOAD, and nothing was done, if it
                       * would have to */
    KM_MUTATE_REFUSES /* it would wait, but must not: KAMA_ERR_WOULD_DEADLOCK */
};

enum km_mutate_state {
    KM_MUTATE_ASKS,
    KM_MUTATE_WAITS_SETTLED,
    KM_MUTATE_WAITS_VIEW,
    KM_MUTATE_SENT,
    KM_MUTATE_LOOKS, /* for the value of a condition, on another node (R9) */
    KM_MUTATE_WAITS_ACKS,
    KM_MUTATE_ENDED
};

/* The task of a mutation. Everything is borrowed until start returns. */
struct km_mutate_order {
    enum km_mutation_kind kind;
    enum km_mutate_from from;
    enum km_mutate_patience patience;
    enum km_mutate_answer answers; /* FOR_CALLER: where the caller is */
    kama_bytes key;                /* not of a CLEAR */
    kama_bytes value;              /* SET */
    int64_t ttl_ms;                /* SET and EXPIRE, as in kama_set_options */
    const kama_ctx *ctx;           /* may be NULL */
    struct km_put_condition condition; /* SET; checked (condition.h) */
    uint64_t *ret_etag; /* SET: gets the etag of the new value, until done has
                         * run; may be NULL */
    struct km_list *sends; /* a list for the request to the owner, which the
                            * caller sends with km_mutate_send; NULL: it is sent
                            * at once */
    bool *
        ret_acted; /* becomes true, during the start, if the op is deferred only
                      * because other nodes have to acknowledge what it has done;
                      * may be NULL */
};

struct km_mutate_op {
    /* The answer. sentence is borrowed; it is "" or says why. */
    void (*done)(struct km_mutate_op *op, kama_status status,
                 const char *sentence);
    struct km_unsynced
        *unsynced; /* the nodes that have not applied it in time; NULL:
                                   * none. Borrowed from the op until done returns */
    kama_unsynced *ret_unsynced; /* of the caller's context; NULL: none */
    enum km_owner_outcome
        outcome;       /* FOR_PEER: whether this node is the owner */
    uint64_t etag_key; /* SET with KAMA_OK: the one of the owner; 0: not told */
    struct km_version
        version; /* that the mutation of a synchronized group was given;
                                * not set: none */
    uint64_t
        seq; /* the number of its record in the log of this node, if it has begun
                       * here */
    /* ---- the group's ---- */
    kama_group *group;
    enum km_mutation_kind kind;
    enum km_mutate_from from;
    enum km_mutate_patience patience;
    enum km_mutate_answer answers;
    enum km_mutate_state state;
    bool has_looked;        /* for the value of the condition */
    enum km_sync_role role; /* of this node when it was asked last */
    unsigned refusals; /* how often a peer has said that it is not the owner */
    uint64_t hash;
    kama_bytes key; /* borrowed from the caller, from item, or from key_copy */
    void *key_copy; /* NULL, or owned */
    kama_value *item; /* SET: the value to store; NULL when it was taken */
    size_t
        parked_bytes; /* that it counts for in the group; 0: not parked yet */
    int64_t ttl_ms;
    struct km_put_condition condition;
    uint64_t *ret_etag;
    kama_status refusal;           /* KAMA_OK, or why nobody owned the key */
    const char *why;               /* a sentence for it; static */
    uint64_t change;               /* of the answer that was acted on */
    km_ns wait_until;              /* for a newer view */
    km_ns settled_until;           /* for this node to become settled */
    km_ns deadline;                /* of a request to the owner */
    km_ns answer_by;               /* the end of a wait for acknowledgements */
    kama_status found;             /* by a mutation that waits for them */
    bool *ret_acted;               /* of the order, during the start */
    struct km_call_limits *limits; /* NULL: the times above are known */
    struct km_list *sends;         /* of the order, during the start */
    struct km_owner_wait wait;
    union {
        struct km_owner_mutation mutation; /* SENT */
        struct km_sync_wait acks;          /* WAITS_ACKS */
        struct km_get_op look;             /* LOOKS */
    };
};

/* Carries out a mutation, or begins to. Returns its answer, or KAMA_DEFERRED if
 * done will run. */
KAMA_NODISCARD kama_status
km_mutate_op_start(kama_group *group, struct km_mutate_op *op,
                   const struct km_mutate_order *order);

/* Writes the list of unsynced nodes into that of the caller, if there is one. For `done`; a
 * start that is not deferred has written it. */
void km_mutate_op_tell(const struct km_mutate_op *op);

/* Sends the mutations of a list to their owners, and empties it. */
void km_mutate_send(kama_group *group, struct km_list *sends);

/* Returns PARKS or BLOCKS for a call that blocks its thread, or REFUSES if the
 * thread belongs to a loop or to the pool of the group. */
enum km_mutate_patience km_group_patience(kama_group *group);
