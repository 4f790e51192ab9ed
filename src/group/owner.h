/* SPDX-License-Identifier: MIT */
/*
 * What a clustered group asks of the rest of the node: who owns a key, and what
 * the owner has to say.
 *
 *     get, not in memory --> ask(slot) --> HERE            the loader
 *                                      --> HERE_UNSETTLED  the loader; not kept
 *                                      --> PEER            fill, at the owner
 *                                      --> NOBODY          the loader; not kept
 *
 * A synchronized group (group/sync.h) asks the same and keeps everything.
 *
 * A standalone group, a group of a node without a cluster, and one with
 * sync=local have no owner ops and own every key.
 *
 * The node hands a group its view in two steps (group/adopt.h): the answers of
 * `ask` change, and then km_group_adopt hides the entries of the slots that the
 * node has lost. An answer carries the number of the adoption. The store
 * compares it under the lock of the shard when a load begins and when a mutation
 * is carried out, and refuses it if the shard has seen a newer adoption; a load
 * of a lost slot is overtaken, so that its value is not kept. So no answer is
 * acted on after it has become wrong. Answers that are newer than the shard are
 * acted on: HERE is said only for slots that no later step hides.
 *
 * Threads: any thread may call any function. `done` and `changed` run on a loop
 * or pool thread, exactly once for each call, never from inside the call, and
 * without a lock; they must not block. Errors: they are the outcome of a
 * request. Ownership: requests are the caller's memory and must stay where they
 * are until `done` has run. km_group_free waits for the `done` and `changed` of
 * everything that the group has started, so the node ends its requests and waits
 * before it frees its groups. Cost: ask is one hash-free look into a table.
 */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/version.h"
#include "store/condition.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_peer;
struct km_unsynced;

/* Slots are the 2^18 parts of the space of keys that are placed as one. */
#define KM_OWNER_SLOT_BITS 18
#define KM_OWNER_SLOTS (1u << KM_OWNER_SLOT_BITS)

enum km_owner_place {
    KM_OWNER_HERE,           /* this node, and it is settled for the slot */
    KM_OWNER_HERE_UNSETTLED, /* this node; the slot is new to it, and another
                              * node may still act as its owner */
    KM_OWNER_PEER,           /* another node */
    KM_OWNER_NOBODY          /* this node cannot know it, or must not say it */
};

/* What a mutation does about NOBODY. */
enum km_owner_hope {
    KM_OWNER_HOPELESS, /* it fails at once */
    KM_OWNER_HOPEFUL /* it waits for another answer, and fails when its time is
                        * over */
};

struct km_owner_answer {
    enum km_owner_place place;
    /* The number of the adoption that the answer belongs to; it grows by one
     * with each view that this node adopts, and when it becomes behind. */
    uint64_t adoption;
    /* Grows whenever answers may have changed: with each adoption, and when the
     * node becomes settled. For `wait`. */
    uint64_t change;
    struct km_peer *peer; /* PEER: a reference, for `fill`, `mutate` or
                           * `release`; else NULL, but see km_get_find_earlier */
    /* NOBODY: what a mutation fails with (KAMA_ERR_TRY_AGAIN or
     * KAMA_ERR_NOT_READY), whether it waits first, and a sentence; static. */
    kama_status refusal;
    enum km_owner_hope hope;
    const char *text;
};

/* How a request to a peer has ended. */
enum km_owner_outcome {
    KM_OWNER_ANSWERED,    /* by the owner: status and value are its answer */
    KM_OWNER_NOT_OWNER,   /* the peer does not own the key in its view */
    KM_OWNER_BEHIND,      /* the peer did not learn this node's view in time, or
                           * this node is no member for it */
    KM_OWNER_UNREACHABLE, /* the request was certainly not carried out */
    KM_OWNER_LOST         /* the connection was lost, or the time was over,
                           * after the request was sent */
};

/* The answer to a fill or a mutation; borrowed until `done` returns. */
struct km_owner_reply {
    enum km_owner_outcome outcome;
    kama_status status; /* ANSWERED: of the owner; else of the connection */
    const char *text; /* "" or a sentence, which names the peer if it failed */
    kama_bytes value; /* a fill with KAMA_OK */
    int64_t ttl_ms; /* what is left of it; KAMA_TTL_FOREVER: never expires. Of a
                        * fill with KAMA_MISS: for how long the owner remembers that;
                        * 0: not at all */
    uint64_t version;  /* that the loader gave */
    uint64_t etag_key; /* ANSWERED, of a fill or a set: the key with which the
                        * owner names the value (km_item_etag); 0: not told */
    bool from_memory;  /* the owner had it */
    /* ANSWERED, in a synchronized group: the version of an explicit value, or of the
     * mutation; not set: a loaded value, or no mutation. */
    struct km_version stamp;
    uint64_t view_id; /* ANSWERED, of a fill: the view of the owner */
    bool
        current; /* likewise: the asking node may keep the answer, as far as the
                       * owner knows */
    struct km_unsynced
        *unsynced; /* ANSWERED, of a mutation: the nodes that have not
                                   * applied it in time; NULL: none */
    /* ANSWERED, of a fill: for so long after the request had come, no mutation
     * had overtaken the answer; 0: it may have been overtaken at once. */
    km_ns current_ns;
};

/* What a fill may do at the node that it asks. */
enum km_fill_effort {
    KM_FILL_LOADS, /* the owner loads the key if it must */
    KM_FILL_PEEKS /* the node has it in memory, or answers KAMA_WOULD_LOAD (R9) */
};

/* Asks the owner for the value of a key, or a node that has been the owner. */
struct km_owner_fill {
    struct km_list node;  /* in the list that is given to `fill` */
    struct km_peer *peer; /* the reference of the answer; taken by `fill` */
    const char *group;
    kama_bytes key;
    enum km_fill_effort effort;
    uint64_t floor;          /* of the load's fill (store/fill.h) */
    km_ns deadline;          /* monotonic */
    const char *traceparent; /* may be NULL */
    void (*done)(struct km_owner_fill *fill,
                 const struct km_owner_reply *reply);
    /* ---- of peers/ ---- */
    void *use[6];
};

/* The numbers are those of kama.peer.v1.MutationKind. */
enum km_mutation_kind {
    KM_MUTATION_SET = 1,
    KM_MUTATION_DELETE = 2,
    KM_MUTATION_EXPIRE = 3,
    KM_MUTATION_CLEAR = 4 /* the key is empty */
};

/* Lets the owner carry out one mutation. */
struct km_owner_mutation {
    struct km_list node;
    struct km_peer *peer;
    const char *group;
    enum km_mutation_kind kind;
    kama_bytes key;
    kama_bytes value; /* SET: the bytes of `item`, which is sent by reference */
    kama_value *item; /* borrowed until `done` */
    struct km_put_condition condition; /* SET */
    int64_t ttl_ms;
    km_ns deadline;
    void (*done)(struct km_owner_mutation *mutation,
                 const struct km_owner_reply *reply);
    void *use[6];
};

/* Asks the owners which keys they have in memory. */
struct km_owner_peek {
    struct km_list node;
    struct km_peer *peer;
    const char *group;
    kama_bytes key;
    uint64_t floor; /* of the key, in a synchronized group */
    km_ns deadline;
    /* reply->status: KAMA_OK, KAMA_MISS or KAMA_WOULD_LOAD; ttl_ms if KAMA_OK */
    void (*done)(struct km_owner_peek *peek,
                 const struct km_owner_reply *reply);
    void *use[6];
};

/* Waits until the answers of `ask` may be others. */
struct km_owner_wait {
    struct km_list node;
    uint64_t change; /* of the answer that was not good enough */
    km_ns until;     /* then `changed` runs nevertheless */
    void (*changed)(struct km_owner_wait *wait);
    void *use[6];
};

/* Clears a group on all other members. */
struct km_owner_clear {
    const char *group;
    km_ns deadline;
    /* unreached: the addresses of the members that did not answer, borrowed
     * until return. */
    void (*done)(struct km_owner_clear *clear, kama_status status,
                 const char *text, const char *const *unreached, size_t count);
    void *use[8];
};

struct km_owner_ops {
    /* Writes who owns a slot. Never blocks. */
    void (*ask)(void *owner, uint32_t slot, struct km_owner_answer *ret_answer);
    /* R9. Returns the node that has owned a slot until a moment ago, of those that answer:
     * a reference, or NULL. It is meant for a slot that this node owns now. May be
     * NULL. */
    struct km_peer *(*earlier)(void *owner, uint32_t slot);
    /* R8, R9. Returns the best-ranked node for a slot, of the other ones that answer, except
     * `but` (NULL: of all): a reference, or NULL. May be NULL. */
    struct km_peer *(*next)(void *owner, uint32_t slot,
                            const struct km_peer *but);
    /* Gives a peer of an answer back that is not used. Like `address` and
     * `answers`, it needs only the peer. */
    void (*release)(void *owner, struct km_peer *peer);
    /* Start the requests in a list, whose nodes are taken out of it. Requests
     * to the same peer that are in one list, or that are started at about the
     * same time, travel together; none of them waits for the others' values. */
    void (*fill)(void *owner, struct km_list *fills);
    void (*mutate)(void *owner, struct km_list *mutations);
    void (*peek)(void *owner, struct km_list *peeks);
    void (*wait)(void *owner, struct km_owner_wait *wait);
    void (*clear)(void *owner, struct km_owner_clear *clear);
    /* Writes the advertised address of a peer, for sentences. */
    const char *(*address)(void *owner, const struct km_peer *peer);
    /* Returns whether a request to a peer would be sent. If not, it would end at
     * once with UNREACHABLE. */
    bool (*answers)(void *owner, const struct km_peer *peer);
};

/* What a group is given, in struct km_group_env; ops is NULL if the group owns
 * every key. */
struct km_owner {
    const struct km_owner_ops *ops;
    void *arg;
};

/* Returns the slot of a key in a group whose name has the hash `seed`
 * (km_owner_seed). The same on every node, in every version. */
uint32_t km_owner_slot(uint64_t seed, kama_bytes key);
uint64_t km_owner_seed(const char *group);
