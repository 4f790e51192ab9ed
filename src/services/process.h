/* SPDX-License-Identifier: MIT */
/*
 * The process as the system sees it: its memory, its time, its descriptors.
 *
 *     struct km_process process;
 *     km_process_read(&process);
 *
 * The figures come from /proc/self and from getrusage. A figure that cannot be read,
 * for example because /proc is not mounted, is 0.
 *
 * Cost: one file is read; before Linux 6.2 the descriptors of the process are listed,
 * too. Threads: any thread. Errors: none. Ownership: the caller's memory.
 */
#pragma once

#include "base/clock.h"

struct km_process {
    uint64_t resident_bytes; /* with shared pages */
    uint64_t virtual_bytes;
    uint64_t cpu_ns; /* in user and in system mode */
    uint64_t threads;
    uint64_t open_fds;
    uint64_t max_fds; /* the soft limit; UINT64_MAX: none */
    uint64_t boot_ns; /* the start of the process, since the system's */
};

/* Reads all figures. */
void km_process_read(struct km_process *ret_process);

/* Returns the start of the process in nanoseconds since 1970, or 0. It is computed
 * from two clocks, so that another call may say a little more or less. */
uint64_t km_process_started_ns(void);

/* Returns the resident memory in bytes, or 0. */
uint64_t km_process_resident_bytes(void);
