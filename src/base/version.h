/* SPDX-License-Identifier: MIT */
/*
 * Versions of values that applications have set, in a cluster whose nodes apply each
 * other's mutations.
 *
 *     struct km_version a = {.hlc = 7, .origin = 1};
 *     struct km_version b = {.hlc = 7, .origin = 2};
 *     if (km_version_compare(a, b) < 0) { ... b replaces a on every node }
 *
 * `hlc` is a hybrid logical clock: 48 bits of milliseconds, and 16 bits that count
 * within one. `origin` is the node that made the version: the first 8 bytes of its id,
 * read as a big-endian number. No two mutations have the same version, and all nodes
 * compare them alike, so that they agree on the mutation that wins.
 *
 * The number 0 in both members is no version. It is smaller than every other one.
 *
 * A version is not the `version` of a loader, which is a number of the data's origin.
 *
 * Cost: 16 bytes. Threads: any; pure functions. Errors: none. Ownership: plain data.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KM_VERSION_BYTES 16u
#define KM_VERSION_COUNTER_BITS 16u

struct km_version {
    uint64_t hlc;
    uint64_t origin;
};

/* Returns a number below, equal to or above 0: the clock decides, and the origin
 * between equal clocks. */
static inline int km_version_compare(struct km_version a, struct km_version b)
{
    if (a.hlc != b.hlc) {
        return a.hlc < b.hlc ? -1 : 1;
    }
    return (a.origin > b.origin) - (a.origin < b.origin);
}

/* Returns whether v is a version at all. */
static inline bool km_version_is_set(struct km_version v)
{
    return (v.hlc | v.origin) != 0;
}

/* Returns the milliseconds since 1970 of a hybrid logical clock. */
static inline uint64_t km_hlc_ms(uint64_t hlc)
{
    return hlc >> KM_VERSION_COUNTER_BITS;
}

/* Returns the smallest hybrid logical clock of such a millisecond. */
static inline uint64_t km_hlc_of_ms(uint64_t ms)
{
    return ms << KM_VERSION_COUNTER_BITS;
}

/* Returns whether a hybrid logical clock is more than max_ms ahead of a wall clock. */
static inline bool km_hlc_is_ahead(uint64_t hlc, uint64_t wall_ms,
                                   uint64_t max_ms)
{
    return km_hlc_ms(hlc) > wall_ms + max_ms;
}

/* Writes the version as 16 bytes, which memcmp orders as km_version_compare does. */
static inline void km_version_write(struct km_version v,
                                    uint8_t ret_bytes[KM_VERSION_BYTES])
{
    for (unsigned i = 0; i < 8; i++) {
        ret_bytes[i] = (uint8_t)(v.hlc >> (56 - 8 * i));
        ret_bytes[8 + i] = (uint8_t)(v.origin >> (56 - 8 * i));
    }
}
