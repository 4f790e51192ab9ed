/* SPDX-License-Identifier: MIT */
/* The texts are made as the client makes them. */
#include "summary.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

/* The numbers of a node as the client prints them; "" is no lease. */
struct shown_ids {
    char id[2 * KAMA_MEMBER_ID_BYTES + 1];
    char lease[17];
    char view[17];
};

static void show_ids(const kama_node_info *info, struct shown_ids *ret_ids)
{
    for (size_t i = 0; i < KAMA_MEMBER_ID_BYTES; i++) {
        (void)snprintf(ret_ids->id + 2 * i, 3, "%02x", info->id[i]);
    }
    ret_ids->lease[0] = '\0';
    if (info->lease_id != 0) {
        (void)snprintf(ret_ids->lease, sizeof ret_ids->lease, "%" PRIx64,
                       (uint64_t)info->lease_id);
    }
    (void)snprintf(ret_ids->view, sizeof ret_ids->view, "%016" PRIx64,
                   info->view_id);
}

/* Writes the missing steps, separated by commas. */
static void show_missing(const kama_node_info *info, char *text, size_t cap)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < info->missing_count; i++) {
        len += km_text_printf(text + len, cap - len, "%s%s", i > 0 ? "," : "",
                              info->missing[i]);
    }
}

/* The rate limit of a common call site could hold a line back, so that each line
 * has one of its own. */
static void log_info(void *arg, const kama_node_info *info)
{
    struct km_log_site site = {0};
    struct shown_ids ids;
    char missing[128];
    (void)arg;
    show_ids(info, &ids);
    show_missing(info, missing, sizeof missing);
    KM_LOG_AT(
        &site, KM_LOG_INFO, "kamacached", "summary",
        km_f_str("listen", info->listen),
        km_f_str("advertise", info->advertise), km_f_str("admin", info->admin),
        km_f_str("service", info->service), km_f_str("cluster", info->cluster),
        km_f_str("etcd", info->etcd), km_f_str("id", ids.id),
        km_f_str("lease_id", ids.lease),
        km_f_str("registration", info->registration),
        km_f_str("view_id", ids.view), km_f_int("peer_count", info->peer_count),
        km_f_int("group_count", info->group_count),
        km_f_str("missing", missing), km_f_str("degraded", info->degraded),
        km_f_str("version", kama_version()),
        km_f_int("start_ms", (int64_t)info->start_ms));
}

void summary_log(kama_node *node)
{
    kama_status status = kama_node_describe(node, log_info, NULL);
    KM_ASSERT(status == KAMA_OK);
}
