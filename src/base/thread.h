/* SPDX-License-Identifier: MIT */
/*
 * What the library knows of the calling thread: which block of counters is its
 * own, and what it is inside of.
 *
 * A thread that runs the work of somebody (a job of a pool, the loader of a
 * group) says so with a frame on its stack. Whoever is called by that work can
 * then ask in a few nanoseconds and without a lock whether it must not wait: a
 * thread of a pool that waited for another job of the same pool could wait for
 * ever.
 *
 *     struct km_thread_frame frame;
 *     km_thread_enter(&frame, pool);
 *     job->run(job);                    km_thread_is_inside(pool) is true here
 *     km_thread_leave(&frame);
 *
 * Frames nest and are left in the reverse order. Cost: two stores. Threads: each
 * call concerns the calling thread only. A forked child has the frames of the
 * thread that forked.
 */
#pragma once

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>

/* The number of blocks that counters are divided into, so that threads rarely
 * write the same cache line; a power of two. */
#define KM_THREAD_CELLS 16u

struct km_thread_frame {
    const void *inside_of;
    struct km_thread_frame *outer;
};

/* What the library keeps for each thread; for the functions below only. */
struct km_thread {
    unsigned cell; /* + 1; 0: the thread has none yet */
    struct km_thread_frame *innermost;
};
extern _Thread_local struct km_thread km_thread_own;

/* Gives the calling thread its cell. */
unsigned km_thread_deal_cell(void);

/* The cell of the calling thread, 0..KM_THREAD_CELLS-1; the same in each call.
 * Threads get their cells in turn. */
static inline unsigned km_thread_cell(void)
{
    unsigned cell = km_thread_own.cell;
    return KM_LIKELY(cell != 0) ? cell - 1 : km_thread_deal_cell();
}

/* The calling thread works for inside_of until km_thread_leave. The frame is
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
