/* SPDX-License-Identifier: MIT */
/*
 * Assertions for errors of the programmer, never of input.
 * KM_ASSERT is always on and cheap; KM_DEBUG_ASSERT may be costly and is
 * compiled in only with KAMA_DEBUG.
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

#ifdef KAMA_DEBUG
#define KM_DEBUG_ASSERT(cond) KM_ASSERT(cond)
#else
#define KM_DEBUG_ASSERT(cond) ((void)sizeof(cond))
#endif

#define KM_LIKELY(x) __builtin_expect(!!(x), 1)
#define KM_UNLIKELY(x) __builtin_expect(!!(x), 0)
