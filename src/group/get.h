/* SPDX-License-Identifier: MIT */
/* A get that blocks, for kama_mget, which takes its keys in turn without a pool. */
#pragma once

#include <kamacache/kamacache.h>

struct km_call_limits;

/* kama_get of a key that memory did not have, with limits that have begun. */
kama_status km_group_get_miss(kama_group *group, kama_bytes key, uint64_t hash,
                              const struct km_call_limits *limits,
                              kama_value **ret_value);
