/* SPDX-License-Identifier: MIT */
/*
 * Single flight for types of the application's own.
 *
 * When several threads want the same result at the same time, one of them does
 * the work (it leads), and the others wait for its result. A flight remembers
 * nothing: when the last caller has its result, the next caller works anew. For
 * results that are to be kept, use a group (kamacache/kamacache.h), which has a
 * flight of this kind inside.
 *
 *     thread 1:  do(17 May) leads ... build_report ... -> the report
 *     thread 2:       do(17 May) waits ................ -> the same report
 *     thread 3:            do(18 May) leads ... build_report ... -> another one
 *     thread 1:                                  do(17 May) leads again
 *
 * A macro makes the flight for a type of keys and a type of results, so that no
 * call needs a cast and a wrong type does not compile:
 *
 *     static uint64_t day_hash(struct day day);
 *     static int day_equal(struct day a, struct day b);
 *     static kama_status build_report(void *arg, struct day day,
 *                                     struct report **ret_report);
 *
 *     KAMA_FLIGHT_DEFINE(report_flight, struct day, struct report *, day_hash,
 *                        day_equal)
 *
 *     struct report_flight flight;
 *     status = report_flight_init(&flight);
 *     status = report_flight_do(&flight, day, build_report, arg, 5000,
 *                               &report, NULL);
 *     report_flight_fini(&flight);
 *
 * KAMA_FLIGHT_DEFINE(name, key_type, result_type, hash_fn, equal_fn) stands at
 * file scope. It defines `struct name` and these functions, all of them static:
 *
 *   kama_status name_init(struct name *flight);
 *
 *     Makes the flight. Errors: KAMA_ERR_NO_MEMORY. Setup.
 *
 *   kama_status name_do(struct name *flight, key_type key,
 *                       kama_status (*fn)(void *arg, key_type key,
 *                                         result_type *ret_result),
 *                       void *arg, int64_t timeout_ms,
 *                       result_type *ret_result, int *ret_shared);
 *
 *     If nobody works on `key`, calls fn(arg, key, ...) on this thread and
 *     returns what it returned. Otherwise waits for the thread that works on
 *     it, and does not call fn. Every caller gets the status of the one call of
 *     fn and, with KAMA_OK, a copy of its result, which is made by assignment.
 *
 *     timeout_ms:  how long this caller may wait for another one, in
 *                  milliseconds; 0 means without a limit. A caller whose time
 *                  is over leaves with KAMA_ERR_TIMEOUT, and the work goes on
 *                  for the others. It does not limit fn on the thread that
 *                  leads.
 *     ret_result:  may be NULL for a caller that does not need the result.
 *     ret_shared:  may be NULL. With KAMA_OK it is 1 if the result came from
 *                  another caller or went to another caller as well, else 0.
 *
 *     Errors: those of fn; KAMA_ERR_TIMEOUT; KAMA_ERR_BUSY if 65536 callers
 *     wait for the key already; KAMA_ERR_REENTRANT if fn asks for the key that
 *     it is working on, on the same thread; KAMA_ERR_NO_MEMORY. Threads that
 *     wait for each other in a circle are not detected: their timeouts end the
 *     circle. Cost without other callers: one allocation and O(1).
 *
 *   void name_stats(struct name *flight, kama_flight_stats *ret_stats);
 *
 *     Reads how many callers led, waited and failed; see kama_flight_stats.
 *     Cost: O(calls that run); each lock of the flight is held for a moment.
 *
 *   void name_fini(struct name *flight);
 *
 *     Frees the flight. No call may be running. Setup.
 *
 * The functions of the application:
 *
 *   uint64_t hash_fn(key_type key)
 *   int equal_fn(key_type a, key_type b)     not 0: the keys are the same
 *
 *     Both must be pure functions of their arguments. Keys that are equal have
 *     the same hash. equal_fn runs while a lock is held, so it must not use the
 *     flight.
 *
 * KAMA_FLIGHT_DEFINE_REF(name, key_type, result_type, hash_fn, equal_fn,
 * ref_fn, unref_fn) is for results that count their references. Each caller
 * that gets the result owns one reference, as if it had done the work itself:
 *
 *   void ref_fn(result_type result)
 *
 *     Takes a reference. It is called once for each waiter that gets the
 *     result, before name_do returns on the thread that leads.
 *
 *   void unref_fn(result_type result)
 *
 *     Gives a reference back. It is called when a caller passed NULL for
 *     ret_result.
 *
 * Keys and results are copied as bytes are. In C++, a type that is not
 * trivially copyable, such as std::string, does not compile; use a pointer to
 * it, or a slice of its bytes.
 *
 * fn and the other functions must return normally. If a C++ exception or
 * pthread_exit is about to leave one of them, the process ends with a sentence
 * on standard error. Only hash_fn is an exception: it runs before the flight
 * knows of the call.
 *
 * Threads: any thread may call name_do and name_stats at any time. "Setup" means: call this
 * before other threads use the flight, or after they have stopped using it.
 */
#ifndef KAMACACHE_FLIGHT_H
#define KAMACACHE_FLIGHT_H

#include <kamacache/kamacache.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The counters of a flight since it was made. A call of name_do is counted once in
 * `calls`, and once in one of `led`, `coalesced` and `refused`, as soon as it is
 * known which of the three it is. The figures are read one after the other while
 * other threads work, so they need not fit together exactly; they do when no
 * call is running.
 */
typedef struct kama_flight_stats {
    uint32_t struct_size;
    uint32_t reserved;
    /* Calls of name_do: the sum of `led`, `coalesced` and `refused`. */
    uint64_t calls;
    /* Calls that did the work themselves. */
    uint64_t led;
    /* Calls that joined the work of another caller instead of doing it. */
    uint64_t coalesced;
    /* Calls that neither worked nor waited: KAMA_ERR_REENTRANT, KAMA_ERR_BUSY,
     * KAMA_ERR_NO_MEMORY. */
    uint64_t refused;
    /* Of `led`: those whose function returned an error. KAMA_MISS is none. */
    uint64_t failed;
    /* Of `coalesced`: those that left with KAMA_ERR_TIMEOUT. */
    uint64_t timed_out;
    /* Callers that work at this moment, and callers that wait for them. */
    uint64_t running;
    uint64_t waiting;
} kama_flight_stats;

/*
 * The engine behind the macros. Applications use the functions that the macros
 * define, and never the ones below: they take keys and results as untyped
 * memory. The key stays with the caller that leads, on its stack; the engine
 * holds the result until the last waiter has its copy.
 */
typedef struct kama_flight_engine kama_flight_engine;

/* A type of keys and a type of results, as the engine must know them. */
typedef struct kama_flight_type {
    uint32_t struct_size;
    uint32_t key_size;
    uint32_t result_size;
    uint32_t reserved;
    /* Returns whether two keys are the same. */
    int (*equal)(const void *a, const void *b);
    /* Copies a result. */
    void (*assign)(void *to, const void *from);
    /* Take and give back a reference of a result. NULL: results have none. */
    void (*ref)(const void *result);
    void (*unref)(const void *result);
} kama_flight_type;

/*
 * Makes an engine, which the caller owns. `type` is borrowed and must stay
 * valid as long as the engine. Errors: KAMA_ERR_INVALID (type),
 * KAMA_ERR_NO_MEMORY.
 */
KAMA_API KAMA_NODISCARD kama_status kama_flight_engine_new(
    const kama_flight_type *type, kama_flight_engine **ret_engine);

/* Frees an engine; no call may be running. Passing NULL does nothing. */
KAMA_API void kama_flight_engine_free(kama_flight_engine *engine);

/*
 * Does what name_do does, for an untyped key. run(call, key, ret_result) is the
 * work; it runs on this thread if this caller leads. `key` is borrowed until
 * the call returns. The other parameters and the errors are those of name_do.
 */
KAMA_API KAMA_NODISCARD kama_status kama_flight_engine_do(
    kama_flight_engine *engine, uint64_t hash, const void *key,
    kama_status (*run)(void *call, const void *key, void *ret_result),
    void *call, int64_t timeout_ms, void *ret_result, int *ret_shared);

/* Reads the figures, and writes no more than `struct_size` bytes. name_stats
 * passes the size that the program was compiled with. */
KAMA_API void kama_flight_engine_stats(kama_flight_engine *engine,
                                       kama_flight_stats *ret_stats,
                                       size_t struct_size);

#ifdef __cplusplus
}
#endif

/* A program need not use every function that a macro defines. */
#if defined(__GNUC__)
#define KAMA_FLIGHT_UNUSED __attribute__((unused))
#else
#define KAMA_FLIGHT_UNUSED
#endif

/* C and C++ differ in two things here: casts, and the check that a type can be
 * copied as bytes are. */
#ifdef __cplusplus
#define KAMA_FLIGHT_CAST_(type, value) static_cast<type>(value)
#define KAMA_FLIGHT_CHECK_(key_type, result_type)                              \
    static_assert(__is_trivially_copyable(key_type),                           \
                  "KAMA_FLIGHT: the key type must be trivially copyable");     \
    static_assert(__is_trivially_copyable(result_type),                        \
                  "KAMA_FLIGHT: the result type must be trivially copyable");
#else
#define KAMA_FLIGHT_CAST_(type, value) ((type)(value))
#define KAMA_FLIGHT_CHECK_(key_type, result_type)
#endif

/* Defines a flight for plain results; see the top of this file. */
#define KAMA_FLIGHT_DEFINE(name, key_type, result_type, hash_fn, equal_fn)     \
    KAMA_FLIGHT_DEFINE_TYPES_(name, key_type, result_type, equal_fn)           \
    KAMA_FLIGHT_DEFINE_CALLS_(name, key_type, result_type, hash_fn, NULL, NULL)

/* Defines a flight for results that count their references; see the top of this
 * file. */
#define KAMA_FLIGHT_DEFINE_REF(name, key_type, result_type, hash_fn, equal_fn, \
                               ref_fn, unref_fn)                               \
    KAMA_FLIGHT_DEFINE_TYPES_(name, key_type, result_type, equal_fn)           \
    static KAMA_FLIGHT_UNUSED void name##_ref_(const void *result)             \
    {                                                                          \
        ref_fn(*KAMA_FLIGHT_CAST_(result_type const *, result));               \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED void name##_unref_(const void *result)           \
    {                                                                          \
        unref_fn(*KAMA_FLIGHT_CAST_(result_type const *, result));             \
    }                                                                          \
    KAMA_FLIGHT_DEFINE_CALLS_(name, key_type, result_type, hash_fn,            \
                              name##_ref_, name##_unref_)

/* The structures and the functions that give types to the untyped engine. */
#define KAMA_FLIGHT_DEFINE_TYPES_(name, key_type, result_type, equal_fn)       \
    KAMA_FLIGHT_CHECK_(key_type, result_type)                                  \
    struct name {                                                              \
        kama_flight_engine *engine;                                            \
    };                                                                         \
    struct name##_call_ {                                                      \
        kama_status (*fn)(void *arg, key_type key, result_type *ret_result);   \
        void *arg;                                                             \
    };                                                                         \
    static KAMA_FLIGHT_UNUSED int name##_equal_(const void *a, const void *b)  \
    {                                                                          \
        return equal_fn(*KAMA_FLIGHT_CAST_(key_type const *, a),               \
                        *KAMA_FLIGHT_CAST_(key_type const *, b))               \
                   ? 1                                                         \
                   : 0;                                                        \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED void name##_assign_(void *to, const void *from)  \
    {                                                                          \
        *KAMA_FLIGHT_CAST_(result_type *, to) =                                \
            *KAMA_FLIGHT_CAST_(result_type const *, from);                     \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED kama_status name##_run_(                         \
        void *call, const void *key, void *ret_result)                         \
    {                                                                          \
        struct name##_call_ *c =                                               \
            KAMA_FLIGHT_CAST_(struct name##_call_ *, call);                    \
        return c->fn(c->arg, *KAMA_FLIGHT_CAST_(key_type const *, key),        \
                     KAMA_FLIGHT_CAST_(result_type *, ret_result));            \
    }

/* The functions that the application calls. */
#define KAMA_FLIGHT_DEFINE_CALLS_(name, key_type, result_type, hash_fn,        \
                                  ref_thunk, unref_thunk)                      \
    static KAMA_FLIGHT_UNUSED kama_status name##_init(struct name *flight)     \
    {                                                                          \
        static const kama_flight_type type = {                                 \
            KAMA_FLIGHT_CAST_(uint32_t, sizeof(kama_flight_type)),             \
            KAMA_FLIGHT_CAST_(uint32_t, sizeof(key_type)),                     \
            KAMA_FLIGHT_CAST_(uint32_t, sizeof(result_type)),                  \
            0,                                                                 \
            name##_equal_,                                                     \
            name##_assign_,                                                    \
            ref_thunk,                                                         \
            unref_thunk};                                                      \
        return kama_flight_engine_new(&type, &flight->engine);                 \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED kama_status name##_do(                           \
        struct name *flight, key_type key,                                     \
        kama_status (*fn)(void *arg, key_type key, result_type *ret_result),   \
        void *arg, int64_t timeout_ms, result_type *ret_result,                \
        int *ret_shared)                                                       \
    {                                                                          \
        struct name##_call_ call;                                              \
        call.fn = fn;                                                          \
        call.arg = arg;                                                        \
        return kama_flight_engine_do(flight->engine, hash_fn(key), &key,       \
                                     name##_run_, &call, timeout_ms,           \
                                     ret_result, ret_shared);                  \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED void name##_stats(struct name *flight,           \
                                                kama_flight_stats *ret_stats)  \
    {                                                                          \
        kama_flight_engine_stats(flight->engine, ret_stats,                    \
                                 sizeof *ret_stats);                           \
    }                                                                          \
    static KAMA_FLIGHT_UNUSED void name##_fini(struct name *flight)            \
    {                                                                          \
        kama_flight_engine_free(flight->engine);                               \
        flight->engine = NULL;                                                 \
    }

#endif
