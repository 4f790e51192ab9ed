/* SPDX-License-Identifier: MIT */
/*
 * What synchronizes the groups of a test: a log on each node, whose records the test
 * carries to the other nodes when it wants.
 *
 *     struct fake_cluster *c = fake_synced_open(logs);
 *     assert_int_equal(kama_set(c->nodes[0].group, ...), KAMA_OK);
 *     fake_deliver(&logs[0], &logs[1]);       node 1 applies all of node 0's records
 *     fake_close(c);
 *
 * A mutation that waits for acknowledgements waits until the test says that they have come,
 * or have not (fake_end_waits); or the node says it at once (`verdict`).
 *
 * The clock of a node counts the mutations that it knows. K of an origin is the clock of
 * the newest record that has come from it, and `told` that of the newest answer.
 */
#pragma once

#include "fake_owner.h"

#include "group/holders.h"
#include "group/sync_apply.h"
#include "store/store_epoch.h"

#define FAKE_RECORDS 4096
#define FAKE_CLEAR 100 /* the kind of a clear */

struct fake_record {
    unsigned kind; /* enum km_operation_kind, or FAKE_CLEAR */
    struct km_version version;
    struct km_version base;
    char key[24];
    size_t key_len;
};

struct fake_log {
    pthread_mutex_t lock;
    uint64_t hlc;
    uint64_t origin;
    struct km_store *store;
    kama_group *group;
    unsigned count;
    struct fake_record records[FAKE_RECORDS];
    unsigned delivered[FAKE_NODES];       /* to the node of that number */
    _Atomic uint64_t applied[FAKE_NODES]; /* W of each origin */
    _Atomic uint64_t known[FAKE_NODES];   /* K of each origin */
    _Atomic uint64_t told[FAKE_NODES];
    _Atomic int role;
    atomic_int inside;           /* mutations between enter and leave */
    _Atomic uint64_t asked_view; /* by the last may_keep */
    /* -- sync_ack -- */
    atomic_bool has_witnesses;
    struct fake_node *node;
    struct km_list waits;
    atomic_uint waiting; /* in that list */
    const char
        *verdict; /* NULL: the test ends the waits; "": they have come; else the
                          * address of a node that is late */
    struct km_sync_wait last; /* as it was begun */
    atomic_bool holds; /* R17: every key, unless the strategy is broadcast */
};

/* The answer to one wait, on a thread of the node. */
struct fake_verdict {
    struct km_job job;
    struct km_sync_wait *wait;
    const char *late;
};

static inline void fake_end_wait(struct km_sync_wait *wait, const char *late)
{
    wait->done(wait, late[0] != '\0'
                         ? km_unsynced_new(km_mem_or_default(NULL), &late, 1)
                         : NULL);
}

static inline void fake_judge(struct km_job *job)
{
    struct fake_verdict *v = KM_CONTAINER_OF(job, struct fake_verdict, job);
    struct km_sync_wait *wait = v->wait;
    const char *late = v->late;
    free(v);
    fake_end_wait(wait, late);
}

static inline bool fake_has_witnesses(void *sync)
{
    return atomic_load(&((struct fake_log *)sync)->has_witnesses);
}

static inline void fake_await(void *sync, struct km_sync_wait *wait)
{
    struct fake_log *log = sync;
    (void)pthread_mutex_lock(&log->lock);
    log->last = *wait;
    const char *late = log->verdict;
    if (late == NULL) {
        km_list_push_back(&log->waits, &wait->node);
        atomic_fetch_add(&log->waiting, 1);
    }
    (void)pthread_mutex_unlock(&log->lock);
    if (late != NULL) {
        struct fake_verdict *v = calloc(1, sizeof *v);
        assert_non_null(v);
        *v = (struct fake_verdict){
            .job.run = fake_judge, .wait = wait, .late = late};
        assert_int_equal(km_pool_submit(log->node->cluster->wire, &v->job),
                         KAMA_OK);
    }
}

/* Ends all waits of a node: late is "", or names a node that is late. */
static inline void fake_end_waits(struct fake_log *log, const char *late)
{
    struct km_list *link = NULL;
    do {
        (void)pthread_mutex_lock(&log->lock);
        link = km_list_pop_front(&log->waits);
        (void)pthread_mutex_unlock(&log->lock);
        if (link != NULL) {
            atomic_fetch_sub(&log->waiting, 1);
            fake_end_wait(KM_CONTAINER_OF(link, struct km_sync_wait, node),
                          late);
        }
    } while (link != NULL);
}

static inline enum km_sync_role fake_enter(void *sync,
                                           struct km_snapshot_reader *reader)
{
    struct fake_log *log = sync;
    (void)reader;
    atomic_fetch_add(&log->inside, 1);
    return (enum km_sync_role)atomic_load(&log->role);
}

static inline void fake_leave(void *sync, struct km_snapshot_reader *reader)
{
    struct fake_log *log = sync;
    (void)reader;
    assert_true(atomic_fetch_sub(&log->inside, 1) > 0);
}

/* Appends a record, with the lock. */
static inline struct fake_record *fake_append(struct fake_log *log,
                                              unsigned kind)
{
    assert_true(log->count < FAKE_RECORDS);
    struct fake_record *record = &log->records[log->count++];
    *record = (struct fake_record){
        .kind = kind, .version = {.hlc = ++log->hlc, .origin = log->origin}};
    atomic_store(&log->known[log->origin - 1], log->hlc);
    return record;
}

static inline struct km_version fake_originate(void *sync, uint32_t number,
                                               const struct km_asking *asking,
                                               uint64_t *ret_seq)
{
    struct fake_log *log = sync;
    assert_int_equal(number, log->origin);
    assert_true(asking->key.len < sizeof log->records[0].key);
    (void)pthread_mutex_lock(&log->lock);
    struct fake_record *record = fake_append(log, asking->kind);
    record->base = asking->base;
    record->key_len = asking->key.len;
    memcpy(record->key, asking->key.data, asking->key.len);
    struct km_version version = record->version;
    *ret_seq = version.hlc;
    (void)pthread_mutex_unlock(&log->lock);
    return version;
}

static inline struct km_version fake_sync_clear(void *sync, uint32_t number,
                                                uint64_t *ret_seq)
{
    struct fake_log *log = sync;
    assert_int_equal(number, log->origin);
    (void)pthread_mutex_lock(&log->lock);
    km_store_invalidate_begin(log->store);
    struct km_version version = fake_append(log, FAKE_CLEAR)->version;
    *ret_seq = version.hlc;
    km_store_invalidate_end(log->store, log->hlc);
    (void)pthread_mutex_unlock(&log->lock);
    return version;
}

/* Merges a clock, and invalidates the group. */
static inline void fake_invalidate_at(struct fake_log *log, uint64_t hlc)
{
    (void)pthread_mutex_lock(&log->lock);
    log->hlc = hlc > log->hlc ? hlc : log->hlc;
    km_store_invalidate_begin(log->store);
    km_store_invalidate_end(log->store, log->hlc);
    (void)pthread_mutex_unlock(&log->lock);
}

static inline void fake_invalidate(void *sync, uint32_t number)
{
    struct fake_log *log = sync;
    assert_int_equal(number, log->origin);
    fake_invalidate_at(log, 0);
}

static inline bool fake_merge_hlc(void *sync, uint64_t hlc)
{
    struct fake_log *log = sync;
    (void)pthread_mutex_lock(&log->lock);
    log->hlc = hlc > log->hlc ? hlc : log->hlc;
    (void)pthread_mutex_unlock(&log->lock);
    return true;
}

static inline bool fake_learn(void *sync, struct km_version version)
{
    struct fake_log *log = sync;
    _Atomic uint64_t *told = &log->told[version.origin - 1];
    uint64_t old = atomic_load(told);
    assert_true(version.origin >= 1 && version.origin <= FAKE_NODES);
    while (version.hlc > old &&
           !atomic_compare_exchange_weak(told, &old, version.hlc)) {
    }
    return fake_merge_hlc(sync, version.hlc);
}

static inline bool fake_may_keep(void *sync, struct km_version version,
                                 uint64_t view_id)
{
    struct fake_log *log = sync;
    assert_true(version.origin >= 1 && version.origin <= FAKE_NODES);
    atomic_store(&log->asked_view, view_id);
    return version.hlc <= atomic_load(&log->known[version.origin - 1]);
}

static inline bool fake_holds(void *sync, const struct km_strategy *strategy,
                              uint32_t slot)
{
    struct fake_log *log = sync;
    assert_int_not_equal(strategy->kind, KM_STRATEGY_BROADCAST);
    assert_true(slot < KM_OWNER_SLOTS);
    return atomic_load(&log->holds);
}

/* Returns whether a node is sent values. */
static inline bool fake_gets_value(struct fake_log *to)
{
    return km_group_strategy(to->group)->kind == KM_STRATEGY_BROADCAST ||
           atomic_load(&to->holds);
}

static const struct km_group_sync_ops fake_sync_ops = {
    .enter = fake_enter,
    .leave = fake_leave,
    .originate = fake_originate,
    .has_witnesses = fake_has_witnesses,
    .await = fake_await,
    .merge = fake_merge_hlc,
    .learn = fake_learn,
    .clear = fake_sync_clear,
    .invalidate = fake_invalidate,
    .holds = fake_holds,
    .may_keep = fake_may_keep};

static inline uint32_t fake_add(void *arg, const char *name,
                                struct km_store *store)
{
    struct fake_log *log = arg;
    assert_string_equal(name, "test");
    log->store = store;
    return (uint32_t)log->origin;
}

static inline void fake_remove(void *arg, uint32_t number)
{
    struct fake_log *log = arg;
    assert_int_equal(number, log->origin);
    assert_non_null(log->store);
    log->store = NULL;
}

static inline void fake_log_init(struct fake_log *log, uint64_t origin)
{
    memset(log, 0, sizeof *log);
    (void)pthread_mutex_init(&log->lock, NULL);
    log->origin = origin;
    km_list_init(&log->waits);
    atomic_init(&log->holds, origin == 2);
}

static inline struct km_group_sync fake_sync(struct fake_log *log)
{
    return (struct km_group_sync){.ops = &fake_sync_ops,
                                  .arg = log,
                                  .add = fake_add,
                                  .remove = fake_remove};
}

/* -- R8 --------------------------------------------------------------------- */

static inline struct fake_log *fake_log_of(const struct fake_node *node)
{
    return node->sync.arg;
}

static inline void fake_needs(struct fake_node *from, uint64_t floor,
                              uint64_t ret_needs[FAKE_NODES])
{
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        uint64_t known = atomic_load(&fake_log_of(from)->known[i]);
        uint64_t told = atomic_load(&fake_log_of(from)->told[i]);
        uint64_t newest = known > told ? known : told;
        ret_needs[i] = floor < newest ? floor : newest;
    }
}

/* A node has all of its own. */
static inline bool fake_has_needs(struct fake_node *node,
                                  const uint64_t needs[FAKE_NODES])
{
    struct fake_log *log = fake_log_of(node);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        if (i + 1 != log->origin && atomic_load(&log->applied[i]) < needs[i]) {
            return false;
        }
    }
    return true;
}

static const struct fake_fence fake_fence = {.needs = fake_needs,
                                             .has = fake_has_needs};

/* Opens three nodes whose groups are synchronized. The second one owns all keys, and only
 * it holds them if the strategy is not broadcast. */
static inline void fake_synced_open_with(struct fake_cluster *c,
                                         struct fake_log logs[FAKE_NODES],
                                         kama_group_options options)
{
    if (strcmp(options.sync, "owner") == 0) { /* as fake_options has it */
        options.sync = "broadcast";
    }
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        fake_log_init(&logs[i], i + 1);
        c->nodes[i].sync = fake_sync(&logs[i]);
        c->nodes[i].fence = &fake_fence;
        atomic_store(&c->nodes[i].fence_wait_ms, 50);
    }
    fake_open_with(c, &options);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        logs[i].group = c->nodes[i].group;
        logs[i].node = &c->nodes[i];
    }
}

static inline struct fake_cluster *fake_synced_open(
    struct fake_log logs[FAKE_NODES])
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    fake_synced_open_with(c, logs, options);
    return c;
}

/* -- the streams ------------------------------------------------------------ */

/* Reads the next record for another node. Returns false if there is none. */
static inline bool fake_next(struct fake_log *from, const struct fake_log *to,
                             struct fake_record *ret_record)
{
    unsigned *position = &from->delivered[to->origin - 1];
    (void)pthread_mutex_lock(&from->lock);
    bool is_there = *position < from->count;
    if (is_there) {
        *ret_record = from->records[(*position)++];
    }
    (void)pthread_mutex_unlock(&from->lock);
    return is_there;
}

static inline void fake_merge(struct fake_log *log, struct km_version version)
{
    (void)fake_merge_hlc(log, version.hlc);
    atomic_store(&log->known[version.origin - 1], version.hlc);
}

/* Sends one record: the value is read now, and is a DROP if it is gone. */
static inline void fake_carry(struct fake_log *from, struct fake_log *to,
                              const struct fake_record *r)
{
    struct km_group_record record = {.kind = (enum km_operation_kind)r->kind,
                                     .version = r->version,
                                     .base = r->base,
                                     .key = kama_bytes_make(r->key, r->key_len),
                                     .ttl_ms = KAMA_TTL_FOREVER};
    if (r->kind == FAKE_CLEAR) {
        fake_invalidate_at(to, r->version.hlc);
        return;
    }
    kama_value *value = fake_gets_value(to)
                            ? km_group_value_of(from->group, record.key,
                                                r->version, &record.ttl_ms)
                            : NULL;
    if (value != NULL) {
        record.value = kama_value_bytes(value);
    } else if (record.kind == KM_APPLY_SET || record.kind == KM_APPLY_EXPIRE) {
        record.kind = KM_APPLY_DROP;
    }
    (void)km_group_apply(to->group, &record);
    kama_value_unref(value);
}

/* Carries all records of a node to another one. Returns how many there were. */
static inline unsigned fake_deliver(struct fake_log *from, struct fake_log *to)
{
    struct fake_record record;
    unsigned n = 0;
    while (fake_next(from, to, &record)) {
        fake_merge(to, record.version);
        fake_carry(from, to, &record);
        atomic_store(&to->applied[from->origin - 1], record.version.hlc);
        n++;
    }
    return n;
}
