/* SPDX-License-Identifier: MIT */
/*
 * The streams of mutations of a node: a machine that gets messages, views and time, and
 * sends messages and applies records. It has no clock, socket or thread of its own.
 *
 *     log grew, writable, ack  --> sender.c    one stream to each member of any state
 *     message of another node  --> receiver.c  apply, then acknowledge
 *     view noticed, adopted    --> members.c   who is there, and how they have left
 *     mutation waits           --> acks.c      until one member has it, or all have
 *
 * A stream to a member:
 *
 *     DOWN --dial--> HELLO --welcome (applied)--> LIVE --silence, bad order--> DOWN
 *       ^              |  refused: again a second later                          |
 *       +--------------+---------------------------------------------------------+
 *
 * docs/CLUSTER.md has the rules R1 to R14. Each rule is named where its code is, and
 * only there.
 *
 * Threads: one, the sync loop; other threads use origins.h and log.h. Errors:
 * KAMA_ERR_NO_MEMORY from new; later lack of memory closes a stream, which begins anew.
 * Ownership: the log, the origins and the tables are borrowed. Cost: a few hundred bytes for
 * each member, one frame of 64 KiB while it is built, and one value that is received in
 * chunks per stream.
 */
#pragma once

#include "base/timer.h"
#include "group/sync.h"
#include "group/sync_apply.h"
#include "sync/origins.h"

struct km_sync;
struct km_sync_out; /* the stream to a member; the machine's */
struct km_sync_in;  /* a stream from a member; the machine's */

/* How a member has left the view. */
enum km_sync_parting {
    KM_SYNC_PARTED_CLEANLY, /* R11: it has said goodbye, with this final seq */
    KM_SYNC_PARTED_UNCLEANLY
};

/* The network of streams, and time. Functions never call back from inside, except
 * `can_send`'s counterpart km_sync_out_writable, which comes later. */
struct km_sync_env {
    km_ns (*now)(void *arg);
    uint64_t (*wall_ms)(void *arg);
    void (*arm)(void *arg, struct km_timer *timer, km_ns at);
    void (*disarm)(void *arg, struct km_timer *timer);
    /* Begins a stream to an address; messages may be sent at once. It is answered by
     * km_sync_out_message and km_sync_out_closed. *ret_use is whatever the network wants
     * to remember. */
    kama_status (*dial)(void *arg, struct km_sync_out *out, const char *address,
                        void **ret_use);
    /* Sends a message: head, then the bytes of body, of which a reference is taken
     * (NULL: none). KAMA_ERR_*: the stream is closed, and km_sync_out_closed follows. */
    kama_status (*send)(void *arg, void *use, kama_bytes head,
                        kama_value *body);
    /* Returns whether less than 256 KiB wait; if not, km_sync_out_writable follows. */
    bool (*can_send)(void *arg, void *use);
    /* Ends a stream. km_sync_out_closed does not follow. */
    void (*hang_up)(void *arg, void *use);
    /* The other side of a stream that another node has begun: answers it, and ends it
          * with a status, which is KAMA_OK behind a goodbye. After `refuse` nothing more comes
     * from it, and the network frees it (km_sync_in_free) soon, but not from inside. */
    void (*reply)(void *arg, void *in_use, kama_bytes message);
    void (*refuse)(void *arg, void *in_use, kama_status status,
                   const char *text);
    void *arg;
};

/* A group of this node, and its strategy in canonical text, which is equal exactly if two
 * nodes keep the values in the same way. Both live as long as the node. */
struct km_sync_strategy {
    const char *group;
    const char *text;
};

/* The effects of the machine on its node. */
struct km_sync_events {
    /* Returns the group of that name, or NULL. */
    kama_group *(*group)(void *owner, kama_bytes name);
    /* Returns whether the node has an i-th group, and which one that is. The order of the
     * groups does not change. NULL: the strategies are not compared. */
    bool (*strategy)(void *owner, uint32_t i, struct km_sync_strategy *ret);
    /* R14. A member is gone whose last mutations may be missing here: R6 of the groups
     * that must show nothing of which that may be true. why: a sentence. */
    void (*lost_member)(void *owner, uint64_t hlc, const char *why);
    /* R17. Returns whether a member is sent the value of a SET of a key; else it is sent a
     * Drop. NULL: every member is. */
    bool (*gets_value)(void *owner, kama_group *group, kama_bytes key,
                       const struct km_member_id *member);
    /* One structured line. level as in kama_node_event. */
    void (*log)(void *owner, int level, const char *name, const char *address,
                const char *text);
    /* All streams that stand have been flushed, and have got the goodbye (R11). */
    void (*said_goodbye)(void *owner);
    /* A mutation of another node was applied to a group, by its number in the log; and
     * mutations of a group, or of all of them (UINT32_MAX), were missed for good. Both
     * may be NULL. */
    void (*applied)(void *owner, uint32_t number, enum km_sync_kind kind,
                    struct km_version version, kama_bytes key);
    void (*missed)(void *owner, uint32_t number);
};

struct km_sync_options {
    const kama_allocator *mem;
    struct km_sync_env env;
    const struct km_sync_events *events;
    void *owner;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    const char *cluster;
    const char *service;
    int64_t timeout_ms; /* sync_timeout; 0: 2 s */
};

KAMA_NODISCARD kama_status km_sync_new(const struct km_sync_options *options,
                                       struct km_sync **ret_sync);
/* Ends all streams. The network frees those that others have begun. */
void km_sync_close(struct km_sync *sync);
/* Frees a closed machine, whose streams were freed. NULL does nothing. */
void km_sync_free(struct km_sync *sync);

/* R12. The node has an id: its log begins a life with so many mutations that were lost,
 * unless the caller has begun it already (km_sync_log_renew). All streams begin anew. */
void km_sync_set_self(struct km_sync *sync, const struct km_member_id *id,
                      const char *address, uint64_t seq);
/* R10. A view was noticed; streams to new members begin. */
void km_sync_notice(struct km_sync *sync, struct km_view *view);
/* R10. A view is adopted: members that have left are forgotten (R11), or invalidate. */
void km_sync_adopt(struct km_sync *sync, struct km_view *view);
/* R10. A life went by unseen: all groups are invalidated (R6). */
void km_sync_forget(struct km_sync *sync);
/* R3. The node has another group: the streams begin anew, so that both sides compare its
 * strategy. */
void km_sync_regrouped(struct km_sync *sync);
/* The log has grown. */
void km_sync_grew(struct km_sync *sync);
/* R1. Waits for the acknowledgement of a mutation of this node. `done` may run inside. A
 * machine that is closed lists all members. */
void km_sync_await(struct km_sync *sync, struct km_sync_wait *wait);
/* Returns whether the noticed view has other members. */
bool km_sync_has_witnesses(const struct km_sync *sync);
/* R11. Flushes all live streams; their last record is the goodbye. -> said_goodbye,
 * at the latest at `until`. */
void km_sync_say_goodbye(struct km_sync *sync, km_ns until);
/* R15. The process has stood still: all streams say Hello anew. */
void km_sync_woke(struct km_sync *sync);

/* -- from the network ------------------------------------------------------ */

void km_sync_out_message(struct km_sync_out *out, kama_bytes message);
void km_sync_out_writable(struct km_sync_out *out);
void km_sync_out_closed(struct km_sync_out *out, kama_status status,
                        const char *text);

/* A stream of another node has begun. Returns it, or NULL without memory. */
struct km_sync_in *km_sync_in_new(struct km_sync *sync, void *use);
/* A message of it, borrowed until return. The machine may have refused the stream when
 * this returns. */
void km_sync_in_message(struct km_sync_in *in, kama_bytes message);
/* It has ended, or was refused: frees it. */
void km_sync_in_free(struct km_sync_in *in);

/* -- for people: the sync loop --------------------------------------------- */

void km_sync_visit(struct km_sync *sync,
                   void (*cb)(void *arg,
                              const struct km_sync_member_info *info),
                   void *arg);
/* Asserts the invariants. For tests. */
void km_sync_check(const struct km_sync *sync);
