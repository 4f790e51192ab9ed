/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a node, made from kama_node_options.
 *
 * The options belong to the application: they may be of an older or a newer
 * version of the library, leave members at 0 that then depend on the machine,
 * and hold texts that are gone when kama_node_new has returned. A
 * km_node_config is checked, complete and a copy:
 *
 *     kama_node_options --km_node_config_init--> km_node_config
 *       threads 0                                 threads 8      one per core
 *       max_connections 0                         10000, or fewer if the
 *                                                 descriptors do not suffice
 *
 * Threads: any thread.
 * Errors: those of kama_node_new, with a sentence that names the option.
 * Ownership: the config owns its texts.
 */
#pragma once

#include "node/cluster_options.h"

struct km_node_config {
    char *listen;
    char *service;
    struct km_node_cluster_config cluster;
    unsigned threads;
    unsigned max_connections;
    int64_t start_timeout_ms;
    int64_t drain_timeout_ms;
    void (*event)(void *arg, const kama_node_event *event); /* or NULL */
    void *event_arg;
    int event_level; /* an enum km_node_level */
};

/* Checks the options and copies them; NULL is refused. ret_mem: the allocator
 * of the node, with which the texts were allocated. */
KAMA_NODISCARD kama_status
km_node_config_init(const kama_node_options *options,
                    struct km_node_config *ret_config, kama_allocator *ret_mem);

/* Frees the texts. mem: the allocator that init has written. */
void km_node_config_fini(struct km_node_config *config,
                         const kama_allocator *mem);
