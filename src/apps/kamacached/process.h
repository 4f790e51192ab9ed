/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a process: descriptors, memory, signals.
 *
 * Signals: blocked in every thread from the start; the main thread takes them
 * one by one with process_wait. After the first SIGTERM or SIGINT a second one
 * ends the process at once, with 128 + its number; one that comes within
 * 50 ms is taken for the first.
 *
 * Orphans: as PID 1 of a container, or as a subreaper, the process becomes the
 * parent of what the programs of its loaders leave behind, and collects it. It
 * collects no child that another thread has started, so that a loader may
 * wait for its programs; a program that is started by the main thread (in a
 * plug-in's `open`) would be taken for an orphan.
 * Thread-safety: main thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Before any other thread exists. Opens /dev/null in the place of descriptors
 * 0 to 2 that are closed (a socket that got number 2 would receive the log),
 * forgets which signals the parent ignored and blocked, blocks those that
 * process_wait takes, ignores SIGPIPE, raises RLIMIT_NOFILE to its hard limit,
 * keeps the C library's heap from spreading over many arenas. */
void process_init(void);

/* What ends a start that hangs, in a loader for example. */
struct process_guard {
    bool runs;
    pthread_t thread;
    int64_t timeout_ms;
    void (*end)(const char *signal_name, int64_t timeout_ms);
};

/* Until process_guard_end: SIGTERM, SIGINT or the end of timeout_ms calls end
 * on a thread of its own, with the signal's name or NULL; end must not
 * return. */
void process_guard_start(struct process_guard *guard, int64_t timeout_ms,
                         void (*end)(const char *signal_name,
                                     int64_t timeout_ms));
/* The start is over. */
void process_guard_end(struct process_guard *guard);

/* Waits for SIGTERM or SIGINT; calls hangup for each SIGHUP before, and collects
 * orphans. From then on a second one is deadly. Returns the signal's name. */
const char *process_wait(void (*hangup)(void));
