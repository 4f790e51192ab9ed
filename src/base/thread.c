/* SPDX-License-Identifier: MIT */
/* The thread-local state of the library, besides the last error sentence. */
#include "base/thread.h"

#include "base/assert.h"

#include <stdatomic.h>

static _Thread_local struct km_thread_frame *innermost;

unsigned km_thread_cell(void)
{
    static atomic_uint dealt;
    static _Thread_local unsigned cell; /* + 1; 0: the thread has none yet */
    if (KM_UNLIKELY(cell == 0)) {
        cell = atomic_fetch_add_explicit(&dealt, 1, memory_order_relaxed) %
                   KM_THREAD_CELLS +
               1;
    }
    return cell - 1;
}

void km_thread_enter(struct km_thread_frame *frame, const void *inside_of)
{
    frame->inside_of = inside_of;
    frame->outer = innermost;
    innermost = frame;
}

void km_thread_leave(struct km_thread_frame *frame)
{
    KM_ASSERT(innermost == frame);
    innermost = frame->outer;
}

bool km_thread_is_inside(const void *inside_of)
{
    const struct km_thread_frame *frame = innermost;
    while (frame != NULL && frame->inside_of != inside_of) {
        frame = frame->outer;
    }
    return frame != NULL;
}
