/* SPDX-License-Identifier: MIT */
/* stats, ping: what concerns the node. */
#include "commands.h"
#include "print.h"

#include "base/limits.h"
#include "base/status.h"
#include "wire/msg.h"

#include <inttypes.h>

/* One row per counter that is shown, in the order of the message. */
struct counter {
    const char *name;
    size_t offset; /* of a uint64_t in struct km_msg_group_stats */
};
#define COUNTER(field)                                                         \
    {                                                                          \
#field, offsetof(struct km_msg_group_stats, field)                     \
    }
static const struct counter counters[] = {
    COUNTER(gets),          COUNTER(hits),         COUNTER(negative_hits),
    COUNTER(misses),        COUNTER(loads),        COUNTER(loads_coalesced),
    COUNTER(loads_missed),  COUNTER(loads_failed), COUNTER(loads_overtaken),
    COUNTER(loads_running), COUNTER(sets),         COUNTER(dels),
    COUNTER(clears),        COUNTER(evictions),    COUNTER(expirations),
    COUNTER(entries),       COUNTER(bytes),        COUNTER(value_bytes),
    COUNTER(pinned_bytes),  COUNTER(max_bytes),
};
#define COUNTER_COUNT (sizeof counters / sizeof counters[0])

static uint64_t counter_value(const struct km_msg_group_stats *stats,
                              const struct counter *counter)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + counter->offset, sizeof value);
    return value;
}

static double hit_ratio(const struct km_msg_group_stats *stats)
{
    uint64_t hits = stats->hits + stats->negative_hits;
    return stats->gets == 0 ? 0 : (double)hits / (double)stats->gets;
}

static bool print_group(const struct km_msg_group_stats *stats)
{
    char name[KM_GROUP_NAME_BYTES_MAX * 4 + 4];
    printf("group %s\n", km_bytes_quote(stats->name, name, sizeof name));
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        printf("  %-18s %20" PRIu64 "\n", counters[i].name,
               counter_value(stats, &counters[i]));
    }
    printf("  %-18s %20.4f\n", "hit_ratio", hit_ratio(stats));
    return printf("  %-18s p50 %.3f  p90 %.3f  p99 %.3f  max %.3f\n", "load_ms",
                  (double)stats->load_latency.p50_ns / 1e6,
                  (double)stats->load_latency.p90_ns / 1e6,
                  (double)stats->load_latency.p99_ns / 1e6,
                  (double)stats->load_latency.max_ns / 1e6) > 0;
}

static json_t *group_json(const struct km_msg_group_stats *stats)
{
    json_t *object = json_object();
    bool made =
        object != NULL && cli_json_set_bytes(object, "name", stats->name);
    for (size_t i = 0; i < COUNTER_COUNT && made; i++) {
        uint64_t value = counter_value(stats, &counters[i]);
        made = json_object_set_new(object, counters[i].name,
                                   json_integer((json_int_t)value)) == 0;
    }
    if (made) {
        made = json_object_set_new(object, "hit_ratio",
                                   json_real(hit_ratio(stats))) == 0 &&
               json_object_set_new(
                   object, "load_latency_ns",
                   json_pack("{s:I,s:I,s:I,s:I}", "p50",
                             (json_int_t)stats->load_latency.p50_ns, "p90",
                             (json_int_t)stats->load_latency.p90_ns, "p99",
                             (json_int_t)stats->load_latency.p99_ns, "max",
                             (json_int_t)stats->load_latency.max_ns)) == 0;
    }
    if (!made) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool print_metric(json_t *node, const struct km_msg_metric *metric)
{
    char name[64];
    km_bytes_quote(metric->name, name, sizeof name);
    if (node != NULL) {
        return json_object_set_new(
                   node, name, json_integer((json_int_t)metric->value)) == 0;
    }
    return printf("  %-22s %16" PRIu64 "\n", name, metric->value) > 0;
}

static bool print_groups(struct km_pb_list groups, json_t *array)
{
    bool printed = true;
    kama_bytes element;
    while (printed && km_pb_next(&groups, &element)) {
        struct km_msg_group_stats stats;
        printed =
            km_pb_decode(&km_msg_group_stats_pb, element, &stats) == KAMA_OK;
        if (printed && array != NULL) {
            printed = json_array_append_new(array, group_json(&stats)) == 0;
        } else if (printed) {
            printed = print_group(&stats);
        }
    }
    return printed;
}

static bool print_node(struct km_pb_list metrics, json_t *node)
{
    bool printed = true;
    kama_bytes element;
    if (node == NULL && metrics.count > 0) {
        printf("node\n");
    }
    while (printed && km_pb_next(&metrics, &element)) {
        struct km_msg_metric metric;
        printed =
            km_pb_decode(&km_msg_metric_pb, element, &metric) == KAMA_OK &&
            print_metric(node, &metric);
    }
    return printed;
}

static enum cli_exit print_stats(const struct cli *cli,
                                 const struct km_msg_stats_response *response)
{
    if (cli->mode != CLI_MODE_JSON) {
        return cli_printed(print_groups(response->groups, NULL) &&
                           print_node(response->node, NULL));
    }
    json_t *root = json_pack("{s:[],s:{}}", "groups", "node");
    bool made =
        root != NULL &&
        print_groups(response->groups, json_object_get(root, "groups")) &&
        print_node(response->node, json_object_get(root, "node"));
    if (!made) {
        json_decref(root);
        root = NULL;
    }
    return cli_printed(cli_print_json(root));
}

enum cli_exit cli_cmd_stats(struct cli *cli, int argc, char **argv)
{
    const struct km_msg_stats_request request = {
        .group = KAMA_STR(argc == 1 ? argv[0] : "")};
    const struct cli_call call = {"/kama.v2.Cache/Stats",
                                  &km_msg_stats_request_pb, &request,
                                  &km_msg_stats_response_pb};
    struct km_msg_stats_response response;
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    kama_status st = cli_call(cli, &call, &reply, &response);
    enum cli_exit code = st == KAMA_OK ? print_stats(cli, &response)
                                       : cli_failed(cli, "stats", st);
    km_buf_fini(&reply);
    return code;
}

static enum cli_exit print_ping(const struct cli *cli, bool serving, double ms)
{
    const char *word = serving ? "SERVING" : "NOT_SERVING";
    bool printed;
    if (cli->mode == CLI_MODE_JSON) {
        printed =
            cli_print_json(json_pack("{s:s,s:f}", "status", word, "ms", ms));
    } else {
        printed = printf("%s %.3f ms\n", word, ms) > 0;
    }
    if (!printed) {
        return CLI_EXIT_OTHER;
    }
    return serving ? CLI_EXIT_OK : CLI_EXIT_UNREACHABLE;
}

enum cli_exit cli_cmd_ping(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct km_msg_health_request request = {.service = {NULL, 0}};
    const struct cli_call call = {"/grpc.health.v1.Health/Check",
                                  &km_msg_health_request_pb, &request,
                                  &km_msg_health_response_pb};
    struct km_msg_health_response response;
    struct km_buf reply;
    km_buf_init(&reply, cli->mem, SIZE_MAX);
    km_ns begin = km_clock_mono(km_clock_system());
    kama_status st = cli_call(cli, &call, &reply, &response);
    double ms = (double)(km_clock_mono(km_clock_system()) - begin) / 1e6;
    km_buf_fini(&reply);
    if (st != KAMA_OK) {
        return cli_failed(cli, "ping", st);
    }
    return print_ping(cli, response.status == KM_MSG_HEALTH_SERVING, ms);
}
