/* SPDX-License-Identifier: MIT */
/*
 * Finding rows by name, and storing values.
 *
 * Every value goes through km_options_set, whatever its origin, so that all of
 * them are checked alike and their error sentences look alike.
 */
#include "base/option.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/option_text.h"
#include "base/option_value.h"
#include "base/status.h"

/* -- rows by name -------------------------------------------------------- */

/* Makes dashes and underscores equal. */
static char canonical(char c)
{
    return c == '-' ? '_' : c;
}

/* Returns whether name is that of a row, with dashes equal to underscores. */
static bool same_name(const char *row_name, kama_bytes name)
{
    const char *p = name.data;
    if (strlen(row_name) != name.len) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (canonical(row_name[i]) != canonical(p[i])) {
            return false;
        }
    }
    return true;
}

const struct km_option *km_option_find(const struct km_option *rows,
                                       size_t row_count, kama_bytes name)
{
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].kind != KM_OPTION_HEADING &&
            same_name(rows[i].name, name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Writes row i of the table of distances between prefixes of a and b into costs,
 * from the two rows before it: last, and the one before last. */
static void next_row(const char *a, size_t i, kama_bytes b,
                     const unsigned *before, const unsigned *last,
                     unsigned *costs)
{
    const char *to = b.data;
    costs[0] = (unsigned)i;
    for (size_t j = 1; j <= b.len; j++) {
        char x = canonical(a[i - 1]);
        char y = canonical(to[j - 1]);
        unsigned cost = last[j - 1] + (x == y ? 0 : 1);
        unsigned less = last[j] < costs[j - 1] ? last[j] : costs[j - 1];
        cost = less + 1 < cost ? less + 1 : cost;
        if (i > 1 && j > 1 && x == canonical(to[j - 2]) &&
            y == canonical(a[i - 2]) && before[j - 2] + 1 < cost) {
            cost = before[j - 2] + 1;
        }
        costs[j] = cost;
    }
}

/* How many letters have to be changed, added, left out, or exchanged with their
 * neighbour, until a is b. */
static unsigned edit_distance(kama_bytes a, kama_bytes b)
{
    unsigned rows[3][KM_OPTION_NAME_BYTES_MAX + 1];
    KM_ASSERT(b.len <= KM_OPTION_NAME_BYTES_MAX);
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        next_row(a.data, i, b, rows[(i + 1) % 3], rows[(i + 2) % 3],
                 rows[i % 3]);
    }
    return rows[a.len % 3][b.len];
}

/* A name is only suggested if it is nearer than its own length, so that "a"
 * does not suggest "b". Names that are much longer than any row need no
 * comparison. */
const char *km_option_nearest(const struct km_option *rows, size_t row_count,
                              kama_bytes name)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < row_count; i++) {
        kama_bytes row = KAMA_STR(rows[i].name);
        if (rows[i].kind >= KM_OPTION_LATER || name.len > row.len + 2) {
            continue;
        }
        unsigned distance = edit_distance(name, row);
        if (distance < best && (distance < 2 || row.len > 4) &&
            distance < row.len) {
            best = distance;
            nearest = rows[i].name;
        }
    }
    return nearest;
}

/* -- storing ------------------------------------------------------------- */

/* Appends text as element number `count`, so that 0 replaces the whole list.
 * The array has room for the power of two that is not below the count. */
static kama_status list_put(struct km_options *o, struct km_option_list *list,
                            size_t count, const char *text)
{
    if (count == KM_OPTION_LIST_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "more than %d values",
                       KM_OPTION_LIST_MAX);
    }
    bool full = list->items == NULL ||
                (list->count == count && (count & (count - 1)) == 0);
    if (full) {
        size_t cap = count > 0 ? count * 2 : 1;
        const char **items =
            km_mem_resize(o->mem, (void *)list->items, cap * sizeof *items);
        if (items == NULL) {
            return km_fail(KAMA_ERR_NO_MEMORY, "no memory for options");
        }
        list->items = items;
    }
    list->items[count] = text;
    list->count = count + 1;
    return KAMA_OK;
}

/* Stores a value that was checked, unless the present one has a higher
 * origin. */
static kama_status store_value(struct km_options *o,
                               const struct km_option *row,
                               enum km_option_origin origin,
                               union km_option_value value)
{
    enum km_option_origin *current = &o->origins[row - o->rows];
    void *field = km_option_field(o, row);
    kama_status status = KAMA_OK;
    if (origin < *current) {
        return KAMA_OK;
    }
    if (row->kind == KM_OPTION_LIST) {
        struct km_option_list *list = field;
        size_t kept = origin > *current ? 0 : list->count;
        status = list_put(o, list, kept, value.text);
    } else if (row->kind == KM_OPTION_BOOL) {
        *(uint32_t *)field = value.flag;
    } else if (row->kind == KM_OPTION_DURATION || row->kind == KM_OPTION_TTL) {
        *(int64_t *)field = value.ms;
    } else if (row->kind == KM_OPTION_STRING) {
        *(const char **)field = value.text;
    } else {
        *(uint64_t *)field = value.number;
    }
    if (status == KAMA_OK) {
        *current = origin;
    }
    return status;
}

kama_status km_options_set(struct km_options *o, const char *name,
                           const char *text, enum km_option_origin origin)
{
    char shown[KM_OPTION_SHOWN_BYTES];
    union km_option_value value;
    const char *dashes = origin == KM_ORIGIN_FLAG ? "--" : "";
    const struct km_option *row =
        km_option_find(o->rows, o->row_count, KAMA_STR(name));
    if (row == NULL) {
        return km_option_unknown(o, KAMA_STR(name), dashes);
    }
    kama_status status = km_option_parse(row, text, &value);
    if (status == KAMA_OK) {
        status = store_value(o, row, origin, value);
    }
    if (status == KAMA_OK || origin == KM_ORIGIN_ENV) {
        return status; /* km_options_from_env names the variable */
    }
    km_option_show_name(row->name, shown);
    return km_fail(status, "%s%s: %s", dashes, shown, km_last_error());
}

/* -- life ---------------------------------------------------------------- */

/* Zeroes the member of a row. */
static void clear_field(struct km_options *o, const struct km_option *row)
{
    static const size_t sizes[] = {
        [KM_OPTION_BOOL] = sizeof(uint32_t),
        [KM_OPTION_UINT] = sizeof(uint64_t),
        [KM_OPTION_BYTES] = sizeof(uint64_t),
        [KM_OPTION_DURATION] = sizeof(int64_t),
        [KM_OPTION_TTL] = sizeof(int64_t),
        [KM_OPTION_STRING] = sizeof(const char *),
        [KM_OPTION_LIST] = sizeof(struct km_option_list),
        [KM_OPTION_LATER] = 0,
        [KM_OPTION_HEADING] = 0,
    };
    memset(km_option_field(o, row), 0, sizes[row->kind]);
}

/* Sets the default of a row, which must be valid unless memory is short. */
static kama_status set_fallback(struct km_options *o,
                                const struct km_option *row)
{
    KM_ASSERT(strlen(row->name) <= KM_OPTION_NAME_BYTES_MAX);
    if (row->fallback == NULL || row->kind >= KM_OPTION_LATER) {
        return KAMA_OK;
    }
    kama_status status =
        km_options_set(o, row->name, row->fallback, KM_ORIGIN_DEFAULT);
    KM_ASSERT(status == KAMA_OK || status == KAMA_ERR_NO_MEMORY);
    return status;
}

kama_status km_options_init_with(struct km_options *o,
                                 const kama_allocator *mem,
                                 const struct km_option *rows, size_t row_count,
                                 void *target)
{
    *o = (struct km_options){
        .rows = rows,
        .row_count = row_count,
        .target = target,
        .mem = km_mem_or_default(mem),
    };
    o->origins = km_mem_zalloc(o->mem, row_count + 1, sizeof *o->origins);
    if (o->origins == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for options");
    }
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < row_count; i++) {
        clear_field(o, &rows[i]);
    }
    for (size_t i = 0; i < row_count && status == KAMA_OK; i++) {
        status = set_fallback(o, &rows[i]);
    }
    if (status != KAMA_OK) {
        km_options_fini(o);
    }
    return status;
}

kama_status km_options_init(struct km_options *o, const struct km_option *rows,
                            size_t row_count, void *target)
{
    return km_options_init_with(o, NULL, rows, row_count, target);
}

void km_options_fini(struct km_options *o)
{
    for (size_t i = 0; i < o->row_count; i++) {
        if (o->rows[i].kind == KM_OPTION_LIST && o->origins != NULL) {
            struct km_option_list *list = km_option_field(o, &o->rows[i]);
            km_mem_free(o->mem, (void *)list->items);
            *list = (struct km_option_list){NULL, 0};
        }
    }
    while (o->copies != NULL) {
        struct km_option_copy *copy = o->copies;
        o->copies = copy->next;
        km_mem_free(o->mem, copy);
    }
    if (o->origins != NULL) {
        km_mem_free(o->mem, o->origins);
    }
    memset(o, 0, sizeof *o);
}
