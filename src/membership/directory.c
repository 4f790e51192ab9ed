/* SPDX-License-Identifier: MIT */
/* The members that membership knows, as a sorted array. */
#include "membership/directory.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"

#include <string.h>

#define MASS_NS (KM_MEMBERSHIP_MASS_MS * KM_NS_PER_MS)
#define MISSING_NS (KM_MEMBERSHIP_MISSING_MS * KM_NS_PER_MS)

void km_directory_init(struct km_directory *d, const kama_allocator *mem)
{
    *d = (struct km_directory){.mem = mem};
}

void km_directory_fini(struct km_directory *d)
{
    for (size_t i = 0; i < d->count; i++) {
        km_mem_free(d->mem, d->entries[i].member);
    }
    km_mem_free(d->mem, d->entries);
    *d = (struct km_directory){.mem = d->mem};
}

/* Returns where the address is or belongs. */
static size_t find_place(const struct km_directory *d, kama_bytes address)
{
    size_t low = 0;
    size_t high = d->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *there = d->entries[middle].member->address;
        if (km_bytes_cmp(KAMA_STR(there), address) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Returns the entry of an address in any state, or NULL. */
static struct km_entry *find_entry(const struct km_directory *d,
                                   kama_bytes address)
{
    size_t place = find_place(d, address);
    if (place < d->count &&
        km_bytes_eq(KAMA_STR(d->entries[place].member->address), address)) {
        return &d->entries[place];
    }
    return NULL;
}

const struct km_entry *km_directory_find(const struct km_directory *d,
                                         kama_bytes address)
{
    const struct km_entry *entry = find_entry(d, address);
    return entry != NULL && entry->state == KM_ENTRY_LIVE ? entry : NULL;
}

/* -- putting ------------------------------------------------------------- */

static kama_status make_room(struct km_directory *d)
{
    if (d->count < d->cap) {
        return KAMA_OK;
    }
    size_t cap = d->cap == 0 ? 8 : 2 * d->cap;
    struct km_entry *entries =
        km_mem_resize(d->mem, d->entries, cap * sizeof *entries);
    if (entries == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu members", cap);
    }
    d->entries = entries;
    d->cap = cap;
    return KAMA_OK;
}

static void insert(struct km_directory *d, size_t place)
{
    memmove(&d->entries[place + 1], &d->entries[place],
            (d->count - place) * sizeof *d->entries);
    d->entries[place] = (struct km_entry){.state = KM_ENTRY_GONE};
    d->count++;
}

static void delete_entry(struct km_directory *d, size_t place)
{
    km_mem_free(d->mem, d->entries[place].member);
    d->count--;
    memmove(&d->entries[place], &d->entries[place + 1],
            (d->count - place) * sizeof *d->entries);
}

static enum km_directory_change compare(const struct km_entry *entry,
                                        const struct km_member *member,
                                        int64_t mod_revision)
{
    if (!km_member_id_equal(&entry->member->id, &member->id)) {
        return KM_DIRECTORY_NEW_ID;
    }
    return entry->state == KM_ENTRY_LIVE &&
                   entry->mod_revision == mod_revision &&
                   entry->member->state == member->state
               ? KM_DIRECTORY_SAME
               : KM_DIRECTORY_UPDATED;
}

/* Returns whether a member says how its life has ended, and `before`, the record
 * until now, did not say the same. */
static bool says_goodbye(const struct km_member *before,
                         const struct km_member *member)
{
    return member->clock != 0 &&
           (before == NULL || !km_member_id_equal(&before->id, &member->id) ||
            before->clock != member->clock ||
            before->final_seq != member->final_seq);
}

static void replace(struct km_directory *d, struct km_entry *entry,
                    struct km_member *copy, int64_t mod_revision)
{
    d->goodbyes += says_goodbye(entry->member, copy);
    km_mem_free(d->mem, entry->member);
    *entry = (struct km_entry){.member = copy,
                               .state = KM_ENTRY_LIVE,
                               .listed = d->list,
                               .mod_revision = mod_revision};
    d->changes++;
}

static kama_status put_new(struct km_directory *d,
                           const struct km_member *member, int64_t mod_revision)
{
    kama_status status = make_room(d);
    struct km_member *copy =
        status == KAMA_OK ? km_member_new(d->mem, member) : NULL;
    if (copy == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a member");
    }
    size_t place = find_place(d, KAMA_STR(member->address));
    insert(d, place);
    replace(d, &d->entries[place], copy, mod_revision);
    return KAMA_OK;
}

kama_status km_directory_put(struct km_directory *d,
                             const struct km_member *member,
                             int64_t mod_revision, const char *always,
                             enum km_directory_change *ret_change)
{
    struct km_entry *entry = find_entry(d, KAMA_STR(member->address));
    if (entry == NULL) {
        if (d->count >= KM_MEMBERSHIP_MEMBERS_MAX &&
            strcmp(member->address, always) != 0) {
            *ret_change = KM_DIRECTORY_FULL;
            return KAMA_OK;
        }
        kama_status status = put_new(d, member, mod_revision);
        if (status == KAMA_OK) {
            *ret_change = KM_DIRECTORY_NEW_ID;
        }
        return status;
    }
    enum km_directory_change change = compare(entry, member, mod_revision);
    entry->listed = d->list;
    if (change != KM_DIRECTORY_SAME) {
        struct km_member *copy = km_member_new(d->mem, member);
        if (copy == NULL) {
            return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a member");
        }
        replace(d, entry, copy, mod_revision);
    }
    *ret_change = change;
    return KAMA_OK;
}

/* -- removing -------------------------------------------------------------- */

/* Returns whether so many members are in the view that several of them can be a
 * mass leave. */
static bool can_be_mass_leave(const struct km_directory *d)
{
    size_t in_view = 0;
    for (size_t i = 0; i < d->count; i++) {
        in_view += d->entries[i].state != KM_ENTRY_GONE;
    }
    return in_view >= KM_MEMBERSHIP_MASS_VIEW_MIN;
}

/* Removes a live entry. Returns whether the entry was deleted, so that another
 * one is at its place now. */
static bool remove_entry(struct km_directory *d, size_t place, km_ns now)
{
    struct km_entry *entry = &d->entries[place];
    if (entry->state != KM_ENTRY_LIVE) {
        return false;
    }
    d->changes++;
    if (entry->member->state == KM_MEMBER_LEAVING) {
        delete_entry(d, place);
        return true;
    }
    entry->state = can_be_mass_leave(d) ? KM_ENTRY_MISSING : KM_ENTRY_GONE;
    entry->gone_at = now;
    return false;
}

void km_directory_remove(struct km_directory *d, kama_bytes address, km_ns now)
{
    const struct km_entry *entry = find_entry(d, address);
    if (entry != NULL) {
        (void)remove_entry(d, (size_t)(entry - d->entries), now);
    }
}

void km_directory_count_joins(struct km_directory *d, uint64_t joins)
{
    d->changes += d->joins != joins;
    d->joins = joins;
}

void km_directory_begin_list(struct km_directory *d)
{
    d->list++;
}

void km_directory_end_list(struct km_directory *d, km_ns now)
{
    for (size_t i = 0; i < d->count;) {
        bool deleted =
            d->entries[i].listed != d->list && remove_entry(d, i, now);
        i += deleted ? 0 : 1;
    }
}

static void hold(struct km_directory *d, struct km_entry *entry, km_ns until)
{
    entry->state = KM_ENTRY_HELD;
    entry->until = until;
    d->changes++;
    d->holds++;
}

void km_directory_end_list_held(struct km_directory *d, km_ns now,
                                km_ns hold_ns)
{
    for (size_t i = 0; i < d->count; i++) {
        struct km_entry *entry = &d->entries[i];
        if (entry->listed != d->list && entry->state == KM_ENTRY_LIVE) {
            entry->gone_at = now;
            hold(d, entry, now + hold_ns);
        }
    }
}

/* -- holding --------------------------------------------------------------- */

/* Returns whether more than half of the view that was there a second ago has
 * gone since. */
static bool is_mass_leave(const struct km_directory *d, km_ns now)
{
    size_t gone = 0;
    size_t before = 0;
    for (size_t i = 0; i < d->count; i++) {
        const struct km_entry *entry = &d->entries[i];
        bool recent =
            entry->state != KM_ENTRY_LIVE && now - entry->gone_at < MASS_NS;
        gone += recent;
        before += entry->state != KM_ENTRY_GONE || recent;
    }
    return before >= KM_MEMBERSHIP_MASS_VIEW_MIN && 2 * gone > before;
}

static void hold_gone(struct km_directory *d, km_ns now, km_ns until)
{
    for (size_t i = 0; i < d->count; i++) {
        struct km_entry *entry = &d->entries[i];
        bool is_gone =
            entry->state == KM_ENTRY_GONE || entry->state == KM_ENTRY_MISSING;
        if (is_gone && now - entry->gone_at < MASS_NS) {
            hold(d, entry, until);
        }
    }
}

/* Returns when an entry is deleted, or leaves the view. */
static km_ns end_of(const struct km_entry *entry)
{
    switch (entry->state) {
    case KM_ENTRY_MISSING:
        return entry->gone_at + MISSING_NS;
    case KM_ENTRY_GONE:
        return entry->gone_at + MASS_NS;
    case KM_ENTRY_HELD:
        return entry->until;
    case KM_ENTRY_LIVE:
        break;
    }
    return KM_NS_NEVER;
}

km_ns km_directory_settle(struct km_directory *d, km_ns now, km_ns hold_ns)
{
    km_ns next = KM_NS_NEVER;
    if (is_mass_leave(d, now)) {
        hold_gone(d, now, now + hold_ns);
    }
    for (size_t i = 0; i < d->count;) {
        struct km_entry *entry = &d->entries[i];
        if (entry->state == KM_ENTRY_MISSING && end_of(entry) <= now) {
            entry->state = KM_ENTRY_GONE;
            d->changes++;
        }
        km_ns end = end_of(entry);
        if (end <= now) {
            d->changes += entry->state == KM_ENTRY_HELD;
            delete_entry(d, i);
            continue;
        }
        next = end < next ? end : next;
        i++;
    }
    return next;
}

size_t km_directory_held(const struct km_directory *d)
{
    size_t held = 0;
    for (size_t i = 0; i < d->count; i++) {
        held += d->entries[i].state == KM_ENTRY_HELD;
    }
    return held;
}

/* -- the view -------------------------------------------------------------- */

kama_status km_directory_view(const struct km_directory *d,
                              struct km_view **ret_view)
{
    size_t count = 0;
    struct km_member *members =
        km_mem_zalloc(d->mem, d->count + 1, sizeof *members);
    if (members == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu members",
                       d->count);
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->entries[i].state != KM_ENTRY_GONE) {
            members[count] = *d->entries[i].member;
            members[count++].held = d->entries[i].state == KM_ENTRY_HELD;
        }
    }
    kama_status status =
        km_view_new_counted(d->mem, members, count, d->joins, ret_view);
    km_mem_free(d->mem, members);
    return status;
}

void km_directory_check(const struct km_directory *d)
{
    KM_ASSERT(d->count <= d->cap);
    for (size_t i = 0; i < d->count; i++) {
        const struct km_entry *entry = &d->entries[i];
        KM_ASSERT(entry->member != NULL);
        KM_ASSERT(i == 0 || strcmp(entry[-1].member->address,
                                   entry->member->address) < 0);
        KM_ASSERT(entry->state != KM_ENTRY_HELD || entry->until > 0);
    }
}
