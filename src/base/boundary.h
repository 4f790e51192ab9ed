/* SPDX-License-Identifier: MIT */
/*
 * The boundary between the library and the functions of an application that it
 * calls: loaders, callbacks, allocators.
 *
 * Such a function must return. If a C++ exception, pthread_exit or a cancelled
 * thread left it instead, the unwinder would step over the frames of the
 * library, which are C and clean up nothing: the key would stay taken, a lock
 * locked, and kama_group_free would wait for ever. So each call goes through a
 * small function of its own whose frame cannot be passed:
 *
 *     static KM_BOUNDARY_FUNCTION void call_it(void (*fn)(void *), void *arg)
 *     {
 *         KM_BOUNDARY_BEGIN("a callback", NULL, no_key);
 *         fn(arg);
 *         KM_BOUNDARY_END();
 *     }
 *
 * The frame has a personality routine (boundary.c). The unwinder asks it before
 * it unwinds anything; it says what has happened and ends the process, while
 * the stack is still what it was where the exception was thrown.
 *
 * If a thread is cancelled inside such a function, that is no error of the
 * function. Where it may block, km_cancel_defer (sync.h) postpones the
 * cancellation until the call of the library has returned.
 *
 * Where compilers emit no unwind tables, and on other machines than x86-64 and
 * AArch64, the macros only remember the name of the function.
 *
 * Cost: a function call and two writes to thread-local memory.
 * Threads: any. Errors: none. Ownership: a boundary lives in the frame of its
 * function; its texts are borrowed until that returns.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <unwind.h>

/* The function of the application that a thread is calling. */
struct km_boundary {
    const char *function; /* how a sentence calls it: "the loader" */
    const char *group;    /* the name of the group, or NULL */
    kama_bytes key;       /* the key, or empty */
    const struct km_boundary *outer;
};

/* Remembers the boundary before the function is called. */
void km_boundary_enter(struct km_boundary *boundary);
/* Forgets the boundary after the function has returned. */
void km_boundary_leave(const struct km_boundary *boundary);

/* The personality routine of boundary functions. It never lets the unwinder
 * pass the frame. */
__attribute__((visibility("hidden"))) _Unwind_Reason_Code
km_boundary_personality(int version, _Unwind_Action actions,
                        _Unwind_Exception_Class exception_class,
                        struct _Unwind_Exception *exception,
                        struct _Unwind_Context *context);

/* An inlined boundary would give its personality to the frame of its caller. */
#define KM_BOUNDARY_FUNCTION __attribute__((noinline))

/* 0x1b (DW_EH_PE_pcrel | DW_EH_PE_sdata4) says that the address is relative to
 * the place where it is stored, in 4 bytes. */
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

/* Stand at the beginning and at the end of a boundary function. */
#define KM_BOUNDARY_BEGIN(function_, group_, key_)                             \
    struct km_boundary km_boundary_ = {function_, group_, key_, NULL};         \
    KM_BOUNDARY_PERSONALITY();                                                 \
    km_boundary_enter(&km_boundary_)
#define KM_BOUNDARY_END() km_boundary_leave(&km_boundary_)
