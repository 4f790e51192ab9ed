/* SPDX-License-Identifier: MIT */
/*
 * The function `survey` of the source of a node's cluster (services/cluster.h): it
 * hands the question to the peers (peers/survey.h). Before the start and after the
 * stop there is nobody to ask, and the survey ends at once.
 *
 * Threads: any thread. Errors: those of km_peers_survey. Ownership: the survey is
 * the caller's. Cost: a call for each member.
 */
#pragma once

#include "services/cluster.h"

/* cluster: a struct km_cluster. */
void km_node_survey(void *cluster, struct km_cluster_survey *survey);
