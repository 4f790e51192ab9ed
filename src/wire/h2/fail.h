/* SPDX-License-Identifier: MIT */
/*
 * How a connection fails, and how both sides learn why.
 *
 * The first reason counts: km_h2_why and on_gone report it. The owner
 * is told the sentence of a passed limit by on_abuse, and the other side gets
 * the same sentence in a GOAWAY, so that both can look for the same cause.
 *
 * Threads: the loop's thread, inside feed, take or tick.
 */
#pragma once

#include "wire/h2/h2_impl.h"

/* The longest sentence about a limit. */
#define KM_H2_FAIL_TEXT_BYTES 160

/* Notes why the connection ends, unless it has a reason already, and returns
 * status. */
kama_status km_h2_fail(struct km_h2 *h2, enum km_h2_why why,
                       kama_status status);

/* Notes why the connection ends from a negative number that nghttp2's functions
 * for input or output returned, and returns the status for it. */
kama_status km_h2_fail_ng(struct km_h2 *h2, ssize_t error);

/* Returns the status for a number that one of nghttp2's submit functions
 * returned. This does not make the connection fail. */
kama_status km_h2_fail_status(int result);

/* Ends the connection with a GOAWAY that carries text. Returns the value with
 * which a callback tells nghttp2 to stop. */
int km_h2_fail_goaway(struct km_h2 *h2, enum km_h2_why why, uint32_t error_code,
                      const char *text);

/* Ends a connection that has passed a limit: text names the limit. Returns as
 * km_h2_fail_goaway. */
int km_h2_fail_abuse(struct km_h2 *h2, enum km_h2_abuse abuse,
                     const char *text);

/* The same for the limit of a kind of frames, whose sentence rate.c writes. */
int km_h2_fail_rate(struct km_h2 *h2, enum km_h2_rate kind);
