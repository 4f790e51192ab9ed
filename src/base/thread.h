/* SPDX-License-Identifier: MIT */
/*
 * Facts about the calling thread: the number of its counter cell, and the pools
 * and groups for which it is working.
 *
 * A thread that runs a job of a pool, or the loader of a group, says so with a
 * frame on its stack. Functions that the job calls can then find out, without a
 * lock, whether they must not wait: if a thread of a pool waited for another job
 * of the same pool, it could wait for ever.
 *
 *     struct km_thread_frame frame;
 *     km_thread_enter(&frame, pool);
 *     job->run(job);                    km_thread_is_inside(pool) is true here
 *     km_thread_leave(&frame);
 *
 *     thread-local        stack of the thread
 *     innermost --------> frame of a loader --outer--> frame of a job --> NULL
 *
 * Frames nest, and they are left in the reverse order. Cost: two stores to enter,
 * and a walk over the few frames to ask. Threads: each call concerns the calling
 * thread only. Errors: none. Ownership: a frame is the caller's memory. A forked
 * child has the frames of the thread that has forked.
 */
#pragma once

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>

/* Counters are divided into this many cells, so that threads rarely write the same
 * cache line. A power of two. */
#define KM_THREAD_CELLS 16u

/* Says that the thread works for something, until the frame is left. */
struct km_thread_frame {
    const void *inside_of;
    struct km_thread_frame *outer;
};

/* What the library keeps for each thread; for the functions below only. */
struct km_thread {
    unsigned cell;    /* + 1; 0: the thread has none yet */
    unsigned counter; /* + 1, likewise */
    struct km_thread_frame *innermost;
};
extern _Thread_local struct km_thread km_thread_own
    __attribute__((tls_model("initial-exec")));

/* Gives the calling thread its cell. */
unsigned km_thread_deal_cell(void);

/* Returns the number of the calling thread's cell, 0..KM_THREAD_CELLS-1, which
 * never changes. Threads get their cells in turn. */
static inline unsigned km_thread_cell(void)
{
    unsigned cell = km_thread_own.cell;
    return KM_LIKELY(cell != 0) ? cell - 1 : km_thread_deal_cell();
}

/* Returns the number of a counter for the calling thread, 0..2*KM_THREAD_CELLS-1. One
 * below KM_THREAD_CELLS belongs to no other thread, so that it needs no locked
 * instruction: only the first KM_THREAD_CELLS threads of the process have such a one. */
static inline unsigned km_thread_counter(void)
{
    if (KM_UNLIKELY(km_thread_own.counter == 0)) {
        (void)km_thread_deal_cell();
    }
    return km_thread_own.counter - 1;
}

/* Makes the calling thread work for inside_of until km_thread_leave. The frame is
 * borrowed until then. */
static inline void km_thread_enter(struct km_thread_frame *frame,
                                   const void *inside_of)
{
    frame->inside_of = inside_of;
    frame->outer = km_thread_own.innermost;
    km_thread_own.innermost = frame;
}

/* Leaves the frame that was entered last. */
static inline void km_thread_leave(struct km_thread_frame *frame)
{
    KM_ASSERT(km_thread_own.innermost == frame);
    km_thread_own.innermost = frame->outer;
}

/* Returns whether the calling thread works for inside_of. */
static inline bool km_thread_is_inside(const void *inside_of)
{
    const struct km_thread_frame *frame = km_thread_own.innermost;
    while (frame != NULL && frame->inside_of != inside_of) {
        frame = frame->outer;
    }
    return frame != NULL;
}

/* What a thread works for that runs an event loop, whichever loop it is. Nothing
 * that it calls may wait. */
extern const char km_thread_loop_mark;

/* Returns whether the calling thread runs an event loop. */
static inline bool km_thread_is_loop(void)
{
    return km_thread_is_inside(&km_thread_loop_mark);
}
