/* SPDX-License-Identifier: MIT */
#include "services/doctor.h"

#include "base/limits.h"
#include "base/text.h"
#include "group/info.h"
#include "rpc/server.h"
#include "services/members.h"
#include "services/service.h"
#include "services/stats.h"
#include "wire/msg/diagnose.h"

#include <inttypes.h>
#include <stdarg.h>

#define SLOW_NS (200 * KM_NS_PER_MS)
#define DESCRIPTORS_BESIDES 64 /* that are not for connections */
#define MIB (1024.0 * 1024.0)

/* -- checks ---------------------------------------------------------------- */

struct checking {
    const struct km_doctor_facts *facts;
    km_doctor_found_fn found;
    void *arg;
};

KAMA_PRINTF(4, 5)
static void find(const struct checking *c, enum km_finding finding,
                 enum km_severity severity, const char *fmt, ...)
{
    char text[KM_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->found(c->arg, finding, severity, text);
}

static void check_readiness(const struct checking *c)
{
    const struct km_cluster_node *node = c->facts->node;
    char steps[KM_ERROR_BYTES_MAX] = "";
    for (size_t i = 0; i < node->missing_count; i++) {
        (void)km_text_printf(steps, sizeof steps, "%s %s", steps,
                             node->missing[i]);
    }
    if (!node->ready) {
        find(c, KM_FINDING_NOT_READY, KM_SEVERITY_FAIL,
             "the node is not ready; steps that are missing:%s",
             steps[0] != '\0' ? steps : " none");
    }
    if (node->degraded[0] != '\0') {
        find(c, KM_FINDING_DEGRADED, KM_SEVERITY_WARN,
             "the node serves without its %s", node->degraded);
    }
}

static void check_registry(const struct checking *c)
{
    const struct km_cluster_registry *r = &c->facts->registry;
    uint64_t patience_ms = r->lease_ttl_ms / 3 * 2;
    if (!r->exists) {
        return;
    }
    if (!r->up) {
        find(c, KM_FINDING_REGISTRY_DOWN, KM_SEVERITY_FAIL,
             "etcd does not answer at %s", c->facts->node->etcd);
    }
    if (r->latency_ns > SLOW_NS) {
        find(c, KM_FINDING_REGISTRY_SLOW, KM_SEVERITY_WARN,
             "etcd took %" PRIu64 " ms to answer the last keepalive",
             (uint64_t)(r->latency_ns / KM_NS_PER_MS));
    }
    if (r->lease_ttl_ms > 0 && r->lease_age_ms > patience_ms) {
        find(c, KM_FINDING_LEASE_OLD,
             r->lease_age_ms >= r->lease_ttl_ms ? KM_SEVERITY_FAIL
                                                : KM_SEVERITY_WARN,
             "the lease of %" PRIu64 " ms was prolonged %" PRIu64 " ms ago",
             r->lease_ttl_ms, r->lease_age_ms);
    }
}

static void check_limits(const struct checking *c)
{
    const struct km_doctor_facts *f = c->facts;
    const struct km_host *host = &f->host;
    if (host->descriptors_max > 0 &&
        f->connections_max + DESCRIPTORS_BESIDES > host->descriptors_max) {
        find(c, KM_FINDING_DESCRIPTOR_LIMIT, KM_SEVERITY_WARN,
             "the node accepts %" PRIu64 " connections, and the process may "
             "open %" PRIu64 " descriptors",
             f->connections_max, host->descriptors_max);
    }
    if (host->memory_limit_bytes > 0 &&
        f->groups_max_bytes > host->memory_limit_bytes / 5 * 4) {
        find(c, KM_FINDING_MEMORY_LIMIT,
             f->groups_max_bytes > host->memory_limit_bytes ? KM_SEVERITY_FAIL
                                                            : KM_SEVERITY_WARN,
             "the groups may take %.0f MiB, and the process may use %.0f MiB",
             (double)f->groups_max_bytes / MIB,
             (double)host->memory_limit_bytes / MIB);
    }
    if (host->overcommit == KM_OVERCOMMIT_NEVER &&
        f->groups_max_bytes > host->commit_limit_bytes) {
        find(c, KM_FINDING_OVERCOMMIT, KM_SEVERITY_WARN,
             "the groups may take %.0f MiB, and the machine commits %.0f MiB "
             "to all processes",
             (double)f->groups_max_bytes / MIB,
             (double)host->commit_limit_bytes / MIB);
    }
}

void km_doctor_check(const struct km_doctor_facts *facts,
                     km_doctor_found_fn found, void *arg)
{
    const struct checking c = {.facts = facts, .found = found, .arg = arg};
    check_readiness(&c);
    check_registry(&c);
    check_limits(&c);
}

/* -- the answer ------------------------------------------------------------- */

/* The answer while it is written. */
struct writer {
    struct km_service_env *env;
    struct km_buf *out;
    kama_status status;
    struct km_doctor_facts facts;
};

static void write_check(void *arg, enum km_finding finding,
                        enum km_severity severity, const char *text)
{
#define ROW(name, id, severities, meaning, advice) {id, advice},
    static const struct {
        const char *id;
        const char *advice;
    } rows[] = {KM_FINDING_MAP(ROW)};
#undef ROW
    struct writer *w = arg;
    const struct km_msg_doctor_check check = {
        .name = KAMA_STR(rows[finding].id),
        .result = severity == KM_SEVERITY_FAIL ? KM_MSG_CHECK_FAIL
                                               : KM_MSG_CHECK_WARN,
        .text = KAMA_STR(text),
        .advice = KAMA_STR(rows[finding].advice),
    };
    if (w->status == KAMA_OK) {
        w->status = km_pb_append_element(w->out, KM_MSG_DOCTOR_CHECKS,
                                         &km_msg_doctor_check_pb, &check);
    }
}

/* Appends a message that was encoded into *part as the field `number`, and ends
 * *part. */
static void write_part(struct writer *w, uint32_t number, struct km_buf *part)
{
    if (w->status == KAMA_OK) {
        w->status = km_pb_append_bytes(w->out, number, km_buf_bytes(part));
    }
    km_buf_fini(part);
}

static void write_node(void *arg, const struct km_cluster_node *node)
{
    struct writer *w = arg;
    struct km_buf part;
    w->facts.node = node;
    km_doctor_check(&w->facts, write_check, w);
    km_buf_init(&part, w->env->mem, SIZE_MAX);
    if (w->status == KAMA_OK) {
        w->status = km_members_append_node(&part, w->env, node);
    }
    write_part(w, KM_MSG_DOCTOR_NODE, &part);
}

static void write_members(void *arg, const struct km_cluster_view *view)
{
    struct writer *w = arg;
    struct km_buf part;
    km_buf_init(&part, w->env->mem, SIZE_MAX);
    if (w->status == KAMA_OK) {
        w->status = km_members_append_view(&part, view);
    }
    write_part(w, KM_MSG_DOCTOR_MEMBERS, &part);
}

static uint64_t sum_max_bytes(const struct km_registry *groups)
{
    uint64_t sum = 0;
    unsigned count = km_registry_count(groups);
    for (unsigned i = 0; i < count; i++) {
        struct km_group_info info;
        km_group_info_get(km_registry_at(groups, i), &info);
        sum += info.max_bytes;
    }
    return sum;
}

static void read_facts(struct writer *w)
{
    km_host_read(&w->facts.host);
    km_cluster_registry(w->env, &w->facts.registry);
    w->facts.connections_max = km_server_connections_max(w->env->server);
    w->facts.groups_max_bytes = sum_max_bytes(w->env->registry);
}

/* The fields that are numbers, and the messages of numbers. */
static void write_numbers(struct writer *w)
{
    const struct km_doctor_facts *f = &w->facts;
    const struct km_msg_doctor_response response = {
        .wall_ms = w->env->clock->wall_ms(w->env->clock->arg),
        .host = {.descriptors_max = f->host.descriptors_max,
                 .connections_max = f->connections_max,
                 .memory_limit_bytes = f->host.memory_limit_bytes,
                 .groups_max_bytes = f->groups_max_bytes,
                 .overcommit_memory = f->host.overcommit,
                 .commit_limit_bytes = f->host.commit_limit_bytes},
        .registry = {.up = f->registry.up,
                     .lease_ttl_ms = f->registry.lease_ttl_ms,
                     .lease_age_ms = f->registry.lease_age_ms,
                     .latency_ns = f->registry.latency_ns},
    };
    if (w->status == KAMA_OK) {
        w->status = km_pb_append(w->out, &km_msg_doctor_response_pb, &response);
    }
}

void km_service_doctor_writable(struct km_server_call *call)
{
    const struct km_service_stats *state = km_server_call_state(call);
    struct km_service_env *env = km_service_env_of(call);
    struct km_buf buf;
    struct writer w = {.env = env, .out = &buf};
    if (!state->asked || !km_server_call_writable(call)) {
        return;
    }
    km_buf_init(&buf, env->mem, SIZE_MAX);
    read_facts(&w);
    write_numbers(&w);
    km_cluster_node(env, write_node, &w);
    km_cluster_view(env, write_members, &w);
    if (w.status == KAMA_OK) {
        w.status =
            km_stats_append_groups(&buf, KM_MSG_DOCTOR_GROUPS, env->registry);
    }
    km_service_reply_buf(call, &buf, w.status);
}

void km_service_v2_doctor(struct km_server_call *call, kama_bytes message)
{
    struct km_service_stats *state = km_server_call_state(call);
    char nothing; /* a request without fields is decoded into nothing */
    if (!km_service_decode(call, &km_msg_empty_pb, message, &nothing)) {
        return;
    }
    state->asked = true;
    km_service_doctor_writable(call);
}
