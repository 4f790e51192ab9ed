/* SPDX-License-Identifier: MIT */
/*
 * The orderly end of the connections of a server, on all of its loops.
 *
 * A server that simply closed its connections would lose the calls that are
 * running, and those that clients are sending at that moment. So a drain takes
 * steps, and each connection ends by itself when its last call does:
 *
 *     OPEN --start--> NOTICED ----gap----> FINISHING --timeout--> cut
 *                                              |                   |
 *                        no connection is left +-------------------+--> DRAINED
 *
 *     NOTICED    clients were told to begin nothing new (ops->notice)
 *     FINISHING  requests that were on their way have arrived; no new ones are
 *                taken (ops->finish), and no new connections
 *     cut        the calls that still run are ended (ops->cut)
 *
 * While NOTICED, the server still accepts connections and adds them: a proxy
 * that was told to begin nothing new on its connection opens another one before
 * it learns that the server goes away. It gets no answer for that call if it
 * finds nobody. Such a late connection is noticed when the loop is FINISHING,
 * and finished a gap after that, so that it loses nothing either.
 *
 * The gap ends early if no connection was used lately (ops->notice) and none is
 * left: nobody misses an idle server.
 *
 * The owner of a connection embeds a km_drain_entry, adds it when the
 * connection opens and removes it when the connection is gone, or when the
 * drain does not concern it any more. A server may have several drains, each
 * for some of its connections.
 *
 * Threads: init and fini are setup, add and remove run on the loop of the
 * connection, start is for any thread. Errors: KAMA_ERR_NO_MEMORY, from init.
 * Ownership: entries belong to the owners of the connections, and the
 * structures of drain.h to the structure that embeds km_drain. Cost:
 * O(connections) per step.
 */
#pragma once

#include "base/list.h"
#include "net/loop.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>

struct km_drain_entry;

/* Whether a connection has been used lately. */
enum km_drain_use { KM_DRAIN_IDLE, KM_DRAIN_USED };

/* The steps as the owner of a connection takes them, on its loop. */
struct km_drain_ops {
    /* Tells the client to begin nothing new. Returns whether it has used the
     * connection lately. */
    enum km_drain_use (*notice)(struct km_drain_entry *entry);
    /* Takes nothing new; the connection closes after its last call. May run
     * twice. */
    void (*finish)(struct km_drain_entry *entry);
    /* Ends the calls that run and closes soon. Returns how many they were. */
    unsigned (*cut)(struct km_drain_entry *entry);
};

/* One connection. Its owner sets ops and owner before it adds the entry. */
struct km_drain_entry {
    struct km_list node; /* in the entries of its loop */
    const struct km_drain_ops *ops;
    void *owner; /* for ops */
};

/* The steps, in their order. */
enum km_drain_state {
    KM_DRAIN_OPEN,
    KM_DRAIN_NOTICED,
    KM_DRAIN_FINISHING,
    KM_DRAIN_DRAINED
};

struct km_drain;

/* The connections of one loop, and the step that they are in. */
struct km_drain_loop {
    struct km_drain *drain;
    struct km_loop *loop;
    struct km_list entries;
    struct km_list late_entries; /* added while NOTICED */
    enum km_drain_state state;
    struct km_mail notice_mail;
    struct km_mail finish_mail;
    struct km_timer late_timer; /* finishes what came late */
    struct km_timer cut_timer;
    km_ns until; /* the calls that still run are cut off then */
};

/* Runs once, on a loop thread, when no connection is left; `cut` is the number
 * of calls that were cut off. */
typedef void (*km_drained_fn)(void *arg, unsigned cut);

struct km_drain_request {
    int64_t timeout_ms; /* calls that run have this long to end */
    /* Runs on the first loop, before any connection is FINISHING. NULL: the
     * server goes on accepting. */
    void (*stop_accepting)(void *arg);
    void *stop_arg;
    km_drained_fn done;
    void *done_arg;
};

/* The drain of one server, embedded in it. */
struct km_drain {
    struct km_drain_loop *loops; /* one per loop */
    unsigned loop_count;
    const kama_allocator *mem;
    struct km_drain_request request;
    atomic_bool started;
    atomic_bool idle_posted;   /* idle_mail is under way */
    atomic_uint open;          /* connections, on all loops */
    atomic_uint loops_open;    /* that are not NOTICED yet */
    atomic_uint loops_left;    /* that are not DRAINED yet */
    atomic_uint used;          /* connections that were used lately */
    atomic_uint cut;           /* calls that were cut off */
    struct km_mail start_mail; /* to the first loop, as the others */
    struct km_mail gap_mail;   /* every loop is NOTICED */
    struct km_mail idle_mail;  /* no connection is left in the gap */
    struct km_mail done_mail;  /* every loop is DRAINED */
    struct km_timer gap_timer; /* on the first loop */
};

/* mem and loops are borrowed until fini. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_drain_init(struct km_drain *drain,
                                         const kama_allocator *mem,
                                         struct km_loop **loops,
                                         unsigned loop_count);
/* Frees the memory of init, when no entry is left. Does nothing for a zeroed
 * structure that was never initialised. */
void km_drain_fini(struct km_drain *drain);

/* Returns whether the loop with this index still takes new connections, OPEN or
 * NOTICED. */
bool km_drain_accepts(const struct km_drain *drain, unsigned loop_index);

/* Adds a connection of the loop with this index. Returns false if the loop takes
 * no new ones any more: it is FINISHING or DRAINED. */
KAMA_NODISCARD bool km_drain_add(struct km_drain *drain, unsigned loop_index,
                                 struct km_drain_entry *entry);
/* Removes a connection. The last one of a loop that is FINISHING ends its drain.
 * Does nothing for one that is not in the drain; its node is initialised. */
void km_drain_remove(struct km_drain *drain, unsigned loop_index,
                     struct km_drain_entry *entry);

/* Starts the steps on every loop. Only once. */
void km_drain_start(struct km_drain *drain,
                    const struct km_drain_request *request);
