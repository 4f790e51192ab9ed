/* SPDX-License-Identifier: MIT */
/*
 * The comparison of the members of a cluster, each of which has answered Doctor or
 * has not. It only looks at answers, so that it needs neither a network nor a
 * clock.
 *
 *     cli_compare(members, count, &findings);
 *
 * Threads: the main thread. Cost: O(members^2). Errors: none. Ownership: everything
 * is borrowed; the findings copy their texts.
 */
#pragma once

#include "findings.h"

#include "wire/msg/diagnose.h"

/* A member and its answer. */
struct cli_patient {
    const char *address; /* that it advertises */
    kama_bytes id;       /* by which the asked node knows it; empty: unknown */
    kama_status status;  /* of its answer */
    const char *text;    /* about an error, or "" */
    uint64_t begin_ms;   /* of the clock here: the answer was made between */
    uint64_t end_ms;     /* these two */
    struct km_msg_doctor_response answer; /* with KAMA_OK */
    bool is_other; /* another node has answered: written by cli_compare */
};

void cli_compare(struct cli_patient *patients, size_t count,
                 struct cli_findings *findings);
