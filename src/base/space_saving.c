/* SPDX-License-Identifier: MIT */
/*
 * The counters lie in one array and never move. A heap of their numbers has the
 * smallest count first, and a hash table with linear probing finds the counter of
 * a key:
 *
 *     counters   | 0: tom 90 | 1: ann 41 | 2: bob 8 | ...
 *     heap       | 2 | 0 | 1 |                        2 has the smallest count
 *     table      | - | 1 | - | 0 | 2 | - | ...        number + 1; 0 is free
 *
 * The table has at least twice as many slots as there are counters, so that probes
 * are short and always end.
 */
#include "base/space_saving.h"

#include "base/assert.h"

#include <string.h>

#define BLOCK_EXTRA_BYTES 32u /* that malloc adds to a block, at most */

struct counter {
    uint64_t hash;
    double count;
    double error;
    double variance;
    uint8_t *key; /* owned; NULL if the key is not stored */
    uint32_t key_len;
    uint32_t heap_at;
};

struct km_space_saving {
    const kama_allocator *mem;
    double total;
    unsigned limit;     /* of counters */
    unsigned used;      /* counters */
    uint32_t mask;      /* of the slots of the table */
    uint32_t key_bytes; /* of stored keys */
    struct counter *counters;
    uint16_t *heap;
    uint16_t *table;
};

/* Returns the number of slots: a power of two, at least 2 * counters. */
static uint32_t slots_for(unsigned counters)
{
    uint32_t slots = 2;
    while (slots < 2 * counters) {
        slots *= 2;
    }
    return slots;
}

/* Returns the size of the allocation that has everything but the keys. */
static size_t sketch_bytes(unsigned counters)
{
    return sizeof(struct km_space_saving) +
           counters * (sizeof(struct counter) + sizeof(uint16_t)) +
           slots_for(counters) * sizeof(uint16_t);
}

size_t km_space_saving_bytes_max(unsigned counters)
{
    return sketch_bytes(counters) + BLOCK_EXTRA_BYTES +
           counters * (size_t)(KM_SPACE_SAVING_KEY_BYTES + BLOCK_EXTRA_BYTES);
}

kama_status km_space_saving_new(const kama_allocator *mem, unsigned counters,
                                struct km_space_saving **ret_sketch)
{
    KM_ASSERT(counters > 0 && counters <= KM_SPACE_SAVING_COUNTERS_MAX);
    struct km_space_saving *s = km_mem_zalloc(mem, 1, sketch_bytes(counters));
    if (s == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    s->mem = mem;
    s->limit = counters;
    s->mask = slots_for(counters) - 1;
    s->counters = (struct counter *)(void *)(s + 1);
    s->heap = (uint16_t *)(void *)(s->counters + counters);
    s->table = s->heap + counters;
    *ret_sketch = s;
    return KAMA_OK;
}

void km_space_saving_free(struct km_space_saving *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < s->used; i++) {
        km_mem_free(s->mem, s->counters[i].key);
    }
    km_mem_free(s->mem, s);
}

/* -- keys ------------------------------------------------------------------ */

static void key_drop(struct km_space_saving *s, struct counter *c)
{
    if (c->key != NULL) {
        km_mem_free(s->mem, c->key);
        c->key = NULL;
        s->key_bytes -= c->key_len;
    }
}

/* Returns the smallest counter with a stored key whose count is less than that of
 * c, or NULL. */
static struct counter *smaller_with_key(struct km_space_saving *s,
                                        const struct counter *c)
{
    struct counter *found = NULL;
    for (unsigned i = 0; i < s->used; i++) {
        struct counter *other = &s->counters[i];
        if (other->key != NULL && other->count < c->count &&
            (found == NULL || other->count < found->count)) {
            found = other;
        }
    }
    return found;
}

/* Makes room for the key of c among the stored keys. */
static bool key_room(struct km_space_saving *s, const struct counter *c)
{
    uint32_t limit = s->limit * KM_SPACE_SAVING_KEY_BYTES;
    while (s->key_bytes + c->key_len > limit) {
        struct counter *smaller = smaller_with_key(s, c);
        if (smaller == NULL) {
            return false;
        }
        key_drop(s, smaller);
    }
    return true;
}

/* Stores the key of c, which has none stored, if there is room. */
static void key_store(struct km_space_saving *s, struct counter *c,
                      kama_bytes key)
{
    if (!key_room(s, c)) {
        return;
    }
    c->key = km_mem_alloc(s->mem, key.len > 0 ? key.len : 1);
    if (c->key != NULL) {
        memcpy(c->key, key.data, key.len);
        s->key_bytes += c->key_len;
    }
}

static bool key_is(const struct counter *c, uint64_t hash, kama_bytes key)
{
    return c->hash == hash && c->key_len == key.len &&
           (c->key == NULL || memcmp(c->key, key.data, key.len) == 0);
}

/* -- the table ------------------------------------------------------------- */

/* Returns the slot of a key, or the free slot in which it would be. */
static uint32_t table_slot(const struct km_space_saving *s, uint64_t hash,
                           kama_bytes key)
{
    uint32_t slot = (uint32_t)hash & s->mask;
    while (s->table[slot] != 0 &&
           !key_is(&s->counters[s->table[slot] - 1], hash, key)) {
        slot = (slot + 1) & s->mask;
    }
    return slot;
}

/* Returns the slot that a counter is in. */
static uint32_t table_slot_of(const struct km_space_saving *s, unsigned number)
{
    uint32_t slot = (uint32_t)s->counters[number].hash & s->mask;
    while (s->table[slot] != number + 1) {
        KM_ASSERT(s->table[slot] != 0);
        slot = (slot + 1) & s->mask;
    }
    return slot;
}

/* Frees a slot. Each counter behind it moves up if its probe would now end at the
 * free slot before it reaches the counter. */
static void table_remove(struct km_space_saving *s, uint32_t slot)
{
    uint32_t next = slot;
    s->table[slot] = 0;
    for (;;) {
        next = (next + 1) & s->mask;
        if (s->table[next] == 0) {
            return;
        }
        uint32_t home = (uint32_t)s->counters[s->table[next] - 1].hash;
        if (((next - home) & s->mask) >= ((next - slot) & s->mask)) {
            s->table[slot] = s->table[next];
            s->table[next] = 0;
            slot = next;
        }
    }
}

/* -- the heap -------------------------------------------------------------- */

static void heap_put(struct km_space_saving *s, unsigned at, unsigned number)
{
    s->heap[at] = (uint16_t)number;
    s->counters[number].heap_at = at;
}

static double heap_count(const struct km_space_saving *s, unsigned at)
{
    return s->counters[s->heap[at]].count;
}

/* Moves a counter whose count has grown away from the top. */
static void heap_sink(struct km_space_saving *s, unsigned at)
{
    unsigned number = s->heap[at];
    double count = s->counters[number].count;
    for (;;) {
        unsigned child = 2 * at + 1;
        if (child + 1 < s->used &&
            heap_count(s, child + 1) < heap_count(s, child)) {
            child++;
        }
        if (child >= s->used || heap_count(s, child) >= count) {
            break;
        }
        heap_put(s, at, s->heap[child]);
        at = child;
    }
    heap_put(s, at, number);
}

/* Moves a new counter, which is at the end, towards the top. */
static void heap_rise(struct km_space_saving *s, unsigned at)
{
    unsigned number = s->heap[at];
    double count = s->counters[number].count;
    while (at > 0 && heap_count(s, (at - 1) / 2) > count) {
        heap_put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(s, at, number);
}

/* -- counting -------------------------------------------------------------- */

/* Returns a counter that no key uses: a new one, or the smallest one, whose count
 * becomes the error. */
static struct counter *counter_take(struct km_space_saving *s)
{
    if (s->used < s->limit) {
        unsigned number = s->used++;
        heap_put(s, number, number);
        return &s->counters[number];
    }
    unsigned number = s->heap[0];
    struct counter *c = &s->counters[number];
    table_remove(s, table_slot_of(s, number));
    key_drop(s, c);
    c->error = c->count;
    return c;
}

static void add_new(struct km_space_saving *s, uint64_t hash, kama_bytes key,
                    double weight)
{
    struct counter *c = counter_take(s);
    c->hash = hash;
    c->key_len = (uint32_t)key.len;
    c->count += weight;
    c->variance += weight * (weight - 1);
    s->table[table_slot(s, hash, key)] = (uint16_t)(c - s->counters + 1);
    heap_rise(s, c->heap_at);
    heap_sink(s, c->heap_at);
    key_store(s, c, key);
}

void km_space_saving_add(struct km_space_saving *s, uint64_t hash,
                         kama_bytes key, double weight)
{
    KM_ASSERT(weight > 0);
    s->total += weight;
    uint32_t slot = table_slot(s, hash, key);
    if (s->table[slot] == 0) {
        add_new(s, hash, key, weight);
        return;
    }
    struct counter *c = &s->counters[s->table[slot] - 1];
    c->count += weight;
    c->variance += weight * (weight - 1);
    heap_sink(s, c->heap_at);
    if (c->key == NULL) {
        key_store(s, c, key);
    }
}

static void forget_all(struct km_space_saving *s)
{
    for (unsigned i = 0; i < s->used; i++) {
        key_drop(s, &s->counters[i]);
    }
    memset(s->counters, 0, s->used * sizeof *s->counters);
    memset(s->table, 0, (s->mask + (size_t)1) * sizeof *s->table);
    s->used = 0;
    s->total = 0;
}

void km_space_saving_scale(struct km_space_saving *s, double factor)
{
    KM_ASSERT(factor >= 0);
    if (factor == 0) {
        forget_all(s);
        return;
    }
    s->total *= factor;
    for (unsigned i = 0; i < s->used; i++) {
        s->counters[i].count *= factor;
        s->counters[i].error *= factor;
        s->counters[i].variance *= factor * factor;
    }
}

/* -- looking --------------------------------------------------------------- */

double km_space_saving_total(const struct km_space_saving *s)
{
    return s->total;
}

unsigned km_space_saving_counters(const struct km_space_saving *s)
{
    return s->limit;
}

/* Returns what was surely counted for the key of a counter. */
static double sure(const struct counter *c)
{
    return c->count - c->error;
}

/* Keeps the n largest counters of those seen so far, in their order. Returns their
 * new number. */
static size_t insert(const struct counter **top, size_t used, size_t n,
                     const struct counter *c)
{
    if (used == n && sure(top[n - 1]) >= sure(c)) {
        return used;
    }
    size_t at = used < n ? used : n - 1;
    while (at > 0 && sure(top[at - 1]) < sure(c)) {
        top[at] = top[at - 1];
        at--;
    }
    top[at] = c;
    return used < n ? used + 1 : n;
}

size_t km_space_saving_top(const struct km_space_saving *s,
                           struct km_space_saving_entry *ret_entries, size_t n)
{
    const struct counter *top[KM_SPACE_SAVING_COUNTERS_MAX];
    size_t used = 0;
    for (unsigned i = 0; i < s->used && n > 0; i++) {
        if (s->counters[i].key != NULL) {
            used =
                insert(top, used, n < s->limit ? n : s->limit, &s->counters[i]);
        }
    }
    for (size_t i = 0; i < used; i++) {
        ret_entries[i] = (struct km_space_saving_entry){
            .key = kama_bytes_make(top[i]->key, top[i]->key_len),
            .count = top[i]->count,
            .error = top[i]->error,
            .variance = top[i]->variance};
    }
    return used;
}

static void check_counter(const struct km_space_saving *s, unsigned number)
{
    const struct counter *c = &s->counters[number];
    KM_ASSERT(c->count > 0 && c->error >= 0 && c->error <= c->count);
    KM_ASSERT(c->heap_at < s->used && s->heap[c->heap_at] == number);
    KM_ASSERT(c->heap_at == 0 ||
              heap_count(s, (c->heap_at - 1) / 2) <= c->count);
    (void)table_slot_of(s, number);
}

void km_space_saving_check(const struct km_space_saving *s)
{
    double sum = 0;
    uint64_t key_bytes = 0;
    uint32_t in_table = 0;
    for (unsigned i = 0; i < s->used; i++) {
        check_counter(s, i);
        sum += s->counters[i].count;
        key_bytes += s->counters[i].key != NULL ? s->counters[i].key_len : 0;
    }
    for (uint32_t slot = 0; slot <= s->mask; slot++) {
        in_table += s->table[slot] != 0;
    }
    KM_ASSERT(in_table == s->used && s->used <= s->limit);
    KM_ASSERT(key_bytes == s->key_bytes);
    KM_ASSERT(key_bytes <= (uint64_t)s->limit * KM_SPACE_SAVING_KEY_BYTES);
    KM_ASSERT(sum <= s->total * (1 + 1e-9) && sum >= s->total * (1 - 1e-9));
}
