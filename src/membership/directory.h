/* SPDX-License-Identifier: MIT */
/*
 * The directory: the members that membership knows, and the addresses that are
 * held although their records are gone. A view is made of it.
 *
 *     km_directory_put(&directory, &member, mod_revision, &change);
 *     km_directory_remove(&directory, address, now);
 *     km_ns next = km_directory_settle(&directory, now, hold_ns);
 *     km_directory_view(&directory, &view);
 *
 * States of an entry:
 *
 *     LIVE --remove--> MISSING --settle, 0.1 s--> GONE --settle, 1 s--> (deleted)
 *      ^ ^                |                        |
 *      | +----- put ------+---settle, mass leave---+
 *      |                                           v
 *      +------------------- put ----------------- HELD --settle--> (deleted)
 *
 * LIVE, MISSING and HELD entries are in the view. A GONE entry is not; it is
 * remembered for a second, because a mass leave can arrive one record at a time.
 * The records of a mass leave mostly come within 0.1 s: without MISSING, the first
 * address would go and come back. A view that is too small for a mass leave has no
 * MISSING entries. A member that was last seen leaving is deleted at once, and is
 * never held.
 *
 * Cost: O(log n) to find, O(n) to insert, to settle and to make a view.
 * Threads: one loop. Errors: KAMA_ERR_NO_MEMORY, after which nothing has
 * changed. Ownership: the directory owns copies of the members.
 */
#pragma once

#include "base/clock.h"
#include "view/view.h"

enum km_entry_state {
    KM_ENTRY_LIVE,
    KM_ENTRY_MISSING,
    KM_ENTRY_GONE,
    KM_ENTRY_HELD
};

struct km_entry {
    struct km_member *member; /* owned */
    enum km_entry_state state;
    uint32_t listed; /* the number of the list that has found it */
    int64_t mod_revision;
    km_ns gone_at; /* of MISSING, GONE and HELD */
    km_ns until;   /* of HELD */
};

struct km_directory {
    const kama_allocator *mem;
    struct km_entry *entries; /* sorted by address */
    size_t count;
    size_t cap;
    uint32_t list;     /* the number of the list that is being applied */
    uint64_t joins;    /* registrations that the registry has counted */
    unsigned changes;  /* of the view; counts up */
    unsigned holds;    /* how many holds have begun; counts up */
    unsigned goodbyes; /* members that have written a goodbye; counts up */
};

/* The change that a put has made. */
enum km_directory_change {
    KM_DIRECTORY_SAME,
    KM_DIRECTORY_UPDATED, /* a known id with a new record */
    KM_DIRECTORY_NEW_ID,  /* an id that was not known at this address */
    KM_DIRECTORY_FULL     /* not taken: there are too many members */
};

/* Makes an empty directory, which takes no memory yet. */
void km_directory_init(struct km_directory *d, const kama_allocator *mem);
/* Frees all entries. */
void km_directory_fini(struct km_directory *d);

/* Puts a member, and marks its entry as found by the present list. A new
 * address beyond KM_MEMBERSHIP_MEMBERS_MAX is not taken, unless it is
 * `always`. */
KAMA_NODISCARD kama_status
km_directory_put(struct km_directory *d, const struct km_member *member,
                 int64_t mod_revision, const char *always,
                 enum km_directory_change *ret_change);
/* Notes that an address has no record any more. */
void km_directory_remove(struct km_directory *d, kama_bytes address, km_ns now);

/* Notes how many registrations the registry has counted. */
void km_directory_count_joins(struct km_directory *d, uint64_t joins);

/* Begins a list; each entry that is put from now on is found by it. */
void km_directory_begin_list(struct km_directory *d);
/* Ends a list: the live entries that it did not find are removed. */
void km_directory_end_list(struct km_directory *d, km_ns now);
/* Ends a list of a registry that has lost its data: the entries that it did not
 * find are held for hold_ns. */
void km_directory_end_list_held(struct km_directory *d, km_ns now,
                                km_ns hold_ns);

/* Holds the entries of a mass leave for hold_ns, and deletes those whose time
 * is over. Returns when to call it again, or KM_NS_NEVER. */
km_ns km_directory_settle(struct km_directory *d, km_ns now, km_ns hold_ns);

/* Returns the live entry of an address, or NULL. Valid until the next
 * change. */
const struct km_entry *km_directory_find(const struct km_directory *d,
                                         kama_bytes address);
/* Returns how many entries are held. */
size_t km_directory_held(const struct km_directory *d);
/* Makes a view of the entries that are live, missing or held. */
KAMA_NODISCARD kama_status km_directory_view(const struct km_directory *d,
                                             struct km_view **ret_view);
/* Asserts the order and the states. For tests. */
void km_directory_check(const struct km_directory *d);
