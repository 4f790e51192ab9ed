/* SPDX-License-Identifier: MIT */
/*
 * The process's structured log: one line per event, as text (logfmt) or JSON:
 * ts (RFC 3339, microseconds, UTC), level, component, msg, then fields.
 * Writing never blocks the caller: lines go through a bounded ring to a
 * writer thread (started by km_log_start); what does not fit is counted and
 * reported as one line later. Each call site is limited to 10 lines a second,
 * burst 20; what is held back is counted on the next line that passes.
 * Before km_log_start and after km_log_stop lines are written to stderr
 * directly. Only node/ and apps/ log.
 * Thread-safety: any thread; km_log_start, km_log_stop: setup.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

enum km_log_level { KM_LOG_DEBUG, KM_LOG_INFO, KM_LOG_WARN, KM_LOG_ERROR };
enum km_log_format { KM_LOG_TEXT, KM_LOG_JSON };

/* Starts the writer thread on fd (borrowed). Errors: KAMA_ERR_STATE (started
 * already), KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS. */
KAMA_NODISCARD kama_status km_log_start(int fd, enum km_log_level level,
                                        enum km_log_format format);
/* Writes what is queued (at most 1 s), joins the thread. */
void km_log_stop(void);
/* Lines lost so far: the ring or the descriptor did not take them. */
uint64_t km_log_dropped(void);

/* State of one call site; zeroed, static. */
struct km_log_site {
    _Atomic uint64_t tokens_at;
    atomic_uint held_back;
};

enum km_field_kind { KM_FIELD_STR, KM_FIELD_INT, KM_FIELD_BYTES };

/* One key=value of a line. */
struct km_field {
    const char *name;
    enum km_field_kind kind;
    int64_t number;
    kama_bytes bytes;
};

static inline struct km_field km_f_str(const char *name, const char *value)
{
    return (struct km_field){name, KM_FIELD_STR, 0,
                             kama_bytes_str(value != NULL ? value : "")};
}
static inline struct km_field km_f_int(const char *name, int64_t value)
{
    return (struct km_field){name, KM_FIELD_INT, value, {NULL, 0}};
}
/* Quoted: may hold anything. */
static inline struct km_field km_f_bytes(const char *name, kama_bytes value)
{
    return (struct km_field){name, KM_FIELD_BYTES, 0, value};
}

/* Writes one event; everything is borrowed. Never blocks: before
 * km_log_start a line that stderr does not take at once is lost. */
void km_log_write(struct km_log_site *site, enum km_log_level level,
                  const char *component, const char *msg,
                  const struct km_field *fields, size_t field_count);

/* KM_LOG(INFO, "node", "listening", km_f_str("addr", a), km_f_int("fd", 3)) */
#define KM_LOG(lvl, component, ...)                                            \
    do {                                                                       \
        static struct km_log_site km_log_site_;                                \
        KM_LOG_AT(&km_log_site_, KM_LOG_##lvl, component, __VA_ARGS__);        \
    } while (0)
#define KM_LOG_AT(site, level, component, msg, ...)                            \
    km_log_write(                                                              \
        site, level, component, msg,                                           \
        (const struct km_field[]){{"", 0, 0, {NULL, 0}}, __VA_ARGS__} + 1,     \
        sizeof(                                                                \
            (const struct km_field[]){{"", 0, 0, {NULL, 0}}, __VA_ARGS__}) /   \
                sizeof(struct km_field) -                                      \
            1)
