/* SPDX-License-Identifier: MIT */
/*
 * Sentences for people about a get or a load of one key:
 *
 *     group users: the loader returned KAMA_OK without a value (key "tom")
 *
 * Each names the group and the key. The key may hold any bytes: it is quoted,
 * and both are shortened with "..." so that the rest of the sentence has room.
 *
 * Thread-safety: any thread. Errors: none; what does not fit is cut.
 */
#pragma once

#include "base/limits.h"
#include "group/group_internal.h"

/* Writes the sentence whose middle part is fmt, without a final full stop. */
void km_group_sentence(const kama_group *group, kama_bytes key,
                       char ret_sentence[KM_ERROR_BYTES_MAX], const char *fmt,
                       ...) KAMA_PRINTF(4, 5);

/* The same with more room, for an event that repeats a loader's sentence. */
void km_group_event_sentence(const kama_group *group, kama_bytes key,
                             char ret_sentence[KM_EVENT_BYTES_MAX],
                             const char *fmt, ...) KAMA_PRINTF(4, 5);

/* Keeps that sentence as the calling thread's last error; returns status. */
kama_status km_group_fail_key(const kama_group *group, kama_status status,
                              kama_bytes key, const char *fmt, ...)
    KAMA_PRINTF(4, 5);

/* km_group_fail_key for a get that could not join a flight: says why in words
 * of its own for each status that km_flight_join answers. */
kama_status km_group_fail_join(const kama_group *group, kama_status status,
                               kama_bytes key);
