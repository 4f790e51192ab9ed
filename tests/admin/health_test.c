/* SPDX-License-Identifier: MIT */
/* /healthz and /readyz: each state of a node, and what is said of it. */
#include "admin/admin_kit.h"

static void test_loops(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/healthz", "");
    kit_expect(&kit, 200, "ok\n");
    kit.late[0] = (struct km_pulse_late){"loop 1", 2310 * KM_NS_PER_MS};
    kit.late[1] = (struct km_pulse_late){"control loop", 9 * KM_NS_PER_S};
    kit.late_count = 2;
    kit_ask(&kit, "/healthz", "");
    kit_expect(&kit, 503,
               "loop 1: no answer for 2310 ms\n"
               "control loop: no answer for 9000 ms\n");
    kit_end(&kit);
}

/* Before it is ready: one line for each missing step, in their order. */
static void test_missing_steps(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit.phase = KM_ADMIN_STARTING;
    kit.ready = false;
    kit.missing[0] = "register";
    kit.missing[1] = "clock";
    kit.missing_count = 2;
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 503, "register\nclock\n");
    kit.phase = KM_ADMIN_SERVING; /* alone, without require_discovery */
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 503, "register\nclock\n");
    kit.phase = KM_ADMIN_STARTING;
    kit.ready = true;
    kit.missing_count = 0;
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 503, "starting\n");
    kit_end(&kit);
}

static void test_ready(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 200, "ready\n");
    kit.degraded = "lease";
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 200, "ready\ndegraded: lease\n");
    kit.sync_differs = "group g has sync=owner here and sync=local on b:1";
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 200,
               "ready\ndegraded: lease\ndegraded: group g has sync=owner here "
               "and sync=local on b:1\n");
    kit_end(&kit);
}

static void test_out_of_service(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit.degraded = "given up";
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 503, "given up\n");
    kit.phase = KM_ADMIN_DRAINING;
    kit_ask(&kit, "/readyz", "");
    kit_expect(&kit, 503, "draining\n");
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_missing_steps),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_out_of_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
