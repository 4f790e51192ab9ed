/* SPDX-License-Identifier: MIT */
/*
 * The elements of MSet, MDelete and Exists, one table for each method: how an
 * element is checked, how it is carried out, and which number answers it.
 *
 *     if (ops->check(group, element) == KAMA_OK) {
 *         status = ops->start(&slot, &turn, element);
 *         if (status == KAMA_DEFERRED) { ... turn.done(&slot, ...) runs later ... }
 *         append(ops->number(status));
 *     }
 *
 * Threads: any thread may start; done runs on a loop or pool thread, never
 * inside the start. Errors: those of kama_set, kama_del and kama_exists.
 * Ownership: a slot is the caller's memory and stays until done has run; the
 * element is borrowed until start returns. Cost: that of one kama_set.
 */
#pragma once

#include "group/mutate_op.h"
#include "group/peek_op.h"

struct km_many_slot;

/* Answers an element whose start was deferred. sentence: borrowed; "" or says
 * why. */
typedef void (*km_many_done_fn)(struct km_many_slot *slot, kama_status status,
                                const char *sentence);

/* One element that is being carried out. */
struct km_many_slot {
    union {
        struct km_mutate_op mutate;
        struct km_peek_op peek;
    } op;
    struct km_unsynced
        *unsynced;  /* the members that are late; a reference of the
                                   * slot's owner */
    void *owner;    /* of the slot, for done */
    uint32_t index; /* likewise */
    km_many_done_fn done;
};

/* What the elements have in common that are started together. */
struct km_many_turn {
    kama_group *group;
    const kama_ctx *ctx;
    struct km_list sends; /* of mutations, for km_mutate_send */
};

struct km_many_ops {
    const char *items; /* the name of the elements, for error sentences */
    /* Whether the element is valid. On an error km_last_error says why. */
    kama_status (*check)(const kama_group *group, kama_bytes element);
    /* Carries out an element that has been checked, or begins to. */
    kama_status (*start)(struct km_many_slot *slot, struct km_many_turn *turn,
                         kama_bytes element);
    /* Returns the number that answers an element, or fails: the call is refused
     * then, with the status. */
    kama_status (*number)(kama_status status, uint64_t *ret_number);
    size_t number_bytes_max; /* of one number as a varint */
};

extern const struct km_many_ops km_many_mset_ops;
extern const struct km_many_ops km_many_mdelete_ops;
extern const struct km_many_ops km_many_exists_ops;
