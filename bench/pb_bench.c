/* SPDX-License-Identifier: MIT */
/*
 * Decoding and encoding a SetRequest of 150 bytes, by our code and by
 * protobuf-c if it was there at build time. Both sides alternate in slices on
 * the same bytes. The output is the nanoseconds of thread CPU time per message
 * as median, p10 and p90, and the ratio.
 */
#include "base/assert.h"
#include "wire/msg/msg.h"

#ifdef KM_HAVE_PROTOBUF_C
#include "kama/v1/kama.pb-c.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAIRS 25
#define ROUNDS 500000u
#define VALUE_BYTES 120

/* A function that is measured. It handles one message, and its result keeps the
 * compiler from removing the work. */
typedef uintptr_t (*bench_fn)(kama_bytes message);

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(bench_fn fn, kama_bytes message)
{
    uintptr_t sum = 0;
    double begin = cpu_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        sum += fn(message);
    }
    double end = cpu_ns();
    __asm__ volatile("" : : "r"(sum));
    return (end - begin) / ROUNDS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *values)
{
    qsort(values, PAIRS, sizeof *values, compare);
    printf("%-22s median %6.2f  p10 %6.2f  p90 %6.2f\n", what,
           values[PAIRS / 2], values[PAIRS / 10], values[PAIRS * 9 / 10]);
}

/* -- ours ---------------------------------------------------------------- */

static uintptr_t our_decode(kama_bytes message)
{
    struct km_msg_v1_request request;
    kama_status st = km_pb_decode(&km_msg_v1_request_pb, message, &request);
    KM_ASSERT(st == KAMA_OK);
    return (uintptr_t)request.value.data;
}

static struct km_msg_v1_request our_request;

static uintptr_t our_encode(kama_bytes message)
{
    uint8_t out[256];
    (void)message;
    size_t size = km_pb_size(&km_msg_v1_request_pb, &our_request);
    (void)km_pb_write(&km_msg_v1_request_pb, &our_request, out);
    __asm__ volatile("" : : "r"(out) : "memory");
    return size;
}

/* Encodes the head of a v2 Get reply, behind which the value is sent without a
 * copy. */
static uintptr_t our_reply(kama_bytes message)
{
    uint8_t head[64];
    struct km_msg_get_response response = {
        .found = true, .ttl_ms = -1, .source = 1};
    uint8_t *end = km_pb_write(&km_msg_get_response_pb, &response, head);
    end = km_pb_write_prefix(end, KM_MSG_VALUE, message.len);
    __asm__ volatile("" : : "r"(head) : "memory");
    return (uintptr_t)(end - head);
}

/* -- protobuf-c ---------------------------------------------------------- */

#ifdef KM_HAVE_PROTOBUF_C
static uintptr_t their_decode(kama_bytes message)
{
    Kama__V1__SetRequest *request =
        kama__v1__set_request__unpack(NULL, message.len, message.data);
    KM_ASSERT(request != NULL);
    uintptr_t result = (uintptr_t)request->value.data;
    kama__v1__set_request__free_unpacked(request, NULL);
    return result;
}

static Kama__V1__SetRequest their_request = KAMA__V1__SET_REQUEST__INIT;

static uintptr_t their_encode(kama_bytes message)
{
    uint8_t out[256];
    (void)message;
    size_t size = kama__v1__set_request__get_packed_size(&their_request);
    (void)kama__v1__set_request__pack(&their_request, out);
    __asm__ volatile("" : : "r"(out) : "memory");
    return size;
}
#else
#define their_decode NULL
#define their_encode NULL
#endif

/* -- both ---------------------------------------------------------------- */

static void compare_sides(const char *what, bench_fn ours, bench_fn theirs,
                          kama_bytes message)
{
    double our_ns[PAIRS];
    double their_ns[PAIRS];
    double ratio[PAIRS];
    (void)measure(ours, message);
    for (unsigned i = 0; i < PAIRS; i++) {
        our_ns[i] = measure(ours, message);
        if (theirs != NULL) {
            their_ns[i] = measure(theirs, message);
            ratio[i] = our_ns[i] / their_ns[i];
        }
    }
    printf("%s, ns per message\n", what);
    report("  ours", our_ns);
    if (theirs != NULL) {
        report("  protobuf-c", their_ns);
        report("  ratio", ratio);
    }
}

static kama_bytes make_message(uint8_t out[static 256])
{
    static char value[VALUE_BYTES];
    memset(value, 'v', sizeof value);
    our_request = (struct km_msg_v1_request){
        .group = KM_LIT("default"),
        .key = KM_LIT("user:1234567"),
        .value = kama_bytes_make(value, sizeof value),
    };
#ifdef KM_HAVE_PROTOBUF_C
    static char group[] = "default";
    static char key[] = "user:1234567";
    their_request.group = group;
    their_request.key = key;
    their_request.value.data = (uint8_t *)value;
    their_request.value.len = sizeof value;
#endif
    uint8_t *end = km_pb_write(&km_msg_v1_request_pb, &our_request, out);
    return kama_bytes_make(out, (size_t)(end - out));
}

int main(void)
{
    uint8_t out[256];
    kama_bytes message = make_message(out);
    printf("SetRequest of %zu bytes\n", message.len);
    compare_sides("decode", our_decode, their_decode, message);
    compare_sides("encode", our_encode, their_encode, message);
    compare_sides("head of a Get reply", our_reply, NULL, message);
    return 0;
}
