/* SPDX-License-Identifier: MIT */
/*
 * A bounded pool of threads that run jobs which may block, and one thread that
 * keeps deadlines.
 *
 *     status = km_pool_new(mem, km_clock_system(), "kama-group", 8, &pool);
 *     load->job.run = run_load;
 *     status = km_pool_submit(pool, &load->job);
 *     status = km_pool_arm(pool, &load->timer, deadline);
 *     ...
 *     km_pool_disarm(pool, &load->timer);
 *     km_pool_free(pool);
 *
 * No thread exists before the first job or timer. Workers are started when jobs
 * wait, at most threads_max of them, and a worker leaves after 10 s without a job:
 *
 *     jobs   job --> job --> job          first in, first out
 *                             |
 *     workers (idle or busy)  +--> run    without a lock
 *
 * Cost: one lock to submit a job, and one to take it. Threads: any thread; new and
 * free are setup. Signals are blocked in the threads of a pool. Errors:
 * KAMA_ERR_THREADS if no thread can be started, KAMA_ERR_NO_MEMORY, and
 * KAMA_ERR_CLOSED while the pool is freed.
 *
 * Ownership: jobs and timers are the caller's memory, embedded in a structure of
 * its own. A job must stay valid until its `run` was called, and a timer until it
 * has fired or was disarmed.
 *
 * Forks: a child process has none of the threads. In the child, jobs and timers
 * are refused with KAMA_ERR_STATE, and km_pool_free does nothing, because a thread
 * may have held one of the pool's locks when the process was copied.
 */
#pragma once

#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"
#include "base/timer.h"

struct km_pool;

/* One piece of work, embedded in a structure of its owner. The pool does not touch
 * it any more once `run` was called. */
struct km_job {
    struct km_list node;
    void (*run)(struct km_job *job);
};

/* Makes a pool without threads. threads_max is 1..KM_POOL_THREADS_MAX, and the
 * name is cut at 15 bytes. Timers use the time of clock, which must run as fast as
 * the machine's; mem and clock are borrowed until km_pool_free. Errors:
 * KAMA_ERR_INVALID, KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS. */
KAMA_NODISCARD kama_status km_pool_new(const kama_allocator *mem,
                                       const struct km_clock *clock,
                                       const char *name, unsigned threads_max,
                                       struct km_pool **ret_pool);

/* Makes a pool that has no threads and never starts one: jobs and timers run when
 * its owner says so, on the owner's thread and in the same order each time. With it
 * a whole node runs in one thread of a simulation. Nothing that the pool runs may
 * wait for the pool. Timers use the times that km_pool_step is given. Errors:
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS. */
KAMA_NODISCARD kama_status km_pool_new_manual(const kama_allocator *mem,
                                              const struct km_clock *clock,
                                              struct km_pool **ret_pool);

/* Fires the timers of a manual pool that are due at `now`, the earliest first, and
 * runs its jobs, first in, first out, until nothing is left to do. Returns how many
 * have run. Thread: one at a time, and not from inside a job. */
unsigned km_pool_step(struct km_pool *pool, km_ns now);

/* Returns the time of the next step that a manual pool needs: 0 if a job waits,
 * and KM_NS_NEVER if there is nothing to do. */
km_ns km_pool_next(struct km_pool *pool);

/* Runs every queued job, joins all threads and frees the pool. Timers that are
 * armed never fire. Does nothing for NULL and in a forked child. Setup. */
void km_pool_free(struct km_pool *pool);

/* Sets how long a thread stays without work: 10000 ms by default. Setup. */
void km_pool_set_idle_ms(struct km_pool *pool, int64_t idle_ms);

/* Adds to the number of threads that may exist, up to KM_POOL_THREADS_MAX. */
void km_pool_allow(struct km_pool *pool, unsigned more);

/* Queues a job behind the others. On an error job->run is not called. If a thread
 * exists already, it is no error that another one cannot be started. */
KAMA_NODISCARD kama_status km_pool_submit(struct km_pool *pool,
                                          struct km_job *job);

/* Makes sure that a worker exists, which then stays for the idle time at least, so
 * that a job which is submitted next has a thread. Errors: as km_pool_submit. */
KAMA_NODISCARD kama_status km_pool_need_worker(struct km_pool *pool);

/* Calls timer->fire on the deadline thread at the time `at`: never earlier, and at
 * most a few milliseconds later. fire must not block. If the timer is armed
 * already, it is moved. Errors: KAMA_ERR_THREADS, KAMA_ERR_CLOSED,
 * KAMA_ERR_STATE. */
KAMA_NODISCARD kama_status km_pool_arm(struct km_pool *pool,
                                       struct km_timer *timer, km_ns at);

/* Disarms a timer, which need not be armed. When this returns, fire is not running
 * and will not run. It must not be called from inside fire, nor while the caller
 * holds a lock that fire takes, because it may wait for fire to return. */
void km_pool_disarm(struct km_pool *pool, struct km_timer *timer);

/* Returns whether this process is a child of the one that has made the pool. Takes
 * no lock. */
bool km_pool_is_forked(const struct km_pool *pool);

/* Returns whether the calling thread is a worker or the deadline thread of this
 * pool. Takes no lock. */
bool km_pool_is_inside(const struct km_pool *pool);

/* Returns how many threads are alive, including the deadline thread. */
unsigned km_pool_threads(struct km_pool *pool);

/* Asserts that jobs and workers are as many as they are counted, and that the
 * deadlines agree with their thread. For tests: O(jobs + threads + timers). */
void km_pool_check(struct km_pool *pool);
