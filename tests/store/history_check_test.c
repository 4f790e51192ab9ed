/* SPDX-License-Identifier: MIT */
/*
 * The checker of histories on histories that were written by hand: those that a
 * variable explains, and those that none does. Short random histories are held
 * against a search that tries every order.
 */
#include "store/history_check.h"

#include "helpers/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OPS_MAX 8u

/* thread, invoked, responded, value, result */
#define SET(t, from, to, v)                                                    \
    {                                                                          \
        from, to, v, HISTORY_SET, t, true                                      \
    }
#define GET(t, from, to, v)                                                    \
    {                                                                          \
        from, to, v, HISTORY_GET, t, (v) != 0                                  \
    }
#define DEL(t, from, to, found)                                                \
    {                                                                          \
        from, to, 0, HISTORY_DEL, t, found                                     \
    }
#define TOUCH(t, from, to, found)                                              \
    {                                                                          \
        from, to, 0, HISTORY_TOUCH, t, found                                   \
    }
#define ADD(t, from, to, v, done)                                              \
    {                                                                          \
        from, to, v, HISTORY_ADD, t, done                                      \
    }
#define REPLACE(t, from, to, v, done)                                          \
    {                                                                          \
        from, to, v, HISTORY_REPLACE, t, done                                  \
    }
#define CLEAR(t, from, to)                                                     \
    {                                                                          \
        from, to, 0, HISTORY_CLEAR, t, true                                    \
    }
#define BEGIN(t, from, to)                                                     \
    {                                                                          \
        from, to, 0, HISTORY_BEGIN, t, true                                    \
    }
#define COMMIT(t, from, to, v, kept)                                           \
    {                                                                          \
        from, to, v, HISTORY_COMMIT, t, kept                                   \
    }

/* The right verdict about a history. */
enum verdict {
    GOOD,  /* linearizable */
    LOSSY, /* linearizable if values may be lost */
    IMPOSSIBLE
};

struct history {
    const char *name;
    enum verdict verdict;
    struct history_op ops[OPS_MAX]; /* those with an end */
};

static const struct history histories[] = {
    {"nothing", GOOD, {{0}}},
    {"one after the other",
     GOOD,
     {SET(0, 1, 2, 7), GET(1, 3, 4, 7), DEL(0, 5, 6, true), GET(1, 7, 8, 0)}},
    {"a value that nobody has set", IMPOSSIBLE, {GET(0, 1, 2, 7)}},
    {"an older value",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), SET(0, 3, 4, 8), GET(1, 5, 6, 7)}},
    {"sets at the same time, either may be the last",
     GOOD,
     {SET(0, 1, 5, 7), SET(1, 2, 4, 8), GET(2, 6, 7, 7), GET(2, 8, 9, 7)}},
    {"sets at the same time, but both are the last",
     IMPOSSIBLE,
     {SET(0, 1, 5, 7), SET(1, 2, 4, 8), GET(2, 6, 7, 7), GET(2, 8, 9, 8)}},
    {"a get during a set sees either value",
     GOOD,
     {SET(0, 1, 2, 7), SET(0, 3, 9, 8), GET(1, 4, 5, 7), GET(1, 6, 7, 8)}},
    {"a get during a set goes back in time",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), SET(0, 3, 9, 8), GET(1, 4, 5, 8), GET(1, 6, 7, 7)}},
    {"two readers disagree about the order",
     IMPOSSIBLE,
     {SET(0, 1, 20, 7), SET(1, 1, 20, 8), GET(2, 2, 3, 7), GET(2, 4, 5, 8),
      GET(3, 6, 7, 7)}},
    {"equal times are simultaneous",
     GOOD,
     {SET(0, 1, 2, 7), GET(1, 2, 3, 0), GET(1, 4, 5, 7)}},
    {"a lost value", LOSSY, {SET(0, 1, 2, 7), GET(1, 3, 4, 0)}},
    {"a lost value comes back",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), GET(1, 3, 4, 0), GET(1, 5, 6, 7)}},
    {"a lost value is set again",
     LOSSY,
     {SET(0, 1, 2, 7), GET(1, 3, 4, 0), SET(0, 5, 6, 7), GET(1, 7, 8, 7)}},
    {"a deleted value comes back",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), DEL(0, 3, 4, true), GET(1, 5, 6, 7)}},
    {"a del during which it may still be there",
     GOOD,
     {SET(0, 1, 2, 7), DEL(0, 3, 8, true), GET(1, 4, 5, 7), GET(1, 6, 7, 0)}},
    {"a del of nothing finds a value", IMPOSSIBLE, {DEL(0, 1, 2, true)}},
    {"two dels find the same value",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), DEL(0, 3, 6, true), DEL(1, 4, 5, true)}},
    {"one of two dels finds the value",
     GOOD,
     {SET(0, 1, 2, 7), DEL(0, 3, 6, false), DEL(1, 4, 5, true)}},
    {"a clear", GOOD, {SET(0, 1, 2, 7), CLEAR(1, 3, 4), GET(0, 5, 6, 0)}},
    {"a value outlives a clear",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), CLEAR(1, 3, 4), GET(0, 5, 6, 7)}},
    {"a touch keeps the value",
     GOOD,
     {SET(0, 1, 2, 7), TOUCH(1, 3, 4, true), GET(0, 5, 6, 7)}},
    {"a touch of a deleted value",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), DEL(0, 3, 4, true), TOUCH(1, 5, 6, true)}},
    {"a touch brings an older value back",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), TOUCH(1, 3, 8, true), SET(0, 4, 5, 8),
      GET(0, 9, 10, 7)}},
    {"a touch that is over before the set",
     GOOD,
     {SET(0, 1, 2, 7), TOUCH(1, 3, 8, true), SET(0, 4, 5, 8),
      GET(0, 9, 10, 8)}},
    {"one of two adds wins",
     GOOD,
     {ADD(0, 1, 4, 7, true), ADD(1, 2, 3, 8, false), GET(1, 5, 6, 7)}},
    {"two adds win",
     LOSSY,
     {ADD(0, 1, 4, 7, true), ADD(1, 2, 3, 8, true), GET(1, 5, 6, 7)}},
    {"an add is refused by nothing", IMPOSSIBLE, {ADD(0, 1, 2, 7, false)}},
    {"a replace of a deleted value",
     IMPOSSIBLE,
     {SET(0, 1, 2, 7), DEL(0, 3, 4, true), REPLACE(1, 5, 6, 8, true)}},
    {"a replace that was refused is found",
     IMPOSSIBLE,
     {REPLACE(1, 1, 2, 8, false), GET(0, 3, 4, 8)}},
    {"a replace overtakes a load",
     IMPOSSIBLE,
     {BEGIN(0, 1, 2), SET(1, 1, 2, 7), REPLACE(1, 3, 4, 8, true),
      COMMIT(0, 5, 6, 9, true)}},
    {"a load",
     GOOD,
     {BEGIN(0, 1, 2), COMMIT(0, 3, 4, 9, true), GET(1, 5, 6, 9)}},
    {"a load beside a value that is there",
     LOSSY,
     {SET(1, 1, 2, 7), BEGIN(0, 3, 4), COMMIT(0, 5, 6, 9, true),
      GET(1, 7, 8, 9)}},
    {"an overtaken load is kept",
     IMPOSSIBLE,
     {BEGIN(0, 1, 2), SET(1, 3, 4, 7), COMMIT(0, 5, 6, 9, true)}},
    {"an overtaken load is kept after a del",
     IMPOSSIBLE,
     {BEGIN(0, 1, 2), DEL(1, 3, 4, false), COMMIT(0, 5, 6, 9, true)}},
    {"an overtaken load is not kept",
     GOOD,
     {BEGIN(0, 1, 2), SET(1, 3, 4, 7), COMMIT(0, 5, 6, 9, false),
      GET(1, 7, 8, 7)}},
    {"a load that was not kept is found",
     IMPOSSIBLE,
     {BEGIN(0, 1, 2), SET(1, 3, 4, 7), COMMIT(0, 5, 6, 9, false),
      GET(1, 7, 8, 9)}},
    {"a set before the begin does not overtake",
     GOOD,
     {BEGIN(0, 2, 6), DEL(1, 1, 4, false), COMMIT(0, 7, 8, 9, true)}},
    {"the second load of a thread is another one",
     GOOD,
     {BEGIN(0, 1, 2), DEL(1, 3, 4, false), COMMIT(0, 5, 6, 9, false),
      BEGIN(0, 7, 8), COMMIT(0, 9, 10, 5, true), GET(1, 11, 12, 5)}},
};

static size_t length(const struct history *h)
{
    size_t n = 0;
    while (n < OPS_MAX && h->ops[n].responded != 0) {
        n++;
    }
    return n;
}

static bool check(const struct history *h, enum history_loss loss)
{
    struct history_op ops[OPS_MAX];
    size_t fault = 0;
    memcpy(ops, h->ops, sizeof ops);
    return history_check(ops, length(h), loss, &fault);
}

/* Each history gets the verdict that stands beside it. */
static void test_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof histories / sizeof histories[0]; i++) {
        const struct history *h = &histories[i];
        bool good = check(h, HISTORY_NO_LOSS);
        bool lossy = check(h, HISTORY_LOSS_PERMITTED);
        if (good != (h->verdict == GOOD) ||
            lossy != (h->verdict != IMPOSSIBLE)) {
            fail_msg("%s: linearizable %d, with losses %d", h->name, good,
                     lossy);
        }
    }
}

/* The fault is the operation that nothing explains. */
static void test_the_fault_is_named(void **state)
{
    struct history_op ops[] = {GET(1, 9, 10, 7), SET(0, 1, 2, 7),
                               GET(1, 7, 8, 8), SET(0, 3, 4, 8),
                               GET(1, 11, 12, 8)};
    size_t fault = 0;
    (void)state;
    assert_false(history_check(ops, 5, HISTORY_NO_LOSS, &fault));
    assert_int_equal(fault, 3);
    assert_int_equal(ops[fault].invoked, 9);
}

/* -- against a search of every order --------------------------------------- */

/* The naive search: the operations that are left, and the state. */
struct order {
    const struct history_op *ops;
    size_t n;
    enum history_loss loss;
    unsigned left;
    uint64_t value;
    unsigned begun;     /* the threads whose load has begun */
    unsigned overtaken; /* those of them whose load is overtaken */
};

static bool any_order(struct order o);

/* Lets one operation be the next. Returns whether the rest can follow. */
static bool is_next(struct order o, const struct history_op *op)
{
    unsigned own = 1u << op->thread;
    bool lost = o.loss == HISTORY_LOSS_PERMITTED;
    bool nothing = o.value == 0 || lost;
    bool has = o.value != 0;
    o.left &= ~(1u << (op - o.ops));
    switch (op->kind) {
    case HISTORY_SET:
    case HISTORY_CLEAR:
        o.value = op->value;
        o.overtaken = o.begun;
        return any_order(o);
    case HISTORY_GET:
        has = has && o.value == op->value;
        o.value = op->done ? o.value : 0;
        return (op->done ? has : nothing) && any_order(o);
    case HISTORY_DEL:
        o.value = 0;
        o.overtaken = o.begun;
        return (op->done ? has : nothing) && any_order(o);
    case HISTORY_TOUCH:
        o.value = op->done ? o.value : 0;
        o.overtaken = op->done ? o.begun : o.overtaken;
        return (op->done ? has : nothing) && any_order(o);
    case HISTORY_ADD:
    case HISTORY_REPLACE:
        if (op->done) {
            o.value = op->value;
            o.overtaken = o.begun;
        } else if (op->kind == HISTORY_REPLACE) {
            o.value = 0;
        }
        return ((op->kind == HISTORY_ADD) == op->done ? nothing : has) &&
               any_order(o);
    case HISTORY_BEGIN:
        o.value = 0;
        o.begun |= own;
        o.overtaken &= ~own;
        return nothing && any_order(o);
    case HISTORY_COMMIT:
        o.value = op->done ? op->value : o.value;
        o.begun &= ~own;
        return (!op->done || (o.overtaken & own) == 0) && any_order(o);
    }
    return false;
}

/* Returns whether no other operation that is left has responded before op was
 * invoked. */
static bool may_be_next(const struct order *o, const struct history_op *op)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct history_op *other = &o->ops[i];
        bool same = other->thread == op->thread;
        if ((o->left >> i & 1) != 0 && other != op &&
            (other->responded < op->invoked ||
             (same && other->invoked < op->invoked))) {
            return false;
        }
    }
    return true;
}

static bool any_order(struct order o)
{
    if (o.left == 0) {
        return true;
    }
    for (size_t i = 0; i < o.n; i++) {
        if ((o.left >> i & 1) != 0 && may_be_next(&o, &o.ops[i]) &&
            is_next(o, &o.ops[i])) {
            return true;
        }
    }
    return false;
}

/* Draws an operation of a thread that has a load pending, or has none. */
static struct history_op draw_op(uint64_t *random, bool loading)
{
    struct history_op op = {.kind =
                                (enum history_kind)draw(random, HISTORY_COMMIT),
                            .value = 1 + draw(random, 2),
                            .done = draw(random, 2) == 0};
    if (loading) {
        op.kind = HISTORY_COMMIT;
    }
    if (op.kind == HISTORY_CLEAR) {
        op.value = 0;
    }
    return op;
}

/* Draws a history of three threads whose operations overlap. */
static size_t draw_history(uint64_t *random, struct history_op *ops)
{
    uint64_t free_at[3] = {1, 1, 1};
    bool loading[3] = {false};
    size_t n = 2 + draw(random, OPS_MAX - 2);
    for (size_t i = 0; i < n; i++) {
        unsigned t = draw(random, 3);
        ops[i] = draw_op(random, loading[t]);
        loading[t] = ops[i].kind == HISTORY_BEGIN;
        ops[i].thread = (uint8_t)t;
        ops[i].invoked = free_at[t] + draw(random, 3);
        ops[i].responded = ops[i].invoked + 1 + draw(random, 4);
        free_at[t] = ops[i].responded + 1 + draw(random, 2);
    }
    return n;
}

/* Both searches say the same of random histories, of which many are linearizable
 * and many are not. */
static void test_every_order(void **state)
{
    uint64_t random = 3;
    unsigned good = 0;
    enum { ROUNDS = 20000 };
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct history_op ops[OPS_MAX];
        size_t fault = 0;
        size_t n = draw_history(&random, ops);
        enum history_loss loss =
            round % 2 == 0 ? HISTORY_NO_LOSS : HISTORY_LOSS_PERMITTED;
        bool found = history_check(ops, n, loss, &fault);
        struct order o = {
            .ops = ops, .n = n, .loss = loss, .left = (1u << n) - 1};
        if (found != any_order(o)) {
            history_print(stderr, ops, n, n - 1);
            fail_msg("round %u: the check says %d", round, found);
        }
        good += found;
    }
    print_message("%u of %u are linearizable\n", good, ROUNDS);
    assert_true(good > ROUNDS / 20 && good < ROUNDS / 20 * 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_the_fault_is_named),
        cmocka_unit_test(test_every_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
