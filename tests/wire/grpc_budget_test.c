/* SPDX-License-Identifier: MIT */
/*
 * The budget for compressed messages, at its limit and one byte past it: alone
 * with a clock that the test moves, and behind a reader.
 */
#include "wire/grpc_compress.h"

#include "base/limits.h"

#include <stdio.h>

#define RATIO KM_GRPC_DECODED_PER_BYTE
#define BYTES_PER_S ((size_t)KM_GRPC_DECODED_MIB_PER_S << 20)
#define BURST ((size_t)KM_GRPC_DECODED_BURST_MIB << 20)
#define CAP (1u << 20)
#define START (5 * KM_NS_PER_S)

/* Returns a budget that has so many bytes left; a negative number is a debt. */
static struct km_grpc_budget budget_of(int64_t bytes)
{
    struct km_grpc_budget budget = {0};
    km_grpc_budget_fill(&budget, START);
    km_grpc_budget_charge(&budget, 0, (size_t)((int64_t)BURST - bytes));
    return budget;
}

static bool is_left(const struct km_grpc_budget *budget)
{
    return km_grpc_budget_room(budget, 0, CAP) == CAP;
}

/* -- alone --------------------------------------------------------------- */

/* With a budget a message may have its largest size. Without, it may have what
 * the wire has paid for, up to the same size. */
static void test_room(void **state)
{
    (void)state;
    struct km_grpc_budget budget = budget_of(1);
    assert_int_equal(km_grpc_budget_room(&budget, 0, CAP), CAP);
    assert_int_equal(km_grpc_budget_room(&budget, 10, CAP), CAP);
    for (int64_t debt = 0; debt <= 1; debt++) {
        budget = budget_of(-debt);
        assert_int_equal(km_grpc_budget_room(&budget, 0, CAP), 0);
        assert_int_equal(km_grpc_budget_room(&budget, 10, CAP), 10 * RATIO);
        assert_int_equal(km_grpc_budget_room(&budget, CAP / RATIO, CAP), CAP);
        assert_int_equal(km_grpc_budget_room(&budget, CAP / RATIO + 1, CAP),
                         CAP);
    }
}

/* A message that its own bytes have paid for costs nothing, and the next
 * decoded byte is taken from the budget. */
static void test_wire_pays_first(void **state)
{
    (void)state;
    struct km_grpc_budget budget = budget_of(1);
    for (int i = 0; i < 1000; i++) {
        km_grpc_budget_charge(&budget, 1000, 1000 * RATIO);
    }
    assert_true(is_left(&budget));
    km_grpc_budget_charge(&budget, 1000, 1000 * RATIO + 1);
    assert_false(is_left(&budget));
}

/* Zeroed memory is a full budget, also when the clock has just begun. */
static void test_new(void **state)
{
    (void)state;
    struct km_grpc_budget budget = {0};
    km_grpc_budget_charge(&budget, 0, BURST - 1);
    assert_true(is_left(&budget));
    km_grpc_budget_charge(&budget, 0, 1);
    assert_false(is_left(&budget));
}

/* Lets n milliseconds pass, one by one, and returns when the budget was not
 * empty any more; n + 1: never. */
static km_ns refill_ms(struct km_grpc_budget *budget, km_ns n)
{
    for (km_ns ms = 0; ms <= n; ms++) {
        km_grpc_budget_fill(budget, START + ms * KM_NS_PER_MS);
        if (is_left(budget)) {
            return ms;
        }
    }
    return n + 1;
}

/* A debt is paid off at the rate of the limit. Filling the budget often loses
 * nothing. */
static void test_debt(void **state)
{
    (void)state;
    struct km_grpc_budget budget = budget_of(-(int64_t)BYTES_PER_S);
    assert_int_equal(refill_ms(&budget, 2000), 1001);
    budget = budget_of(-(int64_t)(4 * BYTES_PER_S));
    assert_int_equal(refill_ms(&budget, 5000), 4001);
}

/* What a budget can save up is its burst, however long it was not used. */
static void test_full(void **state)
{
    (void)state;
    struct km_grpc_budget budget = budget_of(0);
    km_grpc_budget_fill(&budget, START + 900 * KM_NS_PER_S);
    km_grpc_budget_charge(&budget, 0, BURST - 1);
    assert_true(is_left(&budget));
    km_grpc_budget_charge(&budget, 0, 1);
    assert_false(is_left(&budget));
}

/* -- behind a reader ----------------------------------------------------- */

/* Reads text, compressed, as the one message of a reader with this budget. */
static kama_status read_with(struct km_grpc_budget *budget, kama_bytes text)
{
    struct km_buf body = compressed(KM_GRPC_DEFLATE, text);
    struct km_buf frame;
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_buf_init(&frame, NULL, SIZE_MAX);
    km_grpc_prefix_write(prefix, (uint32_t)body.len);
    prefix[0] = 1;
    assert_int_equal(km_buf_append(&frame, prefix, sizeof prefix), KAMA_OK);
    assert_int_equal(km_buf_append(&frame, body.data, body.len), KAMA_OK);
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, CAP);
    reader.encoding = KM_GRPC_DEFLATE;
    reader.budget = budget;
    kama_bytes chunk = km_buf_bytes(&frame);
    kama_bytes message;
    kama_status status = km_grpc_reader_next(&reader, &chunk, &message);
    if (status == KAMA_OK) {
        assert_true(km_bytes_eq(message, text));
    } else if (status == KAMA_ERR_OVERLOADED) {
        assert_string_equal(
            km_grpc_reader_error(&reader, status),
            "compressed requests may decode to 32 times their size, and on "
            "each thread of the server to 64 MiB a second beyond that; send "
            "the message uncompressed, or retry later");
    }
    km_grpc_reader_fini(&reader);
    km_buf_fini(&frame);
    km_buf_fini(&body);
    return status;
}

static uint8_t zeros[CAP + 1];

/* Returns the bytes that a message of n zeros takes from a budget. */
static size_t price(size_t n)
{
    struct km_buf body = compressed(KM_GRPC_DEFLATE, kama_bytes_make(zeros, n));
    size_t paid = body.len * RATIO;
    km_buf_fini(&body);
    assert_true(paid < n);
    return n - paid;
}

/* A message that begins with the last byte of the budget is read whole. The
 * next one is refused, and the budget is charged for one byte of it. */
static void test_reader_at_the_limit(void **state)
{
    (void)state;
    kama_bytes text = kama_bytes_make(zeros, CAP);
    struct km_grpc_budget budget = budget_of(1);
    assert_int_equal(read_with(&budget, text), KAMA_OK);
    struct km_grpc_budget expected = budget_of(1 - (int64_t)price(CAP));
    assert_in_range(budget.full_at, expected.full_at, expected.full_at + 1);
    budget = budget_of(0);
    assert_int_equal(read_with(&budget, text), KAMA_ERR_OVERLOADED);
    expected = budget_of(-1);
    assert_in_range(budget.full_at, expected.full_at, expected.full_at + 1);
}

/* A message that is too large by itself is refused as that while there is a
 * budget, which pays for the work. */
static void test_reader_too_large(void **state)
{
    (void)state;
    kama_bytes text = kama_bytes_make(zeros, CAP + 1);
    struct km_grpc_budget budget = budget_of(CAP / 2);
    assert_int_equal(read_with(&budget, text), KAMA_ERR_TOO_LARGE);
    assert_false(is_left(&budget));
    assert_int_equal(read_with(&budget, text), KAMA_ERR_OVERLOADED);
}

/* Text that compresses as ordinary text does needs no budget. */
static void test_reader_ordinary(void **state)
{
    (void)state;
    static char text[CAP];
    size_t len = 0;
    for (unsigned i = 0; len + 100 < sizeof text; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "{\"id\": %u, \"name\": \"user\", \"active\": "
                                "true, \"tags\": [\"a\", \"b\"]}, ",
                                i);
    }
    struct km_grpc_budget budget = budget_of(0);
    assert_int_equal(read_with(&budget, kama_bytes_make(text, len)), KAMA_OK);
    assert_int_equal(read_with(&budget, kama_bytes_make(zeros, CAP)),
                     KAMA_ERR_OVERLOADED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_wire_pays_first),
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_debt),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_reader_at_the_limit),
        cmocka_unit_test(test_reader_too_large),
        cmocka_unit_test(test_reader_ordinary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
