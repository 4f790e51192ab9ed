/* SPDX-License-Identifier: MIT */
/*
 * The options of a group: by name from text, and checked when a group is made.
 * One row per option; a row's size says how wide its field is, so that a
 * program that was built with an older, shorter struct is not written past.
 */
#include "group/options.h"

#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "store/policy.h"

#include <inttypes.h>
#include <stddef.h>

/* X(name, kind, field, argument, default, min, max, help) */
#define OPTION_MAP(X)                                                          \
    X("max_bytes", BYTES, max_bytes, "SIZE", "64m", KM_GROUP_BYTES_MIN,        \
      UINT64_MAX, "memory bound of the group")                                 \
    X("max_value_bytes", BYTES, max_value_bytes, "SIZE", NULL, 1,              \
      KM_VALUE_BYTES_LOCAL_MAX, "largest value; min(1m, max_bytes / 4)")       \
    X("ttl", DURATION, ttl_ms, "TIME", "0", 0, INT64_MAX,                      \
      "time to live of entries, 0: for ever")                                  \
    X("negative_ttl", DURATION, negative_ttl_ms, "TIME", "0", 0, INT64_MAX,    \
      "how long \"does not exist\" is remembered, 0: not")                     \
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

/* The value of a row as 64 bits; strings are the pointer. */
static kama_status parse(const struct km_option *row, const char *text,
                         uint64_t *ret_value)
{
    int64_t ms = 0;
    kama_status st;
    switch (row->kind) {
    case KM_OPTION_UINT:
        return km_parse_uint(text, row->min, row->max, ret_value);
    case KM_OPTION_BYTES:
        return km_parse_bytes(text, ret_value);
    case KM_OPTION_DURATION:
        st = km_parse_duration_ms(text, &ms);
        *ret_value = (uint64_t)ms;
        return st;
    default:
        *ret_value = (uint64_t)(uintptr_t)text;
        return KAMA_OK;
    }
}

static kama_status unknown_name(const char *name)
{
    const char *nearest = km_option_nearest(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    return nearest != NULL
               ? km_fail(KAMA_ERR_INVALID,
                         "group option %.64s: unknown; did you mean %s?", name,
                         nearest)
               : km_fail(KAMA_ERR_INVALID, "group option %.64s: unknown", name);
}

static kama_status find_row(const char *name, const struct km_option **ret_row)
{
    if (strcmp(name, "loader") == 0 || strcmp(name, "name") == 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "group option %s: is not set by name here", name);
    }
    const struct km_option *row = km_option_find(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    if (row == NULL) {
        return unknown_name(name);
    }
    if (row->kind == KM_OPTION_LATER) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "group option %s: not in this version", name);
    }
    *ret_row = row;
    return KAMA_OK;
}

static kama_status out_of_range(const struct km_option *row, const char *text)
{
    return km_fail(KAMA_ERR_INVALID,
                   "group option %s: %.64s is not in %" PRIu64 "..%" PRIu64,
                   row->name, text, row->min, row->max);
}

kama_status kama_group_options_set(kama_group_options *options,
                                   const char *name, const char *value)
{
    const struct km_option *row = NULL;
    uint64_t parsed = 0;
    kama_status st = find_row(name, &row);
    if (st == KAMA_OK) {
        st = parse(row, value, &parsed);
    }
    if (st != KAMA_OK) {
        return st;
    }
    size_t size = field_sizes[row - km_group_option_rows];
    if (row->kind != KM_OPTION_STRING &&
        (parsed < row->min || parsed > row->max)) {
        return out_of_range(row, value);
    }
    if (row->offset + size > options->struct_size) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "group option %s: the program is older than it",
                       row->name);
    }
    uint32_t narrow = (uint32_t)parsed;
    memcpy((char *)options + row->offset,
           size == sizeof narrow ? (const void *)&narrow
                                 : (const void *)&parsed,
           size);
    return KAMA_OK;
}
