/* SPDX-License-Identifier: MIT */
/*
 * A naive store, an array with the entry of each key, beside a real one. Each step
 * is done with both, and the answers of the real one are held against the array.
 *
 *     struct store_model *m = store_model_new(&plan);
 *     while (more && store_model_step(m, &step)) { ... }
 *     if (!store_model_finish(m)) {
 *         report(store_model_fault(m));
 *     }
 *     store_model_free(m);
 *
 * A real store may forget an entry, because it is full; then the array forgets
 * it as well, and from then on the entry must not come back. Every other
 * difference is a fault:
 *
 *     an older value, the value of another key, or bytes of two values
 *     a value after its time, its del, a clear, or the hide of its slot
 *     an entry that is gone although the store has room, or uncounted
 *     a scan that leaves out an entry which was there from its begin to its end
 *     a fill that is kept although it was overtaken, or the other way round
 *     another version than the largest one, of those that are not barred
 *     a floor that sinks, or is below the clock of what was deleted or forgotten
 *     an error, other than for want of memory while the test itself holds more
 *         than half of max_bytes in values
 *     more than max_bytes and STORE_MODEL_SLACK in use, or allocated
 *
 * The keys of a model are numbers in binary, and most of them are short; one has
 * the greatest length.
 *
 * Threads: one. Errors: the first fault is kept, and every later step does
 * nothing. Ownership: the model owns its store, the views and the fills.
 */
#pragma once

#include "store/store_calls.h"

struct km_policy_ops;

/* The index of a small store may grow before room is made for it. */
#define STORE_MODEL_SLACK 8192u

/* The smallest synced store has so much more than KM_GROUP_BYTES_MIN, of which its floors
 * would be an eighth. */
#define STORE_MODEL_FLOORS 16384u

#define STORE_MODEL_KEYS_MAX 4096u

/* Whether entries may be forgotten. */
enum store_model_room {
    STORE_MODEL_FULL, /* the keys do not fit into max_bytes */
    STORE_MODEL_ROOMY /* all of them fit at any time: none is ever forgotten */
};

struct store_model_plan {
    const kama_allocator *mem; /* of the store, whose bytes are counted; NULL:
                                * the store has the default one, and they are
                                * not counted */
    const struct km_policy_ops *policy;
    const struct store_calls *calls; /* NULL: those of the store */
    uint64_t max_bytes;
    unsigned keys;           /* at most STORE_MODEL_KEYS_MAX */
    size_t value_bytes_max;  /* at most a quarter of max_bytes */
    uint64_t held_bytes_max; /* of the values that the model holds */
    unsigned check_every;    /* steps from one km_store_check to the next */
    enum store_model_room room;
    bool dead_first; /* the store gives up cleared and expired entries before
                      * those that a get would find */
    bool allocations_fail; /* any step may say that there is no memory */
    bool
        synced; /* the store keeps floors, and mutations with versions are applied */
};

/* The kinds of steps. */
enum store_step_kind {
    STORE_STEP_PUT,
    STORE_STEP_GET,
    STORE_STEP_COPY,
    STORE_STEP_LOOK,
    STORE_STEP_DEL,
    STORE_STEP_TOUCH,
    STORE_STEP_PEEK,
    STORE_STEP_FILL_BEGIN,
    STORE_STEP_FILL_COMMIT,
    STORE_STEP_FILL_CANCEL,
    STORE_STEP_OVERTAKE,
    STORE_STEP_SCAN,
    STORE_STEP_HOLD,    /* a get whose value is kept for a while */
    STORE_STEP_RELEASE, /* and is given back */
    STORE_STEP_SWEEP,
    STORE_STEP_TIME,    /* the clock moves */
    STORE_STEP_OLD,     /* changes that were decided by an old adoption */
    STORE_STEP_RESIZES, /* one key gets longer and longer values, or shorter */
    STORE_STEP_ROW,     /* many keys that expire at the same time, or never */
    STORE_STEP_HIDE,
    STORE_STEP_CLEAR,
    STORE_STEP_VERIFY, /* all keys and figures are compared */
    STORE_STEP_PUT_IF, /* a put with a condition */
    STORE_STEP_RESIZE, /* another max_bytes, at most that of the plan if the keys
                        * do not fit, else at least that */
    STORE_STEP_APPLY,  /* a mutation with a version, if the plan is synced */
    STORE_STEP_INVALIDATE,
    STORE_STEP_KINDS
};

/* One step. Every number has a meaning, so that they may be drawn at random. */
struct store_step {
    uint8_t what; /* modulo STORE_STEP_KINDS */
    uint8_t how;
    uint16_t key;
    uint32_t size;
};

/* How often a model has met a case, so that a test can tell whether it has tested
 * that case at all. */
struct store_model_counts {
    uint64_t found;     /* values that were compared */
    uint64_t forgotten; /* entries that the store has forgotten */
    uint64_t expired;   /* keys found without a value after their time */
    uint64_t refused;   /* for want of memory */
    uint64_t kept;      /* fills */
    uint64_t overtaken; /* fills that ended without being kept */
    uint64_t scans;     /* from begin to end */
    uint64_t hidden;    /* entries */
    uint64_t applied;   /* mutations with versions that have changed an entry */
    uint64_t outdated;  /* those that have not */
    uint64_t barred;    /* sets with a version that is not above the floor */
    uint64_t used_bytes_max;
};

/* Makes a model and its store. Returns NULL if there is no memory for the
 * store. */
struct store_model *store_model_new(const struct store_model_plan *plan);

/* Does a step. Returns false if there is a fault, of this step or an earlier
 * one. */
bool store_model_step(struct store_model *m, const struct store_step *step);

/* Compares everything, ends the pending fills, empties and frees the store, and
 * gives the views back afterwards. Returns false if there is a fault. */
bool store_model_finish(struct store_model *m);

/* Returns a sentence about the first fault, or NULL. */
const char *store_model_fault(const struct store_model *m);

const struct store_model_counts *store_model_counts_get(
    const struct store_model *m);

/* Frees a model. NULL does nothing. */
void store_model_free(struct store_model *m);
