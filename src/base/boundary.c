/* SPDX-License-Identifier: MIT */
/*
 * The personality routine of boundary functions, and the sentence that it
 * prints.
 *
 * The unwinder passes no argument of ours to the personality routine, so that
 * the innermost boundary of each thread stands in a thread-local pointer.
 * Boundaries nest: a loader may call the library, which may call an allocator.
 */
#include "base/boundary.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY_SHOWN_BYTES 64

static _Thread_local const struct km_boundary *innermost;

void km_boundary_enter(struct km_boundary *boundary)
{
    boundary->outer = innermost;
    innermost = boundary;
}

void km_boundary_leave(const struct km_boundary *boundary)
{
    innermost = boundary->outer;
}

/* Prints one line to stderr: which function of the application did `what`, for
 * which group and key. The log is not used, because the process is about to
 * end and the log's thread would not write the line any more. */
static void say(const char *what)
{
    static const struct km_boundary unknown = {.function = "a function"};
    const struct km_boundary *b = innermost != NULL ? innermost : &unknown;
    char key[KEY_SHOWN_BYTES];
    (void)fprintf(stderr, "kamacache: ");
    if (b->group != NULL) {
        (void)fprintf(stderr, "group %s: ", b->group);
    }
    (void)fprintf(stderr, "%s %s", b->function, what);
    if (b->key.len > 0) {
        (void)fprintf(stderr, " (key \"%s\")",
                      km_bytes_quote(b->key, key, sizeof key));
    }
    (void)fprintf(stderr, "\n");
}

/*
 * The unwinder asks each frame twice. In the first phase it searches a handler
 * and nothing has been unwound yet: an error that is returned now makes the C++
 * runtime call std::terminate, which prints the text of the exception. A forced
 * unwinding (pthread_exit, a cancelled thread) has no such phase, so that this
 * function ends the process itself.
 */
_Unwind_Reason_Code km_boundary_personality(
    int version, _Unwind_Action actions,
    _Unwind_Exception_Class exception_class,
    struct _Unwind_Exception *exception, struct _Unwind_Context *context)
{
    (void)version;
    (void)exception_class;
    (void)exception;
    (void)context;
    if ((actions & _UA_FORCE_UNWIND) != 0) {
        say("ended its thread (pthread_exit or cancellation) instead of "
            "returning; the process ends, because the call cannot be "
            "completed");
        abort();
    }
    say("threw an exception; functions that KamaCache calls must return "
        "normally, so the process ends");
    return _URC_FATAL_PHASE1_ERROR;
}
