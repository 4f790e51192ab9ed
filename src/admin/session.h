/* SPDX-License-Identifier: MIT */
/*
 * One connection of the admin port: HTTP/1.1 as a session (base/session.h),
 * without a descriptor, a thread or a clock.
 *
 *     IDLE --first byte--> READING --complete--> ANSWERING --all read--> IDLE
 *      |                      |  |                   ^  |
 *      |                      |  +-> WAITING -later--+  |
 *      |                      |                         |
 *      | 30 s                 | refused, 5 s            | the last answer
 *      v                      v                         v
 *     ENDED <---------- ANSWERING (the last one) --> ENDED
 *
 * One request is answered at a time. Requests that a client sends before it has
 * the answer stay in the socket, or, if they came in the same bytes, are dropped:
 * the answer says that it is the last one, so that the client sends them again on
 * another connection.
 *
 * Threads: the loop's. Errors: KAMA_ERR_TIMEOUT from tick when a client was idle, or
 * does not read its answer. Ownership: as base/session.h says.
 * Cost: 12 KiB, and the answer until it was read.
 */
#pragma once

#include "admin/reply.h"
#include "admin/request.h"
#include "base/session.h"

/* The functions of the owner of the sessions. */
struct km_admin_handler {
    /* Writes the answer to a request that is complete. */
    void (*answer)(void *arg, const struct km_admin_request *request,
                   struct km_admin_reply *reply);
    /* An answer of that many bytes begins to wait for its client, or has ended.
     * Returns false if too much waits already; then the client gets an error
     * instead. */
    bool (*hold)(void *arg, size_t bytes);
    void (*release)(void *arg, size_t bytes);
    void *arg;
};

/* Returns when the session has begun to wait for a request, or KM_NS_NEVER if it is
 * busy with one. */
km_ns km_admin_session_idle_since(struct km_session *session);

/* The work of a later (later.h) is done: finishes the answer for which the session
 * waits, which can be taken from then on. */
void km_admin_session_finish(struct km_session *session, km_ns now);

/* Makes the session of a connection that was accepted at `now`. handler: borrowed
 * until the session is closed. Returns NULL without memory. */
struct km_session *km_admin_session_new(const kama_allocator *mem,
                                        const struct km_admin_handler *handler,
                                        km_ns now);
