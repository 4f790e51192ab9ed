/* SPDX-License-Identifier: MIT */
/*
 * A program run once: bytes into its standard input, its standard output and
 * the beginning of its standard error out, until it exits or time is up.
 *
 * It runs in a process group of its own, with default signals and no
 * descriptor but these three; whatever of the group is still there at the end
 * is killed. It is always waited for: no zombie, no descriptor is left.
 * Threads: any, each run on its own. The calling thread blocks.
 */
#pragma once

#include "../common/blob.h"

#include <kamacache/loader.h>

enum { KM_PROCESS_STDERR_BYTES = 200 };

/* How a run ended. */
enum km_process_end {
    KM_PROCESS_EXITED,
    KM_PROCESS_SIGNALLED,
    KM_PROCESS_OVERDUE,     /* killed at the deadline */
    KM_PROCESS_OUTPUT_FULL, /* killed, it wrote more than fits */
    KM_PROCESS_NO_MEMORY,   /* killed, no memory for its output */
    KM_PROCESS_NOT_STARTED, /* error is set */
    KM_PROCESS_LOST         /* somebody else collected its status */
};

/* A run: the caller fills in the first half. */
struct km_process {
    char **arguments;      /* borrowed; arguments[0] is the path */
    kama_bytes input;      /* borrowed; at most what a pipe holds, 4096 bytes */
    int64_t deadline_ms;   /* on the clock of km_load_call_now_ms */
    struct km_blob output; /* empty, with its bound; the caller's to free */
    /* What the run gives. */
    enum km_process_end end;
    int code;  /* exit code, or signal */
    int error; /* errno of KM_PROCESS_NOT_STARTED */
    char complaint[KM_PROCESS_STDERR_BYTES]; /* first line of stderr */
    size_t complaint_len;
};

/* Runs it and fills in the second half. */
void km_process_run(struct km_process *process);
