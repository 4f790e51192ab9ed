/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Doctor: the faults that a node finds about itself, and the facts
 * for comparing it with the others: its clock, its view, its groups, its limits.
 *
 *     facts --km_doctor_check--> findings (services/finding.h), in their order
 *
 * The checks are a pure function of the facts.
 *
 * Threads: the method: loop thread; km_doctor_check: any thread. Errors: those of
 * a call. Ownership: everything is borrowed. Cost: O(members + groups), and a few
 * small files of the kernel (base/host.h).
 */
#pragma once

#include "base/host.h"
#include "services/cluster.h"
#include "services/finding.h"

struct km_server_call;

struct km_doctor_facts {
    const struct km_cluster_node *node;
    struct km_cluster_registry registry;
    struct km_host host;
    uint64_t connections_max;  /* 0: no limit */
    uint64_t groups_max_bytes; /* the sum of max_bytes */
};

/* Is told each finding; text: borrowed until return. */
typedef void (*km_doctor_found_fn)(void *arg, enum km_finding finding,
                                   enum km_severity severity, const char *text);

/* Makes the checks that a node can make of itself. */
void km_doctor_check(const struct km_doctor_facts *facts,
                     km_doctor_found_fn found, void *arg);

/* on_message; message: borrowed until return. The state is that of Stats. */
void km_service_v2_doctor(struct km_server_call *call, kama_bytes message);
/* on_writable: answers as soon as there is room for a large answer. */
void km_service_doctor_writable(struct km_server_call *call);
