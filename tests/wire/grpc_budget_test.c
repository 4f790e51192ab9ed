/* SPDX-License-Identifier: MIT */
/* The budget for compressed messages, at its limit and one byte past it, with a
 * clock that the test moves. */
#include "wire/grpc/budget.h"

#include "base/limits.h"
#include "helpers/failmalloc.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room), cmocka_unit_test(test_wire_pays_first),
        cmocka_unit_test(test_new),  cmocka_unit_test(test_debt),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
