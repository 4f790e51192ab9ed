/* SPDX-License-Identifier: MIT */
/* The checks that a node makes of itself, each one on both sides of its limit. */
#include "services/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

/* What was found, as "id severity". */
struct found {
    unsigned count;
    char text[512];
    char last[256];
};

static void on_found(void *arg, enum km_finding finding,
                     enum km_severity severity, const char *text)
{
#define ROW(name, id, severities, meaning, advice) id,
    static const char *const ids[] = {KM_FINDING_MAP(ROW)};
    struct found *found = arg;
    size_t len = strlen(found->text);
    found->count++;
    snprintf(found->text + len, sizeof found->text - len, "%s%s %s",
             len > 0 ? ", " : "", ids[finding],
             severity == KM_SEVERITY_FAIL ? "fail" : "warn");
    snprintf(found->last, sizeof found->last, "%s", text);
}

/* Facts with which nothing is wrong. */
static const struct km_cluster_node ready = {
    .etcd = "e:1", .ready = true, .degraded = "", .sync_differs = ""};

static struct km_doctor_facts good(void)
{
    return (struct km_doctor_facts){.node = &ready,
                                    .registry = {.exists = true,
                                                 .up = true,
                                                 .lease_ttl_ms = 9000,
                                                 .lease_age_ms = 3000,
                                                 .latency_ns = 1000000},
                                    .host = {.descriptors_max = 1024,
                                             .memory_limit_bytes = 1000 * MIB,
                                             .overcommit = KM_OVERCOMMIT_NEVER,
                                             .commit_limit_bytes = 800 * MIB},
                                    .connections_max = 900,
                                    .groups_max_bytes = 800 * MIB};
}

static void expect(const struct km_doctor_facts *facts, const char *text)
{
    struct found found = {.count = 0};
    km_doctor_check(facts, on_found, &found);
    assert_string_equal(found.text, text);
}

static void test_nothing(void **state)
{
    struct km_doctor_facts f = good();
    (void)state;
    expect(&f, "");
    f.registry = (struct km_cluster_registry){.exists = false};
    f.host = (struct km_host){.descriptors_max = 0}; /* nothing is known */
    f.groups_max_bytes = UINT64_MAX;
    expect(&f, "");
}

static void test_readiness(void **state)
{
    static const char *const steps[] = {"view", "lease"};
    struct km_cluster_node node = ready;
    struct km_doctor_facts f = good();
    struct found found = {.count = 0};
    (void)state;
    f.node = &node;
    node.degraded = "lease";
    expect(&f, "degraded warn");
    node.degraded = "";
    node.ready = false;
    node.missing = steps;
    node.missing_count = 2;
    expect(&f, "not-ready fail");
    km_doctor_check(&f, on_found, &found);
    assert_non_null(strstr(found.last, "missing: view lease"));
}

static void test_registry(void **state)
{
    struct km_doctor_facts f = good();
    (void)state;
    f.registry.up = false;
    expect(&f, "registry-down fail");
    f = good();
    f.registry.latency_ns = 201000000;
    expect(&f, "registry-slow warn");
    f = good();
    f.registry.lease_age_ms = 6000;
    expect(&f, "");
    f.registry.lease_age_ms = 6001;
    expect(&f, "lease-old warn");
    f.registry.lease_age_ms = 9000;
    expect(&f, "lease-old fail");
}

static void test_limits(void **state)
{
    struct km_doctor_facts f = good();
    (void)state;
    f.connections_max = 1000;
    expect(&f, "descriptor-limit warn");
    f = good();
    f.groups_max_bytes = 800 * MIB + 1;
    expect(&f, "memory-limit warn, overcommit warn");
    f.host.overcommit = KM_OVERCOMMIT_GUESS;
    expect(&f, "memory-limit warn");
    f.groups_max_bytes = 1000 * MIB + 1;
    expect(&f, "memory-limit fail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_readiness),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
