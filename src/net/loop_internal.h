/* SPDX-License-Identifier: MIT */
/*
 * The inside of a loop, for the files of net/. What is on a loop holds it
 * (km_loop_hold) until it is closed; a loop that was asked to stop ends with
 * the last hold.
 * Thread-safety: loop thread; mailbox: any thread.
 */
#pragma once

#include "net/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct km_loop {
    uv_loop_t uv;
    uv_async_t async;     /* wakes for mail; keeps the loop alive */
    uv_prepare_t prepare; /* the end of a turn */
    uv_timer_t timer;     /* for the earliest of timers */
    const kama_allocator *mem;
    const struct km_clock *clock;
    unsigned index;
    unsigned holds;
    bool joinable;
    bool stopping;
    km_ns now;         /* of this turn; 0: not read yet */
    km_ns fired_until; /* timers up to here have fired */
    km_ns timer_at;    /* what timer is set to */
    struct km_timer_heap timers;
    struct km_mail *hooks; /* end of turn, ends with hook_end */
    struct km_mail *hooks_last;
    struct km_mail hook_end;
    uint8_t *read_buf;
    pthread_t thread;
    struct km_mail stop_mail;
    atomic_bool stop_asked;
    atomic_bool started;
    _Atomic(uintptr_t) inside;         /* the thread that runs it, or 0 */
    _Atomic(struct km_mail *) mailbox; /* newest first */
};

/* Something on the loop is open. */
void km_loop_hold(struct km_loop *loop);
void km_loop_release(struct km_loop *loop);

/* KM_NET_READ_BYTES_PER_TURN bytes for whoever reads at the moment. */
static inline uint8_t *km_loop_read_buffer(const struct km_loop *loop)
{
    return loop->read_buf;
}

/* The sentence "what: reason", kept as the thread's last error; error is an
 * errno. Returns status. */
kama_status km_net_fail(kama_status status, const char *what, int error);
