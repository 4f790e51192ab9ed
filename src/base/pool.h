/* SPDX-License-Identifier: MIT */
/*
 * A bounded pool of threads that run jobs which may block, and one thread that
 * keeps deadlines. No thread exists before the first job or timer; workers
 * are started on demand up to max_threads and leave after 10 s without work.
 *
 * Thread-safety: any thread, km_pool_new and km_pool_free: setup.
 * Errors: KAMA_ERR_THREADS, KAMA_ERR_NO_MEMORY, KAMA_ERR_CLOSED.
 * Ownership: jobs and timers are the caller's memory (embedded), valid until
 * run was called or, for a timer, until it was disarmed.
 * Signals are blocked in pool threads.
 * Forks: a child process has none of the threads. There, jobs and timers are
 * refused with KAMA_ERR_STATE, and km_pool_free leaves everything as it is: a
 * thread may have held one of the pool's locks when the process was copied.
 */
#pragma once

#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"
#include "base/timer.h"

struct km_pool;

struct km_job {
    struct km_list node;
    void (*run)(struct km_job *job);
};

/* threads_max 1..KM_POOL_THREADS_MAX; name is cut at 15 bytes. Timers go by
 * clock, which runs at the pace of the machine's. */
KAMA_NODISCARD kama_status km_pool_new(const kama_allocator *mem,
                                       const struct km_clock *clock,
                                       const char *name, unsigned threads_max,
                                       struct km_pool **ret_pool);

/* Runs every queued job, joins all threads; armed timers never fire. Does
 * nothing in a forked child. */
void km_pool_free(struct km_pool *pool);

/* How long a thread stays without work; 10000 at first. setup. */
void km_pool_set_idle_ms(struct km_pool *pool, int64_t idle_ms);

/* Lets more threads exist; capped at KM_POOL_THREADS_MAX. */
void km_pool_allow(struct km_pool *pool, unsigned more);

/* Queues job (FIFO). On an error job->run is not called. When a thread exists
 * already, failing to start another is no error. */
KAMA_NODISCARD kama_status km_pool_submit(struct km_pool *pool,
                                          struct km_job *job);

/* Calls timer->fire on the deadline thread at the monotonic time at (not
 * before, at most a few ms late). fire must not block. Arming an armed timer
 * moves it. */
KAMA_NODISCARD kama_status km_pool_arm(struct km_pool *pool,
                                       struct km_timer *timer, km_ns at);

/* After it returns fire is not running and will not run. Not to be called
 * from inside fire, nor while holding a lock that fire takes. Idempotent. */
void km_pool_disarm(struct km_pool *pool, struct km_timer *timer);

/* Is this process a child of the one that made the pool? Takes no lock. */
bool km_pool_is_forked(const struct km_pool *pool);

/* Is the calling thread one of this pool's? */
bool km_pool_is_inside(const struct km_pool *pool);

/* Threads alive now, workers and deadline thread. */
unsigned km_pool_threads(struct km_pool *pool);
