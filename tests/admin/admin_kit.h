/* SPDX-License-Identifier: MIT */
/*
 * A node that the tests of the admin port make up: its answers are what the test
 * has set. And a way to ask it by a route, without sockets.
 *
 *     struct kit kit;
 *     kit_begin(&kit);
 *     kit.phase = KM_ADMIN_DRAINING;
 *     kit_ask(&kit, "/readyz", "");
 *     assert_int_equal(kit.reply.code, 503);
 *     kit_end(&kit);
 */
#pragma once

#include "admin/route.h"
#include "admin/source.h"
#include "base/bytes.h"
#include "base/status.h"
#include "group/registry.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct kit {
    struct km_registry registry;
    kama_group *group; /* "users" */
    struct km_admin_source source;
    struct km_admin_reply reply;

    /* What the node says. */
    enum km_admin_phase phase;
    bool ready;
    const char *missing[8];
    size_t missing_count;
    const char *degraded;
    const char *sync_differs;
    const char *service;
    struct km_pulse_late late[3];
    size_t late_count;
    size_t metrics_bytes; /* that /metrics has */
    struct km_admin_log log;
};

static inline enum km_admin_phase kit_phase(void *arg)
{
    return ((struct kit *)arg)->phase;
}

static inline uint64_t kit_uptime_ms(void *arg)
{
    (void)arg;
    return 1234;
}

static inline void kit_ask_loops(void *arg, km_ns now)
{
    (void)arg;
    (void)now;
}

static inline size_t kit_late_loops(void *arg, km_ns now, km_ns limit,
                                    struct km_pulse_late *ret_late, size_t cap)
{
    const struct kit *kit = arg;
    size_t count = kit->late_count < cap ? kit->late_count : cap;
    (void)now;
    assert_int_equal(limit, 2 * KM_NS_PER_S);
    memcpy(ret_late, kit->late, count * sizeof ret_late[0]);
    return count;
}

static inline void kit_node(void *arg, kama_node_info_fn fn, void *fn_arg)
{
    const struct kit *kit = arg;
    const kama_node_info info = {
        .struct_size = sizeof info,
        .ready = kit->ready,
        .missing = kit->missing,
        .missing_count = kit->missing_count,
        .listen = "127.0.0.1:8001",
        .advertise = "10.0.0.1:8001",
        .cluster = "blue",
        .service = kit->service,
        .etcd = "127.0.0.1:2379",
        .id = {0xab, 1},
        .lease_id = 0x1234abcd,
        .registration = "active",
        .view_id = 0xfedcba9876543210,
        .peer_count = 1,
        .settled = 1,
        .degraded = kit->degraded,
        .sync_differs = kit->sync_differs,
        .admin = "127.0.0.1:9001",
        .group_count = 1,
        .start_ms = 5,
    };
    fn(fn_arg, &info);
}

static inline void kit_members(void *arg,
                               const struct km_admin_visitor *visitor)
{
    static const char *const labels[] = {"zone-a", "ssd"};
    const struct km_admin_view view = {"blue", "kama-cache", 0xfedcba9876543210,
                                       true, true};
    kama_member member = {
        .struct_size = sizeof member,
        .state = KAMA_MEMBER_ACTIVE,
        .address = "10.0.0.1:8001",
        .admin = "10.0.0.1:9001",
        .version = "0.2.0",
        .labels = labels,
        .label_count = 2,
        .weight = 3,
        .share_ppm = 600000,
        .self = 1,
        .reach = "self",
        .sync_state = "",
    };
    (void)arg;
    visitor->view(visitor->arg, &view);
    visitor->member(visitor->arg, &member);
    member.address = "10.0.0.2:8001";
    member.state = KAMA_MEMBER_JOINING;
    member.self = 0;
    member.label_count = 0;
    member.fills = UINT64_MAX;
    member.sync_state = "in_sync";
    member.sync_up = 1;
    member.sync_queue = 2;
    member.sync_lag_ns = 1500;
    member.sync_gaps_received = 4;
    visitor->member(visitor->arg, &member);
}

static inline void kit_log(void *arg, struct km_admin_log *ret_log)
{
    *ret_log = ((const struct kit *)arg)->log;
}

static inline kama_status kit_owner(void *arg, const char *group,
                                    kama_bytes key, kama_owner_fn fn,
                                    void *fn_arg)
{
    static const char *const addresses[] = {"10.0.0.2:8001"};
    const kama_owner owner = {.struct_size = sizeof owner,
                              .addresses = addresses,
                              .address_count = 1,
                              .slot = 77};
    (void)arg;
    (void)key;
    assert_string_equal(group, "users");
    fn(fn_arg, &owner);
    return KAMA_OK;
}

static inline kama_status kit_metrics(void *arg, enum km_metric_format format,
                                      struct km_buf *out)
{
    const struct kit *kit = arg;
    kama_status status = km_buf_append_str(
        out, format == KM_METRIC_OPENMETRICS ? "open\n" : "text\n");
    for (size_t n = 0; n < kit->metrics_bytes && status == KAMA_OK; n++) {
        status = km_buf_append(out, "x", 1);
    }
    return status;
}

static const struct km_admin_ops kit_ops = {
    .phase = kit_phase,
    .uptime_ms = kit_uptime_ms,
    .ask_loops = kit_ask_loops,
    .late_loops = kit_late_loops,
    .node = kit_node,
    .members = kit_members,
    .log = kit_log,
    .owner = kit_owner,
    .metrics = kit_metrics,
};

static inline void kit_begin(struct kit *kit)
{
    kama_group_options options;
    memset(kit, 0, sizeof *kit);
    kama_group_options_init(&options);
    options.name = "users";
    options.ttl_jitter = 10;
    options.ttl_ms = 60000;
    assert_int_equal(km_registry_init(&kit->registry, km_mem_default()),
                     KAMA_OK);
    assert_int_equal(kama_group_new(&options, &kit->group), KAMA_OK);
    km_registry_add(&kit->registry, kit->group);
    kit->source = (struct km_admin_source){&kit_ops, kit, &kit->registry};
    kit->phase = KM_ADMIN_SERVING;
    kit->ready = true;
    kit->degraded = "";
    kit->sync_differs = "";
    kit->service = "kama-cache";
    km_admin_reply_init(&kit->reply, km_mem_default());
}

static inline void kit_end(struct kit *kit)
{
    km_admin_reply_fini(&kit->reply);
    km_registry_fini(&kit->registry);
}

static inline void kit_set(struct kit *kit, kama_bytes key, const char *value)
{
    assert_int_equal(kama_set(kit->group, key, KAMA_STR(value), NULL), KAMA_OK);
}

static inline void kit_ask_as(struct kit *kit, const char *path,
                              const char *query, const char *accept)
{
    const struct km_admin_context context = {.source = &kit->source,
                                             .query = KAMA_STR(query),
                                             .accept = KAMA_STR(accept),
                                             .now = 9 * KM_NS_PER_S};
    km_last_error_clear();
    km_admin_route_answer(km_admin_route_find(KAMA_STR(path)), &context,
                          &kit->reply);
}

static inline void kit_ask(struct kit *kit, const char *path, const char *query)
{
    kit_ask_as(kit, path, query, "");
}

/* Asserts the code and the whole text of the answer. */
static inline void kit_expect(struct kit *kit, int code, const char *text)
{
    assert_int_equal(kit->reply.code, code);
    assert_int_equal(kit->reply.body.len, strlen(text));
    assert_memory_equal(kit->reply.body.data, text, strlen(text));
}

/* Returns the answer as JSON, for json_decref. */
static inline json_t *kit_json(struct kit *kit)
{
    json_error_t error;
    assert_string_equal(kit->reply.type, "application/json");
    json_t *json = json_loadb((const char *)kit->reply.body.data,
                              kit->reply.body.len, 0, &error);
    assert_non_null(json);
    return json;
}

/* Asserts that the answer is an error, whose sentence has a piece. */
static inline void kit_expect_error(struct kit *kit, int code,
                                    const char *error, const char *piece)
{
    json_t *json = kit_json(kit);
    assert_int_equal(kit->reply.code, code);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), code);
    assert_string_equal(json_string_value(json_object_get(json, "error")),
                        error);
    const char *said = json_string_value(json_object_get(json, "message"));
    if (strstr(said, piece) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", said, piece);
    }
    json_decref(json);
}
