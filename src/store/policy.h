/* SPDX-License-Identifier: MIT */
/*
 * Eviction policies: they choose which entry leaves when a shard must give
 * memory back.
 *
 * Each shard has one km_policy. The two queues are those of the log (log.h), and how
 * often an entry was used is in the index (index.h):
 *
 *     queue = policy->ops->queue(policy, hash);        a record is to be added
 *     km_policy_choose(policy, &choice);               memory is needed
 *     if (choice.stays) ... the record is appended to choice.queue
 *     else policy->ops->evicted(policy, &choice);
 *
 * A policy knows nothing of blocks or of time. To add one, write a file
 * policy_NAME.c with a table of functions and add that to the list in policy.c.
 *
 * Cost: O(1) per call. Threads: the lock of the shard. Errors: none. Ownership: the
 * shard owns the log and the index; a policy only looks at them, and writes the links
 * of records, if it has any.
 */
#pragma once

#include "store/ghost.h"
#include "store/index.h"

struct km_policy {
    const struct km_policy_ops *ops;
    struct km_log *log;
    struct km_index *index;
    struct km_ghost
        ghosts[KM_LOG_QUEUES]; /* of the keys that left each queue */
    km_ref first, last;        /* of the links; 0: none */
    uint64_t budget;    /* bytes that the records may have, with their blocks */
    uint64_t small_max; /* bytes of the budget that queue 0 may have */
    bool is_filling;    /* nothing was evicted since there was little */
    bool turns_main;    /* queue 1 shall make a step (policy_s3fifo.c) */
};

/* The decision about the next record. */
struct km_choice {
    struct km_place place; /* place.ref is 0 if there is no record */
    uint64_t hash;
    bool stays; /* it is appended to `queue` with the frequency `freq` */
    unsigned queue;
    unsigned freq;
};

struct km_policy_ops {
    const char *name; /* as group options spell it */
    bool has_links;   /* records have a word for links */

    /* Returns the queue of a new record, and its frequency. */
    unsigned (*queue)(struct km_policy *policy, uint64_t hash,
                      unsigned *ret_freq);

    /* Chooses the record that leaves next, or that moves on. May be called until it
     * finds no record. */
    void (*choose)(struct km_policy *policy, struct km_choice *ret_choice);

    /* Notes that a record which was chosen was evicted, and had not expired: losing
     * that would be no decision of the policy. NULL: nothing to note. */
    void (*evicted)(struct km_policy *policy, const struct km_choice *choice);

    /* The rest is NULL in a policy without links, which only looks at frequencies. */
    void (*added)(struct km_policy *policy, km_ref ref);
    void (*used)(struct km_policy *policy, km_ref ref);
    void (*left)(struct km_policy *policy, km_ref ref);
    /* The record is at `to` now; its links were copied. */
    void (*moved)(struct km_policy *policy, km_ref from, km_ref to);
};

extern const struct km_policy_ops km_policy_s3fifo;
extern const struct km_policy_ops km_policy_s3fifo_plus;
extern const struct km_policy_ops km_policy_lru;

/* Returns the policy of that name, or NULL. */
const struct km_policy_ops *km_policy_find(const char *name);

/* Makes a policy for a log and its index. budget is a guess, until memory is needed for
 * the first time. ops is borrowed, and static. */
void km_policy_init(struct km_policy *policy, const struct km_policy_ops *ops,
                    struct km_account *account, struct km_log *log,
                    struct km_index *index, uint64_t budget);

/* Frees the ghosts. */
void km_policy_fini(struct km_policy *policy);

/* Forgets everything, because the shard was cleared. */
void km_policy_clear(struct km_policy *policy);

/* Notes that memory is needed: what is there now is all that fits. */
void km_policy_note_full(struct km_policy *policy);

/* Returns the queue of a new record, and its frequency. */
unsigned km_policy_queue(struct km_policy *policy, uint64_t hash,
                         unsigned *ret_freq);

/* Returns whether the keys that are evicted from a queue become ghosts, now that one
 * was. */
static inline bool km_policy_has_ghosts(const struct km_policy *policy,
                                        unsigned queue)
{
    return policy->ghosts[queue].now.prints != NULL;
}

/* Returns whether there is a ghost of a key with this hash. */
bool km_policy_has_ghost_of(const struct km_policy *policy, uint64_t hash);

/* Fills in the hash and the place of the record at ref, which is in the index. */
void km_choice_find(const struct km_policy *policy, km_ref ref,
                    struct km_choice *choice);

/* Notes that an entry was used. */
static inline void km_policy_hit(struct km_policy *policy,
                                 const struct km_place *place)
{
    if (KM_LIKELY(policy->ops->used == NULL)) {
        km_line_touch(place->line, place->slot);
    } else {
        policy->ops->used(policy, place->ref);
    }
}

/* Asserts that ghosts and links agree. For tests: O(records). */
void km_policy_check(const struct km_policy *policy);
