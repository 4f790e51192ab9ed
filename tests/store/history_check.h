/* SPDX-License-Identifier: MIT */
/*
 * Is a history of one key linearizable? A history has the operations of all
 * threads on the key, with the times at which each was invoked and has responded.
 * It is linearizable if every operation can be given a moment between its two
 * times so that, in the order of these moments, a plain variable would have
 * answered the same:
 *
 *     set 1       |----------|
 *     set 2            |----------|
 *     get -> 2                |------|
 *     get -> 1                         |------|       not linearizable
 *
 * The variable is that of a cache: its value may be lost at any moment, if the
 * caller permits it, but does not come back by itself. A load has two operations,
 * a begin that has found nothing and a commit; between their moments there must
 * be no set, del, clear or touch of a value, or else the commit must not keep the
 * loaded value.
 *
 *     if (!history_check(ops, n, HISTORY_LOSS_PERMITTED, &fault)) {
 *         history_print(stderr, ops, n, fault);
 *     }
 *
 * The check is the search of Wing and Gong, made just in time as by Lowe: it goes
 * through the times once, with the set of all states that are possible so far.
 * A pending operation is given its moment only when some response demands it.
 *
 * Cost: linear in the operations; the states are at most exponential in the
 * threads. Threads: any. Errors: the process ends without memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_THREADS_MAX 16u

enum history_kind {
    HISTORY_SET,   /* stores value */
    HISTORY_GET,   /* done: has found value */
    HISTORY_DEL,   /* done: there was a value */
    HISTORY_TOUCH, /* done: there was a value */
    HISTORY_CLEAR,
    HISTORY_ADD,     /* stores value if there is none; done: it did */
    HISTORY_REPLACE, /* stores value if there is one; done: it did */
    HISTORY_BEGIN,   /* has found nothing */
    HISTORY_COMMIT   /* of the thread's last begin; done: value was kept */
};

struct history_op {
    uint64_t invoked;
    uint64_t responded; /* equal times count as simultaneous */
    uint64_t value;     /* not 0 */
    enum history_kind kind;
    uint8_t
        thread; /* each of its operations begins after the end of the last */
    bool done;
};

enum history_loss { HISTORY_LOSS_PERMITTED, HISTORY_NO_LOSS };

/* Sorts the operations by their invocations, and returns whether they are
 * linearizable, from a variable without a value. *ret_fault is the operation
 * whose response nothing explains. */
bool history_check(struct history_op *ops, size_t n, enum history_loss loss,
                   size_t *ret_fault);

/* Prints the operations that overlap with the one at `at`, and some before it,
 * after history_check has sorted them. */
void history_print(FILE *out, const struct history_op *ops, size_t n,
                   size_t at);
