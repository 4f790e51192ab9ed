/* SPDX-License-Identifier: MIT */
/*
 * The fence under threads: a get that begins after a set, del or clear has
 * returned never sees what was true before the mutation. This must hold for
 * every way to ask (value, copy, memory only, batch, asynchronous, scan, and
 * the answer "does not exist"), while loads fail, take long, finish on another
 * thread, finish too late, and while entries expire, are touched and are
 * evicted.
 *
 * How staleness is recognised. The origin has a version for each key that only
 * rises, and one thread alone mutates a key. A loader answers with the version
 * that it read when it began. When a mutation to version v has returned, v is
 * the floor of the key; a get reads the floor before it asks, and its answer
 * must not be older:
 *
 *     mutator                  getter                      loader
 *     origin[k] = 7                                        reads 6
 *     kama_set(k, 7)
 *     floor[k] = 7
 *                              floor = 7                   answers with 6
 *                              kama_get(k) -> 6 would be stale
 *
 * Some versions come without a mutation, behind the back of the cache; a clear
 * raises the floor of every key to the version that the origin had when the
 * clear began. In every fifth version the key does not exist.
 *
 *     test_on_callers   loads run on the threads of their callers
 *     test_on_a_pool    loads run on a pool, under both policies
 */
#include "group/group_fixture.h"
#include "group/group_internal.h"

#include <stdlib.h>

#define KEYS 24u
#define BATCH 6u
#define MUTATORS 2u
#define GETTERS 3u
#define RUN_MS 900
#define LOADER_TIMEOUT_MS 12
#define PENDING_MAX 4096u
#define ABSENT_EVERY 5u /* in such versions the key does not exist */

/* A deferred load, which the finisher thread finishes at its time. */
struct pending {
    kama_deferred *deferred;
    uint64_t version;
    km_ns at;
};

/* The threads on which the loads of a run are executed. */
enum place { ON_CALLERS, ON_A_POOL };

/* The two asynchronous calls. */
enum way { ONE_KEY, A_BATCH };

/* One run: the group, the origin, and the counters of all threads. */
struct world {
    struct fixture *f;
    _Atomic uint64_t origin[KEYS];
    _Atomic uint64_t floor[KEYS];
    atomic_uint stale;   /* answers that are older than their floor */
    atomic_uint checked; /* answers with a value */
    atomic_uint misses;  /* answers that say "does not exist" */
    atomic_uint open;    /* callbacks that have not come yet */
    atomic_bool stop;
    enum place place;
    pthread_mutex_t lock;
    struct pending pending[PENDING_MAX];
    unsigned pending_count;
};

/* One thread of a run. */
struct actor {
    pthread_t thread;
    struct world *world;
    unsigned number;
    uint64_t random;
};

/* -- chance and names ----------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static _Thread_local uint64_t loader_random;

static kama_bytes key_name(char *buf, unsigned k)
{
    return kama_bytes_make(buf, (size_t)sprintf(buf, "key-%u", k));
}

static unsigned key_number(kama_bytes key)
{
    const char *p = key.data;
    unsigned n = 0;
    for (size_t i = 4; i < key.len; i++) {
        n = n * 10 + (unsigned)(p[i] - '0');
    }
    return n;
}

static void pause_us(unsigned us)
{
    struct timespec span = {0, (long)us * 1000};
    (void)nanosleep(&span, NULL);
}

/* -- the origin ----------------------------------------------------------- */

static bool is_absent(uint64_t version)
{
    return version % ABSENT_EVERY == 0;
}

/* The bytes of a value: the version, then a few bytes or many. */
static kama_bytes value_of(char *buf, uint64_t version, uint64_t random)
{
    memcpy(buf, &version, sizeof version);
    return kama_bytes_make(buf, random % 8 == 0 ? 4096 : 8 + random % 100);
}

/* Makes the load finish after up to 0.8 ms, or after its time is over. */
static kama_status defer(struct world *w, kama_sink *out, uint64_t version)
{
    unsigned us = (unsigned)(next_random(&loader_random) % 800);
    if (us % 16 == 0) {
        us += LOADER_TIMEOUT_MS * 1500;
    }
    kama_deferred *d = kama_load_defer(out);
    (void)pthread_mutex_lock(&w->lock);
    bool room = w->pending_count < PENDING_MAX;
    if (room) {
        w->pending[w->pending_count++] = (struct pending){
            d, version, km_clock_mono(km_clock_system()) + us * 1000u};
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (!room) {
        kama_load_finish(d, KAMA_ERR_OVERLOADED, KAMA_STR(""), NULL);
    }
    return KAMA_DEFERRED;
}

/* Loads a version in one of many ways: at once, after a while, too late, later
 * on another thread, or not at all. */
static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    static atomic_uint threads;
    struct world *w = arg;
    char buf[4096] = {0};
    uint64_t version = atomic_load(&w->origin[key_number(req->key)]);
    if (loader_random == 0) {
        loader_random = atomic_fetch_add(&threads, 1) + 1u;
    }
    uint64_t r = next_random(&loader_random);
    if (r % 4 == 0) {
        return defer(w, out, version);
    }
    if (r % 4 == 1) {
        pause_us((unsigned)(r / 8 % 300));
    }
    if (r % 64 == 2) {
        pause_us((LOADER_TIMEOUT_MS + 2) * 1000);
    }
    if (r % 16 == 3) {
        return KAMA_ERR_IO;
    }
    if (is_absent(version)) {
        return KAMA_MISS;
    }
    return kama_sink_set(out, value_of(buf, version, r / 64), NULL);
}

/* -- loads that finish later ---------------------------------------------- */

/* Finishes a deferred load; the lock is given up meanwhile. */
static void finish_one(struct world *w, unsigned i)
{
    char buf[4096] = {0};
    struct pending p = w->pending[i];
    w->pending[i] = w->pending[--w->pending_count];
    (void)pthread_mutex_unlock(&w->lock);
    bool absent = is_absent(p.version);
    kama_load_finish(p.deferred, absent ? KAMA_MISS : KAMA_OK,
                     value_of(buf, p.version, p.version), NULL);
    (void)pthread_mutex_lock(&w->lock);
}

/* Finishes the deferred loads whose time is at or before `until`. */
static void finish_due(struct world *w, km_ns until)
{
    (void)pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < w->pending_count;) {
        if (w->pending[i].at <= until) {
            finish_one(w, i);
        } else {
            i++;
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static void *run_finisher(void *arg)
{
    struct actor *a = arg;
    while (!atomic_load(&a->world->stop)) {
        finish_due(a->world, km_clock_mono(km_clock_system()));
        pause_us(50);
    }
    return NULL;
}

/* -- mutations ------------------------------------------------------------ */

static void raise_floor(struct world *w, unsigned k, uint64_t version)
{
    uint64_t before = atomic_load(&w->floor[k]);
    while (before < version &&
           !atomic_compare_exchange_weak(&w->floor[k], &before, version)) {
    }
}

/* Moves the origin to its next version and tells the group with a set or a del,
 * or does not tell it. */
static void mutate(struct actor *a, unsigned k, uint64_t r)
{
    struct world *w = a->world;
    char name[16];
    char buf[4096] = {0};
    kama_set_options options;
    uint64_t version = atomic_fetch_add(&w->origin[k], 1) + 1;
    kama_bytes key = key_name(name, k);
    kama_set_options_init(&options);
    options.ttl_ms = r % 3 == 0 ? 1 : 0;
    if (r % 8 < 3) {
        return; /* the group learns of this version with the next clear */
    }
    if (r % 2 != 0 || is_absent(version) ||
        kama_set(w->f->group, key, value_of(buf, version, r / 16), &options) !=
            KAMA_OK) { /* references may fill the group */
        (void)!kama_del(w->f->group, key, NULL);
    }
    raise_floor(w, k, version);
}

/* Clears the group, which is a mutation of every key. */
static void clear(struct world *w)
{
    uint64_t seen[KEYS];
    for (unsigned k = 0; k < KEYS; k++) {
        seen[k] = atomic_load(&w->origin[k]);
    }
    (void)!kama_group_clear(w->f->group);
    for (unsigned k = 0; k < KEYS; k++) {
        raise_floor(w, k, seen[k]);
    }
}

static void *run_mutator(void *arg)
{
    struct actor *a = arg;
    while (!atomic_load(&a->world->stop)) {
        uint64_t r = next_random(&a->random);
        unsigned k = (unsigned)(r / 64 % (KEYS / MUTATORS)) * MUTATORS;
        if (r % 24 == 0) {
            clear(a->world);
        } else {
            mutate(a, k + a->number, r);
        }
        if (r % 8 == 1) {
            pause_us(30);
        }
    }
    return NULL;
}

/* -- answers -------------------------------------------------------------- */

/* Checks the answer to a get that began when the floor of key k was `floor`. */
static void check(struct world *w, unsigned k, uint64_t floor,
                  kama_status status, kama_bytes value)
{
    uint64_t version = 0;
    uint64_t now = atomic_load(&w->origin[k]);
    if (status == KAMA_OK && value.len >= sizeof version) {
        memcpy(&version, value.data, sizeof version);
        atomic_fetch_add(&w->stale, version < floor || version > now);
        atomic_fetch_add(&w->checked, 1);
    } else if (status == KAMA_MISS) {
        bool was_absent = now / ABSENT_EVERY * ABSENT_EVERY >= floor;
        atomic_fetch_add(&w->stale, !was_absent);
        atomic_fetch_add(&w->misses, 1);
    }
}

/* Checks an answer and gives its value back. */
static void check_value(struct world *w, unsigned k, uint64_t floor,
                        kama_status status, kama_value *value)
{
    bool ok = status == KAMA_OK;
    check(w, k, floor, status, ok ? kama_value_bytes(value) : KAMA_STR(""));
    kama_value_unref(ok ? value : NULL);
}

/* The keys of a batch or of an asynchronous get, with the floors that they had
 * when they were asked for. */
struct asked {
    struct world *world;
    unsigned count;
    unsigned keys[BATCH];
    uint64_t floors[BATCH];
};

static void on_value(void *arg, kama_status status, kama_value *value)
{
    struct asked *asked = arg;
    struct world *w = asked->world;
    check_value(w, asked->keys[0], asked->floors[0], status, value);
    free(asked);
    atomic_fetch_sub(&w->open, 1);
}

static void check_items(struct asked *asked, const kama_item *items)
{
    for (unsigned i = 0; i < asked->count; i++) {
        check_value(asked->world, asked->keys[i], asked->floors[i],
                    items[i].status, items[i].value);
    }
}

static void on_values(void *arg, kama_status status, const kama_item *items,
                      size_t n)
{
    struct asked *asked = arg;
    struct world *w = asked->world;
    atomic_fetch_add(&w->stale, status != KAMA_OK || n != asked->count);
    check_items(asked, items);
    free(asked);
    atomic_fetch_sub(&w->open, 1);
}

/* -- gets ----------------------------------------------------------------- */

/* Gets one key in one of three ways; now and then it is touched first. */
static void get_one(struct actor *a, const kama_ctx *ctx, unsigned way)
{
    struct world *w = a->world;
    kama_group *group = w->f->group;
    char name[16];
    char buf[4096];
    size_t len = 0;
    kama_value *value = NULL;
    unsigned k = (unsigned)(next_random(&a->random) % KEYS);
    kama_bytes key = key_name(name, k);
    uint64_t floor = atomic_load(&w->floor[k]);
    if (next_random(&a->random) % 8 == 0) { /* copies a value, maybe old */
        (void)!kama_touch(group, key, way == 0 ? 1 : KAMA_TTL_FOREVER, NULL);
    }
    if (way == 0) {
        kama_status st = kama_get_copy(group, key, ctx, buf, sizeof buf, &len);
        check(w, k, floor, st, kama_bytes_make(buf, len));
    } else if (way == 1) {
        kama_status st = kama_try_get(group, key, &value);
        check_value(w, k, floor, st, value);
    } else {
        kama_status st = kama_get(group, key, ctx, &value);
        check_value(w, k, floor, st, value);
    }
}

/* Chooses the keys of a batch and reads their floors. */
static void ask_batch(struct actor *a, struct asked *asked, char names[][16],
                      kama_bytes *keys)
{
    asked->world = a->world;
    asked->count = BATCH;
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned k = (unsigned)(next_random(&a->random) % KEYS);
        asked->keys[i] = k;
        keys[i] = key_name(names[i], k);
        asked->floors[i] = atomic_load(&a->world->floor[k]);
    }
}

static void get_batch(struct actor *a, const kama_ctx *ctx)
{
    struct asked asked;
    char names[BATCH][16];
    kama_bytes keys[BATCH];
    kama_item items[BATCH];
    ask_batch(a, &asked, names, keys);
    if (kama_mget(a->world->f->group, keys, BATCH, ctx, items) == KAMA_OK) {
        check_items(&asked, items);
    }
}

static void get_async(struct actor *a, const kama_ctx *ctx, enum way way)
{
    struct world *w = a->world;
    struct asked *asked = malloc(sizeof *asked);
    char names[BATCH][16];
    kama_bytes keys[BATCH];
    if (asked == NULL || atomic_load(&w->open) > 500) {
        free(asked);
        pause_us(100);
        return;
    }
    ask_batch(a, asked, names, keys);
    atomic_fetch_add(&w->open, 1);
    kama_status st =
        way == A_BATCH
            ? kama_mget_async(w->f->group, keys, BATCH, ctx, on_values, asked)
            : kama_get_async(w->f->group, keys[0], ctx, on_value, asked);
    if (st != KAMA_OK) {
        free(asked);
        atomic_fetch_sub(&w->open, 1);
    }
}

/* Looks at a key that a scan has found. */
static int scan_entry(void *arg, const kama_entry *entry)
{
    struct world *w = arg;
    kama_value *value = NULL;
    unsigned k = key_number(entry->key);
    uint64_t floor = atomic_load(&w->floor[k]);
    kama_status st = kama_try_get(w->f->group, entry->key, &value);
    check_value(w, k, floor, st, value);
    return 0;
}

/* Asks in every way, by chance, until the run ends. */
static void *run_getter(void *arg)
{
    struct actor *a = arg;
    struct world *w = a->world;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    while (!atomic_load(&w->stop)) {
        uint64_t r = next_random(&a->random);
        uint64_t cursor = 0;
        ctx.deadline_ms = r / 256 % 8 == 0 ? 1 : 0;
        unsigned way = (unsigned)(r % 64);
        if (way < 48) {
            get_one(a, &ctx, way % 4);
        } else if (way < 55) {
            get_batch(a, &ctx);
        } else if (way < 56) {
            (void)!kama_scan(w->f->group, &cursor, KAMA_STR(""), scan_entry, w);
        } else if (w->place == ON_A_POOL) {
            get_async(a, &ctx, way % 2 == 0 ? A_BATCH : ONE_KEY);
        }
    }
    return NULL;
}

/* -- the runs ------------------------------------------------------------- */

/* Times are short and the memory is small, so that entries expire and are
 * evicted all the time. */
static struct world *world_new(enum place place, const char *policy)
{
    struct world *w = test_calloc(1, sizeof *w);
    w->f = fixture_new();
    w->place = place;
    (void)pthread_mutex_init(&w->lock, NULL);
    w->f->options.loader = load;
    w->f->options.loader_arg = w;
    w->f->options.loader_free = NULL;
    w->f->options.max_bytes = 64u << 10;
    w->f->options.ttl_ms = 4;
    w->f->options.ttl_jitter = 50;
    w->f->options.negative_ttl_ms = 3;
    w->f->options.loader_timeout_ms = LOADER_TIMEOUT_MS;
    w->f->options.loader_concurrency = place == ON_A_POOL ? 4 : 2;
    w->f->options.async_threads = 2;
    w->f->options.policy = policy;
    atomic_store(&w->f->script.frees, 1); /* as if loader_free had run */
    fixture_open(w->f);
    return w;
}

static void start(struct actor *a, struct world *w, unsigned number,
                  void *(*body)(void *))
{
    *a = (struct actor){.world = w, .number = number, .random = number + 1};
    assert_int_equal(pthread_create(&a->thread, NULL, body, a), 0);
}

static void run_threads(struct world *w)
{
    struct actor actors[MUTATORS + GETTERS + 1];
    unsigned n = 0;
    for (unsigned i = 0; i < MUTATORS; i++) {
        start(&actors[n++], w, i, run_mutator);
    }
    for (unsigned i = 0; i < GETTERS; i++) {
        start(&actors[n++], w, i + 100, run_getter);
    }
    start(&actors[n++], w, 0, run_finisher);
    int64_t until = now_ms() + RUN_MS;
    AWAIT(now_ms() >= until);
    atomic_store(&w->stop, true);
    while (n > 0) {
        (void)pthread_join(actors[--n].thread, NULL);
    }
}

/* Runs all threads for a while and checks that no answer was stale, and that
 * the run saw hits, overtaken loads and failures at all. */
static void run(enum place place, const char *policy)
{
    struct world *w = world_new(place, policy);
    run_threads(w);
    AWAIT(atomic_load(&w->open) == 0);
    kama_group_stats s = stats(w->f);
    assert_int_equal(atomic_load(&w->stale), 0);
    assert_true(atomic_load(&w->checked) > 100);
    assert_true(atomic_load(&w->misses) > 0);
    assert_true(s.hits > 0 && s.loads_overtaken > 0 && s.loads_failed > 0);
    km_store_check(w->f->group->store);
    if (place == ON_CALLERS) { /* else it is freed while loads are deferred */
        finish_due(w, KM_NS_NEVER);
        assert_int_equal(stats(w->f).loads_running, 0);
        assert_int_equal(stats(w->f).pinned_bytes, 0);
    }
    kama_group_free(w->f->group);
    finish_due(w, KM_NS_NEVER);
    fixture_done(w->f);
    test_free(w);
}

/* Loads run on the threads of their callers. */
static void test_on_callers(void **state)
{
    (void)state;
    run(ON_CALLERS, "s3fifo");
}

/* Loads run on a pool; the two policies evict in different orders. */
static void test_on_a_pool(void **state)
{
    (void)state;
    run(ON_A_POOL, "s3fifo");
    run(ON_A_POOL, "lru");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_callers),
        cmocka_unit_test(test_on_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
