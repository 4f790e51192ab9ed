/* SPDX-License-Identifier: MIT */
/*
 * The miss of a get that blocks. kama_get and kama_get_copy use it, and so does
 * kama_mget in a group without a pool, where it takes its keys in turn.
 *
 *     km_call_limits_begin(group, &limits);
 *     status = km_group_get_miss(group, key, &missed, &limits, &value);
 *
 * Cost: a mutex and a condition on the stack, and a load if the key has none.
 * Threads: any thread. A thread of the group's pool is refused, because it could
 * wait for itself. Errors: those of kama_get, with a sentence as the thread's last
 * error. Ownership: the key is borrowed until the call returns, and the caller
 * gets a reference to the value.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_call_limits;
struct km_missed;

/* Loads a key that was not found in memory, or waits for the load that another
 * caller has started, within limits that have begun. */
kama_status km_group_get_miss(kama_group *group, kama_bytes key,
                              const struct km_missed *missed,
                              const struct km_call_limits *limits,
                              kama_value **ret_value);
