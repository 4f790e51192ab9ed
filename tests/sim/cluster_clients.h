/* SPDX-License-Identifier: MIT */
/*
 * Clients of a simulated cluster (sim/cluster_world.h), and what they may expect.
 *
 *     get      through any node, sometimes with a short deadline
 *     delete   the database gets a new value, and then the key is deleted
 *     set      the key is set to a new value, which the database gets first, or,
 *              while nothing is broken, only later
 *     touch    a short time to live; the value may be loaded anew at any time
 *     clear    the database gets new values, and then the group is cleared
 *
 * Values of a key only grow. A delete is tried again through any node until a node
 * has carried it out. A set that fails may have been applied, or may be applied
 * later by a node that keeps it waiting; so it is followed by a delete, 3 s later, or
 * later while nodes may stand still for longer.
 * A clear is repeated until it has reached all members.
 * The promise to the clients of an acknowledged set, delete or clear is in
 * `floor`: a get that begins afterwards has that value or a newer one.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "sim/cluster_world.h"

#include <stdarg.h>

#define CC_OPS 48u
#define CC_VALUE_BYTES (200u << 10)

enum cc_kind { CC_GET, CC_DELETE, CC_SET, CC_TOUCH, CC_CLEAR, CC_KINDS };

struct cc_run;

struct cc_op {
    struct cc_run *run;
    bool busy;
    enum cc_kind kind;
    unsigned key;
    uint64_t target;           /* of a write */
    uint64_t targets[CW_KEYS]; /* of a clear */
    uint64_t floor;            /* a get may not be older */
    struct km_get_op get;
    struct km_mutate_op mutate;
    struct km_clear_op clear;
    kama_status status;
    uint64_t value; /* of a get */
    struct cw_node *at;
    bool is_elsewhere; /* a clear has come to a node that joins or leaves */
};

struct cc_run {
    struct cw cw;
    struct cc_op ops[CC_OPS];
    bool writing[CW_KEYS]; /* one write of a key at a time */
    bool clearing;
    uint64_t newest[CW_KEYS]; /* that was ever written */
    uint64_t floor[CW_KEYS];  /* that was acknowledged */
    bool quiet;  /* nothing is broken yet: values may be in the cache only */
    bool strict; /* each get is held against its floor */
    /* What a get of a key through a node may not be older than; NULL: `floor`. */
    uint64_t (*floor_of)(struct cc_run *run, const struct cw_node *node,
                         unsigned key);
    /* A write was acknowledged; NULL: nobody is told. */
    void (*acknowledged)(struct cc_run *run, const struct cw_node *node,
                         unsigned key, uint64_t target);
    unsigned
        first_key; /* clients use the keys from here on, and so many of them */
    unsigned key_count;    /* 0: all */
    unsigned deleted_keys; /* the first ones are never set or touched */
    bool uses_leavers;     /* clients also use nodes that are about to stop */
    bool sets; /* more of the other keys' writes are sets than deletes */
    bool never_touches;
    km_ns rest; /* between two writes of a key */
    /* A set whose answer was lost may be applied for so long; 0: 3 s. */
    km_ns late_set;
    size_t value_bytes; /* how long the values of sets may be; 0: short ones */
    const struct cw_node *late;  /* writes prefer it, for as long as it runs */
    const struct cw_node *early; /* gets prefer it */
    unsigned counts[CC_KINDS];
    unsigned failed_gets, late_gets;
    unsigned clears_elsewhere; /* through nodes that do not begin them */
    bool is_unsynced; /* what is acknowledged is so, and members are late */
    bool stale;       /* a get was older than the database */
    char why[256];    /* what was violated; "": nothing */
};

static inline void cc_violate(struct cc_run *r, const char *fmt, ...)
{
    va_list args;
    if (r->why[0] == '\0') {
        va_start(args, fmt);
        (void)vsnprintf(r->why, sizeof r->why, fmt, args);
        va_end(args);
        CW_SAY(&r->cw, "VIOLATED: %s", r->why);
    }
}

/* -- nodes ------------------------------------------------------------------ */

/* Returns the process that runs at a place, or NULL. */
static inline struct cw_node *cc_running_at(struct cc_run *r, unsigned place)
{
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        struct cw_node *node = &r->cw.nodes[i];
        if (node->place == place && node->phase == CW_RUNS) {
            return node;
        }
    }
    return NULL;
}

static inline unsigned cc_count_running(struct cc_run *r)
{
    unsigned count = 0;
    for (unsigned place = 0; place < CW_PLACES; place++) {
        count += cc_running_at(r, place) != NULL;
    }
    return count;
}

/* Returns a node that is about to stop, or NULL. */
static inline struct cw_node *cc_any_leaver(struct cc_run *r)
{
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        struct cw_node *node = &r->cw.nodes[i];
        if (node->phase == CW_STOPS && node->group != NULL &&
            !cw_is_still(node)) {
            return node;
        }
    }
    return NULL;
}

/* Returns a node that runs and does not stand still, or NULL. */
static inline struct cw_node *cc_any_node(struct cc_run *r)
{
    unsigned first = (unsigned)sim_between(&r->cw.world, 0, CW_PLACES - 1);
    struct cw_node *leaver = r->uses_leavers ? cc_any_leaver(r) : NULL;
    if (leaver != NULL && sim_chance(&r->cw.world, 400)) {
        return leaver;
    }
    for (unsigned i = 0; i < CW_PLACES; i++) {
        struct cw_node *node = cc_running_at(r, (first + i) % CW_PLACES);
        if (node != NULL && node->group != NULL && !cw_is_still(node)) {
            return node;
        }
    }
    return NULL;
}

/* The same, but rather this one, if it is given and runs. */
static inline struct cw_node *cc_rather(struct cc_run *r,
                                        const struct cw_node *node)
{
    if (node != NULL && node->phase == CW_RUNS && node->group != NULL &&
        !cw_is_still(node) && sim_chance(&r->cw.world, 700)) {
        return &r->cw.nodes[node->net->index];
    }
    return cc_any_node(r);
}

/* -- gets ------------------------------------------------------------------- */

static inline void cc_take_value(struct cc_op *op, kama_value *value)
{
    if (value != NULL) {
        char text[24] = "";
        kama_bytes bytes = kama_value_bytes(value);
        memcpy(text, bytes.data,
               bytes.len < sizeof text ? bytes.len : sizeof text - 1);
        op->value = strtoull(text, NULL, 10);
        kama_value_unref(value);
    }
}

static inline void cc_got(struct cc_op *op, kama_status status,
                          kama_value *value)
{
    struct cc_run *r = op->run;
    op->status = status;
    op->busy = false;
    cc_take_value(op, value);
    r->failed_gets += status != KAMA_OK;
    r->late_gets += status == KAMA_ERR_TIMEOUT;
    if (r->strict && status == KAMA_OK && op->value < op->floor) {
        r->stale = true;
        cc_violate(r,
                   "a get of k%u through node %u is %llu, after %llu was "
                   "acknowledged",
                   op->key, op->at->place, (unsigned long long)op->value,
                   (unsigned long long)op->floor);
    }
}

static inline void cc_get_done(struct km_get_op *get, kama_status status,
                               kama_value *value, const char *sentence)
{
    (void)sentence;
    cc_got(KM_CONTAINER_OF(get, struct cc_op, get), status, value);
}

static inline void cc_get(struct cc_op *op, struct cw_node *node, unsigned key,
                          int64_t deadline_ms)
{
    kama_value *value = NULL;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = deadline_ms;
    op->kind = CC_GET;
    op->busy = true;
    op->key = key;
    op->value = 0;
    op->floor = op->run->floor_of != NULL
                    ? op->run->floor_of(op->run, node, key)
                    : op->run->floor[key];
    op->at = node;
    op->get = (struct km_get_op){.done = cc_get_done};
    op->run->counts[CC_GET]++;
    kama_status st =
        km_get_op_start(node->group, &op->get, cw_key(key), &ctx, &value);
    if (st != KAMA_DEFERRED) {
        cc_got(op, st, value);
    }
}

/* -- writes ----------------------------------------------------------------- */

static inline void cc_again(void *a, void *b);

static inline void cc_acknowledge(struct cc_run *r, const struct cw_node *node,
                                  unsigned key, uint64_t target)
{
    if (r->floor[key] < target) {
        r->floor[key] = target;
    }
    if (r->acknowledged != NULL) {
        r->acknowledged(r, node, key, target);
    }
}

/* The next write of the key may begin. */
static inline void cc_write_ends(void *a, void *b)
{
    struct cc_op *op = a;
    (void)b;
    op->run->writing[op->key] = false;
    op->busy = false;
}

/* A set that may have been applied, or will be, is followed by a delete. */
static inline void cc_failed(struct cc_op *op, kama_status status)
{
    struct cc_run *r = op->run;
    km_ns pause = 50 * CW_MS;
    op->status = status;
    if (op->kind == CC_SET) {
        pause = status == KAMA_ERR_PEER && r->late_set != 0 ? r->late_set
                                                            : 3 * KM_NS_PER_S;
        op->kind = CC_DELETE;
        r->cw.db[op->key] = op->target;
    }
    sim_at(&r->cw.net, r->cw.world.now + pause, cc_again, op, NULL);
}

static inline void cc_written(struct cc_op *op, kama_status status)
{
    struct cc_run *r = op->run;
    bool is_done =
        status == KAMA_OK || status == KAMA_MISS || status == KAMA_UNSYNCED;
    if (!is_done && op->kind != CC_TOUCH) {
        cc_failed(op, status);
        return;
    }
    if (op->kind != CC_TOUCH) {
        CW_SAY(&r->cw, "  k%u=%llu: written through %u", op->key,
               (unsigned long long)op->target, op->at->place);
        r->is_unsynced = status != KAMA_OK;
        cc_acknowledge(r, op->at, op->key, op->target);
    }
    if (r->rest > 0) {
        sim_at(&r->cw.net, r->cw.world.now + r->rest, cc_write_ends, op, NULL);
    } else {
        cc_write_ends(op, NULL);
    }
}

static inline void cc_mutate_done(struct km_mutate_op *mutate,
                                  kama_status status, const char *sentence)
{
    (void)sentence;
    cc_written(KM_CONTAINER_OF(mutate, struct cc_op, mutate), status);
}

static inline enum km_mutation_kind cc_mutation_of(enum cc_kind kind)
{
    return kind == CC_SET     ? KM_MUTATION_SET
           : kind == CC_TOUCH ? KM_MUTATION_EXPIRE
                              : KM_MUTATION_DELETE;
}

/* The value of a set is its number, and a space and some more bytes if it is long. It is
 * valid until the next one is asked for. */
static inline kama_bytes cc_value(const struct cc_op *op)
{
    static char bytes[CC_VALUE_BYTES];
    struct cc_run *r = op->run;
    int len =
        snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)op->target);
    size_t all = r->value_bytes == 0
                     ? 0
                     : (size_t)sim_between(&r->cw.world, 0, r->value_bytes);
    if (all <= (size_t)len) {
        return kama_bytes_make(bytes, (size_t)len);
    }
    memset(bytes + len, ' ', all - (size_t)len);
    return kama_bytes_make(bytes, all);
}

static inline void cc_again(void *a, void *b)
{
    struct cc_op *op = a;
    struct sim_world *w = &op->run->cw.world;
    struct cw_node *node = cc_rather(op->run, op->run->late);
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = sim_chance(w, 200) ? (int64_t)sim_between(w, 5, 500) : 0;
    struct km_mutate_order order = {.kind = cc_mutation_of(op->kind),
                                    .from = KM_MUTATE_FOR_CALLER,
                                    .patience = KM_MUTATE_PARKS,
                                    .key = cw_key(op->key),
                                    .ctx = &ctx};
    (void)b;
    if (node == NULL) {
        cc_written(op, KAMA_ERR_PEER);
        return;
    }
    if (op->kind == CC_SET) {
        order.value = cc_value(op);
    } else if (op->kind == CC_TOUCH) {
        order.ttl_ms = (int64_t)sim_between(w, 10, 2000);
    }
    op->at = node;
    op->mutate = (struct km_mutate_op){.done = cc_mutate_done};
    kama_status st = km_mutate_op_start(node->group, &op->mutate, &order);
    if (st != KAMA_DEFERRED) {
        cc_written(op, st);
    }
}

/* While nothing is broken, a set is in the cache only. Whatever may drop it
 * needs that the database has it. */
static inline void cc_write(struct cc_op *op, enum cc_kind kind, unsigned key)
{
    struct cc_run *r = op->run;
    op->kind = kind;
    op->busy = true;
    op->key = key;
    r->writing[key] = true;
    r->counts[kind]++;
    if (kind != CC_TOUCH) {
        r->newest[key]++;
    }
    op->target = r->newest[key];
    if (kind != CC_SET || !r->quiet) {
        r->cw.db[key] = op->target;
    }
    cc_again(op, NULL);
}

/* -- clears ----------------------------------------------------------------- */

static inline void cc_clear_again(void *a, void *b);

static inline void cc_cleared(struct cc_op *op, kama_status status)
{
    struct cc_run *r = op->run;
    op->status = status;
    if (status != KAMA_OK) { /* some members were not reached */
        sim_at(&r->cw.net, r->cw.world.now + 200 * CW_MS, cc_clear_again, op,
               NULL);
        return;
    }
    CW_SAY(&r->cw, "  cleared through %u", op->at->place);
    r->clears_elsewhere += op->is_elsewhere;
    op->busy = false;
    r->clearing = false;
    r->is_unsynced = true;
    for (unsigned key = 0; key < CW_KEYS; key++) {
        cc_acknowledge(r, op->at, key, op->targets[key]);
    }
}

static inline void cc_clear_done(struct km_clear_op *clear, kama_status status,
                                 const char *sentence,
                                 const char *const *unreached, size_t count)
{
    (void)sentence;
    (void)unreached;
    (void)count;
    cc_cleared(KM_CONTAINER_OF(clear, struct cc_op, clear), status);
}

static inline void cc_clear_again(void *a, void *b)
{
    struct cc_op *op = a;
    struct cw_node *node = cc_any_node(op->run);
    (void)b;
    if (node == NULL) {
        cc_cleared(op, KAMA_ERR_PEER);
        return;
    }
    op->at = node;
    op->is_elsewhere = node->phase != CW_RUNS || !node->is_active;
    op->clear = (struct km_clear_op){.done = cc_clear_done};
    kama_status st =
        km_clear_op_start(node->group, &op->clear, KM_MUTATE_PARKS, NULL);
    if (st != KAMA_DEFERRED) {
        cc_cleared(op, st);
    }
}

/* A key that is being written keeps its value: the two have no order. */
static inline void cc_clear(struct cc_op *op)
{
    struct cc_run *r = op->run;
    op->kind = CC_CLEAR;
    op->busy = true;
    r->clearing = true;
    r->counts[CC_CLEAR]++;
    for (unsigned key = 0; key < CW_KEYS; key++) {
        op->targets[key] = r->writing[key] ? 0 : ++r->newest[key];
        r->cw.db[key] = r->newest[key];
    }
    cc_clear_again(op, NULL);
}

/* -- one step of the clients ------------------------------------------------- */

static inline enum cc_kind cc_draw_write(struct cc_run *r, unsigned key)
{
    if (key < r->deleted_keys) {
        return CC_DELETE;
    }
    uint64_t kind = sim_between(&r->cw.world, 0, 9);
    return kind < (r->sets ? 2 : 6)       ? CC_DELETE
           : kind < 9 || r->never_touches ? CC_SET
                                          : CC_TOUCH;
}

/* One client does something. writes: of a thousand clients, those that write. */
static inline void cc_step(struct cc_run *r, unsigned writes)
{
    struct sim_world *w = &r->cw.world;
    unsigned keys = r->key_count > 0 ? r->key_count : CW_KEYS;
    unsigned key = r->first_key + (unsigned)sim_between(w, 0, keys - 1);
    struct cw_node *node = cc_rather(r, r->early);
    unsigned i = 0;
    while (i < CC_OPS && r->ops[i].busy) {
        i++;
    }
    if (i == CC_OPS || node == NULL) {
        return;
    }
    if (!sim_chance(w, writes)) {
        cc_get(&r->ops[i], node, key,
               sim_chance(w, 200) ? (int64_t)sim_between(w, 1, 400) : 0);
    } else if (!r->clearing && sim_chance(w, 30)) {
        cc_clear(&r->ops[i]);
    } else if (!r->writing[key]) {
        cc_write(&r->ops[i], cc_draw_write(r, key), key);
    }
}

/* From here on things break, and the database has what the cache has. */
static inline void cc_end_quiet(struct cc_run *r)
{
    r->quiet = false;
    memcpy(r->cw.db, r->newest, sizeof r->cw.db);
}
