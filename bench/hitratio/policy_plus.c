/* SPDX-License-Identifier: MIT */
/*
 * s3fifo+: S3-FIFO with five changes, in the form in which a log-structured
 * store can have it. docs/EVICTION.md has the rules and the figures.
 *
 *     new --> SMALL --hit twice--> MAIN --+  one more round per hit, up to 3
 *               |                  |  ^   |
 *               |                  |  +---+
 *        ghosts of SMALL     ghosts of MAIN
 *
 *   1. While the cache is filled, keys beyond the share of SMALL go to MAIN.
 *   2. A ghost of SMALL enters MAIN only if it came back faster than the oldest
 *      key of MAIN is being used. Otherwise it enters SMALL with one hit.
 *   3. Ghosts take two bytes, and their window is twice the cache.
 *   4. A ghost that has just left SMALL makes the share of SMALL larger, and
 *      one that has just left MAIN makes it smaller.
 *   5. Keys that are large beside the mean need more hits to stay, and small
 *      ones need fewer.
 *
 * The clock counts the keys that left SMALL. A key of MAIN has the stamp of its
 * segment, which is the time when the segment was opened.
 */
#include "base/mem.h"
#include "ghosts.h"
#include "queue.h"
#include "random.h"
#include "trace.h"

#define SMALL_SHARE 0.10
#define SMALL_SHARE_MIN 0.01
#define SMALL_SHARE_MAX 0.50
#define RECENT_SHARE 0.125 /* ghosts of this age move the share */
#define FILLING_SHARE                                                          \
    0.75               /* a cache that has less than this is filling again */
#define SIZE_RATIO 2.0 /* a size this far from the mean is large, or small */
#define FREQ_MAX 3u

enum place { NOWHERE, SMALL, MAIN, PLACES };

/* How a key is known that is added. */
enum known { UNKNOWN, LEFT_SMALL, LEFT_MAIN };

struct settings {
    bool skips_prefill;
    bool skips_compare; /* every ghost enters MAIN */
    bool skips_adapt;   /* and there are no ghosts of MAIN */
    bool skips_sizes;   /* all keys need the same hits */
    double window;      /* of the ghosts of SMALL, beside the cache */
};

struct plus {
    struct hr_queue queues[PLACES];
    uint8_t *places;
    uint8_t *freqs;
    uint64_t *stamps;
    struct hr_ghosts left_small;
    struct hr_ghosts left_main;
    uint64_t capacity;
    uint64_t small_max;
    bool is_filling; /* it has not evicted since it had little */
    uint64_t clock;
    uint64_t segment_bytes;
    uint64_t segment_left;  /* bytes until the next segment of MAIN is opened */
    uint64_t segment_stamp; /* the time when the present one was opened */
    uint64_t batch; /* bytes that are freed beyond the size of the new key */
    uint32_t steps_max;
    uint32_t steps; /* that the present request may still take */
    struct settings settings;
};

/* Sets the bytes that SMALL shall have, within limits. */
static void set_small_max(struct plus *plus, double bytes)
{
    double low = (double)plus->capacity * SMALL_SHARE_MIN;
    double high = (double)plus->capacity * SMALL_SHARE_MAX;
    bytes = bytes < low ? low : bytes > high ? high : bytes;
    plus->small_max = bytes < 1 ? 1 : (uint64_t)bytes;
}

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct plus *plus = cache;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_init(&plus->queues[place], shape);
    }
    plus->places = hr_array(shape->keys, sizeof(uint8_t));
    plus->freqs = hr_array(shape->keys, sizeof(uint8_t));
    plus->stamps = hr_array(shape->keys, sizeof(uint64_t));
    plus->capacity = shape->capacity;
    plus->is_filling = true;
    set_small_max(plus, (double)shape->capacity * SMALL_SHARE);
    plus->segment_bytes = shape->capacity / shape->segments;
    plus->batch = shape->frees_segments ? plus->segment_bytes : 0;
    plus->steps_max = shape->steps;
    plus->settings = *(const struct settings *)settings;
}

static void fini(void *cache)
{
    struct plus *plus = cache;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_fini(&plus->queues[place]);
    }
    km_mem_free(km_mem_default(), plus->places);
    km_mem_free(km_mem_default(), plus->freqs);
    km_mem_free(km_mem_default(), plus->stamps);
    hr_ghosts_fini(&plus->left_small);
    hr_ghosts_fini(&plus->left_main);
}

/* -- queues --------------------------------------------------------------- */

static uint64_t bytes_in(const struct plus *plus)
{
    return plus->queues[SMALL].bytes + plus->queues[MAIN].bytes;
}

static uint64_t main_max(const struct plus *plus)
{
    return plus->capacity - plus->small_max;
}

/* Returns the mean size of the keys in the cache, which has at least one. */
static double mean_size(const struct plus *plus)
{
    uint64_t count = plus->queues[SMALL].count + plus->queues[MAIN].count;
    return (double)bytes_in(plus) / (double)count;
}

/* Returns how many keys of that mean size the cache can have. */
static double keys_that_fit(const struct plus *plus)
{
    return (double)plus->capacity / mean_size(plus);
}

static void take(struct plus *plus, uint32_t key)
{
    hr_queue_remove(&plus->queues[plus->places[key]], key);
    plus->places[key] = NOWHERE;
}

static void push_small(struct plus *plus, uint32_t key, unsigned freq)
{
    hr_queue_push(&plus->queues[SMALL], key);
    plus->places[key] = SMALL;
    plus->freqs[key] = (uint8_t)freq;
}

static void push_main(struct plus *plus, uint32_t key, unsigned freq)
{
    uint32_t size = plus->queues[MAIN].sizes[key];
    if (plus->segment_left < size) {
        plus->segment_left = plus->segment_bytes + size;
        plus->segment_stamp = plus->clock;
    }
    plus->segment_left -= size;
    plus->stamps[key] = plus->segment_stamp;
    hr_queue_push(&plus->queues[MAIN], key);
    plus->places[key] = MAIN;
    plus->freqs[key] = (uint8_t)freq;
}

/* Returns the size of a key beside the mean of the keys in the cache. */
static double relative_size(const struct plus *plus, uint32_t key)
{
    return plus->settings.skips_sizes
               ? 1
               : plus->queues[MAIN].sizes[key] / mean_size(plus);
}

/* Returns the hits that a key of SMALL needs to move to MAIN. */
static unsigned promote_freq(const struct plus *plus, uint32_t key)
{
    double size = relative_size(plus, key);
    return size > SIZE_RATIO ? 3 : size < 1 / SIZE_RATIO ? 1 : 2;
}

/* Returns the hits that a key of MAIN pays for a round. */
static unsigned round_cost(const struct plus *plus, uint32_t key)
{
    double size = relative_size(plus, key);
    return size > SIZE_RATIO * SIZE_RATIO ? 3 : size > SIZE_RATIO ? 2 : 1;
}

/* Lets the oldest key of MAIN begin another round, which costs it hits. */
static void turn_main(struct plus *plus)
{
    uint32_t key = hr_queue_oldest(&plus->queues[MAIN]);
    unsigned cost = round_cost(plus, key);
    unsigned freq = plus->freqs[key];
    take(plus, key);
    push_main(plus, key, freq > cost ? freq - cost : 0);
}

/* -- eviction ------------------------------------------------------------- */

/* Counts a step. Returns false when the request has taken all it may, and the
 * next key leaves whatever its hits. */
static bool may_step(struct plus *plus)
{
    if (plus->steps == 0) {
        return false;
    }
    plus->steps--;
    return true;
}

static void evict_small(struct plus *plus)
{
    while (!hr_queue_is_empty(&plus->queues[SMALL])) {
        uint32_t key = hr_queue_oldest(&plus->queues[SMALL]);
        if (plus->freqs[key] < promote_freq(plus, key) || !may_step(plus)) {
            hr_ghosts_add(&plus->left_small, hr_hash(key),
                          keys_that_fit(plus) * plus->settings.window);
            plus->clock++;
            plus->is_filling = false;
            take(plus, key);
            return;
        }
        take(plus, key);
        push_main(plus, key, 0);
    }
}

static void evict_main(struct plus *plus)
{
    uint32_t key = hr_queue_oldest(&plus->queues[MAIN]);
    while (plus->freqs[key] > 0 && may_step(plus)) {
        turn_main(plus);
        key = hr_queue_oldest(&plus->queues[MAIN]);
    }
    if (!plus->settings.skips_adapt) {
        hr_ghosts_add(&plus->left_main, hr_hash(key),
                      keys_that_fit(plus) * RECENT_SHARE);
    }
    plus->is_filling = false;
    take(plus, key);
}

static bool has_room(const struct plus *plus, uint64_t bytes)
{
    return bytes_in(plus) + bytes <= plus->capacity;
}

static void make_room(struct plus *plus, uint32_t size)
{
    uint64_t wanted = size;
    if (!has_room(plus, size) && size + plus->batch <= plus->capacity) {
        wanted += plus->batch;
    }
    while (!has_room(plus, wanted)) {
        if (plus->queues[MAIN].bytes > main_max(plus) ||
            hr_queue_is_empty(&plus->queues[SMALL])) {
            evict_main(plus);
        } else {
            evict_small(plus);
        }
    }
}

/* -- additions ------------------------------------------------------------ */

/* Looks for the ghost of a key, and moves the share of SMALL accordingly: by the
 * size of a mean key, because that of a large key would throw it about. */
static enum known know(struct plus *plus, uint32_t key, uint64_t *ret_age)
{
    double small_max = (double)plus->small_max;
    uint64_t unused;
    if (hr_ghosts_take(&plus->left_small, hr_hash(key), ret_age)) {
        if (!plus->settings.skips_adapt &&
            (double)*ret_age <= keys_that_fit(plus) * RECENT_SHARE) {
            set_small_max(plus, small_max + mean_size(plus));
        }
        return LEFT_SMALL;
    }
    if (hr_ghosts_take(&plus->left_main, hr_hash(key), &unused)) {
        set_small_max(plus, small_max - mean_size(plus));
        return LEFT_MAIN;
    }
    return UNKNOWN;
}

/* Returns whether a ghost of that age came back faster than the oldest key of
 * MAIN is being used. */
static bool beats_oldest(const struct plus *plus, uint64_t ghost_age)
{
    uint32_t oldest = hr_queue_oldest(&plus->queues[MAIN]);
    uint64_t age = plus->clock - plus->stamps[oldest];
    return plus->settings.skips_compare ||
           3 * ghost_age * (plus->freqs[oldest] + 1u) < 2 * age;
}

/* Adds a key that is known to a cache whose MAIN has its share. */
static void add_known(struct plus *plus, uint32_t key, enum known known,
                      uint64_t age)
{
    uint32_t size = plus->queues[SMALL].sizes[key];
    if (known == LEFT_SMALL && beats_oldest(plus, age)) {
        while (!has_room(plus, size) &&
               !hr_queue_is_empty(&plus->queues[MAIN])) {
            evict_main(plus);
        }
        make_room(plus, size);
        push_main(plus, key, 0);
        return;
    }
    if (plus->freqs[hr_queue_oldest(&plus->queues[MAIN])] > 0) {
        turn_main(plus);
    }
    make_room(plus, size);
    push_small(plus, key, 1);
}

/* While the cache is filled, keys beyond the share of SMALL go to MAIN. This is
 * a state of the cache and not a matter of room: small keys often find room
 * between two evictions, and would all slip into MAIN. */
static bool is_prefilling(struct plus *plus)
{
    double filled = (double)bytes_in(plus) / (double)plus->capacity;
    plus->is_filling = plus->is_filling || filled < FILLING_SHARE;
    return plus->is_filling && !plus->settings.skips_prefill &&
           plus->queues[SMALL].bytes >= plus->small_max;
}

static void add(struct plus *plus, uint32_t key)
{
    uint64_t age = 0;
    uint32_t size = plus->queues[SMALL].sizes[key];
    enum known known = know(plus, key, &age);
    plus->steps = plus->steps_max;
    if (known != UNKNOWN && !hr_queue_is_empty(&plus->queues[MAIN]) &&
        plus->queues[MAIN].bytes >= main_max(plus)) {
        add_known(plus, key, known, age);
        return;
    }
    bool to_main = known != UNKNOWN || is_prefilling(plus);
    make_room(plus, size);
    if (to_main) {
        push_main(plus, key, 0);
    } else {
        push_small(plus, key, 0);
    }
}

static bool get(void *cache, uint32_t key)
{
    struct plus *plus = cache;
    if (plus->places[key] != NOWHERE) {
        plus->freqs[key] += plus->freqs[key] < FREQ_MAX;
        return true;
    }
    add(plus, key);
    return false;
}

/* -- variants ------------------------------------------------------------- */

static const struct settings whole = {.window = 2};
static const struct settings no_prefill = {.window = 2, .skips_prefill = true};
static const struct settings no_compare = {.window = 2, .skips_compare = true};
static const struct settings no_adapt = {.window = 2, .skips_adapt = true};
static const struct settings no_sizes = {.window = 2, .skips_sizes = true};
static const struct settings short_window = {.window = 1};
static const struct settings long_window = {.window = 4};

#define VARIANT(symbol, text, sentence, values)                                \
    const struct hr_policy symbol = {                                          \
        .name = text,                                                          \
        .about = sentence,                                                     \
        .bytes = sizeof(struct plus),                                          \
        .settings = values,                                                    \
        .init = init,                                                          \
        .get = get,                                                            \
        .fini = fini,                                                          \
    }

VARIANT(hr_policy_plus, "s3fifo+", "S3-FIFO whose ghosts must beat MAIN",
        &whole);
VARIANT(hr_policy_plus_no_prefill, "s3fifo+no-prefill",
        "without change 1: SMALL takes all that fits", &no_prefill);
VARIANT(hr_policy_plus_no_compare, "s3fifo+no-compare",
        "without change 2: every ghost enters MAIN", &no_compare);
VARIANT(hr_policy_plus_no_adapt, "s3fifo+no-adapt",
        "without change 4: SMALL keeps 10 %", &no_adapt);
VARIANT(hr_policy_plus_no_sizes, "s3fifo+no-sizes",
        "without change 5: large keys need no more hits", &no_sizes);
VARIANT(hr_policy_plus_short, "s3fifo+window-1",
        "with a window of one cache for ghosts", &short_window);
VARIANT(hr_policy_plus_long, "s3fifo+window-4",
        "with a window of four caches for ghosts", &long_window);
