/* SPDX-License-Identifier: MIT */
/*
 * The admin port of the daemon: its address is made from the settings, it listens
 * before the node starts, so that /readyz can be asked meanwhile, and closes
 * behind the end of the node.
 *
 *     admin_port_init(&port, options);        also with --check-config
 *     admin_port_open(&port, options, node);
 *     kama_node_start(node); ... kama_node_stop(node);
 *     admin_port_close(&port);
 *
 * Threads: the main thread. Cost: that of admin/admin.h. Ownership: the port
 * borrows the options and the node until close.
 * Errors: sentences that name the flag or the variable.
 */
#pragma once

#include "options.h"

#include "admin/address.h"
#include "admin/admin.h"

struct admin_port {
    char address[KM_ADMIN_ADDRESS_BYTES]; /* ""; there is no port */
    struct km_admin *admin;               /* NULL: not open */
};

/* Checks the settings and writes the address. */
KAMA_NODISCARD kama_status
admin_port_init(struct admin_port *port, const struct daemon_options *options);
/* Listens, and tells the node where, which it shows to the other members. */
KAMA_NODISCARD kama_status admin_port_open(struct admin_port *port,
                                           const struct daemon_options *options,
                                           kama_node *node);
/* Does nothing if the port is not open. */
void admin_port_close(struct admin_port *port);
