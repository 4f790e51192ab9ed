/* SPDX-License-Identifier: MIT */
/*
 * A line: the connection to one endpoint at a time.
 *
 *     endpoint 0 --failure--> endpoint 1 --failure--> ... --> endpoint 0
 *
 * Moving closes the channel, so that all calls on it end with KAMA_ERR_CANCELLED
 * and are made again on the new one. A channel that was never connected stays
 * if there is no other endpoint, because it knows when to try again.
 *
 * Threads: the loop. Ownership: the line owns its channel. Errors: where a
 * function returns them. Cost: O(1).
 */
#pragma once

#include "membership/etcd_internal.h"

/* Returns the channel of the line, and makes it if there is none. */
KAMA_NODISCARD kama_status km_etcd_line_channel(
    struct km_etcd_line *line, struct km_channel **ret_channel);
/* Returns the text of the current endpoint. */
const char *km_etcd_line_endpoint(const struct km_etcd_line *line);
/* Moves to the next endpoint, unless the line has moved since `generation`. */
void km_etcd_line_move(struct km_etcd_line *line, unsigned generation);
/* Returns how long to wait for an answer on the line. */
int64_t km_etcd_line_patience_ms(const struct km_etcd_line *line);
/* A call that was sent in a generation is answered. A connection that was kept
 * through an outage is reachable again. */
void km_etcd_line_answers(struct km_etcd_line *line, unsigned generation,
                          km_ns sent_at);
/* A call was not answered in time. */
void km_etcd_line_silent(struct km_etcd_line *line, unsigned generation);
/* Closes the channel. */
void km_etcd_line_close(struct km_etcd_line *line);
