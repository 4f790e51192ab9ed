/* SPDX-License-Identifier: MIT */
#include "compare_stream.h"
#include "columns.h"
#include "members.h"

#include <inttypes.h>

#define GAP_WARN_MS 600000
#define FIRST_CONTACT_MS 1000 /* behind the end of the start */

/* A member that has just started had nothing yet when it met the others, which had been
 * writing before: it has lost nothing, and nothing has kept them apart. */
static bool is_of_start(const struct km_msg_node_response *node,
                        const struct km_msg_member_stream *s)
{
    return node->uptime_ms >= s->gap_age_ms &&
           node->uptime_ms - s->gap_age_ms <= node->start_ms + FIRST_CONTACT_MS;
}

void cli_compare_stream(const struct cli_pair *pair,
                        const struct km_msg_node_response *node,
                        const struct km_msg_member *m,
                        struct cli_findings *findings)
{
    const struct km_msg_member_stream *s = &m->stream;
    char age[CLI_TIME_BYTES];
    if (s->quarantined) {
        cli_findings_add(findings, KM_FINDING_CLOCK_QUARANTINED,
                         KM_SEVERITY_FAIL, pair,
                         "it refuses the mutations of %s, in which the clock "
                         "was more than 60 s ahead",
                         pair->other);
    } else if (s->unsynced && !cli_members_is_cut(m)) {
        cli_findings_add(findings, KM_FINDING_MEMBER_UNSYNCED, KM_SEVERITY_WARN,
                         pair,
                         "%s has not acknowledged %" PRIu64
                         " of its mutations, of which the oldest has waited "
                         "for %s",
                         pair->other, s->lag_entries,
                         cli_columns_time(s->lag_ns / 1000000, age));
    }
    if (s->gaps > 0 && s->gap_age_ms < GAP_WARN_MS && !is_of_start(node, s)) {
        cli_findings_add(
            findings, KM_FINDING_MEMBER_GAP, KM_SEVERITY_WARN, pair,
            "it has missed mutations of %s %" PRIu64 " time%s, last %s ago",
            pair->other, s->gaps, s->gaps == 1 ? "" : "s",
            cli_columns_time(s->gap_age_ms, age));
    }
}
