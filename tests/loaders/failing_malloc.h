/* SPDX-License-Identifier: MIT */
/*
 * The allocation functions of a test program, of which the n-th call inside
 * open and load fails. They also serve the plug-in, its library and libc. A
 * sanitizer has allocation functions of its own, so that nothing is replaced
 * there and the check is left out.
 *
 * Threads: only calls of the thread that has armed them fail.
 */
#pragma once

#include "helpers/plugin_host.h"

#include <errno.h>
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAILING_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAILING_MALLOC 0
#endif
#endif
#ifndef FAILING_MALLOC
#define FAILING_MALLOC 1
#endif

/* The allocations until one fails. Below 0, none fails. */
static _Thread_local long allocations_left = -1;
static _Thread_local bool inside_call;

/* The blocks that this thread has allocated and not freed. */
static _Thread_local long live_blocks;

#if FAILING_MALLOC
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static bool is_failing(void)
{
    if (!inside_call || allocations_left < 0 || allocations_left-- > 0) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

static void *count(void *p)
{
    live_blocks += p != NULL;
    return p;
}

KAMA_API void *malloc(size_t size)
{
    return is_failing() ? NULL : count(__libc_malloc(size));
}

KAMA_API void *calloc(size_t count_of, size_t size)
{
    return is_failing() ? NULL : count(__libc_calloc(count_of, size));
}

KAMA_API void *realloc(void *p, size_t size)
{
    if (is_failing()) {
        return NULL;
    }
    void *moved = __libc_realloc(p, size);
    return p == NULL ? count(moved) : moved;
}

KAMA_API void free(void *p)
{
    live_blocks -= p != NULL;
    __libc_free(p);
}
#endif

static void note_call(bool begins)
{
    inside_call = begins;
}

/* Opens, loads the key and closes while the n-th allocation fails. The result
 * is an error or the right answer, and nothing leaks. Returns false if there
 * were fewer than n allocations. */
static bool run_failing(const char *name, const char *config_text,
                        kama_bytes key, long n)
{
    struct host_plugin plugin;
    struct host_result result = {0};
    long live_before = live_blocks;
    allocations_left = n;
    host_open(&plugin, name, config_text, NULL);
    if (plugin.status == KAMA_OK) {
        host_load(&plugin, key, 5000, &result);
        host_close(&plugin);
    }
    bool reached = allocations_left < 0;
    allocations_left = -1;
    assert_true(reached || result.value != NULL);
    assert_true(result.status <= KAMA_OK);
    if (result.value != NULL) {
        assert_int_equal(result.value_len, key.len);
    }
    host_result_fini(&result);
    assert_int_equal(live_blocks, live_before);
    return reached;
}

/* Runs this for each n until no allocation fails. The value of the key is as
 * long as the key. */
static void expect_allocation_failures(const char *name,
                                       const char *config_text, kama_bytes key)
{
    long n = 0;
    host_around_call = note_call;
    while (FAILING_MALLOC && run_failing(name, config_text, key, n)) {
        n++;
    }
    assert_true(!FAILING_MALLOC || n > 2);
    host_around_call = NULL;
}
