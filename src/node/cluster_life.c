/* SPDX-License-Identifier: MIT */
#include "node/cluster_life.h"

#include "sync/log.h"

void km_cluster_life_kept(struct km_cluster_life *life, uint64_t wall_ms,
                          int64_t ttl_ms, km_ns age)
{
    life->next_ends_ms = wall_ms - age / KM_NS_PER_MS + (uint64_t)ttl_ms;
    if (!life->lost) {
        km_cluster_life_begin(life);
    }
}

void km_cluster_life_begin(struct km_cluster_life *life)
{
    life->lease_ends_ms = life->next_ends_ms;
    life->doubtful = false;
    life->lost = false;
    life->unsure = false;
}

void km_cluster_life_doubt(struct km_cluster_life *life, bool lost)
{
    struct km_sync_log_state state;
    life->unsure |= lost && !life->doubtful;
    life->lost |= lost;
    if (!life->doubtful) {
        km_sync_log_get(life->log, &state);
        life->doubtful = true;
        life->doubtful_seq = state.seq;
    }
}

/* Returns whether something may have been mutated after the others have given this node
 * up. A process that stood still notices late that the lease is in doubt, so the clock of
 * the newest mutation decides as well: it is never behind the wall clock of that
 * moment. */
static bool has_originated(const struct km_cluster_life *life,
                           const struct km_sync_log_state *state)
{
    return state->seq != 0 && (life->unsure || !life->doubtful ||
                               state->seq != life->doubtful_seq ||
                               state->newest >> 16 >= life->lease_ends_ms);
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
