/* SPDX-License-Identifier: MIT */
/*
 * A shard: lookups and mutations, all under its lock.
 *
 * A record is written before the index says where it is, and it becomes a hole after
 * the index has forgotten it. So a thread that reads without the lock never finds a
 * slot whose record is not written, and sees by the line's sequence that an entry has
 * left before the bytes are used again.
 */
#include "store/shard.h"

#include "store/rules.h"
#include "store/store.h"

#include <sched.h>

bool km_shard_init(struct km_shard *shard,
                   const struct km_store_options *options,
                   struct km_account *account, const _Atomic uint64_t *epoch,
                   uint32_t segment_bytes, uint64_t budget)
{
    memset(shard, 0, sizeof *shard);
    if (!km_mutex_init(&shard->lock, KM_RANK_STORE)) {
        return false;
    }
    shard->account = account;
    shard->store_epoch = epoch;
    shard->slot_seed = options->slot_seed;
    shard->expires_next = KM_NS_NEVER;
    shard->keep_at = KM_NS_NEVER;
    shard->is_locked_for_hits =
        !account->pages.is_own || options->policy->used != NULL;
    atomic_init(&shard->open_epoch, shard->is_locked_for_hits ? KM_SHUT : 0);
    km_log_init(&shard->log, account, segment_bytes);
    km_index_init(&shard->index, account, &shard->log, options->seed);
    km_policy_init(&shard->policy, options->policy, account, &shard->log,
                   &shard->index, budget);
    km_departed_init(&shard->departed, account, budget);
    return true;
}

/* -- the lock and the epoch ------------------------------------------------ */

/* Forgets all entries at once, in O(1): segments and lines are freed by later steps. */
static void forget_all(struct km_shard *shard)
{
    shard->counts.forgotten[KM_FORGET_CLEARED] += shard->index.entry_count;
    km_departed_clear(&shard->departed);
    km_index_clear(&shard->index);
    km_log_clear(&shard->log);
    km_policy_clear(&shard->policy);
    if (shard->floors != NULL &&
        KM_STORE_KEEPS(KM_STORE_R5_FLOOR)) { /* for all of them */
        km_floors_raise_all(shard->floors, shard->newest_hlc);
    }
    shard->newest_hlc = 0;
    shard->counts.payload_bytes = 0;
    shard->counts.negative = 0;
    shard->expiring = 0;
    shard->expires_next = KM_NS_NEVER;
    km_shard_keep_by_locked(shard, 0);
    km_shard_overtake_all_locked(shard);
}

void km_shard_lock(struct km_shard *shard, struct km_gone *gone)
{
    gone->count = 0;
    gone->bytes = 0;
    km_mutex_lock(&shard->lock);
    shard->gone = gone;
    (void)km_shard_catch_up_locked(shard);
}

/* R6: whoever stores an entry has brought the shard to the epoch first. The load is
 * seq_cst, because it is one side of a store-load pair (store_epoch.h). */
bool km_shard_catch_up_locked(struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t epoch = atomic_load(shard->store_epoch);
    if (KM_LIKELY(epoch == shard->epoch)) {
        return false;
    }
    while ((epoch & 1) != 0) {
        (void)sched_yield();
        epoch = atomic_load(shard->store_epoch);
    }
    forget_all(shard);
    shard->epoch = epoch;
    km_shard_open_locked(shard);
    return true;
}

void km_shard_open_locked(struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    bool open = shard->hidden == NULL && !shard->is_locked_for_hits;
    atomic_store_explicit(&shard->open_epoch, open ? shard->epoch : KM_SHUT,
                          memory_order_release);
}

void km_gone_free(struct km_gone *gone)
{
    for (unsigned i = 0; i < gone->count; i++) {
        km_block_unref_slowly(gone->blocks[i]);
    }
    gone->count = 0;
    gone->bytes = 0;
}

void km_shard_unlock(struct km_shard *shard, struct km_gone *gone)
{
    shard->gone = NULL;
    km_mutex_unlock(&shard->lock);
    if (KM_LIKELY(gone->count == 0)) {
        return;
    }
    km_gone_free(gone);
    if (km_pages_has_leaving(&shard->account->blocks)) {
        km_keep_by(shard->store_keep_at, 0);
    }
}

void km_shard_drop_block_locked(struct km_shard *shard, const km_word *record)
{
    struct km_block *block = km_record_block(record);
    struct km_gone *gone = shard->gone;
    if (block == NULL) {
        return;
    }
    if (gone->count < KM_GONE_MAX) {
        gone->blocks[gone->count++] = block;
        gone->bytes += km_block_sole_charge(block);
    } else {
        km_block_unref_slowly(block);
    }
}

/* -- counts ---------------------------------------------------------------- */

static uint64_t payload(const km_word *record)
{
    return km_record_key(record).len + km_record_value(record).len;
}

static void count_in(struct km_shard *shard, const km_word *record)
{
    uint64_t header = km_record_header(record);
    km_ns at = km_record_expires_at(record);
    shard->counts.payload_bytes += payload(record);
    shard->counts.negative += (header & KM_RECORD_NEGATIVE) != 0;
    shard->expiring += at != 0;
    if (at != 0 && at < shard->expires_next) {
        shard->expires_next = at;
    }
    if (at != 0) {
        km_shard_keep_by_locked(shard, at);
    }
    if (KM_UNLIKELY((header & KM_RECORD_EXPLICIT) != 0)) {
        uint64_t hlc = km_record_stamp(record).hlc;
        shard->newest_hlc = hlc > shard->newest_hlc ? hlc : shard->newest_hlc;
    }
}

static void count_out(struct km_shard *shard, const km_word *record)
{
    uint64_t header = km_record_header(record);
    KM_ASSERT(shard->counts.payload_bytes >= payload(record));
    shard->counts.payload_bytes -= payload(record);
    shard->counts.negative -= (header & KM_RECORD_NEGATIVE) != 0;
    shard->expiring -= (header & KM_RECORD_EXPIRES) != 0;
}

/* -- removal --------------------------------------------------------------- */

/* R5: an older set must not come back when an explicit entry is forgotten. An heir that
 * is explicit bars it by its own stamp, which is not smaller. */
static void raise_floor(struct km_shard *shard, const km_word *record,
                        uint64_t heir)
{
    if ((heir & KM_RECORD_EXPLICIT) == 0) {
        uint64_t hash = km_index_hash(&shard->index, record);
        km_floors_raise(shard->floors, hash, km_record_stamp(record).hlc);
    }
}

/* The one function through which every record leaves. `heir` is the header of the record
 * that takes its place, or 0. */
static void forget(struct km_shard *shard, const km_word *record, uint64_t heir)
{
    uint64_t header = km_record_header(record);
    if (shard->floors != NULL && (header & KM_RECORD_EXPLICIT) != 0 &&
        KM_STORE_KEEPS(KM_STORE_R5_FLOOR)) {
        raise_floor(shard, record, heir);
    }
    count_out(shard, record);
    km_shard_drop_block_locked(shard, record);
}

/* Makes a hole of a record, which the index has forgotten. */
static void bury(struct km_shard *shard, km_ref ref, uint64_t heir)
{
    if (shard->policy.ops->left != NULL) {
        shard->policy.ops->left(&shard->policy, ref);
    }
    forget(shard, km_log_at(&shard->log, ref), heir);
    km_log_kill(&shard->log, ref);
}

/* Notes why the key of an entry has left. The entry is still in its queue. */
static void note_departure(struct km_shard *shard, uint64_t hash, km_ref ref,
                           enum km_forget why)
{
    unsigned queue = km_log_queue_of(&shard->log, ref);
    if (why == KM_FORGET_EXPIRED) {
        km_departed_note(&shard->departed, hash, KM_MISS_EXPIRED);
    } else if (why == KM_FORGET_DELETED) {
        km_departed_note(&shard->departed, hash, KM_MISS_DELETED);
    } else if (why == KM_FORGET_CAPACITY &&
               !km_policy_has_ghosts(&shard->policy, queue)) {
        km_departed_note(&shard->departed, hash, KM_MISS_EVICTED);
    }
}

void km_shard_take_out_locked(struct km_shard *shard, uint64_t hash,
                              const struct km_place *place, enum km_forget why)
{
    KM_ASSERT_HELD(&shard->lock);
    km_ref ref = place->ref;
    shard->counts.forgotten[why]++;
    note_departure(shard, hash, ref, why);
    km_index_remove(&shard->index, hash, place);
    bury(shard, ref, 0);
}

void km_shard_take_out_ref_locked(struct km_shard *shard, km_ref ref,
                                  enum km_forget why)
{
    struct km_choice choice;
    km_choice_find(&shard->policy, ref, &choice);
    km_shard_take_out_locked(shard, choice.hash, &choice.place, why);
}

void km_shard_expect_miss_locked(const struct km_shard *shard, uint64_t hash)
{
    KM_ASSERT_HELD(&shard->lock);
    km_ghost_prefetch(&shard->policy.ghosts[0], hash);
    km_ghost_prefetch(&shard->policy.ghosts[1], hash);
    km_ghost_prefetch(&shard->departed.ghosts, hash);
}

enum km_miss km_shard_why_locked(const struct km_shard *shard, uint64_t hash)
{
    KM_ASSERT_HELD(&shard->lock);
    return km_policy_has_ghost_of(&shard->policy, hash)
               ? KM_MISS_EVICTED
               : km_departed_why(&shard->departed, hash);
}

bool km_shard_is_hidden_locked(const struct km_shard *shard, kama_bytes key)
{
    KM_ASSERT_HELD(&shard->lock);
    return shard->hidden != NULL &&
           km_slot_map_has(shard->hidden, km_slot_of(shard->slot_seed, key));
}

bool km_shard_has_expired(const struct km_shard *shard, const km_word *record)
{
    km_ns at = km_record_expires_at(record);
    return at != 0 && km_has_expired(&shard->account->clock, at);
}

struct km_place km_shard_find_locked(struct km_shard *shard, uint64_t hash,
                                     kama_bytes key)
{
    KM_ASSERT_HELD(&shard->lock);
    struct km_place place = km_index_find(&shard->index, hash, key);
    if (place.ref == 0) {
        return place;
    }
    bool hidden = km_shard_is_hidden_locked(shard, key);
    if (KM_UNLIKELY(hidden || km_shard_has_expired(
                                  shard, km_shard_record(shard, &place)))) {
        km_shard_take_out_locked(shard, hash, &place,
                                 hidden ? KM_FORGET_MOVED : KM_FORGET_EXPIRED);
        place.ref = 0;
    }
    return place;
}

bool km_shard_del_locked(struct km_shard *shard, uint64_t hash, kama_bytes key)
{
    struct km_place place = km_shard_find_locked(shard, hash, key);
    if (place.ref == 0) {
        return false;
    }
    bool live = !km_shard_is_negative(shard, &place);
    km_shard_take_out_locked(shard, hash, &place, KM_FORGET_DELETED);
    return live;
}

/* -- put ------------------------------------------------------------------- */

static void write_stamp(km_word *record, const struct km_shard_put *put)
{
    if ((put->header & KM_RECORD_EXPLICIT) != 0) {
        km_record_set_stamp(record, put->stamp);
    }
}

/* Writes the record over that of the same size in its place. */
static void overwrite(struct km_shard *shard, const struct km_shard_put *put)
{
    const struct km_place *place = &put->place;
    km_word *record = km_shard_record(shard, place);
    uint64_t old_header = km_record_header(record);
    uint64_t links = km_record_word(record, 1);
    forget(shard, record, put->header);
    km_line_begin(place->line);
    km_record_write(record, put->header, put->item);
    write_stamp(record, put);
    if ((put->header & KM_RECORD_LINKS) != 0) {
        km_word_set(&record[1], links);
    }
    km_line_end(place->line);
    count_in(shard, record);
    km_log_recount(&shard->log, place->ref, old_header, put->header,
                   km_record_expires_at(record));
}

/* Counts the record at put->ref, which the index has found now. */
static void count_new(struct km_shard *shard, const struct km_shard_put *put)
{
    count_in(shard, km_log_at(&shard->log, put->ref));
    if (shard->policy.ops->added != NULL) {
        shard->policy.ops->added(&shard->policy, put->ref);
    }
}

/* Lets the entry at the place be the record at put->ref, which was written. */
static void redirect(struct km_shard *shard, struct km_shard_put *put)
{
    struct km_place *place = &put->place;
    km_ref old = place->ref;
    km_line_begin(place->line);
    atomic_store_explicit(&place->line->refs[place->slot], put->ref,
                          KM_WORD_WRITE);
    km_line_end(place->line);
    place->ref = put->ref;
    count_new(shard, put);
    bury(shard, old, put->header);
}

/* Makes a hole of a record that no index knows. */
static void abandon(struct km_shard *shard, km_ref ref)
{
    km_shard_drop_block_locked(shard, km_log_at(&shard->log, ref));
    km_log_kill(&shard->log, ref);
}

/* Writes a new record: that of an entry which is there becomes the youngest of its
 * queue. */
static kama_status reserve_new(struct km_shard *shard, struct km_shard_put *put)
{
    km_ref old = put->place.ref;
    unsigned queue =
        old != 0 ? km_log_queue_of(&shard->log, old)
                 : km_policy_queue(&shard->policy, put->hash, &put->freq);
    put->ref = km_log_append(&shard->log, queue, put->header,
                             km_item_expires_at(put->item));
    if (put->ref == 0) {
        return KAMA_ERR_NO_MEMORY;
    }
    km_record_write(km_log_at(&shard->log, put->ref), put->header, put->item);
    if (old == 0 && km_index_reserve(&shard->index, put->hash) != KAMA_OK) {
        abandon(shard, put->ref);
        return KAMA_ERR_NO_MEMORY;
    }
    return KAMA_OK;
}

kama_status km_shard_put_reserve_at_locked(struct km_shard *shard,
                                           struct km_shard_put *put)
{
    KM_ASSERT_HELD(&shard->lock);
    put->header = km_record_header_of(put->item, shard->policy.ops->has_links) |
                  (km_version_is_set(put->stamp) ? KM_RECORD_EXPLICIT : 0);
    put->ref = put->place.ref;
    if (put->ref != 0 && km_record_bytes(put->header) ==
                             km_record_bytes(km_record_header(
                                 km_shard_record(shard, &put->place)))) {
        return KAMA_OK;
    }
    return reserve_new(shard, put);
}

kama_status km_shard_put_reserve_locked(struct km_shard *shard,
                                        struct km_shard_put *put)
{
    KM_ASSERT_HELD(&shard->lock);
    put->place =
        km_index_find(&shard->index, put->hash, km_item_key_bytes(put->item));
    return km_shard_put_reserve_at_locked(shard, put);
}

/* An entry that is replaced counts as used. */
void km_shard_put_commit_locked(struct km_shard *shard,
                                struct km_shard_put *put)
{
    KM_ASSERT_HELD(&shard->lock);
    if (put->ref == put->place.ref) {
        overwrite(shard, put);
        km_policy_hit(&shard->policy, &put->place);
        return;
    }
    write_stamp(km_log_at(&shard->log, put->ref), put);
    if (put->place.ref != 0) {
        redirect(shard, put);
        km_policy_hit(&shard->policy, &put->place);
    } else {
        km_index_add(&shard->index, put->hash, put->freq, put->ref);
        count_new(shard, put);
    }
}

void km_shard_put_cancel_locked(struct km_shard *shard,
                                const struct km_shard_put *put)
{
    KM_ASSERT_HELD(&shard->lock);
    if (put->ref != put->place.ref) {
        abandon(shard, put->ref);
    }
}

kama_status km_shard_put_locked(struct km_shard *shard, uint64_t hash,
                                const kama_value *item)
{
    struct km_shard_put put = {
        .hash = hash, .item = item, .stamp = km_item_stamp(item)};
    kama_status st = km_shard_put_reserve_locked(shard, &put);
    if (st == KAMA_OK) {
        km_shard_put_commit_locked(shard, &put);
    }
    return st;
}

/* -- buckets --------------------------------------------------------------- */

/* The entries that a look at one bucket has found, and that are to leave. A bucket
 * rarely has more than two lines; if it does, the look is repeated. */
#define FOUND_MAX (KM_LINE_SLOTS * 2)

struct found {
    const struct km_shard *shard;
    km_ref refs[FOUND_MAX];
    unsigned count;
};

static void find_dead(void *arg, km_ref ref)
{
    struct found *found = arg;
    const km_word *record = km_log_at(&found->shard->log, ref);
    if (found->count < FOUND_MAX &&
        (km_shard_has_expired(found->shard, record) ||
         km_shard_is_hidden_locked(found->shard, km_record_key(record)))) {
        found->refs[found->count++] = ref;
    }
}

unsigned km_shard_clean_bucket_locked(struct km_shard *shard, uint64_t rev)
{
    KM_ASSERT_HELD(&shard->lock);
    struct found found = {.shard = shard};
    unsigned bits;
    do {
        found.count = 0;
        bits = km_index_visit(&shard->index, rev, find_dead, &found);
        for (unsigned i = 0; i < found.count; i++) {
            kama_bytes key =
                km_record_key(km_log_at(&shard->log, found.refs[i]));
            bool hidden = km_shard_is_hidden_locked(shard, key);
            km_shard_take_out_ref_locked(shard, found.refs[i],
                                         hidden ? KM_FORGET_MOVED
                                                : KM_FORGET_EXPIRED);
        }
    } while (found.count == FOUND_MAX);
    return bits;
}

/* -- check ----------------------------------------------------------------- */

/* The sums over all entries. */
struct check_sums {
    const struct km_shard *shard;
    uint64_t payload;
    uint64_t negative;
    uint64_t expiring;
};

static void check_visit(void *arg, km_ref ref)
{
    struct check_sums *sums = arg;
    const km_word *record = km_log_at(&sums->shard->log, ref);
    uint64_t header = km_record_header(record);
    KM_ASSERT((header & KM_RECORD_DEAD) == 0);
    sums->payload += payload(record);
    sums->negative += (header & KM_RECORD_NEGATIVE) != 0;
    sums->expiring += (header & KM_RECORD_EXPIRES) != 0;
}

/* Asserts that the counters are the sums over all entries of the index. */
static void check_entries(struct km_shard *shard)
{
    struct check_sums sums = {.shard = shard};
    uint64_t rev = 0;
    do {
        unsigned bits = km_index_visit(&shard->index, rev, check_visit, &sums);
        rev += bits == 0 ? 0 : (uint64_t)1 << (64 - bits);
    } while (rev != 0);
    KM_ASSERT(sums.payload == shard->counts.payload_bytes);
    KM_ASSERT(sums.negative == shard->counts.negative);
    KM_ASSERT(sums.expiring == shard->expiring);
}

void km_shard_check(struct km_shard *shard)
{
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    km_index_check(&shard->index);
    km_log_check(&shard->log);
    km_policy_check(&shard->policy);
    KM_ASSERT(shard->log.queues[0].count + shard->log.queues[1].count ==
              shard->index.entry_count);
    check_entries(shard);
    km_shard_check_fills_locked(shard);
    km_shard_unlock(shard, &gone);
}
