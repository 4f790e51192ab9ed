/* SPDX-License-Identifier: MIT */
/* stats: counters of groups and of the node, or their sums over a cluster. */
#include "call.h"
#include "commands.h"
#include "members.h"
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
#define COUNTER(member, source, kind, unit, metric, sentence)                  \
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

/* -- a cluster ----------------------------------------------------------- */

/* What the members have answered: sums of all figures, and who was asked. */
struct sums {
    const struct km_msg_stats_request *request;
    json_t *groups;  /* by name */
    json_t *node;    /* sums of the metrics of the nodes */
    json_t *members; /* [{"address", "status"}] */
};

/* Adds the numbers of an object to those of another one, which has the same
 * names or becomes a copy. Texts and quotients are left out, because a sum of
 * them means nothing. */
static kama_status add_numbers(json_t *sum, const json_t *object)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        bool summed = json_is_integer(value) && strcmp(name, "uptime_ms") != 0;
        json_int_t before = json_integer_value(json_object_get(sum, name));
        if (summed &&
            !cli_json_set(sum, name,
                          json_integer(before + json_integer_value(value)))) {
            return KAMA_ERR_NO_MEMORY;
        }
    }
    return KAMA_OK;
}

/* Returns the object of that name, which is made if it is new. */
static json_t *object_of(json_t *object, const char *name)
{
    json_t *found = json_object_get(object, name);
    if (found == NULL && cli_json_set(object, name, json_object())) {
        found = json_object_get(object, name);
    }
    return found;
}

static kama_status sum_group(void *arg, const void *message)
{
    struct sums *sums = arg;
    const struct km_msg_group_stats *stats = message;
    char name[4 * KM_GROUP_NAME_BYTES_MAX + 1];
    km_bytes_quote(stats->name, name, sizeof name);
    json_t *sum = object_of(sums->groups, name);
    json_t *one = group_json(stats);
    kama_status status =
        sum != NULL && one != NULL ? add_numbers(sum, one) : KAMA_ERR_NO_MEMORY;
    json_decref(one);
    return status;
}

static kama_status sum_answer(struct sums *sums,
                              const struct km_msg_stats_response *response)
{
    struct km_msg_group_stats stats;
    struct km_msg_metric metric;
    json_t *node = json_object();
    kama_status status = cli_each(response->groups, &km_msg_group_stats_pb,
                                  &stats, sum_group, sums);
    if (status == KAMA_OK && !set_process(node, response)) {
        status = KAMA_ERR_NO_MEMORY;
    }
    if (status == KAMA_OK) {
        status = cli_each(response->node, &km_msg_metric_pb, &metric,
                          add_metric, node);
    }
    if (status == KAMA_OK) {
        status = add_numbers(sums->node, node);
    }
    json_decref(node);
    return status;
}

/* A member that cannot be asked is named on standard error, and its figures are
 * missing from the sums. */
static enum cli_exit ask_member(struct cli *cli, const char *address, void *arg)
{
    struct sums *sums = arg;
    struct km_msg_stats_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Stats",
                                     .request_table = &km_msg_stats_request_pb,
                                     .request = sums->request,
                                     .reply_table = &km_msg_stats_response_pb,
                                     .reply = &response};
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    kama_status status = cli_request(cli, &call, &buf);
    if (status == KAMA_OK) {
        status = sum_answer(sums, &response);
    }
    if (status != KAMA_OK) {
        fputs("kamacache-cli: stats: not in the sums: ", stderr);
        cli_quote_write_sentence(stderr, address);
        fputs(": ", stderr);
        cli_quote_write_sentence(stderr, km_last_error());
        fprintf(stderr, " (%s)\n", kama_status_name(status));
    }
    km_buf_fini(&buf);
    json_t *member = json_pack("{s:s,s:s}", "address", address, "status",
                               kama_status_name(status));
    if (json_array_append_new(sums->members, member) != 0) {
        return CLI_EXIT_OTHER;
    }
    return cli_exit_of(status);
}

static void print_numbers(const char *title, const char *name, json_t *numbers)
{
    const char *key;
    const json_t *value;
    printf("%s%s%s\n", title, name[0] != '\0' ? " " : "", name);
    json_object_foreach(numbers, key, value)
    {
        printf("  %-30s %20" PRId64 "\n", key,
               (int64_t)json_integer_value(value));
    }
}

/* The groups become a list, as those of one node are. */
static enum cli_exit print_sums(const struct cli *cli, const struct sums *sums)
{
    const char *name;
    json_t *group;
    json_t *list = json_array();
    json_object_foreach(sums->groups, name, group)
    {
        if (cli->mode != CLI_MODE_JSON) {
            print_numbers("group", name, group);
        } else if (json_object_set_new(group, "name", json_string(name)) != 0 ||
                   json_array_append(list, group) != 0) {
            json_decref(list);
            return cli_print_json(NULL);
        }
    }
    if (cli->mode == CLI_MODE_JSON) {
        return cli_print_json(json_pack("{s:o,s:O,s:O}", "groups", list, "node",
                                        sums->node, "members", sums->members));
    }
    json_decref(list);
    if (json_object_size(sums->node) > 0) {
        print_numbers("nodes", "", sums->node);
    }
    return CLI_EXIT_OK;
}

static enum cli_exit stats_of_cluster(
    struct cli *cli, const struct km_msg_stats_request *request)
{
    struct sums sums = {.request = request,
                        .groups = json_object(),
                        .node = json_object(),
                        .members = json_array()};
    enum cli_exit code = cli_members_each(cli, ask_member, &sums);
    enum cli_exit printed = json_array_size(sums.members) > 0
                                ? print_sums(cli, &sums)
                                : CLI_EXIT_OK;
    json_decref(sums.groups);
    json_decref(sums.node);
    json_decref(sums.members);
    return code != CLI_EXIT_OK ? code : printed;
}

/* -- the command --------------------------------------------------------- */

enum cli_exit cli_cmd_stats(struct cli *cli, const kama_bytes *args, int count)
{
    struct km_msg_stats_request request = {.all = true};
    if (count == 1) {
        request = (struct km_msg_stats_request){.group = args[0]};
    } else if (cli->options.has_group) {
        request = (struct km_msg_stats_request){.group = cli->group};
    }
    if (cli->options.cluster != 0) {
        return stats_of_cluster(cli, &request);
    }
    struct km_msg_stats_response response = {0};
    const struct cli_request call = {.path = "/kama.v2.Cache/Stats",
                                     .request_table = &km_msg_stats_request_pb,
                                     .request = &request,
                                     .reply_table = &km_msg_stats_response_pb,
                                     .reply = &response};
    return cli_ask(cli, &call, print_stats, &response);
}
