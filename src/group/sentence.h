/* SPDX-License-Identifier: MIT */
/*
 * Sentences for people about a get or a load of one key:
 *
 *     group users: the loader returned KAMA_OK without a value (key "tom")
 *
 * Each sentence names the group and the key. The key may hold any bytes, so that
 * it is quoted; the name and the key are shortened with "..." if the rest of the
 * sentence would have no room.
 *
 * Cost: one formatting on the stack, no allocation. Threads: any thread. Errors:
 * none; a sentence that does not fit is cut. Ownership: sentences are written into
 * the caller's memory.
 */
#pragma once

#include "base/limits.h"
#include "group/group_internal.h"

/* Writes the sentence whose middle part is fmt. It has no full stop at its end. */
void km_group_sentence(const kama_group *group, kama_bytes key,
                       char ret_sentence[KM_ERROR_BYTES_MAX], const char *fmt,
                       ...) KAMA_PRINTF(4, 5);

/* Writes such a sentence with more room, for an event that repeats the sentence of
 * a loader. */
void km_group_event_sentence(const kama_group *group, kama_bytes key,
                             char ret_sentence[KM_EVENT_BYTES_MAX],
                             const char *fmt, ...) KAMA_PRINTF(4, 5);

/* Makes such a sentence the calling thread's last error. Returns status. */
kama_status km_group_fail_key(const kama_group *group, kama_status status,
                              kama_bytes key, const char *fmt, ...)
    KAMA_PRINTF(4, 5);

/* Fails a get that could not join a flight, with a sentence for each status that
 * km_flight_join answers. Returns status. */
kama_status km_group_fail_join(const kama_group *group, kama_status status,
                               kama_bytes key);
