/* SPDX-License-Identifier: MIT */
/*
 * The clocks, timers and random bits that membership gets on the control loop.
 *
 * Threads: the loop's. Errors: none. Ownership: the loop is borrowed.
 */
#pragma once

#include "membership/membership.h"

struct km_loop;

struct km_membership_env km_cluster_env_of(struct km_loop *loop);
