/* SPDX-License-Identifier: MIT */
/*
 * The options of a group: by name from text, and checked when a group is made.
 * One row per option; a row's size says how wide its field is, so that a
 * program that was built with an older, shorter struct is not written past.
 */
#include "group/options.h"

#include "base/limits.h"
#include "base/option_value.h"
#include "base/status.h"
#include "base/text.h"
#include "group/group_internal.h"
#include "store/policy.h"

#include <stddef.h>

/* X(name, kind, field, argument, default, min, max, help) */
#define OPTION_MAP(X)                                                          \
    X("max_bytes", BYTES, max_bytes, "SIZE", "64m", KM_GROUP_BYTES_MIN, 0,     \
      "memory bound of the group")                                             \
    X("max_value_bytes", BYTES, max_value_bytes, "SIZE", NULL, 1,              \
      KM_VALUE_BYTES_LOCAL_MAX, "largest value; min(1m, max_bytes / 4)")       \
    X("ttl", TTL, ttl_ms, "TIME", "forever", 0, 0, "time to live of entries")  \
    X("negative_ttl", TTL, negative_ttl_ms, "TIME", "0", 0, 0,                 \
      "how long \"does not exist\" is remembered; 0 is not at all")            \
    X("ttl_jitter", UINT, ttl_jitter, "PERCENT", "0", 0,                       \
      KM_TTL_JITTER_PERCENT_MAX, "a ttl is shortened by up to this")           \
    X("policy", STRING, policy, "NAME", "s3fifo", 0, 0,                        \
      "eviction: s3fifo or lru")                                               \
    X("loader_timeout", DURATION, loader_timeout_ms, "TIME", "5s", 1,          \
      KM_LOADER_TIMEOUT_MS_MAX, "time of one load")                            \
    X("loader_concurrency", UINT, loader_concurrency, "N", "64", 1,            \
      KM_LOADER_CONCURRENCY_MAX, "loads at a time")                            \
    X("async_threads", UINT, async_threads, "N", "2", 1, KM_ASYNC_THREADS_MAX, \
      "threads of a group without node, from the first async call on")

const struct km_option km_group_option_rows[] = {
#define OPTION_ROW(name, kind, field, arg, fallback, min, max, help)           \
    {name,                                                                     \
     KM_OPTION_##kind,                                                         \
     offsetof(kama_group_options, field),                                      \
     arg,                                                                      \
     fallback,                                                                 \
     min,                                                                      \
     max,                                                                      \
     help},
    OPTION_MAP(OPTION_ROW)
#undef OPTION_ROW
#define LATER_ROW(name)                                                        \
    {                                                                          \
        name, KM_OPTION_LATER, 0, NULL, NULL, 0, 0, ""                         \
    }
        LATER_ROW("stale_while_revalidate"),
    LATER_ROW("stale_if_error"),
    LATER_ROW("refresh_ahead"),
    LATER_ROW("max_staleness"),
    LATER_ROW("on_unclean_leave"),
    LATER_ROW("crash_refresh"),
    LATER_ROW("fence_wait"),
    LATER_ROW("hot_copies"),
    LATER_ROW("breaker"),
    LATER_ROW("sync"),
    LATER_ROW("sync_ack"),
    LATER_ROW("sync_timeout")
#undef LATER_ROW
};

const size_t km_group_option_row_count =
    sizeof km_group_option_rows / sizeof km_group_option_rows[0];

static const size_t field_sizes[] = {
#define FIELD_SIZE(name, kind, field, arg, fallback, min, max, help)           \
    sizeof(((kama_group_options *)0)->field),
    OPTION_MAP(FIELD_SIZE)
#undef FIELD_SIZE
};

/* The sentence of this thread's last error, with the name of the option in
 * front of it. */
static kama_status name_option(kama_status status, const char *name)
{
    return km_fail(status, "%.*s: %s", KM_TEXT_UP_TO(64, name),
                   km_last_error());
}

static kama_status unknown_name(const char *name)
{
    const char *nearest = km_option_nearest(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    return nearest != NULL
               ? km_fail(KAMA_ERR_INVALID,
                         "unknown group option, did you mean %s?", nearest)
               : km_fail(KAMA_ERR_INVALID, "unknown group option");
}

static kama_status find_row(const char *name, const struct km_option **ret_row)
{
    if (strcmp(name, "loader") == 0 || strcmp(name, "name") == 0) {
        return km_fail(KAMA_ERR_INVALID, "is not set by name here");
    }
    const struct km_option *row = km_option_find(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    if (row == NULL) {
        return unknown_name(name);
    }
    *ret_row = row;
    return KAMA_OK;
}

/* The value as the bytes of its field. Fields of numbers may have 32 bits: the
 * bounds of their rows permit no more. */
static void store(kama_group_options *options, const struct km_option *row,
                  size_t size, union km_option_value value)
{
    char *field = (char *)options + row->offset;
    uint32_t narrow = (uint32_t)value.number;
    if (row->kind == KM_OPTION_UINT && size == sizeof narrow) {
        memcpy(field, &narrow, size);
    } else {
        memcpy(field, &value, size);
    }
}

kama_status kama_group_options_set(kama_group_options *options,
                                   const char *name, const char *value)
{
    const struct km_option *row = NULL;
    union km_option_value parsed;
    if (options == NULL || name == NULL || value == NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "group options: options, name or value is NULL");
    }
    kama_status st = find_row(name, &row);
    if (st == KAMA_OK) {
        st = km_option_parse(row, value, &parsed);
    }
    if (st != KAMA_OK) {
        return name_option(st, name);
    }
    size_t size = field_sizes[row - km_group_option_rows];
    if (row->offset + size > options->struct_size) {
        (void)km_fail(KAMA_ERR_UNSUPPORTED, "the program is older than it");
        return name_option(KAMA_ERR_UNSUPPORTED, name);
    }
    store(options, row, size, parsed);
    return KAMA_OK;
}
