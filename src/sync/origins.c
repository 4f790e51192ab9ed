/* SPDX-License-Identifier: MIT */
#include "sync/origins.h"

#include "base/limits.h"
#include "base/status.h"

#include <string.h>

/* Noticed views that are remembered until one is adopted. A view that is forgotten is only
 * one that this node does not know. */
#define NOTICED_KEPT 16

/* The members as one snapshot. It is immutable; the numbers that it points to are not. */
struct table {
    struct km_member_id self;
    uint64_t view_id;
    struct km_member_id
        gone[KM_SYNC_GONE_KEPT];        /* the newest ones, in a ring */
    unsigned gone_count;                /* so many in all */
    uint64_t views[KM_SYNC_VIEWS_KEPT]; /* adopted or passed over, likewise */
    unsigned view_count;
    size_t count;
    struct km_sync_origin_row rows[];
};

struct km_sync_origins {
    const kama_allocator *mem;
    struct km_sync_log *log;
    struct km_snapshot tables; /* struct table, or NULL */
    uint64_t
        noticed[NOTICED_KEPT]; /* views that are not adopted yet, in order */
    unsigned noticed_count;
};

/* -- the numbers of one member ------------------------------------------------ */

uint64_t km_sync_origin_number(const struct km_member_id *id)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        number = number << 8 | id->bytes[i];
    }
    return number;
}

struct km_sync_origin *km_sync_origin_new(const kama_allocator *mem,
                                          const struct km_member_id *id)
{
    struct km_sync_origin *origin =
        km_mem_zalloc(mem, 1, sizeof(struct km_sync_origin));
    if (origin != NULL) {
        origin->id = *id;
        origin->number = km_sync_origin_number(id);
        origin->refs = 1;
    }
    return origin;
}

void km_sync_origin_unref(const kama_allocator *mem,
                          struct km_sync_origin *origin)
{
    if (origin == NULL) {
        return;
    }
    KM_ASSERT(origin->refs > 0);
    if (--origin->refs == 0) {
        km_mem_free(mem, origin);
    }
}

/* There is one writer, so that a load and a store are enough. */
static void raise(_Atomic uint64_t *at, uint64_t clock)
{
    if (clock > atomic_load_explicit(at, memory_order_relaxed)) {
        atomic_store_explicit(at, clock, memory_order_release);
    }
}

void km_sync_origin_reached(struct km_sync_origin *origin, uint64_t clock)
{
    raise(&origin->known, clock);
}

void km_sync_origin_applied(struct km_sync_origin *origin, uint64_t clock)
{
    raise(&origin->applied, clock);
}

/* Readers look at the view before and after the clock. The id of a view does not come
 * back, so that a clock between two equal ids is one that was said of that view. */
void km_sync_origin_set_stable(struct km_sync_origin *origin, uint64_t view_id,
                               uint64_t clock)
{
    atomic_store_explicit(&origin->stable_view, 0, memory_order_release);
    atomic_store_explicit(&origin->stable, clock, memory_order_release);
    atomic_store_explicit(&origin->stable_view, view_id, memory_order_release);
}

static uint64_t stable_of(const struct km_sync_origin *origin, uint64_t view_id)
{
    uint64_t before =
        atomic_load_explicit(&origin->stable_view, memory_order_acquire);
    uint64_t clock =
        atomic_load_explicit(&origin->stable, memory_order_acquire);
    uint64_t after =
        atomic_load_explicit(&origin->stable_view, memory_order_acquire);
    return view_id != 0 && before == view_id && after == view_id ? clock : 0;
}

/* -- the table ----------------------------------------------------------------- */

kama_status km_sync_origins_new(const kama_allocator *mem,
                                struct km_sync_log *log,
                                struct km_sync_origins **ret)
{
    struct km_sync_origins *origins =
        km_mem_zalloc(mem, 1, sizeof(struct km_sync_origins));
    if (origins == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for clocks of members");
    }
    origins->mem = mem;
    origins->log = log;
    km_snapshot_init(&origins->tables, NULL);
    *ret = origins;
    return KAMA_OK;
}

static void free_table(const kama_allocator *mem, struct table *table)
{
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        km_sync_origin_unref(mem, table->rows[i].origin);
    }
    km_mem_free(mem, table);
}

void km_sync_origins_free(struct km_sync_origins *origins)
{
    if (origins == NULL) {
        return;
    }
    free_table(origins->mem, km_snapshot_fini(&origins->tables));
    km_mem_free(origins->mem, origins);
}

static const struct km_sync_origin_row *row_of(const struct table *table,
                                               const struct km_member_id *id)
{
    for (size_t i = 0; i < table->count; i++) {
        if (km_member_id_equal(&table->rows[i].origin->id, id)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

static void add_gone(struct table *table, const struct km_member_id *id)
{
    if (!km_member_id_is_none(id)) {
        table->gone[table->gone_count++ % KM_SYNC_GONE_KEPT] = *id;
    }
}

static bool is_gone(const struct table *table, const struct km_member_id *id)
{
    for (unsigned i = 0; i < table->gone_count && i < KM_SYNC_GONE_KEPT; i++) {
        if (km_member_id_equal(&table->gone[i], id)) {
            return true;
        }
    }
    return false;
}

/* Remembers the members of the older table that have left. */
static void copy_gone(struct table *table, const struct table *old)
{
    memcpy(table->gone, old->gone, sizeof table->gone);
    table->gone_count = old->gone_count;
    for (size_t i = 0; i < old->count; i++) {
        const struct km_member_id *id = &old->rows[i].origin->id;
        if (row_of(table, id) == NULL) {
            add_gone(table, id);
        }
    }
    if (!km_member_id_equal(&old->self, &table->self)) {
        add_gone(table, &old->self);
    }
}

static void add_view(struct table *table, uint64_t view_id)
{
    table->views[table->view_count++ % KM_SYNC_VIEWS_KEPT] = view_id;
}

void km_sync_origins_notice(struct km_sync_origins *origins, uint64_t view_id)
{
    uint64_t *noticed = origins->noticed;
    if (origins->noticed_count == NOTICED_KEPT) {
        memmove(noticed, noticed + 1, (NOTICED_KEPT - 1) * sizeof *noticed);
        origins->noticed_count--;
    }
    noticed[origins->noticed_count++] = view_id;
}

/* Counts the views that were noticed up to the one that is adopted now as passed over. */
static void pass_views(struct km_sync_origins *origins, struct table *table)
{
    unsigned n = origins->noticed_count;
    while (n > 0 && origins->noticed[n - 1] != table->view_id) {
        n--;
    }
    for (unsigned i = 0; i < n; i++) {
        add_view(table, origins->noticed[i]);
    }
    origins->noticed_count -= n;
    memmove(origins->noticed, origins->noticed + n,
            origins->noticed_count * sizeof origins->noticed[0]);
}

static void copy_views(struct km_sync_origins *origins, struct table *table,
                       const struct table *old)
{
    if (old != NULL) {
        memcpy(table->views, old->views, sizeof table->views);
        table->view_count = old->view_count;
    }
    if (old == NULL || old->view_id != table->view_id) {
        pass_views(origins, table);
        add_view(table, table->view_id);
    }
}

kama_status km_sync_origins_replace(struct km_sync_origins *origins,
                                    const struct km_member_id *self,
                                    uint64_t view_id,
                                    const struct km_sync_origin_row *rows,
                                    size_t count)
{
    struct table *table = km_mem_zalloc(
        origins->mem, 1, sizeof *table + count * sizeof table->rows[0]);
    const struct table *old = km_snapshot_own(&origins->tables);
    if (table == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for clocks of members");
    }
    table->self = *self;
    table->view_id = view_id;
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        table->rows[i] = rows[i];
        rows[i].origin->refs++;
    }
    if (old != NULL) {
        copy_gone(table, old);
    }
    copy_views(origins, table, old);
    free_table(origins->mem, km_snapshot_replace(&origins->tables, table));
    return KAMA_OK;
}

uint64_t km_sync_origins_stable(struct km_sync_origins *origins)
{
    const struct table *table = km_snapshot_own(&origins->tables);
    struct km_sync_log_state own;
    km_sync_log_get(origins->log, &own);
    uint64_t stable = own.hlc;
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        uint64_t applied = atomic_load_explicit(&table->rows[i].origin->applied,
                                                memory_order_relaxed);
        if (table->rows[i].adopted && applied < stable) {
            stable = applied;
        }
    }
    return table != NULL ? stable : 0;
}

/* -- R8 -------------------------------------------------------------------------- */

/* A fill of one table. */
struct fencing {
    const struct table *table;
    uint64_t floor;
    uint64_t
        stable; /* of the node that is asked, for members of the adopted view */
    void (*cb)(void *arg, const struct km_sync_need *need);
    void *arg;
};

/* A mutation of m that is above the floor of the key's slot has not touched the key's
 * floor here, and one that has not reached this node cannot have: min(floor, K). */
static void add_need(const struct fencing *f, const struct km_member_id *id,
                     uint64_t known, uint64_t stable)
{
    const struct km_sync_need need = {
        .id = *id, .clock = f->floor < known ? f->floor : known};
    if (need.clock > stable) {
        f->cb(f->arg, &need);
    }
}

/* Returns the clock of the newest mutation of a member that this node has heard of. */
static uint64_t newest_of(const struct km_sync_origin *origin)
{
    uint64_t known = atomic_load_explicit(&origin->known, memory_order_acquire);
    uint64_t told = atomic_load_explicit(&origin->told, memory_order_acquire);
    return known > told ? known : told;
}

void km_sync_needs(struct km_sync_origins *origins, uint64_t floor,
                   const struct km_member_id *to,
                   void (*cb)(void *arg, const struct km_sync_need *need),
                   void *arg)
{
    struct km_snapshot_reader reader;
    const struct table *table = km_snapshot_enter(&origins->tables, &reader);
    struct fencing f = {.table = table, .floor = floor, .cb = cb, .arg = arg};
    const struct km_sync_origin_row *asked =
        table != NULL ? row_of(table, to) : NULL;
    if (asked != NULL) {
        f.stable = stable_of(asked->origin, table->view_id);
    }
    if (table != NULL) {
        add_need(&f, &table->self, km_sync_log_newest(origins->log), f.stable);
    }
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        const struct km_sync_origin_row *row = &table->rows[i];
        if (row != asked) {
            add_need(&f, &row->origin->id, newest_of(row->origin),
                     row->adopted ? f.stable : 0);
        }
    }
    km_snapshot_leave(&reader);
}

/* There are many writers. */
static void raise_told(struct km_sync_origin *origin, uint64_t clock)
{
    uint64_t old = atomic_load(&origin->told);
    while (clock > old &&
           !atomic_compare_exchange_weak(&origin->told, &old, clock)) {
    }
}

void km_sync_told(struct km_sync_origins *origins, struct km_version version)
{
    struct km_snapshot_reader reader;
    const struct table *table = km_snapshot_enter(&origins->tables, &reader);
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        struct km_sync_origin *origin = table->rows[i].origin;
        if (origin->number == version.origin) {
            raise_told(origin, version.hlc);
        }
    }
    km_snapshot_leave(&reader);
}

static bool has_in(const struct table *table, const struct km_sync_need *need)
{
    const struct km_sync_origin_row *row = row_of(table, &need->id);
    if (row != NULL) {
        return atomic_load_explicit(&row->origin->applied,
                                    memory_order_acquire) >= need->clock;
    }
    return km_member_id_equal(&table->self, &need->id) ||
           is_gone(table, &need->id);
}

bool km_sync_has(struct km_sync_origins *origins,
                 const struct km_sync_need *need)
{
    struct km_snapshot_reader reader;
    const struct table *table = km_snapshot_enter(&origins->tables, &reader);
    bool has = table != NULL && has_in(table, need);
    km_snapshot_leave(&reader);
    return has;
}

static bool knows_in(const struct table *table, uint64_t view_id)
{
    for (unsigned i = 0; i < table->view_count && i < KM_SYNC_VIEWS_KEPT; i++) {
        if (table->views[i] == view_id) {
            return true;
        }
    }
    return false;
}

bool km_sync_knows_view(struct km_sync_origins *origins, uint64_t view_id)
{
    struct km_snapshot_reader reader;
    const struct table *table = km_snapshot_enter(&origins->tables, &reader);
    bool knows = table != NULL && knows_in(table, view_id);
    km_snapshot_leave(&reader);
    return knows;
}

static bool may_keep_by(const struct km_sync_origins *origins,
                        const struct table *table, struct km_version version,
                        uint64_t view_id)
{
    if (version.origin == km_sync_origin_number(&table->self)) {
        return version.hlc <= km_sync_log_newest(origins->log);
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct km_sync_origin *origin = table->rows[i].origin;
        if (origin->number == version.origin) {
            return version.hlc <=
                   atomic_load_explicit(&origin->known, memory_order_acquire);
        }
    }
    return view_id == table->view_id;
}

bool km_sync_may_keep(struct km_sync_origins *origins,
                      struct km_version version, uint64_t view_id)
{
    struct km_snapshot_reader reader;
    const struct table *table = km_snapshot_enter(&origins->tables, &reader);
    bool may = table != NULL && may_keep_by(origins, table, version, view_id);
    km_snapshot_leave(&reader);
    return may;
}
