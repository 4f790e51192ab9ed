/* SPDX-License-Identifier: MIT */
/*
 * R8: the need that a peer has named when it was behind. For half a second, fills mark it and
 * larger ones of the same member, and the peer does not wait for them again:
 *
 *     this node                              the peer
 *     a fill needs A up to 9 --------------> waits for fence_wait
 *     km_lacking_note(A, 9)  <-------------- BEHIND, lacks A up to 9
 *     a fill needs A up to 12, marked -----> BEHIND at once, lacks A up to 12
 *     km_lacking_note(A, 12): stays A, 9
 *     a fill needs A up to 9, marked ------> answers
 *     km_lacking_end         <--------------
 *
 * Only one need is remembered. If a peer lacks mutations of two members, the second one
 * takes the place of the first, and the peer waits for the first again, once.
 *
 * Threads: any thread; the lock is the one of `init`. Errors: none. Ownership: the lock is
 * borrowed. Cost: one atomic load as long as nothing is remembered.
 */
#pragma once

#include "base/clock.h"
#include "base/sync.h"
#include "view/member.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The mutations of a member from a clock on. */
struct km_lack {
    struct km_member_id id;
    uint64_t clock;
};

struct km_lacking {
    struct km_mutex *lock;
    struct km_lack lack; /* under the lock */
    _Atomic km_ns until; /* written under the lock; 0: nothing is lacking */
};

void km_lacking_init(struct km_lacking *lacking, struct km_mutex *lock);

/* Remembers what the peer lacks. Of one member the smaller clock stays. */
void km_lacking_note(struct km_lacking *lacking, const struct km_lack *lack,
                     km_ns now);
/* Forgets it: the peer has answered a fill with a need that was marked. */
void km_lacking_end(struct km_lacking *lacking);

/* Returns whether something may be remembered, without a look at the clock. */
static inline bool km_lacking_any(const struct km_lacking *lacking)
{
    return atomic_load(&lacking->until) != 0;
}
/* Writes what is remembered. Returns false if there is nothing. */
bool km_lacking_get(struct km_lacking *lacking, km_ns now,
                    struct km_lack *ret_lack);

/* Returns whether a need is one that was named, or a larger one. */
bool km_lack_covers(const struct km_lack *lack, const struct km_member_id *id,
                    uint64_t clock);
