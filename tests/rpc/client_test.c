/* SPDX-License-Identifier: MIT */
/* ctest: timeout=180 */
/* The blocking client against our own server, from many threads. */
#include "rpc/client.h"

#include "base/status.h"
#include "rpc/rpc_world.h"

#define THREADS 4
#define CALLS 300

static struct km_client *begin_client(const char *address)
{
    const struct km_channel_options options = {.address = address};
    struct km_client *client = NULL;
    assert_int_equal(km_client_new(&options, &client), KAMA_OK);
    return client;
}

/* -- many callers ----------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct km_client *client;
    unsigned index;
    unsigned calls;
    bool wait_for_ready;
    atomic_uint *done; /* calls of all workers */
    unsigned wrong;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct km_buf reply;
    char message[32];
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    for (unsigned i = 0; i < worker->calls; i++) {
        int len = snprintf(message, sizeof message, "%u/%u", worker->index, i);
        const struct km_client_request request = {
            .path = "/t/Echo",
            .message = kama_bytes_make(message, (size_t)len),
            .timeout_ms = WIRE_PATIENCE_MS,
            .wait_for_ready = worker->wait_for_ready};
        km_buf_reset(&reply, SIZE_MAX);
        kama_status status = km_client_unary(worker->client, &request, &reply);
        if (status != KAMA_OK ||
            !km_bytes_eq(km_buf_bytes(&reply), request.message)) {
            worker->wrong++;
            (void)fprintf(stderr, "%s: %s: %s\n", message,
                          kama_status_name(status), km_last_error());
        }
        atomic_fetch_add(worker->done, 1);
    }
    km_buf_fini(&reply);
    return NULL;
}

static void workers_begin(struct worker *workers, struct km_client *client,
                          unsigned calls, atomic_uint *done)
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.client = client,
                                     .index = i,
                                     .calls = calls,
                                     .wait_for_ready = true,
                                     .done = done};
        assert_true(
            km_thread_start(&workers[i].thread, "worker", work, &workers[i]));
    }
}

static void workers_end(struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
}

/* Threads share one client and get each its own answer. */
static void test_threads(void **state)
{
    (void)state;
    struct world world;
    struct worker workers[THREADS];
    atomic_uint done = 0;
    world_start(&world);
    struct km_client *client = begin_client(world.address);
    workers_begin(workers, client, CALLS, &done);
    workers_end(workers);
    km_client_free(client);
    world_fini(&world);
}

/* -- messages and errors -------------------------------------------------- */

static const kama_status statuses[] = {
#define STATUS(name, value, grpc, http, text) name,
    KAMA_STATUS_MAP(STATUS)
#undef STATUS
};

/* Every status comes back as itself: an error with its sentence, and a success
 * with its answer. */
static void test_statuses(void **state)
{
    (void)state;
    struct world world;
    struct km_buf reply;
    world_start(&world);
    struct km_client *client = begin_client(world.address);
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%d", statuses[i]);
        const struct km_client_request request = {
            .path = "/t/Fail", .message = kama_bytes_str(number)};
        assert_int_equal(km_client_unary(client, &request, &reply),
                         statuses[i]);
        if (km_status_is_success(statuses[i])) {
            assert_true(km_bytes_eq(km_buf_bytes(&reply), KM_LIT("done")));
            km_buf_reset(&reply, SIZE_MAX);
            continue;
        }
        /* The text of the server is shown as one line. */
        assert_string_equal(km_last_error(), "100% \xe7\xbc\x93\\n");
        assert_int_equal(reply.len, 0);
    }
    km_buf_fini(&reply);
    km_client_free(client);
    world_fini(&world);
}

struct heard {
    struct km_client *client;
    unsigned count;
    kama_status nested;
};

static kama_status on_counted(void *arg, kama_bytes message)
{
    struct heard *seen = arg;
    KM_ASSERT(message.len == COUNT_BYTES);
    KM_ASSERT(((const uint8_t *)message.data)[1] == (uint8_t)seen->count);
    seen->count++;
    struct km_buf reply;
    const struct km_client_request request = {.path = "/t/Echo"};
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    seen->nested = km_client_unary(seen->client, &request, &reply);
    return KAMA_OK;
}

/* Ten megabytes in order, through windows that are smaller; a blocking call
 * from inside is refused instead of hanging. */
static void test_stream(void **state)
{
    (void)state;
    struct world world;
    struct heard seen = {0};
    world_start(&world);
    seen.client = begin_client(world.address);
    const struct km_client_request request = {.path = "/t/Count",
                                              .message = KM_LIT("1000")};
    assert_int_equal(km_client_stream(seen.client, &request, on_counted, &seen),
                     KAMA_OK);
    assert_int_equal(seen.count, 1000);
    assert_int_equal(seen.nested, KAMA_ERR_WOULD_DEADLOCK);
    km_client_free(seen.client);
    world_fini(&world);
}

static kama_status refuse_tenth(void *arg, kama_bytes message)
{
    unsigned *count = arg;
    (void)message;
    return ++*count == 10 ? KAMA_ERR_STATE : KAMA_OK;
}

/* An error of the callback ends the stream, and is the result. */
static void test_refused_message(void **state)
{
    (void)state;
    struct world world;
    unsigned count = 0;
    world_start(&world);
    struct km_client *client = begin_client(world.address);
    const struct km_client_request request = {.path = "/t/Count",
                                              .message = KM_LIT("1000")};
    assert_int_equal(km_client_stream(client, &request, refuse_tenth, &count),
                     KAMA_ERR_STATE);
    assert_int_equal(count, 10);
    world_wait(&world, &world.cancelled, 1);
    km_client_free(client);
    world_fini(&world);
}

/* Replies are appended; after an error the buffer is as it was, also when it
 * is the buffer that is too small. */
static void test_reply(void **state)
{
    (void)state;
    struct world world;
    struct km_buf reply;
    world_start(&world);
    struct km_client *client = begin_client(world.address);
    km_buf_init(&reply, km_mem_default(), 4);
    struct km_client_request request = {.path = "/t/Echo",
                                        .message = KM_LIT("ab")};
    assert_int_equal(km_client_unary(client, &request, &reply), KAMA_OK);
    assert_int_equal(km_client_unary(client, &request, &reply), KAMA_OK);
    assert_int_equal(km_client_unary(client, &request, &reply),
                     KAMA_ERR_TOO_LARGE);
    request.path = "/t/Park";
    request.timeout_ms = 50;
    assert_int_equal(km_client_unary(client, &request, &reply),
                     KAMA_ERR_TIMEOUT);
    assert_int_equal(reply.len, 4);
    assert_memory_equal(reply.data, "abab", 4);
    km_buf_fini(&reply);
    world_wait(&world, &world.cancelled, 1);
    world_release(&world);
    km_client_free(client);
    km_client_free(NULL);
    world_fini(&world);
}

/* -- a server that is replaced ------------------------------------------------ */

/* The server drains, and another begins on its address. */
static void replace_server(struct world *world)
{
    char address[64];
    struct km_loop *loop = NULL;
    (void)snprintf(address, sizeof address, "%s", world->address);
    world_fini(world);
    assert_int_equal(world->cut, 0);
    *world = (struct world){.loop_count = 1};
    assert_true(km_mutex_init(&world->lock, KM_RANK_NODE));
    assert_true(km_cond_init(&world->cond));
    assert_int_equal(km_loop_new(NULL, NULL, 0, &loop), KAMA_OK);
    assert_int_equal(km_loop_start(loop), KAMA_OK);
    world->loops[0] = loop;
    const struct km_server_options options = {
        .clock = km_clock_system(),
        .loops = world->loops,
        .loop_count = 1,
        .methods = world_methods,
        .method_count = sizeof world_methods / sizeof world_methods[0],
        .arg = world,
    };
    assert_int_equal(km_server_new(&options, &world->server), KAMA_OK);
    assert_int_equal(km_server_listen(world->server, address), KAMA_OK);
    (void)snprintf(world->address, sizeof world->address, "%s", address);
}

static void wait_for_calls(atomic_uint *done, unsigned n)
{
    km_ns until = world_patience();
    while (atomic_load(done) < n) {
        assert_true(km_clock_mono(km_clock_system()) < until);
        sched_yield();
    }
}

/* Servers drain and are replaced under load: no call is lost. */
static void test_rolling_restart(void **state)
{
    (void)state;
    struct world world;
    struct worker workers[THREADS];
    atomic_uint done = 0;
    world_start(&world);
    struct km_client *client = begin_client(world.address);
    workers_begin(workers, client, CALLS * 10, &done);
    for (unsigned i = 1; i <= 3; i++) {
        wait_for_calls(&done, i * CALLS);
        replace_server(&world);
    }
    workers_end(workers);
    km_client_free(client);
    world_fini(&world);
}

/* No server there: an error with the address in its sentence, at once; again
 * between attempts. */
static void test_unreachable(void **state)
{
    (void)state;
    struct world world;
    struct km_buf reply;
    char address[64];
    world_start(&world);
    (void)snprintf(address, sizeof address, "%s", world.address);
    world_fini(&world);
    struct km_client *client = begin_client(address);
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        const struct km_client_request request = {.path = "/t/Echo"};
        assert_int_equal(km_client_unary(client, &request, &reply),
                         KAMA_ERR_UNREACHABLE);
        assert_non_null(strstr(km_last_error(), address));
    }
    km_buf_fini(&reply);
    km_client_free(client);

    const struct km_channel_options bad = {.address = "nowhere"};
    assert_int_equal(km_client_new(&bad, &client), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "nowhere"));
}

/* A socket that accepts connections (the kernel does) and says nothing. */
static int open_mute(char *address, size_t cap)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(address, cap, "127.0.0.1:%u", ntohs(addr.sin_port));
    return fd;
}

/* A peer that accepts and never speaks takes the whole time of the call, no
 * less, and the sentence names the step that was not reached. */
static void test_mute_peer_takes_the_time_of_the_call(void **state)
{
    (void)state;
    char address[64];
    struct km_buf reply;
    int fd = open_mute(address, sizeof address);
    struct km_client *client = begin_client(address);
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    for (int i = 0; i < 4; i++) {
        const struct km_client_request request = {
            .path = "/t/Echo",
            .timeout_ms = 300,
            .wait_for_ready = i % 2 != 0,
            .unreached = i < 2 ? KAMA_ERR_UNREACHABLE : KAMA_OK};
        km_ns before = km_clock_mono(km_clock_system());
        assert_int_equal(km_client_unary(client, &request, &reply),
                         i < 2 ? KAMA_ERR_UNREACHABLE : KAMA_ERR_TIMEOUT);
        assert_true(km_clock_mono(km_clock_system()) - before >=
                    300 * KM_NS_PER_MS);
        assert_string_equal(km_last_error(),
                            "deadline exceeded; connected, but there was no "
                            "answer in time");
    }
    km_buf_fini(&reply);
    km_client_free(client);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_refused_message),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_rolling_restart),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_mute_peer_takes_the_time_of_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
