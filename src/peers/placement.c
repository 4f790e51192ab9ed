/* SPDX-License-Identifier: MIT */
/*
 * The table is filled slot by slot. Nearly every slot goes to its favourite, for
 * which one loop over the ids is enough; it has no branch that could be guessed
 * wrong. Only if the favourite is full, a second loop skips the full members.
 *
 * One block of memory holds everything:
 *
 *     struct | addresses[] | ids[] | caps[] | shares[] | member_of[] | table[]
 *            | texts of the addresses
 */
#include "peers/placement.h"

#include "base/assert.h"
#include "base/hash.h"

#include <string.h>

#define MEMBERS_MAX UINT64_C(65535)
/* A member may own 26/25 = 1.04 times its share. */
#define CAP_NUMERATOR UINT64_C(26)
#define CAP_DENOMINATOR UINT64_C(25)
#define SCORE_FACTOR UINT64_C(0xd6e8feb86659fd93)

struct km_placement {
    atomic_uint refs;
    const kama_allocator *mem;
    uint32_t count;
    uint32_t id_count;
    const char **addresses;
    uint64_t *ids;       /* in the order of the members */
    uint32_t *caps;      /* of each member */
    uint32_t *shares;    /* of each member */
    uint16_t *member_of; /* of each id */
    uint16_t *table;     /* the owner of each slot */
};

/* -- hashes ---------------------------------------------------------------- */

static uint64_t place_of(uint32_t slot)
{
    uint64_t x = (slot + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t score_of(uint64_t id, uint64_t place)
{
    uint64_t x = (id ^ place) * SCORE_FACTOR;
    return (x ^ x >> 32) * SCORE_FACTOR;
}

/* -- building -------------------------------------------------------------- */

static bool is_full(const struct km_placement *p, uint32_t member)
{
    return p->shares[member] >= p->caps[member];
}

/* Returns the member whose score is the highest. */
static uint32_t find_favourite(const struct km_placement *p, uint64_t place)
{
    const uint64_t *ids = p->ids;
    uint64_t best = score_of(ids[0], place);
    uint32_t found = 0;
    for (uint32_t i = 1; i < p->id_count; i++) {
        uint64_t score = score_of(ids[i], place);
        found = score > best ? i : found;
        best = score > best ? score : best;
    }
    return p->member_of[found];
}

/* Returns the member whose score is the highest among those that are not
 * full. */
static uint32_t find_free(const struct km_placement *p, uint64_t place)
{
    uint64_t best = 0;
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < p->id_count; i++) {
        uint64_t score = score_of(p->ids[i], place);
        if (is_full(p, p->member_of[i])) {
            continue;
        }
        if (found == UINT32_MAX || score > best) {
            found = i;
            best = score;
        }
    }
    KM_ASSERT(found != UINT32_MAX);
    return p->member_of[found];
}

static void fill_table(struct km_placement *p)
{
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        uint64_t place = place_of(slot);
        uint32_t member = find_favourite(p, place);
        if (KM_UNLIKELY(is_full(p, member))) {
            member = find_free(p, place);
        }
        p->shares[member]++;
        p->table[slot] = (uint16_t)member;
    }
}

/* What the members add up to. */
struct sums {
    uint64_t weight;
    size_t text_bytes;
};

static kama_status add_up(const struct km_placement_member *members,
                          size_t count, struct sums *ret_sums)
{
    struct sums sums = {0};
    for (size_t i = 0; i < count; i++) {
        if (members[i].weight == 0) {
            return KAMA_ERR_INVALID;
        }
        if (i > 0 && strcmp(members[i - 1].address, members[i].address) >= 0) {
            return KAMA_ERR_INVALID;
        }
        sums.weight += members[i].weight;
        sums.text_bytes += strlen(members[i].address) + 1;
        if (sums.weight > MEMBERS_MAX) {
            return KAMA_ERR_TOO_LARGE;
        }
    }
    *ret_sums = sums;
    return KAMA_OK;
}

/* Makes a placement whose arrays have their places in its block. Arrays of
 * longer elements come first, so that all are aligned. */
static struct km_placement *make(const kama_allocator *mem, size_t count,
                                 const struct sums *sums, char **ret_texts)
{
    size_t ids = (size_t)sums->weight;
    size_t bytes = sizeof(struct km_placement) + count * sizeof(char *) +
                   ids * sizeof(uint64_t) + 2 * count * sizeof(uint32_t) +
                   (ids + KM_OWNER_SLOTS) * sizeof(uint16_t) + sums->text_bytes;
    struct km_placement *p = km_mem_zalloc(mem, 1, bytes);
    if (p == NULL) {
        return NULL;
    }
    atomic_init(&p->refs, 1);
    p->mem = mem;
    p->count = (uint32_t)count;
    p->id_count = (uint32_t)ids;
    p->addresses = (const char **)(p + 1);
    p->ids = (uint64_t *)(p->addresses + count);
    p->caps = (uint32_t *)(p->ids + ids);
    p->shares = p->caps + count;
    p->member_of = (uint16_t *)(p->shares + count);
    p->table = p->member_of + ids;
    *ret_texts = (char *)(p->table + KM_OWNER_SLOTS);
    return p;
}

static uint32_t cap_of(uint64_t weight, uint64_t sum)
{
    uint64_t denominator = CAP_DENOMINATOR * sum;
    uint64_t slots = CAP_NUMERATOR * weight * KM_OWNER_SLOTS;
    return (uint32_t)((slots + denominator - 1) / denominator);
}

/* Enters a member behind the first `next` ids. Returns how many ids there are
 * now. */
static uint32_t add_member(struct km_placement *p, uint32_t member,
                           const struct km_placement_member *from,
                           uint32_t next)
{
    kama_bytes address = kama_bytes_make(from->address, strlen(from->address));
    p->caps[member] = cap_of(from->weight, p->id_count);
    for (uint32_t i = 0; i < from->weight; i++) {
        p->ids[next] = km_hash(address, i);
        p->member_of[next] = (uint16_t)member;
        next++;
    }
    return next;
}

kama_status km_placement_new(const kama_allocator *mem,
                             const struct km_placement_member *members,
                             size_t count, struct km_placement **ret_placement)
{
    struct sums sums;
    char *text;
    uint32_t ids = 0;
    kama_status status = add_up(members, count, &sums);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_placement *p = make(mem, count, &sums, &text);
    if (p == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        ids = add_member(p, i, &members[i], ids);
        p->addresses[i] = text;
        text = stpcpy(text, members[i].address) + 1;
    }
    KM_ASSERT(ids == p->id_count);
    if (count > 0) {
        fill_table(p);
    }
    *ret_placement = p;
    return KAMA_OK;
}

struct km_placement *km_placement_ref(struct km_placement *placement)
{
    atomic_fetch_add_explicit(&placement->refs, 1, memory_order_relaxed);
    return placement;
}

void km_placement_unref(struct km_placement *placement)
{
    if (placement != NULL &&
        atomic_fetch_sub_explicit(&placement->refs, 1, memory_order_acq_rel) ==
            1) {
        km_mem_free(placement->mem, placement);
    }
}

/* -- questions ------------------------------------------------------------- */

size_t km_placement_count(const struct km_placement *placement)
{
    return placement->count;
}

const char *km_placement_address(const struct km_placement *placement,
                                 size_t member)
{
    KM_ASSERT(member < placement->count);
    return placement->addresses[member];
}

size_t km_placement_owner(const struct km_placement *placement, uint32_t slot)
{
    KM_ASSERT(slot < KM_OWNER_SLOTS && placement->count > 0);
    return placement->table[slot];
}

uint32_t km_placement_share(const struct km_placement *placement, size_t member)
{
    KM_ASSERT(member < placement->count);
    return placement->shares[member];
}

uint32_t km_placement_cap(const struct km_placement *placement, size_t member)
{
    KM_ASSERT(member < placement->count);
    return placement->caps[member];
}

/* The best score of one member for one slot. */
struct standing {
    uint64_t score;
    uint32_t member;
};

/* Returns whether a comes before b. */
static bool is_better(const struct standing *a, const struct standing *b)
{
    return a->score != b->score ? a->score > b->score : a->member < b->member;
}

/* Writes the standing of the member whose ids begin at *next, and moves *next
 * behind them. */
static struct standing next_standing(const struct km_placement *p,
                                     uint64_t place, uint32_t *next)
{
    struct standing s = {0, p->member_of[*next]};
    while (*next < p->id_count && p->member_of[*next] == s.member) {
        uint64_t score = score_of(p->ids[*next], place);
        s.score = score > s.score ? score : s.score;
        (*next)++;
    }
    return s;
}

/* Writes the best member, except the owner, that comes after `last`; NULL: of
 * all. There is one. */
static struct standing best_after(const struct km_placement *p, uint32_t slot,
                                  const struct standing *last)
{
    uint64_t place = place_of(slot);
    struct standing best = {0, UINT32_MAX};
    for (uint32_t next = 0; next < p->id_count;) {
        struct standing s = next_standing(p, place, &next);
        if (s.member != p->table[slot] && (!last || is_better(last, &s)) &&
            is_better(&s, &best)) {
            best = s;
        }
    }
    KM_ASSERT(best.member != UINT32_MAX);
    return best;
}

size_t km_placement_rank(const struct km_placement *placement, uint32_t slot,
                         uint16_t *ret_members, size_t cap)
{
    size_t count = cap < placement->count ? cap : placement->count;
    struct standing last;
    KM_ASSERT(slot < KM_OWNER_SLOTS);
    if (count > 0) {
        ret_members[0] = placement->table[slot];
    }
    for (size_t i = 1; i < count; i++) {
        last = best_after(placement, slot, i > 1 ? &last : NULL);
        ret_members[i] = (uint16_t)last.member;
    }
    return count;
}

/* Counts the members that come before one that is not the owner. */
size_t km_placement_place(const struct km_placement *placement, uint32_t slot,
                          size_t member)
{
    uint64_t place = place_of(slot);
    uint32_t owner = placement->table[slot];
    struct standing own = {0, UINT32_MAX};
    size_t before = 1;
    KM_ASSERT(slot < KM_OWNER_SLOTS && member < placement->count);
    if (owner == member) {
        return 0;
    }
    for (uint32_t next = 0; own.member == UINT32_MAX;) {
        struct standing s = next_standing(placement, place, &next);
        own = s.member == member ? s : own;
    }
    for (uint32_t next = 0; next < placement->id_count;) {
        struct standing s = next_standing(placement, place, &next);
        before += s.member != owner && is_better(&s, &own);
    }
    return before;
}

size_t km_placement_find(const struct km_placement *placement,
                         const char *address)
{
    size_t low = 0;
    size_t high = placement->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(placement->addresses[middle], address);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return SIZE_MAX;
}

/* Returns how many slots of the table belong to a member. */
static uint32_t count_slots(const struct km_placement *p, uint32_t member)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        count += p->table[slot] == member;
    }
    return count;
}

void km_placement_check(const struct km_placement *placement)
{
    uint64_t sum = 0, caps = 0;
    KM_ASSERT(atomic_load(&placement->refs) > 0);
    for (uint32_t i = 0; i < placement->count; i++) {
        KM_ASSERT(placement->caps[i] > 0);
        KM_ASSERT(placement->shares[i] <= placement->caps[i]);
        KM_ASSERT(placement->shares[i] == count_slots(placement, i));
        KM_ASSERT(i == 0 || strcmp(placement->addresses[i - 1],
                                   placement->addresses[i]) < 0);
        sum += placement->shares[i];
        caps += placement->caps[i];
    }
    KM_ASSERT(placement->count == 0 || sum == KM_OWNER_SLOTS);
    KM_ASSERT(placement->count == 0 || caps >= KM_OWNER_SLOTS);
}
