/* SPDX-License-Identifier: MIT */
/*
 * The metrics of a node in a cluster that does what the test says, and of one that
 * is alone; and docs/METRICS.md, which has a line for each family of a node in a
 * cluster. If KAMA_PRINT is set, the test prints the lines that belong there.
 */
#include "base/assert.h"
#include "base/metric_text.h"
#include "base/status.h"
#include "group/group.h"
#include "group/metrics.h"
#include "group/registry.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "services/cluster.h"
#include "services/env.h"
#include "services/metrics.h"
#include "services/serve_env.h"
#include "wire/msg/msg.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINE_BYTES 1024
#define MEMBERS_MAX 100
#define PATIENCE_MS 20000

/* -- a cluster that does what the test says -------------------------------- */

struct fake {
    struct km_cluster_member members[MEMBERS_MAX];
    char addresses[MEMBERS_MAX][32];
    size_t count;
    struct km_cluster_node node;
    struct km_cluster_registry registry;
    struct km_cluster_log log;
    /* Of each other member. */
    _Atomic uint64_t fill_codes[MEMBERS_MAX][KM_STATUS_GRPC_CODES];
    _Atomic uint64_t mutation_codes[KM_STATUS_GRPC_CODES];
    struct km_histogram times;
};

static void fake_view(void *arg, km_cluster_view_fn cb, void *cb_arg)
{
    struct fake *fake = arg;
    const struct km_cluster_view view = {.cluster = "default",
                                         .service = "kama-cache",
                                         .view_id = 0xfedcba9876543210,
                                         .members = fake->members,
                                         .count = fake->count};
    cb(cb_arg, &view);
}

static void fake_node(void *arg, km_cluster_node_fn cb, void *cb_arg)
{
    struct fake *fake = arg;
    cb(cb_arg, &fake->node);
}

static void fake_counters(void *arg, uint64_t ret_values[KM_CLUSTER_M_COUNT])
{
    (void)arg;
    for (unsigned i = 0; i < KM_CLUSTER_M_COUNT; i++) {
        ret_values[i] = 100 + i;
    }
}

static void fake_registry(void *arg, struct km_cluster_registry *ret_registry)
{
    *ret_registry = ((struct fake *)arg)->registry;
}

static void fake_requests(void *arg, km_cluster_requests_fn cb, void *cb_arg)
{
    struct fake *fake = arg;
    for (size_t i = 0; i < fake->count; i++) {
        const struct km_cluster_requests requests = {
            .address = fake->addresses[i],
            .fill_codes = fake->fill_codes[i],
            .mutation_codes = fake->mutation_codes,
            .times = &fake->times};
        if (i != 1) {
            cb(cb_arg, &requests);
        }
    }
}

static void fake_log(void *arg, struct km_cluster_log *ret_log)
{
    *ret_log = ((struct fake *)arg)->log;
}

static const struct km_cluster_ops fake_ops = {.view = fake_view,
                                               .node = fake_node,
                                               .requests = fake_requests,
                                               .registry = fake_registry,
                                               .counters = fake_counters,
                                               .log = fake_log};

/* Makes `count` members, of which the second one is this node. Each of the others
 * was asked for as many keys as its number says. */
static void fake_init(struct fake *fake, size_t count)
{
    memset(fake, 0, sizeof *fake);
    fake->count = count;
    fake->node = (struct km_cluster_node){.ready = true,
                                          .lease_id = 7,
                                          .lease_held = true,
                                          .degraded = "",
                                          .sync_differs = ""};
    fake->registry = (struct km_cluster_registry){
        .exists = true, .lease_ttl_ms = 10000, .lease_age_ms = 2500};
    fake->log = (struct km_cluster_log){.exists = true,
                                        .seq = 9,
                                        .entries = 4,
                                        .bytes = 300,
                                        .oldest_ns = 2500000000};
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(fake->addresses[i], sizeof fake->addresses[i],
                       "10.0.0.%zu:1", i);
        fake->members[i] =
            (struct km_cluster_member){.address = fake->addresses[i],
                                       .self = i == 1,
                                       .reach = KM_CLUSTER_REACH_UP,
                                       .latency_ns = 1500,
                                       .served = 4};
        fake->fill_codes[i][0] = i;
        fake->members[i].stream =
            (struct km_cluster_stream){.sync_state = "in_sync",
                                       .up = true,
                                       .sync_lag_ns = 1500,
                                       .sync_queue = 2,
                                       .acked = 7,
                                       .applied = 100 + i,
                                       .sent = i,
                                       .received = 2 * i,
                                       .duplicates = 1,
                                       .gaps_sent = 3,
                                       .gaps_received = 4};
    }
    fake->members[1].reach = KM_CLUSTER_REACH_SELF;
    fake->members[1].stream = (struct km_cluster_stream){.sync_state = NULL};
    fake->mutation_codes[4] = 3;
    km_histogram_init(&fake->times);
    km_histogram_record(&fake->times, 1500000000);
}

/* -- a node that serves one group ------------------------------------------ */

struct world {
    struct km_loop *loop;
    struct km_registry registry;
    struct km_service_env env;
    struct km_server *server;
    struct fake fake;
    struct km_buf text;
    atomic_uint drained;
};

static void add_group(struct world *w)
{
    kama_group_options options;
    struct km_group_env env = {0};
    kama_group *group;
    kama_group_options_init(&options);
    options.name = "g";
    assert_int_equal(km_group_new(&options, &env, &group), KAMA_OK);
    km_registry_add(&w->registry, group);
}

/* members: 0 for a node that is in no cluster. */
static void world_open(struct world *w, size_t members)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(km_loop_new(NULL, NULL, 0, &w->loop), KAMA_OK);
    assert_int_equal(km_loop_start(w->loop), KAMA_OK);
    assert_int_equal(km_registry_init(&w->registry, km_mem_default()), KAMA_OK);
    assert_int_equal(km_service_env_init(&w->env, km_mem_default(),
                                         km_clock_system(), &w->registry,
                                         "kama"),
                     KAMA_OK);
    if (members > 0) {
        fake_init(&w->fake, members);
        km_service_env_set_cluster(
            &w->env, (struct km_cluster_source){&fake_ops, &w->fake});
    }
    add_group(w);
    serve_env(&w->env, &w->loop, &w->server);
    km_buf_init(&w->text, NULL, SIZE_MAX);
}

static void on_drained(void *arg, unsigned cut)
{
    (void)cut;
    atomic_store(&((struct world *)arg)->drained, 1);
}

static void world_close(struct world *w)
{
    km_buf_fini(&w->text);
    km_service_env_close(&w->env);
    km_server_drain(w->server, 1000, on_drained, w);
    while (atomic_load(&w->drained) == 0) {
        sched_yield();
    }
    km_service_env_settle(&w->env);
    km_loop_stop(w->loop);
    km_loop_join(w->loop);
    km_server_free(w->server);
    km_registry_fini(&w->registry);
    km_service_env_fini(&w->env);
    km_loop_free(w->loop);
}

/* Calls Stats, and waits until the call is counted. */
static void call_stats(struct world *w)
{
    struct km_client *client = NULL;
    struct km_channel_options channel = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address =
                                             km_server_address(w->server)};
    struct km_client_request request = {.path = "/kama.v2.Cache/Stats",
                                        .message = KM_LIT("\x0a\x01g"),
                                        .timeout_ms = PATIENCE_MS};
    struct km_buf reply;
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_client_new(&channel, &client), KAMA_OK);
    assert_int_equal(km_client_unary(client, &request, &reply), KAMA_OK);
    km_client_free(client);
    km_buf_fini(&reply);
    while (km_metric_read(km_server_metrics(w->server),
                          KM_SERVER_M_CALLS_RUNNING) > 0) {
        sched_yield();
    }
}

/* -- the text -------------------------------------------------------------- */

static const char *write_text(struct world *w)
{
    struct km_metric_text text;
    km_buf_reset(&w->text, SIZE_MAX);
    km_metric_text_init(&text, &w->text, KM_METRIC_PROMETHEUS);
    km_group_metrics_write_all(&text, &w->registry);
    km_service_metrics_server(&text, w->server);
    km_service_metrics_cluster(&text, &w->env);
    km_service_metrics_process(&text, &w->env);
    assert_int_equal(km_metric_text_end(&text), KAMA_OK);
    assert_int_equal(km_buf_append(&w->text, "", 1), KAMA_OK);
    return (const char *)w->text.data;
}

/* Asserts that the text has a line. */
static void expect(const char *text, const char *line)
{
    char pattern[LINE_BYTES];
    (void)snprintf(pattern, sizeof pattern, "\n%s\n", line);
    if (strstr(text, pattern) == NULL) {
        fail_msg("no \"%s\" in %s", line, text);
    }
}

/* Each other member is in one state, and has its address as a label. */
static void test_members(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 4);
    w.fake.members[3].reach = KM_CLUSTER_REACH_UNREACHABLE;
    w.fake.members[3].latency_ns = 0;
    const char *text = write_text(&w);
    expect(text, "kamacache_peers{state=\"up\"} 2");
    expect(text, "kamacache_peers{state=\"unreachable\"} 1");
    expect(text, "kamacache_peers{state=\"refused\"} 0");
    expect(text, "kamacache_peer_up{peer=\"10.0.0.2:1\"} 1");
    expect(text, "kamacache_peer_up{peer=\"10.0.0.3:1\"} 0");
    expect(text,
           "kamacache_peer_latency_seconds{peer=\"10.0.0.2:1\"} 0.0000015");
    assert_null(strstr(text, "latency_seconds{peer=\"10.0.0.3:1\"}"));
    assert_null(strstr(text, "peer=\"10.0.0.1:1\""));
    expect(text, "kamacache_peer_requests_total"
                 "{peer=\"10.0.0.3:1\",method=\"fill\",code=\"OK\"} 3");
    expect(text, "kamacache_peer_requests_total{peer=\"10.0.0.0:1\","
                 "method=\"mutate\",code=\"DeadlineExceeded\"} 3");
    assert_null(strstr(text, "{peer=\"10.0.0.0:1\",method=\"fill\""));
    expect(text, "kamacache_peer_request_duration_seconds_sum"
                 "{peer=\"10.0.0.3:1\"} 1.5");
    expect(text, "kamacache_peer_served_total{peer=\"10.0.0.0:1\"} 4");
    expect(text, "kamacache_view_info{view_id=\"fedcba9876543210\"} 1");
    world_close(&w);
}

/* The streams to and from each other member, and the log. */
static void test_streams(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 4);
    w.fake.members[2].stream.sync_state = "unsynced";
    w.fake.members[2].stream.up = false;
    w.fake.members[2].stream.unsynced = true;
    w.fake.members[2].stream.differing = 3;
    w.fake.members[2].stream.bytes_sent = 2000;
    w.fake.members[3].stream.sync_state = NULL;
    const char *text = write_text(&w);
    expect(text, "kamacache_sync_peer_state"
                 "{peer=\"10.0.0.0:1\",state=\"in_sync\"} 1");
    expect(text, "kamacache_sync_peer_state"
                 "{peer=\"10.0.0.2:1\",state=\"unsynced\"} 1");
    expect(text, "kamacache_sync_peer_state"
                 "{peer=\"10.0.0.2:1\",state=\"in_sync\"} 0");
    expect(text, "kamacache_sync_peer_state"
                 "{peer=\"10.0.0.2:1\",state=\"down\"} 0");
    expect(text, "kamacache_sync_connected{peer=\"10.0.0.0:1\"} 1");
    expect(text, "kamacache_sync_connected{peer=\"10.0.0.2:1\"} 0");
    expect(text, "kamacache_sync_unsynced{peer=\"10.0.0.0:1\"} 0");
    expect(text, "kamacache_sync_unsynced{peer=\"10.0.0.2:1\"} 1");
    expect(text, "kamacache_sync_quarantined{peer=\"10.0.0.2:1\"} 0");
    expect(text, "kamacache_sync_differing_groups{peer=\"10.0.0.2:1\"} 3");
    expect(text, "kamacache_sync_bytes_total"
                 "{peer=\"10.0.0.2:1\",direction=\"sent\"} 2000");
    expect(text, "kamacache_sync_lag_seconds{peer=\"10.0.0.2:1\"} 0.0000015");
    expect(text, "kamacache_sync_queue_entries{peer=\"10.0.0.2:1\"} 2");
    expect(text, "kamacache_sync_acked_seq{peer=\"10.0.0.2:1\"} 7");
    expect(text, "kamacache_sync_applied_seq{peer=\"10.0.0.2:1\"} 102");
    expect(text, "kamacache_sync_mutations_total"
                 "{peer=\"10.0.0.2:1\",result=\"sent\"} 2");
    expect(text, "kamacache_sync_mutations_total"
                 "{peer=\"10.0.0.2:1\",result=\"applied\"} 4");
    expect(text, "kamacache_sync_mutations_total"
                 "{peer=\"10.0.0.2:1\",result=\"duplicate\"} 1");
    expect(text, "kamacache_sync_gaps_total"
                 "{peer=\"10.0.0.2:1\",direction=\"sent\"} 3");
    expect(text, "kamacache_sync_gaps_total"
                 "{peer=\"10.0.0.2:1\",direction=\"received\"} 4");
    assert_null(strstr(text, "sync_connected{peer=\"10.0.0.1:1\""));
    assert_null(strstr(text, "sync_connected{peer=\"10.0.0.3:1\""));
    expect(text, "kamacache_sync_seq 9");
    expect(text, "kamacache_sync_log_entries 4");
    expect(text, "kamacache_sync_log_bytes 300");
    expect(text, "kamacache_sync_log_age_seconds 2.5");
    w.fake.log.exists = false;
    assert_null(strstr(write_text(&w), "kamacache_sync_log_"));
    world_close(&w);
}

/* A node says of itself whether it is ready and has a lease. */
static void test_node(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 2);
    const char *text = write_text(&w);
    expect(text, "kamacache_ready 1");
    expect(text, "kamacache_lease_held 1");
    expect(text, "kamacache_degraded 0");
    expect(text, "kamacache_ring_members 2");
    expect(text, "kamacache_ring_changes_total 105");
    expect(text, "kamacache_etcd_up 103");
    expect(text, "kamacache_etcd_lease_ttl_seconds 7.5");
    assert_null(strstr(text, "kamacache_cluster_peers"));
    w.fake.node = (struct km_cluster_node){.lease_id = 7, .degraded = "lease"};
    w.fake.registry.lease_age_ms = 10001;
    text = write_text(&w);
    expect(text, "kamacache_ready 0");
    expect(text, "kamacache_lease_held 0");
    expect(text, "kamacache_degraded 1");
    expect(text, "kamacache_etcd_lease_ttl_seconds 0");
    world_close(&w);
}

/* The first 64 other members have their address, the others are summed. */
static void test_more_members(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1 + 64 + 3);
    const char *text = write_text(&w);
    expect(text, "kamacache_peers{state=\"up\"} 67");
    expect(text, "kamacache_peer_up{peer=\"10.0.0.64:1\"} 1");
    assert_null(strstr(text, "peer=\"10.0.0.65:1\""));
    expect(text, "kamacache_peer_requests_total"
                 "{peer=\"other\",method=\"fill\",code=\"OK\"} "
                 "198"); /* 65 + 66 + 67 */
    expect(text, "kamacache_peer_request_duration_seconds_count"
                 "{peer=\"other\"} 3");
    expect(text, "kamacache_peer_served_total{peer=\"other\"} 12");
    expect(text, "kamacache_sync_mutations_total"
                 "{peer=\"other\",result=\"applied\"} 396");
    expect(text, "kamacache_sync_gaps_total"
                 "{peer=\"other\",direction=\"received\"} 12");
    assert_null(strstr(text, "peer_up{peer=\"other\"}"));
    assert_null(strstr(text, "sync_connected{peer=\"other\"}"));
    world_close(&w);
}

/* A node alone says nothing of a cluster. */
static void test_alone(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 0);
    const char *text = write_text(&w);
    expect(text, "kamacache_ready 1");
    assert_null(strstr(text, "kamacache_cluster_"));
    assert_null(strstr(text, "kamacache_peers"));
    assert_null(strstr(text, "kamacache_etcd_"));
    assert_null(strstr(text, "kamacache_ring_"));
    assert_null(strstr(text, "kamacache_lease_held"));
    world_close(&w);
}

static void test_calls(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 0);
    call_stats(&w);
    const char *text = write_text(&w);
    expect(text, "grpc_server_handled_total{grpc_type=\"unary\","
                 "grpc_service=\"kama.v2.Cache\",grpc_method=\"Stats\","
                 "grpc_code=\"OK\"} 1");
    expect(text, "grpc_server_handling_seconds_count{grpc_type=\"unary\","
                 "grpc_service=\"kama.v2.Cache\",grpc_method=\"Stats\"} 1");
    expect(text, "kamacache_calls_total 1");
    expect(text, "kamacache_h2_abuse_closed_total{reason=\"stall\"} 0");
    world_close(&w);
}

/* -- the document ---------------------------------------------------------- */

static char *read_document(void)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/docs/METRICS.md",
                   getenv("KAMA_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    (void)fclose(file);
    return text;
}

static bool has_part(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static void append_label(const char *label, size_t n, char *line)
{
    size_t len = strlen(line);
    (void)snprintf(line + len, LINE_BYTES - len, "%s`%.*s`",
                   line[len - 1] == '`' ? ", " : " ", (int)n, label);
}

/* Appends the names of the labels of the first sample behind `at`, without le. */
static void append_labels(const char *at, char *line)
{
    const char *end = strchr(at, '\n');
    const char *label = strpbrk(at, "{ ");
    while (label != NULL && label < end && *label != ' ' && *label != '}') {
        size_t n = strcspn(label + 1, "=");
        if (n != 2 || memcmp(label + 1, "le", 2) != 0) {
            append_label(label + 1, n, line);
        }
        label = strchr(label + 1 + n + 2, '"') + 1; /* behind the value */
    }
}

/* Makes the line of the family whose HELP begins at `help`. */
static void make_line(const char *help, char line[LINE_BYTES])
{
    char name[128];
    char type[32];
    const char *sentence = strchr(help + strlen("# HELP "), ' ') + 1;
    const char *end = strchr(help, '\n');
    const char *samples = strchr(end + 1, '\n') + 1;
    assert_int_equal(sscanf(end, "\n# TYPE %127s %31s", name, type), 2);
    (void)snprintf(line, LINE_BYTES, "| `%s` | %s |%s |", name, type,
                   has_part(name, "_seconds") ? " seconds"
                   : has_part(name, "_bytes") ? " bytes"
                                              : "");
    if (samples[0] == '#' || samples[0] == '\0') {
        fail_msg("%s has no samples", name);
    }
    append_labels(samples, line);
    size_t len = strlen(line);
    (void)snprintf(line + len, LINE_BYTES - len, " | %.*s |\n",
                   (int)(end - sentence), sentence);
}

static unsigned count_lines(const char *text, const char *begin)
{
    unsigned count = 0;
    for (const char *at = strstr(text, begin); at != NULL;
         at = strstr(at + 1, begin)) {
        count++;
    }
    return count;
}

/* The document has the line of each family, and of no other one. */
static void test_document(void **state)
{
    struct world w;
    char line[LINE_BYTES];
    char *document = read_document();
    (void)state;
    world_open(&w, 3);
    call_stats(&w);
    const char *text = write_text(&w);
    for (const char *help = strstr(text, "# HELP "); help != NULL;
         help = strstr(help + 1, "# HELP ")) {
        make_line(help, line);
        if (getenv("KAMA_PRINT") != NULL) {
            fputs(line, stdout);
        } else if (strstr(document, line) == NULL) {
            fail_msg("docs/METRICS.md lacks: %s", line);
        }
    }
    assert_int_equal(count_lines(document, "\n| `"),
                     count_lines(text, "# HELP "));
    free(document);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),  cmocka_unit_test(test_streams),
        cmocka_unit_test(test_node),     cmocka_unit_test(test_more_members),
        cmocka_unit_test(test_alone),    cmocka_unit_test(test_calls),
        cmocka_unit_test(test_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
