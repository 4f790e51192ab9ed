/* SPDX-License-Identifier: MIT */
#include "store/log.h"

#include <string.h>

#define HOLES_SHARE 16u /* the sweep begins when holes pass this part */

static uint32_t words_of(uint32_t bytes)
{
    return bytes / 8;
}

static km_ref ref_of(const struct km_log *log, uint32_t segment, uint32_t at)
{
    return segment << log->offset_bits | words_of(at);
}

/* Returns the offset of a record in its segment, in bytes. */
static uint32_t offset_of(const struct km_log *log, km_ref ref)
{
    return (ref & log->offset_mask) * 8;
}

/* Returns the header of whatever begins at an offset of a segment. */
static uint64_t header_at(const struct km_segment *s, uint32_t at)
{
    return km_record_header(s->base + words_of(at));
}

void km_log_init(struct km_log *log, struct km_account *account,
                 uint32_t segment_bytes)
{
    memset(log, 0, sizeof *log);
    km_chunks_init(&log->bases, account);
    log->account = account;
    log->segment_bytes = segment_bytes;
    log->offset_bits = (unsigned)__builtin_ctz(segment_bytes) - 3;
    log->offset_mask = (1u << log->offset_bits) - 1;
}

void km_log_fini(struct km_log *log)
{
    km_log_clear(log);
    while (log->dropped != 0) {
        km_log_drop(log);
    }
    km_account_release(log->account, log->segments,
                       log->segment_cap * sizeof *log->segments);
    km_chunks_fini(&log->bases);
}

uint64_t km_log_bytes(const struct km_log *log)
{
    return log->queues[0].used + log->queues[1].used;
}

uint32_t km_log_segment_count(const struct km_log *log)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < log->segment_cap; i++) {
        count += log->segments[i].base != NULL;
    }
    return count;
}

size_t km_log_table_bytes(const struct km_log *log)
{
    size_t bytes = km_chunks_bytes(&log->bases);
    if (log->segments != NULL) {
        bytes +=
            km_account_block_bytes(log->segment_cap * sizeof *log->segments);
    }
    return bytes;
}

/* -- segments -------------------------------------------------------------- */

/* Returns how many numbers of segments a ref has room for, a power of two. */
static uint32_t number_max(const struct km_log *log)
{
    return (uint32_t)1 << (32 - log->offset_bits);
}

bool km_log_is_full(const struct km_log *log)
{
    return log->free_number == 0 && log->segment_cap == number_max(log);
}

/* Makes more numbers of segments; number 0 is never used. Returns false without
 * memory, or if a ref has no room for more. */
static bool more_numbers(struct km_log *log)
{
    uint32_t cap = log->segment_cap == 0 ? 16 : log->segment_cap * 2;
    size_t bytes = cap * sizeof *log->segments;
    if (cap > number_max(log) || !km_chunks_reserve(&log->bases, cap - 1)) {
        return false;
    }
    struct km_segment *segments = km_account_alloc(log->account, bytes);
    if (segments == NULL) {
        return false;
    }
    memset(segments, 0, bytes);
    if (log->segments != NULL) {
        size_t old = log->segment_cap * sizeof *log->segments;
        memcpy(segments, log->segments, old);
        km_account_release(log->account, log->segments, old);
    }
    for (uint32_t i = cap - 1; i >= log->segment_cap && i > 0; i--) {
        segments[i].next = log->free_number;
        log->free_number = i;
    }
    log->segments = segments;
    log->segment_cap = cap;
    return true;
}

/* Puts an empty segment at the end of a queue. Returns its number, or 0 without
 * memory. */
static uint32_t segment_new(struct km_log *log, unsigned q)
{
    if (log->free_number == 0 && !more_numbers(log)) {
        return 0;
    }
    km_word *base = km_pages_alloc(&log->account->pages, log->segment_bytes);
    if (base == NULL) {
        return 0;
    }
    uint32_t number = log->free_number;
    struct km_segment *s = &log->segments[number];
    struct km_log_queue *queue = &log->queues[q];
    log->free_number = s->next;
    *s = (struct km_segment){.base = base,
                             .prev = queue->youngest,
                             .queue = (uint8_t)q,
                             .stamp = log->stamp,
                             .expires_first = KM_NS_NEVER};
    if (queue->youngest != 0) {
        log->segments[queue->youngest].next = number;
    } else {
        queue->oldest = number;
        queue->walked = 0;
    }
    queue->youngest = number;
    km_chunks_set(&log->bases, number, base);
    return number;
}

/* Frees the pages of a segment that is in no queue. Its place in the table of bases
 * stays until another segment has the number, because a reader without a lock may
 * still look it up. */
static void segment_free(struct km_log *log, uint32_t number)
{
    struct km_segment *s = &log->segments[number];
    km_pages_free(&log->account->pages, s->base, log->segment_bytes);
    s->base = NULL;
    s->next = log->free_number;
    log->free_number = number;
}

/* Takes a segment without live records out of its queue and frees it. */
static void segment_leave(struct km_log *log, uint32_t number)
{
    struct km_segment *s = &log->segments[number];
    struct km_log_queue *queue = &log->queues[s->queue];
    KM_ASSERT(s->live == 0);
    if (queue->sweeping &&
        (queue->to_segment == number || queue->from_segment == number)) {
        queue->sweeping = false;
    }
    if (s->prev != 0) {
        log->segments[s->prev].next = s->next;
    } else {
        queue->oldest = s->next;
        queue->walked = 0;
    }
    if (s->next != 0) {
        log->segments[s->next].prev = s->prev;
    } else {
        queue->youngest = s->prev;
    }
    queue->used -= s->used;
    segment_free(log, number);
}

/* -- records --------------------------------------------------------------- */

static void count_in(struct km_log_queue *queue, struct km_segment *s,
                     uint64_t header)
{
    uint32_t bytes = km_record_bytes(header);
    s->live += bytes;
    s->blocks += (header & KM_RECORD_BLOCK) != 0;
    queue->live += bytes;
    queue->weight += km_record_weight(header);
    queue->count++;
}

static void count_out(struct km_log_queue *queue, struct km_segment *s,
                      uint64_t header)
{
    uint32_t bytes = km_record_bytes(header);
    KM_ASSERT(s->live >= bytes && queue->count > 0);
    s->live -= bytes;
    s->blocks -= (header & KM_RECORD_BLOCK) != 0;
    queue->live -= bytes;
    queue->weight -= km_record_weight(header);
    queue->count--;
}

static void note_expiry(struct km_segment *s, km_ns expires_at)
{
    if (expires_at == 0) {
        return;
    }
    if (expires_at < s->expires_first) {
        s->expires_first = expires_at;
    }
    if (expires_at > s->expires_last) {
        s->expires_last = expires_at;
    }
}

km_ref km_log_append(struct km_log *log, unsigned q, uint64_t header,
                     km_ns expires_at)
{
    struct km_log_queue *queue = &log->queues[q];
    uint32_t bytes = km_record_bytes(header);
    uint32_t number = queue->youngest;
    KM_ASSERT(bytes <= log->segment_bytes);
    if (number == 0 ||
        log->segments[number].used + bytes > log->segment_bytes) {
        number = segment_new(log, q);
        if (number == 0) {
            return 0;
        }
    }
    struct km_segment *s = &log->segments[number];
    uint32_t at = s->used;
    s->used += bytes;
    queue->used += bytes;
    count_in(queue, s, header);
    note_expiry(s, expires_at);
    return ref_of(log, number, at);
}

void km_log_kill(struct km_log *log, km_ref ref)
{
    uint32_t number = km_log_segment_of(log, ref);
    struct km_segment *s = &log->segments[number];
    struct km_log_queue *queue = &log->queues[s->queue];
    km_word *record = s->base + words_of(offset_of(log, ref));
    uint64_t header = km_record_header(record);
    KM_ASSERT((header & KM_RECORD_DEAD) == 0);
    count_out(queue, s, header);
    km_word_set(&record[0], header | KM_RECORD_DEAD);
    if (s->live == 0) {
        segment_leave(log, number);
    }
}

void km_log_recount(struct km_log *log, km_ref ref, uint64_t old_header,
                    uint64_t header, km_ns expires_at)
{
    struct km_segment *s = &log->segments[km_log_segment_of(log, ref)];
    struct km_log_queue *queue = &log->queues[s->queue];
    KM_ASSERT(km_record_bytes(old_header) == km_record_bytes(header));
    count_in(queue, s, header);
    count_out(queue, s, old_header);
    note_expiry(s, expires_at);
}

/* Returns the first offset from `at` on at which a live record begins, or the end of the
 * bytes that were appended. */
static uint32_t skip_dead(const struct km_segment *s, uint32_t at)
{
    while (at < s->used) {
        uint64_t header = header_at(s, at);
        if ((header & KM_RECORD_DEAD) == 0) {
            break;
        }
        at += km_record_bytes(header);
    }
    return at;
}

km_ref km_log_oldest(struct km_log *log, unsigned q)
{
    struct km_log_queue *queue = &log->queues[q];
    uint32_t number = queue->oldest;
    if (number == 0) {
        return 0;
    }
    struct km_segment *s = &log->segments[number];
    queue->walked = skip_dead(s, queue->walked);
    KM_ASSERT(queue->walked < s->used);
    return ref_of(log, number, queue->walked);
}

km_ref km_log_first(const struct km_log *log, uint32_t segment)
{
    const struct km_segment *s = &log->segments[segment];
    uint32_t at = skip_dead(s, 0);
    return at < s->used ? ref_of(log, segment, at) : 0;
}

km_ref km_log_next(const struct km_log *log, km_ref ref)
{
    uint32_t number = km_log_segment_of(log, ref);
    const struct km_segment *s = &log->segments[number];
    uint32_t at = offset_of(log, ref);
    at = skip_dead(s, at + km_record_bytes(header_at(s, at)));
    return at < s->used ? ref_of(log, number, at) : 0;
}

/* -- a look for expired records -------------------------------------------- */

km_ref km_log_look(struct km_log *log, uint32_t segment)
{
    struct km_segment *s = &log->segments[segment];
    if (!s->is_looked_at || s->looked == 0) {
        s->is_looked_at = true;
        s->looked = 0;
        s->expires_first = KM_NS_NEVER;
        s->expires_last = 0;
    }
    uint32_t at = skip_dead(s, s->looked);
    if (at >= s->used) {
        s->is_looked_at = false;
        return 0;
    }
    s->looked = at + km_record_bytes(header_at(s, at));
    return ref_of(log, segment, at);
}

/* Lets a look begin again, because records were moved. */
static void restart_look(struct km_segment *s)
{
    s->looked = 0;
}

void km_log_note_expiry(struct km_log *log, uint32_t segment, km_ns expires_at)
{
    note_expiry(&log->segments[segment], expires_at);
}

/* -- the sweep ------------------------------------------------------------- */

/* Some holes cannot be closed: those in the youngest segment, and those that the walk
 * has left behind. */
bool km_log_wants_sweep(const struct km_log *log, unsigned q)
{
    const struct km_log_queue *queue = &log->queues[q];
    if (queue->oldest == queue->youngest) {
        return false;
    }
    const struct km_segment *youngest = &log->segments[queue->youngest];
    uint64_t holes = queue->used - queue->live - queue->walked -
                     (youngest->used - youngest->live);
    return holes > queue->used / HOLES_SHARE && holes >= log->segment_bytes;
}

static void sweep_begin(struct km_log_queue *queue)
{
    queue->sweeping = true;
    queue->to_segment = queue->from_segment = queue->oldest;
    queue->to = queue->from = queue->walked;
}

/* Ends the segment that the sweep fills at the place where the next slid record would
 * go. */
static void truncate(struct km_log *log, struct km_log_queue *queue)
{
    struct km_segment *s = &log->segments[queue->to_segment];
    KM_ASSERT(s->used >= queue->to);
    queue->used -= s->used - queue->to;
    s->used = queue->to;
    restart_look(s);
}

/* Writes gaps over the space between the last slid record and the next one. */
static void write_gaps(struct km_log *log, struct km_log_queue *queue)
{
    struct km_segment *from = &log->segments[queue->from_segment];
    uint32_t begin = 0;
    if (queue->to_segment == queue->from_segment) {
        begin = queue->to;
    } else {
        truncate(log, queue);
    }
    if (begin < queue->from) {
        restart_look(from);
        km_word_set(from->base + words_of(begin),
                    km_record_gap(queue->from - begin));
    }
}

/* Goes on to the next segment of the records that are to be slid. The one that was
 * left is freed if it has none. Returns false at the end of the queue. */
static bool next_from(struct km_log *log, struct km_log_queue *queue)
{
    uint32_t left = queue->from_segment;
    uint32_t next = log->segments[left].next;
    if (next == queue->youngest || next == 0) {
        return false;
    }
    if (left == queue->to_segment) {
        truncate(log, queue);
    }
    queue->from_segment = next;
    queue->from = 0;
    if (left != queue->to_segment) {
        segment_leave(log, left);
    }
    return true;
}

/* Slides one record of `bytes` bytes. If it does not fit into the segment that is
 * being filled, the next one is its own, because all in between are free. */
static void slide(struct km_log *log, struct km_log_queue *queue,
                  uint32_t bytes, km_log_move_fn move, void *arg)
{
    if (queue->to_segment != queue->from_segment &&
        queue->to + bytes > log->segment_bytes) {
        queue->to_segment = queue->from_segment;
        queue->to = 0;
    }
    struct km_segment *to = &log->segments[queue->to_segment];
    struct km_segment *from = &log->segments[queue->from_segment];
    if (queue->to_segment != queue->from_segment || queue->to != queue->from) {
        km_ref at = ref_of(log, queue->from_segment, queue->from);
        uint64_t header = header_at(from, queue->from);
        count_out(queue, from, header);
        count_in(queue, to, header);
        if (to->used < queue->to + bytes) {
            queue->used += queue->to + bytes - to->used;
            to->used = queue->to + bytes;
        }
        if (from != to) {
            note_expiry(to, from->expires_first == KM_NS_NEVER
                                ? 0
                                : from->expires_first);
            note_expiry(to, from->expires_last);
            to->is_looked_at |= from->is_looked_at;
        }
        restart_look(to);
        restart_look(from);
        move(arg, at, ref_of(log, queue->to_segment, queue->to), bytes);
    }
    queue->to += bytes;
    queue->from += bytes;
}

/* Returns whether the places of the sweep are still good. The walk of the evictions
 * may have passed them, or the records behind them may have died, so that new ones
 * are appended there. */
static bool can_go_on(const struct km_log_queue *queue)
{
    return queue->sweeping && queue->from_segment != queue->youngest &&
           queue->to_segment != queue->youngest &&
           (queue->to_segment != queue->oldest || queue->to >= queue->walked);
}

/* Returns whether nothing is left to slide in the segment of the next record. */
static bool from_is_done(const struct km_log *log,
                         const struct km_log_queue *queue)
{
    const struct km_segment *s = &log->segments[queue->from_segment];
    return queue->from >= s->used ||
           (s->live == 0 && queue->from_segment != queue->to_segment);
}

/* Ends the sweep behind the last segment that it may look at. */
static void sweep_end(struct km_log *log, struct km_log_queue *queue)
{
    uint32_t left = queue->from_segment;
    truncate(log, queue);
    queue->sweeping = false;
    if (left != queue->to_segment) {
        segment_leave(log, left);
    }
}

bool km_log_sweep(struct km_log *log, unsigned q, uint64_t bytes,
                  km_log_move_fn move, void *arg)
{
    struct km_log_queue *queue = &log->queues[q];
    if (queue->oldest == queue->youngest) {
        queue->sweeping = false;
        return false;
    }
    if (!can_go_on(queue)) {
        sweep_begin(queue);
    }
    for (uint64_t seen = 0;;) {
        while (from_is_done(log, queue)) {
            if (!next_from(log, queue)) {
                sweep_end(log, queue);
                return false;
            }
        }
        if (seen >= bytes) {
            break;
        }
        const struct km_segment *s = &log->segments[queue->from_segment];
        uint64_t header = header_at(s, queue->from);
        uint32_t n = km_record_bytes(header);
        seen += n;
        if ((header & KM_RECORD_DEAD) != 0) {
            queue->from += n;
        } else {
            slide(log, queue, n, move, arg);
        }
    }
    write_gaps(log, queue);
    return true;
}

/* -- clear ----------------------------------------------------------------- */

void km_log_clear(struct km_log *log)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        struct km_log_queue *queue = &log->queues[q];
        if (queue->oldest != 0) {
            log->segments[queue->youngest].next = log->dropped;
            log->dropped = queue->oldest;
        }
        memset(queue, 0, sizeof *queue);
    }
}

void km_log_forget(struct km_log *log, km_ref ref)
{
    struct km_segment *s = &log->segments[km_log_segment_of(log, ref)];
    km_word *record = s->base + words_of(offset_of(log, ref));
    uint64_t header = km_record_header(record);
    KM_ASSERT((header & KM_RECORD_BLOCK) != 0 && s->blocks > 0);
    s->blocks--;
    km_word_set(&record[0], header | KM_RECORD_DEAD);
}

void km_log_drop(struct km_log *log)
{
    uint32_t number = log->dropped;
    log->dropped = log->segments[number].next;
    segment_free(log, number);
}

/* -- check ----------------------------------------------------------------- */

static void check_segment(const struct km_segment *s, struct km_log_queue *sum,
                          uint32_t walked)
{
    struct km_segment own = {0};
    uint32_t at = 0;
    while (at < s->used) {
        uint64_t header = header_at(s, at);
        uint32_t n = km_record_bytes(header);
        KM_ASSERT(n >= 8 && at + n <= s->used);
        KM_ASSERT(km_record_key_len(header) > 0 ||
                  (header & KM_RECORD_DEAD) != 0);
        if ((header & KM_RECORD_DEAD) == 0) {
            KM_ASSERT(at >= walked);
            count_in(sum, &own, header);
        }
        at += n;
    }
    KM_ASSERT(at == s->used && own.live == s->live && own.live > 0);
    KM_ASSERT(own.blocks == s->blocks);
    sum->used += s->used;
}

void km_log_check(const struct km_log *log)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        const struct km_log_queue *queue = &log->queues[q];
        struct km_log_queue sum = {0};
        uint32_t before = 0;
        for (uint32_t i = queue->oldest; i != 0; i = log->segments[i].next) {
            const struct km_segment *s = &log->segments[i];
            KM_ASSERT(s->queue == q && s->prev == before && s->base != NULL);
            check_segment(s, &sum, before == 0 ? queue->walked : 0);
            before = i;
        }
        KM_ASSERT(queue->youngest == before);
        KM_ASSERT(sum.count == queue->count && sum.live == queue->live);
        KM_ASSERT(sum.weight == queue->weight && sum.used == queue->used);
    }
}
