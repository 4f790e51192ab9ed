/* SPDX-License-Identifier: MIT */
/* ctest: timeout=180 */
/* The channel against a gRPC server that is not ours (grpcio, C-core). */
#include "rpc/channel.h"

#include "rpc/channel_kit.h"

#include "helpers/failmalloc.h"

#include "base/limits.h"

static struct python server;
static struct caller caller;

static int begin(void **state)
{
    (void)state;
    caller_begin(&caller, server.address);
    return 0;
}

static int end(void **state)
{
    (void)state;
    caller_end(&caller);
    python_stop(&server, false);
    return 0;
}

/* Waits until the server's counter has come to n. */
static void server_wait(const char *name, unsigned n)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s %u\n", name, n);
    assert_int_equal(write(server.in, line, (size_t)len), len);
    assert_non_null(fgets(line, sizeof line, server.out));
    assert_true((unsigned)atoi(line) >= n);
}

/* -- unary ----------------------------------------------------------------- */

/* Messages of no, one and many bytes, over and over on one connection. */
static void test_unary(void **state)
{
    (void)state;
    expect_unary(&caller, "/test.S/Echo", "hello", KAMA_OK, 0, "hello|", "");
    expect_unary(&caller, "/test.S/Echo", "", KAMA_OK, 0, "|", "");
    for (int i = 0; i < 50; i++) {
        expect_unary(&caller, "/test.S/Echo", "again", KAMA_OK, 0, "again|",
                     "");
    }
}

/* A message as large as windows are not, both ways, and one byte too many. */
static void test_large(void **state)
{
    (void)state;
    size_t len = KM_RPC_MESSAGE_BYTES_MIN;
    char *text = malloc(len + 2);
    memset(text, 'a', len);
    text[len] = '|';
    text[len + 1] = '\0';
    char *expected = strdup(text);
    text[len] = '\0';
    expect_unary(&caller, "/test.S/Echo", text, KAMA_OK, 0, expected, "");
    char number[16];
    (void)snprintf(number, sizeof number, "%zu", len + 1);
    expect_unary(&caller, "/test.S/Big", number, KAMA_ERR_TOO_LARGE, 8, "",
                 "a message over 4194304 bytes");
    expect_unary(&caller, "/test.S/Echo", "on", KAMA_OK, 0, "on|", "");
    free(text);
    free(expected);
}

/* Codes and texts of the server arrive, whatever is in the text. */
static void test_errors(void **state)
{
    (void)state;
    expect_unary(&caller, "/test.S/Fail", "3:bad thing", KAMA_ERR_INVALID, 3,
                 "", "bad thing");
    expect_unary(&caller, "/test.S/Fail", "5:100% \xe7\xbc\x93\n\x01",
                 KAMA_MISS, 5, "", "100% \xe7\xbc\x93\n\x01");
    expect_unary(&caller, "/test.S/Fail", "14:", KAMA_ERR_NOT_READY, 14, "",
                 NULL);
    expect_unary(&caller, "/test.S/Nothing", "", KAMA_ERR_UNSUPPORTED, 12, "",
                 NULL);
}

/* kama-status says more than the code; a name that is none says nothing. */
static void test_kama_status(void **state)
{
    (void)state;
    expect_unary(&caller, "/test.S/Kama", "5:KAMA_ERR_NO_GROUP",
                 KAMA_ERR_NO_GROUP, 5, "", "as kama says");
    expect_unary(&caller, "/test.S/Kama", "8:KAMA_ERR_BUSY", KAMA_ERR_BUSY, 8,
                 "", NULL);
    expect_unary(&caller, "/test.S/Kama", "8:KAMA_OK", KAMA_ERR_OVERLOADED, 8,
                 "", NULL);
    expect_unary(&caller, "/test.S/Kama", "9:nonsense", KAMA_ERR_STATE, 9, "",
                 NULL);
    expect_unary(&caller, "/test.S/Kama", "9:KAMA_UNSYNCED", KAMA_ERR_STATE, 9,
                 "", NULL);
}

/* No message, or two, where one belongs. */
static void test_not_unary(void **state)
{
    (void)state;
    expect_unary(&caller, "/test.S/Zero", "", KAMA_ERR_PROTOCOL, 13, "",
                 "no message");
    expect_unary(&caller, "/test.S/Two", "a", KAMA_ERR_PROTOCOL, 13, "a|",
                 "more than one message");
}

/* The server sees every part of a call. */
static void test_metadata(void **state)
{
    (void)state;
    static const char *const metadata[][2] = {{"x-one", "1"}, {"x-two", ""}};
    const char *request = "";
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Meta");
    o.requests = &request;
    o.request_count = 1;
    o.options.metadata = metadata;
    o.options.metadata_count = 2;
    o.timeout_ms = 50 * 1000;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    o.messages.data[o.messages.len - 1] = '\0';
    const char *seen = (const char *)o.messages.data;
    assert_non_null(strstr(seen, "x-one=1\n"));
    assert_non_null(strstr(seen, "x-two=\n"));
    assert_non_null(strstr(seen, "user-agent=grpc-c-kamacache/"));
    assert_non_null(strstr(seen, "left=50"));
    outcome_fini(&o);

    outcome_init(&o, &caller, "/test.S/Meta");
    o.requests = &request;
    o.request_count = 1;
    o.timeout_ms = 0;
    outcome_run(&o);
    o.messages.data[o.messages.len - 1] = '\0';
    assert_non_null(strstr((const char *)o.messages.data, "left=none"));
    outcome_fini(&o);

    outcome_init(&o, &caller, "/test.S/Meta");
    o.options.metadata = metadata;
    o.options.metadata_count = KM_CHANNEL_METADATA_MAX + 1;
    on_loop(caller.loop, outcome_start, &o);
    assert_int_equal(o.started, KAMA_ERR_INVALID);
    outcome_fini(&o);
}

/* -- streams ---------------------------------------------------------------- */

/* A thousand messages in order. */
static void test_server_stream(void **state)
{
    (void)state;
    const char *request = "1000";
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Count");
    o.options.unary = false;
    o.requests = &request;
    o.request_count = 1;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    assert_int_equal(o.count, 1000);
    assert_memory_equal(o.messages.data, "0|1|2|3|4|", 10);
    outcome_fini(&o);
}

/* Both sides talk; the client says its last word when it has heard enough. */
static void test_bidi(void **state)
{
    (void)state;
    static const char *const requests[] = {"a", "b", "c"};
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Chat");
    o.options.unary = false;
    o.requests = requests;
    o.request_count = 3;
    o.keep_open = true;
    o.say_at = 3;
    o.farewell = "d";
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    assert_int_equal(o.messages.len, 8);
    assert_memory_equal(o.messages.data, "a|b|c|d|", 8);
    outcome_fini(&o);
}

/* The server ends while the client's half is open. */
static void test_server_ends_first(void **state)
{
    (void)state;
    static const char *const requests[] = {"a", "bye", "unheard"};
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Chat");
    o.options.unary = false;
    o.requests = requests;
    o.request_count = 3;
    o.keep_open = true;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    assert_int_equal(o.count, 2);
    outcome_fini(&o);
    expect_unary(&caller, "/test.S/Echo", "on", KAMA_OK, 0, "on|", "");
}

/* Cancelled in the middle of a stream: nothing comes after that. */
static void test_cancel_in_stream(void **state)
{
    (void)state;
    const char *request = "100000";
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Count");
    o.options.unary = false;
    o.requests = &request;
    o.request_count = 1;
    o.cancel_at = 5;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_ERR_CANCELLED);
    assert_int_equal(o.code, 1);
    assert_int_equal(o.count, 5);
    outcome_fini(&o);
    expect_unary(&caller, "/test.S/Echo", "on", KAMA_OK, 0, "on|", "");
}

/* -- deadlines and cancelling ----------------------------------------------- */

/* The deadline ends the call here, and there. */
static void test_deadline(void **state)
{
    (void)state;
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Hang");
    o.request_count = 1;
    o.requests = (const char *const[]){""};
    o.timeout_ms = 150;
    km_ns before = kit_now();
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(o.code, 4);
    assert_true(kit_now() - before >= 100 * KM_NS_PER_MS); /* not at once */
    outcome_fini(&o);
    expect_unary(&caller, "/test.S/Cancelled", "1", KAMA_OK, 0, "1|", "");
}

/* A call that is cancelled ends here at once, and the server hears of it. */
static void test_cancel(void **state)
{
    (void)state;
    struct outcome o;
    outcome_init(&o, &caller, "/test.S/Hang");
    o.request_count = 1;
    o.requests = (const char *const[]){""};
    outcome_launch(&o);
    server_wait("hanging", 2);
    on_loop(caller.loop, outcome_cancel, &o);
    latch_wait(&o.done, 1);
    assert_int_equal(o.status, KAMA_ERR_CANCELLED);
    assert_int_equal(o.code, 1);
    outcome_fini(&o);
    expect_unary(&caller, "/test.S/Cancelled", "2", KAMA_OK, 0, "2|", "");
}

/* Many at a time share the connection. */
static void test_concurrent(void **state)
{
    (void)state;
    enum { CALLS = 300 };
    static struct outcome calls[CALLS];
    for (int i = 0; i < CALLS; i++) {
        outcome_init(&calls[i], &caller, "/test.S/Echo");
        calls[i].request_count = 1;
        calls[i].requests = (const char *const[]){"x"};
        outcome_launch(&calls[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        latch_wait(&calls[i].done, 1);
        assert_int_equal(calls[i].status, KAMA_OK);
        outcome_fini(&calls[i]);
    }
}

/* -- restarts --------------------------------------------------------------- */

/* A draining server lets the call that runs end, and takes no new one; a call
 * that waits for a server gets the next one. */
static void test_restart(void **state)
{
    (void)state;
    struct outcome running;
    struct outcome waiting;
    outcome_init(&running, &caller, "/test.S/Slow");
    running.request_count = 1;
    running.requests = (const char *const[]){"kept"};
    outcome_launch(&running);
    server_wait("hanging", 3);

    unsigned port = python_port(&server);
    python_stop(&server, false);
    latch_wait(&running.done, 1);
    assert_int_equal(running.status, KAMA_OK);
    assert_int_equal(running.count, 1);
    outcome_fini(&running);

    expect_unary(&caller, "/test.S/Echo", "x", KAMA_ERR_UNREACHABLE, 14, "",
                 NULL);
    outcome_init(&waiting, &caller, "/test.S/Echo");
    waiting.request_count = 1;
    waiting.requests = (const char *const[]){"late"};
    waiting.options.wait_for_ready = true;
    outcome_launch(&waiting);
    expect_unary(&caller, "/test.S/Echo", "x", KAMA_ERR_UNREACHABLE, 14, "",
                 NULL);
    assert_int_equal(latch_count(&waiting.done), 0);
    assert_true(python_start(&server, port));
    latch_wait(&waiting.done, 1);
    assert_int_equal(waiting.status, KAMA_OK);
    assert_memory_equal(waiting.messages.data, "late|", 5);
    outcome_fini(&waiting);
}

/* A server that is killed: its calls end as lost, the next one connects. */
static void test_killed(void **state)
{
    (void)state;
    struct outcome o;
    unsigned port = python_port(&server);
    outcome_init(&o, &caller, "/test.S/Hang");
    o.request_count = 1;
    o.requests = (const char *const[]){""};
    o.options.wait_for_ready = true;
    outcome_launch(&o);
    server_wait("hanging", 1);
    python_stop(&server, true);
    latch_wait(&o.done, 1);
    assert_int_equal(o.status, KAMA_ERR_DISCONNECTED);
    assert_int_equal(o.code, 14);
    outcome_fini(&o);

    assert_true(python_start(&server, port));
    outcome_init(&o, &caller, "/test.S/Echo");
    o.request_count = 1;
    o.requests = (const char *const[]){"back"};
    o.options.wait_for_ready = true;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    outcome_fini(&o);
}

/* A call that waits for a server has a deadline all the same, and says why it
 * waited. */
static void test_wait_in_vain(void **state)
{
    (void)state;
    struct caller other;
    struct outcome o;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    char address[64];
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    /* The port stays bound, so that no other process gets it. */
    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   ntohs(addr.sin_port));
    caller_begin(&other, address);
    outcome_init(&o, &other, "/test.S/Echo");
    o.request_count = 1;
    o.requests = (const char *const[]){""};
    o.options.wait_for_ready = true;
    o.timeout_ms = 400;
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_ERR_TIMEOUT);
    assert_non_null(strstr(o.text, "connection refused"));
    outcome_fini(&o);
    caller_end(&other);
    close(fd);
}

/* Closing ends the calls that run and those that wait. */
static void test_close(void **state)
{
    (void)state;
    struct caller other;
    struct outcome running;
    struct outcome connecting;
    caller_begin(&other, server.address);
    outcome_init(&connecting, &other, "/test.S/Hang");
    outcome_launch(&connecting);
    on_loop(other.loop, caller_close, &other);
    latch_wait(&connecting.done, 1);
    assert_int_equal(connecting.status, KAMA_ERR_CANCELLED);
    latch_wait(&other.freed, 1);
    loop_end(other.loop);
    outcome_fini(&connecting);
    latch_fini(&other.freed);

    caller_begin(&other, server.address);
    outcome_init(&running, &other, "/test.S/Count");
    running.options.unary = false;
    running.request_count = 1;
    running.requests = (const char *const[]){"1000000"};
    outcome_launch(&running);
    latch_wait(&running.got, 1);
    caller_end(&other);
    assert_int_equal(latch_count(&running.done), 1);
    assert_int_equal(running.status, KAMA_ERR_CANCELLED);
    outcome_fini(&running);
}

/* -- memory ------------------------------------------------------------------ */

static kama_status one_call(const kama_allocator *mem, void *arg)
{
    struct caller one;
    struct outcome o;
    kama_status status = caller_try(&one, mem, arg, 0);
    if (status != KAMA_OK) {
        return status;
    }
    outcome_init(&o, &one, "/test.S/Chat");
    o.options.unary = false;
    o.request_count = 2;
    o.requests = (const char *const[]){"a", "bye"};
    on_loop(one.loop, outcome_start, &o);
    status = o.started;
    if (status == KAMA_OK) {
        latch_wait(&o.done, 1);
        status = o.status == KAMA_ERR_CANCELLED ? KAMA_ERR_NO_MEMORY : o.status;
    }
    outcome_fini(&o);
    caller_end(&one);
    return status;
}

/* Each allocation of loop, channel, connection and call fails: the call ends
 * with that error, nothing is left. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(one_call, server.address) > 20);
}

int main(void)
{
    if (!python_start(&server, 0)) {
        (void)puts("skipped: python has no grpc module");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_kama_status),
        cmocka_unit_test(test_not_unary),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_server_stream),
        cmocka_unit_test(test_bidi),
        cmocka_unit_test(test_server_ends_first),
        cmocka_unit_test(test_cancel_in_stream),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_wait_in_vain),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
