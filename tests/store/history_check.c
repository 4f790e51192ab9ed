/* SPDX-License-Identifier: MIT */
#include "store/history_check.h"

#include "base/assert.h"

#include <stdlib.h>

#define SEEN_MIN 256u
#define NO_OP SIZE_MAX
#define ALL UINT16_MAX

/* A state that is possible: the value, 0 if there is none, and one bit for each
 * thread in two masks. */
struct state {
    uint64_t value;
    uint16_t taken;     /* its pending operation has had its moment */
    uint16_t overtaken; /* its load must not be kept, or has ended */
};

/* A set of states, in the order in which they were added. */
struct states {
    struct state *all;
    size_t count;
    size_t room;
    uint32_t *seen; /* a hash table of 1 + the place in all; 0 is free */
    size_t seen_size;
};

struct check {
    const struct history_op *ops;
    enum history_loss loss;
    size_t pending[HISTORY_THREADS_MAX]; /* NO_OP if there is none */
    struct states now;
    struct states next;
};

static void *made(void *block)
{
    if (block == NULL) {
        abort();
    }
    return block;
}

/* -- sets of states -------------------------------------------------------- */

static bool same(const struct state *a, const struct state *b)
{
    return a->value == b->value && a->taken == b->taken &&
           a->overtaken == b->overtaken;
}

static size_t place_of(const struct states *set, const struct state *s)
{
    uint64_t x = s->value * 0x9e3779b97f4a7c15u;
    x ^= ((uint64_t)s->taken << 16 | s->overtaken) * 0xbf58476d1ce4e5b9u;
    x ^= x >> 31;
    size_t at = (size_t)x & (set->seen_size - 1);
    while (set->seen[at] != 0 && !same(&set->all[set->seen[at] - 1], s)) {
        at = (at + 1) & (set->seen_size - 1);
    }
    return at;
}

static void states_empty(struct states *set)
{
    for (size_t i = 0; i < set->seen_size; i++) {
        set->seen[i] = 0;
    }
    set->count = 0;
}

/* Makes room for twice as many states. */
static void states_grow(struct states *set)
{
    set->room = set->room == 0 ? SEEN_MIN / 2 : set->room * 2;
    set->seen_size = set->room * 2;
    set->all = made(realloc(set->all, set->room * sizeof *set->all));
    free(set->seen);
    set->seen = made(calloc(set->seen_size, sizeof *set->seen));
    for (size_t i = 0; i < set->count; i++) {
        set->seen[place_of(set, &set->all[i])] = (uint32_t)i + 1;
    }
}

static void states_add(struct states *set, const struct state *s)
{
    if (set->count == set->room) {
        states_grow(set);
    }
    size_t at = place_of(set, s);
    if (set->seen[at] == 0) {
        set->all[set->count++] = *s;
        set->seen[at] = (uint32_t)set->count;
    }
}

static void states_fini(struct states *set)
{
    free(set->all);
    free(set->seen);
}

/* -- one operation on one state -------------------------------------------- */

/* Stores a value, or 0 for none. The loads that have begun are overtaken. */
static bool change(struct state *s, uint64_t value)
{
    s->value = value;
    s->overtaken = ALL;
    return true;
}

/* Takes note that an operation has found nothing. If there is a value, it must
 * have been lost before. */
static bool find_nothing(struct state *s, enum history_loss loss)
{
    bool possible = s->value == 0 || loss == HISTORY_LOSS_PERMITTED;
    s->value = 0;
    return possible;
}

/* Gives an operation its moment in a state. Returns whether it could have
 * answered in this way. */
static bool apply(const struct history_op *op, enum history_loss loss,
                  struct state *s)
{
    uint16_t own = (uint16_t)(1u << op->thread);
    s->taken |= own;
    switch (op->kind) {
    case HISTORY_SET:
        return change(s, op->value);
    case HISTORY_CLEAR:
        return change(s, 0);
    case HISTORY_GET:
        return op->done ? s->value == op->value : find_nothing(s, loss);
    case HISTORY_DEL:
        return (op->done ? s->value != 0 : find_nothing(s, loss)) &&
               change(s, 0);
    case HISTORY_TOUCH:
        return op->done ? s->value != 0 && change(s, s->value)
                        : find_nothing(s, loss);
    case HISTORY_ADD:
        return op->done ? find_nothing(s, loss) && change(s, op->value)
                        : s->value != 0;
    case HISTORY_REPLACE:
        return op->done ? s->value != 0 && change(s, op->value)
                        : find_nothing(s, loss);
    case HISTORY_BEGIN:
        s->overtaken &= (uint16_t)~own;
        return find_nothing(s, loss);
    case HISTORY_COMMIT:
        if (op->done && (s->overtaken & own) != 0) {
            return false;
        }
        s->value = op->done ? op->value : s->value;
        s->overtaken |= own;
        return true;
    }
    return false;
}

/* -- the search ------------------------------------------------------------ */

/* Adds the states that follow from one state when one more pending operation has
 * its moment. */
static void expand(struct check *c, struct state from)
{
    for (unsigned t = 0; t < HISTORY_THREADS_MAX; t++) {
        struct state s = from;
        if (c->pending[t] != NO_OP && (from.taken >> t & 1) == 0 &&
            apply(&c->ops[c->pending[t]], c->loss, &s)) {
            states_add(&c->now, &s);
        }
    }
}

/* The operation of a thread has responded: it has had its moment by now, after
 * any of the others that are pending. Returns false if that is impossible. */
static bool respond(struct check *c, unsigned thread)
{
    uint16_t own = (uint16_t)(1u << thread);
    states_empty(&c->next);
    for (size_t i = 0; i < c->now.count; i++) {
        struct state s = c->now.all[i];
        if ((s.taken & own) == 0) {
            expand(c, s);
        } else {
            s.taken &= (uint16_t)~own;
            states_add(&c->next, &s);
        }
    }
    struct states now = c->now;
    c->now = c->next;
    c->next = now;
    c->pending[thread] = NO_OP;
    return c->now.count > 0;
}

static int by_invocation(const void *a, const void *b)
{
    const struct history_op *x = a;
    const struct history_op *y = b;
    if (x->invoked != y->invoked) {
        return x->invoked < y->invoked ? -1 : 1;
    }
    return x->responded < y->responded ? -1 : x->responded > y->responded;
}

/* Lets every pending operation respond that does so before `time`, in the order
 * of these times. */
static bool respond_before(struct check *c, uint64_t time, size_t *ret_fault)
{
    for (;;) {
        size_t first = NO_OP;
        for (unsigned t = 0; t < HISTORY_THREADS_MAX; t++) {
            size_t i = c->pending[t];
            if (i != NO_OP && c->ops[i].responded < time &&
                (first == NO_OP ||
                 c->ops[i].responded < c->ops[first].responded)) {
                first = i;
            }
        }
        if (first == NO_OP) {
            return true;
        }
        if (!respond(c, c->ops[first].thread)) {
            *ret_fault = first;
            return false;
        }
    }
}

static bool check(struct check *c, size_t n, size_t *ret_fault)
{
    const struct state none = {.overtaken = ALL};
    states_add(&c->now, &none);
    for (unsigned t = 0; t < HISTORY_THREADS_MAX; t++) {
        c->pending[t] = NO_OP;
    }
    for (size_t i = 0; i < n; i++) {
        if (!respond_before(c, c->ops[i].invoked, ret_fault)) {
            return false;
        }
        unsigned thread = c->ops[i].thread;
        KM_ASSERT(c->pending[thread] == NO_OP);
        c->pending[thread] = i;
    }
    return respond_before(c, UINT64_MAX, ret_fault);
}

bool history_check(struct history_op *ops, size_t n, enum history_loss loss,
                   size_t *ret_fault)
{
    struct check c = {.ops = ops, .loss = loss};
    qsort(ops, n, sizeof *ops, by_invocation);
    bool good = check(&c, n, ret_fault);
    states_fini(&c.now);
    states_fini(&c.next);
    return good;
}

/* -- for people ------------------------------------------------------------ */

#define PRINTED_BEFORE 12u

static void print_op(FILE *out, const struct history_op *op, const char *mark)
{
    static const char *const names[] = {"set",     "get",   "del",
                                        "touch",   "clear", "add",
                                        "replace", "begin", "commit"};
    bool answers = op->kind != HISTORY_SET && op->kind != HISTORY_CLEAR &&
                   op->kind != HISTORY_BEGIN;
    fprintf(out, "%s thread %u  %llu to %llu  %s", mark, op->thread,
            (unsigned long long)op->invoked, (unsigned long long)op->responded,
            names[op->kind]);
    if (op->value != 0) {
        fprintf(out, " %llu", (unsigned long long)op->value);
    }
    fprintf(out, "%s\n", !answers ? "" : op->done ? "  yes" : "  no");
}

void history_print(FILE *out, const struct history_op *ops, size_t n, size_t at)
{
    size_t i = at > PRINTED_BEFORE ? at - PRINTED_BEFORE : 0;
    for (; i < n && ops[i].invoked <= ops[at].responded; i++) {
        print_op(out, &ops[i], i == at ? "->" : "  ");
    }
}
