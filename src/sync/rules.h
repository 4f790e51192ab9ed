/* SPDX-License-Identifier: MIT */
/*
 * Rules that a test can break, to see that they are needed.
 *
 *     if (KM_SYNC_KEEPS(KM_SYNC_R3_FIRST_GAP)) { ... the rule ... }
 *
 * In the product each rule is kept: the question is a constant. The tests compile this
 * folder once more with KAMA_BREAKABLE, and set bits of km_sync_broken.
 *
 * Threads: a test sets the bits before it begins. Errors: none. Ownership: nothing.
 * Cost: none in the product.
 */
#pragma once

#include <stdbool.h>

enum km_sync_rule {
    KM_SYNC_R2_ORDER = 1 << 0, /* another seq than the next one ends a stream */
    KM_SYNC_R2_HEARTBEAT =
        1 << 1, /* a heartbeat has the clock of the last record */

    KM_SYNC_R3_GAP = 1 << 3, /* the ring is too short */
    KM_SYNC_R3_FIRST_GAP = 1
                           << 4, /* an old ring is not told to a younger node */

    KM_SYNC_R4_VIEW_GATE = 1 << 10, /* Sets of an older view are late */
    KM_SYNC_R6_OWN_CLOCK = 1 << 6,  /* floors rise to the clock of this node */
    KM_SYNC_R11_BEHIND = 1 << 7, /* a member that has not all of a leaver's */
    KM_SYNC_R12_FIRST =
        1 << 8, /* a new life tells that mutations were not told */
    KM_SYNC_QUARANTINE = 1 << 9, /* a clock far ahead is not merged */

    /* Only members of the noticed view acknowledge. */
    KM_SYNC_R10_WHOSE_ACKS = 1 << 11,
    /* A Gap acknowledges nothing before the member has it. */
    KM_SYNC_R1_GAP_ACK = 1 << 12,

    KM_SYNC_R17_DROP =
        1 << 13 /* a member that gets no value forgets its copy */
};

#ifdef KAMA_BREAKABLE
extern unsigned km_sync_broken;
#define KM_SYNC_KEEPS(rule) ((km_sync_broken & (unsigned)(rule)) == 0)
#else
#define KM_SYNC_KEEPS(rule) true
#endif
