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
 * virtual ids. Nobody gets more than 1.04 times its share: in the order of the
 * slots, a slot whose favourite is full goes to the next one.
 *
 * Exactly, with unsigned 64-bit numbers, whose products are cut to 64 bits:
 *
 *     mix(x)          x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9
 *                     x = (x ^ x >> 27) * 0x94d049bb133111eb
 *                     x ^ x >> 31
 *     id(member, i)   XXH3_64(bytes of the address, seed = i), 0 <= i < weight
 *     place(slot)     mix((slot + 1) * 0x9e3779b97f4a7c15)
 *     score(id, slot) x = (id ^ place(slot)) * 0xd6e8feb86659fd93
 *                     (x ^ x >> 32) * 0xd6e8feb86659fd93
 *     cap(member)     ceil(2^18 * 26 * weight / (25 * sum of all weights))
 *
 * For slot = 0, 1, ... 2^18 - 1: the slot belongs to the member of the highest
 * score among the members that own fewer slots than their cap. Of equal scores
 * the one of the smaller address wins (by bytes, as strcmp compares). The caps
 * are rounded up, so that each is at least 1, and together they are at least
 * 1.04 x 2^18: there is always a member that is not full. The cap of a single
 * member is above 2^18.
 *
 * Cost: owner is one load from a table of 512 KiB; new is O(slots x virtual
 * ids), tens of milliseconds for a hundred members, and belongs on a pool
 * thread; rank is O(virtual ids x members written).
 * Threads: any thread; a placement never changes. Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_TOO_LARGE (over 65535 members or virtual ids), KAMA_ERR_INVALID for
 * members that are not sorted, or of which one has weight 0 or the address of
 * another one.
 * Ownership: addresses are copied.
 */
#pragma once

#include "base/mem.h"
#include "group/owner.h"

struct km_placement;

struct km_placement_member {
    const char *address; /* canonical */
    uint32_t weight;     /* at least 1 */
};

/* Makes a placement with one reference. The members are sorted by address (by
 * bytes). Without members nobody owns anything. */
KAMA_NODISCARD kama_status km_placement_new(
    const kama_allocator *mem, const struct km_placement_member *members,
    size_t count, struct km_placement **ret_placement);
/* Takes a reference, and returns the placement. */
struct km_placement *km_placement_ref(struct km_placement *placement);
/* Gives a reference back. Passing NULL does nothing. */
void km_placement_unref(struct km_placement *placement);

/* Returns the number of members. */
size_t km_placement_count(const struct km_placement *placement);
/* Returns the address of a member. Valid as long as the placement. */
const char *km_placement_address(const struct km_placement *placement,
                                 size_t member);

/* Returns the index of the member that owns a slot. There is a member. */
size_t km_placement_owner(const struct km_placement *placement, uint32_t slot);
/* Writes the owner of a slot and the members that would take over, in the order
 * of their scores: who is full is not regarded behind the owner. Returns how
 * many were written, at most cap and count. */
size_t km_placement_rank(const struct km_placement *placement, uint32_t slot,
                         uint16_t *ret_members, size_t cap);
/* Returns the place of a member in that order, from 0. O(virtual ids). */
size_t km_placement_place(const struct km_placement *placement, uint32_t slot,
                          size_t member);
/* Returns the index of the member with an address, or SIZE_MAX. O(log members). */
size_t km_placement_find(const struct km_placement *placement,
                         const char *address);
/* Returns how many slots a member owns, and how many it may own at most. */
uint32_t km_placement_share(const struct km_placement *placement,
                            size_t member);
uint32_t km_placement_cap(const struct km_placement *placement, size_t member);

/* Asserts that the shares are those of the table, that none is above its cap,
 * and that the addresses are sorted. For tests. */
void km_placement_check(const struct km_placement *placement);
