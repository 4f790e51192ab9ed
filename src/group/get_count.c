/* SPDX-License-Identifier: MIT */
#include "group/get_count.h"

#include "group/load/load.h"

/* The rows have the order of the reasons. */
#define MISS_ROW(name)                                                         \
    _Static_assert(KM_GROUP_MISSES_##name - KM_GROUP_MISSES_ABSENT ==          \
                       (int)KM_MISS_##name,                                    \
                   "the reasons of misses have another order in counters.h");
MISS_ROW(ABSENT)
MISS_ROW(EXPIRED)
MISS_ROW(EVICTED)
MISS_ROW(DELETED)
#undef MISS_ROW

void km_get_count_miss(kama_group *group, enum km_miss why)
{
    km_group_count(group, KM_GROUP_MISSES_ABSENT + (enum km_group_metric)why);
}

void km_get_count_join(kama_group *group, enum km_get_count before,
                       enum km_miss why, enum km_flight_role role)
{
    if (before == KM_GET_COUNT_NONE) {
        km_get_count_miss(group, why);
    }
    if (role == KM_FLIGHT_PARKED && before != KM_GET_COUNT_COALESCED) {
        km_group_count(group, KM_GROUP_COALESCED);
    }
}

void km_get_count_asked(struct km_get_op *op, const struct km_load *load)
{
    if (atomic_load(&load->asks) != KM_LOAD_ASKS_PEER) {
        return;
    }
    if (op->stage == KM_GET_OP_FOLLOWING && op->asked == KM_GET_ASKED_NOBODY) {
        km_group_count(op->group, KM_GROUP_PEER_GETS);
    }
    op->asked = KM_GET_ASKED_PEER;
}

void km_get_count_earlier(struct km_get_op *op)
{
    if (op->asked == KM_GET_ASKED_NOBODY) {
        km_group_count(op->group, KM_GROUP_PEER_GETS);
        op->asked = KM_GET_ASKED_PEER;
    }
}

void km_get_count_end(struct km_get_op *op, enum km_group_metric ended_as)
{
    op->ended_as = ended_as;
    km_group_count(op->group, ended_as);
    if (op->asked == KM_GET_ASKED_PEER && ended_as != KM_GROUP_PEER_HITS) {
        km_group_count(op->group, KM_GROUP_PEER_ERRORS);
    }
}

void km_get_count_twin(kama_group *group, uint64_t hash)
{
    km_get_count_join(group, KM_GET_COUNT_NONE,
                      km_store_why(group->store, hash), KM_FLIGHT_PARKED);
}

void km_get_count_twin_end(struct km_get_op *op)
{
    if (op->asked == KM_GET_ASKED_PEER) {
        km_group_count(op->group, KM_GROUP_PEER_GETS);
    }
    km_get_count_end(op, op->ended_as);
}

void km_get_count_twin_answered(kama_group *group, enum km_get_source source)
{
    if (source == KM_GET_FROM_PEER) {
        km_group_count(group, KM_GROUP_PEER_GETS);
        km_group_count(group, KM_GROUP_PEER_HITS);
    } else {
        km_group_count(group, KM_GROUP_GETS_LOADED);
    }
}
