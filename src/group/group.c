/* SPDX-License-Identifier: MIT */
/*
 * How a group is made, gets its pool, and is freed.
 *
 *     km_group_new --> used --> km_group_free          calls get CANCELLED
 *                                    |
 *                                    v
 *                              gate closed and empty   store and pool are freed
 *                                    |
 *                                    v
 *                              last reference          loader_free, memory
 *
 * The last reference is that of km_group_free, or that of a deferred load which
 * the application finishes later.
 */
#include "base/assert.h"
#include "base/boundary.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/status.h"
#include "flight/flight_check.h"
#include "group/load/load.h"
#include "group/observer.h"
#include "group/sync_apply.h"
#include "store/policy.h"

static const struct km_metric metric_rows[KM_GROUP_METRIC_COUNT] = {
#define METRIC_ROW(member, source, kind, unit, metric, sentence)               \
    {#member, kind, unit, sentence},
    KM_GROUP_COUNTER_MAP(METRIC_ROW, KM_GROUP_COUNTER_SKIP,
                         KM_GROUP_COUNTER_SKIP)
#undef METRIC_ROW
};

static bool init_locks(kama_group *group)
{
    if (!km_mutex_init(&group->lock, KM_RANK_GROUP)) {
        return false;
    }
    if (!km_gate_init(&group->gate)) {
        goto fail_gate;
    }
    if (!km_slots_init(&group->slots, group->config.loader_concurrency)) {
        goto fail_slots;
    }
    return true;
fail_slots:
    km_gate_fini(&group->gate);
fail_gate:
    km_mutex_fini(&group->lock);
    return false;
}

static void fini_locks(kama_group *group)
{
    km_slots_fini(&group->slots);
    km_gate_fini(&group->gate);
    km_mutex_fini(&group->lock);
}

/* Returns the key of the etags of values without a version. The copies of a loaded value
 * on the nodes of a synchronized group have one etag, because any of them may be read and
 * only the owner's is compared. So the key follows from the name of the group there. */
static uint64_t etag_key_of(const kama_group *group, uint64_t seed)
{
    if (km_group_is_synced(group)) {
        return ~group->owner_seed | 1;
    }
    return seed != 0 ? ~seed : km_hash_random_seed();
}

static kama_status make_store(kama_group *group, const struct km_group_env *env)
{
    uint64_t seed = env->seed;
    struct km_store_options options = {
        .mem = &group->mem,
        .clock = group->clock,
        .policy = group->config.policy,
        .max_bytes = group->config.max_bytes,
        .seed = seed != 0 ? seed : km_hash_random_seed(),
        .slot_seed = group->owner_seed,
        .etag_key = etag_key_of(group, seed),
        .huge_pages = group->config.huge_pages,
        .keep_at = env->keep_at,
        .keeps_floors = km_group_is_synced(group)};
    return km_store_new(&options, &group->store);
}

/* Adds a synchronized group to the log of the node. */
static kama_status register_group(kama_group *group)
{
    const struct km_group_sync *sync = &group->sync;
    if (!km_group_is_synced(group)) {
        return KAMA_OK;
    }
    group->sync_number = sync->add(sync->arg, group->name, group->store);
    return group->sync_number != KM_SYNC_NO_NUMBER ? KAMA_OK
                                                   : KAMA_ERR_NO_MEMORY;
}

static void init_hot_keys(kama_group *group, uint64_t seed)
{
    const struct km_hot_keys_options options = {
        .mem = &group->mem,
        .clock = group->clock,
        .store = group->store,
        .max_bytes = group->config.max_bytes,
        .seed = seed != 0 ? seed : km_hash_random_seed()};
    km_hot_keys_init(&group->hot, &options);
}

/* Makes the parts of a group that may fail, and undoes them in reverse order. */
static kama_status make_parts(kama_group *group, const char *name,
                              const struct km_group_env *env)
{
    kama_status st = KAMA_ERR_NO_MEMORY;
    group->name = km_mem_strdup(&group->mem, name);
    if (group->name == NULL) {
        return st;
    }
    group->owner_seed = km_owner_seed(name);
    if (!init_locks(group)) {
        goto fail_locks;
    }
    st = km_flight_init(&group->flight, &km_load_flight_ops);
    if (st != KAMA_OK) {
        goto fail_flight;
    }
    st = km_metric_set_new(&group->mem, metric_rows, KM_GROUP_METRIC_COUNT,
                           &group->metrics);
    if (st != KAMA_OK) {
        goto fail_metrics;
    }
    st = make_store(group, env);
    if (st != KAMA_OK) {
        goto fail_store;
    }
    st = register_group(group);
    if (st != KAMA_OK) {
        goto fail_register;
    }
    init_hot_keys(group, env->seed);
    return KAMA_OK;

fail_register:
    km_store_free(group->store);
fail_store:
    km_metric_set_free(group->metrics);
fail_metrics:
    km_flight_fini(&group->flight);
fail_flight:
    fini_locks(group);
fail_locks:
    km_mem_free(&group->mem, group->name);
    return st;
}

/* Chooses the keys that users must not be able to compute. They are independent of
 * the seed of the table, which must not follow from them. A given seed makes
 * everything repeatable, for tests. */
static void init_secrets(kama_group *group, uint64_t seed)
{
    bool given = seed != 0;
    km_permute_init(&group->permute, given ? seed : km_hash_random_seed(),
                    given ? ~seed : km_hash_random_seed());
    group->instance = given ? seed : km_hash_random_seed();
}

static kama_group *make_group(const kama_allocator *mem,
                              const struct km_group_config *config,
                              const struct km_group_env *env)
{
    void *block;
    kama_group *group =
        km_mem_zalloc_aligned(mem, sizeof *group, _Alignof(kama_group), &block);
    if (group == NULL) {
        return NULL;
    }
    group->block = block;
    group->mem = *mem;
    group->config = *config;
    (void)km_strategy_format(&config->strategy, group->strategy);
    group->clock = env->clock != NULL ? env->clock : km_clock_system();
    group->observer = env->observer;
    if (config->strategy.kind != KM_STRATEGY_LOCAL) {
        group->owner = env->owner;
    }
    if (km_strategy_is_streamed(&config->strategy) &&
        group->owner.ops != NULL) {
        group->sync = env->sync;
    }
    KM_ASSERT(group->owner.ops == NULL || env->pool != NULL);
    group->is_traced = env->observer != NULL && env->observer->trace != NULL;
    atomic_init(&group->pool, env->pool);
    atomic_init(&group->loads_max, config->loader_concurrency);
    atomic_init(&group->refs, 1);
    km_stripes_init(&group->load_times, &group->mem);
    init_secrets(group, env->seed);
    return group;
}

/* A group without a node asks nobody, whatever addresses its strategy has. */
static kama_status complete_strategy(struct km_group_config *config,
                                     const struct km_group_env *env,
                                     const char *name)
{
    kama_status st = env->address != NULL
                         ? km_strategy_complete(&config->strategy, env->address)
                         : KAMA_OK;
    return st == KAMA_OK ? KAMA_OK
                         : km_fail(st, "group %.*s: %s", KM_GROUP_SHOWN(name),
                                   km_last_error());
}

kama_status km_group_new(const kama_group_options *options,
                         const struct km_group_env *env, kama_group **ret_group)
{
    struct km_group_config config;
    const char *name;
    const kama_allocator *mem;
    uint64_t value_bytes_max = env->max_value_bytes_max != 0
                                   ? env->max_value_bytes_max
                                   : KM_VALUE_BYTES_LOCAL_MAX;
    kama_status st = km_group_config_init(
        options, env->owner.ops != NULL ? KM_GROUP_CLUSTERED : KM_GROUP_ALONE,
        value_bytes_max, &config, &name, &mem);
    if (st == KAMA_OK) {
        st = complete_strategy(&config, env, name);
    }
    if (st != KAMA_OK) {
        return st;
    }
    kama_group *group = make_group(mem, &config, env);
    st = group == NULL ? KAMA_ERR_NO_MEMORY : make_parts(group, name, env);
    if (st != KAMA_OK) {
        km_mem_free(mem, group != NULL ? group->block : NULL);
        return km_fail(st, "group %.*s: no memory", KM_GROUP_SHOWN(name));
    }
    if (env->pool != NULL && config.loader != NULL) {
        km_pool_allow(env->pool, config.loader_concurrency);
    }
    *ret_group = group;
    return KAMA_OK;
}

kama_status kama_group_new(const kama_group_options *options,
                           kama_group **ret_group)
{
    const struct km_group_env env = {.pool = NULL};
    return km_group_new(options, &env, ret_group);
}

void km_group_ref(kama_group *group)
{
    unsigned before =
        atomic_fetch_add_explicit(&group->refs, 1, memory_order_relaxed);
    KM_ASSERT(before > 0);
}

static KM_BOUNDARY_FUNCTION void free_loader(const kama_group *group)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("loader_free", group->name, no_key);
    int cancel = km_cancel_defer();
    group->config.loader_free(group->config.loader_arg);
    km_cancel_allow(cancel);
    KM_BOUNDARY_END();
}

void km_group_unref(kama_group *group)
{
    unsigned before =
        atomic_fetch_sub_explicit(&group->refs, 1, memory_order_acq_rel);
    KM_ASSERT(before > 0);
    if (before != 1) {
        return;
    }
    KM_ASSERT(km_slots_free(&group->slots) == km_group_loads_max(group));
    if (group->config.loader_free != NULL) {
        free_loader(group);
    }
    kama_allocator mem = group->mem;
    km_stripes_fini(&group->load_times);
    km_metric_set_free(group->metrics);
    km_flight_fini(&group->flight);
    fini_locks(group);
    km_mem_free(&mem, group->name);
    km_mem_free(&mem, group->block);
}

bool km_group_counts_fit(const kama_group *group)
{
    const struct km_metric_set *m = group->metrics;
    return km_metric_read(m, KM_GROUP_MISSES_ABSENT) +
                   km_metric_read(m, KM_GROUP_MISSES_EXPIRED) +
                   km_metric_read(m, KM_GROUP_MISSES_EVICTED) +
                   km_metric_read(m, KM_GROUP_MISSES_DELETED) ==
               km_metric_read(m, KM_GROUP_PEER_HITS) +
                   km_metric_read(m, KM_GROUP_GETS_LOADED) +
                   km_metric_read(m, KM_GROUP_GETS_ABSENT) +
                   km_metric_read(m, KM_GROUP_GETS_FAILED) &&
           km_metric_read(m, KM_GROUP_PEER_GETS) ==
               km_metric_read(m, KM_GROUP_PEER_HITS) +
                   km_metric_read(m, KM_GROUP_PEER_ERRORS);
}

void km_group_free(kama_group *group)
{
    if (group == NULL) {
        return;
    }
    KM_ASSERT(!km_gate_is_closed(&group->gate));
    km_gate_close(&group->gate);
    km_load_cancel_all(group);
    km_gate_wait(&group->gate);
    KM_ASSERT(atomic_load(&group->parked_bytes) == 0);
    KM_DEBUG_ASSERT(km_group_counts_fit(group));
    if (group->owns_pool) {
        km_pool_free(km_group_pool(group));
    }
    km_hot_keys_fini(&group->hot);
    if (group->sync.remove != NULL) {
        group->sync.remove(group->sync.arg, group->sync_number);
    }
    km_store_free(group->store);
    km_group_unref(group);
}

/* A group that was added to a node uses the node's pool, and kama_node_free frees
 * it. In a forked child the group is left as it is: the threads of its pool are
 * missing, and one of them may have held a lock of the group when the process was
 * copied. */
void kama_group_free(kama_group *group)
{
    if (group == NULL) {
        return;
    }
    const struct km_pool *pool = km_group_pool(group);
    if (pool == NULL || (group->owns_pool && !km_pool_is_forked(pool))) {
        km_group_free(group);
    }
}

static void never_fires(struct km_timer *timer)
{
    (void)timer;
}

/* Makes the pool visible, and gives timers to the loads that run already, because
 * in a group with a pool no caller looks for overdue loads. Another timer, which
 * never fires, is armed first: if the deadline thread cannot be started, the pool
 * is not used at all. */
static kama_status publish_pool_locked(kama_group *group, struct km_pool *pool)
{
    struct km_timer starter = {.fire = never_fires};
    KM_ASSERT_HELD(&group->lock);
    kama_status st = km_pool_arm(pool, &starter, KM_NS_NEVER - 1);
    if (st != KAMA_OK) {
        return st;
    }
    atomic_store(&group->pool, pool);
    st = km_load_arm_all(group, pool);
    KM_ASSERT(st == KAMA_OK || st == KAMA_ERR_CLOSED);
    km_pool_disarm(pool, &starter);
    return KAMA_OK;
}

/* Makes the group's own pool. It has one thread more than loads run at a time, so
 * that callbacks are not held up by loaders that hang. */
static kama_status make_pool_locked(kama_group *group)
{
    struct km_pool *pool;
    KM_ASSERT_HELD(&group->lock);
    KM_ASSERT(group->pool == NULL && !group->owns_pool);
    unsigned threads = group->config.async_threads;
    unsigned loads_max = km_group_loads_max(group);
    kama_status st = km_pool_new(&group->mem, group->clock, "kama-group",
                                 threads + 1, &pool);
    if (st != KAMA_OK) {
        return st;
    }
    group->owns_pool = true; /* whoever sees the pool must see whose it is */
    st = publish_pool_locked(group, pool);
    if (st != KAMA_OK) {
        group->owns_pool = false;
        km_pool_free(pool);
        return st;
    }
    if (threads < loads_max) {
        atomic_store_explicit(&group->loads_max, threads, memory_order_relaxed);
        km_slots_lower(&group->slots, loads_max - threads);
    }
    return KAMA_OK;
}

kama_status km_group_need_pool(kama_group *group, struct km_pool **ret_pool)
{
    kama_status st = KAMA_OK;
    km_mutex_lock(&group->lock);
    if (km_group_pool(group) == NULL) {
        st = make_pool_locked(group);
    }
    km_mutex_unlock(&group->lock);
    if (st == KAMA_OK) {
        *ret_pool = km_group_pool(group);
    }
    return st;
}

/* Asserts that only a group of a cluster has loads that ask another node, and that
 * such a load is only kept if the group is synchronized. */
static void check_load(struct km_flight_call *call, void *arg)
{
    const struct km_load *load = km_load_of(call);
    const kama_group *group = arg;
    bool at_peer = load->place == KM_LOAD_AT_PEER;
    enum km_load_asks asks = atomic_load(&load->asks);
    KM_ASSERT(at_peer ==
              (asks == KM_LOAD_ASKS_PEER || asks == KM_LOAD_ASKS_AFTER_PEER));
    KM_ASSERT(load->place != KM_LOAD_AT_EARLIER || km_group_is_synced(group));
    KM_ASSERT(!at_peer || km_group_is_clustered(group));
    KM_ASSERT(!at_peer || km_group_is_synced(group) ||
              load->fill.purpose == KM_FILL_TO_SERVE);
}

void km_group_check(kama_group *group)
{
    struct km_pool *pool = km_group_pool(group);
    if (pool != NULL && km_pool_is_forked(pool)) {
        return;
    }
    km_flight_check(&group->flight);
    km_flight_visit(&group->flight, check_load, group);
    km_slots_check(&group->slots);
    km_store_check(group->store);
    if (pool != NULL) {
        km_pool_check(pool);
    }
}

const char *kama_group_name(const kama_group *group)
{
    return group->name;
}

uint64_t km_group_instance(const kama_group *group)
{
    return group->instance;
}

uint64_t km_group_max_value_bytes(const kama_group *group)
{
    return group->config.max_value_bytes;
}

bool km_group_has_owners(const kama_group *group)
{
    return km_group_is_clustered(group);
}

uint64_t km_group_hash(const kama_group *group, kama_bytes key)
{
    return km_store_hash(group->store, key);
}

void km_group_load_times(const kama_group *group,
                         struct km_histogram *ret_times)
{
    km_stripes_read(&group->load_times, ret_times);
}
