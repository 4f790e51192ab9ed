/* SPDX-License-Identifier: MIT */
/*
 * A family must be written at once, and its rows need not stand together in the
 * table. So the table is walked once for each family that begins in it:
 *
 *     hits         group_hits, gets{source=local}    begins both
 *     misses       group_misses                      begins it
 *     gets_loaded  gets{source=loader}               was written with `hits`
 *
 * The figures are read once before, so that the samples of one text fit together as
 * well as those of kama_group_stats do.
 */
#include "group/metrics.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/registry.h"

/* -- the table ------------------------------------------------------------ */

struct row {
    const char *metric; /* the names of its families; see counters.h */
    enum km_metric_kind kind;
    const char *sentence;
    size_t offset; /* in kama_group_stats */
};

static const struct row rows[] = {
#define METRIC_ROW(member, source, kind, unit, metric, sentence)               \
    {metric, kind, sentence, offsetof(kama_group_stats, member)},
    KM_GROUP_COUNTER_MAP(METRIC_ROW, METRIC_ROW, METRIC_ROW)
#undef METRIC_ROW
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* The sentences of the families that several rows share. */
static const struct {
    const char *family;
    const char *sentence;
} shared[] = {
    {"gets",
     "Gets that have ended, by the source of the answer: local and "
     "negative (the memory of this node), loader (a load of this node), "
     "peer (the owner of the key), none (it was not to be loaded), "
     "failed (nobody)."},
    {"misses",
     "Gets that memory could not answer, by the reason: absent (the key was "
     "never there, or that is not remembered), expired, evicted (to make room "
     "for others), deleted."},
    {"loads", "Loads that have ended, by their result: found, missed, failed."},
    {"mutations", "Changes by callers of this node, by their operation: set, "
                  "delete, clear."},
    {"evictions",
     "Entries that were removed, by the reason: capacity (to make room for "
     "others), expired, deleted, replaced (by another value of the key), "
     "cleared, moved (another node owns the key)."},
    {"store_bytes",
     "The memory of the store, by what it is used for: live (entries without "
     "large values), holes (entries that have left, between others), free, "
     "blocks (large values that no caller holds), held (values that callers "
     "hold), index, ghosts (keys that have left lately), fixed (tables and the "
     "store itself)."},
    {"memory_bytes", "The memory of the store, by its use: values (keys and "
                     "values), pinned (values that callers hold), overhead "
                     "(the rest)."},
};

/* One name of a row: a part of a family. */
struct part {
    const struct row *row;
    kama_bytes family;
    char label[16]; /* "" if it has none */
    kama_bytes value;
    const char *next; /* the names behind it */
};

/* Returns the bytes up to the first of the characters in `ends`. */
static kama_bytes word(const char *at, const char *ends)
{
    return kama_bytes_make(at, strcspn(at, ends));
}

/* Reads the first name at `at`. Returns false if there is none. */
static bool read_part(const struct row *row, const char *at, struct part *ret)
{
    if (*at == '\0') {
        return false;
    }
    *ret = (struct part){.row = row, .family = word(at, " {")};
    at += ret->family.len;
    if (*at == '{') {
        kama_bytes label = word(at + 1, "=");
        KM_ASSERT(label.len < sizeof ret->label);
        memcpy(ret->label, label.data, label.len);
        at += 1 + label.len;
        ret->value = word(at + 1, "}");
        at += 1 + ret->value.len + 1;
    }
    ret->next = *at == ' ' ? at + 1 : at;
    return true;
}

/* Moves to the next part in the order of the table. *part is zeroed at first. */
static bool next_part(struct part *part)
{
    const struct row *row = part->row != NULL ? part->row : rows;
    const char *at = part->row != NULL ? part->next : row->metric;
    while (!read_part(row, at, part)) {
        row++;
        if (row == rows + ROW_COUNT) {
            return false;
        }
        at = row->metric;
    }
    return true;
}

/* Returns whether no part before this one has its family. */
static bool begins_family(const struct part *part)
{
    struct part other = {0};
    while (next_part(&other)) {
        if (km_bytes_eq(other.family, part->family)) {
            return other.family.data == part->family.data;
        }
    }
    return false;
}

static const char *sentence_of(const struct part *part)
{
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        if (km_bytes_eq(part->family, kama_bytes_str(shared[i].family))) {
            return shared[i].sentence;
        }
    }
    return part->row->sentence;
}

/* -- the groups ----------------------------------------------------------- */

/* The groups of a text: those of a registry, or one. */
struct source {
    const struct km_registry *registry;
    kama_group *one;
    unsigned count;
};

/* The figures that are shown under one name. */
struct shown {
    kama_bytes name;
    kama_group *group; /* NULL: those that are "other" */
    kama_group_stats stats;
};

struct table {
    struct km_metric_text *text;
    const struct source *source;
    struct shown *shown;
    size_t count;
};

#define OTHER KM_LIT("other")

static kama_group *group_at(const struct source *source, unsigned i)
{
    return source->one != NULL ? source->one
                               : km_registry_at(source->registry, i);
}

/* Returns whether the group of this index has no name of its own in the text. */
static bool is_other(const struct source *source, unsigned i)
{
    return i >= KM_METRIC_GROUPS_MAX ||
           (source->count > KM_METRIC_GROUPS_MAX &&
            km_bytes_eq(kama_bytes_str(kama_group_name(group_at(source, i))),
                        OTHER));
}

static uint64_t *value_of(kama_group_stats *stats, const struct row *row)
{
    return (uint64_t *)((char *)stats + row->offset);
}

static void add_stats(kama_group_stats *sum, kama_group_stats *more)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        *value_of(sum, &rows[i]) += *value_of(more, &rows[i]);
    }
}

/* Reads the figures of all groups. */
static void read_all(struct table *table)
{
    const struct source *source = table->source;
    struct shown other = {.name = OTHER};
    for (unsigned i = 0; i < source->count; i++) {
        struct shown one = {.group = group_at(source, i)};
        one.name = kama_bytes_str(kama_group_name(one.group));
        kama_group_stats_get(one.group, &one.stats);
        if (is_other(source, i)) {
            add_stats(&other.stats, &one.stats);
        } else {
            table->shown[table->count++] = one;
        }
    }
    if (table->count < source->count) {
        table->shown[table->count++] = other;
    }
}

/* Writes the histogram of the loads of a group, or of all others. */
static void read_times(const struct table *table, const struct shown *shown,
                       struct km_histogram *ret_times)
{
    struct km_histogram one;
    if (shown->group != NULL) {
        km_group_load_times(shown->group, ret_times);
        return;
    }
    km_histogram_init(ret_times);
    for (unsigned i = 0; i < table->source->count; i++) {
        if (is_other(table->source, i)) {
            km_group_load_times(group_at(table->source, i), &one);
            km_histogram_add(ret_times, &one);
        }
    }
}

/* -- the text ------------------------------------------------------------- */

static void begin_family(struct km_metric_text *text, kama_bytes name,
                         enum km_metric_kind kind, const char *sentence)
{
    char full[KM_METRIC_NAME_BYTES_MAX];
    (void)km_text_printf(full, sizeof full, KM_METRIC_PREFIX "%.*s",
                         (int)name.len, (const char *)name.data);
    km_metric_text_family(text, full, kind, sentence);
}

static void write_part(const struct table *table, const struct part *part)
{
    size_t label_count = part->label[0] != '\0' ? 2 : 1;
    for (size_t i = 0; i < table->count; i++) {
        struct shown *shown = &table->shown[i];
        const struct km_metric_label labels[] = {{"group", shown->name},
                                                 {part->label, part->value}};
        km_metric_text_count(table->text, labels, label_count,
                             *value_of(&shown->stats, part->row));
    }
}

/* Writes the family of a part, and all parts of it. */
static void write_family(const struct table *table, const struct part *first)
{
    struct part part = {0};
    begin_family(table->text, first->family, first->row->kind,
                 sentence_of(first));
    while (next_part(&part)) {
        if (km_bytes_eq(part.family, first->family)) {
            write_part(table, &part);
        }
    }
}

static void write_times(const struct table *table)
{
    struct km_histogram times;
    begin_family(table->text, KM_LIT("load_duration_seconds"),
                 KM_METRIC_HISTOGRAM, "How long loads took.");
    for (size_t i = 0; i < table->count; i++) {
        const struct km_metric_label label = {"group", table->shown[i].name};
        read_times(table, &table->shown[i], &times);
        km_metric_text_histogram(table->text, &label, 1, &times);
    }
}

static void write_groups(struct km_metric_text *text,
                         const struct source *source)
{
    struct part part = {0};
    struct table table = {.text = text, .source = source};
    unsigned room = source->count < KM_METRIC_GROUPS_MAX ? source->count
                                                         : KM_METRIC_GROUPS_MAX;
    table.shown = km_mem_zalloc(text->out->mem, room + 1, sizeof *table.shown);
    if (table.shown == NULL) {
        km_metric_text_fail(text, KAMA_ERR_NO_MEMORY);
        return;
    }
    read_all(&table);
    while (next_part(&part)) {
        if (begins_family(&part)) {
            write_family(&table, &part);
        }
    }
    write_times(&table);
    km_mem_free(text->out->mem, table.shown);
}

void km_group_metrics_write(struct km_metric_text *text, kama_group *group)
{
    struct source source = {.one = group, .count = 1};
    write_groups(text, &source);
}

void km_group_metrics_write_all(struct km_metric_text *text,
                                const struct km_registry *registry)
{
    struct source source = {.registry = registry,
                            .count = km_registry_count(registry)};
    write_groups(text, &source);
}
