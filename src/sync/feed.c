/* SPDX-License-Identifier: MIT */
/* The ring is that of a log, whose records have the origin in the member that a log has
 * for the view. The lock is never held while the log is asked. */
#include "sync/feed.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/sync.h"
#include "sync/ring.h"

#include <stdatomic.h>

#define OWN_MAX 32      /* mutations that are taken over at once */
#define PASSED_MAX 256  /* events that one reading passes */
#define ALL_GROUPS 4095 /* the number of a record for all groups */

_Static_assert(KM_GROUPS_MAX <= ALL_GROUPS, "no group has this number");

struct km_sync_feed {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_sync_log *log;
    void (*grew)(void *arg);
    void *arg;
    uint64_t id;
    struct km_buf keys; /* the sync loop's */
    atomic_bool records;

    struct km_mutex lock; /* of all members below */
    struct km_sync_ring ring;
    uint64_t next;       /* of a ring that is made later */
    uint64_t own;        /* the next mutation of the log, */
    uint64_t own_origin; /* which is of this life */
    unsigned watchers;
    km_ns idle_since; /* the last watcher has left */
};

kama_status km_sync_feed_new(const struct km_sync_feed_options *options,
                             struct km_sync_feed **ret_feed)
{
    struct km_sync_feed *feed = km_mem_zalloc(options->mem, 1, sizeof *feed);
    if (feed == NULL || !km_mutex_init(&feed->lock, KM_RANK_WAITER)) {
        km_mem_free(options->mem, feed);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for watches");
    }
    feed->mem = options->mem;
    feed->clock = options->clock;
    feed->log = options->log;
    feed->grew = options->grew;
    feed->arg = options->arg;
    feed->id = km_hash_random_seed();
    feed->next = 1;
    km_buf_init(&feed->keys, options->mem, SIZE_MAX);
    *ret_feed = feed;
    return KAMA_OK;
}

static void stop_locked(struct km_sync_feed *feed)
{
    KM_ASSERT_HELD(&feed->lock);
    feed->next = feed->ring.next;
    km_sync_ring_fini(&feed->ring);
    atomic_store(&feed->records, false);
}

void km_sync_feed_free(struct km_sync_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    if (atomic_load(&feed->records)) {
        km_sync_ring_fini(&feed->ring);
    }
    km_buf_fini(&feed->keys);
    km_mutex_fini(&feed->lock);
    km_mem_free(feed->mem, feed);
}

uint64_t km_sync_feed_id(const struct km_sync_feed *feed)
{
    return feed->id;
}

/* -- the sync loop --------------------------------------------------------- */

static void push_locked(struct km_sync_feed *feed,
                        const struct km_sync_record *record, kama_bytes key)
{
    KM_ASSERT_HELD(&feed->lock);
    while (!km_sync_ring_push(&feed->ring, record, key)) {
        km_sync_ring_pop(&feed->ring);
    }
}

/* Pushes a record, unless nobody has watched for a while. Returns whether somebody
 * watches now. */
static bool push(struct km_sync_feed *feed, struct km_sync_record record,
                 kama_bytes key)
{
    km_ns now = km_clock_mono(feed->clock);
    record.time_ms = (uint32_t)(now / KM_NS_PER_MS);
    record.key_len = (uint16_t)key.len;
    km_mutex_lock(&feed->lock);
    bool is_watched = feed->watchers > 0;
    if (!is_watched &&
        now > km_ns_after_ms(feed->idle_since, KM_SYNC_FEED_KEPT_MS)) {
        stop_locked(feed);
    } else {
        push_locked(feed, &record, key);
    }
    km_mutex_unlock(&feed->lock);
    return is_watched;
}

static bool does_record(struct km_sync_feed *feed)
{
    return atomic_load_explicit(&feed->records, memory_order_acquire);
}

void km_sync_feed_applied(struct km_sync_feed *feed, uint32_t number,
                          enum km_sync_kind kind, struct km_version version,
                          kama_bytes key)
{
    const struct km_sync_record record = {.hlc = version.hlc,
                                          .view_id = version.origin,
                                          .number = number,
                                          .kind = (unsigned)kind & 15};
    if (does_record(feed) && key.len <= KM_KEY_BYTES_MAX &&
        push(feed, record, key)) {
        feed->grew(feed->arg);
    }
}

void km_sync_feed_missed(struct km_sync_feed *feed, uint32_t number)
{
    struct km_sync_log_state log;
    if (!does_record(feed)) {
        return;
    }
    km_sync_log_get(feed->log, &log);
    const struct km_sync_record record = {
        .hlc = log.hlc > 0 ? log.hlc : 1,
        .view_id = log.origin,
        .number = number == UINT32_MAX ? ALL_GROUPS : number & ALL_GROUPS,
        .kind = KM_SYNC_FEED_GAP};
    if (push(feed, record, KM_LIT(""))) {
        feed->grew(feed->arg);
    }
}

/* Sets the place in the log, unless a watcher has begun anew meanwhile. */
static void move_own(struct km_sync_feed *feed, uint64_t from, uint64_t to)
{
    km_mutex_lock(&feed->lock);
    feed->own = feed->own == from ? to : feed->own;
    km_mutex_unlock(&feed->lock);
}

/* Finds the place in a log that has moved on, or has begun another life. Returns the
 * place. */
static uint64_t find_place(struct km_sync_feed *feed,
                           const struct km_sync_log_state *log)
{
    km_mutex_lock(&feed->lock);
    bool lost = feed->own_origin != log->origin || feed->own < log->oldest;
    if (lost) {
        feed->own_origin = log->origin;
        feed->own = log->oldest;
    }
    uint64_t own = feed->own;
    km_mutex_unlock(&feed->lock);
    if (lost) {
        km_sync_feed_missed(feed, UINT32_MAX);
    }
    return own;
}

/* Takes over some mutations. Returns how many. */
static size_t take_own(struct km_sync_feed *feed, bool *ret_is_watched)
{
    struct km_sync_entry entries[OWN_MAX];
    struct km_sync_log_state log;
    km_buf_reset(&feed->keys, SIZE_MAX);
    km_sync_log_get(feed->log, &log);
    uint64_t own = find_place(feed, &log);
    size_t n = km_sync_log_read(feed->log, own, entries, OWN_MAX, &feed->keys);
    for (size_t i = 0; i < n; i++) {
        const struct km_sync_entry *entry = &entries[i];
        const struct km_sync_record record = {.hlc = entry->hlc,
                                              .view_id = log.origin,
                                              .number = entry->number,
                                              .kind =
                                                  (unsigned)entry->kind & 15};
        *ret_is_watched = does_record(feed) &&
                          push(feed, record,
                               kama_bytes_make(feed->keys.data + entry->key_at,
                                               entry->key_len));
    }
    move_own(feed, own, own + n);
    return n;
}

void km_sync_feed_own(struct km_sync_feed *feed)
{
    bool is_watched = false;
    while (does_record(feed) && take_own(feed, &is_watched) > 0) {
    }
    if (is_watched) {
        feed->grew(feed->arg);
    }
}

/* -- watchers -------------------------------------------------------------- */

static kama_status start_locked(struct km_sync_feed *feed,
                                const struct km_sync_log_state *log)
{
    KM_ASSERT_HELD(&feed->lock);
    if (atomic_load(&feed->records)) {
        return KAMA_OK;
    }
    kama_status st =
        km_sync_ring_init(&feed->ring, feed->mem, KM_SYNC_FEED_BYTES);
    if (st == KAMA_OK) {
        km_sync_ring_clear(&feed->ring, feed->next);
        feed->own = log->seq + 1;
        feed->own_origin = log->origin;
        atomic_store(&feed->records, true);
    }
    return st;
}

/* The log tells of its growth once until somebody reads. Reading nothing is enough, and
 * comes behind the start, so that the next mutation is told. */
kama_status km_sync_feed_watch(struct km_sync_feed *feed,
                               uint64_t *ret_position)
{
    struct km_sync_log_state log;
    km_sync_log_get(feed->log, &log);
    km_mutex_lock(&feed->lock);
    kama_status st = start_locked(feed, &log);
    if (st == KAMA_OK) {
        feed->watchers++;
        *ret_position = feed->ring.next - 1;
    }
    km_mutex_unlock(&feed->lock);
    if (st == KAMA_OK) {
        (void)km_sync_log_read(feed->log, log.seq + 1, NULL, 0, NULL);
    }
    return st;
}

void km_sync_feed_unwatch(struct km_sync_feed *feed)
{
    km_ns now = km_clock_mono(feed->clock);
    km_mutex_lock(&feed->lock);
    KM_ASSERT(feed->watchers > 0);
    feed->watchers--;
    feed->idle_since = now;
    km_mutex_unlock(&feed->lock);
}

bool km_sync_feed_has(struct km_sync_feed *feed, uint64_t position)
{
    km_mutex_lock(&feed->lock);
    bool has = position + 1 >= feed->ring.first && position < feed->ring.next;
    km_mutex_unlock(&feed->lock);
    return has;
}

static void copy_event(const struct km_sync_record *record, kama_bytes key,
                       struct km_sync_feed_event *event)
{
    event->kind = record->kind;
    event->version =
        (struct km_version){.hlc = record->hlc, .origin = record->view_id};
    event->key_len = key.len;
    memcpy(event->key, key.data, key.len);
}

static enum km_sync_feed_result read_locked(
    struct km_sync_feed *feed, uint32_t number, uint64_t *position,
    struct km_sync_feed_event *ret_event)
{
    KM_ASSERT_HELD(&feed->lock);
    struct km_sync_cursor at;
    const struct km_sync_record *record;
    kama_bytes key;
    if (*position + 1 < feed->ring.first) {
        return KM_SYNC_FEED_LOST;
    }
    if (!km_sync_ring_find(&feed->ring, *position + 1, &at)) {
        return KM_SYNC_FEED_NONE;
    }
    for (unsigned passed = 0; passed < PASSED_MAX; passed++) {
        record = km_sync_ring_next(&feed->ring, &at, &key);
        if (record == NULL) {
            return KM_SYNC_FEED_NONE;
        }
        (*position)++;
        if (record->number == number || record->number == ALL_GROUPS) {
            copy_event(record, key, ret_event);
            return KM_SYNC_FEED_EVENT;
        }
    }
    return KM_SYNC_FEED_MORE;
}

enum km_sync_feed_result km_sync_feed_read(struct km_sync_feed *feed,
                                           uint32_t number, uint64_t *position,
                                           struct km_sync_feed_event *ret_event)
{
    km_mutex_lock(&feed->lock);
    enum km_sync_feed_result result =
        read_locked(feed, number, position, ret_event);
    km_mutex_unlock(&feed->lock);
    return result;
}
