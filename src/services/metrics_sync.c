/* SPDX-License-Identifier: MIT */
/* A table says which figures are in which family, because a family is written at once
 * for all members. */
#include "services/metrics_sync.h"

#include "base/bytes.h"
#include "base/metric_text.h"
#include "base/text.h"
#include "group/metrics.h"
#include "services/metrics_peers.h"

#include <string.h>

/* The figures of the two streams of a member. */
enum figure {
    CONNECTED,
    UNSYNCED,
    QUARANTINED,
    DIFFERING,
    LAG_NS,
    QUEUE,
    ACKED,
    APPLIED,
    SENT,
    RECEIVED,
    DUPLICATES,
    BYTES_SENT,
    BYTES_RECEIVED,
    GAPS_SENT,
    GAPS_RECEIVED,
    IN_SYNC, /* from here on: whether that is the state of the member */
    LAGGING,
    UNSYNCED_STATE,
    GAPPED,
    DOWN,
    FIGURE_COUNT
};

static bool is_in(const struct km_cluster_stream *stream, const char *state)
{
    return strcmp(stream->sync_state, state) == 0;
}

static void read_figures(const struct km_cluster_stream *stream,
                         uint64_t figures[FIGURE_COUNT])
{
    figures[CONNECTED] = stream->up;
    figures[UNSYNCED] = stream->unsynced;
    figures[QUARANTINED] = stream->quarantined;
    figures[DIFFERING] = stream->differing;
    figures[LAG_NS] = stream->sync_lag_ns;
    figures[QUEUE] = stream->sync_queue;
    figures[ACKED] = stream->acked;
    figures[APPLIED] = stream->applied;
    figures[SENT] = stream->sent;
    figures[RECEIVED] = stream->received;
    figures[DUPLICATES] = stream->duplicates;
    figures[BYTES_SENT] = stream->bytes_sent;
    figures[BYTES_RECEIVED] = stream->bytes_received;
    figures[GAPS_SENT] = stream->gaps_sent;
    figures[GAPS_RECEIVED] = stream->gaps_received;
    figures[IN_SYNC] = is_in(stream, "in_sync");
    figures[LAGGING] = is_in(stream, "lagging");
    figures[UNSYNCED_STATE] = is_in(stream, "unsynced");
    figures[GAPPED] = is_in(stream, "gapped");
    figures[DOWN] = is_in(stream, "down");
}

/* A family has one sample for each member, or several that differ in a label. */
struct family {
    const char *name;
    enum km_metric_kind kind;
    const char *help;
    const char *label; /* NULL: one sample */
    struct {
        const char *value; /* of the label */
        enum figure figure;
    } samples[5];
    size_t count;
};

static const struct family families[] = {
    {"sync_peer_state",
     KM_METRIC_GAUGE,
     "1 for the state that the member is in as to the mutations of this node, "
     "and 0 for the others: in_sync, lagging (it has not acknowledged one "
     "that is older than 500 ms), unsynced (nor one that is older than "
     "sync_timeout), gapped (it is told that it has missed some for good), "
     "down (no stream stands, and nothing waits).",
     "state",
     {{"in_sync", IN_SYNC},
      {"lagging", LAGGING},
      {"unsynced", UNSYNCED_STATE},
      {"gapped", GAPPED},
      {"down", DOWN}},
     5},
    {"sync_connected",
     KM_METRIC_GAUGE,
     "1 if the mutations of this node flow to the member.",
     NULL,
     {{NULL, CONNECTED}},
     1},
    {"sync_unsynced",
     KM_METRIC_GAUGE,
     "1 if something has waited for longer than sync_timeout (2 s) for the "
     "member, which has acknowledged nothing.",
     NULL,
     {{NULL, UNSYNCED}},
     1},
    {"sync_quarantined",
     KM_METRIC_GAUGE,
     "1 if this node refuses the mutations of the member for a while, because "
     "the clock in them was more than 60 s ahead.",
     NULL,
     {{NULL, QUARANTINED}},
     1},
    {"sync_differing_groups",
     KM_METRIC_GAUGE,
     "Groups that have another strategy (option sync) on the member than on "
     "this node; the two tell each other only that keys of these have changed, "
     "or, if one of the strategies is owner or local, nothing.",
     NULL,
     {{NULL, DIFFERING}},
     1},
    {"sync_lag_seconds",
     KM_METRIC_GAUGE,
     "The age of the oldest mutation of this node that the member has not "
     "acknowledged; 0 if there is none.",
     NULL,
     {{NULL, LAG_NS}},
     1},
    {"sync_queue_entries",
     KM_METRIC_GAUGE,
     "Mutations of this node that the member has not acknowledged.",
     NULL,
     {{NULL, QUEUE}},
     1},
    {"sync_acked_seq",
     KM_METRIC_GAUGE,
     "The number of the newest mutation of this node that the member has "
     "acknowledged.",
     NULL,
     {{NULL, ACKED}},
     1},
    {"sync_applied_seq",
     KM_METRIC_GAUGE,
     "The number of the newest mutation of the member that is applied here.",
     NULL,
     {{NULL, APPLIED}},
     1},
    {"sync_mutations",
     KM_METRIC_COUNTER,
     "Mutations on the streams, by their result: sent (to the member), applied "
     "(from it, here), duplicate (they came a second time, and were refused).",
     "result",
     {{"sent", SENT}, {"applied", RECEIVED}, {"duplicate", DUPLICATES}},
     3},
    {"sync_bytes",
     KM_METRIC_COUNTER,
     "Bytes of messages on the streams, by the direction: sent (to the "
     "member), "
     "received (from it). They are mutations, heartbeats and answers, without "
     "what the connection adds.",
     "direction",
     {{"sent", BYTES_SENT}, {"received", BYTES_RECEIVED}},
     2},
    {"sync_gaps",
     KM_METRIC_COUNTER,
     "Times that mutations had left the log of one side before the other one "
     "had read them, by the direction: sent (the member has missed those of "
     "this node), received (this node has missed those of the member).",
     "direction",
     {{"sent", GAPS_SENT}, {"received", GAPS_RECEIVED}},
     2},
};

/* Writes the samples of a member. */
static void write_samples(struct km_metric_text *text,
                          const struct family *family,
                          const struct km_cluster_member *member)
{
    uint64_t figures[FIGURE_COUNT];
    struct km_metric_label labels[2] = {
        {"peer", kama_bytes_str(member->address)}, {family->label, {NULL, 0}}};
    read_figures(&member->stream, figures);
    for (size_t i = 0; i < family->count; i++) {
        uint64_t value = figures[family->samples[i].figure];
        size_t label_count = family->label != NULL ? 2 : 1;
        if (family->label != NULL) {
            labels[1].value = kama_bytes_str(family->samples[i].value);
        }
        if (family->samples[i].figure == LAG_NS) {
            km_metric_text_ns(text, labels, label_count, value);
        } else {
            km_metric_text_count(text, labels, label_count, value);
        }
    }
}

/* A gauge of members that were summed would say nothing. */
static void write_family(struct km_metric_text *text,
                         const struct family *family,
                         const struct km_metrics_peers *peers)
{
    char name[KM_METRIC_NAME_BYTES_MAX];
    const struct km_cluster_member *member;
    size_t i = 0;
    size_t n = 0;
    (void)km_text_printf(name, sizeof name, KM_METRIC_PREFIX "%s",
                         family->name);
    km_metric_text_family(text, name, family->kind, family->help);
    while ((member = km_metrics_peers_shown(peers, &i, &n)) != NULL) {
        if (member->stream.sync_state != NULL &&
            (family->kind == KM_METRIC_COUNTER || member != &peers->others)) {
            write_samples(text, family, member);
        }
    }
}

static void write_view(void *arg, const struct km_cluster_view *view)
{
    struct km_metrics_peers peers;
    km_metrics_peers_read(&peers, view);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        write_family(arg, &families[i], &peers);
    }
}

static void write_log(struct km_metric_text *text,
                      const struct km_cluster_log *log)
{
    km_metric_text_one(text, KM_METRIC_PREFIX "sync_seq", KM_METRIC_GAUGE,
                       "The number of the newest mutation that has begun on "
                       "this node, since it "
                       "has its present id.",
                       log->seq);
    km_metric_text_one(
        text, KM_METRIC_PREFIX "sync_log_entries", KM_METRIC_GAUGE,
        "Mutations of this node that members can still read from "
        "its log.",
        log->entries);
    km_metric_text_one(text, KM_METRIC_PREFIX "sync_log_bytes", KM_METRIC_GAUGE,
                       "The memory of these mutations.", log->bytes);
    km_metric_text_family(
        text, KM_METRIC_PREFIX "sync_log_age_seconds", KM_METRIC_GAUGE,
        "The age of the oldest of these mutations; 0 if there "
        "is none.");
    km_metric_text_ns(text, NULL, 0, log->oldest_ns);
}

void km_service_metrics_sync(struct km_metric_text *text,
                             struct km_service_env *env)
{
    struct km_cluster_log log;
    km_cluster_log(env, &log);
    if (log.exists) {
        write_log(text, &log);
    }
    km_cluster_view(env, write_view, text);
}
