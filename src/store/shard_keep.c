/* SPDX-License-Identifier: MIT */
/*
 * The housekeeping of a shard, in bounded steps. When memory is needed, it is given up in
 * this order:
 *
 *     1. segments that a clear has left
 *     2. expired entries, by the segment: entries that were written at the same time
 *        usually expire at the same time
 *     3. holes, if there are many: the sweep makes whole segments of them
 *     4. victims of the policy
 */
#include "store/shard.h"

#define SWEEP_PER_BYTE 20u /* bytes that are looked at for each one changed */
#define SWEEP_MIN 1024u    /* bytes that are looked at in a step */
#define SWEEP_FOR_ROOM 32768u /* the same, if memory is needed */
#define TRIM_PER_STEP 2u      /* chunks of the index */
#define EVICT_PER_BYTE 4u /* bytes for each one changed, if the log is full */
#define EVICT_MIN 4096u   /* bytes in a step, likewise */
#define STEPS_PER_UNMAP 128u /* as costly as so many victims */
#define DROPS_PER_STEP 16u   /* blocks that a clear has left */
#define PAGES_PER_DROP 64u   /* a block with so many pages counts as one more */
/* A segment is looked through when this part of the time has passed in which its
 * entries expire, so that a look finds many. */
#define EXPIRES_PART 16u
/* How much of a segment is looked through in a step. */
#define EXPIRED_PER_STEP 64u
#define LOOKED_PER_STEP 1024u
#define LOOKS_PER_STEP 16u /* records that stay cost little */

/* Entries whose lines of the index are fetched at the same time. */
#define AHEAD 16u

/* Asks for the lines of the index of some records, beginning with ref, without waiting
 * for them. A housekeeper comes to records that nobody has used for long, and would
 * wait for each line in turn. */
static void look_ahead(const struct km_shard *shard, km_ref ref)
{
    const struct km_index *index = &shard->index;
    uint64_t shape = atomic_load_explicit(&index->shape, memory_order_relaxed);
    for (unsigned i = 0; i < AHEAD && ref != 0; i++) {
        uint64_t hash = km_index_hash(index, km_log_at(&shard->log, ref));
        __builtin_prefetch(km_index_line(index, km_index_bucket(shape, hash)),
                           1);
        ref = km_log_next(&shard->log, ref);
    }
}

/* -- segments of a clear --------------------------------------------------- */

/* Unmaps a part of a large block that has left. Returns the steps that it took. */
static unsigned unmap_some(struct km_shard *shard)
{
    struct km_pages *blocks = &shard->account->blocks;
    if (KM_LIKELY(!km_pages_has_leaving(blocks))) {
        return 0;
    }
    km_pages_leave(blocks);
    return STEPS_PER_UNMAP;
}

/* Gives back blocks of a segment that a clear has left, until many have left under
 * this lock. Returns the steps that it took. */
static unsigned drop_blocks(struct km_shard *shard, uint32_t number)
{
    struct km_log *log = &shard->log;
    unsigned steps = 0;
    km_ref ref = km_log_first(log, number);
    while (ref != 0 && log->segments[number].blocks > 0 &&
           steps < DROPS_PER_STEP && !km_gone_is_full(shard->gone)) {
        km_ref next = km_log_next(log, ref);
        km_word *record = km_log_at(log, ref);
        uint64_t header = km_record_header(record);
        if ((header & KM_RECORD_BLOCK) != 0) {
            steps += 1 + (unsigned)(km_record_pages(header) / PAGES_PER_DROP);
            km_shard_drop_block_locked(shard, record);
            km_log_forget(log, ref);
        }
        ref = next;
    }
    return steps;
}

/* Frees one segment that a clear has left, or some of its blocks. Returns the steps
 * that it took. */
static unsigned drop_segment(struct km_shard *shard)
{
    uint32_t number = km_log_dropped(&shard->log);
    if (number == 0) {
        return 0;
    }
    unsigned steps = drop_blocks(shard, number);
    if (shard->log.segments[number].blocks == 0) {
        km_log_drop(&shard->log);
    }
    return steps + 1;
}

/* -- expired entries -------------------------------------------------------- */

/* Returns the time from which a segment is worth a look. A look that has begun goes
 * on at once. */
static km_ns segment_due(const struct km_segment *s, km_ns patience)
{
    if (s->is_looked_at) {
        return 0;
    }
    if (s->expires_first == KM_NS_NEVER) {
        return KM_NS_NEVER;
    }
    km_ns wait = (s->expires_last - s->expires_first) / EXPIRES_PART;
    return s->expires_first + (wait < patience ? wait : patience);
}

/* Returns a segment that is due. If there is none, it returns 0, and *ret_next is when
 * one will be. */
static uint32_t find_due(const struct km_shard *shard, km_ns now,
                         km_ns patience, km_ns *ret_next)
{
    km_ns next = KM_NS_NEVER;
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        uint32_t i = shard->log.queues[q].oldest;
        for (; i != 0; i = shard->log.segments[i].next) {
            km_ns due = segment_due(&shard->log.segments[i], patience);
            if (due <= now) {
                return i;
            }
            next = due < next ? due : next;
        }
    }
    *ret_next = next;
    return 0;
}

/* Looks at some records of a segment and takes out those that have expired. Returns
 * the steps that it took. The segment is freed with its last record. */
static unsigned expire_segment(struct km_shard *shard, uint32_t number,
                               km_ns now)
{
    const struct km_segment *s = &shard->log.segments[number];
    unsigned seen = 0;
    unsigned expired = 0;
    km_ref ref;
    while (s->base != NULL && seen < LOOKED_PER_STEP &&
           expired < EXPIRED_PER_STEP && !km_gone_is_full(shard->gone) &&
           (ref = km_log_look(&shard->log, number)) != 0) {
        km_ns at = km_record_expires_at(km_log_at(&shard->log, ref));
        if (seen % AHEAD == 0) {
            look_ahead(shard, ref);
        }
        seen++;
        if (at == 0 || at > now) {
            km_log_note_expiry(&shard->log, number, at);
        } else {
            km_shard_take_out_ref_locked(shard, ref, KM_FORGET_EXPIRED);
            expired++;
        }
    }
    return 1 + expired + seen / LOOKS_PER_STEP;
}

/* Takes some expired entries out, if a segment is due after so much patience; if not,
 * *next becomes the time at which one will be. Returns the steps that it took. */
static unsigned expire(struct km_shard *shard, km_ns patience, km_ns *next)
{
    km_ns now = km_clock_coarse(&shard->account->clock);
    if (shard->expiring == 0 || now < *next) {
        return 0;
    }
    uint32_t number = find_due(shard, now, patience, next);
    return number == 0 ? 0 : expire_segment(shard, number, now);
}

/* -- holes ------------------------------------------------------------------ */

/* Moves a record to its new place, and tells the index and the policy. */
static void move(void *arg, km_ref from, km_ref to, uint32_t bytes)
{
    struct km_shard *shard = arg;
    struct km_choice choice;
    km_choice_find(&shard->policy, from, &choice);
    km_line_begin(choice.place.line);
    km_words_move(km_log_at(&shard->log, to), km_log_at(&shard->log, from),
                  bytes);
    atomic_store_explicit(&choice.place.line->refs[choice.place.slot], to,
                          KM_WORD_WRITE);
    km_line_end(choice.place.line);
    if (shard->policy.ops->moved != NULL) {
        shard->policy.ops->moved(&shard->policy, from, to);
    }
}

/* Slides records of a queue that has many holes. Returns whether there are more. */
static bool slide(struct km_shard *shard, uint64_t bytes)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        if (km_log_wants_sweep(&shard->log, q) &&
            km_log_sweep(&shard->log, q, bytes, move, shard)) {
            return true;
        }
    }
    return false;
}

/* -- victims ---------------------------------------------------------------- */

/* Appends the record of a choice to the queue that it moves on to. Returns false
 * without memory for a segment. */
static bool move_on(struct km_shard *shard, struct km_choice *choice)
{
    km_word *record = km_shard_record(shard, &choice->place);
    uint64_t header = km_record_header(record);
    km_ref to = km_log_append(&shard->log, choice->queue, header,
                              km_record_expires_at(record));
    if (to == 0) {
        return false;
    }
    move(shard, choice->place.ref, to, km_record_bytes(header));
    km_line_set_freq(choice->place.line, choice->place.slot, choice->freq);
    km_log_kill(&shard->log, choice->place.ref);
    return true;
}

/* Lets the choice leave. */
static void evict(struct km_shard *shard, const struct km_choice *choice,
                  bool expired)
{
    if (!expired && shard->policy.ops->evicted != NULL) {
        shard->policy.ops->evicted(&shard->policy, choice);
    }
    km_shard_take_out_locked(shard, choice->hash, &choice->place,
                             expired ? KM_FORGET_EXPIRED : KM_FORGET_CAPACITY);
}

/* Chooses another record than that of the newcomer: the oldest of the other queue or, if
 * there is none, the next one of the same queue, behind which the newcomer goes. */
static void choose_another(struct km_shard *shard, struct km_choice *choice)
{
    unsigned other = 1 - km_log_queue_of(&shard->log, choice->place.ref);
    km_ref ref = km_log_oldest(&shard->log, other);
    if (ref == 0 && shard->policy.ops->has_links) {
        shard->policy.ops->used(&shard->policy, choice->place.ref);
        shard->policy.ops->choose(&shard->policy, choice);
        return;
    }
    if (ref == 0) {
        choice->stays = true;
        choice->queue = 1 - other;
        choice->freq = km_line_freq(choice->place.line, choice->place.slot);
        return;
    }
    *choice = (struct km_choice){.queue = other};
    km_choice_find(&shard->policy, ref, choice);
}

/* How many records of each queue were looked ahead at. */
struct ahead {
    unsigned left[KM_LOG_QUEUES];
};

static void look_ahead_of_queues(struct km_shard *shard, struct ahead *ahead)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        if (ahead->left[q] == 0) {
            look_ahead(shard, km_log_oldest(&shard->log, q));
            ahead->left[q] = AHEAD;
        }
    }
}

/* Lets the next record leave or move on. Returns false if there is none but that of the
 * newcomer. */
static bool evict_one(struct km_shard *shard,
                      const struct km_eviction *eviction, struct ahead *ahead)
{
    struct km_choice choice;
    look_ahead_of_queues(shard, ahead);
    km_policy_note_full(&shard->policy);
    shard->policy.ops->choose(&shard->policy, &choice);
    if (choice.place.ref == 0) {
        return false;
    }
    ahead->left[km_log_queue_of(&shard->log, choice.place.ref)]--;
    bool spared = choice.hash == eviction->newcomer;
    if (spared && shard->index.entry_count == 1) {
        return false;
    }
    if (spared) {
        choose_another(shard, &choice);
        spared = choice.hash == eviction->newcomer;
    }
    bool expired =
        km_shard_has_expired(shard, km_shard_record(shard, &choice.place));
    bool stays = choice.stays && eviction->mode == KM_EVICT_BY_POLICY;
    if (expired || !(stays || spared) || !move_on(shard, &choice)) {
        evict(shard, &choice, expired);
    }
    return true;
}

uint64_t km_shard_bytes_locked(const struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    const struct km_log_queue *queues = shard->log.queues;
    return km_log_dropped(&shard->log) != 0
               ? UINT64_MAX / 64
               : queues[0].weight + queues[1].weight;
}

/* Frees the ghosts and the lines of an empty shard. */
static void give_back(struct km_shard *shard)
{
    if (shard->index.entry_count == 0) {
        km_policy_clear(&shard->policy);
        km_departed_clear(&shard->departed);
        km_index_clear(&shard->index);
        (void)km_index_trim(&shard->index, UINT32_MAX);
    }
}

/* Returns how many bytes are in use without the blocks that have left. */
static uint64_t used_soon(const struct km_shard *shard)
{
    return km_account_used(shard->account) - shard->gone->bytes;
}

unsigned km_shard_evict_locked(struct km_shard *shard,
                               const struct km_eviction *eviction)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t begin = used_soon(shard);
    unsigned done = 0;
    struct ahead ahead = {{0}};
    while (done < eviction->steps && !km_gone_is_full(shard->gone) &&
           used_soon(shard) + eviction->bytes > begin) {
        unsigned n = unmap_some(shard);
        if (n == 0) {
            n = drop_segment(shard);
        }
        if (n == 0 && km_index_trim(&shard->index, TRIM_PER_STEP)) {
            n = 1;
        }
        if (n == 0) {
            n = expire(shard, KM_NS_NEVER, &shard->expires_next);
        }
        if (n == 0 && slide(shard, SWEEP_FOR_ROOM)) {
            n = SWEEP_FOR_ROOM / 128;
        }
        if (n == 0) {
            n = evict_one(shard, eviction, &ahead);
        }
        if (n == 0) {
            give_back(shard);
            break;
        }
        done += n;
    }
    return done;
}

/* Evicts some entries although there is memory, because the refs of the log have no
 * room for another segment. */
static void free_number(struct km_shard *shard, uint64_t bytes)
{
    const struct km_eviction eviction = {.mode = KM_EVICT_BY_POLICY};
    const struct km_log_queue *queues = shard->log.queues;
    uint64_t before = queues[0].live + queues[1].live;
    struct ahead ahead = {{0}};
    while (km_log_is_full(&shard->log) &&
           queues[0].live + queues[1].live + bytes > before &&
           evict_one(shard, &eviction, &ahead)) {
    }
}

void km_shard_step_locked(struct km_shard *shard, uint64_t bytes)
{
    KM_ASSERT_HELD(&shard->lock);
    bool more = unmap_some(shard) > 0;
    if (KM_UNLIKELY(km_log_dropped(&shard->log) != 0)) {
        (void)drop_segment(shard);
        more = true;
    }
    more |= km_index_trim(&shard->index, TRIM_PER_STEP);
    (void)expire(shard, KM_NS_NEVER, &shard->expires_next);
    more |= slide(shard, bytes * SWEEP_PER_BYTE + SWEEP_MIN);
    if (KM_UNLIKELY(km_log_is_full(&shard->log))) {
        free_number(shard, bytes * EVICT_PER_BYTE + EVICT_MIN);
    }
    if (KM_UNLIKELY(more)) {
        km_shard_keep_by_locked(shard, 0);
    }
}

/* -- a thread that keeps house ----------------------------------------------- */

/* The store has the earliest time of all shards. Another shard may lower it at the
 * same moment. */
void km_shard_keep_by_locked(struct km_shard *shard, km_ns at)
{
    KM_ASSERT_HELD(&shard->lock);
    if (KM_LIKELY(at >= shard->keep_at)) {
        return;
    }
    shard->keep_at = at;
    km_keep_by(shard->store_keep_at, at);
}

bool km_shard_keep_locked(struct km_shard *shard, km_ns patience)
{
    KM_ASSERT_HELD(&shard->lock);
    km_ns next = shard->expiring > 0 ? 0 : KM_NS_NEVER;
    bool more = unmap_some(shard) > 0 || drop_segment(shard) > 0 ||
                km_index_trim(&shard->index, TRIM_PER_STEP) ||
                expire(shard, patience, &next) > 0 ||
                slide(shard, SWEEP_FOR_ROOM);
    shard->keep_at = more ? 0 : next;
    return more;
}

void km_shard_fini(struct km_shard *shard)
{
    struct km_gone gone = {.count = 0};
    KM_ASSERT(shard->fill_count == 0);
    shard->gone = &gone;
    km_log_clear(&shard->log);
    while (drop_segment(shard) != 0) {
        km_gone_free(&gone);
    }
    km_index_fini(&shard->index);
    km_log_fini(&shard->log);
    km_policy_fini(&shard->policy);
    km_departed_clear(&shard->departed);
    km_mutex_fini(&shard->lock);
}
