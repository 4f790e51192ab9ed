/* SPDX-License-Identifier: MIT */
/*
 * The admin port of kamacached: HTTP/1.1 for people, probes and Prometheus, on a
 * loop and a thread of its own, so that it answers when all other loops are busy,
 * and the data port never waits for it. It changes nothing.
 *
 *     km_admin_open(&options, &admin);    listens; the node has not started yet
 *     address = km_admin_listens_at(admin);
 *     ...
 *     km_admin_close(admin);              behind the end of the node
 *
 *     accept --> connection --> session.h --> request.h: what is asked
 *                                   |             |
 *                                   |         route.h: who answers
 *                                   |             |
 *                                   +<-- reply.h -+-- source.h: the node
 *
 * At most KM_ADMIN_CONNECTIONS_MAX connections are open: another one takes the
 * place of the one that has been idle for longest, and is closed if all are busy.
 * Once a second, the port asks each loop of the node whether it turns.
 *
 * Threads: open and close are setup. Errors: those of km_listener_open,
 * KAMA_ERR_INVALID (a name of a host), KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS.
 * Ownership: the texts of the options are borrowed until close, and so is
 * everything that the source borrows. Cost: one thread, 64 KiB, and 12 KiB for each connection.
 */
#pragma once

#include "admin/source.h"

struct km_admin;

struct km_admin_options {
    const kama_allocator *mem;
    const struct km_clock *clock; /* NULL: the clock of the system */
    const char *address;          /* its port may be 0 */
    const char *const *hosts;     /* names that the header Host may have */
    size_t host_count;
    struct km_admin_source source;
};

/* Listens and answers. */
KAMA_NODISCARD kama_status km_admin_open(const struct km_admin_options *options,
                                         struct km_admin **ret_admin);
/* Returns the address with the port that it got. Valid until close. */
const char *km_admin_listens_at(const struct km_admin *admin);
/* Closes the port and all connections, and waits for the thread. Passing NULL does
 * nothing. */
void km_admin_close(struct km_admin *admin);
