/* SPDX-License-Identifier: MIT */
/*
 * The time and the size of the text of metrics, for a node with 64 groups and 8 other
 * members on which 18 methods were called. All groups have loads. The output is the
 * thread CPU time of one text as median, p10 and p90, and its bytes, in both formats.
 *
 *   metrics_bench [GROUPS [TEXTS]]
 */
#include "base/status.h"
#include "node/node.h"
#include "rpc/client.h"
#include "services/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MEMBERS 9
#define LOADS 100
#define GROUPS_DEFAULT 64
#define TEXTS_DEFAULT 200
#define TEXTS_MAX 10000

static char addresses[MEMBERS][24];
static struct km_cluster_member members[MEMBERS];

static void fail(const char *what)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    (void)fprintf(stderr, "%s: %s\n", what, sentence);
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- a cluster without network ---------------------------------------------- */

static void show_view(void *arg, km_cluster_view_fn cb, void *cb_arg)
{
    const struct km_cluster_view view = {.cluster = "default",
                                         .service = "kama-cache",
                                         .view_id = 1,
                                         .members = members,
                                         .count = MEMBERS};
    (void)arg;
    cb(cb_arg, &view);
}

static void show_node(void *arg, km_cluster_node_fn cb, void *cb_arg)
{
    const struct km_cluster_node node = {.listen = "",
                                         .advertise = addresses[0],
                                         .cluster = "default",
                                         .service = "kama-cache",
                                         .etcd = "",
                                         .lease_id = 1,
                                         .registration = "active",
                                         .ready = true,
                                         .degraded = ""};
    (void)arg;
    cb(cb_arg, &node);
}

static void show_owner(void *arg, const char *group, kama_bytes key,
                       km_cluster_owner_fn cb, void *cb_arg)
{
    const struct km_cluster_owner_info info = {.count = 0};
    (void)arg;
    (void)group;
    (void)key;
    cb(cb_arg, &info);
}

static uint64_t show_version(void *arg)
{
    (void)arg;
    return 1;
}

static void show_counters(void *arg, uint64_t ret_values[KM_CLUSTER_M_COUNT])
{
    (void)arg;
    memset(ret_values, 0, KM_CLUSTER_M_COUNT * sizeof *ret_values);
}

static void show_registry(void *arg, struct km_cluster_registry *ret_registry)
{
    (void)arg;
    *ret_registry = (struct km_cluster_registry){
        .exists = true, .lease_ttl_ms = 10000, .lease_age_ms = 2345};
}

/* All members have the same figures. */
static void show_requests(void *arg, km_cluster_requests_fn cb, void *cb_arg)
{
    static const _Atomic uint64_t codes[KM_STATUS_GRPC_CODES] = {
        [0] = 123456789, [5] = 12345678, [14] = 123};
    static struct km_histogram times;
    (void)arg;
    km_histogram_record(&times, 81234);
    for (unsigned i = 1; i < MEMBERS; i++) {
        const struct km_cluster_requests requests = {.address = addresses[i],
                                                     .fill_codes = codes,
                                                     .mutation_codes = codes,
                                                     .times = &times};
        cb(cb_arg, &requests);
    }
}

static const struct km_cluster_ops cluster_ops = {.view = show_view,
                                                  .requests = show_requests,
                                                  .registry = show_registry,
                                                  .node = show_node,
                                                  .owner = show_owner,
                                                  .version = show_version,
                                                  .counters = show_counters};

static void make_members(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "192.168.1.%u:8001",
                       10 + i);
        members[i] = (struct km_cluster_member){
            .address = addresses[i],
            .admin = "",
            .version = "",
            .self = i == 0,
            .reach = i == 0 ? KM_CLUSTER_REACH_SELF : KM_CLUSTER_REACH_UP,
            .latency_ns = 81234};
    }
}

/* -- a node that was used ---------------------------------------------------- */

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    return kama_sink_set(out, req->key, NULL);
}

static void use_group(kama_group *group)
{
    char buf[16];
    size_t len;
    for (unsigned i = 0; i < LOADS; i++) {
        (void)snprintf(buf, sizeof buf, "%u", i);
        if (kama_get_copy(group, KAMA_STR(buf), NULL, buf, sizeof buf, &len) !=
            KAMA_OK) {
            fail("get");
        }
    }
}

static void add_groups(kama_node *node, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        kama_group *group;
        kama_group_options options;
        kama_group_options_init(&options);
        (void)snprintf(name, sizeof name, "a name of a group %u", i);
        options.name = name;
        options.max_bytes = 1 << 20;
        options.loader = load;
        if (kama_node_add_group(node, &options, &group) != KAMA_OK) {
            fail("group");
        }
        use_group(group);
    }
}

/* Methods that clients call. */
static const char *const paths[] = {
    "/kama.v1.KamaCacheService/Get",
    "/kama.v1.KamaCacheService/Set",
    "/kama.v1.KamaCacheService/Delete",
    "/kama.v2.Cache/Get",
    "/kama.v2.Cache/Set",
    "/kama.v2.Cache/Delete",
    "/kama.v2.Cache/Ttl",
    "/kama.v2.Cache/Touch",
    "/kama.v2.Cache/Exists",
    "/kama.v2.Cache/MGet",
    "/kama.v2.Cache/MSet",
    "/kama.v2.Cache/MDelete",
    "/kama.v2.Cache/Clear",
    "/kama.v2.Cache/Ping",
    "/kama.v2.Cache/Stats",
    "/kama.v2.Cache/Groups",
    "/grpc.health.v1.Health/Check",
    "/kama.v2.Cache/NoSuchMethod",
};

/* Calls each of them with an empty message; some refuse it. */
static void call_methods(kama_node *node)
{
    struct km_client *client = NULL;
    struct km_channel_options channel = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address = kama_node_address(node)};
    struct km_buf reply;
    km_buf_init(&reply, NULL, SIZE_MAX);
    if (km_client_new(&channel, &client) != KAMA_OK) {
        fail("client");
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct km_client_request request = {.path = paths[i],
                                            .timeout_ms = 1000};
        kama_status st = km_client_unary(client, &request, &reply);
        (void)st; /* refused or not, it is counted */
        km_buf_reset(&reply, 0);
    }
    km_client_free(client);
    km_buf_fini(&reply);
}

/* -- the measurement --------------------------------------------------------- */

static kama_status count_bytes(void *arg, const void *data, size_t len)
{
    (void)data;
    *(size_t *)arg = len;
    return KAMA_OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void measure(kama_node *node, uint32_t format, unsigned texts)
{
    static uint64_t took[TEXTS_MAX];
    size_t bytes = 0;
    for (unsigned i = 0; i < texts; i++) {
        uint64_t from = cpu_ns();
        if (kama_metrics_write(node, NULL, format, count_bytes, &bytes) !=
            KAMA_OK) {
            fail("text");
        }
        took[i] = cpu_ns() - from;
    }
    qsort(took, texts, sizeof *took, by_value);
    printf("%-12s %.2f ms (p10 %.2f, p90 %.2f), %zu bytes\n",
           format == KAMA_METRICS_PROMETHEUS ? "prometheus" : "openmetrics",
           (double)took[texts / 2] / 1e6, (double)took[texts / 10] / 1e6,
           (double)took[texts * 9 / 10] / 1e6, bytes);
}

int main(int argc, char **argv)
{
    unsigned groups = argc > 1 ? (unsigned)atoi(argv[1]) : GROUPS_DEFAULT;
    unsigned texts = argc > 2 ? (unsigned)atoi(argv[2]) : TEXTS_DEFAULT;
    kama_node *node = NULL;
    kama_node_options options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    make_members();
    if (texts == 0 || texts > TEXTS_MAX) {
        (void)fprintf(stderr, "TEXTS: 1 to %d\n", TEXTS_MAX);
        return 2;
    }
    if (kama_node_new(&options, &node) != KAMA_OK) {
        fail("node");
    }
    km_service_env_set_cluster(&node->services,
                               (struct km_cluster_source){&cluster_ops, NULL});
    add_groups(node, groups);
    if (kama_node_start(node) != KAMA_OK) {
        fail("start");
    }
    call_methods(node);
    printf("%u groups, %u other members\n", groups, MEMBERS - 1);
    measure(node, KAMA_METRICS_PROMETHEUS, texts);
    measure(node, KAMA_METRICS_OPENMETRICS, texts);
    kama_node_free(node);
    return 0;
}
