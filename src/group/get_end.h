/* SPDX-License-Identifier: MIT */
/*
 * The end of a get that was parked (get_op.h).
 *
 * It can be answered from three sides at the same time: its load ends, its timer
 * fires, or its caller cancels it. The lock of the flight decides. Each side first
 * takes the waiter out of the flight, and only the side that succeeds answers the
 * get. It disarms the timer before it calls done, because the owner may free the
 * op as soon as done runs:
 *
 *     load ends                     timer                  caller
 *     takes the waiter out
 *                                   finds no waiter,
 *                                   returns
 *                                                          cancel: false
 *     disarms (waits for the timer)
 *     done                                                 frees the op
 *
 * A get that the outcome of its load is not for is started again (km_get_op_again).
 *
 * Threads: that of the end of the load, of the timer, or of the caller. Errors:
 * KAMA_ERR_TIMEOUT with the caller's deadline. Ownership: the op is its owner's.
 * Cost: as get_op.h says.
 */
#pragma once

#include "base/container.h"
#include "group/get_op.h"

static inline struct km_get_op *km_get_op_of(struct km_flight_waiter *waiter)
{
    return KM_CONTAINER_OF(waiter, struct km_get_op, waiter);
}

/* The functions of the op's waiter and of its timer. */
void km_get_on_load_end(struct km_flight_waiter *waiter,
                        struct km_flight_call *call);
void km_get_on_timer(struct km_timer *timer);

/* Stops the timer, and waits until it does not run. */
void km_get_disarm(struct km_get_op *op);
/* Fails because the time of the caller is over. Returns the status. */
kama_status km_get_fail_late(const struct km_get_op *op, kama_bytes key);
