/* SPDX-License-Identifier: MIT */
/*
 * What a doctor finds in the streams of mutations between a member and another one, as
 * the first of them shows them.
 *
 *     const struct cli_pair pair = {"10.0.0.1:8001", "10.0.0.2:8001"};
 *     cli_compare_stream(&pair, &node, &member, &findings);
 *
 * Threads: the main thread. Cost: none worth naming. Errors: none. Ownership: everything
 * is borrowed; the findings copy their texts.
 */
#pragma once

#include "findings.h"

#include "wire/msg/msg.h"

/* node: the first one about itself; member: the second one, in the answer of the first. */
void cli_compare_stream(const struct cli_pair *pair,
                        const struct km_msg_node_response *node,
                        const struct km_msg_member *member,
                        struct cli_findings *findings);
