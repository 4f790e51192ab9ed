/* SPDX-License-Identifier: MIT */
/*
 * A budget that is full at the time t lacks the bytes that flow in from now
 * until t. It is empty when these are its whole burst, and in debt beyond that.
 */
#include "wire/grpc/budget.h"

#include "base/assert.h"
#include "base/limits.h"

#include <stdbool.h>

#define BYTES_PER_S ((uint64_t)KM_GRPC_DECODED_MIB_PER_S << 20)
/* How long an empty budget takes to be full. */
#define BURST_NS                                                               \
    (KM_GRPC_DECODED_BURST_MIB * KM_NS_PER_S / KM_GRPC_DECODED_MIB_PER_S)

_Static_assert(BYTES_PER_S <= KM_NS_PER_S,
               "a byte takes a nanosecond or more, so that none is lost");

void km_grpc_budget_fill(struct km_grpc_budget *budget, km_ns now)
{
    KM_ASSERT(now >= budget->now);
    budget->now = now;
    if (budget->full_at < now) {
        budget->full_at = now;
    }
}

static uint64_t paid_bytes(size_t wire_bytes)
{
    return (uint64_t)wire_bytes * KM_GRPC_DECODED_PER_BYTE;
}

size_t km_grpc_budget_room(const struct km_grpc_budget *budget,
                           size_t wire_bytes, size_t message_bytes_max)
{
    KM_ASSERT(budget->full_at >= budget->now);
    uint64_t paid = paid_bytes(wire_bytes);
    bool is_left = budget->full_at - budget->now < BURST_NS;
    return is_left || paid > message_bytes_max ? message_bytes_max
                                               : (size_t)paid;
}

void km_grpc_budget_charge(struct km_grpc_budget *budget, size_t wire_bytes,
                           size_t decoded_bytes)
{
    uint64_t paid = paid_bytes(wire_bytes);
    if (decoded_bytes <= paid) {
        return;
    }
    uint64_t taken = decoded_bytes - paid;
    KM_ASSERT(taken < UINT64_MAX / 2 / KM_NS_PER_S);
    budget->full_at += (taken * KM_NS_PER_S + BYTES_PER_S - 1) / BYTES_PER_S;
}
