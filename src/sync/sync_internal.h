/* SPDX-License-Identifier: MIT */
/*
 * The structures of the machine, for the files of this folder and its tests:
 *
 *     km_sync --> members --> out: the stream to it (sender.c)
 *        |            `-----> in: the stream from it (receiver.c)
 *        |--> ins: all streams that others have begun
 *        `--> pins: values that are being sent in chunks
 *
 * Threads: the sync loop. Errors, ownership and cost: as sync.h says.
 */
#pragma once

#include "base/list.h"
#include "sync/frames.h"
#include "sync/rules.h"
#include "sync/sync.h"

/* So many records are read from the log at a time. */
#define KM_SYNC_READ 128

/* A value that is being sent in chunks, by one stream or by several. */
struct km_sync_pin {
    struct km_list node;
    uint64_t seq;
    kama_value *value;
    unsigned refs;
};

enum km_sync_out_state {
    KM_SYNC_OUT_DOWN,
    KM_SYNC_OUT_HELLO,
    KM_SYNC_OUT_LIVE,
    KM_SYNC_OUT_OVER /* the goodbye was sent */
};

struct km_sync_out {
    struct km_sync_member *member;
    enum km_sync_out_state state;
    void *use; /* the network's */
    struct km_timer timer;
    km_ns pause;    /* before the next dial */
    km_ns dialled;  /* when the Hello was sent */
    km_ns heard;    /* when the member has last shown that it lives */
    km_ns beat;     /* when the last frame or heartbeat was sent */
    uint64_t next;  /* seq of the next mutation to be sent */
    uint64_t clock; /* of the last one that was sent; 0: none in this stream */
    uint64_t acked;
    /* The seq that the member itself has said to have applied. `acked` can be ahead of it:
     * it counts the mutations that a Gap covers before the member has the Gap. */
    uint64_t confirmed;
    uint64_t gap; /* seq of the newest Gap of this stream; 0: there was none */
    uint64_t before_gap; /* the seq that was acknowledged before it */
    bool is_unsynced;
    struct km_sync_named named;
    struct km_sync_pin *pin; /* the value that is being sent in chunks */
    size_t pin_at;           /* so much of it was sent */
    uint64_t pin_clock;
    uint64_t sent;
    uint64_t gaps;
};

/* A group of a stream's sender. */
struct km_sync_in_group {
    char *name; /* NULL: the number was not named */
    kama_group *group;
    uint32_t number; /* in the log of this node; UINT32_MAX: it has none */
};

/* A value that arrives in chunks. */
struct km_sync_in_chunk {
    bool is_open;
    struct km_buf bytes; /* the mutation's key, then the value if it is kept */
    bool is_kept;        /* else the chunks are counted, and it is a Drop */
    struct km_msg_sync_mutation mutation;
    uint32_t group;
    uint64_t clock;
    uint64_t value_bytes;
    uint64_t arrived;
    size_t charged;
};

enum km_sync_in_state {
    KM_SYNC_IN_NEW,
    KM_SYNC_IN_HELD,
    KM_SYNC_IN_LIVE,
    KM_SYNC_IN_OVER
};

struct km_sync_in {
    struct km_list node;
    struct km_sync *sync;
    enum km_sync_in_state state;
    void *use;
    struct km_sync_member *member; /* of a live stream */
    struct km_timer timer;
    struct km_member_id id; /* of the node that has begun it */
    size_t hello_bytes;     /* of the message that has said so */
    km_ns heard;
    km_ns ack_at; /* 0: no acknowledgement is owed */
    bool
        answers_now; /* a caller at the sender waits for a record of this message */
    km_ns replied; /* when the last one was sent */
    uint64_t acked;
    struct km_sync_in_group *groups; /* by number on the wire, minus 1 */
    size_t group_count;
    struct km_sync_in_chunk chunk;
};

struct km_sync_member {
    struct km_list node;
    struct km_sync *sync;
    struct km_member_id id;
    char *address;
    struct km_sync_origin *origin;
    enum km_member_state state; /* when a view had it last */
    bool is_noticed;            /* the noticed view has it */
    uint64_t final_seq;         /* of its record */
    uint64_t final_clock;       /* likewise; 0: the record has no goodbye */
    /* ---- from it ---- */
    struct km_sync_in *in; /* NULL: no stream stands */
    bool is_known;         /* applied is of this life */
    uint64_t applied;
    bool said_goodbye;  /* behind applied, and there is nothing more */
    uint64_t announced; /* the view that it has noticed last */
    uint64_t gates; /* of sync->gates: its stream is behind so many of them */
    km_ns quarantined_until;
    uint64_t received;
    uint64_t duplicates;
    uint64_t gaps;
    km_ns gap_at; /* when the newest one came */
    /* ---- on both sides ---- */
    uint64_t bytes_sent; /* of messages, on both streams */
    uint64_t bytes_received;
    struct km_sync_difference *differences; /* owned */
    uint32_t difference_count;
    uint32_t
        strategy_count; /* groups that it has told of, in the list that counts */
    struct km_sync_named differing; /* the groups of these, in the log */
    /* ---- to it ---- */
    struct km_sync_out out;
};

/* A group of this node. */
struct km_sync_group {
    const char *name;  /* NULL: it was not asked for yet */
    kama_group *group; /* NULL: it is not there, or not there yet */
};

/* The mutations whose callers wait (acks.h). */
struct km_sync_acks {
    uint64_t life;      /* the origin in their versions */
    struct km_list one; /* by seq */
    struct km_list all;
    struct km_unsynced *unknown; /* instead of a list that finds no memory */
};

enum km_sync_stage { KM_SYNC_STAYS, KM_SYNC_LEAVES, KM_SYNC_HAS_LEFT };

struct km_sync {
    const kama_allocator *mem;
    struct km_sync_env env;
    const struct km_sync_events *events;
    void *owner;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    char *cluster;
    char *service;
    km_ns timeout;
    struct km_member_id self; /* none before the node has registered */
    bool has_lived_before;    /* it has registered more than once */
    char address[KM_MEMBER_ADDRESS_BYTES];
    struct km_view *noticed; /* NULL: none yet */
    struct km_view *adopted;
    struct km_list members;
    struct km_list ins;
    struct km_list pins;
    struct km_sync_acks acks;
    size_t others; /* members of the noticed view, without this node */
    uint64_t
        gates; /* how often a member was gone of whom mutations may be missing: the
                     * view gate of R4 */
    size_t large_bytes; /* of pins and of values that arrive in chunks */
    enum km_sync_stage stage;
    bool is_closed;
    struct km_timer goodbye;
    struct km_timer again; /* for the steps that have lacked memory */
    struct km_buf head;    /* the message that is being built */
    struct km_buf keys;
    struct km_sync_entry entries[KM_SYNC_READ];
    struct km_sync_group groups[KM_GROUPS_MAX]; /* by their number in the log */
};

/* -- sync.c: for the other files -------------------------------------------- */

km_ns km_sync_now(const struct km_sync *sync);
/* Arms a timer anew, and disarms it. */
void km_sync_arm(struct km_sync *sync, struct km_timer *timer, km_ns at);
void km_sync_disarm(struct km_sync *sync, struct km_timer *timer);
/* Reads the state of the log. Returns false if its life is another one than the machine
 * knows: a new one was begun, and km_sync_set_self follows. Until then the streams, which
 * are those of the life before, must say nothing about it. */
bool km_sync_get_log(struct km_sync *sync, struct km_sync_log_state *ret);
/* Writes a line about a member. */
void km_sync_say(struct km_sync *sync, int level, const char *address,
                 const char *format, ...) KAMA_PRINTF(4, 5);
/* Returns whether a clock is so far ahead of the wall that it is refused (R2). */
bool km_sync_is_ahead(const struct km_sync *sync, uint64_t clock);
/* Ends the goodbye if no stream is left that has not got it. */
void km_sync_check_goodbye(struct km_sync *sync);
/* Repeats a second later the steps that have lacked memory. */
void km_sync_try_again(struct km_sync *sync);
