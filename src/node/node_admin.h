/* SPDX-License-Identifier: MIT */
/*
 * The node as the admin port of kamacached sees it.
 *
 *     km_node_admin_source(node, &source);
 *     km_admin_open(&options, &admin);          listens
 *     km_node_admin_advertise(node, address);   before kama_node_start
 *     kama_node_start(node); ... kama_node_stop(node);
 *     km_admin_close(admin);
 *     kama_node_free(node);
 *
 * Threads: the source may be asked by one more thread, also while the node starts
 * and stops. advertise is setup.
 * Errors: KAMA_ERR_NO_MEMORY. Ownership: the source borrows the node.
 */
#pragma once

#include "admin/source.h"

/* Writes the functions that show the node. */
void km_node_admin_source(kama_node *node, struct km_admin_source *ret_source);

/* Names the address of the admin port, which the members are shown. It is
 * copied. If it stands for all addresses of the machine, the members are shown the
 * host at which they reach the node. */
KAMA_NODISCARD kama_status km_node_admin_advertise(kama_node *node,
                                                   const char *address);
