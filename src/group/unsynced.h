/* SPDX-License-Identifier: MIT */
/*
 * The members that have not acknowledged a mutation in time: a list of addresses that does
 * not change, and is handed from the streams to the group and on to its callers.
 *
 *     list = km_unsynced_new(mem, addresses, count);
 *     ... km_unsynced_at(list, i) ...
 *     km_unsynced_unref(list);
 *
 * NULL is the empty list for every function.
 *
 * Threads: any. Errors: NULL without memory, or if count is 0. Ownership: the addresses are
 * copied; the list is counted. Cost: one allocation.
 */
#pragma once

#include "base/mem.h"

#include <kamacache/kamacache.h>

struct km_unsynced;

/* Returns a list with one reference. */
struct km_unsynced *km_unsynced_new(const kama_allocator *mem,
                                    const char *const *addresses, size_t count);
/* Returns a list of the addresses of both, each once, with one reference; NULL if both are
 * empty, or without memory. */
struct km_unsynced *km_unsynced_merge(const kama_allocator *mem,
                                      const struct km_unsynced *a,
                                      const struct km_unsynced *b);
/* Adds a list, whose reference is taken, to *list. Without memory, *list stays as it is,
 * but becomes the other one if it was empty. */
void km_unsynced_add(const kama_allocator *mem, struct km_unsynced **list,
                     struct km_unsynced *more);
/* Takes a reference, and returns the list. */
struct km_unsynced *km_unsynced_ref(struct km_unsynced *list);
void km_unsynced_unref(struct km_unsynced *list);

size_t km_unsynced_count(const struct km_unsynced *list);
/* Returns an address, borrowed from the list. */
const char *km_unsynced_at(const struct km_unsynced *list, size_t i);

/* Returns all addresses, borrowed from the list. */
const char *const *km_unsynced_addresses(const struct km_unsynced *list);

/* Writes the addresses into the list of a caller, as many as it has room for. */
void km_unsynced_tell(const struct km_unsynced *list, kama_unsynced *ret_list);
/* Does that with addresses that are in no list. */
void km_unsynced_write(const char *const *addresses, size_t count,
                       kama_unsynced *ret_list);
