/* SPDX-License-Identifier: MIT */
/*
 * The log: a clock, a ring and the groups, under one lock.
 *
 * A mutation is one step in the lock: the clock goes on, the record is in the ring, and
 * K of this node is the version. So the order of the ring is that of the versions, and a
 * stream that has read up to a record may say that it was sent everything up to the
 * clock of that record.
 */
#include "sync/log.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/sync.h"
#include "store/store_epoch.h"
#include "sync/ring.h"
#include "sync/rules.h"

#include <stdatomic.h>
#include <string.h>

/* So many records that are too old leave in one call at most. */
#define AGED_PER_CALL 256

struct group {
    char *name;
    struct km_store *store; /* NULL: the group was given up */
    uint64_t lost; /* seq of its newest mutation that has left the ring */
};

struct km_sync_log {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_mutex lock;
    struct km_sync_ring ring;
    uint64_t hlc;
    uint64_t origin;
    uint64_t view_id;
    uint64_t
        wall; /* the wall clock, as a clock, at this tick of the coarse one */
    km_ns tick;
    uint64_t lost; /* the clock of the newest mutation that has left the ring */
    _Atomic uint64_t newest;
    void (*grew)(void *arg);
    void *arg;
    bool told; /* `grew` was called, and nobody has read since */
    uint32_t count;
    struct group groups[KM_GROUPS_MAX];
};

/* -- life -------------------------------------------------------------------- */

kama_status km_sync_log_new(const struct km_sync_log_options *options,
                            struct km_sync_log **ret_log)
{
    struct km_sync_log *log =
        km_mem_zalloc(options->mem, 1, sizeof(struct km_sync_log));
    size_t bytes = options->ring_bytes != 0 ? options->ring_bytes
                                            : (size_t)KM_SYNC_RING_BYTES;
    if (log == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the log");
    }
    log->mem = options->mem;
    log->clock = options->clock;
    log->grew = options->grew;
    log->arg = options->arg;
    log->tick = KM_NS_NEVER;
    kama_status st = km_sync_ring_init(&log->ring, log->mem, bytes);
    if (st != KAMA_OK) {
        goto fail_ring;
    }
    if (!km_mutex_init(&log->lock, KM_RANK_SYNC_LOG)) {
        st = km_fail(KAMA_ERR_NO_MEMORY, "no memory for the lock of the log");
        goto fail_lock;
    }
    *ret_log = log;
    return KAMA_OK;

fail_lock:
    km_sync_ring_fini(&log->ring);
fail_ring:
    km_mem_free(log->mem, log);
    return st;
}

void km_sync_log_free(struct km_sync_log *log)
{
    if (log == NULL) {
        return;
    }
    for (uint32_t i = 0; i < log->count; i++) {
        km_mem_free(log->mem, log->groups[i].name);
    }
    km_mutex_fini(&log->lock);
    km_sync_ring_fini(&log->ring);
    km_mem_free(log->mem, log);
}

void km_sync_log_set_reader(struct km_sync_log *log, void (*grew)(void *arg),
                            void *arg)
{
    km_mutex_lock(&log->lock);
    log->grew = grew;
    log->arg = arg;
    log->told = false;
    km_mutex_unlock(&log->lock);
}

uint32_t km_sync_log_add(struct km_sync_log *log, const char *name,
                         struct km_store *store)
{
    uint32_t number = UINT32_MAX;
    char *copy = km_mem_strdup(log->mem, name);
    if (copy == NULL) {
        return UINT32_MAX;
    }
    km_mutex_lock(&log->lock);
    if (log->count < KM_GROUPS_MAX) {
        number = log->count++;
        log->groups[number] = (struct group){.name = copy, .store = store};
    }
    km_mutex_unlock(&log->lock);
    if (number == UINT32_MAX) {
        km_mem_free(log->mem, copy);
    }
    return number;
}

void km_sync_log_remove(struct km_sync_log *log, uint32_t number)
{
    km_mutex_lock(&log->lock);
    KM_ASSERT(number < log->count);
    log->groups[number].store = NULL;
    km_mutex_unlock(&log->lock);
}

/* The first mutations of a life stand for those that no stream will ever tell (R12): they
 * have left the ring already. */
static void begin_locked(struct km_sync_log *log, uint64_t origin, uint64_t seq)
{
    KM_ASSERT_HELD(&log->lock);
    uint64_t clock = seq > 0 ? log->hlc : 0;
    km_sync_ring_clear(&log->ring, seq + 1);
    log->origin = origin;
    log->lost = clock;
    atomic_store_explicit(&log->newest, clock, memory_order_release);
    for (uint32_t i = 0; i < log->count; i++) {
        log->groups[i].lost = seq;
    }
}

static void get_locked(struct km_sync_log *log, struct km_sync_log_state *ret)
{
    KM_ASSERT_HELD(&log->lock);
    *ret = (struct km_sync_log_state){
        .seq = log->ring.next - 1,
        .oldest = log->ring.first,
        .hlc = log->hlc,
        .newest = atomic_load_explicit(&log->newest, memory_order_relaxed),
        .lost = log->lost,
        .origin = log->origin,
        .bytes = (size_t)(log->ring.head - log->ring.tail),
        .groups = log->count};
}

void km_sync_log_renew(struct km_sync_log *log, uint64_t origin, uint64_t seq,
                       struct km_sync_log_state *ret_old)
{
    km_mutex_lock(&log->lock);
    get_locked(log, ret_old);
    begin_locked(log, origin, seq);
    km_mutex_unlock(&log->lock);
}

void km_sync_log_begin(struct km_sync_log *log, uint64_t origin, uint64_t seq)
{
    struct km_sync_log_state old;
    km_sync_log_renew(log, origin, seq, &old);
}

void km_sync_log_set_view(struct km_sync_log *log, uint64_t view_id)
{
    km_mutex_lock(&log->lock);
    log->view_id = view_id;
    km_mutex_unlock(&log->lock);
}

/* -- the ring ------------------------------------------------------------------ */

/* Remembers that a mutation is in the ring no longer, so that a Gap names its group and
 * covers its clock (R3). */
static void note_lost_locked(struct km_sync_log *log, uint64_t seq,
                             const struct km_sync_record *record)
{
    KM_ASSERT_HELD(&log->lock);
    log->lost = record->hlc;
    log->groups[record->number].lost = seq;
}

static void drop_oldest_locked(struct km_sync_log *log)
{
    KM_ASSERT_HELD(&log->lock);
    note_lost_locked(log, log->ring.first, km_sync_ring_oldest(&log->ring));
    km_sync_ring_pop(&log->ring);
}

/* Returns how old a record is. A thread may have read its clock before another one has
 * put the record into the ring. The record leaves long before the lower half of the clock
 * comes round. */
static uint32_t age_ms(const struct km_sync_record *record, km_ns now)
{
    int32_t age = (int32_t)((uint32_t)(now / KM_NS_PER_MS) - record->time_ms);
    return age > 0 ? (uint32_t)age : 0;
}

/* Returns when a record was put into the ring. */
static km_ns time_of(const struct km_sync_record *record, km_ns now)
{
    return (now / KM_NS_PER_MS - age_ms(record, now)) * KM_NS_PER_MS;
}

static void drop_aged_locked(struct km_sync_log *log, km_ns now)
{
    KM_ASSERT_HELD(&log->lock);
    for (unsigned i = 0; i < AGED_PER_CALL; i++) {
        const struct km_sync_record *oldest = km_sync_ring_oldest(&log->ring);
        if (oldest == NULL || age_ms(oldest, now) <= KM_SYNC_RING_MS) {
            return;
        }
        drop_oldest_locked(log);
    }
}

static void put_locked(struct km_sync_log *log,
                       const struct km_sync_record *record, kama_bytes key)
{
    KM_ASSERT_HELD(&log->lock);
    while (!km_sync_ring_push(&log->ring, record, key)) {
        if (km_sync_ring_oldest(&log->ring) == NULL) {
            note_lost_locked(log, log->ring.next, record);
            km_sync_ring_skip(&log->ring);
            return;
        }
        drop_oldest_locked(log);
    }
}

/* Returns the wall clock, which is read once in a tick of the coarse clock: it need only
 * be near, and reading it takes as long as the rest of a mutation in the log. */
static uint64_t wall_locked(struct km_sync_log *log, km_ns now)
{
    KM_ASSERT_HELD(&log->lock);
    if (log->tick != now) {
        log->tick = now;
        log->wall = km_hlc_of_ms(log->clock->wall_ms(log->clock->arg));
    }
    return log->wall;
}

/* Returns the version of a new mutation, which is K of this node from now on. A count of
 * the clock that overflows borrows a millisecond. */
static struct km_version next_version_locked(struct km_sync_log *log, km_ns now)
{
    KM_ASSERT_HELD(&log->lock);
    uint64_t wall = wall_locked(log, now);
    log->hlc = log->hlc + 1 > wall ? log->hlc + 1 : wall;
    atomic_store_explicit(&log->newest, log->hlc, memory_order_release);
    return (struct km_version){.hlc = log->hlc, .origin = log->origin};
}

static void record_locked(struct km_sync_log *log, uint32_t number,
                          unsigned kind, const struct km_asking *asking,
                          km_ns now)
{
    KM_ASSERT_HELD(&log->lock);
    KM_ASSERT(number < log->count);
    const struct km_sync_record record = {.hlc = log->hlc,
                                          .view_id = log->view_id,
                                          .base = asking->base,
                                          .expires_at = asking->expires_at,
                                          .time_ms =
                                              (uint32_t)(now / KM_NS_PER_MS),
                                          .key_len = (uint16_t)asking->key.len,
                                          .number = (uint16_t)(number & 0xfff),
                                          .kind = (uint16_t)(kind & 0xf)};
    drop_aged_locked(log, now);
    put_locked(log, &record, asking->key);
}

/* Returns whether the reader is to be told that the log has grown. */
static bool must_tell_locked(struct km_sync_log *log)
{
    KM_ASSERT_HELD(&log->lock);
    bool tell = log->grew != NULL && !log->told;
    log->told |= tell;
    return tell;
}

/* -- rules ---------------------------------------------------------------------- */

/* Writes the number of the newest record. */
static void tell_seq_locked(const struct km_sync_log *log, uint64_t *ret_seq)
{
    KM_ASSERT_HELD(&log->lock);
    if (ret_seq != NULL) {
        *ret_seq = log->ring.next - 1;
    }
}

/* R1. The caller holds the lock of the key's shard, and goes on to act before it gives it
 * back. */
struct km_version km_sync_log_append(struct km_sync_log *log, uint32_t number,
                                     const struct km_asking *asking,
                                     uint64_t *ret_seq)
{
    km_ns now = km_clock_coarse(log->clock);
    KM_ASSERT(asking->key.len <= KM_KEY_BYTES_MAX);
    km_mutex_lock(&log->lock);
    struct km_version version = next_version_locked(log, now);
    record_locked(log, number, asking->kind, asking, now);
    tell_seq_locked(log, ret_seq);
    bool tell = must_tell_locked(log);
    km_sync_ring_prefetch(&log->ring);
    km_mutex_unlock(&log->lock);
    if (tell) {
        log->grew(log->arg);
    }
    return version;
}

static void merge_locked(struct km_sync_log *log, uint64_t hlc)
{
    KM_ASSERT_HELD(&log->lock);
    log->hlc = hlc > log->hlc ? hlc : log->hlc;
}

void km_sync_log_merge(struct km_sync_log *log, uint64_t hlc)
{
    km_mutex_lock(&log->lock);
    merge_locked(log, hlc);
    km_mutex_unlock(&log->lock);
}

/* R6. The floors rise to the clock of this node, not only to that of the event: this node
 * may have applied something newer, which it forgets here. The clock is read while the
 * epoch is odd, in the lock in which others merge theirs (store/store_epoch.h). */
static void invalidate_locked(struct km_sync_log *log, struct group *group,
                              uint64_t event)
{
    KM_ASSERT_HELD(&log->lock);
    if (group->store == NULL) {
        return;
    }
    (void)event;
    km_store_invalidate_begin(group->store);
    km_store_invalidate_end(
        group->store, KM_SYNC_KEEPS(KM_SYNC_R6_OWN_CLOCK) ? log->hlc : event);
}

void km_sync_log_invalidate(struct km_sync_log *log, uint32_t number,
                            uint64_t hlc)
{
    km_mutex_lock(&log->lock);
    merge_locked(log, hlc);
    for (uint32_t i = 0; i < log->count; i++) {
        if (number == i || number == UINT32_MAX) {
            invalidate_locked(log, &log->groups[i], hlc);
        }
    }
    km_mutex_unlock(&log->lock);
}

struct km_version km_sync_log_clear(struct km_sync_log *log, uint32_t number,
                                    uint64_t *ret_seq)
{
    const struct km_asking nothing = {.key = {NULL, 0}};
    km_ns now = km_clock_coarse(log->clock);
    km_mutex_lock(&log->lock);
    struct km_version version = next_version_locked(log, now);
    record_locked(log, number, KM_SYNC_CLEAR, &nothing, now);
    tell_seq_locked(log, ret_seq);
    invalidate_locked(log, &log->groups[number], version.hlc);
    bool tell = must_tell_locked(log);
    km_mutex_unlock(&log->lock);
    if (tell) {
        log->grew(log->arg);
    }
    return version;
}

/* -- reading -------------------------------------------------------------------- */

void km_sync_log_get(struct km_sync_log *log, struct km_sync_log_state *ret)
{
    km_ns now = km_clock_mono(log->clock);
    km_mutex_lock(&log->lock);
    drop_aged_locked(log, now);
    get_locked(log, ret);
    km_mutex_unlock(&log->lock);
}

uint64_t km_sync_log_newest(const struct km_sync_log *log)
{
    return atomic_load_explicit(&log->newest, memory_order_acquire);
}

static struct km_sync_entry entry_of(const struct km_sync_record *record,
                                     uint64_t seq)
{
    return (struct km_sync_entry){.seq = seq,
                                  .hlc = record->hlc,
                                  .view_id = record->view_id,
                                  .base = record->base,
                                  .expires_at = record->expires_at,
                                  .kind = (enum km_sync_kind)record->kind,
                                  .number = record->number,
                                  .key_len = record->key_len};
}

static size_t read_locked(struct km_sync_log *log, uint64_t seq,
                          struct km_sync_entry *entries, size_t cap,
                          struct km_buf *keys)
{
    KM_ASSERT_HELD(&log->lock);
    struct km_sync_cursor at;
    const struct km_sync_record *record;
    kama_bytes key;
    size_t n = 0;
    if (!km_sync_ring_find(&log->ring, seq, &at)) {
        return 0;
    }
    for (; n < cap; n++) {
        record = km_sync_ring_next(&log->ring, &at, &key);
        size_t key_at = keys->len;
        if (record == NULL ||
            km_buf_append(keys, key.data, key.len) != KAMA_OK) {
            break;
        }
        entries[n] = entry_of(record, seq + n);
        entries[n].key_at = (uint32_t)key_at;
    }
    return n;
}

size_t km_sync_log_read(struct km_sync_log *log, uint64_t seq,
                        struct km_sync_entry *entries, size_t cap,
                        struct km_buf *keys)
{
    km_mutex_lock(&log->lock);
    log->told = false;
    size_t n = read_locked(log, seq, entries, cap, keys);
    km_mutex_unlock(&log->lock);
    return n;
}

km_ns km_sync_log_time_of(struct km_sync_log *log, uint64_t seq)
{
    struct km_sync_cursor at;
    kama_bytes key;
    km_ns now = km_clock_mono(log->clock);
    km_ns time = 0;
    km_mutex_lock(&log->lock);
    if (km_sync_ring_find(&log->ring, seq, &at)) {
        time = time_of(km_sync_ring_next(&log->ring, &at, &key), now);
    }
    km_mutex_unlock(&log->lock);
    return time;
}

/* Returns the group with this number, whose name never changes. */
static struct group group_of(struct km_sync_log *log, uint32_t number)
{
    km_mutex_lock(&log->lock);
    KM_ASSERT(number < log->count);
    struct group group = log->groups[number];
    km_mutex_unlock(&log->lock);
    return group;
}

const char *km_sync_log_name(struct km_sync_log *log, uint32_t number)
{
    return group_of(log, number).name;
}

uint64_t km_sync_log_lost(struct km_sync_log *log, uint32_t number)
{
    return group_of(log, number).lost;
}

/* Returns the number of the group of that name, or UINT32_MAX. */
static uint32_t number_of_locked(const struct km_sync_log *log,
                                 const char *name)
{
    KM_ASSERT_HELD(&log->lock);
    for (uint32_t i = 0; i < log->count; i++) {
        if (strcmp(log->groups[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

uint32_t km_sync_log_number(struct km_sync_log *log, const char *name)
{
    km_mutex_lock(&log->lock);
    uint32_t number = number_of_locked(log, name);
    km_mutex_unlock(&log->lock);
    return number;
}

static void find_locked(struct km_sync_log *log, uint32_t number,
                        kama_bytes key, km_ns now,
                        struct km_sync_found *ret_found)
{
    KM_ASSERT_HELD(&log->lock);
    struct km_sync_cursor at = {.number = log->ring.first,
                                .position = log->ring.tail};
    const struct km_sync_record *record;
    kama_bytes other;
    while ((record = km_sync_ring_next(&log->ring, &at, &other)) != NULL) {
        if (record->number == number &&
            (record->kind == KM_SYNC_CLEAR || km_bytes_eq(key, other))) {
            *ret_found = (struct km_sync_found){
                .seq = at.number - 1,
                .version = {.hlc = record->hlc, .origin = log->origin},
                .kind = (enum km_sync_kind)record->kind,
                .time = time_of(record, now)};
        }
    }
}

bool km_sync_log_find(struct km_sync_log *log, const char *name, kama_bytes key,
                      struct km_sync_found *ret_found)
{
    km_ns now = km_clock_mono(log->clock);
    *ret_found = (struct km_sync_found){.seq = 0};
    km_mutex_lock(&log->lock);
    uint32_t number = number_of_locked(log, name);
    if (number != UINT32_MAX) {
        find_locked(log, number, key, now, ret_found);
    }
    km_mutex_unlock(&log->lock);
    return number != UINT32_MAX;
}

void km_sync_log_check(struct km_sync_log *log)
{
    km_mutex_lock(&log->lock);
    km_sync_ring_check(&log->ring);
    KM_ASSERT(log->lost <= log->newest && log->newest <= log->hlc);
    for (uint32_t i = 0; i < log->count; i++) {
        KM_ASSERT(log->groups[i].lost < log->ring.first);
    }
    km_mutex_unlock(&log->lock);
}
