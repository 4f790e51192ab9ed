/* SPDX-License-Identifier: MIT */
/*
 * One event of the log as a line of text (logfmt) or JSON.
 *
 *     struct km_log_event event = {.level = KM_LOG_WARN, .component = "node",
 *                                  .msg = "disk full", ...};
 *     char buf[KM_LOG_LINE_BYTES_MAX];
 *     size_t len = km_log_format(KM_LOG_TEXT, &event, buf);
 *
 *     ts=2026-01-31T12:00:00.000000Z level=warn component=node msg="disk full"
 *
 * A line is always well-formed, whatever bytes are in the event, and its last
 * byte is its only newline, so that nobody can forge a line through a key. A
 * value longer than KM_LOG_VALUE_BYTES_MAX is cut and ends with "...". Fields
 * that do not fit are left out, and the line then ends with cut=true.
 *
 * Cost: linear in the event; nothing is allocated. Threads: any; pure
 * functions.
 * Errors: none. Ownership: the event is borrowed.
 */
#pragma once

#include "base/limits.h"
#include "base/log.h"

#define KM_LOG_VALUE_BYTES_MAX 1024

struct km_log_event {
    uint64_t wall_us; /* microseconds since 1970, UTC */
    enum km_log_level level;
    const char *component;
    const char *msg;
    const struct km_field *fields;
    size_t field_count;
    unsigned held_back; /* lines that the rate of the call site held back */
};

/* Reads "debug", "info", "warn" or "error". Returns false for another name. */
bool km_log_level_parse(const char *name, enum km_log_level *ret_level);

/* Reads "text" or "json". Returns false for another name. */
bool km_log_format_parse(const char *name, enum km_log_format *ret_format);

/* Writes the line into buf, without a NUL, and returns its length. */
size_t km_log_format(enum km_log_format format,
                     const struct km_log_event *event,
                     char buf[KM_LOG_LINE_BYTES_MAX]);
