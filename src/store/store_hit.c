/* SPDX-License-Identifier: MIT */
/*
 * The reader's half of words.h. A hit is good if, after everything was read, nothing
 * of this has changed:
 *
 *     the sequence of the line   an entry of it was moved, replaced or removed
 *     shape of the index         the line itself may be something else by now
 *     epoch of the shard         the store was cleared, or entries were hidden
 *
 * Whatever is read before that check may be garbage. So each address that is computed
 * from it stays inside of a segment, whose memory is never unmapped, and inside of buf.
 */
#include "store/store_hit.h"

#include "store/store_internal.h"

/* Returns whether the entry has not expired for sure. */
static bool is_fresh(const struct km_shard *shard, const km_word *record,
                     uint64_t header)
{
    km_ns at =
        km_word_get(&record[km_record_field_word(header, KM_RECORD_EXPIRES)]);
    return at != 0 && !km_has_expired(&shard->account->clock, at);
}

/* One hit. The value is copied to buf, or into an item that is made for it. */
struct hit {
    const struct km_shard *shard;
    kama_bytes key;
    bool makes_item;
    void *buf;
    size_t cap;
    size_t len;
    kama_value *item;
};

/* The result of a look at a record. */
enum look { LOOK_OTHER_KEY, LOOK_HIT, LOOK_UNCLEAR };

/* The records that need the lock. An item has no fields for an expiry or a version of the loader
 * here; a stamp it has. */
#define LOCKED_FLAGS (KM_RECORD_NEGATIVE | KM_RECORD_BLOCK | KM_RECORD_DEAD)
#define ITEM_LOCKED_FLAGS (LOCKED_FLAGS | KM_RECORD_EXPIRES | KM_RECORD_VERSION)

/* Returns whether the value of the record may be copied without the lock. */
static KM_ALWAYS_INLINE bool is_plain(const struct hit *hit,
                                      const km_word *record, uint64_t header)
{
    if (hit->makes_item) {
        return (header & ITEM_LOCKED_FLAGS) == 0;
    }
    return (header & LOCKED_FLAGS) == 0 &&
           km_record_inline_len(header) <= hit->cap &&
           ((header & KM_RECORD_EXPIRES) == 0 ||
            is_fresh(hit->shard, record, header));
}

/* Returns the stamp of a record, which is read without the lock. */
static KM_ALWAYS_INLINE struct km_version stamp_of(const km_word *record,
                                                   uint64_t header)
{
    struct km_version stamp = {0, 0};
    if (KM_UNLIKELY((header & KM_RECORD_EXPLICIT) != 0)) {
        unsigned i = km_record_field_word(header, KM_RECORD_EXPLICIT);
        stamp.hlc = km_word_get(&record[i]);
        stamp.origin = km_word_get(&record[i + 1]);
    }
    return stamp;
}

/* Compares the record at ref, and copies its value. It is a part of each of the two
 * kinds of hits, so that the hit stays in registers. */
static KM_ALWAYS_INLINE enum look read_record(struct hit *hit, km_ref ref)
{
    const struct km_log *log = &hit->shard->log;
    const km_word *base = km_chunks_get(&log->bases, ref >> log->offset_bits);
    uint32_t offset = ref & log->offset_mask;
    if (KM_UNLIKELY(base == NULL)) {
        return LOOK_UNCLEAR;
    }
    const km_word *record = base + offset;
    __builtin_prefetch((const char *)record + 64);
    __builtin_prefetch((const char *)record + 128);
    uint64_t header = km_word_get(&record[0]);
    size_t key_len = km_record_key_len(header);
    if (key_len != hit->key.len) {
        return LOOK_OTHER_KEY;
    }
    if (KM_UNLIKELY(offset * 8 + km_record_end(header) > log->segment_bytes)) {
        return LOOK_UNCLEAR;
    }
    const km_word *at = record + km_record_key_word(header);
    if (!km_words_equal(at, hit->key.data, key_len)) {
        return LOOK_OTHER_KEY;
    }
    if (KM_UNLIKELY(!is_plain(hit, record, header))) {
        return LOOK_UNCLEAR;
    }
    hit->len = km_record_inline_len(header);
    if (hit->makes_item) {
        const struct km_item_spec spec = {.stamp = stamp_of(record, header)};
        hit->item =
            km_item_make(hit->shard->account, &spec, NULL, (uint32_t)hit->len);
        if (hit->item == NULL) {
            return LOOK_UNCLEAR;
        }
        hit->buf = km_item_value_at(hit->item);
    }
    km_words_copy(hit->buf, at + key_len / 8, key_len % 8, hit->len);
    return LOOK_HIT;
}

/* Looks a key up. Returns false if the lock is needed to tell. */
static KM_ALWAYS_INLINE bool look_up(struct km_store *store, uint64_t hash,
                                     struct hit *hit)
{
    const struct km_shard *shard = hit->shard;
    const struct km_index *index = &shard->index;
    uint64_t epoch =
        atomic_load_explicit(&shard->open_epoch, memory_order_acquire);
    uint64_t shape = atomic_load_explicit(&index->shape, memory_order_acquire);
    if (KM_UNLIKELY(epoch != atomic_load_explicit(&store->epoch,
                                                  memory_order_acquire) ||
                    km_index_is_empty(shape))) {
        return false;
    }
    uint64_t tag = km_index_tag(hash);
    struct km_line *line = km_index_line(index, km_index_bucket(shape, hash));
    for (; line != NULL; line = km_index_next(index, line)) {
        uint32_t seq = atomic_load_explicit(&line->seq, memory_order_acquire);
        for (uint64_t m = km_line_match(line, tag); m != 0; m &= m - 1) {
            unsigned slot = km_match_slot(m);
            km_ref ref = km_line_ref(line, slot);
            enum look look = ref == 0 ? LOOK_OTHER_KEY : read_record(hit, ref);
            if (look == LOOK_OTHER_KEY) {
                continue;
            }
            KM_FENCE_ACQUIRE();
            if (KM_UNLIKELY(
                    look == LOOK_UNCLEAR || (seq & 1u) != 0 ||
                    atomic_load_explicit(&line->seq, memory_order_relaxed) !=
                        seq ||
                    atomic_load_explicit(&index->shape, memory_order_relaxed) !=
                        shape ||
                    atomic_load_explicit(&shard->open_epoch,
                                         memory_order_relaxed) != epoch)) {
                return false;
            }
            km_line_touch(line, slot);
            km_store_count(store, false);
            return true;
        }
    }
    return false;
}

struct km_found km_store_copy_why(struct km_store *store, uint64_t hash,
                                  kama_bytes key, void *buf, size_t cap,
                                  size_t *ret_len)
{
    struct hit hit = {.shard = km_store_shard(store, hash),
                      .key = key,
                      .buf = buf,
                      .cap = cap};
    if (KM_UNLIKELY(!look_up(store, hash, &hit))) {
        return km_store_copy_locked(store, hash, key, buf, cap, ret_len);
    }
    *ret_len = hit.len;
    return (struct km_found){.status = KAMA_OK};
}

kama_value *km_store_hit_item(struct km_store *store, uint64_t hash,
                              kama_bytes key)
{
    struct hit hit = {
        .shard = km_store_shard(store, hash), .key = key, .makes_item = true};
    if (!look_up(store, hash, &hit)) {
        kama_value_unref(hit.item);
        return NULL;
    }
    return hit.item;
}

/* -- prefetches ------------------------------------------------------------ */

static struct km_line *first_line(const struct km_shard *shard, uint64_t hash)
{
    uint64_t shape =
        atomic_load_explicit(&shard->index.shape, memory_order_acquire);
    return atomic_load_explicit(&shard->open_epoch, memory_order_relaxed) ==
                       KM_SHUT ||
                   km_index_is_empty(shape)
               ? NULL
               : km_index_line(&shard->index, km_index_bucket(shape, hash));
}

void km_store_prefetch_line(const struct km_store *store, uint64_t hash)
{
    struct km_line *line = first_line(km_store_shard(store, hash), hash);
    if (line != NULL) {
        __builtin_prefetch(line);
    }
}

/* The ref may be old or torn: a prefetch of any address is harmless. */
void km_store_prefetch_record(const struct km_store *store, uint64_t hash)
{
    const struct km_shard *shard = km_store_shard(store, hash);
    struct km_line *line = first_line(shard, hash);
    uint64_t match = line == NULL ? 0 : km_line_match(line, km_index_tag(hash));
    if (match == 0) {
        return;
    }
    const char *record = (const char *)km_log_at(
        &shard->log, km_line_ref(line, km_match_slot(match)));
    if (record != NULL) {
        __builtin_prefetch(record);
        __builtin_prefetch(record + 64);
        __builtin_prefetch(record + 128);
    }
}
