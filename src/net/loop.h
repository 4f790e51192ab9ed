/* SPDX-License-Identifier: MIT */
/*
 * A libuv loop on a thread of its own, with a mailbox for other threads and
 * timers for those on it.
 *
 * Mail is the only way in: an intrusive node in the sender's memory, run on
 * the loop's thread in the order of posting. A burst of posts costs one
 * wake-up. Timers are intrusive too; one uv timer serves the earliest.
 *
 * Thread-safety: km_loop_post any thread; new, start, join, free setup;
 * everything else loop thread. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS.
 * libuv aborts when its own allocations fail: loops are made in start-up only.
 */
#pragma once

#include "base/mem.h"
#include "base/timer.h"

#include <stdbool.h>

struct km_loop;
struct uv_loop_s;

struct km_mail {
    struct km_mail *next;
    void (*run)(struct km_mail *mail);
};

KAMA_NODISCARD kama_status km_loop_new(const kama_allocator *mem,
                                       const struct km_clock *clock,
                                       unsigned index,
                                       struct km_loop **ret_loop);
/* Starts the thread (name kama-loop-N, signals blocked). */
KAMA_NODISCARD kama_status km_loop_start(struct km_loop *loop);
/* Asks the loop to end once every handle on it is closed. Any thread. */
void km_loop_stop(struct km_loop *loop);
/* Waits for the thread. Mail that was posted before is run, at the latest by
 * the calling thread. */
void km_loop_join(struct km_loop *loop);
/* After join, or when never started; nobody may be posting any more. NULL is
 * a no-op. */
void km_loop_free(struct km_loop *loop);

/* Runs mail->run on the loop, soon. mail is the loop's until run begins. Never
 * fails, never blocks. Any thread, the loop's own too. */
void km_loop_post(struct km_loop *loop, struct km_mail *mail);

bool km_loop_is_inside(const struct km_loop *loop);
/* Did km_loop_start succeed (mail is run from now on)? Any thread that may
 * call start or runs after it. */
bool km_loop_is_started(const struct km_loop *loop);
unsigned km_loop_index(const struct km_loop *loop);
const kama_allocator *km_loop_mem(const struct km_loop *loop);

/* The monotonic time at which this turn of the loop began. */
km_ns km_loop_now(const struct km_loop *loop);

/* The libuv loop, for net/ and rpc/. */
struct uv_loop_s *km_loop_uv(struct km_loop *loop);

/* Arms or moves a timer; fire runs on the loop at or a little after `at` (1 to
 * 3 ms), never from inside. An armed timer keeps no loop alive. Cost: O(1) to
 * arm, O(log n) amortised to fire or disarm; no call of the system. */
void km_loop_timer_arm(struct km_loop *loop, struct km_timer *timer, km_ns at);
void km_loop_timer_disarm(struct km_loop *loop, struct km_timer *timer);

/* Runs hook->run once at the end of this turn, before the loop sleeps: what
 * was asked for several times in a turn is done once (writes). hook->next is
 * NULL when it is not queued; queueing a queued hook is a no-op. Loop thread,
 * or setup before the loop runs. */
void km_loop_at_end_of_turn(struct km_loop *loop, struct km_mail *hook);
