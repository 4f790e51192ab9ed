/* SPDX-License-Identifier: MIT */
/*
 * An event loop on a thread of its own (libuv), with a mailbox for other
 * threads and timers for the code that runs on it.
 *
 *     km_loop_new(mem, clock, 0, &loop);
 *     km_loop_start(loop);                  the thread runs
 *     km_loop_post(loop, &mail);            mail.run(&mail) runs on that thread
 *     km_loop_stop(loop);
 *     km_loop_join(loop);
 *     km_loop_free(loop);
 *
 * One turn of a loop:
 *
 *     sleep -> ready descriptors -> mail -> timers -> own mail -> hooks -> sleep
 *                      |             |        |         |          ^
 *                      +- km_loop_at_end_of_turn -------+----------+
 *
 * Mail is the only way in for other threads. It is a node in the sender's
 * memory, run in the order of posting; a burst of posts costs one wake-up. Mail
 * that descriptors and timers post to their own loop costs none and runs at the
 * end of the same turn; mail that mail or a hook posts runs in the next one at
 * the latest. The hooks at the end of a turn are how work that was asked for
 * several times in a turn is done once, for instance a write.
 *
 * Each connection, listener and attempt on a loop holds it; a loop that was
 * asked to stop ends when the last hold is released, so that nothing is cut
 * off.
 *
 * Threads: km_loop_post and km_loop_stop are for any thread; new, start, join
 * and free are setup; everything else runs on the loop's thread. Errors:
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS, KAMA_ERR_IO. libuv aborts when its own
 * allocations fail, so loops are made at the start of a program only.
 * Ownership: mail, timers and hooks belong to their users; while they are
 * posted, armed or queued they must stay where they are. Cost: one thread, one
 * read buffer of KM_NET_READ_BYTES_PER_TURN.
 */
#pragma once

#include "base/mem.h"
#include "base/timer.h"

#include <stdbool.h>

struct km_loop;
struct uv_loop_s;

/* A message to a loop, and a hook for the end of its turn. */
struct km_mail {
    struct km_mail *next;
    void (*run)(struct km_mail *mail);
};

/* -- life ---------------------------------------------------------------- */

/* Makes a loop that does not run yet. `index` is its number among the loops of
 * its owner. clock is borrowed; NULL stands for the system's. */
KAMA_NODISCARD kama_status km_loop_new(const kama_allocator *mem,
                                       const struct km_clock *clock,
                                       unsigned index,
                                       struct km_loop **ret_loop);
/* Starts the thread, with the name kama-loop-INDEX and all signals blocked. */
KAMA_NODISCARD kama_status km_loop_start(struct km_loop *loop);
/* Asks the loop to end as soon as nothing holds it any more. Any thread. */
void km_loop_stop(struct km_loop *loop);
/* Waits until the thread has ended. All mail that was posted before is run, at
 * the latest by the calling thread. */
void km_loop_join(struct km_loop *loop);
/* Frees a loop that was joined or never started. No thread may be posting to it
 * any more. Passing NULL does nothing. */
void km_loop_free(struct km_loop *loop);

/* -- mail ---------------------------------------------------------------- */

/* Runs mail->run on the loop's thread, soon. The mail belongs to the loop until
 * run begins. Never fails and never blocks. Any thread, the loop's own too. */
void km_loop_post(struct km_loop *loop, struct km_mail *mail);

/* -- questions ----------------------------------------------------------- */

/* Returns whether the calling thread is the one that runs the loop. Any
 * thread. */
bool km_loop_is_inside(const struct km_loop *loop);
/* Returns whether km_loop_start has succeeded, so that mail is run without
 * further ado. Setup, or any thread after it. */
bool km_loop_is_started(const struct km_loop *loop);
/* Returns the index that the loop was made with. Any thread. */
unsigned km_loop_index(const struct km_loop *loop);
/* Returns the allocator of the loop. Any thread. */
const kama_allocator *km_loop_mem(const struct km_loop *loop);
/* Returns the monotonic time at which it was first asked for in this turn. It
 * stands still during a turn, so that reading it often costs nothing. */
km_ns km_loop_now(const struct km_loop *loop);

/* -- timers and the end of a turn ---------------------------------------- */

/* Arms a timer, or moves an armed one: timer->fire runs on the loop at `at` or
 * a little later (1 to 3 ms), never from inside this function. An armed timer
 * does not keep a loop from ending. Cost: O(1) to arm, O(log n) amortised to
 * fire or disarm; no system call. */
void km_loop_timer_arm(struct km_loop *loop, struct km_timer *timer, km_ns at);
/* Disarms a timer. Does nothing if it is not armed. */
void km_loop_timer_disarm(struct km_loop *loop, struct km_timer *timer);

/* Runs hook->run once at the end of this turn, before the loop sleeps. A hook
 * that is queued already is not queued again; its `next` is NULL when it is
 * not queued. Loop thread, or setup before the loop runs. */
void km_loop_at_end_of_turn(struct km_loop *loop, struct km_mail *hook);

/* -- for connections and listeners (the other files of net/) --------------- */

/* Keeps the loop from ending, once for each call. */
void km_loop_hold(struct km_loop *loop);
/* Gives a hold back. */
void km_loop_release(struct km_loop *loop);
/* Returns a buffer of KM_NET_READ_BYTES_PER_TURN bytes, for the code that
 * reads at the moment: its contents are gone when the loop goes on. */
uint8_t *km_loop_read_buffer(const struct km_loop *loop);
/* Returns the loop of libuv. */
struct uv_loop_s *km_loop_uv(struct km_loop *loop);
