/* SPDX-License-Identifier: MIT */
/*
 * Placement: which member owns each of the 2^18 slots. It is a pure function of
 * the members' canonical addresses and weights, the same on every node and in
 * every version; tests/peers/ has golden vectors.
 *
 *     km_placement_new(mem, members, count, &placement);
 *     index = km_placement_owner(placement, slot);    of members
 *     km_placement_unref(placement);
 *
 * It is rendezvous hashing (Thaler and Ravishankar, 1998): each slot prefers
 * the member with the highest hash of (address, slot), so that a member which
 * comes or goes moves only its own slots. A member of weight w takes part as w
 * virtual ids. A second pass, in the order of the slots, gives nobody more than
 * 1.04 times its share: a slot whose favourite is full goes to the next one.
 *
 * Cost: owner is one load from a table of 512 KiB; new is O(slots x virtual
 * ids), tens of milliseconds for a hundred members, and belongs on a pool
 * thread; rank is O(virtual ids).
 * Threads: any thread; a placement never changes. Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_TOO_LARGE (over 65535 members or virtual ids).
 * Ownership: addresses are copied.
 */
#pragma once

#include "base/mem.h"
#include "group/owner.h"

struct km_placement;

struct km_placement_member {
    const char *address; /* canonical */
    uint32_t weight;
};

/* The members are sorted by address. Without members nobody owns anything. */
KAMA_NODISCARD kama_status km_placement_new(
    const kama_allocator *mem, const struct km_placement_member *members,
    size_t count, struct km_placement **ret_placement);
struct km_placement *km_placement_ref(struct km_placement *placement);
void km_placement_unref(struct km_placement *placement);

size_t km_placement_count(const struct km_placement *placement);
const char *km_placement_address(const struct km_placement *placement,
                                 size_t member);

/* Returns the index of the member that owns a slot. There is a member. */
size_t km_placement_owner(const struct km_placement *placement, uint32_t slot);
/* Writes the owner of a slot and the members that would take over, in their
 * order. Returns how many were written, at most cap and count. */
size_t km_placement_rank(const struct km_placement *placement, uint32_t slot,
                         uint16_t *ret_members, size_t cap);
/* Returns how many slots a member owns. */
uint32_t km_placement_share(const struct km_placement *placement,
                            size_t member);
