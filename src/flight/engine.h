/* SPDX-License-Identifier: MIT */
/*
 * The engine behind kamacache/flight.h, for tests that need to see it fail: its
 * memory comes from a given allocator.
 */
#pragma once

#include "base/mem.h"

struct kama_flight_type;
struct kama_flight_engine;

/* As kama_flight_engine_new, with memory from mem, which is borrowed until the
 * engine is freed. */
KAMA_NODISCARD kama_status km_flight_engine_new(
    const struct kama_flight_type *type, const kama_allocator *mem,
    struct kama_flight_engine **ret_engine);
