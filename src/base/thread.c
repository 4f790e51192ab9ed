/* SPDX-License-Identifier: MIT */
/*
 * The thread-local state of the library, besides the last error sentence. Cells
 * are dealt in turn: a thread that ends does not give its number back, which only
 * means that cells are shared sooner. The other functions are inline, because each
 * count and each miss needs them.
 */
#include "base/thread.h"

#include <stdatomic.h>

const char km_thread_loop_mark = 0;
_Thread_local struct km_thread km_thread_own;

/* The number of cells that were dealt so far belongs to the process, because a
 * thread has one cell for all that it counts. */
unsigned km_thread_deal_cell(void)
{
    static atomic_uint dealt;
    unsigned number =
        atomic_fetch_add_explicit(&dealt, 1, memory_order_relaxed);
    km_thread_own.cell = number % KM_THREAD_CELLS + 1;
    km_thread_own.counter =
        km_thread_own.cell + (number < KM_THREAD_CELLS ? 0 : KM_THREAD_CELLS);
    return number % KM_THREAD_CELLS;
}
