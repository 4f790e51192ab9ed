/* SPDX-License-Identifier: MIT */
/*
 * A view: the members of a cluster as one node knows them at one moment. It is
 * an immutable, counted list, sorted by address.
 *
 *     km_view_new(mem, members, count, &view);      copies the members
 *     const struct km_member *m = km_view_find_id(view, &id);
 *     km_view_unref(view);
 *
 * Two views with the same members have the same id, on every node and in every
 * version: it is XXH3 (64 bits, seed 0) of the members' bytes in the order of
 * their addresses, which are compared as bytes. The bytes of one member are
 *
 *     | length of address, 4 bytes | address | id, 16 | state, 1 | weight, 4 |
 *
 * with numbers in little-endian order. Behind the last member stands the number
 * of registrations that the registry has counted, 8 bytes, unless it is 0: the
 * members {A, B}, {A, B, C} and {A, B} are three views with three ids, so that a
 * node that has adopted only the first one cannot announce the last one. A view
 * without members has the id 0; if the hash of other members is 0, then their id is 1. Labels, versions,
 * admin addresses and goodbyes are not part of it, because nothing that nodes must
 * agree on depends on them.
 *
 * Cost: one allocation for a view; finding by address is O(log n), by id O(n).
 * Threads: any thread; a view never changes. Errors: KAMA_ERR_NO_MEMORY, and
 * KAMA_ERR_INVALID if two members have the same address.
 * Ownership: a view owns copies of all texts.
 */
#pragma once

#include "view/member.h"

#include "base/mem.h"

#include <stdatomic.h>

struct km_view {
    atomic_uint refs;
    const kama_allocator *mem;
    uint64_t id;    /* 0 exactly for a view without members */
    uint64_t joins; /* registrations that were counted */
    size_t count;
    const struct km_member *members; /* sorted by address */
};

/* Makes a view of copies of the members, in any order. The view has one
 * reference. */
KAMA_NODISCARD kama_status km_view_new(const kama_allocator *mem,
                                       const struct km_member *members,
                                       size_t count, struct km_view **ret_view);
/* Does the same for a view of a registry that has counted registrations. */
KAMA_NODISCARD kama_status km_view_new_counted(const kama_allocator *mem,
                                               const struct km_member *members,
                                               size_t count, uint64_t joins,
                                               struct km_view **ret_view);
/* Returns the id of the view of these members, which are sorted by address. */
uint64_t km_view_id(const struct km_member *members, size_t count,
                    uint64_t joins);
/* Takes a reference, and returns the view. */
struct km_view *km_view_ref(struct km_view *view);
/* Gives a reference back. Passing NULL does nothing. */
void km_view_unref(struct km_view *view);

/* Return a member, or NULL if there is none such. Valid as long as the view. */
const struct km_member *km_view_find_id(const struct km_view *view,
                                        const struct km_member_id *id);
const struct km_member *km_view_find_address(const struct km_view *view,
                                             kama_bytes address);

/* Returns how many members are active. */
size_t km_view_active_count(const struct km_view *view);

/* Asserts the order, and that the id is that of the members. For tests. */
void km_view_check(const struct km_view *view);
