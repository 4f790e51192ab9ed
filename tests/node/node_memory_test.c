/* SPDX-License-Identifier: MIT */
/* ctest: timeout=300 */
/* A node that serves every method while each of its allocations fails in
 * turn: callers get an error, the node goes on, and nothing is left behind. */
#include "base/status.h"
#include "helpers/failmalloc.h"
#include "rpc/client.h"

/* Encoded requests: field 1 is the group, field 2 the key. */
struct call {
    const char *path;
    kama_bytes message;
    bool streams;
};

#define MESSAGE(text)                                                          \
    {                                                                          \
        text, sizeof(text) - 1                                                 \
    }
static const struct call calls[] = {
    {"/kama.v1.KamaCacheService/Set", MESSAGE("\x0a\1g\x12\1k\x1a\5value"),
     false},
    {"/kama.v1.KamaCacheService/Get", MESSAGE("\x0a\1g\x12\1k"), false},
    {"/kama.v1.KamaCacheService/Get", MESSAGE("\x0a\1g\x12\4load"), false},
    {"/kama.v1.KamaCacheService/Delete", MESSAGE("\x0a\1g\x12\1k"), false},
    {"/kama.v2.Cache/Set", MESSAGE("\x0a\1g\x12\1k\x1a\5value"), false},
    {"/kama.v2.Cache/Get", MESSAGE("\x0a\1g\x12\1k"), false},
    {"/kama.v2.Cache/Get", MESSAGE("\x0a\1g\x12\5load2"), false},
    {"/kama.v2.Cache/MGet",
     MESSAGE("\x0a\1g\x12\1k\x12\5load3\x12\5load4\x12\5load3"), false},
    {"/kama.v2.Cache/MSet",
     MESSAGE("\x0a\1g\x12\6\x0a\1a\x12\1v\x12\6\x0a\1b\x12\1v"), false},
    {"/kama.v2.Cache/Exists", MESSAGE("\x0a\1g\x12\1a\x12\1z"), false},
    {"/kama.v2.Cache/Touch", MESSAGE("\x0a\1g\x12\1a\x18\x90\x4e"), false},
    {"/kama.v2.Cache/Ttl", MESSAGE("\x0a\1g\x12\1a"), false},
    {"/kama.v2.Cache/MDelete", MESSAGE("\x0a\1g\x12\1a\x12\1z"), false},
    {"/kama.v2.Cache/Scan", MESSAGE("\x0a\1g"), true},
    {"/kama.v2.Cache/Stats", MESSAGE("\x10\1"), false},
    {"/kama.v2.Cache/Groups", MESSAGE(""), false},
    {"/kama.v2.Cache/Ping", MESSAGE(""), false},
    {"/kama.v2.Cache/Delete", MESSAGE("\x0a\1g\x12\1k"), false},
    {"/kama.v2.Cache/Clear", MESSAGE("\x0a\1g"), false},
    {"/kama.v2.Cache/Resize", MESSAGE("\x0a\1g\x10\x80\x80\x80\x20"), false},
    {"/kama.v2.Cache/HotKeys", MESSAGE("\x0a\1g"), false},
    {"/kama.v2.Cache/HotKeys", MESSAGE("\x0a\1g\x18\2"), false},
    {"/grpc.health.v1.Health/Check", MESSAGE(""), false},
    {"/nobody/Knows", MESSAGE(""), false},
};

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    return kama_sink_set(out, req->key, NULL);
}

static kama_status ignore_message(void *arg, kama_bytes message)
{
    (void)arg;
    (void)message;
    return KAMA_OK;
}

static kama_status make_call(struct km_client *client, const struct call *call)
{
    struct km_buf reply;
    struct km_client_request request = {
        .path = call->path,
        .message = call->message,
        .timeout_ms = 10000,
    };
    if (call->streams) {
        return km_client_stream(client, &request, ignore_message, NULL);
    }
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    kama_status status = km_client_unary(client, &request, &reply);
    km_buf_fini(&reply);
    return status;
}

/* Nothing may hang: a deadline that passes is a failure. */
static void make_calls(const char *address, bool may_fail)
{
    struct km_client *client = NULL;
    struct km_channel_options options = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address = address};
    assert_int_equal(km_client_new(&options, &client), KAMA_OK);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        kama_status status = make_call(client, &calls[i]);
        bool unknown = strcmp(calls[i].path, "/nobody/Knows") == 0;
        if (status == KAMA_ERR_TIMEOUT ||
            (!may_fail && (status != KAMA_OK) != unknown)) {
            fail_msg("%s: %s: %s", calls[i].path, kama_status_name(status),
                     km_last_error());
        }
    }
    km_client_free(client);
}

static kama_status serve(kama_node *node, const kama_allocator *mem,
                         bool may_fail)
{
    kama_group_options options;
    kama_group *group;
    kama_group_options_init(&options);
    options.name = "g";
    options.allocator = mem;
    options.loader = load;
    kama_status status = kama_node_add_group(node, &options, &group);
    if (status == KAMA_OK) {
        status = kama_node_start(node);
    }
    if (status == KAMA_OK) {
        make_calls(kama_node_address(node), may_fail);
        status = kama_node_stop(node);
    }
    return status;
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    kama_node_options options;
    kama_node *node;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    options.allocator = mem;
    kama_status status = kama_node_new(&options, &node);
    if (status == KAMA_OK) {
        status = serve(node, mem, arg == NULL);
        kama_node_free(node);
    }
    return status;
}

/* Without a failure every call succeeds, so that the table above tests real
 * calls. */
static void test_calls(void **state)
{
    (void)state;
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    assert_int_equal(scenario(&probe.allocator, &probe), KAMA_OK);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
