/* SPDX-License-Identifier: MIT */
#include "store/store_model.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/apply.h"
#include "store/fake_clock.h"
#include "store/stamped.h"
#include "store/store_epoch.h"
#include "store/store_hide.h"
#include "store/store_scan.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FILLS_MAX 8u
#define VIEWS_MAX 64u
#define SCAN_MAX 8u
#define SLOT_SEED 99u
/* The cost of a value beside its own bytes, at most. */
#define COST_OF_A_VALUE 128u

/* An allocator that counts the bytes of the blocks that live. A store need not be
 * the same with an allocator of the application and without. */
struct counting {
    kama_allocator allocator;
    const kama_allocator *inner;
    uint64_t bytes;
};

/* The entry of one key. */
struct entry {
    enum km_store_presence presence; /* never KM_STORE_EXPIRED */
    uint64_t stamp;
    uint64_t version;
    struct km_version mutation; /* not set: the entry is filled */
    km_ns expires_at;
    size_t len;
};

/* The floor of one key. */
struct least {
    uint64_t
        clock; /* of what was deleted or forgotten: the floor is not below it */
    uint64_t seen; /* the floor when it was last read */
};

/* A fill that is pending. */
struct pending {
    struct km_fill fill;
    unsigned key;
    bool used;
    bool overtaken;
};

/* A value that the test holds. */
struct view {
    kama_value *value;
    uint64_t stamp;
    size_t len;
    uint64_t cost;
};

struct store_model {
    struct store_model_plan plan;
    struct store_calls calls;
    uint64_t max_bytes; /* now */
    bool resized;       /* by this step */
    struct counting counting;
    struct fake_clock clock;
    struct km_store *store;
    unsigned steps;
    unsigned kind;  /* of the last step */
    uint64_t stamp; /* the last one that was given to a value */
    uint64_t adoption;
    uint64_t sweep_cursor;
    bool sweeping;
    struct km_slot_map *lost;
    uint64_t scan_cursor;
    bool scanning;
    uint64_t held_bytes;
    bool in_debt; /* what was held has made the store exceed its bound */
    uint64_t held_before;    /* the step, or after it if that is more */
    uint64_t incoming_bytes; /* of the values that this step has made */
    uint64_t evictions;      /* before this step */
    uint64_t used_bytes;     /* likewise */
    uint64_t hits_min, hits_max, negative_hits;
    struct store_model_counts counts;
    struct pending fills[FILLS_MAX];
    struct view views[VIEWS_MAX];
    uint64_t hlc; /* the largest clock so far */
    struct least *floors;
    struct entry *entries;
    bool *awaited; /* by the scan: there since its begin, and not seen yet */
    kama_bytes *keys;
    uint8_t *key_bytes; /* of all keys */
    char *value;        /* room for a value that is put */
    char *out;          /* room for a copy */
    char fault[256];
};

/* -- the allocator --------------------------------------------------------- */

static void *counting_alloc(void *arg, size_t size)
{
    struct counting *c = arg;
    void *p = km_mem_alloc(c->inner, size);
    c->bytes += p != NULL ? malloc_usable_size(p) : 0;
    return p;
}

static void *counting_resize(void *arg, void *p, size_t size)
{
    struct counting *c = arg;
    size_t before = p != NULL ? malloc_usable_size(p) : 0;
    void *moved = km_mem_resize(c->inner, p, size);
    if (moved != NULL) {
        c->bytes += malloc_usable_size(moved) - before;
    }
    return moved;
}

static void counting_release(void *arg, void *p)
{
    struct counting *c = arg;
    c->bytes -= malloc_usable_size(p);
    km_mem_free(c->inner, p);
}

static void counting_init(struct counting *c, const kama_allocator *inner)
{
    c->inner = km_mem_or_default(inner);
    c->allocator =
        (kama_allocator){counting_alloc, counting_resize, counting_release, c};
    c->bytes = 0;
}

/* -- small parts ----------------------------------------------------------- */

static const char *const kind_names[STORE_STEP_KINDS] = {
    [STORE_STEP_PUT] = "put",
    [STORE_STEP_GET] = "get",
    [STORE_STEP_COPY] = "copy",
    [STORE_STEP_LOOK] = "look",
    [STORE_STEP_DEL] = "del",
    [STORE_STEP_TOUCH] = "touch",
    [STORE_STEP_PEEK] = "peek",
    [STORE_STEP_FILL_BEGIN] = "fill begin",
    [STORE_STEP_FILL_COMMIT] = "fill commit",
    [STORE_STEP_FILL_CANCEL] = "fill cancel",
    [STORE_STEP_OVERTAKE] = "overtake",
    [STORE_STEP_SCAN] = "scan",
    [STORE_STEP_HOLD] = "hold",
    [STORE_STEP_RELEASE] = "release",
    [STORE_STEP_SWEEP] = "sweep",
    [STORE_STEP_TIME] = "time",
    [STORE_STEP_OLD] = "old adoption",
    [STORE_STEP_RESIZES] = "other lengths",
    [STORE_STEP_ROW] = "row of keys",
    [STORE_STEP_HIDE] = "hide",
    [STORE_STEP_CLEAR] = "clear",
    [STORE_STEP_VERIFY] = "verify",
    [STORE_STEP_PUT_IF] = "put if",
    [STORE_STEP_RESIZE] = "resize",
    [STORE_STEP_APPLY] = "apply",
    [STORE_STEP_INVALIDATE] = "invalidate"};

/* Notes the first fault, and returns false. */
__attribute__((format(printf, 2, 3))) static bool fault(struct store_model *m,
                                                        const char *format, ...)
{
    if (m->fault[0] == '\0') {
        va_list args;
        int n = snprintf(m->fault, sizeof m->fault, "step %u, %s: ", m->steps,
                         kind_names[m->kind]);
        va_start(args, format);
        (void)vsnprintf(m->fault + n, sizeof m->fault - (size_t)n, format,
                        args);
        va_end(args);
    }
    return false;
}

static void *made(void *block)
{
    if (block == NULL) {
        abort();
    }
    return block;
}

static km_ns now(const struct store_model *m)
{
    return atomic_load(&m->clock.now);
}

static kama_bytes key_of(const struct store_model *m, unsigned k)
{
    return m->keys[k];
}

static uint64_t hash_of(const struct store_model *m, unsigned k)
{
    return km_store_hash(m->store, key_of(m, k));
}

/* Returns whether the slot of a key has been lost, and is not swept yet. */
static bool is_hidden(const struct store_model *m, unsigned k)
{
    return m->sweeping &&
           km_slot_map_has(m->lost, km_slot_of(SLOT_SEED, key_of(m, k)));
}

/* Returns the entry that a key must have now, if the store has not forgotten
 * it. */
static enum km_store_presence presence(const struct store_model *m, unsigned k)
{
    const struct entry *e = &m->entries[k];
    bool over = e->expires_at != 0 && e->expires_at <= now(m);
    return over ? KM_STORE_ABSENT : e->presence;
}

/* The floor of a key is at least at a clock from now on. */
static void raise(struct store_model *m, unsigned k, uint64_t clock)
{
    struct least *least = &m->floors[k];
    least->clock = clock > least->clock ? clock : least->clock;
}

static void forget(struct store_model *m, unsigned k)
{
    raise(m, k, m->entries[k].mutation.hlc);
    m->entries[k] = (struct entry){.presence = KM_STORE_ABSENT};
    m->awaited[k] = false;
}

/* Returns whether there may be no memory for so many bytes more. A bound that has
 * sunk may be too small for the largest values of the plan. */
static bool may_refuse(const struct store_model *m, uint64_t bytes)
{
    return m->plan.allocations_fail ||
           (m->max_bytes < m->plan.max_bytes && bytes > m->max_bytes / 4) ||
           m->held_bytes + bytes > m->max_bytes / 2 - m->max_bytes / 16;
}

/* Returns whether a status is an error for want of memory that is permitted. */
static bool refused(struct store_model *m, kama_status st, uint64_t bytes)
{
    bool is = (st == KAMA_ERR_NO_MEMORY || st == KAMA_ERR_OVERLOADED) &&
              may_refuse(m, bytes);
    m->counts.refused += is;
    return is;
}

static uint64_t cost_of(const struct store_model *m, unsigned k, size_t len)
{
    return len + m->keys[k].len + COST_OF_A_VALUE;
}

static void overtake_fills(struct store_model *m, unsigned k)
{
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        struct pending *p = &m->fills[i];
        p->overtaken = p->overtaken || (p->used && p->key == k);
    }
}

/* Returns the length that a step asks for. Small ones are as frequent as large
 * ones, and the largest of all is not rare. */
static size_t length_of(const struct store_model *m, uint32_t size)
{
    size_t max = m->plan.value_bytes_max;
    unsigned bits = 0;
    while (max >> (bits + 1) > 0) {
        bits++;
    }
    size_t top = (size_t)1 << (size & 31) % (bits + 1);
    return (size & 31) == 31 ? max : (size >> 5) % (top + 1);
}

/* Returns the time to live that a step asks for. */
static km_ns expiry_of(const struct store_model *m, unsigned how)
{
    switch (how % 8) {
    case 4:
        return now(m) + 1 + how / 8 % 8 * KM_NS_PER_MS;
    case 5:
        return now(m) + how / 8 * 10 * KM_NS_PER_MS;
    case 6:
        return now(m) / KM_NS_PER_S * KM_NS_PER_S + KM_NS_PER_S;
    default:
        return 0;
    }
}

/* -- comparisons ----------------------------------------------------------- */

/* Takes note that the store has forgotten a key. */
static bool forgotten(struct store_model *m, unsigned k)
{
    forget(m, k);
    m->counts.forgotten++;
    return m->plan.room == STORE_MODEL_FULL ||
           fault(m, "the entry of key %u is gone although there is room", k);
}

/* Compares the entry that the store has for a key with the right one. */
static bool expect(struct store_model *m, unsigned k,
                   enum km_store_presence seen)
{
    enum km_store_presence want = presence(m, k);
    if (seen == KM_STORE_EXPIRED) {
        if (m->entries[k].presence == KM_STORE_ABSENT) {
            return fault(m, "key %u has an expired entry that was removed", k);
        }
        if (want != KM_STORE_ABSENT) {
            return fault(m, "key %u has expired before its time", k);
        }
        seen = KM_STORE_ABSENT;
    }
    if (seen == want) {
        m->awaited[k] = m->awaited[k] && want == KM_STORE_VALUE;
        m->counts.expired +=
            want == KM_STORE_ABSENT && m->entries[k].expires_at != 0;
        return true;
    }
    if (seen == KM_STORE_ABSENT) {
        return forgotten(m, k);
    }
    return fault(m, "key %u has a %s, and should have %s", k,
                 seen == KM_STORE_VALUE ? "value" : "negative entry",
                 want == KM_STORE_VALUE      ? "a value"
                 : want == KM_STORE_NEGATIVE ? "a negative entry"
                                             : "nothing");
}

/* As expect, for a call that says no more than whether there is a value. */
static bool expect_value(struct store_model *m, unsigned k, bool seen)
{
    if (!seen && presence(m, k) == KM_STORE_NEGATIVE) {
        return true;
    }
    return expect(m, k, seen ? KM_STORE_VALUE : KM_STORE_ABSENT);
}

/* As expect, for the status of a get. Errors are faults. */
static bool expect_status(struct store_model *m, unsigned k, kama_status st)
{
    if (st != KAMA_OK && st != KAMA_MISS && st != KAMA_WOULD_LOAD) {
        return fault(m, "a look-up of key %u: %s", k, kama_status_name(st));
    }
    return expect(m, k,
                  st == KAMA_OK     ? KM_STORE_VALUE
                  : st == KAMA_MISS ? KM_STORE_NEGATIVE
                                    : KM_STORE_ABSENT);
}

/* Compares the bytes of the value of a key. */
static bool expect_bytes(struct store_model *m, unsigned k, kama_bytes bytes)
{
    const struct entry *e = &m->entries[k];
    m->counts.found++;
    if (bytes.len != e->len) {
        return fault(m, "the value of key %u has %zu bytes instead of %zu", k,
                     bytes.len, e->len);
    }
    return stamped_is(bytes.data, bytes.len, e->stamp) ||
           fault(m, "the value of key %u has the bytes of another value", k);
}

static bool expect_found(struct store_model *m, unsigned k,
                         const kama_value *value)
{
    return expect_bytes(m, k, kama_value_bytes(value)) &&
           ((kama_value_version(value) == m->entries[k].version &&
             km_version_compare(km_item_stamp(value), m->entries[k].mutation) ==
                 0) ||
            fault(m, "the value of key %u has another version", k));
}

static void count_hit(struct store_model *m, kama_status st)
{
    m->hits_min += st == KAMA_OK;
    m->hits_max += st != KAMA_MISS && st != KAMA_WOULD_LOAD;
    m->negative_hits += st == KAMA_MISS;
}

/* Looks at a key without using it, and compares. */
static bool look(struct store_model *m, unsigned k,
                 struct km_store_look *ret_look)
{
    km_store_look(m->store, hash_of(m, k), key_of(m, k), ret_look);
    const struct entry *e = &m->entries[k];
    if (!expect(m, k, ret_look->presence)) {
        return false;
    }
    if (ret_look->presence != KM_STORE_VALUE) {
        return true;
    }
    return (ret_look->value_bytes == e->len &&
            ret_look->version == e->version &&
            km_version_compare(ret_look->stamp, e->mutation) == 0 &&
            ret_look->expires_at == e->expires_at) ||
           fault(m, "a look at key %u shows another value", k);
}

static bool do_look(struct store_model *m, unsigned k)
{
    struct km_store_look seen;
    return look(m, k, &seen);
}

/* Looks at an entry that was just stored: it must be there. */
static bool expect_stored(struct store_model *m, unsigned k)
{
    struct km_store_look seen;
    enum km_store_presence want = presence(m, k);
    uint64_t cost = cost_of(m, k, m->entries[k].len);
    return look(m, k, &seen) &&
           (presence(m, k) == want || may_refuse(m, cost) ||
            fault(m, "key %u is not there after it was stored", k));
}

/* -- gets ------------------------------------------------------------------ */

static bool do_get(struct store_model *m, unsigned k)
{
    kama_value *value = NULL;
    kama_status st =
        m->calls.get(m->store, hash_of(m, k), key_of(m, k), &value);
    count_hit(m, st);
    if (refused(m, st, m->entries[k].len)) {
        return true;
    }
    bool good = expect_status(m, k, st);
    if (st == KAMA_OK) {
        good = good && expect_found(m, k, value);
        kama_value_unref(value);
    }
    return good;
}

/* Copies into a buffer that is just large enough, larger, or too small. */
static bool do_copy(struct store_model *m, unsigned k, unsigned how)
{
    size_t len = m->entries[k].len;
    size_t cap = how % 4 == 0 && len > 0 ? len - 1
                 : how % 4 == 1          ? len
                                         : m->plan.value_bytes_max;
    size_t got = SIZE_MAX;
    kama_status st = m->calls.copy(m->store, hash_of(m, k), key_of(m, k),
                                   cap > 0 ? m->out : NULL, cap, &got);
    count_hit(m, st);
    if (refused(m, st, len)) {
        return true;
    }
    if (st == KAMA_ERR_TOO_SMALL) {
        return (presence(m, k) == KM_STORE_VALUE && got == len && cap < len) ||
               fault(m, "key %u: a copy was refused although it fits", k);
    }
    return expect_status(m, k, st) &&
           (st != KAMA_OK || expect_bytes(m, k, KAMA_BYTES(m->out, got)));
}

static bool do_peek(struct store_model *m, unsigned k)
{
    km_ns at = 0;
    kama_status st =
        km_store_peek(m->store, m->adoption, hash_of(m, k), key_of(m, k), &at);
    if (st != KAMA_OK && st != KAMA_MISS) {
        return fault(m, "a peek of key %u: %s", k, kama_status_name(st));
    }
    return expect_value(m, k, st == KAMA_OK) &&
           (st != KAMA_OK || at == m->entries[k].expires_at ||
            fault(m, "key %u expires at another time", k));
}

static bool do_hold(struct store_model *m, unsigned k)
{
    struct view *v = m->views;
    uint64_t cost = cost_of(m, k, m->entries[k].len);
    while (v < m->views + VIEWS_MAX && v->value != NULL) {
        v++;
    }
    if (v == m->views + VIEWS_MAX ||
        m->held_bytes + cost > m->plan.held_bytes_max) {
        return true;
    }
    kama_value *value = NULL;
    kama_status st =
        m->calls.get(m->store, hash_of(m, k), key_of(m, k), &value);
    count_hit(m, st);
    if (refused(m, st, cost)) {
        return true;
    }
    if (!expect_status(m, k, st)) {
        if (st == KAMA_OK) {
            kama_value_unref(value);
        }
        return false;
    }
    if (st == KAMA_OK) {
        *v = (struct view){value, m->entries[k].stamp, m->entries[k].len, cost};
        m->held_bytes += cost;
        return expect_found(m, k, value);
    }
    return true;
}

/* Asks whether the bytes of a view are the same as ever, and gives it back. */
static bool release(struct store_model *m, struct view *v)
{
    if (v->value == NULL) {
        return true;
    }
    kama_bytes bytes = kama_value_bytes(v->value);
    bool good = bytes.len == v->len && stamped_is(bytes.data, v->len, v->stamp);
    kama_value_unref(v->value);
    m->held_bytes -= v->cost;
    v->value = NULL;
    return good || fault(m, "a value has changed while it was held");
}

/* Gives one view back, or one time in 16 all of them. */
static bool do_release(struct store_model *m, unsigned how)
{
    bool good = true;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        if (how % 16 == 0 || i == how / 4) {
            good = release(m, &m->views[i]) && good;
        }
    }
    return good;
}

/* -- changes --------------------------------------------------------------- */

/* Makes the item of an entry. Returns NULL without memory. */
static kama_value *item_new(struct store_model *m, unsigned k,
                            const struct entry *e)
{
    const struct km_item_spec spec = {
        .key = key_of(m, k),
        .value = kama_bytes_make(m->value, e->len),
        .expires_at = e->expires_at,
        .version = e->version,
        .stamp = e->mutation,
        .negative = e->presence == KM_STORE_NEGATIVE};
    stamped_fill(m->value, e->len, e->stamp);
    m->incoming_bytes += cost_of(m, k, e->len);
    return km_store_item_new(m->store, &spec);
}

/* Returns a new entry, as a step asks for it: one of 32 is negative. */
static struct entry entry_new(struct store_model *m, size_t len, unsigned how)
{
    struct entry e = {.presence = KM_STORE_VALUE,
                      .stamp = ++m->stamp,
                      .expires_at = expiry_of(m, how),
                      .len = len};
    if (how / 8 == 31) {
        e.presence = KM_STORE_NEGATIVE;
        e.len = 0;
    }
    e.version = how / 8 % 2 == 0 ? e.stamp : 0;
    return e;
}

/* Puts an entry in the place of another one. A value was there throughout only if
 * both are values. */
static void replace(struct store_model *m, unsigned k, const struct entry *e)
{
    m->awaited[k] = m->awaited[k] && presence(m, k) == KM_STORE_VALUE &&
                    e->presence == KM_STORE_VALUE;
    if (!km_version_is_set(e->mutation)) {
        raise(m, k, m->entries[k].mutation.hlc);
    }
    m->entries[k] = *e;
}

static bool put(struct store_model *m, unsigned k, size_t len, unsigned how)
{
    struct entry e = entry_new(m, len, how);
    struct km_store_look before;
    if (is_hidden(m, k)) {
        return true;
    }
    if (!look(m, k, &before)) {
        return false;
    }
    kama_value *item = item_new(m, k, &e);
    kama_status st =
        item == NULL ? KAMA_ERR_NO_MEMORY
                     : m->calls.put(m->store, m->adoption, hash_of(m, k), item);
    if (refused(m, st, cost_of(m, k, e.len))) {
        return true;
    }
    if (st != KAMA_OK) {
        return fault(m, "a put of key %u with %zu bytes: %s", k, e.len,
                     kama_status_name(st));
    }
    replace(m, k, &e);
    overtake_fills(m, k);
    return expect_stored(m, k);
}

/* Returns the etag of the value of a key, which is used for that. *ret_good is
 * whether the value is right. */
static uint64_t etag_of(struct store_model *m, unsigned k, bool *ret_good)
{
    kama_value *value = NULL;
    kama_status st =
        m->calls.get(m->store, hash_of(m, k), key_of(m, k), &value);
    count_hit(m, st);
    *ret_good = refused(m, st, m->entries[k].len) || expect_status(m, k, st);
    if (st != KAMA_OK) {
        return 0;
    }
    uint64_t etag = kama_value_etag(value);
    *ret_good = *ret_good && expect_found(m, k, value);
    kama_value_unref(value);
    return etag;
}

/* Returns the status of a put with a condition, if there is memory. */
static kama_status status_of(const struct store_model *m, unsigned k,
                             const struct km_put_condition *condition,
                             uint64_t etag)
{
    bool present = presence(m, k) == KM_STORE_VALUE;
    switch (condition->kind) {
    case KM_PUT_ALWAYS:
        return KAMA_OK;
    case KM_PUT_IF_ABSENT:
        return present ? KAMA_ERR_EXISTS : KAMA_OK;
    case KM_PUT_IF_PRESENT:
        return present ? KAMA_OK : KAMA_MISS;
    case KM_PUT_IF_MATCH:
        break;
    }
    return !present                  ? KAMA_MISS
           : condition->etag == etag ? KAMA_OK
                                     : KAMA_ERR_EXISTS;
}

/* Puts with a condition: the etag is right in half of the cases. A put that is
 * refused changes nothing. Room is made after such a put, and an eviction may take
 * just the entry that it has stored. */
static bool do_put_if(struct store_model *m, unsigned k, size_t len,
                      unsigned how)
{
    struct km_put_condition condition = {.kind = (enum km_put_kind)(how % 4)};
    struct entry e = entry_new(m, len, how / 8);
    bool good = true;
    if (is_hidden(m, k)) {
        return true;
    }
    uint64_t etag =
        condition.kind == KM_PUT_IF_MATCH ? etag_of(m, k, &good) : 0;
    condition.etag = how / 4 % 2 == 0 ? etag : etag + 1;
    if (!good || !do_look(m, k)) {
        return false;
    }
    if (condition.kind == KM_PUT_IF_MATCH && etag == 0 &&
        presence(m, k) == KM_STORE_VALUE) {
        return true; /* there was no memory to see the value */
    }
    kama_status want = status_of(m, k, &condition, etag);
    kama_value *item = item_new(m, k, &e);
    kama_status st = item == NULL
                         ? KAMA_ERR_NO_MEMORY
                         : km_store_put_if(m->store, m->adoption, hash_of(m, k),
                                           item, &condition);
    if (refused(m, st, cost_of(m, k, e.len))) {
        return true;
    }
    if (st != want) {
        return fault(m, "a put of key %u with condition %u: %s, and not %s", k,
                     how % 4, kama_status_name(st), kama_status_name(want));
    }
    if (st != KAMA_OK) {
        enum km_store_presence before = presence(m, k);
        return do_look(m, k) &&
               (presence(m, k) == before ||
                fault(m, "a refused put has evicted key %u", k));
    }
    replace(m, k, &e);
    overtake_fills(m, k);
    return do_look(m, k);
}

static bool do_del(struct store_model *m, unsigned k)
{
    kama_status st =
        m->calls.del(m->store, m->adoption, hash_of(m, k), key_of(m, k));
    if (st != KAMA_OK && st != KAMA_MISS) {
        return fault(m, "a del of key %u: %s", k, kama_status_name(st));
    }
    bool good = expect_value(m, k, st == KAMA_OK);
    forget(m, k);
    overtake_fills(m, k);
    return good && do_look(m, k);
}

static bool do_touch(struct store_model *m, unsigned k, unsigned how)
{
    km_ns at = expiry_of(m, how);
    size_t len = m->entries[k].len;
    kama_status st =
        m->calls.touch(m->store, m->adoption, hash_of(m, k), key_of(m, k), at);
    m->incoming_bytes += cost_of(m, k, len);
    if (refused(m, st, cost_of(m, k, len))) {
        return true;
    }
    if (st != KAMA_OK && st != KAMA_MISS) {
        return fault(m, "a touch of key %u: %s", k, kama_status_name(st));
    }
    if (!expect_value(m, k, st == KAMA_OK)) {
        return false;
    }
    if (st == KAMA_OK) {
        m->entries[k].expires_at = at;
        overtake_fills(m, k);
        return expect_stored(m, k);
    }
    return true;
}

static bool do_clear(struct store_model *m)
{
    m->calls.clear(m->store);
    for (unsigned k = 0; k < m->plan.keys; k++) {
        forget(m, k);
        overtake_fills(m, k);
    }
    return do_look(m, 0);
}

/* Changes that were decided by an old adoption are refused and change
 * nothing. */
static bool do_old(struct store_model *m, unsigned k, unsigned how)
{
    kama_bytes key = key_of(m, k);
    uint64_t hash = hash_of(m, k);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    km_ns at;
    if (m->adoption == 0) {
        return true;
    }
    uint64_t old = m->adoption - 1;
    if (how % 4 == 0) {
        struct entry e = entry_new(m, 10, 0);
        kama_value *item = item_new(m, k, &e);
        st = item == NULL ? KAMA_ERR_NO_MEMORY
                          : m->calls.put(m->store, old, hash, item);
    } else if (how % 4 == 1) {
        st = m->calls.del(m->store, old, hash, key);
    } else if (how % 4 == 2) {
        st = m->calls.touch(m->store, old, hash, key, 1);
    } else {
        st = km_store_peek(m->store, old, hash, key, &at);
    }
    return ((st == KAMA_ERR_TRY_AGAIN || refused(m, st, 10)) &&
            do_look(m, k)) ||
           fault(m, "key %u was changed by an old adoption: %s", k,
                 kama_status_name(st));
}

/* Overwrites one key with longer and longer values, or with shorter ones. */
static bool do_resizes(struct store_model *m, unsigned k, unsigned how)
{
    size_t len = m->plan.value_bytes_max;
    unsigned count = 0;
    while (len >> count > 0) {
        count++;
    }
    for (unsigned i = 0; i <= count; i++) {
        size_t next = len >> (how % 2 == 0 ? i : count - i);
        if (!put(m, k, next, 0)) {
            return false;
        }
    }
    return true;
}

/* Puts a row of keys that expire at the same moment, or never. */
static bool do_row(struct store_model *m, unsigned k, unsigned how,
                   uint32_t size)
{
    size_t len = length_of(m, size) % 300;
    for (unsigned i = 0; i < 64; i++) {
        if (!put(m, (k + i) % m->plan.keys, len, how % 2 == 0 ? 0 : 6)) {
            return false;
        }
    }
    return true;
}

/* -- mutations with versions ----------------------------------------------- */

/* Returns a version with a clock that is near the largest one so far, before it or
 * behind it. Few clocks and origins make equal ones likely. */
static struct km_version version_of(struct store_model *m, uint32_t random)
{
    uint64_t back = random / 4 % 16;
    uint64_t hlc = m->hlc + 2 > back ? m->hlc + 2 - back : 1;
    m->hlc = hlc > m->hlc ? hlc : m->hlc;
    return (struct km_version){.hlc = hlc, .origin = 1 + random % 4};
}

/* Returns whether a key has an explicit entry that is not older than v. A v that is not
 * set is newer than everything. */
static bool is_outdated(const struct store_model *m, unsigned k,
                        struct km_version v)
{
    const struct entry *e = &m->entries[k];
    return km_version_is_set(v) && presence(m, k) != KM_STORE_ABSENT &&
           km_version_is_set(e->mutation) &&
           km_version_compare(e->mutation, v) >= 0;
}

static uint64_t floor_of(const struct store_model *m, unsigned k)
{
    return km_store_floor(m->store, hash_of(m, k));
}

/* The floor of a key has not sunk, and is not below what was deleted. An entry that was
 * hidden is forgotten by the sweep. */
static bool check_floor(struct store_model *m, unsigned k)
{
    struct least *least = &m->floors[k];
    uint64_t now_at = floor_of(m, k);
    if (!m->plan.synced) {
        return true;
    }
    if (now_at < least->seen || (now_at < least->clock && !is_hidden(m, k))) {
        return fault(m, "the floor of key %u is %llu, after %llu and %llu", k,
                     (unsigned long long)now_at,
                     (unsigned long long)least->seen,
                     (unsigned long long)least->clock);
    }
    least->seen = now_at;
    return true;
}

/* A mutation, and the entry that it must leave behind. */
struct mutation {
    struct km_operation operation;
    struct km_version version;
    bool begins_here;
    bool sets;          /* it stores an entry */
    bool is_barred;     /* by the floor */
    struct entry after; /* if it stores one */
};

/* Gives the versions of mutations that begin here. */
static struct km_version next_version(void *arg, const struct km_asking *asking)
{
    struct store_model *m = arg;
    (void)asking;
    return (struct km_version){.hlc = ++m->hlc, .origin = 9};
}

/* Decides by the rule R4 what a mutation leaves behind. An entry that has expired is
 * forgotten first, and raises the floor. */
static void decide(struct store_model *m, unsigned k, struct mutation *x)
{
    const struct entry *e = &m->entries[k];
    bool live = presence(m, k) != KM_STORE_ABSENT;
    bool is_explicit = live && km_version_is_set(e->mutation);
    uint64_t floor = floor_of(m, k);
    floor = !live && e->mutation.hlc > floor ? e->mutation.hlc : floor;
    switch (x->operation.kind) {
    case KM_APPLY_SET:
        x->is_barred = !is_explicit && x->version.hlc <= floor;
        x->sets = !x->is_barred;
        break;
    case KM_APPLY_EXPIRE:
        x->sets =
            live && (x->begins_here ||
                     (is_explicit &&
                      km_version_compare(e->mutation, x->operation.base) == 0));
        x->after = *e;
        x->after.expires_at = x->operation.expires_at;
        break;
    case KM_APPLY_DROP:
    case KM_APPLY_DELETE:
        break;
    }
    x->after.mutation = x->version;
}

/* Does to the array what a mutation has done to the store. Returns whether it changed the
 * entry. */
static bool carry_out(struct store_model *m, unsigned k,
                      const struct mutation *x)
{
    overtake_fills(m, k);
    bool outdated = is_outdated(m, k, x->version);
    bool was_there = presence(m, k) == KM_STORE_VALUE;
    if (!x->sets && !x->is_barred) {
        raise(m, k, x->version.hlc);
    }
    m->counts.barred += x->is_barred;
    m->counts.outdated += outdated;
    m->counts.applied += !outdated && (x->sets || was_there);
    if (outdated) {
        return false;
    }
    if (x->sets) {
        replace(m, k, &x->after);
    } else {
        forget(m, k);
    }
    return x->sets || was_there;
}

/* A set for which there was no memory is a drop, and an eviction for its sake may have
 * raised its floor to above its version. Both leave nothing behind. */
static bool learn_loss(struct store_model *m, unsigned k,
                       const struct mutation *x, uint64_t floor)
{
    struct km_store_look seen;
    uint64_t cost = cost_of(m, k, x->after.len);
    km_store_look(m->store, hash_of(m, k), key_of(m, k), &seen);
    bool may_be = may_refuse(m, cost) || floor_of(m, k) > floor;
    bool lost = x->sets && may_be && seen.presence == KM_STORE_ABSENT &&
                presence(m, k) != KM_STORE_ABSENT &&
                floor_of(m, k) >= x->version.hlc;
    if (lost) {
        forget(m, k);
    }
    return lost;
}

/* Applies a mutation to the store. Returns its status, KAMA_ERR_NO_MEMORY if its item
 * could not be made. */
static kama_status apply(struct store_model *m, unsigned k, struct mutation *x)
{
    struct km_stamp stamp = {.version = x->version};
    if (x->operation.kind == KM_APPLY_SET) {
        struct entry plain = x->after;
        plain.mutation = (struct km_version){0, 0};
        x->operation.item = item_new(m, k, &plain);
        if (x->operation.item == NULL) {
            return KAMA_ERR_NO_MEMORY;
        }
    } else if (x->operation.kind == KM_APPLY_EXPIRE) {
        m->incoming_bytes += cost_of(m, k, x->after.len);
    }
    if (x->begins_here) {
        stamp = (struct km_stamp){.ask = next_version, .arg = m};
    }
    return km_store_apply(m->store, &x->operation, &stamp);
}

/* Returns a mutation as a step asks for it. */
static struct mutation mutation_of(struct store_model *m, unsigned k,
                                   const struct store_step *s)
{
    static const enum km_operation_kind kinds[] = {
        KM_APPLY_SET,  KM_APPLY_SET,    KM_APPLY_SET,    KM_APPLY_SET,
        KM_APPLY_DROP, KM_APPLY_DELETE, KM_APPLY_EXPIRE, KM_APPLY_EXPIRE};
    struct mutation x = {.operation = {.kind = kinds[s->how % 8],
                                       .hash = hash_of(m, k),
                                       .key = key_of(m, k),
                                       .base = m->entries[k].mutation,
                                       .adoption = m->adoption},
                         .begins_here = s->how / 8 % 4 == 0,
                         .after =
                             entry_new(m, length_of(m, s->size), s->how / 32)};
    if (x.operation.kind == KM_APPLY_EXPIRE) {
        x.operation.expires_at = expiry_of(m, s->size);
        x.operation.base.origin += s->size % 4 == 3;
    }
    x.version = x.begins_here
                    ? (struct km_version){.hlc = m->hlc + 1, .origin = 9}
                    : version_of(m, s->size >> 5);
    return x;
}

/* An EXPIRE that begins here needs a value, and negative entries are not set. */
static bool do_apply(struct store_model *m, unsigned k,
                     const struct store_step *s)
{
    struct mutation x = mutation_of(m, k, s);
    if (!m->plan.synced || is_hidden(m, k)) {
        return true;
    }
    if (!do_look(m, k)) {
        return false;
    }
    decide(m, k, &x);
    bool pointless = x.begins_here && x.operation.kind == KM_APPLY_EXPIRE &&
                     presence(m, k) != KM_STORE_VALUE;
    uint64_t floor = floor_of(m, k);
    kama_status st = apply(m, k, &x);
    if (refused(m, st, cost_of(m, k, x.after.len)) ||
        (pointless && st == KAMA_MISS)) {
        return true;
    }
    bool changed = carry_out(m, k, &x);
    bool lost = learn_loss(m, k, &x, floor);
    if (pointless || (st != KAMA_OK && st != KAMA_MISS) ||
        ((st == KAMA_OK) != changed && !lost)) {
        return fault(m, "mutation %u of key %u: %s", x.operation.kind, k,
                     kama_status_name(st));
    }
    return check_floor(m, k) && (lost || expect_stored(m, k));
}

static bool do_invalidate(struct store_model *m)
{
    km_store_invalidate(m->store, m->hlc);
    for (unsigned k = 0; k < m->plan.keys; k++) {
        forget(m, k);
        raise(m, k, m->hlc);
        overtake_fills(m, k);
    }
    return do_look(m, 0);
}

/* -- fills ----------------------------------------------------------------- */

/* Returns a fill that is not pending, or NULL. */
static struct pending *fill_unused(struct store_model *m)
{
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        if (!m->fills[i].used) {
            return &m->fills[i];
        }
    }
    return NULL;
}

static bool do_fill_begin(struct store_model *m, unsigned k, unsigned how)
{
    struct pending *p = fill_unused(m);
    kama_value *found = NULL;
    kama_status st;
    if (p == NULL || is_hidden(m, k)) {
        return true;
    }
    p->fill = (struct km_fill){.adoption = m->adoption,
                               .purpose = how % 8 == 1 ? KM_FILL_TO_SERVE
                                                       : KM_FILL_TO_KEEP};
    if (how % 2 == 0) {
        st = km_store_fill_begin(m->store, &p->fill, hash_of(m, k),
                                 key_of(m, k), &found);
        count_hit(m, st);
    } else {
        st = km_store_fill_begin_again(m->store, &p->fill, hash_of(m, k),
                                       key_of(m, k), &found);
    }
    if (refused(m, st, m->entries[k].len)) {
        return true;
    }
    bool good = expect_status(m, k, st);
    if (st == KAMA_OK) {
        good = good && expect_found(m, k, found);
        kama_value_unref(found);
    } else if (st == KAMA_WOULD_LOAD) {
        p->key = k;
        p->used = true;
        p->overtaken = false;
    }
    return good;
}

static struct pending *fill_pending(struct store_model *m, unsigned how)
{
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        struct pending *p = &m->fills[(how + i) % FILLS_MAX];
        if (p->used) {
            return p;
        }
    }
    return NULL;
}

static bool cancel(struct store_model *m, struct pending *p)
{
    km_store_fill_cancel(m->store, &p->fill);
    p->used = false;
    return true;
}

/* Another fill of the key was kept. A group has one load of a key at a time, so
 * the store may overtake the other fills or not. */
static void learn_overtaken(struct store_model *m, unsigned k)
{
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        struct pending *p = &m->fills[i];
        p->overtaken = p->overtaken ||
                       (p->used && p->key == k && km_fill_overtaken(&p->fill));
    }
}

static bool do_fill_commit(struct store_model *m, size_t len, unsigned how)
{
    struct pending *p = fill_pending(m, how);
    if (p == NULL) {
        return true;
    }
    struct entry e = entry_new(m, len, how);
    if (m->plan.synced && how % 4 == 0 && e.presence == KM_STORE_VALUE) {
        e.mutation = version_of(m, (uint32_t)e.stamp);
    }
    uint64_t cost = cost_of(m, p->key, e.len);
    kama_value *item =
        p->fill.purpose == KM_FILL_TO_KEEP ? item_new(m, p->key, &e) : NULL;
    if (item == NULL) {
        return cancel(m, p) && (p->fill.purpose == KM_FILL_TO_SERVE ||
                                refused(m, KAMA_ERR_NO_MEMORY, cost) ||
                                fault(m, "no memory for a loaded value"));
    }
    struct km_store_look
        before; /* it may have been forgotten since it was seen */
    if (!look(m, p->key, &before)) {
        kama_value_unref(item);
        return false;
    }
    bool loses = is_outdated(m, p->key, e.mutation);
    bool kept = m->calls.fill_commit(m->store, &p->fill, item);
    kama_value_unref(item);
    p->used = false;
    m->counts.kept += kept;
    m->counts.overtaken += p->overtaken;
    if (kept && p->overtaken) {
        return fault(m, "key %u: an overtaken fill was kept", p->key);
    }
    if (kept && loses) {
        return fault(m, "key %u: a fill with an older version was kept",
                     p->key);
    }
    if (kept) {
        replace(m, p->key, &e);
        learn_overtaken(m, p->key);
        return expect_stored(m, p->key);
    }
    return p->overtaken || loses || refused(m, KAMA_ERR_NO_MEMORY, cost) ||
           fault(m, "key %u: a fill was not kept", p->key);
}

static bool do_fill_cancel(struct store_model *m, unsigned how)
{
    struct pending *p = fill_pending(m, how);
    return p == NULL || cancel(m, p);
}

/* Every pending fill says whether it was overtaken. */
static bool check_fills(struct store_model *m)
{
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        const struct pending *p = &m->fills[i];
        if (p->used && km_fill_overtaken(&p->fill) != p->overtaken) {
            return fault(m, "the fill of key %u %s", p->key,
                         p->overtaken ? "was not overtaken"
                                      : "was overtaken by nothing");
        }
    }
    return true;
}

static bool do_overtake(struct store_model *m, unsigned k)
{
    km_store_overtake(m->store, hash_of(m, k), key_of(m, k));
    overtake_fills(m, k);
    return true;
}

/* -- scans ----------------------------------------------------------------- */

/* Returns the number of the key of an item, or UINT32_MAX. */
static unsigned number_of(const struct store_model *m, const kama_value *item)
{
    kama_bytes key = km_item_key_bytes(item);
    uint32_t k = UINT32_MAX;
    if (key.len >= sizeof k) {
        memcpy(&k, key.data, sizeof k);
    }
    if (k >= m->plan.keys || key.len != m->keys[k].len ||
        memcmp(key.data, key_of(m, k).data, key.len) != 0) {
        return UINT32_MAX;
    }
    return k;
}

static bool scan_see(struct store_model *m, const kama_value *item)
{
    unsigned k = number_of(m, item);
    if (k == UINT32_MAX) {
        return fault(m, "a scan returned a key that was never stored");
    }
    if (!expect(m, k, KM_STORE_VALUE)) {
        return false;
    }
    m->awaited[k] = false;
    return expect_found(m, k, item);
}

/* Entries that the scan has not returned must have been forgotten by the store. */
static bool scan_end(struct store_model *m)
{
    m->scanning = false;
    m->counts.scans++;
    for (unsigned k = 0; k < m->plan.keys; k++) {
        if (m->awaited[k] && presence(m, k) == KM_STORE_VALUE) {
            if (!do_look(m, k)) {
                return false;
            }
            if (m->awaited[k]) {
                return fault(m, "a scan has left out key %u", k);
            }
        }
        m->awaited[k] = false;
    }
    return true;
}

static bool do_scan(struct store_model *m, unsigned how)
{
    kama_value *items[SCAN_MAX];
    size_t n = 1 + how % SCAN_MAX;
    bool good = true;
    for (unsigned k = 0; k < m->plan.keys && !m->scanning; k++) {
        m->awaited[k] = presence(m, k) == KM_STORE_VALUE;
    }
    m->scanning = true;
    size_t got = km_store_scan(m->store, &m->scan_cursor, items, n);
    if (got == KM_SCAN_NO_MEMORY) {
        return m->plan.allocations_fail || fault(m, "no memory for a scan");
    }
    for (size_t i = 0; i < got; i++) {
        good = good && scan_see(m, items[i]);
        kama_value_unref(items[i]);
    }
    if (got > n) {
        return fault(m, "a scan returned more than it was asked for");
    }
    return good && (m->scan_cursor != 0 || scan_end(m));
}

/* -- adoptions ------------------------------------------------------------- */

/* Hides the slots of some keys. The slots of a sweep that has not ended stay
 * hidden. */
static bool do_hide(struct store_model *m, unsigned k, unsigned how)
{
    if (!m->sweeping) {
        memset(m->lost, 0, sizeof *m->lost);
    }
    for (unsigned i = k; i < m->plan.keys; i += 2 + how % 6) {
        km_slot_map_add(m->lost, km_slot_of(SLOT_SEED, key_of(m, i)));
    }
    km_store_hide(m->store, ++m->adoption, m->lost);
    m->sweeping = true;
    m->sweep_cursor = 0;
    for (unsigned i = 0; i < m->plan.keys; i++) {
        if (is_hidden(m, i)) {
            m->counts.hidden += presence(m, i) != KM_STORE_ABSENT;
            forget(m, i);
            overtake_fills(m, i);
        }
    }
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        struct pending *p = &m->fills[i];
        p->overtaken = p->overtaken || p->fill.purpose == KM_FILL_TO_SERVE;
    }
    return true;
}

static bool do_sweep(struct store_model *m)
{
    for (unsigned i = 0; i < 8 && m->sweeping; i++) {
        m->sweeping = km_store_sweep(m->store, &m->sweep_cursor);
    }
    return true;
}

static bool do_time(struct store_model *m, unsigned how)
{
    static const uint64_t ms[] = {1, 3, 20, 400};
    fake_clock_add_ms(&m->clock, ms[how % 4]);
    return true;
}

/* Changes the bound: to between a half and the whole of that of the plan, or to
 * more if no entry may be forgotten. */
static bool do_resize(struct store_model *m, unsigned how)
{
    uint64_t max = m->plan.max_bytes;
    uint64_t part = max / 2 / 255 * how;
    m->max_bytes = m->plan.room == STORE_MODEL_ROOMY ? max + part : max - part;
    uint64_t min =
        KM_GROUP_BYTES_MIN + (m->plan.synced ? STORE_MODEL_FLOORS : 0);
    m->max_bytes = m->max_bytes < min ? min : m->max_bytes;
    km_store_resize(m->store, m->max_bytes);
    for (unsigned i = 0; km_store_resize_step(m->store); i++) {
        if (i == 1000000) {
            return fault(m, "the steps of a resize do not end");
        }
    }
    m->resized = true;
    return km_store_max_bytes(m->store) == m->max_bytes ||
           fault(m, "the store has another bound");
}

/* -- the whole ------------------------------------------------------------- */

struct sums {
    uint64_t live[2], all[2]; /* values and negative entries */
    uint64_t live_bytes, all_bytes;
};

static struct sums sum_up(const struct store_model *m)
{
    struct sums s = {0};
    for (unsigned k = 0; k < m->plan.keys; k++) {
        const struct entry *e = &m->entries[k];
        bool live = presence(m, k) != KM_STORE_ABSENT;
        if (e->presence != KM_STORE_ABSENT) {
            unsigned negative = e->presence == KM_STORE_NEGATIVE;
            s.all[negative]++;
            s.all_bytes += e->len + m->keys[k].len;
            s.live[negative] += live;
            s.live_bytes += live ? e->len + m->keys[k].len : 0;
        }
    }
    return s;
}

static bool between(uint64_t low, uint64_t x, uint64_t high)
{
    return low <= x && x <= high;
}

/* Compares the figures of the store, after every key was looked at. Entries
 * that have expired, or are hidden, may be counted or not. */
static bool check_stats(struct store_model *m)
{
    struct km_store_stats stats;
    struct sums s = sum_up(m);
    km_store_stats_get(m->store, &stats);
    if (!between(m->hits_min, stats.hits, m->hits_max) ||
        stats.negative_hits != m->negative_hits) {
        return fault(m, "%llu hits were counted, and %llu are right",
                     (unsigned long long)stats.hits,
                     (unsigned long long)m->hits_min);
    }
    return m->sweeping ||
           (between(s.live[0], stats.entries, s.all[0]) &&
            between(s.live[1], stats.negative_entries, s.all[1]) &&
            between(s.live_bytes, stats.payload_bytes, s.all_bytes)) ||
           fault(m, "%llu entries were counted, and %llu are right",
                 (unsigned long long)stats.entries,
                 (unsigned long long)s.live[0]);
}

static bool do_verify(struct store_model *m)
{
    for (unsigned k = 0; k < m->plan.keys; k++) {
        if (!do_look(m, k) || !check_floor(m, k)) {
            return false;
        }
    }
    km_store_check(m->store);
    return check_stats(m);
}

/* Returns the bytes that must be there, as far as the model knows: what a get
 * would find, with a cost for each entry, and the values that are held or were
 * made by this step. */
static uint64_t needed_bytes(const struct store_model *m)
{
    struct sums s = sum_up(m);
    return s.live_bytes + (s.live[0] + s.live[1]) * 60 + m->held_bytes +
           m->incoming_bytes;
}

/* Nothing that a get would find is evicted while cleared, expired or replaced
 * entries have the room: the store gives those up first. */
static bool check_order(struct store_model *m)
{
    uint64_t max = m->max_bytes;
    uint64_t needed = needed_bytes(m);
    unsigned percent = m->plan.value_bytes_max <= max / 16 ? 85 : 65;
    return needed + 12288 >= max / 100 * percent ||
           fault(m, "an entry was evicted although %llu of %llu are needed",
                 (unsigned long long)needed, (unsigned long long)max);
}

/* Returns the bytes that may be used. Held values cannot be evicted when the bound
 * sinks. */
static uint64_t bound_of(const struct store_model *m)
{
    return m->held_bytes > m->max_bytes / 2 ? m->max_bytes + m->held_bytes
                                            : m->max_bytes;
}

/* The bound holds, nothing is evicted from a store that has room, and forgotten
 * entries were counted as evictions. */
static bool check_bound(struct store_model *m)
{
    struct km_store_stats s;
    uint64_t max = m->max_bytes;
    uint64_t bound = bound_of(m) + STORE_MODEL_SLACK;
    if (m->held_bytes > m->held_before) {
        m->held_before = m->held_bytes;
    }
    km_store_stats_get(m->store, &s);
    m->in_debt = s.used_bytes > bound &&
                 (m->in_debt || m->held_before + m->incoming_bytes > max / 2);
    if (m->in_debt) { /* one value may exceed the bound, until the next put */
        bound += m->plan.value_bytes_max;
    }
    uint64_t most = s.used_bytes > m->used_bytes ? s.used_bytes : m->used_bytes;
    if (s.used_bytes > bound || m->counting.bytes > bound) {
        return fault(m, "%llu bytes are used and %llu allocated of %llu",
                     (unsigned long long)s.used_bytes,
                     (unsigned long long)m->counting.bytes,
                     (unsigned long long)max);
    }
    if (m->counting.bytes > s.used_bytes + STORE_MODEL_SLACK) {
        return fault(m, "%llu bytes are allocated, but %llu counted",
                     (unsigned long long)m->counting.bytes,
                     (unsigned long long)s.used_bytes);
    }
    if (s.evictions > m->evictions && !m->resized &&
        most + m->incoming_bytes < max / 4 * 3) {
        return fault(m, "an entry was evicted at %llu bytes of %llu",
                     (unsigned long long)most, (unsigned long long)max);
    }
    if (s.evictions > m->evictions && !m->resized && m->plan.dead_first &&
        !check_order(m)) {
        return false;
    }
    if (m->counts.forgotten > s.evictions) {
        return fault(m, "%llu entries were lost, and %llu evicted",
                     (unsigned long long)m->counts.forgotten,
                     (unsigned long long)s.evictions);
    }
    m->evictions = s.evictions;
    m->used_bytes = s.used_bytes;
    m->counts.used_bytes_max =
        most > m->counts.used_bytes_max ? most : m->counts.used_bytes_max;
    return true;
}

static bool act(struct store_model *m, const struct store_step *s)
{
    unsigned k = s->key % m->plan.keys;
    unsigned how = s->how;
    switch ((enum store_step_kind)(s->what % STORE_STEP_KINDS)) {
    case STORE_STEP_PUT:
        return put(m, k, length_of(m, s->size), how);
    case STORE_STEP_GET:
        return do_get(m, k);
    case STORE_STEP_COPY:
        return do_copy(m, k, how);
    case STORE_STEP_LOOK:
        return do_look(m, k);
    case STORE_STEP_DEL:
        return do_del(m, k);
    case STORE_STEP_TOUCH:
        return do_touch(m, k, how);
    case STORE_STEP_PEEK:
        return do_peek(m, k);
    case STORE_STEP_FILL_BEGIN:
        return do_fill_begin(m, k, how);
    case STORE_STEP_FILL_COMMIT:
        return do_fill_commit(m, length_of(m, s->size), how);
    case STORE_STEP_FILL_CANCEL:
        return do_fill_cancel(m, how);
    case STORE_STEP_OVERTAKE:
        return do_overtake(m, k);
    case STORE_STEP_SCAN:
        return do_scan(m, how);
    case STORE_STEP_HOLD:
        return do_hold(m, k);
    case STORE_STEP_RELEASE:
        return do_release(m, how);
    case STORE_STEP_SWEEP:
        return do_sweep(m);
    case STORE_STEP_TIME:
        return do_time(m, how);
    case STORE_STEP_OLD:
        return do_old(m, k, how);
    case STORE_STEP_RESIZES:
        return do_resizes(m, k, how);
    case STORE_STEP_ROW:
        return do_row(m, k, how, s->size);
    case STORE_STEP_HIDE:
        return do_hide(m, k, how);
    case STORE_STEP_CLEAR:
        return do_clear(m);
    case STORE_STEP_VERIFY:
        return do_verify(m);
    case STORE_STEP_PUT_IF:
        return do_put_if(m, k, length_of(m, s->size), how);
    case STORE_STEP_RESIZE:
        return do_resize(m, how);
    case STORE_STEP_APPLY:
        return do_apply(m, k, s);
    case STORE_STEP_INVALIDATE:
        return do_invalidate(m);
    case STORE_STEP_KINDS:
        break;
    }
    return true;
}

bool store_model_step(struct store_model *m, const struct store_step *step)
{
    if (m->fault[0] != '\0') {
        return false;
    }
    m->steps++;
    m->kind = step->what % STORE_STEP_KINDS;
    m->incoming_bytes = 0;
    m->held_before = m->held_bytes;
    m->resized = false;
    if (!act(m, step) || !check_fills(m) || !check_bound(m)) {
        return false;
    }
    if (m->plan.check_every > 0 && m->steps % m->plan.check_every == 0) {
        km_store_check(m->store);
    }
    return true;
}

/* -- begin and end --------------------------------------------------------- */

/* Most keys are short, some are longer, and key 1 is as long as a key may be. */
static size_t key_length(uint32_t k)
{
    return k == 1        ? KM_KEY_BYTES_MAX
           : k % 16 == 0 ? 4 + k * 37 % 200
                         : 4 + k % 9;
}

/* The number of a key is its first four bytes. */
static void keys_init(struct store_model *m)
{
    size_t sum = 0;
    for (uint32_t k = 0; k < m->plan.keys; k++) {
        sum += key_length(k);
    }
    m->keys = made(calloc(m->plan.keys, sizeof *m->keys));
    m->key_bytes = made(malloc(sum));
    uint8_t *at = m->key_bytes;
    for (uint32_t k = 0; k < m->plan.keys; k++) {
        m->keys[k] = kama_bytes_make(at, key_length(k));
        stamped_fill(at, m->keys[k].len, k);
        memcpy(at, &k, sizeof k);
        at += m->keys[k].len;
    }
}

static struct km_store *new_store(struct store_model *m)
{
    struct km_store *store = NULL;
    const struct km_store_options options = {
        .mem = m->plan.mem != NULL ? &m->counting.allocator : km_mem_default(),
        .clock = &m->clock.clock,
        .policy = m->plan.policy,
        .max_bytes = m->plan.max_bytes,
        .seed = 42,
        .slot_seed = SLOT_SEED,
        .keeps_floors = m->plan.synced};
    return km_store_new(&options, &store) == KAMA_OK ? store : NULL;
}

struct store_model *store_model_new(const struct store_model_plan *plan)
{
    struct store_model *m = made(calloc(1, sizeof *m));
    m->plan = *plan;
    m->max_bytes = plan->max_bytes;
    m->calls = plan->calls != NULL ? *plan->calls : store_calls_real();
    counting_init(&m->counting, plan->mem);
    fake_clock_init(&m->clock);
    m->lost = made(calloc(1, sizeof *m->lost));
    m->entries = made(calloc(plan->keys, sizeof *m->entries));
    m->floors = made(calloc(plan->keys, sizeof *m->floors));
    m->awaited = made(calloc(plan->keys, sizeof *m->awaited));
    m->value = made(malloc(plan->value_bytes_max + 1));
    m->out = made(malloc(plan->value_bytes_max + 1));
    keys_init(m);
    m->store = new_store(m);
    if (m->store == NULL) {
        store_model_free(m);
        return NULL;
    }
    return m;
}

/* Empties the store. Only views are in use then. */
static bool drain(struct store_model *m)
{
    struct km_store_stats s;
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        (void)do_fill_cancel(m, i);
    }
    while (m->sweeping) {
        (void)do_sweep(m);
    }
    bool good = do_verify(m) && do_clear(m);
    km_store_stats_get(m->store, &s);
    return good && ((s.entries == 0 && s.negative_entries == 0 &&
                     s.payload_bytes == 0) ||
                    fault(m, "%llu entries are left after a clear",
                          (unsigned long long)s.entries));
}

bool store_model_finish(struct store_model *m)
{
    bool good = m->fault[0] == '\0' && drain(m);
    for (unsigned i = 0; i < FILLS_MAX; i++) {
        (void)do_fill_cancel(m, i);
    }
    km_store_free(m->store);
    m->store = NULL;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        good = release(m, &m->views[i]) && good;
    }
    return good && (m->counting.bytes == 0 ||
                    fault(m, "%llu bytes have leaked",
                          (unsigned long long)m->counting.bytes));
}

const char *store_model_fault(const struct store_model *m)
{
    return m->fault[0] != '\0' ? m->fault : NULL;
}

const struct store_model_counts *store_model_counts_get(
    const struct store_model *m)
{
    return &m->counts;
}

void store_model_free(struct store_model *m)
{
    if (m == NULL) {
        return;
    }
    if (m->store != NULL) {
        (void)store_model_finish(m);
    }
    free(m->lost);
    free(m->entries);
    free(m->floors);
    free(m->awaited);
    free(m->keys);
    free(m->key_bytes);
    free(m->value);
    free(m->out);
    free(m);
}
