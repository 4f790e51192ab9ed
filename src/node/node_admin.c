/* SPDX-License-Identifier: MIT */
/* Everything is asked of parts of the node that show it to others as well. */
#include "node/node_admin.h"

#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"
#include "node/node.h"
#include "node/node_member.h"
#include "node/node_metrics.h"
#include "services/explain.h"

static enum km_admin_phase phase(void *arg)
{
    kama_node *node = arg;
    switch (km_service_env_phase(&node->services)) {
    case KM_SERVICE_SERVING:
        return KM_ADMIN_SERVING;
    case KM_SERVICE_CLOSING:
        return KM_ADMIN_DRAINING;
    case KM_SERVICE_STARTING:
        break;
    }
    return KM_ADMIN_STARTING;
}

static uint64_t uptime_ms(void *arg)
{
    kama_node *node = arg;
    return km_service_env_uptime_ms(&node->services);
}

static void ask_loops(void *arg, km_ns now)
{
    kama_node *node = arg;
    km_pulse_ask(&node->pulse, now);
}

static size_t late_loops(void *arg, km_ns now, km_ns limit,
                         struct km_pulse_late *ret_late, size_t cap)
{
    kama_node *node = arg;
    return km_pulse_late(&node->pulse, now, limit, ret_late, cap);
}

/* -- what is shown of the cluster ------------------------------------------ */

struct node_question {
    struct km_service_env *env;
    kama_node_info_fn fn;
    void *arg;
};

static void on_node(void *arg, const struct km_cluster_node *node)
{
    const struct node_question *question = arg;
    kama_node_info info;
    km_node_info_show(node, question->env, &info);
    question->fn(question->arg, &info);
}

static void show_node(void *arg, kama_node_info_fn fn, void *fn_arg)
{
    kama_node *node = arg;
    struct node_question question = {&node->services, fn, fn_arg};
    km_cluster_node(&node->services, on_node, &question);
}

static void on_view(void *arg, const struct km_cluster_view *view)
{
    const struct km_admin_visitor *visitor = arg;
    const struct km_admin_view shown = {.cluster = view->cluster,
                                        .service = view->service,
                                        .view_id = view->view_id,
                                        .settled = view->settled,
                                        .registry_up = view->registry_up};
    visitor->view(visitor->arg, &shown);
    for (size_t i = 0; i < view->count; i++) {
        kama_member member;
        km_node_member_show(&view->members[i], &member);
        visitor->member(visitor->arg, &member);
    }
}

static void show_members(void *arg, const struct km_admin_visitor *visitor)
{
    kama_node *node = arg;
    km_cluster_view(&node->services, on_view, (void *)visitor);
}

static void show_log(void *arg, struct km_admin_log *ret_log)
{
    kama_node *node = arg;
    struct km_cluster_log log;
    km_cluster_log(&node->services, &log);
    *ret_log = (struct km_admin_log){.exists = log.exists,
                                     .seq = log.seq,
                                     .entries = log.entries,
                                     .bytes = log.bytes,
                                     .oldest_ns = log.oldest_ns};
}

static kama_status show_owner(void *arg, const char *group, kama_bytes key,
                              kama_owner_fn fn, void *fn_arg)
{
    return kama_node_owner(arg, group, key, fn, fn_arg);
}

/* -- where a key lives ------------------------------------------------------ */

struct explaining {
    struct km_explain_question question;
    km_admin_explained_fn done;
    void *arg;
};

static void on_explained(struct km_explain_question *question,
                         kama_status status, kama_bytes response)
{
    struct explaining *e =
        KM_CONTAINER_OF(question, struct explaining, question);
    const kama_allocator *mem = question->env->mem;
    e->done(e->arg, status, response);
    km_mem_free(mem, e);
}

static kama_status explain(void *arg, kama_group *group, kama_bytes key,
                           km_admin_explained_fn done, void *done_arg)
{
    kama_node *node = arg;
    struct explaining *e = km_mem_zalloc(&node->mem, 1, sizeof *e);
    if (e == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a question");
    }
    e->done = done;
    e->arg = done_arg;
    e->question = (struct km_explain_question){
        .env = &node->services,
        .group = group,
        .key = key,
        .reach = KM_EXPLAIN_CLUSTER,
        .until = km_ns_after_ms(km_clock_mono(node->clock), KM_EXPLAIN_MS),
        .done = on_explained,
    };
    kama_status status = km_explain_start(&e->question);
    if (status != KAMA_OK) {
        km_mem_free(&node->mem, e);
    }
    return status;
}

static kama_status append_metrics(void *arg, enum km_metric_format format,
                                  struct km_buf *out)
{
    return km_node_metrics_append(arg, format, out);
}

static const struct km_admin_ops ops = {
    .phase = phase,
    .uptime_ms = uptime_ms,
    .ask_loops = ask_loops,
    .late_loops = late_loops,
    .node = show_node,
    .members = show_members,
    .log = show_log,
    .owner = show_owner,
    .explain = explain,
    .metrics = append_metrics,
};

void km_node_admin_source(kama_node *node, struct km_admin_source *ret_source)
{
    *ret_source = (struct km_admin_source){
        .ops = &ops, .arg = node, .registry = &node->registry};
}

/* -- the address ------------------------------------------------------------ */

/* Writes the address with the host at which the node is reached, if its own host
 * stands for all addresses and that one does not. */
static void name_host(const kama_node *node, const char *address, char *text,
                      size_t cap)
{
    struct km_address reached;
    const char *at = node->config.cluster.advertise;
    at = at != NULL ? at : node->config.listen;
    if (km_address_split(at, &reached) == KAMA_OK &&
        !km_address_is_wildcard(reached.host)) {
        km_address_at_host(address, reached.host, text, cap);
    } else {
        (void)km_text_printf(text, cap, "%s", address);
    }
}

kama_status km_node_admin_advertise(kama_node *node, const char *address)
{
    char text[KM_MEMBER_ADDRESS_BYTES];
    name_host(node, address, text, sizeof text);
    char *copy = km_mem_strdup(&node->mem, text);
    if (copy == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    }
    km_mem_free(&node->mem, node->admin);
    node->admin = copy;
    node->services.alone.admin = copy;
    return KAMA_OK;
}
