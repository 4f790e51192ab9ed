/* SPDX-License-Identifier: MIT */
/* What registry.c (data) and registry_client.c (requests) share. */
#pragma once

#include "sim/registry.h"

/* Writes a key in the present revision, which the caller has counted up. */
void sim_put(struct sim_registry *registry, const char *key, kama_bytes value,
             int64_t lease);
/* Deletes a key in the present revision, if it is there. */
void sim_remove(struct sim_registry *registry, const char *key);
/* Returns a lease, or NULL. */
struct sim_lease *sim_find_lease(struct sim_registry *registry, int64_t id);
/* Sends the new changes to all watches. */
void sim_tell_all(struct sim_registry *registry);
