/* SPDX-License-Identifier: MIT */
#include "node/cluster_life.h"

#include "sync/log.h"

void km_cluster_life_kept(struct km_cluster_life *life, uint64_t wall_ms,
                          km_ns age)
{
    struct km_sync_log_state state;
    km_sync_log_get(life->log, &state);
    life->next_ms = wall_ms - age / KM_NS_PER_MS;
    life->next_hlc = state.hlc;
    if (!life->lost) {
        km_cluster_life_begin(life);
    }
}

void km_cluster_life_begin(struct km_cluster_life *life)
{
    life->kept_ms = life->next_ms;
    life->kept_hlc = life->next_hlc;
    life->lost = false;
}

void km_cluster_life_lose(struct km_cluster_life *life)
{
    life->lost = true;
}

/* Returns whether something may have been mutated after the others have given this node
 * up. That may have been at any time since the registry has heard of it last: a lease
 * that is lost has perhaps not expired, but was revoked. The clock of the newest mutation
 * is never behind the wall clock of its moment, unless the wall clock was set back; then
 * it is above that of the log when the answer came. */
static bool has_originated(const struct km_cluster_life *life,
                           const struct km_sync_log_state *state)
{
    return state->seq != 0 && (state->newest > life->kept_hlc ||
                               km_hlc_ms(state->newest) >= life->kept_ms);
}

void km_cluster_life_renew(struct km_sync_log *log, uint64_t origin,
                           const struct km_member_goodbye *prev)
{
    struct km_sync_log_state state;
    struct km_sync_log_state old;
    uint64_t seq = prev->originated ? 1 : 0;
    km_sync_log_get(log, &state);
    if (!km_member_id_is_none(&prev->id) && state.seq != prev->final_seq) {
        seq++;
    }
    km_sync_log_renew(log, origin, seq, &old);
    if (old.seq != state.seq) { /* in between */
        km_sync_log_renew(log, origin, prev->originated ? 2 : 1, &old);
    }
}

void km_cluster_life_end(struct km_cluster_life *life,
                         struct km_member_goodbye *prev)
{
    struct km_sync_log_state state;
    km_sync_log_get(life->log, &state);
    prev->final_seq = state.seq;
    prev->clock = state.newest;
    prev->originated = has_originated(life, &state);
    life->prev = *prev;
}
