/* SPDX-License-Identifier: MIT */
/* Runs are found first fit: the ranges with the lowest numbers stay full, and the
 * free pages gather in the last ones. */
#include "store/pages.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/account.h"

#include <string.h>
#include <sys/mman.h>

#define RANGE_PAGES 1024u
#define RANGE_BYTES ((size_t)RANGE_PAGES * KM_PAGE_BYTES)
/* Longer runs have a mapping of their own. */
#define RUN_BYTES_MAX ((size_t)512 * KM_PAGE_BYTES)
#define POPULATE_BYTES_MIN (32u << 10)
#define SLOTS_PER_RANGE 2u
#define WORDS (RANGE_PAGES / 64u)
#define WARM_SHARE 64u      /* warm pages may have this part of max_bytes, */
#define WARM_PAGES_MAX 256u /* and never more */

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define LEAVE_BYTES ((size_t)1 << 20)

/* A mapping that is unmapped in parts, the last one first. */
struct km_leaving_run {
    struct km_leaving_run *next;
    size_t bytes;
};

/* The state of a range. It is not in the range itself, where it would leave a hole at the
 * end in which no segment has room. */
struct km_page_range {
    uint8_t *base;
    bool is_advised; /* to have huge pages, because it is full */
    uint64_t used[WORDS];
    uint64_t warm[WORDS]; /* free pages that are resident */
};

/* -- bits ------------------------------------------------------------------ */

/* Returns the first bit from `at` on that is set in the words, of which each is flipped
 * by a mask before, or RANGE_PAGES. */
static unsigned next_bit(const uint64_t *bits, unsigned at, uint64_t flip)
{
    for (unsigned i = at / 64; i < WORDS; i++) {
        uint64_t word = bits[i] ^ flip;
        if (i == at / 64) {
            word &= UINT64_MAX << (at % 64);
        }
        if (word != 0) {
            return i * 64 + (unsigned)__builtin_ctzll(word);
        }
    }
    return RANGE_PAGES;
}

/* Returns the first bit from `at` on that is set, or RANGE_PAGES. */
static unsigned next_set(const uint64_t *bits, unsigned at)
{
    return next_bit(bits, at, 0);
}

/* Returns the first bit from `at` on that is clear, or RANGE_PAGES. */
static unsigned next_clear(const uint64_t *bits, unsigned at)
{
    return next_bit(bits, at, UINT64_MAX);
}

/* Returns the bits of word i that belong to n bits from `at` on. */
static uint64_t part(unsigned i, unsigned at, unsigned n)
{
    unsigned from = at > i * 64 ? at - i * 64 : 0;
    unsigned to = at + n < i * 64 + 64 ? at + n - i * 64 : 64;
    return (UINT64_MAX << from) & (UINT64_MAX >> (64 - to));
}

/* Sets or clears n bits from `at` on. Returns how many of them were set. */
static unsigned put_bits(uint64_t *bits, unsigned at, unsigned n, bool set)
{
    unsigned were_set = 0;
    for (unsigned i = at / 64; i <= (at + n - 1) / 64; i++) {
        uint64_t mask = part(i, at, n);
        were_set += (unsigned)__builtin_popcountll(bits[i] & mask);
        bits[i] = set ? bits[i] | mask : bits[i] & ~mask;
    }
    return were_set;
}

/* Returns the first run of n free pages, or RANGE_PAGES. *ret_longest is the
 * longest free run then. */
static unsigned find_run(const struct km_page_range *range, unsigned n,
                         unsigned *ret_longest)
{
    *ret_longest = 0;
    for (unsigned at = 0; at < RANGE_PAGES;) {
        unsigned from = next_clear(range->used, at);
        unsigned to = from < RANGE_PAGES ? next_set(range->used, from) : from;
        if (to - from >= n) {
            return from;
        }
        if (to - from > *ret_longest) {
            *ret_longest = to - from;
        }
        at = to;
    }
    return RANGE_PAGES;
}

static void poison(const struct km_pages *pages, void *run, size_t n)
{
    if (!pages->are_read_late) {
        POISON(run, n);
    }
}

/* -- ranges ---------------------------------------------------------------- */

static void *map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Maps a range at a multiple of its size. A system without huge pages refuses the
 * advice, and has small ones. */
static uint8_t *map_range(const struct km_pages *pages)
{
    uint8_t *p = map(2 * RANGE_BYTES);
    if (p == NULL) {
        return NULL;
    }
    size_t before = (RANGE_BYTES - (uintptr_t)p % RANGE_BYTES) % RANGE_BYTES;
    if (before > 0) {
        (void)munmap(p, before);
    }
    if (RANGE_BYTES - before > 0) {
        (void)munmap(p + before + RANGE_BYTES, RANGE_BYTES - before);
    }
    (void)madvise(p + before, RANGE_BYTES,
                  pages->huge == KM_PAGES_HUGE_AT_ONCE ? MADV_HUGEPAGE
                                                       : MADV_NOHUGEPAGE);
    return p + before;
}

/* Returns the slot in which the number of the range with that base is, or will be. */
static uint32_t *slot_of(const struct km_pages *pages, const uint8_t *base)
{
    uint32_t mask = pages->cap * SLOTS_PER_RANGE - 1;
    uint64_t hash =
        (uintptr_t)base / RANGE_BYTES * UINT64_C(0x9E3779B97F4A7C15);
    for (uint32_t i = (uint32_t)(hash >> 32);; i++) {
        uint32_t *slot = &pages->slots[i & mask];
        if (*slot == 0 || pages->ranges[*slot - 1]->base == base) {
            return slot;
        }
    }
}

/* Returns the number of the range in which a run is. */
static uint32_t range_of(const struct km_pages *pages, const void *run)
{
    uintptr_t offset = (uintptr_t)run % RANGE_BYTES;
    uint32_t number = *slot_of(pages, (const uint8_t *)run - offset);
    KM_ASSERT(number != 0);
    return number - 1;
}

/* Makes a larger table of slots. Returns false without memory. */
static bool more_slots(struct km_pages *pages, uint32_t cap)
{
    const kama_allocator *mem = &pages->account->mem;
    uint32_t *slots = km_mem_zalloc(mem, cap * SLOTS_PER_RANGE, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    km_mem_free(mem, pages->slots);
    pages->slots = slots;
    pages->cap = cap;
    for (uint32_t i = 0; i < pages->count; i++) {
        *slot_of(pages, pages->ranges[i]->base) = i + 1;
    }
    return true;
}

/* Makes room in the tables of ranges. Returns false without memory. */
static bool reserve(struct km_pages *pages)
{
    const kama_allocator *mem = &pages->account->mem;
    if (pages->count < pages->cap) {
        return true;
    }
    uint32_t cap = pages->cap == 0 ? 4 : pages->cap * 2;
    void *ranges =
        km_mem_resize(mem, pages->ranges, cap * sizeof *pages->ranges);
    if (ranges == NULL) {
        return false;
    }
    pages->ranges = ranges;
    void *longest =
        km_mem_resize(mem, pages->longest, cap * sizeof *pages->longest);
    if (longest == NULL) {
        return false;
    }
    pages->longest = longest;
    return more_slots(pages, cap);
}

static bool add_range(struct km_pages *pages)
{
    if (!reserve(pages)) {
        return false;
    }
    struct km_page_range *range =
        km_account_alloc(pages->account, sizeof *range);
    uint8_t *base = range != NULL ? map_range(pages) : NULL;
    if (base == NULL) {
        km_account_release(pages->account, range, sizeof *range);
        return false;
    }
    *range = (struct km_page_range){.base = base};
    poison(pages, base, RANGE_BYTES);
    pages->ranges[pages->count] = range;
    pages->longest[pages->count++] = RANGE_PAGES;
    *slot_of(pages, base) = pages->count;
    return true;
}

/* Makes the pages of a long run resident, which will be written from its begin to its
 * end at once. That takes half of the time that a fault for each page would. */
static void populate(void *run, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    if (bytes >= POPULATE_BYTES_MIN) {
        (void)madvise(run, bytes, MADV_POPULATE_WRITE);
    }
#else
    (void)run;
    (void)bytes;
#endif
}

/* Lets the kernel gather the pages of a range that has become full. */
static void note_full(const struct km_pages *pages, struct km_page_range *range)
{
    if (pages->huge == KM_PAGES_HUGE_IF_FULL && !range->is_advised &&
        next_clear(range->used, 0) == RANGE_PAGES) {
        range->is_advised = true;
        (void)madvise(range->base, RANGE_BYTES, MADV_HUGEPAGE);
    }
}

/* Gives pages of a range back to the system, which must not gather the others again:
 * the pages that were given back would be resident with them. */
static void give_back(struct km_page_range *range, unsigned at, unsigned n)
{
    if (range->is_advised) {
        range->is_advised = false;
        (void)madvise(range->base, RANGE_BYTES, MADV_NOHUGEPAGE);
    }
    (void)madvise(range->base + (size_t)at * KM_PAGE_BYTES,
                  (size_t)n * KM_PAGE_BYTES, MADV_DONTNEED);
}

/* Takes a run out of a range. *ret_fresh is how many of its pages are not resident. */
static void *take(struct km_pages *pages, struct km_page_range *range,
                  unsigned at, unsigned n, unsigned *ret_fresh)
{
    void *run = range->base + (size_t)at * KM_PAGE_BYTES;
    (void)put_bits(range->used, at, n, true);
    note_full(pages, range);
    unsigned warm = put_bits(range->warm, at, n, false);
    pages->warm -= warm;
    *ret_fresh = n - warm;
    km_account_charge(pages->account, (size_t)(n - warm) * KM_PAGE_BYTES);
    UNPOISON(run, (size_t)n * KM_PAGE_BYTES);
    return run;
}

static void *alloc_locked(struct km_pages *pages, unsigned n,
                          unsigned *ret_fresh)
{
    for (uint32_t i = 0;; i++) {
        if (i == pages->count && !add_range(pages)) {
            return NULL;
        }
        if (pages->longest[i] < n) {
            continue;
        }
        unsigned longest;
        unsigned at = find_run(pages->ranges[i], n, &longest);
        if (at < RANGE_PAGES) {
            return take(pages, pages->ranges[i], at, n, ret_fresh);
        }
        pages->longest[i] = (uint16_t)longest;
    }
}

/* Gives the warm pages of a range back to the system. */
static void trim_range(struct km_pages *pages, struct km_page_range *range)
{
    for (unsigned at = next_set(range->warm, 0); at < RANGE_PAGES;
         at = next_set(range->warm, at)) {
        unsigned n = next_clear(range->warm, at) - at;
        (void)put_bits(range->warm, at, n, false);
        give_back(range, at, n);
        pages->warm -= n;
        km_account_discharge(pages->account, (size_t)n * KM_PAGE_BYTES);
    }
}

/* -- runs ------------------------------------------------------------------ */

static size_t round_up(size_t n)
{
    return (n + KM_PAGE_BYTES - 1) & ~(size_t)(KM_PAGE_BYTES - 1);
}

/* Returns how many free pages may stay resident. The bound can change. */
static uint64_t warm_max(const struct km_pages *pages)
{
    uint64_t share =
        km_account_max(pages->account) / WARM_SHARE / KM_PAGE_BYTES;
    if (pages->store_is_gone) {
        return 0;
    }
    return share < WARM_PAGES_MAX ? share : WARM_PAGES_MAX;
}

bool km_pages_init(struct km_pages *pages, struct km_account *account,
                   enum km_pages_use use)
{
    memset(pages, 0, sizeof *pages);
    pages->account = account;
    pages->are_read_late = use == KM_PAGES_READ_LATE;
    pages->is_own = account->mem.alloc == km_mem_default()->alloc;
    return km_mutex_init(&pages->lock, KM_RANK_PAGES);
}

void km_pages_want_huge(struct km_pages *pages, enum km_pages_huge huge)
{
    pages->huge = huge;
}

void km_pages_fini(struct km_pages *pages)
{
    for (uint32_t i = 0; i < pages->count; i++) {
        UNPOISON(pages->ranges[i]->base, RANGE_BYTES);
        (void)munmap(pages->ranges[i]->base, RANGE_BYTES);
        km_mem_free(&pages->account->mem, pages->ranges[i]);
    }
    km_mem_free(&pages->account->mem, pages->slots);
    km_mem_free(&pages->account->mem, pages->ranges);
    km_mem_free(&pages->account->mem, pages->longest);
    km_mutex_fini(&pages->lock);
}

size_t km_pages_bytes(const struct km_pages *pages, size_t n)
{
    return pages->is_own ? round_up(n) : km_account_block_bytes(n);
}

void *km_pages_alloc(struct km_pages *pages, size_t n)
{
    if (!pages->is_own) {
        return km_account_alloc(pages->account, n);
    }
    size_t bytes = round_up(n);
    if (bytes > RUN_BYTES_MAX) {
        void *run = map(bytes);
        if (run != NULL) {
            km_account_charge(pages->account, bytes);
            populate(run, bytes);
        }
        return run;
    }
    unsigned fresh = 0;
    km_mutex_lock(&pages->lock);
    void *run = alloc_locked(pages, (unsigned)(bytes / KM_PAGE_BYTES), &fresh);
    km_mutex_unlock(&pages->lock);
    if (run != NULL && fresh > 0 && !pages->are_read_late) {
        populate(run, bytes);
    }
    return run;
}

void km_pages_free(struct km_pages *pages, void *run, size_t n)
{
    if (!pages->is_own) {
        km_account_release(pages->account, run, n);
        return;
    }
    size_t bytes = round_up(n);
    if (bytes > RUN_BYTES_MAX) {
        (void)munmap(run, bytes);
        km_account_discharge(pages->account, bytes);
        return;
    }
    unsigned at = (unsigned)(((uintptr_t)run % RANGE_BYTES) / KM_PAGE_BYTES);
    unsigned count = (unsigned)(bytes / KM_PAGE_BYTES);
    bool keep;
    poison(pages, run, bytes);
    km_mutex_lock(&pages->lock);
    uint32_t number = range_of(pages, run);
    struct km_page_range *range = pages->ranges[number];
    keep = pages->warm + count <= warm_max(pages);
    (void)put_bits(range->used, at, count, false);
    pages->longest[number] = RANGE_PAGES;
    if (keep) {
        (void)put_bits(range->warm, at, count, true);
        pages->warm += count;
    } else {
        give_back(range, at, count);
    }
    km_mutex_unlock(&pages->lock);
    if (!keep) {
        km_account_discharge(pages->account, bytes);
    }
}

void km_pages_rest(struct km_pages *pages, void *run, size_t n)
{
    (void)madvise(run, round_up(n), MADV_DONTNEED);
    km_account_discharge(pages->account, round_up(n));
}

void km_pages_wake(struct km_pages *pages, size_t n)
{
    km_account_charge(pages->account, round_up(n));
}

/* Unmaps up to n bytes of the run that leaves first. Returns how many. */
static size_t leave_locked(struct km_pages *pages, size_t n)
{
    struct km_leaving_run *run = pages->leaving;
    if (run == NULL) {
        return 0;
    }
    size_t part = run->bytes < n ? run->bytes : n;
    uint8_t *end = (uint8_t *)run + run->bytes;
    run->bytes -= part;
    if (run->bytes == 0) {
        pages->leaving = run->next;
        atomic_store_explicit(&pages->has_leaving, pages->leaving != NULL,
                              memory_order_relaxed);
    }
    (void)munmap(end - part, part);
    return part;
}

void km_pages_leave(struct km_pages *pages)
{
    km_mutex_lock(&pages->lock);
    size_t bytes = leave_locked(pages, LEAVE_BYTES);
    km_mutex_unlock(&pages->lock);
    if (bytes > 0) {
        km_account_discharge(pages->account, bytes);
    }
}

void km_pages_free_slowly(struct km_pages *pages, void *run, size_t n)
{
    size_t bytes = round_up(n);
    if (!pages->is_own || bytes <= RUN_BYTES_MAX) {
        km_pages_free(pages, run, n);
        return;
    }
    struct km_leaving_run *leaving = run;
    leaving->bytes = bytes;
    km_mutex_lock(&pages->lock);
    leaving->next = pages->leaving;
    pages->leaving = leaving;
    atomic_store_explicit(&pages->has_leaving, true, memory_order_relaxed);
    km_mutex_unlock(&pages->lock);
    km_pages_leave(pages);
}

/* Returns the bytes that are charged for the heads of all ranges. */
static size_t heads_bytes(const struct km_pages *pages)
{
    return pages->count * km_account_block_bytes(sizeof(struct km_page_range));
}

void km_pages_trim(struct km_pages *pages, bool store_is_gone)
{
    km_mutex_lock(&pages->lock);
    pages->store_is_gone = store_is_gone;
    for (uint32_t i = 0; i < pages->count && pages->warm > 0; i++) {
        trim_range(pages, pages->ranges[i]);
    }
    size_t bytes = store_is_gone ? heads_bytes(pages) : 0;
    for (size_t part = 1; part > 0; bytes += part) {
        part = leave_locked(pages, SIZE_MAX);
    }
    if (bytes > 0) {
        km_account_discharge(pages->account, bytes);
    }
    km_mutex_unlock(&pages->lock);
}

void km_pages_rest_get(struct km_pages *pages, struct km_pages_rest *ret_rest)
{
    km_mutex_lock(&pages->lock);
    *ret_rest =
        (struct km_pages_rest){.warm_bytes = pages->warm * KM_PAGE_BYTES,
                               .head_bytes = heads_bytes(pages)};
    for (struct km_leaving_run *run = pages->leaving; run != NULL;
         run = run->next) {
        ret_rest->leaving_bytes += run->bytes;
    }
    km_mutex_unlock(&pages->lock);
}
