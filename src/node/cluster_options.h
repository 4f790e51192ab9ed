/* SPDX-License-Identifier: MIT */
/*
 * The part of a node's configuration that is about its cluster: where etcd is,
 * and how the node presents itself.
 *
 *     etcd "http://a:2379,b:2379"  -->  endpoints {"a:2379", "b:2379"}
 *     etcd_password_file "/f"      -->  etcd_password, the file's first line
 *     labels "zone-a,ssd"          -->  labels {"zone-a", "ssd"}
 *
 * Threads: any thread. Cost: init reads a file if there is a password.
 * Errors: those of kama_node_new, with a sentence that names the option.
 * Ownership: the configuration owns its texts.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* Texts that were one, separated by commas. */
struct km_node_texts {
    char *copy; /* the bytes of the items */
    const char **items;
    size_t count;
};

struct km_node_cluster_config {
    char *etcd; /* as it was given; NULL: the node is alone */
    struct km_node_texts endpoints; /* host:port, without a scheme */
    char *etcd_user;                /* NULL: none */
    char *etcd_password;            /* not NULL exactly if etcd_user is not */
    char *advertise;                /* NULL: the address it listens on */
    char *name;                     /* of the cluster */
    struct km_node_texts labels;
    uint32_t weight;
    bool require_discovery;
};

/* Checks the options and copies them. On an error there is nothing to be
 * freed. */
KAMA_NODISCARD kama_status km_node_cluster_config_init(
    const kama_node_options *options, struct km_node_cluster_config *ret_config,
    const kama_allocator *mem);

/* Frees the texts, and wipes the password. */
void km_node_cluster_config_fini(struct km_node_cluster_config *config,
                                 const kama_allocator *mem);
