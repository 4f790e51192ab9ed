/* SPDX-License-Identifier: MIT */
/* stats and ping: counters of groups and of the node, and its health. */
#include "call.h"
#include "commands.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "base/status.h"
#include "group/counters.h"
#include "wire/msg/msg.h"

#include <inttypes.h>

#define UPTIME_BYTES 40

/* -- a group ------------------------------------------------------------- */

/* The counters that are shown: all rows of the table of a group's counters. */
struct counter {
    const char *name;
    size_t offset; /* of a uint64_t in struct km_msg_group_stats */
};
static const struct counter counters[] = {
#define COUNTER(member, source, kind, unit, sentence)                          \
    {#member, offsetof(struct km_msg_group_stats, member)},
    KM_GROUP_COUNTER_MAP(COUNTER, COUNTER, COUNTER)
#undef COUNTER
};
#define COUNTER_COUNT (sizeof counters / sizeof counters[0])

/* Reads a counter by its offset in the message. */
static uint64_t counter_value(const struct km_msg_group_stats *stats,
                              const struct counter *counter)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + counter->offset, sizeof value);
    return value;
}

/* A hit of a negative entry counts as a hit, because it saves a load. */
static double hit_ratio(const struct km_msg_group_stats *stats)
{
    double hits = (double)stats->hits + (double)stats->negative_hits;
    return stats->gets == 0 ? 0 : hits / (double)stats->gets;
}

/* Prints the counters of a group, and the latency of its loads if there were
 * any. */
static kama_status print_group(void *arg, const void *message)
{
    const struct km_msg_group_stats *stats = message;
    const struct km_msg_latency *latency = &stats->load_latency;
    (void)arg;
    fputs("group ", stdout);
    cli_quote_write(stdout, stats->name);
    putchar('\n');
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        printf("  %-30s %20" PRIu64 "\n", counters[i].name,
               counter_value(stats, &counters[i]));
    }
    printf("  %-30s %20.4f\n", "hit_ratio", hit_ratio(stats));
    if (latency->count > 0) {
        printf("  load_ms  p50 %.3f  p90 %.3f  p99 %.3f  max %.3f\n",
               (double)latency->p50_ns / 1e6, (double)latency->p90_ns / 1e6,
               (double)latency->p99_ns / 1e6, (double)latency->max_ns / 1e6);
    }
    return KAMA_OK;
}

/* Makes the JSON object of a latency, in nanoseconds. */
static json_t *latency_json(const struct km_msg_latency *latency)
{
    json_t *object = json_object();
    bool made = cli_json_set(object, "count", cli_json_uint(latency->count)) &&
                cli_json_set(object, "sum", cli_json_uint(latency->sum_ns)) &&
                cli_json_set(object, "p50", cli_json_uint(latency->p50_ns)) &&
                cli_json_set(object, "p90", cli_json_uint(latency->p90_ns)) &&
                cli_json_set(object, "p99", cli_json_uint(latency->p99_ns)) &&
                cli_json_set(object, "p999", cli_json_uint(latency->p999_ns)) &&
                cli_json_set(object, "max", cli_json_uint(latency->max_ns));
    return cli_json_made(object, made);
}

/* Makes the JSON object of a group. */
static json_t *group_json(const struct km_msg_group_stats *stats)
{
    json_t *object = json_object();
    bool made = cli_json_set_bytes(object, "name", stats->name);
    for (size_t i = 0; i < COUNTER_COUNT && made; i++) {
        made = cli_json_set(object, counters[i].name,
                            cli_json_uint(counter_value(stats, &counters[i])));
    }
    made = made &&
           cli_json_set(object, "hit_ratio", json_real(hit_ratio(stats))) &&
           cli_json_set(object, "load_latency_ns",
                        latency_json(&stats->load_latency));
    return cli_json_made(object, made);
}

static kama_status add_group(void *array, const void *message)
{
    return json_array_append_new(array, group_json(message)) == 0
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

/* -- the node ------------------------------------------------------------ */

/* Prints a counter of the node. Its name comes from the network and is
 * quoted. */
static kama_status print_metric(void *arg, const void *message)
{
    const struct km_msg_metric *metric = message;
    char name[64];
    (void)arg;
    km_bytes_quote(metric->name, name, sizeof name);
    printf("  %-30s %20" PRIu64 "\n", name, metric->value);
    return KAMA_OK;
}

static kama_status add_metric(void *object, const void *message)
{
    const struct km_msg_metric *metric = message;
    char name[64];
    km_bytes_quote(metric->name, name, sizeof name);
    return cli_json_set(object, name, cli_json_uint(metric->value))
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

/* Writes "4d 3h 2m 1s", without the leading parts that are 0. */
static const char *format_uptime(uint64_t uptime_ms, char buf[UPTIME_BYTES])
{
    static const struct {
        uint64_t seconds;
        char unit;
    } parts[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t left = uptime_ms / 1000;
    size_t len = 0;
    for (size_t i = 0; i < 4; i++) {
        if (len > 0 || left >= parts[i].seconds || i == 3) {
            len += (size_t)snprintf(buf + len, UPTIME_BYTES - len,
                                    "%s%" PRIu64 "%c", len > 0 ? " " : "",
                                    left / parts[i].seconds, parts[i].unit);
        }
        left %= parts[i].seconds;
    }
    return buf;
}

/* Prints the figures of the node's process. A node of version 0.1.0 sends
 * none. */
static void print_process(const struct km_msg_stats_response *response)
{
    char uptime[UPTIME_BYTES];
    char version[32];
    if (response->version.len == 0) {
        return;
    }
    km_bytes_quote(response->version, version, sizeof version);
    printf("  %-30s %20s\n", "version", version);
    printf("  %-30s %20s\n", "uptime",
           format_uptime(response->uptime_ms, uptime));
    printf("  %-30s %20" PRIu64 "\n", "rss_bytes", response->rss_bytes);
}

static bool set_process(json_t *node,
                        const struct km_msg_stats_response *response)
{
    return response->version.len == 0 ||
           (cli_json_set_bytes(node, "version", response->version) &&
            cli_json_set(node, "uptime_ms",
                         cli_json_uint(response->uptime_ms)) &&
            cli_json_set(node, "rss_bytes",
                         cli_json_uint(response->rss_bytes)));
}

/* -- stats --------------------------------------------------------------- */

/* Visits all groups and metrics. Their figures are added to the JSON array and
 * object or, if these are NULL, printed. */
static kama_status visit_all(const struct km_msg_stats_response *response,
                             json_t *groups, json_t *node)
{
    struct km_msg_group_stats stats;
    struct km_msg_metric metric;
    kama_status status =
        cli_each(response->groups, &km_msg_group_stats_pb, &stats,
                 groups != NULL ? add_group : print_group, groups);
    if (status != KAMA_OK) {
        return status;
    }
    if (node != NULL && !set_process(node, response)) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (node == NULL && response->node.count > 0) {
        puts("node");
        print_process(response);
    }
    return cli_each(response->node, &km_msg_metric_pb, &metric,
                    node != NULL ? add_metric : print_metric, node);
}

/* Prints everything. With --json, the whole answer is one object, which is
 * printed at the end. */
static enum cli_exit print_stats(struct cli *cli, const void *arg)
{
    const struct km_msg_stats_response *response = arg;
    if (cli->mode != CLI_MODE_JSON) {
        kama_status status = visit_all(response, NULL, NULL);
        return status == KAMA_OK ? CLI_EXIT_OK : cli_failed(cli, status);
    }
    json_t *root = json_pack("{s:[],s:{}}", "groups", "node");
    if (root == NULL) {
        return cli_print_json(NULL);
    }
    kama_status status = visit_all(response, json_object_get(root, "groups"),
                                   json_object_get(root, "node"));
    if (status != KAMA_OK) {
        json_decref(root);
        return cli_failed(cli, status);
    }
    return cli_print_json(root);
}

enum cli_exit cli_cmd_stats(struct cli *cli, const kama_bytes *args, int count)
{
    struct km_msg_stats_request request = {.all = true};
    if (count == 1) {
        request = (struct km_msg_stats_request){.group = args[0]};
    } else if (cli->options.has_group) {
        request = (struct km_msg_stats_request){.group = cli->group};
    }
    struct km_msg_stats_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Stats",
                                     .request_table = &km_msg_stats_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_stats_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_stats, &response);
}

/* -- ping ---------------------------------------------------------------- */

enum cli_exit cli_cmd_ping(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    bool serving = false;
    km_ns begin = km_clock_mono(km_clock_system());
    kama_status status = cli_health(cli, cli->options.timeout, &serving);
    double ms = (double)(km_clock_mono(km_clock_system()) - begin) / 1e6;
    if (status != KAMA_OK) {
        return cli_failed(cli, status);
    }
    enum cli_exit code = CLI_EXIT_OK;
    const char *word = serving ? "SERVING" : "NOT_SERVING";
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_print_json(json_pack("{s:s,s:f}", "status", word, "ms", ms));
    } else {
        printf("%s %.3f ms\n", word, ms);
    }
    return code == CLI_EXIT_OK && !serving ? CLI_EXIT_UNREACHABLE : code;
}
