/* SPDX-License-Identifier: MIT */
/*
 * The flag `busy` is tried and never waited for by a get. A get that does not get
 * it leaves `left` below zero, so that the next get of the cell tries again and
 * stands for one get more, up to twice the period: many gets may come while a thread
 * that has the flag does not run, and all of their weight on one key would make it
 * look hot. The others are not counted.
 */
#include "group/hot_keys.h"

#include "base/boundary.h"
#include "base/limits.h"
#include "base/space_saving.h"
#include "base/status.h"
#include "group/group_internal.h"

#include <sched.h>

#define HALF_LIFE_NS ((km_ns)KM_HOT_KEYS_HALF_LIFE_MS * KM_NS_PER_MS)
#define SLICE_NS ((km_ns)KM_HOT_KEYS_SLICE_MS * KM_NS_PER_MS)
#define IDLE_NS (10 * SLICE_NS)
#define HALVINGS_MAX 60 /* then nothing is left of a count */

static bool try_use(struct km_hot_keys *hot)
{
    return !atomic_exchange_explicit(&hot->busy, true, memory_order_acquire);
}

static void end_use(struct km_hot_keys *hot)
{
    atomic_store_explicit(&hot->busy, false, memory_order_release);
}

void km_hot_keys_init(struct km_hot_keys *hot,
                      const struct km_hot_keys_options *options)
{
    uint64_t counters = options->max_bytes / KM_HOT_KEYS_BYTES_PER_COUNTER;
    hot->mem = options->mem;
    hot->store = options->store;
    hot->clock = options->clock;
    hot->seed = options->seed;
    hot->counters =
        counters < KM_HOT_KEYS_COUNTERS_MIN   ? KM_HOT_KEYS_COUNTERS_MIN
        : counters > KM_HOT_KEYS_COUNTERS_MAX ? KM_HOT_KEYS_COUNTERS_MAX
                                              : (unsigned)counters;
    atomic_init(&hot->busy, false);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_init(&hot->cells[i].left, 0);
    }
}

void km_hot_keys_fini(struct km_hot_keys *hot)
{
    KM_ASSERT(!atomic_load(&hot->busy));
    if (hot->sketch != NULL && hot->store != NULL) {
        km_store_discharge(hot->store,
                           km_space_saving_bytes_max(hot->counters));
    }
    km_space_saving_free(hot->sketch);
    hot->sketch = NULL;
}

/* -- time ------------------------------------------------------------------ */

/* Halves the counts and their time as often as half-lives have passed. */
static void halve(struct km_hot_keys *hot, km_ns now)
{
    if (now < hot->step_at + HALF_LIFE_NS) {
        return;
    }
    uint64_t steps = (now - hot->step_at) / HALF_LIFE_NS;
    double factor = steps > HALVINGS_MAX ? 0 : 1;
    hot->step_at += steps * HALF_LIFE_NS;
    for (uint64_t i = 0; i < steps && i < HALVINGS_MAX; i++) {
        factor /= 2;
        hot->seconds = (hot->seconds + KM_HOT_KEYS_HALF_LIFE_MS / 1e3) / 2;
    }
    km_space_saving_scale(hot->sketch, factor);
}

/* Returns for how many seconds gets have been counted. Rates in the first second
 * are as if it were over. */
static double seconds_counted(const struct km_hot_keys *hot, km_ns now)
{
    km_ns since = now > hot->step_at ? now - hot->step_at : 0;
    double seconds = hot->seconds + (double)since / KM_NS_PER_S;
    return seconds < 1 ? 1 : seconds;
}

/* -- samples --------------------------------------------------------------- */

static uint64_t next_random(const struct km_hot_keys *hot,
                            struct km_hot_cell *cell)
{
    uint64_t x = cell->random;
    if (x == 0) {
        x = (hot->seed + (uint64_t)(cell - hot->cells) + 1) *
            UINT64_C(0x9e3779b97f4a7c15);
        x = x != 0 ? x : 1;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    cell->random = x;
    return x;
}

/* Chooses the period by the samples that the cell has had in this slice of time,
 * and begins a new slice when that one is over or has had its number. */
static void choose_period(struct km_hot_cell *cell, km_ns now)
{
    cell->samples++;
    bool is_over = now >= cell->slice_until;
    if (!is_over && cell->samples < KM_HOT_KEYS_SAMPLES) {
        return;
    }
    if (!is_over) {
        cell->period_bits += 1u << cell->period_bits < KM_HOT_KEYS_PERIOD_MAX;
    } else if (now >= cell->slice_until + IDLE_NS) {
        cell->period_bits = 0;
    } else if (cell->samples < KM_HOT_KEYS_SAMPLES / 4) {
        cell->period_bits -= cell->period_bits > 0;
    }
    cell->samples = 0;
    cell->slice_until = now + SLICE_NS;
}

/* Draws the distance to the next sample: 1 to 2 * period - 1, each as likely. */
static int32_t draw_left(const struct km_hot_keys *hot,
                         struct km_hot_cell *cell)
{
    uint64_t choices = (2u << cell->period_bits) - 1;
    return (int32_t)(((next_random(hot, cell) >> 32) * choices) >> 32);
}

/* Returns how many gets the sample stands for: the period, and those that were put
 * off. */
static double weight_of(struct km_hot_cell *cell)
{
    int32_t left = atomic_load_explicit(&cell->left, memory_order_relaxed);
    double period = 1u << cell->period_bits;
    double put_off = left < 0 ? -1 - (double)left : 0;
    return period + (put_off < period ? put_off : period);
}

/* Returns whether there is a sketch, and makes it at the first sample. */
static bool have_sketch(struct km_hot_keys *hot, km_ns now)
{
    if (KM_LIKELY(hot->sketch != NULL)) {
        return true;
    }
    hot->step_at = now;
    if (km_space_saving_new(hot->mem, hot->counters, &hot->sketch) != KAMA_OK) {
        return false;
    }
    if (hot->store != NULL) {
        km_store_charge(hot->store, km_space_saving_bytes_max(hot->counters));
    }
    return true;
}

void km_hot_keys_sample(struct km_hot_keys *hot, struct km_hot_cell *cell,
                        uint64_t hash, kama_bytes key)
{
    if (!try_use(hot)) {
        return;
    }
    km_ns now = km_clock_coarse(hot->clock);
    if (have_sketch(hot, now)) {
        halve(hot, now);
        km_space_saving_add(hot->sketch, hash, key, weight_of(cell));
    }
    choose_period(cell, now);
    atomic_store_explicit(&cell->left, draw_left(hot, cell),
                          memory_order_relaxed);
    end_use(hot);
}

/* -- reading --------------------------------------------------------------- */

/* Returns the square root of x, by Newton's method from above. */
static double root(double x)
{
    double r = x > 1 ? x : x > 0 ? 1 : 0;
    double next = r;
    do {
        r = next;
        next = r > 0 ? (r + x / r) / 2 : 0;
    } while (next < r);
    return r;
}

/* What a reader needs memory for, before it takes the sketch. */
struct reading {
    struct km_space_saving_entry *entries;
    struct km_hot_key *keys;
    uint8_t *bytes; /* of the keys */
};

static bool reading_new(const kama_allocator *mem, size_t n, size_t key_bytes,
                        struct reading *r)
{
    r->keys = km_mem_alloc(mem, n * sizeof *r->keys + key_bytes);
    r->entries = km_mem_alloc(mem, n * sizeof *r->entries);
    if (r->keys == NULL || r->entries == NULL) {
        km_mem_free(mem, r->keys);
        km_mem_free(mem, r->entries);
        return false;
    }
    r->bytes = (uint8_t *)(r->keys + n);
    return true;
}

/* Lets each cell that has had no sample for a while count every get again: its
 * period is that of a time when it had more. */
static void wake_idle(struct km_hot_keys *hot, km_ns now)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        struct km_hot_cell *cell = &hot->cells[i];
        if (cell->period_bits > 0 && now >= cell->slice_until + IDLE_NS) {
            cell->period_bits = 0;
            atomic_store_explicit(&cell->left, 0, memory_order_relaxed);
        }
    }
}

/* Copies the entries of the sketch while it cannot change. Returns their number. */
static size_t copy_top(struct km_hot_keys *hot, size_t n, struct reading *r)
{
    km_ns now = km_clock_coarse(hot->clock);
    size_t count = 0;
    if (hot->sketch != NULL) {
        halve(hot, now);
        wake_idle(hot, now);
        count = km_space_saving_top(hot->sketch, r->entries, n);
    }
    double seconds = seconds_counted(hot, now);
    for (size_t i = 0; i < count; i++) {
        const struct km_space_saving_entry *e = &r->entries[i];
        memcpy(r->bytes, e->key.data, e->key.len);
        r->keys[i] = (struct km_hot_key){
            .key = kama_bytes_make(r->bytes, e->key.len),
            .gets_per_s = (e->count - e->error) / seconds,
            .error_per_s = (e->error + 3 * root(e->variance)) / seconds};
        r->bytes += e->key.len;
    }
    return count;
}

kama_status km_hot_keys_read(struct km_hot_keys *hot, size_t n,
                             struct km_hot_keys_list *ret_list)
{
    struct reading r;
    *ret_list = (struct km_hot_keys_list){.mem = hot->mem};
    n = n < hot->counters ? n : hot->counters;
    if (!reading_new(hot->mem, n, hot->counters * KM_SPACE_SAVING_KEY_BYTES,
                     &r)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the hot keys");
    }
    while (!try_use(hot)) {
        (void)sched_yield();
    }
    ret_list->count = copy_top(hot, n, &r);
    end_use(hot);
    ret_list->keys = r.keys;
    km_mem_free(hot->mem, r.entries);
    return KAMA_OK;
}

void km_hot_keys_list_free(struct km_hot_keys_list *list)
{
    km_mem_free(list->mem, list->keys);
    *list = (struct km_hot_keys_list){.mem = list->mem};
}

kama_status km_group_hot_keys(kama_group *group, size_t n,
                              struct km_hot_keys_list *ret_list)
{
    return km_hot_keys_read(&group->hot, n, ret_list);
}

/* -- the public function ---------------------------------------------------- */

static KM_BOUNDARY_FUNCTION void call_back(const kama_group *group,
                                           const struct km_hot_key *k,
                                           kama_hot_key_fn fn, void *arg)
{
    const kama_hot_key shown = {.struct_size = sizeof shown,
                                .key = k->key,
                                .gets_per_s = k->gets_per_s,
                                .error_per_s = k->error_per_s};
    KM_BOUNDARY_BEGIN("the callback of kama_group_hot_keys", group->name,
                      k->key);
    int cancel = km_cancel_defer();
    fn(arg, &shown);
    km_cancel_allow(cancel);
    KM_BOUNDARY_END();
}

kama_status kama_group_hot_keys(kama_group *group, size_t n, kama_hot_key_fn fn,
                                void *arg)
{
    struct km_hot_keys_list list;
    if (n == 0 || fn == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s",
                       fn == NULL ? "fn: is NULL" : "n: 0 is less than 1");
    }
    kama_status st = km_group_hot_keys(group, n, &list);
    for (size_t i = 0; st == KAMA_OK && i < list.count; i++) {
        call_back(group, &list.keys[i], fn, arg);
    }
    if (st == KAMA_OK) {
        km_hot_keys_list_free(&list);
    }
    return st;
}
