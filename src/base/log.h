/* SPDX-License-Identifier: MIT */
/*
 * The structured log of the process: one line per event, as text (logfmt) or as
 * JSON, with ts (RFC 3339, microseconds, UTC), level, component, msg and
 * fields.
 *
 *     km_log_start(STDERR_FILENO, KM_LOG_INFO, KM_LOG_TEXT);
 *     KM_LOG(KM_LOG_INFO, "node", "listening", km_f_str("addr", address));
 *
 *     ts=2026-01-31T12:00:00.000000Z level=info component=node msg=listening
 *     addr=127.0.0.1:8001
 *
 * Writing never blocks the caller. Lines go through a bounded ring to a thread
 * that writes them; lines that the ring or the descriptor does not take are
 * counted and reported in a line of their own later. Each call site may write
 * 10 lines a second, with bursts of 20, and the next line that passes says how
 * many were held back.
 *
 *     call site --rate--> ring (256 KiB) --thread--> descriptor
 *         |                  |                           |
 *         held_back          +------ lines were lost ----+
 *
 * Before km_log_start and after km_log_stop, lines are written to stderr
 * directly. Only node/ and apps/ log; the library reports through statuses.
 *
 * Cost: formatting on the stack of the caller, one lock and a copy.
 * Threads: any; km_log_start and km_log_stop belong to the start and the end of
 * the process. Errors: none for a caller that logs.
 * Ownership: everything that is passed in is borrowed until the call returns.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

enum km_log_level { KM_LOG_DEBUG, KM_LOG_INFO, KM_LOG_WARN, KM_LOG_ERROR };
enum km_log_format { KM_LOG_TEXT, KM_LOG_JSON };

/* Starts the thread that writes to fd, which is borrowed until km_log_stop.
 * Errors: KAMA_ERR_STATE if the log is started already, KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_THREADS. */
KAMA_NODISCARD kama_status km_log_start(int fd, enum km_log_level level,
                                        enum km_log_format format);

/* Waits until the queued lines are written, for a second at most, and joins the
 * thread. A thread that hangs in a write is left behind. */
void km_log_stop(void);

/* Returns how many lines were lost so far, because neither the ring nor the
 * descriptor took them. */
uint64_t km_log_dropped(void);

/* The rate limit of one call site. A zeroed one has its whole burst left. */
struct km_log_site {
    _Atomic uint64_t tokens_at; /* see take_token in log.c */
    atomic_uint held_back;      /* lines since the last one that passed */
};

enum km_field_kind {
    KM_FIELD_STR,  /* text, whose UTF-8 is kept as far as it may be shown */
    KM_FIELD_INT,  /* a number */
    KM_FIELD_BYTES /* any bytes, always quoted */
};

/* One name=value of a line. */
struct km_field {
    const char *name;
    enum km_field_kind kind;
    int64_t number;
    kama_bytes bytes;
};

/* Makes a field of a text; NULL counts as "". */
static inline struct km_field km_f_str(const char *name, const char *value)
{
    return (struct km_field){name, KM_FIELD_STR, 0,
                             kama_bytes_str(value != NULL ? value : "")};
}
/* Makes a field of a number. */
static inline struct km_field km_f_int(const char *name, int64_t value)
{
    return (struct km_field){name, KM_FIELD_INT, value, {NULL, 0}};
}
/* Makes a field of bytes that may hold anything, such as a key. */
static inline struct km_field km_f_bytes(const char *name, kama_bytes value)
{
    return (struct km_field){name, KM_FIELD_BYTES, 0, value};
}

/* Writes one event; KM_LOG is the usual way to call it. Before km_log_start, a
 * line that stderr does not take at once is lost. */
void km_log_write(struct km_log_site *site, enum km_log_level level,
                  const char *component, const char *msg,
                  const struct km_field *fields, size_t field_count);

/* Writes one event with a rate limit of its own. The arguments behind the
 * message are fields:
 *
 *     KM_LOG(KM_LOG_INFO, "node", "listening", km_f_str("addr", address),
 *            km_f_int("fd", fd));
 * */
#define KM_LOG(level, component, ...)                                          \
    do {                                                                       \
        static struct km_log_site km_log_site_;                                \
        KM_LOG_AT(&km_log_site_, level, component, __VA_ARGS__);               \
    } while (0)

/* Does the same with a given site, for call sites that share a limit or that
 * must have none. */
#define KM_LOG_AT(site, level, component, msg, ...)                            \
    km_log_write(                                                              \
        site, level, component, msg,                                           \
        (const struct km_field[]){{"", 0, 0, {NULL, 0}}, __VA_ARGS__} + 1,     \
        sizeof(                                                                \
            (const struct km_field[]){{"", 0, 0, {NULL, 0}}, __VA_ARGS__}) /   \
                sizeof(struct km_field) -                                      \
            1)
