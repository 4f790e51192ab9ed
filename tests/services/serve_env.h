/* SPDX-License-Identifier: MIT */
/*
 * A server with all methods, for tests of services that need real calls:
 *
 *     serve_env(&w->env, &w->loop, &w->server);
 *
 * Threads: the test's; the loop runs already. Ownership: the server is the
 * caller's, and so are the environment and the loop, which it borrows.
 */
#pragma once

#include "rpc/server.h"
#include "services/env.h"
#include "services/methods.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline void serve_env(struct km_service_env *env, struct km_loop **loop,
                             struct km_server **ret_server)
{
    struct km_server_options options = {.mem = km_mem_default(),
                                        .clock = km_clock_system(),
                                        .loops = loop,
                                        .loop_count = 1,
                                        .methods = km_service_methods,
                                        .method_count = km_service_method_count,
                                        .arg = env,
                                        .max_message_bytes = 4u << 20};
    assert_int_equal(km_server_new(&options, ret_server), KAMA_OK);
    km_service_env_open(env, *ret_server);
    assert_int_equal(km_server_listen(*ret_server, "127.0.0.1:0"), KAMA_OK);
    km_service_env_ready(env);
}
