/* SPDX-License-Identifier: MIT */
/*
 * Values that are being sent in chunks. Streams that send the same value share it:
 *
 *     pin = km_sync_pin_take(sync, seq, value);      NULL: the record is a Drop
 *     ... send the bytes of pin->value, part by part ...
 *     km_sync_pin_give(sync, pin);
 *
 * Together with the values that arrive in chunks they have KM_SYNC_LARGE_BYTES at most.
 *
 * Threads: the sync loop. Errors: NULL without memory, and when too much is pinned.
 * Ownership: a pin has a reference of its value. Cost: O(pins), which are few.
 */
#pragma once

#include "sync/sync_internal.h"

/* Returns the pin of the mutation with this seq. The value is borrowed. */
struct km_sync_pin *km_sync_pin_take(struct km_sync *sync, uint64_t seq,
                                     kama_value *value);
/* Gives a pin back. NULL does nothing. */
void km_sync_pin_give(struct km_sync *sync, struct km_sync_pin *pin);
