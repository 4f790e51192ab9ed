/* SPDX-License-Identifier: MIT */
/*
 * Running a program once, until it exits or the time is over.
 *
 *     struct km_process process = {.arguments = arguments, .input = key,
 *                                  .deadline_ms = deadline_ms};
 *     km_blob_init(&process.output, max_value_bytes);
 *     km_process_run(&process);
 *     if (process.end == KM_PROCESS_EXITED && process.code == 0) {
 *         use(process.output);
 *     }
 *     km_blob_fini(&process.output);
 *
 *     input  --> standard input    |         |  standard output --> output
 *                                  | program |  standard error  --> complaint
 *
 * The program runs in a process group of its own, with default signals and no
 * other descriptors than these three. Processes of the group that are still
 * there at the end are killed. The program is always waited for, so that
 * neither a zombie nor a descriptor is left.
 *
 * Cost: a process. Threads: any; the calling thread blocks.
 * Errors: `end` says how the run ended. Ownership: arguments and input are
 * borrowed; the output belongs to the caller.
 */
#pragma once

#include "../common/blob.h"

#include <kamacache/loader.h>

enum { KM_PROCESS_STDERR_BYTES = 200 };

/* How a run ended. */
enum km_process_end {
    KM_PROCESS_EXITED,
    KM_PROCESS_SIGNALLED,
    KM_PROCESS_OVERDUE,     /* it was killed at the deadline */
    KM_PROCESS_OUTPUT_FULL, /* it was killed; its output exceeds the bound */
    KM_PROCESS_NO_MEMORY,   /* it was killed; no memory for its output */
    KM_PROCESS_NOT_STARTED, /* it did not run; `error` says why */
    KM_PROCESS_LOST         /* its exit code went to another waitpid */
};

/* A run. The caller fills in the first half, and km_process_run the second. */
struct km_process {
    char **arguments;    /* borrowed; arguments[0] is the path */
    kama_bytes input;    /* borrowed; at most 4096 bytes, which a pipe holds */
    int64_t deadline_ms; /* on the clock of km_load_call_now_ms */
    struct km_blob output; /* empty, with its bound; the caller frees it */

    enum km_process_end end;
    int code;  /* the exit code, or the number of the signal */
    int error; /* the errno of KM_PROCESS_NOT_STARTED */
    char complaint[KM_PROCESS_STDERR_BYTES]; /* the beginning of stderr */
    size_t complaint_len;
};

/* Runs the program and fills in the second half. */
void km_process_run(struct km_process *process);
