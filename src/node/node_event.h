/* SPDX-License-Identifier: MIT */
/*
 * The events of a node: the event function of the node's options receives each of
 * them as a kama_node_event. kamacached writes them to its
 * log.
 *
 *     km_node_emit_event(node, KM_NODE_INFO, "listen", "listening on %s", a);
 *
 * An event below the level that the application asked for is dropped here. The
 * event function belongs to the application: it is called without a lock, and
 * through the frames of base/boundary.h, which no exception and no ending
 * thread can pass.
 *
 * Cost: an event that nobody asked for costs one comparison, and the formatting
 * of its message.
 * Threads: any thread; the event function must be ready for several at a time.
 * Errors: none.
 * Ownership: everything is borrowed until the function returns.
 */
#pragma once

#include <kamacache/kamacache.h>

/* The levels of events, as kama_node_options.event_level has them. */
enum km_node_level { KM_NODE_DEBUG, KM_NODE_INFO, KM_NODE_WARN, KM_NODE_ERROR };

/* Calls the event function of the node with the event, if there is a function
 * and the level is not too low. The caller holds no lock. */
void km_node_tell(const kama_node *node, const kama_node_event *event);

/* Tells an event about the node itself. name: static, one word. The message is
 * cut at KM_ERROR_BYTES_MAX bytes. */
void km_node_emit_event(const kama_node *node, enum km_node_level level,
                        const char *name, const char *fmt, ...)
    KAMA_PRINTF(4, 5);

/* Tells an event about a member of the cluster. address: NULL if it is about
 * none; count: the number that kama_node_event explains. */
void km_node_tell_member(const kama_node *node, enum km_node_level level,
                         const char *name, const char *address, uint64_t count,
                         const char *fmt, ...) KAMA_PRINTF(6, 7);
