/* SPDX-License-Identifier: MIT */
/*
 * The list of etcd's endpoints, as a person writes it.
 *
 *     "http://10.0.0.1:2379,10.0.0.2:2379"
 *          -> "10.0.0.1:2379", "10.0.0.2:2379"
 *
 * Threads: any; nothing is shared. Ownership: the list owns its texts. Errors:
 * KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED (https) with a sentence that names the
 * endpoint. Cost: O(length); one allocation.
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>

struct km_etcd_endpoints {
    const kama_allocator *mem;
    char *texts; /* "host:port" and NUL, one behind the other */
    const char *at[KM_ETCD_ENDPOINTS_MAX];
    unsigned count;
};

/* Reads a list whose elements are separated by commas; spaces around an element
 * are ignored. On success the list has at least one endpoint. */
KAMA_NODISCARD kama_status
km_etcd_endpoints_init(struct km_etcd_endpoints *endpoints,
                       const kama_allocator *mem, const char *text);
/* Frees the texts and zeroes the structure. */
void km_etcd_endpoints_fini(struct km_etcd_endpoints *endpoints);
