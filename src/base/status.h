/* SPDX-License-Identifier: MIT */
/*
 * Statuses and their sentences.
 *
 * Every function that can fail returns a kama_status. The public table
 * KAMA_STATUS_MAP gives each status its name, its gRPC and HTTP codes and a
 * general text; km_fail adds the sentence about the particular error, which the
 * calling thread keeps until its next one.
 *
 *     if (n > max) {
 *         return km_fail(KAMA_ERR_TOO_LARGE, "%zu bytes; at most %zu", n, max);
 *     }
 *
 * A function that hands on the status of another one hands on its sentence too.
 * To add a name, it fails again with the old sentence as an argument:
 *
 *     return km_fail(status, "group %s: %s", name, km_last_error());
 *
 * Cost: a failure formats at most 1 KiB; success costs nothing. Threads: any;
 * each thread has a sentence of its own. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdarg.h>
#include <stdbool.h>

/* The codes of gRPC are 0 to 16. */
#define KM_STATUS_GRPC_CODES 17

/* Return the gRPC and the HTTP code of a status. A number that is no status
 * gives INTERNAL and 500. */
int km_status_grpc(kama_status status);
int km_status_http(kama_status status);

/* Returns the name of a code of gRPC, "OK", "Canceled", ..., as the servers of Go and
 * Java show it in metrics. */
const char *km_status_grpc_name(unsigned code);

/* Returns whether the status is a success on the wire: KAMA_OK, or an outcome
 * such as KAMA_UNSYNCED that has the gRPC code 0 and comes with an answer. */
bool km_status_is_success(kama_status status);

/* Finds the status by its name ("KAMA_ERR_TIMEOUT"). Returns false if there is
 * none. */
bool km_status_from_name(kama_bytes name, kama_status *ret_status);

/* Returns the status that is nearest to a gRPC code (0..16), for a peer that
 * does not send kama-status. */
kama_status km_status_from_grpc(int code);

/* Returns whether the status is an error of the connection to a node, rather
 * than an answer of the node. */
static inline bool km_status_is_connection(kama_status status)
{
    return (int)status <= -100;
}

/* Keeps the sentence as this thread's last error and returns status. The
 * sentence is one line of well-formed UTF-8, whatever the arguments hold:
 * characters that must not reach a terminal are escaped, and at most 255 bytes
 * are kept, cut at a character (km_text_printf). */
kama_status km_fail(kama_status status, const char *fmt, ...) KAMA_PRINTF(2, 3);

/* Returns the sentence, or "" if there is none. It is valid until this thread
 * fails again. */
const char *km_last_error(void);
/* Forgets the sentence. */
void km_last_error_clear(void);
