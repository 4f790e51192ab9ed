/* SPDX-License-Identifier: MIT */
/*
 * Linear hashing over cache lines.
 *
 * A round begins with 2^L buckets and splits them one after the other, from
 * bucket 0 on, until there are 2^(L + 1). With mask_low = 2^L - 1 and 2^L + p
 * buckets, the first p buckets have been split:
 *
 *     bucket    0 .. p-1        p .. 2^L-1        2^L .. 2^L+p-1
 *               split           not split yet     the other halves of 0 .. p-1
 *     chosen by L+1 bits        L bits            L+1 bits
 *
 * Chains have no holes, because a removal fills its slot from the end of the
 * chain. So a chain of m items has ceil(m / 7) lines, and splitting it never
 * needs more overflow lines than it gives back.
 */
#include "store/index.h"

#include "base/hash.h"

#define LINE_BYTES 64u
#define OVERFLOW_LINES 16u
#define DIR_CAP_FIRST 4u
#define BUCKET_COUNT_MIN KM_CHUNK_LINES
/* The index grows above the first number of items per bucket, on average, and
 * shrinks below the second one. */
#define LOAD_GROW 5u
#define LOAD_SHRINK 2u

_Static_assert(sizeof(struct km_line) == LINE_BYTES, "one cache line");

/* The directory of the chunks. It knows all memory of an index, so that a whole
 * index can be detached at once. */
struct km_index_dir {
    struct km_index_dir *next; /* in a list of detached directories */
    struct km_line *overflow;  /* a linked list of chunks of overflow lines */
    uint32_t count;
    uint32_t cap;
    struct km_line *chunks[];
};

/* The header in front of the first line of a chunk. Lines lie on cache lines,
 * and malloc does not, so that a chunk begins somewhere in its allocation:
 *
 *     raw --> |  unused  | next | raw | line | line | ...
 *                                     ^ a multiple of 64
 */
struct chunk_head {
    struct km_line *next; /* of a chunk of overflow lines */
    void *raw;            /* the allocation */
};

static struct chunk_head *chunk_head(struct km_line *lines)
{
    return (struct chunk_head *)(void *)lines - 1;
}

/* Returns the size of the allocation for a chunk. */
static size_t chunk_bytes(unsigned lines)
{
    return (size_t)lines * LINE_BYTES + LINE_BYTES + sizeof(struct chunk_head);
}

static struct km_line *chunk_new(struct km_account *account, unsigned lines)
{
    void *raw = km_account_alloc(account, chunk_bytes(lines));
    if (raw == NULL) {
        return NULL;
    }
    uintptr_t at = (uintptr_t)raw + sizeof(struct chunk_head);
    at = (at + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1);
    struct km_line *chunk = (struct km_line *)at;
    chunk_head(chunk)->next = NULL;
    chunk_head(chunk)->raw = raw;
    memset(chunk, 0, (size_t)lines * LINE_BYTES);
    return chunk;
}

static void chunk_free(struct km_account *account, struct km_line *chunk,
                       unsigned lines)
{
    km_account_release(account, chunk_head(chunk)->raw, chunk_bytes(lines));
}

static size_t dir_bytes(uint32_t cap)
{
    return sizeof(struct km_index_dir) + (size_t)cap * sizeof(struct km_line *);
}

/* Frees up to *budget chunks of dir, and then dir itself. Returns whether dir
 * was freed. */
static bool dir_free_part(struct km_account *account, struct km_index_dir *dir,
                          unsigned *budget)
{
    for (; *budget > 0; --*budget) {
        if (dir->overflow != NULL) {
            struct km_line *chunk = dir->overflow;
            dir->overflow = chunk_head(chunk)->next;
            chunk_free(account, chunk, OVERFLOW_LINES);
        } else if (dir->count > 0) {
            chunk_free(account, dir->chunks[--dir->count], KM_CHUNK_LINES);
        } else {
            km_account_release(account, dir, dir_bytes(dir->cap));
            return true;
        }
    }
    return false;
}

void km_index_init(struct km_index *index, struct km_account *account,
                   uint64_t seed)
{
    memset(index, 0, sizeof *index);
    index->account = account;
    index->seed = seed;
}

void km_index_fini(struct km_index *index)
{
    struct km_index_detached detached = {NULL};
    km_index_detach(index, &detached);
    km_index_free_detached(&detached, index->account, UINT32_MAX);
}

void km_index_detach(struct km_index *index, struct km_index_detached *detached)
{
    if (index->dir != NULL) {
        index->dir->next = detached->dirs;
        detached->dirs = index->dir;
    }
    km_index_init(index, index->account, index->seed);
}

void km_index_free_detached(struct km_index_detached *detached,
                            struct km_account *account, unsigned n)
{
    while (detached->dirs != NULL && n > 0) {
        struct km_index_dir *next = detached->dirs->next;
        if (dir_free_part(account, detached->dirs, &n)) {
            detached->dirs = next;
        }
    }
}

/* Makes room for one more chunk in the directory. Returns false without
 * memory. */
static bool dir_reserve(struct km_index *index)
{
    struct km_index_dir *old = index->dir;
    if (old != NULL && old->count < old->cap) {
        return true;
    }
    uint32_t cap = old == NULL ? DIR_CAP_FIRST : old->cap * 2;
    struct km_index_dir *dir = km_account_alloc(index->account, dir_bytes(cap));
    if (dir == NULL) {
        return false;
    }
    memset(dir, 0, sizeof *dir);
    if (old != NULL) {
        memcpy(dir, old, dir_bytes(old->count));
        km_account_release(index->account, old, dir_bytes(old->cap));
    }
    dir->cap = cap;
    index->dir = dir;
    index->chunks = dir->chunks;
    return true;
}

/* Adds a chunk of 64 empty lines behind the buckets. Returns false without
 * memory. */
static bool add_chunk(struct km_index *index)
{
    if (!dir_reserve(index)) {
        return false;
    }
    struct km_line *chunk = chunk_new(index->account, KM_CHUNK_LINES);
    if (chunk == NULL) {
        return false;
    }
    index->dir->chunks[index->dir->count++] = chunk;
    return true;
}

static void line_release(struct km_index *index, struct km_line *line)
{
    line->next = index->free_lines;
    index->free_lines = line;
}

static bool add_overflow_chunk(struct km_index *index)
{
    struct km_line *chunk = chunk_new(index->account, OVERFLOW_LINES);
    if (chunk == NULL) {
        return false;
    }
    chunk_head(chunk)->next = index->dir->overflow;
    index->dir->overflow = chunk;
    for (unsigned i = 0; i < OVERFLOW_LINES; i++) {
        line_release(index, &chunk[i]);
    }
    return true;
}

/* Returns a zeroed overflow line, or NULL without memory. */
static struct km_line *line_take(struct km_index *index)
{
    if (index->free_lines == NULL && !add_overflow_chunk(index)) {
        return NULL;
    }
    struct km_line *line = index->free_lines;
    index->free_lines = line->next;
    memset(line, 0, sizeof *line);
    return line;
}

/* Puts a slot at the end of a chain. Returns false without memory for a
 * line. */
static bool chain_add(struct km_index *index, struct km_line *line,
                      uint64_t slot)
{
    for (;;) {
        for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
            if (line->slots[i] == 0) {
                line->slots[i] = slot;
                return true;
            }
        }
        if (line->next == NULL) {
            line->next = line_take(index);
            if (line->next == NULL) {
                return false;
            }
        }
        line = line->next;
    }
}

static uint64_t item_hash(const struct km_index *index, const kama_value *item)
{
    return km_hash(km_item_key_bytes(item), index->seed);
}

/* Puts every item of a chain into the bucket that it belongs to now, and gives
 * the overflow lines of the chain back. first is a copy of the chain's first
 * line, whose place is empty already. */
static void chain_spread(struct km_index *index, struct km_line first)
{
    for (;;) {
        for (unsigned i = 0; i < KM_LINE_SLOTS && first.slots[i] != 0; i++) {
            uint64_t hash = item_hash(index, km_slot_item(first.slots[i]));
            struct km_line *to =
                km_index_line(index, km_index_bucket(index, hash));
            KM_ASSERT(chain_add(index, to, first.slots[i]));
        }
        if (first.next == NULL) {
            return;
        }
        struct km_line *gone = first.next;
        first = *gone;
        line_release(index, gone);
    }
}

/* Splits the next bucket of the round. Without memory for a chunk, the index
 * stays as it is. */
static void grow(struct km_index *index)
{
    if (index->bucket_count % KM_CHUNK_LINES == 0 && !add_chunk(index)) {
        return;
    }
    if (index->bucket_count == index->mask_low * 2 + 2) {
        index->mask_low = index->mask_low * 2 + 1;
    }
    uint32_t b = index->bucket_count - index->mask_low - 1;
    index->bucket_count++;
    struct km_line *line = km_index_line(index, b);
    struct km_line copy = *line;
    memset(line, 0, sizeof *line);
    chain_spread(index, copy);
}

/* Sees to it that at least as many overflow lines are free as chain has lines,
 * so that joining two buckets cannot fail halfway. */
static bool lines_reserve(struct km_index *index, const struct km_line *chain)
{
    const struct km_line *line = index->free_lines;
    while (chain != NULL && line != NULL) {
        chain = chain->next;
        line = line->next;
    }
    for (; chain != NULL; chain = chain->next) {
        if (!add_overflow_chunk(index)) {
            return false;
        }
    }
    return true;
}

/* Joins the last bucket with the one it was split from. */
static void shrink(struct km_index *index)
{
    struct km_line *last = km_index_line(index, index->bucket_count - 1);
    if (!lines_reserve(index, last)) {
        return;
    }
    struct km_line copy = *last;
    memset(last, 0, sizeof *last);
    index->bucket_count--;
    if (index->bucket_count == index->mask_low + 1) {
        index->mask_low /= 2;
    }
    chain_spread(index, copy);
    if (index->bucket_count % KM_CHUNK_LINES == 0) {
        struct km_index_dir *dir = index->dir;
        chunk_free(index->account, dir->chunks[--dir->count], KM_CHUNK_LINES);
    }
}

/* Allocates the first chunk of an empty index. */
static bool first_chunk(struct km_index *index)
{
    if (index->bucket_count != 0) {
        return true;
    }
    if (!add_chunk(index)) {
        return false;
    }
    index->bucket_count = BUCKET_COUNT_MIN;
    index->mask_low = BUCKET_COUNT_MIN / 2 - 1;
    return true;
}

kama_status km_index_add(struct km_index *index, uint64_t hash,
                         kama_value *item)
{
    uint64_t address = (uint64_t)(uintptr_t)item;
    if ((address & ~KM_SLOT_ADDRESS) != 0 || !first_chunk(index)) {
        return KAMA_ERR_NO_MEMORY;
    }
    struct km_line *line = km_index_line(index, km_index_bucket(index, hash));
    if (!chain_add(index, line, km_index_tag(hash) << 48 | address)) {
        return KAMA_ERR_NO_MEMORY;
    }
    index->entry_count++;
    if (index->entry_count > (uint64_t)index->bucket_count * LOAD_GROW) {
        grow(index);
    }
    return KAMA_OK;
}

/* Takes the last slot of a chain out and returns it. A line that becomes empty
 * is given back. */
static uint64_t chain_pop(struct km_index *index, struct km_line *line)
{
    struct km_line *before = NULL;
    while (line->next != NULL) {
        before = line;
        line = line->next;
    }
    unsigned i = KM_LINE_SLOTS;
    while (line->slots[i - 1] == 0) {
        i--;
    }
    uint64_t slot = line->slots[i - 1];
    line->slots[i - 1] = 0;
    if (i == 1 && before != NULL) {
        before->next = NULL;
        line_release(index, line);
    }
    return slot;
}

void km_index_remove(struct km_index *index, uint64_t hash, uint64_t *slot)
{
    uint64_t gone = *slot;
    KM_ASSERT(gone != 0 && index->entry_count > 0);
    struct km_line *line = km_index_line(index, km_index_bucket(index, hash));
    uint64_t last = chain_pop(index, line);
    if (last != gone) {
        *slot = last;
    }
    index->entry_count--;
    if (index->bucket_count > BUCKET_COUNT_MIN &&
        index->entry_count < (uint64_t)index->bucket_count * LOAD_SHRINK) {
        shrink(index);
    }
}

/* Returns how many bits of the hash choose bucket b: one more if it was split
 * in this round, or if it is the other half of a bucket that was. */
static unsigned bucket_bits(const struct km_index *index, uint32_t b)
{
    uint32_t low = index->mask_low;
    bool split = b > low || b + low + 1 < index->bucket_count;
    return (unsigned)__builtin_popcount(low) + (split ? 1 : 0);
}

unsigned km_index_visit(const struct km_index *index, uint64_t rev,
                        km_index_visit_fn fn, void *arg)
{
    if (index->bucket_count == 0) {
        return 0;
    }
    uint32_t b = km_index_bucket(index, km_index_reverse(rev));
    const struct km_line *line = km_index_line(index, b);
    for (; line != NULL; line = line->next) {
        for (unsigned i = 0; i < KM_LINE_SLOTS && line->slots[i] != 0; i++) {
            fn(arg, km_slot_item(line->slots[i]));
        }
    }
    return bucket_bits(index, b);
}

/* Asserts that every slot of the chain belongs to bucket b. Returns how many
 * slots are in use. */
static uint64_t check_chain(const struct km_index *index, uint32_t b)
{
    uint64_t count = 0;
    const struct km_line *line = km_index_line(index, b);
    for (; line != NULL; line = line->next) {
        for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
            uint64_t slot = line->slots[i];
            KM_ASSERT(slot != 0 || line->next == NULL);
            if (slot == 0) {
                continue;
            }
            KM_ASSERT(i == 0 || line->slots[i - 1] != 0);
            uint64_t hash = item_hash(index, km_slot_item(slot));
            KM_ASSERT(km_index_bucket(index, hash) == b);
            KM_ASSERT(slot >> 48 == km_index_tag(hash));
            count++;
        }
    }
    return count;
}

/* Every overflow line is either behind a bucket or free, and none is lost. */
static void check_overflow(const struct km_index *index)
{
    uint64_t lines = 0;
    uint64_t used = 0;
    struct km_line *chunk = index->dir->overflow;
    for (; chunk != NULL; chunk = chunk_head(chunk)->next) {
        lines += OVERFLOW_LINES;
    }
    for (uint32_t b = 0; b < index->bucket_count; b++) {
        const struct km_line *line = km_index_line(index, b)->next;
        for (; line != NULL; line = line->next) {
            used++;
        }
    }
    for (const struct km_line *l = index->free_lines; l != NULL; l = l->next) {
        used++;
    }
    KM_ASSERT(used == lines);
}

void km_index_check(const struct km_index *index)
{
    uint64_t count = 0;
    for (uint32_t b = 0; b < index->bucket_count; b++) {
        count += check_chain(index, b);
    }
    KM_ASSERT(count == index->entry_count);
    if (index->bucket_count > 0) {
        check_overflow(index);
        KM_ASSERT(index->bucket_count > index->mask_low);
        KM_ASSERT(index->bucket_count <= index->mask_low * 2 + 2);
        KM_ASSERT(index->dir->count ==
                  (index->bucket_count + KM_CHUNK_LINES - 1) / KM_CHUNK_LINES);
    }
}
