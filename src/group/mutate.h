/* SPDX-License-Identifier: MIT */
/*
 * Mutations whose calling thread waits for the answer (mutate_op.h), for the files
 * of this folder.
 * Threads: any thread. Errors: as the mutation. Ownership: everything is borrowed.
 */
#pragma once

#include "group/mutate_op.h"

/* Carries out one mutation and returns its answer. */
KAMA_NODISCARD kama_status km_group_mutate(kama_group *group,
                                           struct km_mutate_order *order);

/* Reads the options of a set into an order. The context is borrowed from the
 * options. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_group_read_set_options(
    const kama_set_options *options, struct km_mutate_order *order);
