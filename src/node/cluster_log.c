/* SPDX-License-Identifier: MIT */
#include "node/cluster_log.h"

#include "sync/log.h"

/* Returns how long ago a moment of the monotonic clock was. */
static km_ns age_of(const struct km_clock *clock, km_ns time)
{
    km_ns now = km_clock_mono(clock);
    return now > time ? now - time : 0;
}

void km_cluster_log_show(struct km_sync_log *log, const struct km_clock *clock,
                         struct km_cluster_log *ret_log)
{
    struct km_sync_log_state state;
    *ret_log = (struct km_cluster_log){.exists = log != NULL};
    if (log == NULL) {
        return;
    }
    km_sync_log_get(log, &state);
    km_ns oldest = km_sync_log_time_of(log, state.oldest);
    ret_log->seq = state.seq;
    ret_log->entries = state.seq + 1 - state.oldest;
    ret_log->bytes = state.bytes;
    ret_log->oldest_ns = oldest != 0 ? age_of(clock, oldest) : 0;
}

static const char *name_of(enum km_sync_kind kind)
{
    switch (kind) {
    case KM_SYNC_SET:
        return "set";
    case KM_SYNC_DROP:
        return "drop";
    case KM_SYNC_DELETE:
        return "delete";
    case KM_SYNC_EXPIRE:
        return "touch";
    case KM_SYNC_CLEAR:
        break;
    }
    return "clear";
}

void km_cluster_log_find(struct km_sync_log *log, const struct km_clock *clock,
                         const char *group, kama_bytes key,
                         struct km_cluster_record *ret_record)
{
    struct km_sync_found found;
    *ret_record = (struct km_cluster_record){.operation = ""};
    if (log == NULL || !km_sync_log_find(log, group, key, &found)) {
        return;
    }
    ret_record->operation = "none";
    if (found.seq > 0) {
        *ret_record =
            (struct km_cluster_record){.operation = name_of(found.kind),
                                       .seq = found.seq,
                                       .version = found.version,
                                       .age_ns = age_of(clock, found.time)};
    }
}
