/* SPDX-License-Identifier: MIT */
/*
 * KamaCache: a read-through cache.
 *
 * The application asks a group for a key. The group answers from memory if it
 * can. If it cannot, it calls a function of the application, the loader, which
 * fetches the value from a database, a service or wherever it comes from. The
 * group keeps the value for later callers and hands it to every caller that
 * asked for the key in the meantime.
 *
 *     static kama_status load_user(void *db, const kama_load *req,
 *                                  kama_sink *out)
 *     {
 *         const char *row = db_find(db, req->key.data, req->key.len);
 *         return row == NULL ? KAMA_MISS
 *                            : kama_sink_set(out, KAMA_STR(row), NULL);
 *     }
 *
 *     kama_group_options options;
 *     kama_group *users;
 *     kama_value *value;
 *
 *     kama_group_options_init(&options);
 *     options.name = "users";
 *     options.loader = load_user;
 *     options.loader_arg = db;
 *     if (kama_group_new(&options, &users) != KAMA_OK) { ... }
 *
 *     if (kama_get(users, KAMA_STR("tom"), NULL, &value) == KAMA_OK) {
 *         kama_bytes row = kama_value_bytes(value);
 *         ... row stays valid until the reference is given back ...
 *         kama_value_unref(value);
 *     }
 *     kama_group_free(users);
 *
 * The folder examples/ has complete programs.
 *
 * The words that this header uses
 * -------------------------------
 *
 * Group     A namespace with a name, a memory bound, options and at most one
 *           loader. Two groups share nothing: the same key may be in both. A
 *           standalone group (kama_group_new) has no socket, and it has no
 *           thread before its first asynchronous call.
 * Key       1 to 4096 bytes of any kind. Keys are compared byte by byte.
 * Value     A sequence of bytes of any kind, also of length 0. A value is
 *           immutable and counts its references. A caller that holds a
 *           reference can read the value even after the entry was deleted or
 *           evicted, and even after the group was freed.
 * Entry     A key that the group remembers, with its value and the time at
 *           which the value expires. A negative entry remembers instead that
 *           the key does not exist (see negative_ttl_ms).
 * Loader    A function of the application that fetches the value of one key.
 * Load      One call of the loader, from its start to its result. A group runs
 *           at most loader_concurrency loaders at a time; further loads wait in
 *           a queue for a slot.
 * Flight    The rule that a key is loaded once, however many callers want it at
 *           the same time. One caller leads: it starts the load. The others
 *           join: they wait for its result. kamacache/flight.h offers the same
 *           engine for work of the application's own.
 * Fence     The rule that a mutation wins against a load. When a key is set or
 *           deleted, or the group is cleared, while the key is being loaded,
 *           the load has been overtaken: its result goes to the callers that
 *           wait for it already, and it is not kept. A get that begins after
 *           the mutation has returned does not join the overtaken load and
 *           never receives its result. In a cluster it never receives that
 *           result either, whichever nodes the mutation and the get go
 *           through, as long as the owner of the key can be reached.
 * Deferred  A deferred load is one whose loader has returned without a result
 *           (KAMA_DEFERRED). The application finishes it later, from any
 *           thread.
 * Pool      The threads on which loads and callbacks run. A node has one pool
 *           for all its groups. A standalone group makes one at its first call
 *           of an _async function; without a pool, the loader runs on the
 *           thread of the caller that leads.
 * Node      A server of groups: it listens on an address and answers gRPC
 *           calls. The same groups can be used directly, with every function
 *           below.
 * Origin    The place that the loader asks: the database, the service, the
 *           program.
 *
 * The way of a get
 * ----------------
 *
 *     kama_get --> in memory? --yes---------------------------> KAMA_OK (a hit)
 *                      |      --yes, a negative entry---------> KAMA_MISS
 *                      no
 *                      v
 *                no loader? ----------------------------------> KAMA_MISS
 *                KAMA_NO_LOAD? -------------------------------> KAMA_WOULD_LOAD
 *                      |
 *                      v
 *                does a load of this key run? --yes--> wait for it ----+
 *                      no                                              |
 *                      v                                               |
 *                call the loader --> keep the value, --> wake waiters -+
 *                                    unless a mutation                 |
 *                                    has overtaken it                  v
 *                                                   value, miss or error
 *
 * An error of the loader is given to every caller that waits, and it is not
 * remembered: the next get calls the loader again.
 *
 * The rules that hold for every function
 * --------------------------------------
 *
 * Errors      Functions return a kama_status: KAMA_OK (0) is success, a
 *             negative number is an error, and a positive number is a normal
 *             outcome without a value, such as KAMA_MISS. A function that
 *             returns an error has changed nothing and calls no callback.
 *             Running out of memory is an ordinary error (KAMA_ERR_NO_MEMORY).
 *             kama_last_error() has a sentence with the details, such as the
 *             limit that was exceeded. The lists of errors below leave out the
 *             prefix KAMA_ERR_ where several stand side by side.
 * Results     Parameters named ret_... come last and are written only on
 *             success. There is one exception: KAMA_ERR_TOO_SMALL writes the
 *             length that is needed.
 * Ownership   kama_bytes arguments, strings and other const pointers are
 *             borrowed: the library reads them until the call returns and keeps
 *             copies of what it needs. The comment of a function says so if it
 *             differs. A kama_value that a function or a callback hands over is
 *             a reference, and the receiver gives it back with
 *             kama_value_unref.
 * Threads     Any thread may call any function at any time, unless its comment
 *             says "Setup": call such a function before other threads use the
 *             group or node, or after they have stopped using it.
 * Structures  Structures with a struct_size member grow at their end in later
 *             versions. Fill them in with their _init function first, then set
 *             the members that matter. A program that was built with an older
 *             header works with a newer library; a newer program works with an
 *             older library as long as it leaves the new members 0.
 * Callbacks   Functions of the application that the library calls (loaders,
 *             loader_free, callbacks, event functions, allocators) must return
 *             normally. If a C++ exception or pthread_exit is about to leave
 *             one of them, the process ends with a sentence on standard error,
 *             even if a caller would catch the exception, because the call that
 *             is under way could never be completed. They must not longjmp
 *             either; the library cannot detect that.
 * Cancelling  No function is a cancellation point. A thread that is cancelled
 *             (pthread_cancel) inside a function of the library, or inside a
 *             loader on its stack, ends at its first cancellation point after
 *             the call has returned.
 * Forking     A forked child may always make groups and nodes of its own. It
 *             may also use and free a group that was made before the fork, if
 *             the group has no threads (it belongs to no node, and no _async
 *             function was called on it) and no other thread of the parent was
 *             inside a call of it at the moment of the fork. So a server can
 *             fill a group and fork its workers; each of them has a copy that
 *             develops on its own. loader_arg is copied with the process, and
 *             loader_free runs in each process that frees its copy. Whether a
 *             connection to an origin survives the fork is up to the loader.
 *             Groups with threads, and nodes, belong to the parent. In the
 *             child, functions that need their threads return KAMA_ERR_STATE,
 *             and freeing them does nothing.
 * Cost        A hit is O(1): one hash of the key, one look into an index, and
 *             a copy of the bytes or, by kama_get of a large value, one more
 *             reference. Functions that are not O(1) say so.
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
 * The statuses, one row each: name, number, gRPC code, HTTP code, text. Over
 * gRPC, a status travels as its gRPC code and, by name, in the trailer
 * `kama-status`.
 *
 * The range of the number says what has failed:
 *
 *     1 and above      nothing: a normal outcome without a value
 *     -1 to -99        this request
 *     -100 to -199     the connection, which can no longer be used
 *     -900 and below   the process or the node, which cannot go on
 */
#define KAMA_STATUS_MAP(X)                                                     \
    X(KAMA_OK, 0, 0, 200, "ok")                                                \
    X(KAMA_MISS, 1, 5, 404, "no such key")                                     \
    X(KAMA_WOULD_LOAD, 2, 5, 404, "not in memory")                             \
    X(KAMA_DEFERRED, 3, 13, 500, "the loader finishes later")                  \
    X(KAMA_UNSYNCED, 4, 0, 200, "done, but some members were not reached")     \
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
    X(KAMA_ERR_NOT_MEMBER, -24, 9, 409, "not a member of this cluster")        \
    X(KAMA_ERR_UNREACHABLE, -100, 14, 503, "cannot connect")                   \
    X(KAMA_ERR_PROTOCOL, -101, 13, 502, "protocol error")                      \
    X(KAMA_ERR_DISCONNECTED, -102, 14, 503, "the connection was lost")         \
    X(KAMA_ERR_ADDR_IN_USE, -900, 9, 500, "the address is in use")             \
    X(KAMA_ERR_IO, -901, 13, 500, "input or output failed")                    \
    X(KAMA_ERR_THREADS, -902, 13, 500, "cannot start a thread")

/* The names and numbers of KAMA_STATUS_MAP. The number of a status never
 * changes. */
typedef enum kama_status {
#define KAMA_STATUS_ENUM(name, value, grpc, http, text) name = value,
    KAMA_STATUS_MAP(KAMA_STATUS_ENUM)
#undef KAMA_STATUS_ENUM
        KAMA_STATUS_FORCE_INT = 0x7fffffff
} kama_status;

/*
 * Returns the text of a status for people, such as "deadline exceeded". It is a
 * static string and never NULL, also for a number that is no status.
 */
KAMA_API const char *kama_strerror(kama_status status);

/*
 * Returns the name of a status, such as "KAMA_ERR_TIMEOUT". It is a static
 * string and never NULL, also for a number that is no status.
 */
KAMA_API const char *kama_status_name(kama_status status);

/*
 * Copies the sentence about the calling thread's last failed call into `buf`.
 * It names the details that a status cannot: the option that was wrong, the
 * limit that was exceeded, the reason that a loader gave.
 *
 *     char sentence[256];
 *     kama_last_error(sentence, sizeof sentence);
 *     fprintf(stderr, "%s: %s\n", kama_strerror(status), sentence);
 *
 * The sentence is one line of UTF-8 with at most 255 bytes. It has no control
 * characters; those that would be in it are shown as \n or \xNN. It is empty if
 * no call of this thread has failed. The next failure of the thread replaces
 * it, and a success leaves it as it is.
 *
 * cap: the size of `buf`. A longer sentence is cut between two characters.
 *      `buf` is always terminated by a NUL; it may be NULL if `cap` is 0.
 */
KAMA_API void kama_last_error(char *buf, size_t cap);

/*
 * Returns the version of the library that runs, "MAJOR.MINOR.PATCH". It is a
 * static string. The version of the header is KAMA_VERSION_STRING.
 */
KAMA_API const char *kama_version(void);

/* -- bytes -------------------------------------------------------------- */

/*
 * A slice: `len` bytes at `data`, which belong to somebody else. Keys and
 * values are binary; they have no final NUL, and a NUL among their bytes is a
 * byte like any other.
 */
typedef struct kama_bytes {
    const void *data;
    size_t len;
} kama_bytes;

/* Returns a slice of the `len` bytes at `data`. The slice borrows them: it is
 * valid as long as they are. */
static inline kama_bytes kama_bytes_make(const void *data, size_t len)
{
    kama_bytes b;
    b.data = data;
    b.len = len;
    return b;
}

/* Returns a slice of the bytes of a C string, without its final NUL. The slice
 * borrows them. The cost is that of strlen. */
static inline kama_bytes kama_bytes_str(const char *s)
{
    return kama_bytes_make(s, strlen(s));
}

/* The short forms of the two functions above: KAMA_STR("tom") and
 * KAMA_BYTES(buf, n). */
#define KAMA_STR(s) kama_bytes_str(s)
#define KAMA_BYTES(p, n) kama_bytes_make((p), (n))

/* -- memory ------------------------------------------------------------- */

/*
 * The functions with which a group or a node takes and gives back its memory,
 * for an application that wants to count or to place it. Each of them does what
 * its namesake of the C library does (malloc, realloc, free) and gets `arg` as
 * its first argument.
 *
 * Any thread may call them, also several at a time. An allocator must work
 * until everything that was made with it has been freed, including the values
 * that the application still references.
 */
typedef struct kama_allocator {
    void *(*alloc)(void *arg, size_t size);
    void *(*resize)(void *arg, void *p, size_t size);
    void (*release)(void *arg, void *p);
    void *arg;
} kama_allocator;

/* -- values ------------------------------------------------------------- */

/*
 * A value that a group has handed out: its bytes never change, and it counts
 * its references. Functions that hand a kama_value to the application give it
 * one reference, which the application gives back with kama_value_unref.
 *
 * A small value is a copy of what the group keeps; a large one shares its memory
 * with the entry. Either way it is not touched when the entry is replaced,
 * deleted or evicted, and its memory counts against max_bytes (as pinned_bytes)
 * until the last reference is given back. Callers may hold three quarters of
 * max_bytes: a get that would pass that is KAMA_ERR_OVERLOADED. Past half of it,
 * loaded values are not kept. A value counts like that also while it is being
 * stored, so that several threads which store the largest values of a small group
 * at once can refuse a get of another one.
 */
typedef struct kama_value kama_value;

/*
 * Returns the bytes of a value without copying them. The slice is valid until
 * the caller gives its reference back, whatever happens to the entry, the group
 * and the node in the meantime. O(1).
 */
KAMA_API kama_bytes kama_value_bytes(const kama_value *value);

/*
 * Returns the version that the loader gave in kama_sink_options, or 0 if it
 * gave none. A value that was stored by kama_set has the version 0.
 */
KAMA_API uint64_t kama_value_version(const kama_value *value);

/*
 * Returns the etag of a value, with which kama_set can be told to replace just
 * this value (kama_set_options.if_etag). It is never 0.
 *
 * The etag is the version, if the value has one, and else a hash of its bytes with
 * a random key. The key is that of the group, and in a cluster that of the node
 * which owns the key of the entry; it is another one after a restart and when
 * another node has become the owner. So an etag is for comparing with what the
 * cache holds now, and not for keeping.
 *
 * Two values with the same bytes have the same etag. A caller that reads a value
 * and replaces it by its etag therefore also replaces one that was changed and
 * changed back meanwhile. Cost: a hash of the value; O(1) if it has a version.
 */
KAMA_API uint64_t kama_value_etag(const kama_value *value);

/*
 * Returns how many milliseconds are left until the value expires: 0 if it has
 * expired already, and KAMA_TTL_FOREVER if it never does. The time is that of
 * the value itself: kama_touch makes a new value and leaves this one unchanged.
 */
KAMA_API int64_t kama_value_ttl_ms(const kama_value *value);

/*
 * Takes another reference and returns `value`. Each reference is given back
 * with a kama_value_unref of its own, on any thread.
 */
KAMA_API kama_value *kama_value_ref(kama_value *value);

/*
 * Gives a reference back. The value and slices of its bytes must not be used
 * with this reference any more. Passing NULL does nothing.
 */
KAMA_API void kama_value_unref(kama_value *value);

/* -- the context of a call ---------------------------------------------- */

/* The room for one address of a member: a name, ":65535" and a NUL. */
#define KAMA_ADDRESS_BYTES 264

/*
 * The members of a cluster that a clear has not reached, or that have not applied a
 * change in time (kama_group_options.sync_ack). The list is the caller's:
 *
 *     char addresses[8][KAMA_ADDRESS_BYTES];
 *     kama_unsynced unsynced;
 *     kama_unsynced_init(&unsynced);
 *     unsynced.addresses = addresses;
 *     unsynced.capacity = 8;
 *     ctx.ret_unsynced = &unsynced;
 *     if (kama_del(users, KAMA_STR("tom"), &ctx) != KAMA_OK) {
 *         ... unsynced.count members, of which the first 8 are in addresses ...
 *     }
 */
typedef struct kama_unsynced {
    uint32_t struct_size;
    /* How many addresses there is room for. */
    uint32_t capacity;
    /* How many members there are. It may be more than capacity; then the others are
     * not in the list. Every change that has the list writes it, and so 0 if all
     * is well. */
    uint32_t count;
    uint32_t reserved;
    /* Room for `capacity` addresses, each of which is terminated by a NUL. */
    char (*addresses)[KAMA_ADDRESS_BYTES];
} kama_unsynced;

/* Fills the list with zeros, and writes no more than `struct_size` bytes.
 * Applications call kama_unsynced_init. */
KAMA_API void kama_unsynced_init_sized(kama_unsynced *unsynced,
                                       size_t struct_size);
static inline void kama_unsynced_init(kama_unsynced *unsynced)
{
    kama_unsynced_init_sized(unsynced, sizeof *unsynced);
}

/* Where a request comes from: from an application or a client, or from another
 * node of a cluster. A request of another node is never forwarded again, so
 * that requests cannot run in circles: in a clustered group, a get of the origin
 * KAMA_ORIGIN_PEER loads on this node if it is not in memory, and its value is
 * kept only if this node owns the key; a mutation of this origin is
 * KAMA_ERR_INVALID, because only nodes may say so of each other. In other groups
 * both act alike. */
enum { KAMA_ORIGIN_CLIENT = 0, KAMA_ORIGIN_PEER = 1 };

/* The flags of kama_ctx. */
enum {
    /* The get looks into memory only. If the key is not there, the answer is
     * KAMA_WOULD_LOAD instead of a load. */
    KAMA_NO_LOAD = 1u << 0,
    /* The get never asks another node of a cluster. */
    KAMA_LOCAL_ONLY = 1u << 1
};

/* A time to live that never ends. It is not the same as a ttl_ms of 0, which
 * means the time to live of the group. */
#define KAMA_TTL_FOREVER INT64_C(-1)

/*
 * The context of one call: how long the caller can wait, and what the call may
 * do. Functions take a pointer to it that may be NULL, which means all
 * defaults.
 *
 *     kama_ctx ctx;
 *     kama_ctx_init(&ctx);
 *     ctx.deadline_ms = 50;
 *     status = kama_get(users, KAMA_STR("tom"), &ctx, &value);
 *
 * When the deadline of a get has passed, the get returns KAMA_ERR_TIMEOUT, and
 * no load is started for it any more. What happens to a load that is under way
 * depends on where it runs:
 *
 *   - On a pool, a load that has begun goes on without its callers, with the
 *     time that the group gives it, and its value is kept. A load that still
 *     waits for a slot when its last caller leaves is dropped.
 *   - Without a pool, the loader runs on the thread of the caller that leads,
 *     and the deadline cannot interrupt it. The loader is told the smaller of
 *     the group's time and the caller's time (kama_load.deadline_ms). If it
 *     fails after the caller's time is over, only this caller receives the
 *     failure: a waiter that has more time loads the key anew. If it delivers a
 *     value late, every caller receives the value.
 */
typedef struct kama_ctx {
    uint32_t struct_size;
    /* KAMA_NO_LOAD and KAMA_LOCAL_ONLY, or 0. */
    uint32_t flags;
    /* How long the caller can wait, in milliseconds from the call on. 0 means
     * the loader_timeout_ms of the group. A negative number is refused. */
    int64_t deadline_ms;
    /* KAMA_ORIGIN_CLIENT or KAMA_ORIGIN_PEER. */
    uint32_t origin;
    /* Must be 0. */
    uint32_t reserved;
    /* Anything; if this caller leads a load on this node, the loader finds it in
     * kama_load.user. It must stay valid until the load has ended, which may be
     * after the call. */
    void *user;
    /* The trace that the call belongs to, as the header `traceparent` of the W3C
     * writes it, with at most 55 bytes; NULL: none. The load and the request to
     * another node carry it on. Copied. */
    const char *traceparent;
    /* The caller's list of members that have not applied a change; NULL: they are not
     * listed. It is written when the status is KAMA_UNSYNCED, and also when it is
     * KAMA_MISS or an error of a change that has acted: the status says then what the
     * change has found. For the _async calls the list must stay where it is until the
     * callback has run. Gets leave it as it is. */
    kama_unsynced *ret_unsynced;
} kama_ctx;

/* Fills a context with the defaults, and writes no more than `struct_size`
 * bytes. Applications call kama_ctx_init, which passes the size that they
 * know. */
KAMA_API void kama_ctx_init_sized(kama_ctx *ctx, size_t struct_size);
static inline void kama_ctx_init(kama_ctx *ctx)
{
    kama_ctx_init_sized(ctx, sizeof *ctx);
}

/* -- loaders ------------------------------------------------------------ */

/*
 * One load, as the loader sees it. It is valid until the loader returns; if the
 * load was deferred, it is valid until kama_load_finish returns.
 */
typedef struct kama_load {
    uint32_t struct_size;
    /* KAMA_ORIGIN_PEER if the load is made for another node of the cluster, and
     * KAMA_ORIGIN_CLIENT otherwise. */
    uint32_t origin;
    /* The name of the group. */
    kama_bytes group;
    /* The key whose value is wanted. */
    kama_bytes key;
    /* How long the loader may take, in milliseconds from now on. This is the
     * rest of the group's loader_timeout_ms; if the loader runs on the thread
     * of its caller, it is the rest of the caller's own time if that is
     * less. */
    int64_t deadline_ms;
    /* The trace that the caller belongs to which leads the load, as
     * kama_ctx.traceparent; NULL: none. */
    const char *traceparent;
    /* kama_ctx.user of the caller that leads the load. NULL if a peer or a client
     * on the wire leads it. */
    void *user;
} kama_load;

/* The place where a loader puts its result. It is valid until the loader
 * returns. */
typedef struct kama_sink kama_sink;

/* A load whose result comes later; see kama_load_defer. */
typedef struct kama_deferred kama_deferred;

/* The flags of kama_sink_options. */
enum {
    /* The result answers the callers that wait for it, and is not kept for
     * later ones. */
    KAMA_NO_STORE = 1u << 0
};

/* The properties of a result beyond its bytes. */
typedef struct kama_sink_options {
    uint32_t struct_size;
    /* KAMA_NO_STORE, or 0. */
    uint32_t flags;
    /* How long the value may be kept, in milliseconds: 0 means as long as the
     * group says, KAMA_TTL_FOREVER until it is evicted. */
    int64_t ttl_ms;
    /* A version of the origin's own, which readers find with
     * kama_value_version. 0 means none. The group does not compare versions. */
    uint64_t version;
} kama_sink_options;

/* Fills the options with the defaults, and writes no more than `struct_size`
 * bytes. Applications call kama_sink_options_init. */
KAMA_API void kama_sink_options_init_sized(kama_sink_options *options,
                                           size_t struct_size);
static inline void kama_sink_options_init(kama_sink_options *options)
{
    kama_sink_options_init_sized(options, sizeof *options);
}

/*
 * A loader: fetches the value of req->key. `arg` is the loader_arg of the
 * group.
 *
 * A loader returns
 *   - KAMA_OK after it has put a value into `out` with kama_sink_set,
 *   - KAMA_MISS if the key does not exist. This is an answer and not an error;
 *     kama_sink_absent can say how long it stays true,
 *   - KAMA_DEFERRED after kama_load_defer, if the result comes later,
 *   - KAMA_ERR_INVALID for a key that it refuses because its origin cannot have
 *     it, for example one that would leave its place in a URL,
 *   - another error if it could not find out. kama_sink_error adds the reason.
 *
 * The callers of the get receive KAMA_MISS and the errors KAMA_ERR_INVALID,
 * TIMEOUT, TOO_LARGE, NO_MEMORY, OVERLOADED and CANCELLED as the loader
 * returned them. Every other answer reaches them as KAMA_ERR_LOADER; this
 * includes KAMA_OK without a value, and the KAMA_ERR_INVALID of a kama_sink_set
 * or kama_sink_absent that refused the options of the loader.
 *
 * A loader may block. It should give up when deadline_ms is over: its result is
 * dropped then, but it occupies one of the loader_concurrency slots until it
 * returns. It may call functions of this library, also for its own group; a get
 * of the key that it loads itself returns KAMA_ERR_REENTRANT.
 *
 * Threads: the loader runs on the thread of the caller that leads the load, or
 * on a pool thread if the group has a pool. Loads of different keys run at the
 * same time. Loads of one key follow one another, with two exceptions: a get
 * that begins after a mutation may start a load while the overtaken one still
 * runs, and a get may start one while the loader of a load that has timed out
 * still runs.
 */
typedef kama_status (*kama_loader_fn)(void *arg, const kama_load *req,
                                      kama_sink *out);

/*
 * Says that `value` is the result of the load. The bytes are copied. If a
 * loader calls this several times, the last call counts. `options` may be NULL.
 *
 * Errors: KAMA_ERR_TOO_LARGE if the value has more than max_value_bytes,
 * KAMA_ERR_INVALID if ttl_ms or flags is wrong, KAMA_ERR_NO_MEMORY. A loader
 * can return the error as it is: `return kama_sink_set(out, value, NULL);`.
 * Thread: the one that runs the loader. Cost: O(length of the value).
 */
KAMA_API KAMA_NODISCARD kama_status kama_sink_set(
    kama_sink *out, kama_bytes value, const kama_sink_options *options);

/*
 * Says that the key does not exist, and for how long this may be remembered.
 * Returns KAMA_MISS, so that a loader can end with it:
 *
 *     return kama_sink_absent(out, &options);
 *
 * The absence is remembered for options->ttl_ms, but never longer than the
 * negative_ttl_ms of the group; a ttl_ms of 0 or KAMA_TTL_FOREVER means that of
 * the group. With KAMA_NO_STORE it is not remembered. If `options` is NULL, the
 * effect is the same as returning KAMA_MISS without this call. A value that
 * kama_sink_set gave before is dropped.
 *
 * Errors: KAMA_ERR_INVALID if ttl_ms or flags is wrong.
 * Thread: the one that runs the loader.
 */
KAMA_API KAMA_NODISCARD kama_status
kama_sink_absent(kama_sink *out, const kama_sink_options *options);

/*
 * Gives the reason for the error that the loader is about to return. The
 * callers of the get find the sentence in kama_last_error, and a node writes it
 * into its log. The sentence is copied; at most 255 bytes of it are kept, and
 * it is cut between two characters.
 * Thread: the one that runs the loader.
 */
KAMA_API void kama_sink_error(kama_sink *out, const char *sentence);

/*
 * Makes this load a deferred one: the loader returns KAMA_DEFERRED, its thread
 * is free again, and the application calls kama_load_finish when it has the
 * result.
 *
 *     static kama_status load_later(void *queue, const kama_load *req,
 *                                   kama_sink *out)
 *     {
 *         kama_deferred *deferred = kama_load_defer(out);
 *         if (deferred == NULL) {
 *             return KAMA_ERR_NO_MEMORY;
 *         }
 *         queue_push(queue, req->key, deferred);
 *         return KAMA_DEFERRED;
 *     }
 *
 * Returns the deferred load, or NULL if there is no memory. It and req->key are
 * valid until kama_load_finish returns, and any thread may use them.
 * The load keeps its slot and its deadline: if it is not finished in time, its
 * callers receive KAMA_ERR_TIMEOUT, and the slot is given to another load.
 * Thread: the one that runs the loader.
 */
KAMA_API kama_deferred *kama_load_defer(kama_sink *out);

/*
 * Says why a deferred load is about to fail: as kama_sink_error does for a loader
 * that returns an error. The sentence is copied, and counts only when
 * kama_load_finish ends the load with an error.
 * Thread: the one that calls kama_load_finish afterwards.
 */
KAMA_API void kama_load_error(kama_deferred *deferred, const char *sentence);

/*
 * Finishes a deferred load and frees `deferred`. It must be called exactly once
 * for each deferred load, also after the load has timed out and after the group
 * was freed; then it only frees. It may run before the loader has returned.
 *
 * status:  a status that a loader may return, except KAMA_DEFERRED.
 * value:   the result, which is copied. It counts only with KAMA_OK.
 * options: as for kama_sink_set with KAMA_OK, and as for kama_sink_absent with
 *          KAMA_MISS; with errors they do not count. May be NULL.
 */
KAMA_API void kama_load_finish(kama_deferred *deferred, kama_status status,
                               kama_bytes value,
                               const kama_sink_options *options);

/* -- groups ------------------------------------------------------------- */

/* A group: a namespace of keys with a memory bound and a loader. */
typedef struct kama_group kama_group;

/*
 * How a group behaves. Fill it in with kama_group_options_init, then set `name`
 * and the other members that matter. The strings and the structure are copied
 * when the group is made.
 */
typedef struct kama_group_options {
    uint32_t struct_size;
    /* By how many percent at most a time to live is shortened at random, 0 to
     * 50, so that entries that were stored together do not expire together.
     * Default: 0. */
    uint32_t ttl_jitter;
    /* 1 to 255 bytes of UTF-8, terminated by a NUL. Default: "default". */
    const char *name;
    /* How much memory the group may use, in bytes: keys, values, index,
     * bookkeeping, and values that were evicted but are still referenced. When
     * it is full, entries are evicted. For a moment it may be more: an eighth of
     * it (at most 8 MiB) that the next calls free, and values that several
     * threads are just storing, if these alone need most of it. At least 64 KiB
     * and four times max_value_bytes. Default: 64 MiB. */
    uint64_t max_bytes;
    /* How many bytes a value may have: at most 64 MiB, and at most 16 MiB in a
     * group of a cluster whose `sync` is not "local". 0 means 1 MiB or a quarter of
     * max_bytes, whichever is less. Default: 0. */
    uint64_t max_value_bytes;
    /* How long entries live, in milliseconds, unless a set or a loader says
     * otherwise. 0 and KAMA_TTL_FOREVER mean that they do not expire.
     * Default: 0. */
    int64_t ttl_ms;
    /* How long the group remembers that a key does not exist, in milliseconds.
     * 0 means not at all: each get of the key calls the loader.
     * KAMA_TTL_FOREVER means until a value is stored or the entry is evicted.
     * Default: 0. */
    int64_t negative_ttl_ms;
    /* Fetches the values that are not in memory. NULL: a get of a key that is
     * not in memory returns KAMA_MISS. Default: NULL. */
    kama_loader_fn loader;
    /* The first argument of the loader. */
    void *loader_arg;
    /* Called once with loader_arg when the group has been freed and its last
     * load has ended. May be NULL. */
    void (*loader_free)(void *arg);
    /* How long one load may take, in milliseconds, with the time that it waits
     * for a slot; at most an hour. Then its callers receive KAMA_ERR_TIMEOUT.
     * Default: 5000. */
    int64_t loader_timeout_ms;
    /* How many loaders run at a time, 1 to 1024. A loader counts until it
     * returns, even if its load has timed out long before. A standalone group
     * with a pool runs no more of them than it has async_threads. Default:
     * 64. */
    uint32_t loader_concurrency;
    /* How many threads a standalone group uses for loads once an _async
     * function was called, 1 to 256. A group that belongs to a node uses the
     * pool of the node instead. Default: 2. */
    uint32_t async_threads;
    /* The order in which entries are evicted: "s3fifo+", "s3fifo" or "lru".
     * Default: "s3fifo+"; NULL is KAMA_ERR_INVALID. */
    const char *policy;
    /* Where the group takes its memory; NULL means malloc. */
    const kama_allocator *allocator;
    /* Who keeps a value when the group belongs to a node of a cluster:
     *   "broadcast"  every node keeps what it sets and fetches. A change acts on
     *                the node that is called, at once, and travels to all others
     *                by itself; a key that no node has is loaded by its owner,
     *                once in the cluster.
     *   "invalidate" the owner of the key, and the node that has set it; the others
     *                hear that their copy is old. Every node keeps what it fetches.
     *   "shard:2"    the owner of the key and the one that comes next (1 to 16 nodes
     *                together). A set on another node is carried out by the owner;
     *                other nodes hear that their copy is old, and keep nothing.
     *   "peers:ssd"  the members with the label "ssd", and the owner; or with
     *                "peers:a:8001+b:8001" the members at these addresses (up to 16).
     *                A set on another node is carried out by the owner. Every node
     *                keeps what it fetches until it hears of a change.
     *   "owner"      the node that owns the key. All others ask it each time, and
     *                send it their changes.
     *   "local"      each node by itself, as if it were alone.
     * With the first four, every node hears of each change, with the key and the
     * version: such a group is synchronized. All nodes must have the same text for a
     * group. It has no effect on groups of no cluster. Default: "broadcast"; NULL is
     * KAMA_ERR_INVALID. */
    const char *sync;
    /* Whether the memory for entries consists of pages of 2 MiB, if the system has
     * them (transparent huge pages, `madvise` or `always`): "on", "off" or "auto".
     * Gets of a large group are faster then. With "on", a page is resident as a
     * whole from the first write on, so that a small group uses more memory than
     * max_bytes. With "auto", groups of at least 64 MiB let the system gather
     * the pages in the background where memory is full. Without effect if there is an allocator.
     * Default: "auto"; NULL is KAMA_ERR_INVALID. */
    const char *huge_pages;
    /* In a synchronized group: how long a change may wait for the answer of another
     * node before that node is reported as unsynced, in milliseconds, 1 to an hour.
     * The node takes the least of its groups. A change that waits because of
     * `sync_ack` is answered then. Default: 2000. */
    int64_t sync_timeout_ms;
    /* In a synchronized group: how long this node, as the owner of a key, waits for
     * changes that the asking node knows already, in milliseconds, 0 to 10000. If
     * they do not come, the asking node loads the key itself. Default: 50. */
    int64_t fence_wait_ms;
    /* In a synchronized group: when a change is answered.
     *   "async"  at once; the other nodes follow.
     *   "one"    when another node has applied it.
     *   "all"    when every other node has applied it.
     * The nodes that count are those that this node sees in the cluster just now; if
     * it is alone, the answer comes at once. After sync_timeout_ms, or at the deadline
     * of the call, the answer is KAMA_UNSYNCED, and kama_ctx.ret_unsynced has the
     * nodes that have not applied the change yet. It has acted nevertheless, and goes
     * on travelling to them. Default: "async"; NULL is KAMA_ERR_INVALID. */
    const char *sync_ack;
} kama_group_options;

/* Fills the options with the defaults, and writes no more than `struct_size`
 * bytes. Applications call kama_group_options_init. */
KAMA_API void kama_group_options_init_sized(kama_group_options *options,
                                            size_t struct_size);
static inline void kama_group_options_init(kama_group_options *options)
{
    kama_group_options_init_sized(options, sizeof *options);
}

/*
 * Sets the option called `name` from text, as a flag or a configuration file
 * would:
 *
 *     kama_group_options_set(&options, "max_bytes", "256m");
 *     kama_group_options_set(&options, "ttl", "60s");
 *
 * The names are those of docs/OPTIONS.md: a duration is called "ttl", not
 * "ttl_ms". A size is a number of bytes, or a number with k, m or g (powers of
 * 1024). A duration needs a unit (ms, s, m, h) unless it is 0; ttl and
 * negative_ttl may be "forever". The name and the loader of a group cannot be
 * set by name.
 *
 * `value` is borrowed as long as `options` is used, because a text option
 * points into it.
 * Errors: KAMA_ERR_INVALID for an unknown name or a wrong value, and
 * KAMA_ERR_UNSUPPORTED for a name that belongs to a later version;
 * kama_last_error says what was wrong.
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_options_set(
    kama_group_options *options, const char *name, const char *value);

/*
 * Makes a standalone group: one that belongs to no node. It opens no socket and
 * starts no thread. Everything in `options` is copied. The caller owns the
 * group and frees it with kama_group_free.
 *
 * Errors: KAMA_ERR_INVALID (also if `options` is NULL), KAMA_ERR_TOO_LARGE if a
 * limit is exceeded, which kama_last_error names, and KAMA_ERR_NO_MEMORY. The
 * loader_arg still belongs to the caller then, and loader_free is not called.
 */
KAMA_API KAMA_NODISCARD kama_status
kama_group_new(const kama_group_options *options, kama_group **ret_group);

/*
 * Frees a group that was made by kama_group_new.
 *
 * Callers that wait for a load receive KAMA_ERR_CANCELLED. The threads of the
 * group are joined, so the call waits for loaders and callbacks that run on
 * them. The entries are freed. Values that the application still references
 * stay valid until it gives them back, and deferred loads must still be
 * finished. loader_free runs when the last load has ended, which may be later
 * than this call.
 *
 * Setup: no other thread may use the group any more. Passing NULL does nothing.
 * A group that belongs to a node is freed by kama_node_free; passing it here
 * does nothing.
 */
KAMA_API void kama_group_free(kama_group *group);

/* Returns the name of a group. It is valid as long as the group. */
KAMA_API const char *kama_group_name(const kama_group *group);

/* -- reading ------------------------------------------------------------ */

/*
 * Returns the value of `key`, and loads it if it is not in memory.
 *
 * On success *ret_value is a reference of the caller's, which it gives back
 * with kama_value_unref. A large value is not copied: every value of more than
 * 16 KiB, and in small groups shorter ones, too. `ctx` may be NULL.
 *
 * Returns KAMA_OK, KAMA_MISS if the key does not exist, or KAMA_WOULD_LOAD if
 * the key is not in memory and KAMA_NO_LOAD was given.
 *
 * Errors: KAMA_ERR_INVALID, TOO_LARGE the key or the context is wrong, or the
 *   loader
 *                                 returned this error
 *   KAMA_ERR_LOADER               the loader failed
 *   KAMA_ERR_TIMEOUT              the load or the caller ran out of time
 *   KAMA_ERR_OVERLOADED           65536 loads already wait for a slot, or callers
 *                                 hold three quarters of max_bytes in values
 *   KAMA_ERR_BUSY                 65536 callers already wait for this key
 *   KAMA_ERR_REENTRANT            a loader asked for the key that it loads
 *   KAMA_ERR_WOULD_DEADLOCK       the call was made on a thread of the pool and
 *                                 would have to wait for that pool;
 *                                 kama_get_async does not wait
 *   KAMA_ERR_CANCELLED, CLOSED    the group is being freed
 *   KAMA_ERR_NO_MEMORY            there is no memory
 *
 * Blocks: not on a hit; otherwise until the load has ended or the deadline of
 * the caller has passed. Cost of a hit: O(1).
 */
KAMA_API KAMA_NODISCARD kama_status kama_get(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx,
                                             kama_value **ret_value);

/*
 * Does what kama_get does, and copies the value into `buf`. There is nothing to
 * give back. This is the fastest way to read a value of up to a few kilobytes.
 * No NUL is added behind the value.
 *
 * On success *ret_len is the length of the value. If the value has more than
 * `cap` bytes, the call returns KAMA_ERR_TOO_SMALL and writes the length to
 * *ret_len, but nothing to `buf`; to ask for the length only, pass NULL and 0.
 * The other statuses are those of kama_get.
 */
KAMA_API KAMA_NODISCARD kama_status kama_get_copy(kama_group *group,
                                                  kama_bytes key,
                                                  const kama_ctx *ctx,
                                                  void *buf, size_t cap,
                                                  size_t *ret_len);

/*
 * Looks for `key` in memory. It never loads, never waits for a load and calls
 * no function of the application, so an event loop may call it.
 *
 * Returns KAMA_OK, with a reference that the caller gives back; KAMA_MISS if
 * the key is known not to exist, either because a negative entry says so or
 * because the group has no loader and no other node can have the key; and
 * KAMA_WOULD_LOAD in every other case.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE (the key).
 */
KAMA_API KAMA_NODISCARD kama_status kama_try_get(kama_group *group,
                                                 kama_bytes key,
                                                 kama_value **ret_value);

/* The answer of kama_mget for one key. `value` is a reference if `status` is
 * KAMA_OK, and NULL otherwise. */
typedef struct kama_item {
    kama_status status;
    kama_value *value;
} kama_item;

/*
 * Does what kama_get does for `n` keys, at most 65536. `ret_items` has room for
 * `n` items; item i answers key i. kama_items_unref gives all the values back.
 *
 *     kama_item items[3];
 *     if (kama_mget(users, keys, 3, NULL, items) == KAMA_OK) {
 *         ... items[i].status, items[i].value ...
 *         kama_items_unref(items, 3);
 *     }
 *
 * Returns KAMA_OK when every item has its answer, each with a status of its own
 * as kama_get would return it; kama_last_error says why one of them failed. An
 * error means that no item was written: KAMA_ERR_INVALID, TOO_LARGE, NO_MEMORY,
 * CLOSED.
 *
 * Keys that are equal share one load. How many loads of one call run at a time:
 *
 *   without a pool    One, on the calling thread, and keys are answered in
 *                     their order. When the deadline has passed, the keys that
 *                     are left are not loaded and answer KAMA_ERR_TIMEOUT.
 *   with a pool       As many as loader_concurrency permits; the others wait
 *                     for a slot. Keys that are in memory are answered first.
 *   MGet over gRPC    As with a pool, but at most 64.
 */
KAMA_API KAMA_NODISCARD kama_status kama_mget(kama_group *group,
                                              const kama_bytes *keys, size_t n,
                                              const kama_ctx *ctx,
                                              kama_item *ret_items);

/* Gives back the values of `n` items and sets them to NULL. */
KAMA_API void kama_items_unref(kama_item *items, size_t n);

/* -- writing ------------------------------------------------------------ */

/* When kama_set may act. A key that has expired, that is known not to exist, or
 * that was evicted has no value; nothing is loaded to find out. */
typedef enum kama_condition {
    KAMA_SET_ALWAYS = 0,
    KAMA_SET_IF_ABSENT = 1,  /* the key has no value, else KAMA_ERR_EXISTS */
    KAMA_SET_IF_PRESENT = 2, /* the key has a value, else KAMA_MISS */
    /* The key has the value whose etag is if_etag, else KAMA_ERR_TRY_AGAIN: read it
     * again. */
    KAMA_SET_IF_MATCH = 3
} kama_condition;

/* How kama_set acts. A NULL pointer means all defaults. */
typedef struct kama_set_options {
    uint32_t struct_size;
    uint32_t reserved;
    /* How long the value lives, in milliseconds: 0 means as long as the group
     * says, KAMA_TTL_FOREVER until it is evicted. */
    int64_t ttl_ms;
    /* The context of the call; may be NULL. */
    const kama_ctx *ctx;
    /* The number of a kama_condition. */
    uint32_t condition;
    uint32_t reserved2;
    /* For KAMA_SET_IF_MATCH: kama_value_etag of the value that is to be replaced.
     * Otherwise it must be 0. */
    uint64_t if_etag;
    /* If it is not NULL and the value was stored, the etag of the new value is
     * written there. For kama_set_async the number must stay where it is until the
     * callback has run. */
    uint64_t *ret_etag;
} kama_set_options;

/* Fills the options with the defaults, and writes no more than `struct_size`
 * bytes. Applications call kama_set_options_init. */
KAMA_API void kama_set_options_init_sized(kama_set_options *options,
                                          size_t struct_size);
static inline void kama_set_options_init(kama_set_options *options)
{
    kama_set_options_init_sized(options, sizeof *options);
}

/*
 * Stores a copy of `value` under `key`, and replaces an older value. A value of
 * length 0 is a value. A load of the key that is running is overtaken: its
 * result is not kept (see "Fence" at the top). `options` may be NULL.
 *
 * With a condition, the check and the change are one step: of several threads or
 * nodes that set a key IF_ABSENT, one succeeds, and a counter that is read and set
 * IF_MATCH loses no step.
 *
 *     kama_set_options set;
 *     kama_set_options_init(&set);
 *     set.condition = KAMA_SET_IF_MATCH;
 *     do {
 *         status = kama_get(group, key, NULL, &value);
 *         ... new_bytes, from kama_value_bytes(value) ...
 *         set.if_etag = kama_value_etag(value);
 *         kama_value_unref(value);
 *         status = kama_set(group, key, new_bytes, &set);
 *     } while (status == KAMA_ERR_TRY_AGAIN);
 *
 * When the condition is not fulfilled, the status is the one in kama_condition, and
 * nothing was changed: a running load goes on and its result is kept. In a cluster
 * the owner of the key checks the condition. After KAMA_ERR_PEER and "may have been
 * applied", a set with a condition must not simply be repeated, because the value
 * that it has stored itself would refuse it: read the key first. The same holds for
 * a client whose call has timed out. A cache forgets: IF_ABSENT succeeds again when
 * the entry was evicted or has expired, and when the key has moved to another
 * owner.
 *
 * In a cluster, a set without a condition acts on this node and returns if `sync` lets
 * this node keep the value; it reaches the other nodes by itself, in milliseconds. A get
 * on this node sees it at once. Of two nodes that set a key at the same time, all
 * nodes keep the same value. With `sync` "owner", on a node that does not keep the
 * value, and for every condition, the owner of the key is asked, and the call waits for
 * it. After a set with a condition, this
 * node asks other nodes for the key until it has heard of the new value.
 *
 * Returns KAMA_OK, or KAMA_UNSYNCED: the value was stored, but the other nodes for
 * which the call waits (kama_group_options.sync_ack) have not all applied it in time.
 *
 * Errors: KAMA_ERR_INVALID (key, ttl_ms, if_etag, context), KAMA_ERR_UNSUPPORTED (a
 * condition that this version does not know), KAMA_ERR_TOO_LARGE (key or
 * value; kama_last_error names the limit), KAMA_ERR_NO_MEMORY, and in a group of
 * a cluster, if another node has to be asked:
 *   KAMA_ERR_PEER            the owner of the key was not reached; or the
 *                            connection was lost after the request was sent, so
 *                            that the change may have been applied
 *   KAMA_ERR_TRY_AGAIN       the view of the cluster was changing, and nothing
 *                            was changed, as after a condition that does not match
 *   KAMA_ERR_NOT_READY       this node is no member of its cluster now
 *   KAMA_ERR_OVERLOADED      changes of 256 MiB wait for other nodes already
 *   KAMA_ERR_WOULD_DEADLOCK  the call would have to wait for another node, and the
 *                            calling thread is one of the node's; kama_set_async
 *                            does not wait
 * A context with KAMA_ORIGIN_PEER is KAMA_ERR_INVALID there. Never waits for a
 * load. Cost: O(length of the value), and evictions where room is needed.
 */
KAMA_API KAMA_NODISCARD kama_status kama_set(kama_group *group, kama_bytes key,
                                             kama_bytes value,
                                             const kama_set_options *options);

/*
 * Removes the entry of `key`, also a negative one. `ctx` may be NULL.
 *
 * Returns KAMA_OK if the key had a value, and KAMA_MISS if it had none; KAMA_UNSYNCED
 * in place of KAMA_OK as kama_set. In each
 * case a load of the key that is running is overtaken, so the next get loads
 * the key anew. Errors: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE (the key).
 */
KAMA_API KAMA_NODISCARD kama_status kama_del(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx);

/* One entry that kama_mset is to store. */
typedef struct kama_set_item {
    kama_bytes key;
    kama_bytes value;
    /* As in kama_set_options: 0 means as long as the group says. */
    int64_t ttl_ms;
} kama_set_item;

/*
 * Does what kama_set does for `n` items, at most 65536, in their order: if two
 * items have the same key, the later one stays. `ctx` may be NULL. Everything
 * is borrowed until the call returns.
 *
 * ret_statuses: gets `n` statuses, one for each item, which are those of kama_set:
 *               KAMA_ERR_NO_MEMORY, for example, for an item that could not be
 *               stored beside the others. The members that have not applied some
 *               item are in ctx->ret_unsynced, each once.
 *
 * Returns KAMA_OK when every item has its status. All items are checked before
 * the first one is stored. So an error means that nothing has changed and no
 * status was written: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE, for an item,
 * which kama_last_error names by its index counted from 0, for `n`, or for a
 * NULL pointer. The call is not atomic: other threads may see some of the items
 * before the others.
 */
KAMA_API KAMA_NODISCARD kama_status kama_mset(kama_group *group,
                                              const kama_set_item *items,
                                              size_t n, const kama_ctx *ctx,
                                              kama_status *ret_statuses);

/*
 * Does what kama_del does for `n` keys, at most 65536. `ctx` may be NULL.
 *
 * ret_statuses: gets `n` statuses, one for each key, which are those of kama_del. It
 *               may be NULL if the caller does not need them.
 *
 * An error means that nothing has changed: KAMA_ERR_INVALID and
 * KAMA_ERR_TOO_LARGE, as for kama_mset. The call is not atomic.
 */
KAMA_API KAMA_NODISCARD kama_status kama_mdel(kama_group *group,
                                              const kama_bytes *keys, size_t n,
                                              const kama_ctx *ctx,
                                              kama_status *ret_statuses);

/*
 * Gives the entry of `key` a new time to live, counted from now on: `ttl_ms` is
 * a number of milliseconds, 0 for the group's, or KAMA_TTL_FOREVER. Nothing is
 * loaded. A load of the key that is running is overtaken, as by kama_set.
 * Values that callers hold keep the time that they had. `ctx` may be NULL.
 *
 * Returns KAMA_OK, or KAMA_MISS if there is no entry with a value: the key is
 * not in memory, it has expired, or it is known not to exist; KAMA_UNSYNCED in place of
 * KAMA_OK as kama_set.
 * Errors: KAMA_ERR_INVALID (key, ttl_ms), KAMA_ERR_TOO_LARGE (key),
 * KAMA_ERR_NO_MEMORY; then nothing has changed.
 * Cost: O(length of the value), because the value is copied; a large one is not.
 */
KAMA_API KAMA_NODISCARD kama_status kama_touch(kama_group *group,
                                               kama_bytes key, int64_t ttl_ms,
                                               const kama_ctx *ctx);

/* -- looking at entries ------------------------------------------------- */

/*
 * Returns KAMA_OK if `key` has a value in memory, and KAMA_MISS otherwise, also
 * if the key is known not to exist. In a cluster it is the memory of the owner of the
 * key, and in a synchronized group that of this node first. Nothing is loaded; the call
 * is not counted as a get, and the entry is not kept any longer because of it. `ctx` may
 * be NULL.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE (the key).
 */
KAMA_API KAMA_NODISCARD kama_status kama_exists(kama_group *group,
                                                kama_bytes key,
                                                const kama_ctx *ctx);

/*
 * Does what kama_exists does. With KAMA_OK, *ret_ttl_ms is how long the entry
 * has left, in milliseconds and at least 1, or KAMA_TTL_FOREVER.
 */
KAMA_API KAMA_NODISCARD kama_status kama_ttl(kama_group *group, kama_bytes key,
                                             const kama_ctx *ctx,
                                             int64_t *ret_ttl_ms);

/*
 * Removes every entry of the group. Every load that is running is
 * overtaken. Values that callers hold stay valid. In a cluster, the group is
 * cleared on all members, this node first. In a synchronized group the call returns
 * then, or waits for the others as `sync_ack` says, and they follow by themselves, in
 * milliseconds. On a node that joins or leaves the cluster, another node begins the
 * clear, and the call waits for its answer.
 *
 * Returns KAMA_OK, or KAMA_UNSYNCED if members of the cluster were not reached, or have
 * not acknowledged the clear in time (kama_group_options.sync_ack).
 * Errors, only in a cluster: those of kama_set that have to do with other nodes. With
 * `sync` "owner", this node has been cleared nevertheless, except after
 * KAMA_ERR_WOULD_DEADLOCK. In a synchronized group, nothing was cleared, unless the message
 * says that it may have been.
 * Cost: O(1); the memory is given back step by step by later calls, and in a group
 * of a node that runs also without any, within seconds.
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_clear(kama_group *group);

/*
 * Does what kama_group_clear does, within the deadline of `ctx`, which may be
 * NULL. With KAMA_UNSYNCED, ctx->ret_unsynced has these members. Errors: as kama_group_clear, and KAMA_ERR_INVALID (the context).
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_clear_ctx(kama_group *group,
                                                         const kama_ctx *ctx);

/*
 * Changes max_bytes, the bound of the group's memory, at run time. The statistics
 * show the new bound at once. In a cluster, the groups of that name on other nodes
 * keep theirs.
 *
 * A larger bound is in force when the call returns. For a smaller one, entries are
 * evicted first, about 256 KiB at a time; other threads use the group meanwhile.
 * Entries that were evicted do not come back with a larger bound. Values that are
 * still referenced cannot be evicted: if they need more than the new bound, it is
 * kept to when they are given back. max_value_bytes stays as it is.
 *
 * The store has parts whose size follows from the max_bytes with which the group was
 * made. They are no obstacle to a larger bound. With a sixteenth of that max_bytes
 * they leave a quarter to two thirds of the room that the entries of a new group would
 * have, with a 64th hardly any, and with less they may need more than the bound.
 *
 * Errors: KAMA_ERR_INVALID if max_bytes is less than 64 KiB or four times
 * max_value_bytes; kama_last_error names both, and nothing has changed.
 * Cost: O(entries that are evicted).
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_resize(kama_group *group,
                                                      uint64_t max_bytes);

/* An entry, as kama_scan shows it. `key` is borrowed until the callback
 * returns. */
typedef struct kama_entry {
    uint32_t struct_size;
    uint32_t reserved;
    kama_bytes key;
    /* The length of the value. */
    uint64_t value_bytes;
    /* As kama_value_version. */
    uint64_t version;
    /* How long the entry has left, in milliseconds, or KAMA_TTL_FOREVER. */
    int64_t ttl_ms;
} kama_entry;

/* The callback of kama_scan, which is called for each entry. A return value
 * other than 0 ends this call of kama_scan. It runs without a lock and may call
 * functions of the group. */
typedef int (*kama_scan_cb)(void *arg, const kama_entry *entry);

/*
 * Visits a part of the entries whose keys match `glob`, and moves *cursor
 * behind them. A whole scan is a loop that begins and ends with the cursor 0:
 *
 *     uint64_t cursor = 0;
 *     do {
 *         status = kama_scan(users, &cursor, KAMA_STR("t*"), show, NULL);
 *     } while (status == KAMA_OK && cursor != 0);
 *
 * An entry that exists from the first call to the last is visited at least
 * once, and possibly more often. An entry that comes or goes in the meantime
 * may be visited or not. Negative entries are not visited. Cursors other than 0
 * are opaque and belong to this group.
 *
 * glob: * ? [a-z] [^a-z] and \x for a character that stands for itself, as in
 *       Redis; at most 1024 bytes. An empty glob matches every key.
 *
 * Errors: KAMA_ERR_INVALID (cursor or glob), KAMA_ERR_NO_MEMORY.
 * Cost: one call looks at a bounded number of entries.
 */
KAMA_API KAMA_NODISCARD kama_status kama_scan(kama_group *group,
                                              uint64_t *cursor, kama_bytes glob,
                                              kama_scan_cb cb, void *arg);

/* A key that is asked for often. `key` is borrowed until the callback returns. */
typedef struct kama_hot_key {
    uint32_t struct_size;
    uint32_t reserved;
    kama_bytes key;
    /* How many gets of the key there are per second, on average over about the
     * last half minute; what came before counts less and less. */
    double gets_per_s;
    /* By how much gets_per_s may be wrong, up or down. 0: every get was counted. */
    double error_per_s;
} kama_hot_key;

typedef void (*kama_hot_key_fn)(void *arg, const kama_hot_key *key);

/*
 * Calls fn for the keys that are asked for most often on this node, at most n of
 * them (and at most 1024), the most frequent one first. In a cluster, a get that
 * the node answers for another one counts as well.
 *
 *     static void show(void *arg, const kama_hot_key *k)
 *     {
 *         printf("%.*s %.1f/s\n", (int)k->key.len, (const char *)k->key.data,
 *                k->gets_per_s);
 *     }
 *     status = kama_group_hot_keys(users, 20, show, NULL);
 *
 * Gets are counted in bounded memory, and a thread that makes more than about 2,500
 * a second is looked at by chance only. So rates are estimates, and each has its
 * error. With max_bytes of 64 MiB or more, a key that has more than a thousandth of
 * all gets is found for certain, apart from the chance of the choice.
 *
 * Errors: KAMA_ERR_INVALID (n is 0 or fn is NULL), KAMA_ERR_NO_MEMORY.
 * Cost: a copy of the keys. No get and no set waits for it.
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_hot_keys(kama_group *group,
                                                        size_t n,
                                                        kama_hot_key_fn fn,
                                                        void *arg);

/*
 * Calls fn for the entries of this node with the longest values, at most n of them
 * (and at most 1024), the longest first. A return value other than 0 ends the calls.
 *
 * The entries are found by a scan of the whole group. It holds no lock for long, and
 * other threads change the group meanwhile: an entry that stays as it is during the
 * call is found, and another one may be shown with any of its sizes.
 *
 * Errors: KAMA_ERR_INVALID (n is 0 or fn is NULL), KAMA_ERR_NO_MEMORY.
 * Cost: O(entries of the group).
 */
KAMA_API KAMA_NODISCARD kama_status kama_group_largest(kama_group *group,
                                                       size_t n,
                                                       kama_scan_cb fn,
                                                       void *arg);

/*
 * The figures of a group: counters since the group was made, and sizes at this
 * moment. An entry that has expired counts until something finds it: a get of
 * its key, a scan that passes it, or the housekeeping. That does a little with
 * every set, every load and every look at the figures; in a group of a node that
 * runs, a thread of the node also does it, within seconds.
 */
typedef struct kama_group_stats {
    uint32_t struct_size;
    uint32_t reserved;
    /* Keys that were asked for: hits + negative_hits + misses. */
    uint64_t gets;
    /* Gets that memory answered with a value. */
    uint64_t hits;
    /* Gets that memory answered with "does not exist": the group remembered
     * that, and the get returned KAMA_MISS. */
    uint64_t negative_hits;
    /* Gets that memory could not answer. */
    uint64_t misses;
    /* Calls of the loader. */
    uint64_t loads;
    /* Gets that waited for a load which another get had started. */
    uint64_t loads_coalesced;
    /* Loads that found no such key: they ended with KAMA_MISS. */
    uint64_t loads_missed;
    /* Loads that ended with an error. */
    uint64_t loads_failed;
    /* Loads whose result was not kept because a mutation had overtaken them. */
    uint64_t loads_overtaken;
    /* The time that loads took, in nanoseconds, summed. */
    uint64_t load_ns;
    /* Loaders that run at this moment, including those whose load has timed
     * out. */
    uint64_t loads_running;
    /* Values that callers stored, with kama_set or kama_mset. */
    uint64_t sets;
    /* Deletes, one for each key: calls of kama_del, and keys of kama_mdel. */
    uint64_t dels;
    /* Times that the whole group was emptied, by kama_group_clear. */
    uint64_t clears;
    /* Entries that were removed to make room for others. */
    uint64_t evictions;
    /* Entries that were removed because their time was over. */
    uint64_t expirations;
    /* Keys that have a value at this moment. */
    uint64_t entries;
    /* All the memory of the store at this moment. */
    uint64_t bytes;
    /* The memory of keys and values alone. */
    uint64_t value_bytes;
    /* The memory of values that callers hold. A large one that is still stored
     * counts in value_bytes, too. */
    uint64_t pinned_bytes;
    /* The bound that the options of the group, or a resize, have set. */
    uint64_t max_bytes;
    /* Keys that are remembered as "does not exist" at this moment. */
    uint64_t negative_entries;
    /* Gets that asked the owner of the key. */
    uint64_t peer_gets;
    /* Gets that ended with an answer of the owner, which may be an error of its
     * loader. */
    uint64_t peer_hits;
    /* Gets that asked the owner and ended without its answer: it could not give
     * one, or the get did not wait for it. */
    uint64_t peer_errors;
    /* Gets of other nodes that this node answered as the owner. */
    uint64_t fills_served;
    /* Sets, deletes and touches that were sent to the owner of the key. */
    uint64_t mutations_forwarded;
    /* Sets, deletes, touches and clears of other nodes that this node carried out as
     * the owner. */
    uint64_t mutations_served;
    /* Gets that ended with a load of this node: with its value, with its miss or
     * with its error. Each miss that has ended is counted in one of gets_loaded,
     * peer_hits, gets_absent and gets_failed. */
    uint64_t gets_loaded;
    /* Gets of keys that were not in memory and were not to be loaded. */
    uint64_t gets_absent;
    /* Gets that ended before anybody had answered them: their time was over, they
     * were cancelled, or they were refused. */
    uint64_t gets_failed;
    /* Loads that found a value. */
    uint64_t loads_found;
    /* The memory of the index, of bookkeeping and of what malloc adds: bytes less
     * value_bytes and pinned_bytes. */
    uint64_t overhead_bytes;
    /* Misses of keys that were never in memory, or whose leaving is not remembered
     * any more. The four rows of this kind sum up to `misses`. */
    uint64_t misses_absent;
    /* Misses of keys whose time was over. */
    uint64_t misses_expired;
    /* Misses of keys that had made room for others. */
    uint64_t misses_evicted;
    /* Misses of keys that were deleted. */
    uint64_t misses_deleted;
    /* Entries that were removed by a delete of their key. */
    uint64_t entries_deleted;
    /* Entries that were replaced by another value of their key. */
    uint64_t entries_replaced;
    /* Entries that were removed because the whole group was emptied. */
    uint64_t entries_cleared;
    /* Entries that were removed because another node owns their key. */
    uint64_t entries_moved;
    /* The memory of entries, without large values. The seven rows of this kind and
     * pinned_bytes sum up to `bytes`. */
    uint64_t live_bytes;
    /* The memory of entries that have left, between others. */
    uint64_t hole_bytes;
    /* The memory that is kept for the entries that come next. */
    uint64_t free_bytes;
    /* The memory of large values that no caller holds. */
    uint64_t block_bytes;
    /* The memory of the index. */
    uint64_t index_bytes;
    /* The memory that tells which keys have left lately. */
    uint64_t ghost_bytes;
    /* The memory of tables and of the store itself. */
    uint64_t fixed_bytes;
    /* Mutations that began on this node and go to all the others. */
    uint64_t sync_originated;
    /* Mutations of other nodes that were applied here, whether they changed anything
     * or not. */
    uint64_t sync_applied;
    /* Answers of owners that this node keeps. */
    uint64_t fills_kept;
    /* Answers of owners that a mutation may have overtaken, so that only those that
     * waited got them. */
    uint64_t fills_not_kept;
    /* Calls of other nodes that waited here for mutations which the answer must
     * include. */
    uint64_t fence_waits;
} kama_group_stats;

/* Reads the figures, and writes no more than `struct_size` bytes. Applications
 * call kama_group_stats_get. The figures are read one after the other while the
 * group works, so they need not fit together exactly. */
KAMA_API void kama_group_stats_get_sized(kama_group *group,
                                         kama_group_stats *stats,
                                         size_t struct_size);
static inline void kama_group_stats_get(kama_group *group,
                                        kama_group_stats *stats)
{
    kama_group_stats_get_sized(group, stats, sizeof *stats);
}

/* -- asynchronous calls ------------------------------------------------- */

/*
 * Asynchronous calls are for callers that must not wait, such as event loops.
 * The answer comes to a callback on a thread of the pool, also if the value was
 * in memory. The callback is called exactly once, and never from inside the
 * call that registered it. kama_last_error() inside the callback has the
 * sentence about an error.
 *
 * The first such call on a standalone group starts its pool (async_threads),
 * and from then on every load of the group runs there. kama_group_free joins
 * the pool.
 */

/* The callback of kama_get_async. `value` is a reference that the callback
 * gives back with kama_value_unref; it is NULL unless `status` is KAMA_OK. */
typedef void (*kama_get_cb)(void *arg, kama_status status, kama_value *value);

/* The callback of kama_mget_async. The array `items` is borrowed until the
 * callback returns; the values in it are references that the callback gives
 * back. */
typedef void (*kama_mget_cb)(void *arg, kama_status status,
                             const kama_item *items, size_t n);

/*
 * Does what kama_get does, and hands the answer to `cb`. The key is copied.
 *
 * Returns KAMA_OK if `cb` will be called. An error means that it will not be:
 * KAMA_ERR_INVALID, TOO_LARGE, NO_MEMORY, OVERLOADED, THREADS (the pool could
 * not start), CLOSED (the group is being freed), STATE (see "Forking" at the
 * top).
 */
KAMA_API KAMA_NODISCARD kama_status kama_get_async(kama_group *group,
                                                   kama_bytes key,
                                                   const kama_ctx *ctx,
                                                   kama_get_cb cb, void *arg);

/* Does what kama_mget does, and hands the answers to `cb` when every key has
 * one. The keys are copied. The statuses are those of
 * kama_get_async. */
KAMA_API KAMA_NODISCARD kama_status kama_mget_async(kama_group *group,
                                                    const kama_bytes *keys,
                                                    size_t n,
                                                    const kama_ctx *ctx,
                                                    kama_mget_cb cb, void *arg);

/* The callback of kama_set_async and kama_del_async. After an error,
 * kama_last_error has its sentence inside the callback. */
typedef void (*kama_done_cb)(void *arg, kama_status status);

/*
 * Does what kama_set does without blocking the caller, also if another node of a
 * cluster has to be asked. `cb` is called exactly once, on a thread of the pool,
 * and never before this call returns; it is not called if this returns an error.
 * Key, value and options are copied.
 *
 * Errors: KAMA_ERR_INVALID, TOO_LARGE, NO_MEMORY, THREADS, CLOSED, STATE. All
 * other statuses reach `cb`.
 */
KAMA_API KAMA_NODISCARD kama_status
kama_set_async(kama_group *group, kama_bytes key, kama_bytes value,
               const kama_set_options *options, kama_done_cb cb, void *arg);

/* Does what kama_del does, in the way of kama_set_async. */
KAMA_API KAMA_NODISCARD kama_status kama_del_async(kama_group *group,
                                                   kama_bytes key,
                                                   const kama_ctx *ctx,
                                                   kama_done_cb cb, void *arg);

/* -- nodes -------------------------------------------------------------- */

/*
 * A node serves groups over gRPC on one address, and it owns them. The
 * application can use the same groups directly. Nodes are in libkamacache;
 * libkamacache-core does not have them.
 *
 *     kama_node_options options;
 *     kama_node *node;
 *     kama_group *users;
 *
 *     kama_node_options_init(&options);
 *     options.listen = "127.0.0.1:8001";
 *     status = kama_node_new(&options, &node);
 *     status = kama_node_add_group(node, &group_options, &users);
 *     status = kama_node_start(node);
 *     ... the node serves; the application may use the group as well ...
 *     status = kama_node_stop(node);
 *     kama_node_free(node);
 *
 * A node has loop threads, which serve the connections and never wait, and one
 * pool, on which the loaders and callbacks of all its groups run. It has these
 * states:
 *
 *     new --start--> running --stop--> stopped --free-->
 *
 * A node starts once. A start that failed leaves nothing running and may be
 * repeated.
 */
typedef struct kama_node kama_node;

/*
 * Something that a node did or saw, for the event function of
 * kama_node_options. Everything is borrowed until the event function returns.
 *
 *     name            level    what has happened
 *     "listen"        info     the node listens; the message has the address
 *     "ready"         info     the node serves
 *     "group"         info     a group was added
 *     "drain"         info     the node stops, and running calls may end
 *     "cut"           warn     calls did not end in time and were cut off
 *     "stopped"       info     the node has stopped
 *     "abuse"         warn     a connection was closed because its peer broke a
 *                              limit of HTTP/2
 *     "load_failed"   warn     a load failed for its callers. A group reports
 *                              at most a few of these at once and then one a
 *                              second; `suppressed` counts those that it held
 *                              back.
 *     "advertise"     info     `address` is where the other members reach the node
 *                     error    no address can be advertised; the message says
 *                              what to do
 *     "etcd"          info     etcd is asked, answers, or answers again
 *                     warn     etcd does not answer, and the last view is kept;
 *                              or it has lost its data; or a member may have
 *                              come and gone unseen
 *     "lease"         info     a lease was granted, or is held again; the message
 *                              has its id
 *                     warn     the lease may have expired, or is lost; then the
 *                              node registers again
 *     "register"      info     the node is registered under `address`, or waits
 *                              for a record that holds it
 *                     warn     the record was deleted, and the node registers
 *                              again
 *                     error    the node cannot be registered; the message says
 *                              why
 *     "peers"         info     a member has joined, changed or left: `address`
 *                              is its address, the message says why, and
 *                              `count` is how many other members there are now
 *     "peer"          info     the member at `address` answers
 *                     warn     it does not answer, or is refused; the message
 *                              says why
 *     "view"          info     the node has adopted a view of `count` members
 *     "joined"        info     a node whose start has ended without the cluster
 *                              is ready now: it serves as a member
 *     "settled"       debug    no member can act on an older view any more
 *     "sync"          debug    a stream of mutations to a member has ended
 *                     info     a member was not told of mutations and drops what may be
 *                              stale, or it has all mutations again
 *                     warn     a member does not acknowledge mutations, or has sent what
 *                              is refused; or groups of this node were emptied,
 *                              because mutations may be missing
 *     "degraded"      warn     the node serves, but is not what it should be;
 *                              the message says why
 *     "held"          warn     addresses without a record stay in the view for a
 *                              while, because too many went at once; the message
 *                              says how many, and for how long
 *     "junk"          warn     a record in etcd that is none of a member was
 *                              ignored; the message has its key, and how many
 *                              there were
 *     "get", "load"   debug    one step of a get or of a load: whether the key
 *                              was in memory, whether the get joined or led a
 *                              load, the begin and the end of the load with
 *                              status and duration, the answer
 *
 * Later versions add names. The events "load_failed", "get" and "load" set
 * `group` and `key`; those about a member of the cluster set `address`.
 */
typedef struct kama_node_event {
    uint32_t struct_size;
    /* 0 debug, 1 info, 2 warn, 3 error. */
    int32_t level;
    const char *name;
    /* One sentence, terminated by a NUL. */
    const char *message;
    /* The name of the group that the event is about, or NULL. */
    const char *group;
    /* The key that the event is about, or an empty slice. */
    kama_bytes key;
    /* How the load or the get ended, for "load_failed" and for events with a
     * duration. */
    kama_status status;
    uint32_t reserved;
    /* How long the load or the get took that has ended, or 0 if none has
     * ended. */
    uint64_t duration_ns;
    /* How many events of this kind were held back since the last one. */
    uint64_t suppressed;
    /* The address that the event is about, as host:port, or NULL. */
    const char *address;
    /* A number that the list above explains, or 0. */
    uint64_t count;
} kama_node_event;

/* How a node behaves. Fill it in with kama_node_options_init, then set the
 * members that matter. Everything is copied when the node is made. */
typedef struct kama_node_options {
    uint32_t struct_size;
    /* How many event loops serve connections, at most 64; 0 means one for each
     * processor core. Default: 0. */
    uint32_t threads;
    /* The address to listen on, as host:port. Port 0 takes any free port, and
     * kama_node_address says which. Default: "127.0.0.1:8001". */
    const char *listen;
    /* The endpoints of etcd, as host:port or http://host:port, separated by
     * commas, at most 16. The node joins the cluster that is registered there.
     * NULL or "" is a node alone. https:// is not in this version. Default:
     * NULL. */
    const char *etcd;
    /* Must be NULL: a list of members without etcd is not in this version. */
    const char *peers;
    /* The name of the service: health checks may ask for it, and nodes of one
     * cluster have the same. 1 to 128 bytes without a slash. Default:
     * "kama-cache". */
    const char *service;
    /* How many connections there may be at a time; 0 means 10000, or fewer if
     * the limit of file descriptors does not leave room for them. Default:
     * 0. */
    uint32_t max_connections;
    /* 1 permits an address that other machines can reach, although this version
     * neither encrypts nor asks its clients who they are. Default: 0. */
    uint32_t insecure;
    /* How long the start may take, in milliseconds, 1 to one hour. Default:
     * 10000. */
    int64_t start_timeout_ms;
    /* How long running calls may take to end when the node stops, in
     * milliseconds, 0 to one hour. Default: 15000. */
    int64_t drain_timeout_ms;
    /* Receives the events of the node. It runs on the thread that caused the
     * event, on several threads at a time. It must not wait, and it must not
     * call functions of a group. May be NULL. */
    void (*event)(void *arg, const kama_node_event *event);
    void *event_arg;
    /* Where the node takes its memory; NULL means malloc. */
    const kama_allocator *allocator;
    /* The lowest level of events that the event function receives. Default: 1
     * (info). */
    uint32_t event_level;
    uint32_t reserved;
    /* The user of etcd, and the file with the password: its first line, at most
     * 1024 bytes. Both or none; the file is read when the node is made. Default:
     * NULL. */
    const char *etcd_user;
    const char *etcd_password_file;
    /* The address at which the other members reach the node, as host:port. NULL
     * is the address that it listens on; if that stands for all addresses of the
     * machine, it is the machine's address on the connection to etcd. Default:
     * NULL. */
    const char *advertise;
    /* The name of the cluster, 1 to 128 bytes. A node does not start where only
     * records of another cluster stand. Default: "default". */
    const char *cluster;
    /* Labels of the member, separated by commas, for people who look at the
     * members: at most 16 of 1 to 64 bytes each. Default: NULL. */
    const char *labels;
    /* How large the member's share of the keys is beside that of the others,
     * 1 to 16. Default: 1. */
    uint32_t weight;
    /* 1: a start without etcd fails when start_timeout_ms is over, and leaves
     * nothing running. 0: the node then serves alone until it has registered:
     * its gets load, and its mutations are KAMA_ERR_NOT_READY. Default: 1. */
    uint32_t require_discovery;
} kama_node_options;

/* Fills the options with the defaults, and writes no more than `struct_size`
 * bytes. Applications call kama_node_options_init. */
KAMA_API void kama_node_options_init_sized(kama_node_options *options,
                                           size_t struct_size);
static inline void kama_node_options_init(kama_node_options *options)
{
    kama_node_options_init_sized(options, sizeof *options);
}

/*
 * Makes a node. It opens no socket and starts no thread yet. The caller owns
 * the node and frees it with kama_node_free.
 *
 * Errors: KAMA_ERR_INVALID (addresses, names, timeouts, event_level, weight),
 * KAMA_ERR_TOO_LARGE (threads, too many endpoints or labels),
 * KAMA_ERR_UNSUPPORTED (peers, https), KAMA_ERR_PERMISSION if the address can be
 * reached from other machines and `insecure` is 0, KAMA_ERR_IO if the password
 * file cannot be read, KAMA_ERR_THREADS, KAMA_ERR_NO_MEMORY.
 */
KAMA_API KAMA_NODISCARD kama_status
kama_node_new(const kama_node_options *options, kama_node **ret_node);

/*
 * Makes a group that belongs to the node, before the start or after it. The
 * node owns the group, which lives until kama_node_free. `ret_group` may be
 * NULL if the application does not use the group itself.
 *
 * Errors: those of kama_group_new, KAMA_ERR_EXISTS if the node has a group of
 * that name, KAMA_ERR_TOO_LARGE if it has 1024 groups, KAMA_ERR_CLOSED if it
 * has stopped.
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_add_group(
    kama_node *node, const kama_group_options *options, kama_group **ret_group);

/* Returns the group of that name, or NULL if there is none. The group is
 * borrowed: it belongs to the node. */
KAMA_API kama_group *kama_node_group(kama_node *node, const char *name);

/*
 * Listens and serves. Returns KAMA_OK when clients can connect and are
 * answered, or an error with nothing left running.
 *
 * Errors: KAMA_ERR_ADDR_IN_USE (kama_last_error names the address),
 * KAMA_ERR_TIMEOUT if it took longer than start_timeout_ms, KAMA_ERR_IO,
 * KAMA_ERR_THREADS, KAMA_ERR_NO_MEMORY, KAMA_ERR_STATE if the node was started
 * before, KAMA_ERR_CANCELLED if another thread has called kama_node_stop.
 * Setup: no other thread may call a function of the node while it starts, except
 * kama_node_stop.
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_start(kama_node *node);

/* Returns the address that the node listens on, with the port that it got, or
 * NULL before the start. The string is valid as long as the node. */
KAMA_API const char *kama_node_address(const kama_node *node);

/*
 * Stops the node: health checks are answered with NOT_SERVING, clients are told
 * to go elsewhere (GOAWAY), running calls may end within drain_timeout_ms, and
 * then the connections are closed. The groups can still be used directly.
 *
 * While another thread waits in kama_node_start for a node to join its cluster, it
 * makes that call fail with KAMA_ERR_CANCELLED, and returns KAMA_OK at once. The
 * start then removes the node's record from etcd before it returns.
 *
 * Returns KAMA_OK, or KAMA_ERR_TIMEOUT if calls had to be cut off; the node has
 * stopped in both cases. Errors: KAMA_ERR_STATE if the node does not run,
 * KAMA_ERR_WOULD_DEADLOCK on one of the node's own threads.
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_stop(kama_node *node);

/*
 * Frees the node and its groups, and stops it first if it still runs. Values
 * that the application references stay valid.
 * Setup: no other thread may use the node or its groups any more. Passing NULL
 * does nothing.
 */
KAMA_API void kama_node_free(kama_node *node);

/* -- clusters ----------------------------------------------------------- */

/*
 * Nodes that are registered in the same etcd under one service are members of
 * one cluster. Each key has one owner at a time, any member answers any request,
 * and one miss in the whole cluster is one call of the loader. The functions
 * below say how one node sees its cluster; a node alone is a cluster of itself.
 *
 *     static void print_member(void *arg, const kama_member *m)
 *     {
 *         printf("%s %s\n", m->address, m->reach);
 *     }
 *
 *     options.etcd = "127.0.0.1:2379";
 *     options.advertise = "10.0.0.1:8001";
 *     ... kama_node_new, kama_node_start ...
 *     status = kama_node_wait_ready(node, 10000);
 *     status = kama_node_members(node, print_member, NULL);
 *
 * What the callbacks receive is borrowed: structures, texts and arrays are valid
 * until the callback returns. A callback runs once per item before the function
 * returns, on the calling thread and without a lock. It may call functions of the
 * node and its groups.
 *
 * A node that is not started, or that has stopped, may be asked as well: it has
 * no members then, or is itself a leaving one.
 */

/* The state of a member. */
typedef enum kama_member_state {
    KAMA_MEMBER_JOINING = 1, /* it owns nothing yet */
    KAMA_MEMBER_ACTIVE = 2,  /* it owns its share of the keys */
    KAMA_MEMBER_LEAVING = 3  /* it drains, and owns nothing any more */
} kama_member_state;

/* The bytes of a member's id. A node that registers again has a new one. */
#define KAMA_MEMBER_ID_BYTES 16

/* A member, as one node sees it. */
typedef struct kama_member {
    uint32_t struct_size;
    /* A kama_member_state. */
    int32_t state;
    /* The address that it advertises, as host:port. */
    const char *address;
    /* The address of its admin port, or "". */
    const char *admin;
    /* The version of its library, "MAJOR.MINOR.PATCH". */
    const char *version;
    uint8_t id[KAMA_MEMBER_ID_BYTES];
    const char *const *labels;
    size_t label_count;
    uint32_t weight;
    /* Which share of the keys it owns, in millionths. */
    uint32_t share_ppm;
    /* 1 if it is the node that was asked. */
    uint32_t self;
    uint32_t reserved;
    /* How the asked node reaches it: "self", "up", "unknown" (not asked yet),
     * "unreachable", or "refused" (it says that the asked node is no
     * member). */
    const char *reach;
    /* How long its last answer took, in nanoseconds; 0 means not known. */
    uint64_t latency_ns;
    /* For how long `reach` has been so, in milliseconds. */
    uint64_t since_ms;
    /* Keys that the asked node has asked it for, and how many of these requests
     * it did not answer. */
    uint64_t fills;
    uint64_t fills_failed;
    /* Mutations that the asked node has sent to it, and how many of them it did
     * not answer. */
    uint64_t mutations;
    uint64_t mutations_failed;
    /* Requests of this member that the asked node has answered. */
    uint64_t served;
    /* How far the member has the mutations of the asked node:
     *     "in_sync"   a stream carries them, and none has waited for longer than 500 ms
     *     "lagging"   one has
     *     "unsynced"  one has waited for longer than sync_timeout, with or without a
     *                 stream; the member may have older values
     *     "gapped"    the member is told that it has missed some for good, and drops
     *                 what they may have changed
     *     "down"      no stream stands, and none has waited for so long
     *     ""          there is no stream: the member is the asked node, or the node is
     *                 alone
     * A mutation waits until the member has acknowledged it. The figures below are up to
     * a quarter of a second old. */
    const char *sync_state;
    /* How many mutations of the asked node the member has not acknowledged, and how
     * old the first of them is, in nanoseconds. */
    uint64_t sync_queue;
    uint64_t sync_lag_ns;
    /* Each node numbers its own mutations from 1. This is the number of the newest
     * one of the asked node that the member has acknowledged, and of the newest one
     * of the member that is applied at the asked node. */
    uint64_t sync_acked;
    uint64_t sync_applied;
    /* How many mutations went to the member, how many came from it and were applied,
     * and how many came a second time and were refused. */
    uint64_t sync_sent;
    uint64_t sync_received;
    uint64_t sync_duplicates;
    /* How often the member had missed mutations of the asked node for good, and the
     * asked node those of the member. The entries that they may have changed were
     * dropped. */
    uint64_t sync_gaps_sent;
    uint64_t sync_gaps_received;
    /* How long ago the newest one of the latter came; 0 if there was none. */
    uint64_t sync_gap_age_ms;
    /* 1 if something has waited for longer than sync_timeout (2 s) for the member,
     * which has acknowledged nothing. */
    uint32_t unsynced;
    /* 1 if the asked node refuses the mutations of the member for a while, because the
     * clock in them was more than 60 s ahead. */
    uint32_t quarantined;
    /* 1 if a stream carries the mutations of the asked node to the member. */
    uint32_t sync_up;
    /* How many groups have another strategy (option sync) on the member than on the
     * asked node; the two tell each other only that keys of these have changed. */
    uint32_t sync_differing;
    /* How many bytes of messages went to the member and came from it: mutations,
     * heartbeats and answers, without what the connection adds. */
    uint64_t sync_bytes_sent;
    uint64_t sync_bytes_received;
} kama_member;

typedef void (*kama_member_fn)(void *arg, const kama_member *member);

/*
 * Calls fn for each member of the view that the node has adopted, itself
 * included, sorted by address.
 *
 * Errors: KAMA_ERR_INVALID if fn is NULL. Cost: O(members).
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_members(kama_node *node,
                                                      kama_member_fn fn,
                                                      void *arg);

/* Who owns a key. */
typedef struct kama_owner {
    uint32_t struct_size;
    /* 1 if it is the node that was asked. */
    uint32_t self;
    /* The address of the owner first, then those of the members that would
     * take over, in their order. There is none if no member is active; then
     * each node owns every key. */
    const char *const *addresses;
    size_t address_count;
    /* The id of the owner; zeros if there is none. */
    uint8_t id[KAMA_MEMBER_ID_BYTES];
    /* The slot of the key, below 2^18. */
    uint32_t slot;
    uint32_t reserved;
    /* The view by which the node has answered. */
    uint64_t view_id;
} kama_owner;

typedef void (*kama_owner_fn)(void *arg, const kama_owner *owner);

/*
 * Calls fn once with the owner of a key of a group. The key need not exist;
 * nothing is loaded, and no other node is asked.
 *
 * group: the name of a group of the node.
 * Errors: KAMA_ERR_INVALID (key, or fn or group is NULL), KAMA_ERR_TOO_LARGE
 * (key), KAMA_ERR_NO_GROUP. Cost: O(members).
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_owner(kama_node *node,
                                                    const char *group,
                                                    kama_bytes key,
                                                    kama_owner_fn fn,
                                                    void *arg);

/* A node, as it sees itself. */
typedef struct kama_node_info {
    uint32_t struct_size;
    /* 1 if no step is missing. A node that has stopped is not ready, and no step
     * is missing. */
    uint32_t ready;
    /* The steps to readiness that are missing, in this order: "listen",
     * "register", "view", "peers", "dialback" (the advertised address leads to
     * this node), "clock" (only if it differs from those of the others) and
     * "lease". */
    const char *const *missing;
    size_t missing_count;
    /* The address that the node listens on, and the one that it advertises; ""
     * before the start. */
    const char *listen;
    const char *advertise;
    const char *cluster;
    const char *service;
    /* The endpoints of etcd, or "". */
    const char *etcd;
    /* The id of the node as a member. */
    uint8_t id[KAMA_MEMBER_ID_BYTES];
    /* The lease of its record in etcd; 0 means none. */
    int64_t lease_id;
    /* "none", "joining", "active", "leaving" or "lost". */
    const char *registration;
    /* The view that the node has adopted. */
    uint64_t view_id;
    /* How many other members that view has. */
    uint32_t peer_count;
    /* 1 if no other member can still act on an older view. */
    uint32_t settled;
    /* Why the node is not what it should be although it serves: "lease",
     * "given up" (another member says so), or "". */
    const char *degraded;
    /* The address of the admin port, or "". */
    const char *admin;
    /* How many groups the node has. */
    uint32_t group_count;
    uint32_t reserved;
    /* How long the start took until the node served, in milliseconds; 0 before
     * that. */
    uint64_t start_ms;
    /* A sentence that names a group whose strategy (option sync) is another one on a
     * member, the member and both strategies; "" if there is none. Up to a quarter of a
     * second old. */
    const char *sync_differs;
} kama_node_info;

typedef void (*kama_node_info_fn)(void *arg, const kama_node_info *info);

/*
 * Calls fn once with the state of the node.
 *
 * Errors: KAMA_ERR_INVALID if fn is NULL.
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_describe(kama_node *node,
                                                       kama_node_info_fn fn,
                                                       void *arg);

/*
 * Waits until no step to readiness is missing. A node alone is ready when it
 * serves. A node with require_discovery is ready when its start has returned; one
 * without may become ready later, and it may become unready again.
 *
 * timeout_ms: how long to wait at most; 0 asks only.
 * Errors: KAMA_ERR_TIMEOUT (kama_last_error names the missing steps),
 * KAMA_ERR_CLOSED if the node stops, KAMA_ERR_INVALID (negative timeout),
 * KAMA_ERR_WOULD_DEADLOCK on one of the node's own threads, KAMA_ERR_STATE in
 * a forked child.
 */
KAMA_API KAMA_NODISCARD kama_status kama_node_wait_ready(kama_node *node,
                                                         int64_t timeout_ms);

/* -- metrics --------------------------------------------------------------- */

/* The formats of kama_metrics_write: the text format 0.0.4 of Prometheus, which is
 * sent as "text/plain; version=0.0.4", and OpenMetrics 1.0, which is sent as
 * "application/openmetrics-text; version=1.0.0; charset=utf-8". */
#define KAMA_METRICS_PROMETHEUS 0u
#define KAMA_METRICS_OPENMETRICS 1u

/* Takes `len` bytes of a text, which are borrowed until it returns. Anything but
 * KAMA_OK ends the text, and is what the call that writes it returns. */
typedef kama_status (*kama_write_fn)(void *arg, const void *data, size_t len);

/*
 * Writes the metrics of a node with all of its groups, or of one group, for a
 * program that serves them to Prometheus itself:
 *
 *     static kama_status to_file(void *arg, const void *data, size_t len)
 *     {
 *         return fwrite(data, 1, len, arg) == len ? KAMA_OK : KAMA_ERR_IO;
 *     }
 *     status = kama_metrics_write(node, NULL, KAMA_METRICS_PROMETHEUS, to_file,
 *                                 stdout);
 *
 * node, group: one of them; the other is NULL. A node may be in any state: a node
 *     that does not run has no figures of its server. A program that links the core
 *     alone has groups only.
 * write: is called on this thread, without a lock held, one or more times in the
 *     order of the text. The pieces together are one whole exposition, also for
 *     OpenMetrics, which ends with "# EOF". Texts of two calls cannot be joined.
 *
 * The metrics are listed in docs/METRICS.md. Their names and labels stay as they are
 * in later versions; there may be more of them. A label has no key of the cache. At
 * most 64 groups and 64 peers have names of their own; the others are summed under
 * the name "other". The figures are read one after the other while everything works,
 * so that sums may differ by the calls that end meanwhile.
 *
 * Errors: KAMA_ERR_INVALID (both or none of node and group, write is NULL, an unknown
 * format), KAMA_ERR_NO_MEMORY, and what write returns.
 * Threads: any thread, before kama_node_free or kama_group_free.
 * Cost: about 5 KiB of text for each group, in one buffer that is freed at the end.
 */
KAMA_API KAMA_NODISCARD kama_status kama_metrics_write(kama_node *node,
                                                       kama_group *group,
                                                       uint32_t format,
                                                       kama_write_fn write,
                                                       void *arg);

#ifdef __cplusplus
}
#endif

#endif
