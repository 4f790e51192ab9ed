/* SPDX-License-Identifier: MIT */
/*
 * The boundary between the library and the functions of an application that it
 * calls: loaders, callbacks, allocators.
 *
 * Such a function must return. If a C++ exception, pthread_exit or a cancelled
 * thread left it instead, the unwinder would step over the frames of the library,
 * which are C and clean up nothing: the key would stay taken, a lock locked, and
 * kama_group_free would wait for ever. So each call goes through a small function
 * of its own whose frame cannot be passed:
 *
 *     static KM_BOUNDARY_FUNCTION void call_it(void (*fn)(void *), void *arg)
 *     {
 *         KM_BOUNDARY_BEGIN("a callback", NULL, no_key);
 *         fn(arg);
 *         KM_BOUNDARY_END();
 *     }
 *
 * The frame has a personality routine (boundary.c). The unwinder asks it before
 * it unwinds anything; it says what has happened and ends the process, while the
 * stack is still what it was where the exception was thrown. Returning normally
 * costs two writes to thread-local memory.
 *
 * A thread that is cancelled inside such a function is no error of the function:
 * where it may block, km_cancel_defer (sync.h) puts the cancellation off until
 * the call of the library has returned.
 *
 * Where compilers emit no unwind tables, or on other machines than x86-64 and
 * AArch64, the macros do nothing but name the function.
 * Thread-safety: any thread. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <unwind.h>

/* What the thread is calling; on the stack of the boundary function. */
struct km_boundary {
    const char *function; /* "the loader": static */
    const char *group;    /* its name; NULL: no group's */
    kama_bytes key;       /* empty: none */
    const struct km_boundary *outer;
};

/* Before the function is called, and after it has returned. */
void km_boundary_enter(struct km_boundary *boundary);
void km_boundary_leave(const struct km_boundary *boundary);

/* The personality routine of boundary functions: never returns to the frame. */
__attribute__((visibility("hidden"))) _Unwind_Reason_Code
km_boundary_personality(int version, _Unwind_Action actions,
                        _Unwind_Exception_Class exception_class,
                        struct _Unwind_Exception *exception,
                        struct _Unwind_Context *context);

/* Inlined, a boundary would give its personality to the frame of its caller. */
#define KM_BOUNDARY_FUNCTION __attribute__((noinline))

/* 0x1b: the address is relative to the place where it stands, in 4 bytes. */
#if defined(__GCC_HAVE_DWARF2_CFI_ASM) && defined(__x86_64__)
#define KM_BOUNDARY_PERSONALITY()                                              \
    __asm__ volatile(".cfi_personality 0x1b, %c0"                              \
                     :                                                         \
                     : "i"(km_boundary_personality))
#elif defined(__GCC_HAVE_DWARF2_CFI_ASM) && defined(__aarch64__)
#define KM_BOUNDARY_PERSONALITY()                                              \
    __asm__ volatile(".cfi_personality 0x1b, %0"                               \
                     :                                                         \
                     : "S"(km_boundary_personality))
#else
#define KM_BOUNDARY_PERSONALITY() ((void)0)
#endif

#define KM_BOUNDARY_BEGIN(function_, group_, key_)                             \
    struct km_boundary km_boundary_ = {function_, group_, key_, NULL};         \
    KM_BOUNDARY_PERSONALITY();                                                 \
    km_boundary_enter(&km_boundary_)
#define KM_BOUNDARY_END() km_boundary_leave(&km_boundary_)
