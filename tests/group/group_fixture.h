/* SPDX-License-Identifier: MIT */
/*
 * The fixture of the tests of groups: a group on a counting allocator, a loader
 * that follows a script and can be held at a gate, and threads that call.
 *
 *     struct fixture *f = fixture_open(fixture_new());
 *     struct caller caller;
 *     gate_close(&f->script.gate);
 *     caller_start(&caller, f->group, "k", 0);
 *     gate_await(&f->script.gate, 1);           the loader is inside
 *     fixture_check(f);                         every invariant holds now
 *     gate_open(&f->script.gate);
 *     assert_int_equal(caller_join(&caller), KAMA_OK);
 *     fixture_free(f);                          checks again, and counts memory
 *
 * A loader may hang at the gate for as long as a test waits (AWAIT), so that the
 * fixture's loader_timeout_ms is longer than that. Tests that want a timeout set a
 * shorter one.
 */
#pragma once

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/sync.h"
#include "group/group.h"
#include "group/group_internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

/* A gate at which threads wait until it is open. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned arrived; /* threads that have come to it, in all */
    bool open;
};

/* Makes a gate that is open. */
static inline void gate_init(struct gate *gate)
{
    (void)pthread_mutex_init(&gate->lock, NULL);
    (void)pthread_cond_init(&gate->cond, NULL);
    gate->arrived = 0;
    gate->open = true;
}

/* Comes to the gate, and waits until it is open. */
static inline void gate_pass(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    gate->arrived++;
    (void)pthread_cond_broadcast(&gate->cond);
    while (!gate->open) {
        (void)pthread_cond_wait(&gate->cond, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
}

/* Lets through the threads that wait at the gate, and those that come later. */
static inline void gate_open(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    gate->open = true;
    (void)pthread_cond_broadcast(&gate->cond);
    (void)pthread_mutex_unlock(&gate->lock);
}

/* Makes the threads that come from now on wait at the gate. */
static inline void gate_close(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    gate->open = false;
    (void)pthread_mutex_unlock(&gate->lock);
}

/* Waits until n threads have come to the gate, in all. */
static inline void gate_await(struct gate *gate, unsigned n)
{
    (void)pthread_mutex_lock(&gate->lock);
    while (gate->arrived < n) {
        (void)pthread_cond_wait(&gate->cond, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
}

/* The orders of the loader, and its counts. */
struct script {
    struct gate gate;
    _Atomic int status; /* kama_status to return */
    const char *value;  /* NULL: "value of KEY" */
    size_t value_len;
    int64_t ttl_ms;
    uint64_t version;
    uint32_t flags; /* KAMA_NO_STORE */
    bool no_set;    /* KAMA_OK without a value */
    const char *sentence;
    atomic_uint calls;
    atomic_uint frees;
    bool defer;
    kama_deferred *_Atomic deferred;
    char traceparent[KM_TRACEPARENT_BYTES]; /* of the last load, or "" */
};

static inline kama_status script_load(void *arg, const kama_load *req,
                                      kama_sink *out)
{
    struct script *s = arg;
    char value[128];
    atomic_fetch_add(&s->calls, 1);
    if (req->traceparent != NULL) {
        (void)pthread_mutex_lock(&s->gate.lock);
        (void)snprintf(s->traceparent, sizeof s->traceparent, "%s",
                       req->traceparent);
        (void)pthread_mutex_unlock(&s->gate.lock);
    }
    if (s->defer) {
        kama_deferred *d = kama_load_defer(out);
        atomic_store(&s->deferred, d);
        gate_pass(&s->gate);
        return d == NULL ? KAMA_ERR_NO_MEMORY : KAMA_DEFERRED;
    }
    gate_pass(&s->gate);
    if (s->sentence != NULL) {
        kama_sink_error(out, s->sentence);
    }
    kama_status st = (kama_status)atomic_load(&s->status);
    if (st != KAMA_OK || s->no_set) {
        return st;
    }
    kama_sink_options options;
    kama_sink_options_init(&options);
    options.ttl_ms = s->ttl_ms;
    options.version = s->version;
    options.flags = s->flags;
    int n = snprintf(value, sizeof value, "value of %.*s", (int)req->key.len,
                     (const char *)req->key.data);
    return kama_sink_set(out,
                         s->value != NULL ? KAMA_BYTES(s->value, s->value_len)
                                          : KAMA_BYTES(value, (size_t)n),
                         &options);
}

static inline void script_free(void *arg)
{
    atomic_fetch_add(&((struct script *)arg)->frees, 1);
}

struct fixture {
    struct km_mem_probe probe;
    struct script script;
    kama_group_options options;
    kama_group *group;
};

/* Makes the options of a group with the scripted loader. The test may change them
 * before it opens the group. */
static inline struct fixture *fixture_new(void)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    km_mem_probe_init(&f->probe);
    gate_init(&f->script.gate);
    kama_group_options_init(&f->options);
    f->options.name = "test";
    f->options.loader_timeout_ms = 60000;
    f->options.loader = script_load;
    f->options.loader_arg = &f->script;
    f->options.loader_free = script_free;
    f->options.allocator = &f->probe.allocator;
    return f;
}

/* Makes the group. */
static inline struct fixture *fixture_open(struct fixture *f)
{
    assert_int_equal(kama_group_new(&f->options, &f->group), KAMA_OK);
    return f;
}

/* Ends a fixture whose group was freed: every block of memory has come back, and
 * loader_free was called once. */
static inline void fixture_done(struct fixture *f)
{
    assert_int_equal(atomic_load(&f->probe.live_blocks), 0);
    assert_int_equal(atomic_load(&f->script.frees), 1);
    test_free(f);
}

/* Waits until condition, an expression, is true; fails after 20 s. */
#define AWAIT(condition)                                                       \
    do {                                                                       \
        int64_t until_ = now_ms() + 20000;                                     \
        while (!(condition)) {                                                 \
            struct timespec pause_ = {0, 200000};                              \
            assert_true(now_ms() < until_);                                    \
            (void)nanosleep(&pause_, NULL);                                    \
        }                                                                      \
    } while (0)

static inline int64_t now_ms(void)
{
    return (int64_t)(km_clock_mono(km_clock_system()) / KM_NS_PER_MS);
}

/* Checks the invariants of the group. Its calls must be at rest, as are those that
 * wait for a load or in a loader; its pool may still be busy with calls that were
 * answered, so that the sums over the threads' cells are awaited. */
static inline void fixture_check(struct fixture *f)
{
    km_group_check(f->group);
    AWAIT(km_gate_count(&f->group->gate) >= 0);
    AWAIT(km_slots_free(&f->group->slots) <= km_group_loads_max(f->group));
}

/* Sets key to "v", with a time to live. */
static inline void fixture_set(struct fixture *f, const char *key,
                               int64_t ttl_ms)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.ttl_ms = ttl_ms;
    assert_int_equal(
        kama_set(f->group, kama_bytes_str(key), KAMA_STR("v"), &options),
        KAMA_OK);
}

/* Checks the group, frees it, and ends the fixture. */
static inline void fixture_free(struct fixture *f)
{
    fixture_check(f);
    AWAIT(km_group_counts_fit(f->group));
    kama_group_free(f->group);
    fixture_done(f);
}

static inline kama_group_stats stats(struct fixture *f)
{
    kama_group_stats s;
    kama_group_stats_get(f->group, &s);
    return s;
}

/* Calls kama_get. If there is a value, it must be text. */
static inline kama_status get_text(kama_group *group, const char *key,
                                   const kama_ctx *ctx, const char *text)
{
    kama_value *value = NULL;
    kama_status st = kama_get(group, kama_bytes_str(key), ctx, &value);
    if (st == KAMA_OK) {
        kama_bytes b = kama_value_bytes(value);
        assert_int_equal(b.len, strlen(text));
        assert_memory_equal(b.data, text, b.len);
        kama_value_unref(value);
    }
    return st;
}

/* A thread that gets one key. */
struct caller {
    pthread_t thread;
    kama_group *group;
    const char *key;
    int64_t deadline_ms;
    kama_status status;
    char text[64];
    char sentence[256];
    int64_t took_ms;
};

static inline void *caller_run(void *arg)
{
    struct caller *c = arg;
    kama_ctx ctx;
    kama_value *value = NULL;
    int64_t from = now_ms();
    kama_ctx_init(&ctx);
    ctx.deadline_ms = c->deadline_ms;
    c->status = kama_get(c->group, kama_bytes_str(c->key), &ctx, &value);
    c->took_ms = now_ms() - from;
    if (c->status == KAMA_OK) {
        kama_bytes b = kama_value_bytes(value);
        size_t n = b.len < 63 ? b.len : 63;
        memcpy(c->text, b.data, n);
        c->text[n] = '\0';
        kama_value_unref(value);
    }
    kama_last_error(c->sentence, sizeof c->sentence);
    return NULL;
}

static inline void caller_start(struct caller *c, kama_group *group,
                                const char *key, int64_t deadline_ms)
{
    memset(c, 0, sizeof *c);
    c->group = group;
    c->key = key;
    c->deadline_ms = deadline_ms;
    assert_int_equal(pthread_create(&c->thread, NULL, caller_run, c), 0);
}

static inline kama_status caller_join(struct caller *c)
{
    (void)pthread_join(c->thread, NULL);
    return c->status;
}
