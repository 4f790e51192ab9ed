/* SPDX-License-Identifier: MIT */
/*
 * The line of the log that says what a node has become at its start:
 *
 *     summary_log(node);
 *
 *     level=info component=kamacached msg=summary listen=127.0.0.1:8001 ...
 *
 * Its fields have the names and the values that `kamacache-cli node` shows, so
 * that a program can compare the two.
 *
 * Threads: any thread, also the one on which the node tells an event. Cost: that
 * of kama_node_describe, and of a line. Errors: none. Ownership: the node is
 * borrowed.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Logs the node as it is now. */
void summary_log(kama_node *node);
