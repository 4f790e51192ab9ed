/* SPDX-License-Identifier: MIT */
/*
 * KamaCache: a read-through cache, alone in a process or on a node that
 * serves it.
 *
 * A group is a namespace with a byte-bounded local cache and a loader. A get
 * answers from memory; on a miss one caller loads, every concurrent caller of
 * that key gets the one answer. A set, a del or a clear during a load wins:
 * the loaded value goes to those who waited and is not kept.
 *
 * Ownership   kama_bytes arguments and const pointers are borrowed until the
 *             call returns, unless the comment says otherwise. kama_value is
 *             a counted reference: who receives one gives it back with
 *             kama_value_unref.
 * Threads     "any thread", unless the comment says "setup": before the group
 *             or node is used by others, or after it is not any more.
 * Errors      kama_status: 0 is success, negative an error, positive a normal
 *             outcome without a value. A function that returns an error has
 *             changed nothing and will call no callback. The sentence behind
 *             the calling thread's last error is kama_last_error().
 * Results     ret_ parameters come last and are written only on success; one
 *             exception: KAMA_ERR_TOO_SMALL writes the length that is needed.
 * Callbacks   Functions of the application that the library calls (loaders,
 *             loader_free, callbacks, event functions, allocators) must return
 *             normally. A C++ exception or pthread_exit that would leave one of
 *             them ends the process with a sentence on standard error, even if
 *             a caller would catch the exception: the call that is under way
 *             could never be completed. They must not longjmp either, which
 *             cannot be detected.
 * Cancelling  No function is a cancellation point. A thread that is cancelled
 *             (pthread_cancel) inside one, or inside a loader on its stack, ends
 *             at its first cancellation point after the call has returned.
 * Forking     A forked child may always make groups and nodes of its own. It may
 *             also use, and free, a group that was made before the fork, if that
 *             group has no threads (it is no node's, and no _async call was made
 *             on it) and no other thread of the parent was inside a call of it
 *             at the fork: a server fills a group, forks its workers, and each
 *             has a copy that goes its own way. loader_arg is copied with it,
 *             loader_free runs in each process that frees its copy; whether a
 *             connection to an origin survives the fork is the loader's affair.
 *             Groups with threads, and nodes, belong to the parent. In the child,
 *             what needs their threads answers KAMA_ERR_STATE, and freeing them
 *             does nothing.
 */
#ifndef KAMACACHE_KAMACACHE_H
#define KAMACACHE_KAMACACHE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <kamacache/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KAMA_API __attribute__((visibility("default")))
#define KAMA_NODISCARD __attribute__((warn_unused_result))
#define KAMA_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KAMA_API
#define KAMA_NODISCARD
#define KAMA_PRINTF(fmt, args)
#endif

/* -- status ------------------------------------------------------------- */

/*
 * One row per status: name, number, gRPC code, HTTP code, text.
 * Positive: normal outcomes without a value. -1..-99: this request failed.
 * -100..-199: the connection is of no more use. -900 and below: the process
 * or the node cannot go on.
 */
#define KAMA_STATUS_MAP(X)                                                     \
    X(KAMA_OK, 0, 0, 200, "ok")                                                \
    X(KAMA_MISS, 1, 5, 404, "no such key")                                     \
    X(KAMA_WOULD_LOAD, 2, 5, 404, "not in memory")                             \
    X(KAMA_DEFERRED, 3, 13, 500, "the loader finishes later")                  \
    X(KAMA_ERR_INVALID, -1, 3, 400, "invalid argument")                        \
    X(KAMA_ERR_TOO_LARGE, -2, 8, 413, "larger than the limit")                 \
    X(KAMA_ERR_TOO_SMALL, -3, 3, 400, "the buffer is too small")               \
    X(KAMA_ERR_NO_MEMORY, -4, 8, 503, "out of memory")                         \
    X(KAMA_ERR_NO_GROUP, -5, 5, 404, "no such group")                          \
    X(KAMA_ERR_EXISTS, -6, 6, 409, "exists already")                           \
    X(KAMA_ERR_UNSUPPORTED, -7, 12, 501, "not in this version")                \
    X(KAMA_ERR_TIMEOUT, -8, 4, 504, "deadline exceeded")                       \
    X(KAMA_ERR_CANCELLED, -9, 1, 499, "cancelled")                             \
    X(KAMA_ERR_LOADER, -10, 13, 502, "the loader failed")                      \
    X(KAMA_ERR_PEER, -11, 14, 502, "the peer failed")                          \
    X(KAMA_ERR_OVERLOADED, -12, 8, 503, "overloaded")                          \
    X(KAMA_ERR_BUSY, -13, 8, 503, "too many wait for this key")                \
    X(KAMA_ERR_REENTRANT, -14, 9, 409, "called from inside its own load")      \
    X(KAMA_ERR_WOULD_DEADLOCK, -15, 9, 409, "would wait on its own pool")      \
    X(KAMA_ERR_NOT_READY, -16, 14, 503, "not ready")                           \
    X(KAMA_ERR_CLOSED, -17, 14, 503, "closed")                                 \
    X(KAMA_ERR_UNAUTHENTICATED, -18, 16, 401, "not authenticated")             \
    X(KAMA_ERR_PERMISSION, -19, 7, 403, "not permitted")                       \
    X(KAMA_ERR_TRY_AGAIN, -20, 10, 409, "try again")                           \
    X(KAMA_ERR_MALFORMED, -21, 3, 400, "malformed message")                    \
    X(KAMA_ERR_STATE, -22, 9, 409, "not in this state")                        \
    X(KAMA_ERR_INTERNAL, -23, 13, 500, "internal error")                       \
    X(KAMA_ERR_UNREACHABLE, -100, 14, 503, "cannot connect")                   \
    X(KAMA_ERR_PROTOCOL, -101, 13, 502, "protocol error")                      \
    X(KAMA_ERR_DISCONNECTED, -102, 14, 503, "the connection was lost")         \
    X(KAMA_ERR_ADDR_IN_USE, -900, 9, 500, "the address is in use")             \
    X(KAMA_ERR_IO, -901, 13, 500, "input or output failed")                    \
    X(KAMA_ERR_THREADS, -902, 13, 500, "cannot start a thread")

/* The names and numbers of KAMA_STATUS_MAP. A number never changes. */
typedef enum kama_status {
#define KAMA_STATUS_ENUM(name, value, grpc, http, text) name = value,
    KAMA_STATUS_MAP(KAMA_STATUS_ENUM)
#undef KAMA_STATUS_ENUM
        KAMA_STATUS_FORCE_INT = 0x7fffffff
} kama_status;

/* The text of a status, for people. Static; never NULL. Any thread. */
KAMA_API const char *kama_strerror(kama_status status);

/* The name of a status ("KAMA_ERR_TIMEOUT"). Static; never NULL. */
KAMA_API const char *kama_status_name(kama_status status);

/* Copies the sentence behind the calling thread's last failing call into buf,
 * or an empty string when there was none. The sentence is one line of UTF-8
 * without control characters (they are shown as \n or \xNN) and has at most 255
 * bytes. When cap is smaller, it is cut at a character. buf is NUL-terminated;
 * it may be NULL when cap is 0. */
KAMA_API void kama_last_error(char *buf, size_t cap);

/* The version of the library, "MAJOR.MINOR.PATCH". Static. */
KAMA_API const char *kama_version(void);

/* -- bytes -------------------------------------------------------------- */

/* A slice of bytes. Keys and values are binary; there is no final NUL. */
typedef struct kama_bytes {
    const void *data;
    size_t len;
} kama_bytes;

/* The len bytes at data, as a slice that borrows them. */
static inline kama_bytes kama_bytes_make(const void *data, size_t len)
{
    kama_bytes b;
    b.data = data;
    b.len = len;
    return b;
}

/* The bytes of a C string without its NUL, as a slice that borrows them. */
static inline kama_bytes kama_bytes_str(const char *s)
{
    return kama_bytes_make(s, strlen(s));
}

#define KAMA_STR(s) kama_bytes_str(s)
#define KAMA_BYTES(p, n) kama_bytes_make((p), (n))

/* -- memory ------------------------------------------------------------- */

/* Where the library takes its memory. Each function has the contract of its
 * C library namesake and gets arg first. Outlives what was made with it. */
typedef struct kama_allocator {
    void *(*alloc)(void *arg, size_t size);
    void *(*resize)(void *arg, void *p, size_t size);
    void (*release)(void *arg, void *p);
    void *arg;
} kama_allocator;

/* -- values ------------------------------------------------------------- */

/* An immutable value with a reference count. */
typedef struct kama_value kama_value;

/* The bytes of a value: valid until the caller's reference is given back,
 * whatever happens to entry, group and node. Any thread. O(1). */
KAMA_API kama_bytes kama_value_bytes(const kama_value *value);

/* The version of a value: what the loader gave, else 0. */
KAMA_API uint64_t kama_value_version(const kama_value *value);

/* Milliseconds until the value expires, counted now; KAMA_TTL_FOREVER when it
 * never does, 0 when it has. */
KAMA_API int64_t kama_value_ttl_ms(const kama_value *value);

/* Takes another reference. Returns value. */
KAMA_API kama_value *kama_value_ref(kama_value *value);

/* Gives a reference back. NULL is a no-op. */
KAMA_API void kama_value_unref(kama_value *value);

/* -- per-call context --------------------------------------------------- */

/* Where a request comes from. A peer's request is never sent on. */
enum { KAMA_ORIGIN_CLIENT = 0, KAMA_ORIGIN_PEER = 1 };

/* Flags of kama_ctx. */
enum {
    KAMA_NO_LOAD = 1u << 0,   /* memory only: KAMA_WOULD_LOAD, not a load */
    KAMA_LOCAL_ONLY = 1u << 1 /* never ask a peer */
};

/* Never expires; as a ttl_ms, distinct from 0, "as the group says". */
#define KAMA_TTL_FOREVER INT64_C(-1)

/*
 * What a call brings along. NULL means all defaults.
 *
 * deadline_ms bounds how long the caller waits: afterwards its get answers
 * KAMA_ERR_TIMEOUT, and no load is started for it any more. On a pool, a load that
 * has begun goes on without its callers, with the time of the group; one that
 * still waits for a slot when the last caller has left is dropped.
 *
 * deadline_ms cannot interrupt a loader that runs on the caller's own thread, which happens in a group
 * without a pool. Such a loader is told the smaller of its own time and the
 * caller's. When it fails after the caller's time, a waiter with more time loads
 * anew instead of receiving the failure; a value that comes late is everybody's.
 */
typedef struct kama_ctx {
    uint32_t struct_size;
    uint32_t flags;      /* KAMA_NO_LOAD, KAMA_LOCAL_ONLY */
    int64_t deadline_ms; /* from now; 0: the group's loader timeout */
    uint32_t origin;     /* KAMA_ORIGIN_ */
    uint32_t reserved;   /* 0 */
} kama_ctx;

/* Fills in the defaults; writes no more than struct_size bytes. */
KAMA_API void kama_ctx_init_sized(kama_ctx *ctx, size_t struct_size);
static inline void kama_ctx_init(kama_ctx *ctx)
{
    kama_ctx_init_sized(ctx, sizeof *ctx);
}

/* -- loaders ------------------------------------------------------------ */

/* One load. Valid until the loader returns, or until kama_load_finish
 * returns when the load was deferred. deadline_ms is what is left of the group's
 * loader_timeout_ms; where the loader runs on its caller's thread, it is what the
 * caller has left when that is less. */
typedef struct kama_load {
    uint32_t struct_size;
    uint32_t reserved;
    kama_bytes group;    /* the group's name */
    kama_bytes key;      /* what to load */
    int64_t deadline_ms; /* how long the loader may take, from now on */
} kama_load;

/* Where the loader puts the value. Valid until the loader returns. */
typedef struct kama_sink kama_sink;

/* A load that finishes later. */
typedef struct kama_deferred kama_deferred;

/* Flags of kama_sink_options. */
enum {
    KAMA_NO_STORE = 1u << 0 /* answers the callers that wait, and keeps nothing
                             * for later ones */
};

/* What a loader says about a value, or an absence, beyond its bytes. */
typedef struct kama_sink_options {
    uint32_t struct_size;
    uint32_t flags;   /* KAMA_NO_STORE */
    int64_t ttl_ms;   /* 0: the group's; KAMA_TTL_FOREVER; else > 0 */
    uint64_t version; /* the origin's own version, 0: none */
} kama_sink_options;

/* Fills in the defaults; writes no more than struct_size bytes. */
KAMA_API void kama_sink_options_init_sized(kama_sink_options *options,
                                           size_t struct_size);
static inline void kama_sink_options_init(kama_sink_options *options)
{
    kama_sink_options_init_sized(options, sizeof *options);
}

/*
 * Loads req->key. Returns KAMA_OK after kama_sink_set, KAMA_MISS when there
 * is no such key (not an error; kama_sink_absent can say for how long that is
 * true), KAMA_DEFERRED after kama_load_defer, or an error. A loader returns
 * KAMA_ERR_INVALID for a key that it refuses because its origin cannot have it,
 * for example one that would leave its place in a URL.
 *
 * Callers receive KAMA_MISS and the errors KAMA_ERR_INVALID, TIMEOUT,
 * TOO_LARGE, NO_MEMORY, OVERLOADED and CANCELLED as the loader returned them.
 * Every other answer, KAMA_OK without a value among them, reaches them as
 * KAMA_ERR_LOADER; so does KAMA_ERR_INVALID from a kama_sink_set or
 * kama_sink_absent that refused the loader's own options.
 *
 * Thread: the calling thread, or a pool thread where a pool exists.
 */
typedef kama_status (*kama_loader_fn)(void *arg, const kama_load *req,
                                      kama_sink *out);

/* Copies value as the result; the last call counts. options may be NULL.
 * Errors: KAMA_ERR_TOO_LARGE (over max_value_bytes), KAMA_ERR_INVALID
 * (ttl_ms, flags), KAMA_ERR_NO_MEMORY. Thread: the loader's. */
KAMA_API KAMA_NODISCARD kama_status kama_sink_set(
    kama_sink *out, kama_bytes value, const kama_sink_options *options);

/*
 * Says that the key does not exist, and how long that may be remembered.
 * Returns KAMA_MISS, so that a loader ends with it:
 *
 *     return kama_sink_absent(out, &options);
 *
 * The absence is remembered for options->ttl_ms, and never longer than the
 * group's negative_ttl_ms; a ttl_ms of 0 or KAMA_TTL_FOREVER means the group's.
 * With KAMA_NO_STORE it is not remembered. options may be NULL, which is the
 * same as returning KAMA_MISS without this call. It replaces what kama_sink_set
 * gave before.
 * Errors: KAMA_ERR_INVALID (ttl_ms, flags). Thread: the loader's.
 */
KAMA_API KAMA_NODISCARD kama_status
kama_sink_absent(kama_sink *out, const kama_sink_options *options);

/* Says the sentence behind the error that the loader is about to return;
 * callers find it in kama_last_error. It is borrowed until the call returns.
 * At most 255 bytes are kept, cut at a character. */
KAMA_API void kama_sink_error(kama_sink *out, const char *sentence);

/* Makes this load finish later; the loader then returns KAMA_DEFERRED.
 * NULL: no memory. req->key and the result live until kama_load_finish
 * returns. Thread: the loader's; the result may go to any thread. */
KAMA_API kama_deferred *kama_load_defer(kama_sink *out);

/* As kama_sink_error, for a deferred load: says the sentence behind the error
 * with which kama_load_finish is about to end it. With KAMA_OK and KAMA_MISS it
 * does not count. Thread: the one that calls kama_load_finish afterwards, which
 * frees deferred. */
KAMA_API void kama_load_error(kama_deferred *deferred, const char *sentence);

/* Ends a deferred load, exactly once, from any thread, possibly before the
 * loader has returned; also after a timeout or after the group was freed
 * (then it only frees). Copies value, frees deferred. value counts only with
 * KAMA_OK, options only with KAMA_OK (as for kama_sink_set) and KAMA_MISS (as
 * for kama_sink_absent); options may be NULL. */
KAMA_API void kama_load_finish(kama_deferred *deferred, kama_status status,
                               kama_bytes value,
                               const kama_sink_options *options);

/* -- groups ------------------------------------------------------------- */

/* A namespace: a local cache and a loader. */
typedef struct kama_group kama_group;

/* How a group behaves. Initialise with kama_group_options_init. */
typedef struct kama_group_options {
    uint32_t struct_size;
    uint32_t ttl_jitter;      /* percent, 0..50: a ttl is shortened by up to */
    const char *name;         /* 1..255 bytes of UTF-8; "default" */
    uint64_t max_bytes;       /* memory bound of the group; 64 MiB */
    uint64_t max_value_bytes; /* 0: min(1 MiB, max_bytes / 4) */
    int64_t ttl_ms;           /* 0, KAMA_TTL_FOREVER: entries never expire */
    int64_t negative_ttl_ms;  /* of "does not exist"; 0: is not remembered,
                                 KAMA_TTL_FOREVER: until a value is stored */
    kama_loader_fn loader;    /* NULL: a miss is a miss */
    void *loader_arg;
    void (*loader_free)(void *arg);  /* NULL, or run once after the last load */
    int64_t loader_timeout_ms;       /* 5000 */
    uint32_t loader_concurrency;     /* loaders at a time, hung ones too; 64 */
    uint32_t async_threads;          /* pool of a group without node; 2 */
    const char *policy;              /* "s3fifo" (default), "lru" */
    const kama_allocator *allocator; /* NULL: malloc */
} kama_group_options;

/* Fills in the defaults; writes no more than struct_size bytes. */
KAMA_API void kama_group_options_init_sized(kama_group_options *options,
                                            size_t struct_size);
static inline void kama_group_options_init(kama_group_options *options)
{
    kama_group_options_init_sized(options, sizeof *options);
}

/* Sets the option of that name from text, as a flag or a file would:
 * sizes as "65536" or "64m", durations as "500ms" or "5s". A duration needs a
 * unit, unless it is 0; "forever" is a ttl and a negative_ttl. value is borrowed
 * as long as options is used. loader is not settable by name.
 * Errors: KAMA_ERR_INVALID (unknown name or value; kama_last_error says
 * which), KAMA_ERR_UNSUPPORTED (a name of a later version). */
KAMA_API KAMA_NODISCARD kama_status kama_group_options_set(
    kama_group_options *options, const char *name, const char *value);

/* Makes a group of its own, without a node: no thread, no socket.
 * Everything in options is copied. The result is the caller's to free.
 * Errors: KAMA_ERR_INVALID (also when options is NULL), KAMA_ERR_TOO_LARGE (a
 * limit, named in kama_last_error), KAMA_ERR_NO_MEMORY. */
KAMA_API KAMA_NODISCARD kama_status
kama_group_new(const kama_group_options *options, kama_group **ret_group);

/* Ends a group made by kama_group_new: waiters get KAMA_ERR_CANCELLED, its
 * pool is joined, entries go; values that are referenced live on. No other
 * call on the group may be running or follow. NULL is a no-op; a node's
 * group is not freed by this. Setup. */
KAMA_API void kama_group_free(kama_group *group);

/* The group's name. Valid as long as the group. */
KAMA_API const char *kama_group_name(const kama_group *group);

/* Looks key up, loads it when it is not here. ctx may be NULL.
 * *ret_value is a reference of the caller's.
 * Returns KAMA_OK, KAMA_MISS (does not exist), KAMA_WOULD_LOAD (KAMA_NO_LOAD
 * was given). Errors: KAMA_ERR_INVALID and TOO_LARGE (key), LOADER, TIMEOUT,
 * OVERLOADED, BUSY, REENTRANT, WOULD_DEADLOCK, CANCELLED, NO_MEMORY. */
KAMA_API KAMA_NODISCARD kama_status kama_get(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx,
                                             kama_value **ret_value);

/* As kama_get, and copies the value into buf: nothing to give back. No NUL is
 * added. KAMA_ERR_TOO_SMALL: *ret_len is the length needed; buf NULL with
 * cap 0 asks for it. The fastest hit. */
KAMA_API KAMA_NODISCARD kama_status kama_get_copy(kama_group *group,
                                                  kama_bytes key,
                                                  const kama_ctx *ctx,
                                                  void *buf, size_t cap,
                                                  size_t *ret_len);

/* Looks into memory only; never blocks, never loads, never calls back.
 * KAMA_OK; KAMA_MISS: known to be absent (negative entry, or a group without
 * loader); KAMA_WOULD_LOAD: anything else that is not in memory. */
KAMA_API KAMA_NODISCARD kama_status kama_try_get(kama_group *group,
                                                 kama_bytes key,
                                                 kama_value **ret_value);

/* One answer of kama_mget: value is set when status is KAMA_OK. */
typedef struct kama_item {
    kama_status status;
    kama_value *value;
} kama_item;

/*
 * kama_get for n keys, at most 65536; item i answers key i. Returns KAMA_OK when
 * every item was answered, each with its own status; an error means that no item
 * was written. kama_last_error says why one of the items failed.
 *
 * Keys in memory are answered first of all where a pool exists, else in their
 * turn. Equal keys are one load. How many loads of one call run at a time:
 *   without a pool           one, on the calling thread; when the deadline has
 *                            passed, the keys that are left are not loaded and
 *                            answer KAMA_ERR_TIMEOUT
 *   with a pool (a group of  up to the group's loader_concurrency, the others
 *   a node, or after the     wait for a slot
 *   first _async call)
 *   MGet over gRPC           up to 64
 */
KAMA_API KAMA_NODISCARD kama_status kama_mget(kama_group *group,
                                              const kama_bytes *keys, size_t n,
                                              const kama_ctx *ctx,
                                              kama_item *ret_items);

/* Gives back every value of n items and clears them. */
KAMA_API void kama_items_unref(kama_item *items, size_t n);

/* How kama_set acts. NULL means all defaults. */
typedef struct kama_set_options {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t ttl_ms; /* 0: the group's; KAMA_TTL_FOREVER; else > 0 */
    const kama_ctx *ctx;
} kama_set_options;

/* Fills in the defaults; writes no more than struct_size bytes. */
KAMA_API void kama_set_options_init_sized(kama_set_options *options,
                                          size_t struct_size);
static inline void kama_set_options_init(kama_set_options *options)
{
    kama_set_options_init_sized(options, sizeof *options);
}

/* Stores a copy of value under key; an empty value is a value. A load of key
 * that is running is overtaken. Errors: KAMA_ERR_INVALID (key, ttl),
 * KAMA_ERR_TOO_LARGE (key, value; kama_last_error names the limit),
 * KAMA_ERR_NO_MEMORY. */
KAMA_API KAMA_NODISCARD kama_status kama_set(kama_group *group, kama_bytes key,
                                             kama_bytes value,
                                             const kama_set_options *options);

/* Removes key. KAMA_OK, or KAMA_MISS when this node had nothing; both
 * overtake a load that is running. ctx may be NULL. */
KAMA_API KAMA_NODISCARD kama_status kama_del(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx);

/* One entry of kama_mset. */
typedef struct kama_set_item {
    kama_bytes key;
    kama_bytes value;
    int64_t ttl_ms; /* 0: the group's; KAMA_TTL_FOREVER; else > 0 */
} kama_set_item;

/*
 * kama_set for n items, at most 65536, in their order: of equal keys the last one
 * stays. ret_statuses gets n statuses, one per item: KAMA_OK, or
 * KAMA_ERR_NO_MEMORY for an item that could not be stored beside the others.
 * ctx may be NULL. Everything is borrowed until the call returns.
 *
 * Returns KAMA_OK when every item has its status. All items are checked before
 * the first is stored, so that an error means that nothing has changed and no
 * status was written: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE (an item, which
 * kama_last_error names by its index, counted from 0; or n; or a NULL pointer).
 * It is not atomic: other threads may see some of the items before the others.
 */
KAMA_API KAMA_NODISCARD kama_status kama_mset(kama_group *group,
                                              const kama_set_item *items,
                                              size_t n, const kama_ctx *ctx,
                                              kama_status *ret_statuses);

/*
 * kama_del for n keys, at most 65536. ret_statuses gets n statuses, KAMA_OK or
 * KAMA_MISS, one per key; it may be NULL for a caller who does not care. ctx may
 * be NULL. An error means that nothing has changed: KAMA_ERR_INVALID and
 * KAMA_ERR_TOO_LARGE, as for kama_mset. Not atomic.
 */
KAMA_API KAMA_NODISCARD kama_status kama_mdel(kama_group *group,
                                              const kama_bytes *keys, size_t n,
                                              const kama_ctx *ctx,
                                              kama_status *ret_statuses);

/*
 * Gives the entry of key a new time to live, from now on: ttl_ms is 0 (the
 * group's), KAMA_TTL_FOREVER or > 0. ctx may be NULL. Nothing is loaded.
 *
 * Returns KAMA_OK, or KAMA_MISS when there is no entry with a value: an absent
 * key, one that has expired, and one that is known not to exist; also one that
 * was evicted to make room for its own copy, which happens where values that are
 * still referenced take most of the memory. Values that
 * callers hold keep the time that they had. A load of the key that is running is
 * overtaken, as by kama_set. Errors: KAMA_ERR_INVALID (key, ttl_ms),
 * KAMA_ERR_TOO_LARGE (key), KAMA_ERR_NO_MEMORY: nothing has changed then.
 * Cost: O(value), because the value is copied.
 */
KAMA_API KAMA_NODISCARD kama_status kama_touch(kama_group *group,
                                               kama_bytes key, int64_t ttl_ms,
                                               const kama_ctx *ctx);

/*
 * Returns KAMA_OK when key has a value in memory, else KAMA_MISS; a key that is
 * known not to exist is a miss, too. Nothing is loaded, counted as a get, or kept
 * longer because of it. ctx may be NULL. Errors: KAMA_ERR_INVALID and
 * KAMA_ERR_TOO_LARGE (key).
 */
KAMA_API KAMA_NODISCARD kama_status kama_exists(kama_group *group,
                                                kama_bytes key,
                                                const kama_ctx *ctx);

/*
 * As kama_exists; with KAMA_OK *ret_ttl_ms is how long the entry has left, in
 * milliseconds (at least 1), or KAMA_TTL_FOREVER.
 */
KAMA_API KAMA_NODISCARD kama_status kama_ttl(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx,
                                             int64_t *ret_ttl_ms);

/* Removes every entry, and overtakes every load that is running. O(1); the
 * memory comes back step by step. */
KAMA_API KAMA_NODISCARD kama_status kama_group_clear(kama_group *group);

/* What kama_scan knows of an entry. key is borrowed until the callback
 * returns. */
typedef struct kama_entry {
    uint32_t struct_size;
    uint32_t reserved;
    kama_bytes key;
    uint64_t value_bytes;
    uint64_t version;
    int64_t ttl_ms; /* left, or KAMA_TTL_FOREVER */
} kama_entry;

/* Called per entry; not 0 ends this call of kama_scan. May call the group. */
typedef int (*kama_scan_cb)(void *arg, const kama_entry *entry);

/* Visits a part of the keys that match glob (* ? [a-z] \\ as in Redis; empty:
 * all) and moves *cursor on; begin with 0, it is 0 again at the end. Other
 * values are opaque and belong to this group. An entry
 * that is there from first to last call is visited at least once. One call
 * visits a bounded number of entries. Errors: KAMA_ERR_INVALID (cursor,
 * glob over 1024 bytes), KAMA_ERR_NO_MEMORY. */
KAMA_API KAMA_NODISCARD kama_status kama_scan(kama_group *group,
                                              uint64_t *cursor, kama_bytes glob,
                                              kama_scan_cb cb, void *arg);

/*
 * Counters since the group was made, and sizes now. An entry that has expired
 * counts until something finds it: a get of its key, a scan that passes it, or
 * the sweep, which goes on a little with every set and load.
 */
typedef struct kama_group_stats {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t gets;            /* kama_get and its relatives, per key */
    uint64_t hits;            /* answered from memory with a value */
    uint64_t negative_hits;   /* answered from memory with KAMA_MISS */
    uint64_t misses;          /* not answered from memory */
    uint64_t loads;           /* calls of the loader */
    uint64_t loads_coalesced; /* gets that waited for another's load */
    uint64_t loads_missed;    /* loads that ended with KAMA_MISS */
    uint64_t loads_failed;    /* loads that ended with an error */
    uint64_t loads_overtaken; /* loaded, and not kept: a mutation won */
    uint64_t load_ns;         /* time spent in loads, summed */
    uint64_t loads_running;   /* loaders that run now, hung ones too */
    uint64_t sets;
    uint64_t dels;
    uint64_t clears;
    uint64_t evictions;
    uint64_t expirations;
    uint64_t entries;      /* now: keys with a value */
    uint64_t bytes;        /* now: all the memory of the store */
    uint64_t value_bytes;  /* now: keys and values alone */
    uint64_t pinned_bytes; /* now: evicted or replaced, still referenced */
    uint64_t max_bytes;
    uint64_t negative_entries; /* now: keys remembered as "does not exist" */
} kama_group_stats;

/* Writes no more than struct_size bytes. */
KAMA_API void kama_group_stats_get_sized(kama_group *group,
                                         kama_group_stats *stats,
                                         size_t struct_size);
static inline void kama_group_stats_get(kama_group *group,
                                        kama_group_stats *stats)
{
    kama_group_stats_get_sized(group, stats, sizeof *stats);
}

/* -- asynchronous calls ------------------------------------------------- */

/* Exactly once, on a pool thread, never from inside the call that registered
 * it. value: the callee's to unref; NULL unless status is KAMA_OK. */
typedef void (*kama_get_cb)(void *arg, kama_status status, kama_value *value);

/* Exactly once. items: borrowed until return; their values are the callee's. */
typedef void (*kama_mget_cb)(void *arg, kama_status status,
                             const kama_item *items, size_t n);

/* kama_get whose answer comes to cb. An error returned here means that cb is
 * not called: KAMA_ERR_INVALID, TOO_LARGE, NO_MEMORY, THREADS, OVERLOADED,
 * CLOSED, STATE (see Forking). The first such call starts the group's pool. */
KAMA_API KAMA_NODISCARD kama_status kama_get_async(kama_group *group,
                                                   kama_bytes key,
                                                   const kama_ctx *ctx,
                                                   kama_get_cb cb, void *arg);

/* kama_mget whose answer comes to cb, when every key is answered. */
KAMA_API KAMA_NODISCARD kama_status kama_mget_async(kama_group *group,
                                                    const kama_bytes *keys,
                                                    size_t n,
                                                    const kama_ctx *ctx,
                                                    kama_mget_cb cb, void *arg);

/* -- nodes -------------------------------------------------------------- */

/* A server of groups: gRPC on one address. libkamacache only. */
typedef struct kama_node kama_node;

/*
 * Told about what a node does; see kama_node_options.event. Everything is borrowed
 * until the event function returns.
 *
 * Events about a group set its name and a key:
 *   "load_failed"  2 warn   a load failed for its callers. At most a few at once
 *                           and then one a second per group; suppressed counts
 *                           those that were held back since the last.
 *   "get", "load"  0 debug  one step of a get or of a load: found in memory or
 *                           not, joined or led, begin and end with status and
 *                           duration, the answer.
 */
typedef struct kama_node_event {
    uint32_t struct_size;
    int32_t level;       /* 0 debug, 1 info, 2 warn, 3 error */
    const char *name;    /* "listen", "ready", "drain", "stopped", ... */
    const char *message; /* one sentence, NUL-terminated */
    const char *group;   /* NULL: the event is about the node */
    kama_bytes key;      /* empty: about no key */
    kama_status status;  /* of "load_failed", and with duration_ns */
    uint32_t reserved;
    uint64_t duration_ns; /* of what has ended; 0: nothing has */
    uint64_t suppressed;
} kama_node_event;

/* How a node behaves. Initialise with kama_node_options_init. */
typedef struct kama_node_options {
    uint32_t struct_size;
    uint32_t threads;         /* loops; 0: one per core */
    const char *listen;       /* "127.0.0.1:8001"; port 0: any free one */
    const char *etcd;         /* must be NULL in this version */
    const char *peers;        /* must be NULL in this version */
    const char *service;      /* "kama-cache", known to health checks */
    uint32_t max_connections; /* 0: min(10000, RLIMIT_NOFILE - 64) */
    uint32_t insecure;        /* 1: a non-loopback listen without TLS */
    int64_t start_timeout_ms; /* 1 and up; 10000 */
    int64_t drain_timeout_ms; /* 15000 */
    void (*event)(void *arg, const kama_node_event *event); /* may be NULL */
    void *event_arg;
    const kama_allocator *allocator; /* NULL: malloc */
    uint32_t event_level; /* the lowest level that event hears of; 1 */
    uint32_t reserved;
} kama_node_options;

/* Fills in the defaults; writes no more than struct_size bytes. */
KAMA_API void kama_node_options_init_sized(kama_node_options *options,
                                           size_t struct_size);
static inline void kama_node_options_init(kama_node_options *options)
{
    kama_node_options_init_sized(options, sizeof *options);
}

/* Makes a node; opens nothing yet. Everything in options is copied.
 * Errors: KAMA_ERR_INVALID (address), KAMA_ERR_UNSUPPORTED (etcd, peers),
 * KAMA_ERR_PERMISSION (non-loopback without insecure), NO_MEMORY. Setup. */
KAMA_API KAMA_NODISCARD kama_status
kama_node_new(const kama_node_options *options, kama_node **ret_node);

/* Adds a group, before or after the start. It is owned by the node and lives
 * until kama_node_free. Errors: as kama_group_new, KAMA_ERR_EXISTS,
 * KAMA_ERR_TOO_LARGE (1024 groups), KAMA_ERR_CLOSED. Any thread. */
KAMA_API KAMA_NODISCARD kama_status kama_node_add_group(
    kama_node *node, const kama_group_options *options, kama_group **ret_group);

/* The group of that name, borrowed; NULL when there is none. */
KAMA_API kama_group *kama_node_group(kama_node *node, const char *name);

/* Listens and serves; returns when ready, or with the reason and nothing left
 * running. Errors: KAMA_ERR_ADDR_IN_USE (the sentence names the address),
 * TIMEOUT (start_timeout_ms), IO, THREADS, NO_MEMORY, STATE. A node starts
 * once. Setup. */
KAMA_API KAMA_NODISCARD kama_status kama_node_start(kama_node *node);

/* The address it listens on, with the port it got. Valid as long as the node;
 * NULL before the start. */
KAMA_API const char *kama_node_address(const kama_node *node);

/* Stops: health says NOT_SERVING, connections drain for at most
 * drain_timeout_ms, then close. Groups can still be used locally.
 * Returns KAMA_OK, or KAMA_ERR_TIMEOUT when calls had to be cut off;
 * KAMA_ERR_STATE when it was not started. Any thread but the node's own. */
KAMA_API KAMA_NODISCARD kama_status kama_node_stop(kama_node *node);

/* Stops when that was not done, frees node and groups. NULL is a no-op.
 * Setup. */
KAMA_API void kama_node_free(kama_node *node);

#ifdef __cplusplus
}
#endif

#endif
