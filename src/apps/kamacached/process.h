/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a process: its descriptors, its memory and its signals.
 *
 *     process_init();
 *     process_guard_start(&guard, 10000, give_up);
 *     ...                                            the start, which may hang
 *     process_guard_end(&guard);
 *     const char *signal_name = process_wait(reload);
 *     ...                                            the drain
 *
 * Signals are blocked in every thread from the start, and the main thread takes
 * them one by one:
 *
 *     start      guard thread       SIGTERM, SIGINT: give_up
 *     serving    process_wait       SIGHUP: reload; SIGTERM, SIGINT: it returns
 *     draining   a handler          SIGTERM, SIGINT: exit with 128 + its number
 *
 * A second signal within 50 ms of the first one does not count, because
 * supervisors often signal a process and then its group.
 *
 * Orphans: as PID 1 of a container, or as a subreaper, the process becomes the
 * parent of processes that the programs of its loaders leave behind, and
 * collects them. It never collects a child that another thread has started, so
 * that a loader can wait for its programs. But a program that the main thread
 * has started, in the `open` of a plug-in, would be taken for an orphan.
 *
 * Threads: the main thread. Cost: none worth naming. Errors: none; a setting
 * that the system refuses stays as it was.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Prepares the process. It must be called before any other thread exists.
 *
 *   - Descriptors 0 to 2 that are closed are opened on /dev/null. A socket that
 *     got number 2 would receive the log.
 *   - The signals that the parent ignored or blocked are reset, those that
 *     process_wait takes are blocked, and SIGPIPE is ignored.
 *   - RLIMIT_NOFILE is raised to its hard limit.
 *   - The heap of the C library is kept from spreading over many arenas.
 */
void process_init(void);

/* A thread that ends a start which hangs, in a loader for example. */
struct process_guard {
    bool runs; /* the thread was started */
    pthread_t thread;
    int64_t timeout_ms;
    atomic_bool is_patient; /* only signals end the start */
    void (*end)(const char *signal_name, int64_t timeout_ms);
};

/* Starts the guard. On SIGTERM or SIGINT it calls `end` on its thread with the
 * name of the signal, and after timeout_ms with NULL. `end` must not return.
 * Without a thread there is no guard. */
void process_guard_start(struct process_guard *guard, int64_t timeout_ms,
                         void (*end)(const char *signal_name,
                                     int64_t timeout_ms));
/* From here on only a signal ends the start. A node that joins a cluster keeps
 * to start_timeout_ms itself: it knows which step is missing, and it may wait
 * longer for the record of a dead process at its address. */
void process_guard_take_signals_only(struct process_guard *guard);
/* Ends the guard, because the start has ended. */
void process_guard_end(struct process_guard *guard);

/* Waits for SIGTERM or SIGINT and returns the name of the signal. Meanwhile it
 * calls hangup for each SIGHUP and collects orphans. Afterwards, a second
 * signal ends the process at once. */
const char *process_wait(void (*hangup)(void));
