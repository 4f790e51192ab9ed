/* SPDX-License-Identifier: MIT */
/*
 * What the tests of groups share: a group on a counting allocator, a loader
 * that does as it is told and can be held at a gate, and threads that call.
 */
#pragma once

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/sync.h"
#include "group/group.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

/* A door that threads wait at. */
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

/* Waits until n have come to the gate. */
static inline void gate_await(struct gate *gate, unsigned n)
{
    (void)pthread_mutex_lock(&gate->lock);
    while (gate->arrived < n) {
        (void)pthread_cond_wait(&gate->cond, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
}

/* What the loader is to do, and what it saw. */
struct script {
    struct gate gate;
    _Atomic int status; /* kama_status to return */
    const char *value;  /* NULL: "value of KEY" */
    size_t value_len;
    int64_t ttl_ms;
    uint64_t version;
    bool no_set; /* KAMA_OK without a value */
    const char *sentence;
    atomic_uint calls;
    atomic_uint frees;
    bool defer;
    kama_deferred *_Atomic deferred;
};

static inline kama_status script_load(void *arg, const kama_load *req,
                                      kama_sink *out)
{
    struct script *s = arg;
    char value[128];
    atomic_fetch_add(&s->calls, 1);
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

/* Options of a group with the scripted loader; change them, then open. */
static inline struct fixture *fixture_new(void)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    km_mem_probe_init(&f->probe);
    gate_init(&f->script.gate);
    kama_group_options_init(&f->options);
    f->options.name = "test";
    f->options.loader = script_load;
    f->options.loader_arg = &f->script;
    f->options.loader_free = script_free;
    f->options.allocator = &f->probe.allocator;
    return f;
}

static inline struct fixture *fixture_open(struct fixture *f)
{
    assert_int_equal(kama_group_new(&f->options, &f->group), KAMA_OK);
    return f;
}

/* Every block has come back, and the loader was told once. */
static inline void fixture_done(struct fixture *f)
{
    assert_int_equal(atomic_load(&f->probe.live_blocks), 0);
    assert_int_equal(atomic_load(&f->script.frees), 1);
    test_free(f);
}

static inline void fixture_free(struct fixture *f)
{
    kama_group_free(f->group);
    fixture_done(f);
}

static inline kama_group_stats stats(struct fixture *f)
{
    kama_group_stats s;
    kama_group_stats_get(f->group, &s);
    return s;
}

/* kama_get whose value, if any, must be text. */
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

static inline int64_t now_ms(void)
{
    return (int64_t)(km_clock_mono(km_clock_system()) / KM_NS_PER_MS);
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
