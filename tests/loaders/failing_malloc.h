/* SPDX-License-Identifier: MIT */
/*
 * The allocation functions of the program that includes this, of which the
 * n-th call inside open and load fails: those of the plug-in, of its library
 * and of libc. Under a sanitizer, which has its own, nothing is replaced and
 * the check is left out.
 * Threads: only calls of the thread that armed it fail.
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

/* Allocations until one fails; below 0: none does. */
static _Thread_local long allocations_left = -1;
static _Thread_local bool inside_call;

/* Blocks that this thread has taken and not given back. */
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

/* One open, load of key and close with the n-th allocation failing. What is
 * not an error is the right answer, and nothing is leaked.
 * False: fewer than n were made. */
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

/* Runs it for each n until it passes. The value of key is as long as key. */
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
