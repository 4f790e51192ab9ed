/* SPDX-License-Identifier: MIT */
/*
 * Compressed requests of a server: each loop decodes so many bytes that the
 * wire has not paid for, and refuses more. The clock of the server stands still
 * where a test counts bytes, so that the budget does not refill.
 */
#include "rpc/rpc_world.h"

#include "wire/grpc_compress.h"

#include "base/limits.h"

#include <stdatomic.h>

#define CAP KM_RPC_MESSAGE_BYTES_MIN
#define BURST ((size_t)KM_GRPC_DECODED_BURST_MIB << 20)

/* -- a clock that stands still ------------------------------------------- */

struct still_clock {
    struct km_clock clock;
    _Atomic km_ns now; /* 0: it goes with the machine's */
};

static km_ns still_mono(void *arg)
{
    struct still_clock *still = arg;
    km_ns now = atomic_load(&still->now);
    return now != 0 ? now : km_clock_mono(km_clock_system());
}

static uint64_t still_wall_ms(void *arg)
{
    (void)arg;
    return 0;
}

/* -- a server and a client of it ----------------------------------------- */

struct bench {
    struct still_clock still;
    struct world world;
    struct wire_client client;
};

static void bench_init(struct bench *bench)
{
    bench->still.clock = (struct km_clock){.mono = still_mono,
                                           .coarse = still_mono,
                                           .wall_ms = still_wall_ms,
                                           .arg = &bench->still};
    atomic_store(&bench->still.now, km_clock_mono(km_clock_system()));
    assert_int_equal(
        world_init(&bench->world,
                   &(struct world_options){.clock = &bench->still.clock}),
        KAMA_OK);
    wire_client_open(&bench->client, bench->world.address);
}

static void bench_fini(struct bench *bench)
{
    wire_client_close(&bench->client);
    atomic_store(&bench->still.now, 0); /* the drain needs time */
    world_fini(&bench->world);
}

/* Calls a method of which n zeros, compressed, are the message. "/t/Where"
 * answers with one byte. */
static struct seen *call_with_zeros(struct bench *bench, size_t n)
{
    uint8_t *zeros = calloc(1, n);
    struct km_buf body = compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, n));
    free(zeros);
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)body.len);
    prefix[0] = 1;
    struct seen *seen = wire_begin(
        &bench->client, &(struct wire_request){.path = "/t/Where",
                                               .name = "grpc-encoding",
                                               .value = "gzip"});
    wire_body(seen, kama_bytes_make(prefix, sizeof prefix));
    wire_body(seen, km_buf_bytes(&body));
    km_buf_fini(&body);
    wire_end(seen);
    wire_wait(&bench->client, seen);
    return seen;
}

/* Returns the bytes that a message of n zeros takes from the budget. */
static size_t price(size_t n)
{
    uint8_t *zeros = calloc(1, n);
    struct km_buf body = compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, n));
    size_t paid = body.len * KM_GRPC_DECODED_PER_BYTE;
    km_buf_fini(&body);
    free(zeros);
    return n > paid ? n - paid : 0;
}

/* Returns a number of zeros whose price is exactly `bytes`. */
static size_t zeros_for(size_t bytes)
{
    size_t n = bytes;
    while (price(n) < bytes) {
        n += bytes - price(n);
    }
    assert_int_equal(price(n), bytes);
    return n;
}

/* Sends messages until the budget has `bytes` left. */
static void spend_all_but(struct bench *bench, size_t bytes)
{
    size_t left = BURST;
    while (left > bytes) {
        size_t n = left - bytes > price(CAP) ? CAP : zeros_for(left - bytes);
        assert_status(call_with_zeros(bench, n), KAMA_OK);
        left -= price(n);
    }
}

/* -- tests --------------------------------------------------------------- */

/* A message of the largest size that begins with the last byte of the budget is
 * served. */
static void test_at_the_limit(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    spend_all_but(&bench, 1);
    assert_status(call_with_zeros(&bench, CAP), KAMA_OK);
    assert_status(call_with_zeros(&bench, CAP), KAMA_ERR_OVERLOADED);
    bench_fini(&bench);
}

/* A request that begins when the budget is empty is refused, and the answer
 * says what to do. Requests that the wire pays for, or that are not compressed,
 * are served as before, and so is the refused one when time has passed. */
static void test_past_the_limit(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    spend_all_but(&bench, 0);
    struct seen *seen = call_with_zeros(&bench, CAP);
    assert_status(seen, KAMA_ERR_OVERLOADED);
    assert_true(wire_has(&seen->headers,
                         "grpc-message: compressed requests may decode to 32 "
                         "times their size, and on each thread of the server "
                         "to 64 MiB a second beyond that; send the message "
                         "uncompressed, or retry later"));
    assert_status(call_with_zeros(&bench, 100), KAMA_OK);
    assert_status(wire_call(&bench.client, "/t/Echo", KM_LIT("plain")),
                  KAMA_OK);
    atomic_fetch_add(&bench.still.now, KM_NS_PER_MS);
    assert_status(call_with_zeros(&bench, CAP), KAMA_OK);
    assert_status(call_with_zeros(&bench, CAP), KAMA_ERR_OVERLOADED);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_the_limit),
        cmocka_unit_test(test_past_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
