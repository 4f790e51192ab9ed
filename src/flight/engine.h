/* SPDX-License-Identifier: MIT */
/*
 * The engine behind kamacache/flight.h, with an allocator of the caller's choice.
 * Tests use it to let every allocation fail:
 *
 *     kama_flight_engine *engine;
 *     status = km_flight_engine_new(&type, &probe.allocator, &engine);
 *     ...
 *     kama_flight_engine_free(engine);
 *
 * Cost, threads, errors and ownership are those of kama_flight_engine_new.
 */
#pragma once

#include "base/mem.h"

struct kama_flight_type;
struct kama_flight_engine;

/* Makes an engine as kama_flight_engine_new does, with memory from mem, which is
 * borrowed until the engine is freed. Errors: KAMA_ERR_INVALID for a wrong type,
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_flight_engine_new(
    const struct kama_flight_type *type, const kama_allocator *mem,
    struct kama_flight_engine **ret_engine);
