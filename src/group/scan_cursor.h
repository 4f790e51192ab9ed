/* SPDX-License-Identifier: MIT */
/*
 * A cursor of a scan, as clients get it: the place in the group, and the instance
 * of the group, by which a cursor of another group or from before a restart is
 * recognised.
 *
 *     km_scan_cursor_write(group, place, bytes);
 *     status = km_scan_cursor_read(group, bytes, &place);
 *
 * Threads: any thread. Cost: O(1). Ownership: nothing is allocated.
 * Errors: KAMA_ERR_INVALID, with a sentence that says what to do.
 */
#pragma once

#include <kamacache/kamacache.h>

#define KM_SCAN_CURSOR_BYTES 16

/* Writes the cursor of a place, which is the one of kama_scan and not 0. */
void km_scan_cursor_write(const kama_group *group, uint64_t place,
                          uint8_t ret_bytes[KM_SCAN_CURSOR_BYTES]);

/* Reads a cursor. No bytes mean the beginning of the group: the place 0. */
KAMA_NODISCARD kama_status km_scan_cursor_read(const kama_group *group,
                                               kama_bytes bytes,
                                               uint64_t *ret_place);
