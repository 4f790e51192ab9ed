/* SPDX-License-Identifier: MIT */
/*
 * A node that stops and has said so stays for a moment, in which the new owners of its
 * keys ask for what it has in memory (R9):
 *
 *     the others have adopted the view without it
 *      |<---------------- 1 s at least --------------->|
 *           peek     peek               peek           |  ... 0.5 s after the last peek
 *
 * So a rolling restart hits the loaders hardly more often than no restart. The clients
 * are drained already; the peers' calls are still answered.
 *
 * Threads: the thread that stops the node; it waits. Errors: none. Ownership: none.
 * Cost: a second of the stop, if the node has other members and a synchronized group.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>

/* Waits until nobody asks for the values of this node any more, at most until the
 * deadline. left_at: when the others had adopted the view without it. */
void km_node_linger(kama_node *node, km_ns left_at, km_ns deadline);
