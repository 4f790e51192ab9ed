/* SPDX-License-Identifier: MIT */
/*
 * One event as a line: logfmt or JSON, always well-formed, whatever the bytes
 * in it, and always with one newline, its last byte. A value is cut at
 * KM_LOG_VALUE_BYTES_MAX with "..."; fields that do not fit are left out and
 * the line ends with cut=true.
 * Thread-safety: pure function. Errors: none.
 */
#pragma once

#include "base/limits.h"
#include "base/log.h"

#define KM_LOG_VALUE_BYTES_MAX 1024

struct km_log_event {
    uint64_t wall_us;
    enum km_log_level level;
    const char *component;
    const char *msg;
    const struct km_field *fields;
    size_t field_count;
    unsigned held_back; /* lines of the call site that were not written */
};

/* Reads "debug", "info", "warn" or "error". Returns false for another name. */
bool km_log_level_parse(const char *name, enum km_log_level *ret_level);

/* Reads "text" or "json". Returns false for another name. */
bool km_log_format_parse(const char *name, enum km_log_format *ret_format);

/* Returns the length of the line in buf; no NUL. */
size_t km_log_format(enum km_log_format format,
                     const struct km_log_event *event,
                     char buf[KM_LOG_LINE_BYTES_MAX]);
