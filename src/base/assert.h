/* SPDX-License-Identifier: MIT */
/*
 * Assertions, for errors of the programmer.
 *
 *     KM_ASSERT(n <= buf->len);
 *     KM_DEBUG_ASSERT(list_is_sorted(list));
 *
 * KM_ASSERT is always compiled in, so its condition must be cheap. An assertion
 * that walks a structure is a KM_DEBUG_ASSERT, which only debug builds
 * (KAMA_DEBUG) evaluate. Nothing that comes from the network, from a file or
 * from a user may reach an assertion: that is an ordinary error with a status.
 *
 * Threads: any. Errors: a failed assertion prints its place and its condition
 * to stderr and aborts the process.
 */
#pragma once

/* Prints the place and the condition to stderr and aborts. */
_Noreturn void km_assert_fail(const char *file, int line, const char *what);

#define KM_ASSERT(cond)                                                        \
    do {                                                                       \
        if (__builtin_expect(!(cond), 0)) {                                    \
            km_assert_fail(__FILE__, __LINE__, #cond);                         \
        }                                                                      \
    } while (0)

/* A release build compiles the condition but does not evaluate it. */
#ifdef KAMA_DEBUG
#define KM_DEBUG_ASSERT(cond) KM_ASSERT(cond)
#else
#define KM_DEBUG_ASSERT(cond) ((void)sizeof(cond))
#endif

/* Tell the compiler which way a branch usually goes. */
#define KM_LIKELY(x) __builtin_expect(!!(x), 1)
#define KM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Of a function whose callers are hot and few. */
#define KM_ALWAYS_INLINE inline __attribute__((always_inline))
/* Of the part of a hot function that runs rarely, so that the rest saves no
 * registers for it. */
#define KM_NOINLINE __attribute__((noinline))
