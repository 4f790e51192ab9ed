/* SPDX-License-Identifier: MIT */
/*
 * Single flight for your own types: of the callers that want the same key at
 * the same time, one works, all get its result.
 *
 * KAMA_FLIGHT_DEFINE(name, key_type, result_type, hash_fn, equal_fn) defines
 * struct name and, for it,
 *
 *   kama_status name_init(struct name *flight);
 *   kama_status name_do(struct name *flight, key_type key,
 *                       kama_status (*fn)(void *arg, key_type key,
 *                                         result_type *ret_result),
 *                       void *arg, int64_t timeout_ms,
 *                       result_type *ret_result, int *ret_shared);
 *   void name_fini(struct name *flight);
 *
 * with   uint64_t hash_fn(key_type key)
 *        int equal_fn(key_type a, key_type b)      not 0: the same key
 * (pure functions: equal_fn runs under a lock).
 *
 * name_do runs fn on the calling thread (the leader) when nobody works on key,
 * else waits for who does. Every caller gets fn's status and, with KAMA_OK, a
 * copy of its result by assignment. *ret_shared (may be NULL) is 1 when the
 * result came from, or also went to, another caller.
 * timeout_ms bounds waiters (0: none); one that times out leaves with
 * KAMA_ERR_TIMEOUT, the work goes on for the others. A call for the same key
 * from inside its own leader, on the same thread, is KAMA_ERR_REENTRANT; a
 * cycle across threads ends by timeout. Nothing is remembered after the last
 * caller has left: this is no cache.
 *
 * KAMA_FLIGHT_DEFINE_REF(..., ref_fn, unref_fn) is for results that are
 * counted references: void ref_fn(result_type) is called once per waiter that
 * gets the result, before the leader returns; void unref_fn(result_type) gives
 * back what a waiter could not take.
 *
 * fn and the other functions must return normally: a C++ exception or
 * pthread_exit that would leave one ends the process with a sentence on standard
 * error. hash_fn alone runs before the flight knows of the call.
 *
 * Threads: name_do any thread; init and fini setup (fini: no call is running).
 * Errors: what fn returns; KAMA_ERR_NO_MEMORY, KAMA_ERR_BUSY (65536 wait).
 * Types: a wrong key, function or result type does not compile. Keys and results
 * are copied as bytes are: in C++, a type that is not trivially copyable (a
 * std::string, for example) does not compile. Use a pointer to it, or a slice.
 */
#ifndef KAMACACHE_FLIGHT_H
#define KAMACACHE_FLIGHT_H

#include <kamacache/kamacache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The engine behind the macros; nothing here is called by applications. */
typedef struct kama_flight_engine kama_flight_engine;

/* What the engine must know of a key and a result type. */
typedef struct kama_flight_type {
    uint32_t struct_size;
    uint32_t key_size;
    uint32_t result_size;
    uint32_t reserved;
    int (*equal)(const void *a, const void *b);
    void (*assign)(void *to, const void *from);
    void (*ref)(const void *result);   /* NULL: plain results */
    void (*unref)(const void *result); /* NULL: plain results */
} kama_flight_type;

/* Type is borrowed and static. */
KAMA_API KAMA_NODISCARD kama_status kama_flight_engine_new(
    const kama_flight_type *type, kama_flight_engine **ret_engine);
KAMA_API void kama_flight_engine_free(kama_flight_engine *engine);
/* run(call, key, ret_result) is the leader's work. */
KAMA_API KAMA_NODISCARD kama_status kama_flight_engine_do(
    kama_flight_engine *engine, uint64_t hash, const void *key,
    kama_status (*run)(void *call, const void *key, void *ret_result),
    void *call, int64_t timeout_ms, void *ret_result, int *ret_shared);

#ifdef __cplusplus
}
#endif

#if defined(__GNUC__)
#define KAMA_FLIGHT_UNUSED __attribute__((unused))
#else
#define KAMA_FLIGHT_UNUSED
#endif

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

#define KAMA_FLIGHT_DEFINE(name, key_type, result_type, hash_fn, equal_fn)     \
    KAMA_FLIGHT_DEFINE_TYPES_(name, key_type, result_type, equal_fn)           \
    KAMA_FLIGHT_DEFINE_CALLS_(name, key_type, result_type, hash_fn, NULL, NULL)

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
    static KAMA_FLIGHT_UNUSED void name##_fini(struct name *flight)            \
    {                                                                          \
        kama_flight_engine_free(flight->engine);                               \
        flight->engine = NULL;                                                 \
    }

#endif
