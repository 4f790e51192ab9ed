/* SPDX-License-Identifier: MIT */
/*
 * A limit for the work that compressed messages cause.
 *
 * 4 KB of deflate can decode to 4 MB. A client that sends such messages would
 * spend hardly anything and keep a loop busy with zlib, while the other
 * clients of the loop wait. So the bytes that a message decodes to are paid
 * for:
 *
 *     decoded bytes   |-- paid by the wire --|-- taken from the budget --|
 *                     0          KM_GRPC_DECODED_PER_BYTE x wire         n
 *
 * Ordinary data compresses less than that and never touches the budget. The
 * budget refills as time passes, so that a client which now and then sends a
 * very compressible message is served.
 *
 *     budget    a message may decode to
 *     > 0       the largest message; the budget may get into debt by that
 *     <= 0      the bytes that the wire has paid for
 *
 * A message that has begun with a budget is thus never stopped for the lack of
 * it: its size is not known before it is decoded, and the work for a message
 * that is stopped half-way is lost.
 *
 *     km_grpc_budget_fill(&budget, now);                    once in a turn
 *     max = km_grpc_budget_room(&budget, wire_bytes, message_bytes_max);
 *     ... decode at most max bytes ...
 *     km_grpc_budget_charge(&budget, wire_bytes, decoded_bytes);
 *
 * The budget is kept as the time at which it would be full again (GCRA), so
 * that nothing is lost by rounding when it is filled often.
 *
 * Cost: O(1). Threads: one owner. Time: the caller's. Errors: none.
 * Ownership: the caller's memory, in which zeroes are a full budget.
 */
#pragma once

#include "base/clock.h"

#include <stddef.h>

struct km_grpc_budget {
    km_ns now;     /* when it was filled last */
    km_ns full_at; /* when it will be full again */
};

/* Lets the time pass until `now`, which must not run backwards. */
void km_grpc_budget_fill(struct km_grpc_budget *budget, km_ns now);

/* Returns to how many bytes a message of wire_bytes may decode: at most
 * message_bytes_max, and without budget no more than the wire has paid for. */
size_t km_grpc_budget_room(const struct km_grpc_budget *budget,
                           size_t wire_bytes, size_t message_bytes_max);

/* Takes from the budget what the wire has not paid for. */
void km_grpc_budget_charge(struct km_grpc_budget *budget, size_t wire_bytes,
                           size_t decoded_bytes);
