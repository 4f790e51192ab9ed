/* SPDX-License-Identifier: MIT */
/*
 * The status table (KAMA_STATUS_MAP) seen from inside, and the sentence behind
 * the calling thread's last error.
 * Thread-safety: any thread; the sentence is the thread's own.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdarg.h>
#include <stdbool.h>

/* gRPC and HTTP codes of a status; INTERNAL and 500 for unknown numbers. */
int km_status_grpc(kama_status status);
int km_status_http(kama_status status);

/* The status of that name; false when there is none. */
bool km_status_from_name(kama_bytes name, kama_status *ret_status);

/* The nearest status for a gRPC code (0..16), for peers that send no
 * kama-status. */
kama_status km_status_from_grpc(int code);

/* Is it an error of the connection, or worse? */
static inline bool km_status_is_connection(kama_status status)
{
    return (int)status <= -100;
}

/* Keeps the sentence as this thread's last error and returns status:
 * `return km_fail(KAMA_ERR_INVALID, "ttl_ms: %d", x);`
 * The sentence is one line of well-formed UTF-8, whatever the arguments hold:
 * what must not reach a terminal is escaped, and at most 255 bytes are kept,
 * cut at a character (km_text_printf). */
kama_status km_fail(kama_status status, const char *fmt, ...) KAMA_PRINTF(2, 3);

/* The sentence itself, "" for none. Valid until this thread's next km_fail. */
const char *km_last_error(void);
/* Forgets the sentence. */
void km_last_error_clear(void);
