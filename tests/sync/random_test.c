/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=300 */
/*
 * Random schedules by seed. Three to five nodes set, delete, touch and clear, while
 * connections break, directions are blocked, rings overflow, entries are forgotten, and
 * members join, leave and register again; views reach each node at a time of its own.
 *
 *     calm      nobody dies: a node shows the newest value of a key, or nothing
 *     quiet     the same, and nothing is forgotten: every node shows the newest value, unless
 *               a deletion has the same clock (floors hold clocks only)
 *     stormy    nodes die without a word: all nodes show the same value of a key, or none
 *
 * In all of them no mutation is applied twice, and whatever is bounded is within its
 * bound. KAMA_SEED and KAMA_SEEDS say which seeds run.
 */
#include "sync_world.h"

enum weather { CALM, QUIET, STORMY };

struct storm {
    struct world *w;
    enum weather weather;
    bool leaving[NODES];
    km_ns last[NODES]; /* when a node learns the newest view */
};

/* -- the registry, with a delay for each node ---------------------------------------------- */

struct lesson {
    struct node *node;
    struct km_view *view;
    struct km_sync *sync; /* of the life that it was meant for */
    bool adopt;
};

static void teach(void *arg)
{
    struct lesson *lesson = arg;
    struct node *n = lesson->node;
    if (n->is_up && n->sync == lesson->sync) {
        if (lesson->adopt) {
            km_sync_adopt(n->sync, lesson->view);
        } else {
            km_sync_notice(n->sync, lesson->view);
        }
    }
    km_view_unref(lesson->view);
    free(lesson);
}

static void post_lesson(struct node *n, struct km_view *view, km_ns delay,
                        bool adopt)
{
    struct lesson *lesson = malloc(sizeof *lesson);
    assert_non_null(lesson);
    *lesson = (struct lesson){
        .node = n, .view = km_view_ref(view), .sync = n->sync, .adopt = adopt};
    sim_post(&n->world->sim, delay, teach, lesson);
}

/* Each node notices the registry's change after a while, in order, and adopts it then. */
static void publish(struct storm *s)
{
    struct world *w = s->w;
    km_ns *last = s->last;
    struct km_view *view = world_view(w);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->nodes[i].is_up) {
            km_ns at = w->sim.now + sim_between(&w->sim, 0, 30 * KM_NS_PER_MS);
            at = at > last[i] ? at : last[i] + 1;
            post_lesson(&w->nodes[i], view, at - w->sim.now, false);
            at += sim_between(&w->sim, 0, 20 * KM_NS_PER_MS);
            post_lesson(&w->nodes[i], view, at - w->sim.now, true);
            last[i] = at;
        }
    }
    km_view_unref(view);
}

/* -- what happens ------------------------------------------------------------------------------ */

static struct node *any_node(struct storm *s)
{
    struct world *w = s->w;
    for (unsigned tries = 0; tries < 100000; tries++) {
        unsigned i = (unsigned)sim_between(&w->sim, 0, w->count - 1);
        if (w->nodes[i].is_up && !s->leaving[i] &&
            w->nodes[i].sync->adopted != NULL) {
            return &w->nodes[i];
        }
        world_run(w, KM_NS_PER_MS / 10); /* the others learn their first view */
    }
    fail_msg("no node serves");
    return NULL;
}

static unsigned count_up(struct storm *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->w->count; i++) {
        n += s->w->nodes[i].is_up && !s->leaving[i];
    }
    return n;
}

static size_t random_size(struct storm *s)
{
    struct sim_world *sim = &s->w->sim;
    return sim_chance(sim, 20)   ? (size_t)sim_between(sim, 60000, 400000)
           : sim_chance(sim, 50) ? (size_t)sim_between(sim, 1000, 60000)
                                 : (size_t)sim_between(sim, 1, 300);
}

static void mutate(struct storm *s)
{
    struct sim_world *sim = &s->w->sim;
    struct node *n = any_node(s);
    unsigned g = (unsigned)sim_between(sim, 0, GROUPS - 1);
    unsigned k = (unsigned)sim_between(sim, 0, KEYS - 1);
    unsigned what = (unsigned)sim_between(sim, 0, 99);
    if (what < 60) {
        set_in(n, g, k, random_size(s), KAMA_TTL_FOREVER);
    } else if (what < 80) {
        del_in(n, g, k);
    } else if (s->weather == QUIET) {
        del_in(n, g, k);
    } else if (what < 98) {
        touch_in(n, g, k, 3600 * 1000);
    } else {
        clear(n, g);
    }
}

static void forget(struct storm *s)
{
    struct node *n = any_node(s);
    km_sync_log_invalidate(n->log,
                           (uint32_t)sim_between(&s->w->sim, 0, GROUPS - 1), 0);
}

static void disturb(struct storm *s)
{
    struct world *w = s->w;
    unsigned a = (unsigned)sim_between(&w->sim, 0, w->count - 1);
    unsigned b = (unsigned)sim_between(&w->sim, 0, w->count - 1);
    if (a != b && sim_chance(&w->sim, 500)) {
        cut(w, a, b);
    } else if (a != b) {
        w->blocked[a][b] = !w->blocked[a][b];
    }
}

static void unblock_all(struct world *w)
{
    memset(w->blocked, 0, sizeof w->blocked);
}

/* A node that is told to stop says goodbye, and then ends. */
static void begin_leave(struct storm *s)
{
    struct world *w = s->w;
    if (count_up(s) < 3) {
        return;
    }
    struct node *n = any_node(s);
    unblock_all(w);
    s->leaving[n->index] = true;
    n->goodbyes = 0;
    record_of(n)->state = KM_MEMBER_LEAVING;
    publish(s);
    km_sync_say_goodbye(n->sync, w->sim.now + 20 * KM_NS_PER_S);
}

static void end_leaves(struct storm *s)
{
    for (unsigned i = 0; i < s->w->count; i++) {
        struct node *n = &s->w->nodes[i];
        if (s->leaving[i] && n->is_up && n->goodbyes > 0) {
            unregister_node(n);
            node_close(n);
            s->leaving[i] = false;
            publish(s);
        }
    }
}

static void start_one(struct storm *s)
{
    for (unsigned i = 0; i < s->w->count; i++) {
        struct node *n = &s->w->nodes[i];
        if (!n->is_up && record_of(n) == NULL) {
            node_open(n);
            register_node(n, 0);
            publish(s);
            return;
        }
    }
}

static void die(struct storm *s)
{
    if (count_up(s) < 3) {
        return;
    }
    struct node *n = any_node(s);
    node_close(n);
    unregister_node(n);
    publish(s);
}

/* A node has lost its lease, and goes on in its next life. */
static void renew(struct storm *s)
{
    struct node *n = any_node(s);
    struct km_sync_log_state log;
    struct km_member_goodbye prev = {.id = n->id,
                                     .originated = sim_chance(&s->w->sim, 500)};
    km_sync_log_get(n->log, &log);
    prev.final_seq = log.seq;
    prev.clock = log.hlc;
    register_node(n, prev.originated ? 1 : 0);
    record_of(n)->prev = prev;
    publish(s);
}

static void step(struct storm *s)
{
    struct sim_world *sim = &s->w->sim;
    unsigned what = (unsigned)sim_between(sim, 0, 999);
    if (what < 900) {
        mutate(s);
    } else if (what < 950) {
        disturb(s);
    } else if (s->weather == QUIET) {
        return;
    } else if (what < 960) {
        forget(s);
    } else if (what < 970) {
        begin_leave(s);
    } else if (what < 980) {
        start_one(s);
    } else if (what < 990 && s->weather == STORMY) {
        die(s);
    } else if (what >= 990) {
        renew(s);
    }
    end_leaves(s);
}

/* -- oracles ---------------------------------------------------------------------------------- */

/* Returns whether all nodes show the same value of each key, or none. */
static bool is_agreed(struct world *w)
{
    for (unsigned g = 0; g < GROUPS; g++) {
        for (unsigned k = 0; k < KEYS; k++) {
            unsigned seen = 0;
            for (unsigned i = 0; i < w->count; i++) {
                unsigned there =
                    w->nodes[i].is_up ? shown_in(&w->nodes[i], g, k) : 0;
                if (there != 0 && seen != 0 && there != seen) {
                    return false;
                }
                seen = there != 0 ? there : seen;
            }
        }
    }
    return true;
}

static void check_info(void *arg, const struct km_sync_member_info *info)
{
    unsigned *live = arg;
    assert_int_equal(info->duplicates, 0);
    assert_int_equal(info->queue, 0);
    assert_int_equal(info->lag, 0);
    *live += info->up;
}

static void check_streams(struct storm *s)
{
    struct world *w = s->w;
    for (unsigned i = 0; i < w->count; i++) {
        unsigned live = 0;
        if (w->nodes[i].is_up) {
            km_sync_visit(w->nodes[i].sync, check_info, &live);
            assert_int_equal(live, w->member_count - 1);
            assert_int_equal(w->nodes[i].sync->large_bytes, 0);
        }
    }
    assert_true(w->queued_max <=
                KM_SYNC_QUEUED_BYTES + KM_SYNC_FRAME_BYTES + 512);
}

/* Returns whether all nodes show the newest value of each key, but one key perhaps. */
static bool is_whole(struct world *w)
{
    unsigned incomplete = 0;
    for (unsigned g = 0; g < GROUPS; g++) {
        for (unsigned k = 0; k < KEYS; k++) {
            bool is_complete = true;
            for (unsigned i = 0; i < w->count; i++) {
                is_complete &=
                    shown_in(&w->nodes[i], g, k) == w->best[g][k].counter;
            }
            incomplete += !is_complete;
        }
    }
    return incomplete <= 1 && is_converged(w, OR_NOTHING);
}

static bool run_seed(uint64_t seed, enum weather weather)
{
    struct storm s = {.weather = weather};
    size_t ring = weather != QUIET && seed % 3 == 0 ? 4096 : 0;
    struct world *w = world_new_with(seed, 3 + (unsigned)(seed % 3), ring);
    s.w = w;
    for (unsigned i = 0; i < w->count; i++) {
        w->nodes[i].skew_ms = (int64_t)sim_between(&w->sim, 0, 400) - 200;
    }
    for (unsigned i = 0; i < 600; i++) {
        step(&s);
        world_run(w, sim_between(&w->sim, 0, 8 * KM_NS_PER_MS));
    }
    unblock_all(w);
    world_run(w, 25 * KM_NS_PER_S);
    end_leaves(&s);
    world_run(w, 5 * KM_NS_PER_S);
    bool good = weather == STORMY  ? is_agreed(w)
                : weather == QUIET ? is_whole(w)
                                   : is_converged(w, OR_NOTHING);
    check_streams(&s);
    world_free(w);
    return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void run(enum weather weather)
{
    uint64_t first = number_of("KAMA_SEED", 1);
    uint64_t count = number_of("KAMA_SEEDS", 100);
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!run_seed(seed, weather)) {
            fail_msg("KAMA_SEED=%llu: the nodes do not agree",
                     (unsigned long long)seed);
        }
    }
}

static void test_quiet(void **state)
{
    (void)state;
    run(QUIET);
}

static void test_calm(void **state)
{
    (void)state;
    run(CALM);
}

static void test_stormy(void **state)
{
    (void)state;
    run(STORMY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_stormy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
