/* SPDX-License-Identifier: MIT */
/*
 * The log of a node: its clock, and the mutations that have begun on it, in the order of
 * their versions. Each of them was put there under the lock of its key's shard (R1).
 *
 *     ring      | 17 | 18 | 19 | 20 | 21 |        seq of the newest: 21
 *                  ^ oldest         ^ position of a peer's stream
 *     groups    number -> name, store, lost        lost: seq and clock of its newest
 *                                                  mutation that has left the ring
 *
 * The ring has keys and versions, never values: the stream reads the value from the
 * store when it sends the mutation, and sends a Drop if the value is gone or newer.
 * It holds at most KM_SYNC_RING_BYTES and KM_SYNC_RING_MS; the oldest leave, and no
 * acknowledgement is needed to bound it.
 *
 * The clock is a hybrid logical one: 48 bits of milliseconds and 16 bits that count
 * within one. Whoever receives a clock merges it.
 *
 * A life begins when the node has got an id: the ring is empty, and seq is 0, or 1 if
 * something has happened that no stream will ever tell (R12).
 *
 *     version = km_sync_log_append(log, number, asking, &seq);    R1, with the shard's lock
 *     version = km_sync_log_clear(log, number, &seq);    R6 and a CLEAR, in one step
 *     n = km_sync_log_read(log, seq, entries, cap, &buf);   the sync loop
 *
 * Threads: any; one lock, whose rank is above that of the store's shards. Errors:
 * append does not fail, because the memory of the ring (sync/ring.h) is there from the
 * beginning: when it is full, the oldest mutation leaves. Ownership: names are copied,
 * stores are borrowed; entries are copied out. Cost: one lock and two clocks per
 * mutation; 48 bytes and the key.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "store/apply.h"

struct km_sync_log;

/* The kinds of records. The numbers of the first ones are those of the store. */
enum km_sync_kind {
    KM_SYNC_SET = KM_APPLY_SET,
    KM_SYNC_DROP = KM_APPLY_DROP,
    KM_SYNC_DELETE = KM_APPLY_DELETE,
    KM_SYNC_EXPIRE = KM_APPLY_EXPIRE,
    KM_SYNC_CLEAR
};

struct km_sync_log_options {
    const kama_allocator *mem;
    const struct km_clock *clock; /* wall_ms and mono */
    size_t ring_bytes;            /* 0: KM_SYNC_RING_BYTES */
    /* The log has grown and the flag was not raised: raises it and calls this, without
     * the lock of the log, but maybe with that of a shard. km_sync_log_read lowers it. */
    void (*grew)(void *arg);
    void *arg;
};

struct km_sync_log_state {
    uint64_t seq; /* of the newest mutation; 0: there was none */
    uint64_t
        oldest; /* the smallest seq from which the ring is complete: seq + 1 if
                      * it is empty */
    uint64_t hlc;    /* the clock of the node */
    uint64_t newest; /* the clock of the newest mutation: K of this node */
    uint64_t lost;   /* that of the newest mutation that has left; 0: none */
    uint64_t origin;
    size_t bytes; /* that the records in the ring take */
    uint32_t groups;
};

KAMA_NODISCARD kama_status km_sync_log_new(
    const struct km_sync_log_options *options, struct km_sync_log **ret_log);
void km_sync_log_free(struct km_sync_log *log);
/* Changes whom `grew` tells; NULL: nobody. No append may be inside. */
void km_sync_log_set_reader(struct km_sync_log *log, void (*grew)(void *arg),
                            void *arg);

/* Adds a group, and returns its number, or UINT32_MAX without memory or behind
 * KM_GROUPS_MAX groups. */
uint32_t km_sync_log_add(struct km_sync_log *log, const char *name,
                         struct km_store *store);
/* Forgets the store of a group whose making has failed. Its number is not used again. */
void km_sync_log_remove(struct km_sync_log *log, uint32_t number);

/* Begins a life: origin is that of the node's id (the first 8 bytes, big-endian). The
 * ring is emptied, and has lost the first `seq` mutations: 0, 1, or 2 if others count the
 * first one as theirs. */
void km_sync_log_begin(struct km_sync_log *log, uint64_t origin, uint64_t seq);
/* Does the same, and returns in the same step how the life before has ended: each mutation
 * belongs to one of the two. */
void km_sync_log_renew(struct km_sync_log *log, uint64_t origin, uint64_t seq,
                       struct km_sync_log_state *ret_old);
/* The view by which mutations are made from now on. */
void km_sync_log_set_view(struct km_sync_log *log, uint64_t view_id);

/* R1. ret_seq gets the number of the record; it may be NULL. */
struct km_version km_sync_log_append(struct km_sync_log *log, uint32_t number,
                                     const struct km_asking *asking,
                                     uint64_t *ret_seq);
/* Receiving any clock. */
void km_sync_log_merge(struct km_sync_log *log, uint64_t hlc);
/* R6 with a CLEAR record. Returns its version; ret_seq as above. */
struct km_version km_sync_log_clear(struct km_sync_log *log, uint32_t number,
                                    uint64_t *ret_seq);
/* R6 after merging hlc: one group, or all of them (UINT32_MAX). */
void km_sync_log_invalidate(struct km_sync_log *log, uint32_t number,
                            uint64_t hlc);

/* -- reading ------------------------------------------------------------- */

void km_sync_log_get(struct km_sync_log *log, struct km_sync_log_state *ret);
/* Returns K of this node without the lock. */
uint64_t km_sync_log_newest(const struct km_sync_log *log);

struct km_sync_entry {
    uint64_t seq;
    uint64_t hlc;
    uint64_t view_id;
    struct km_version base; /* of an EXPIRE */
    km_ns expires_at;       /* of an EXPIRE; 0: never */
    enum km_sync_kind kind;
    uint32_t number; /* of the group */
    uint32_t key_at; /* in the buffer */
    uint32_t key_len;
};
/* Copies up to cap entries from seq on, and appends their keys to keys; it stops early
 * without memory. Returns how many, and 0 if seq has left the ring or is not there yet. */
size_t km_sync_log_read(struct km_sync_log *log, uint64_t seq,
                        struct km_sync_entry *entries, size_t cap,
                        struct km_buf *keys);
/* Returns when a mutation was appended, by the monotonic clock and in whole
 * milliseconds; 0: it is not in the ring. */
km_ns km_sync_log_time_of(struct km_sync_log *log, uint64_t seq);
/* Returns the number of the group of that name, or UINT32_MAX. */
uint32_t km_sync_log_number(struct km_sync_log *log, const char *name);
/* Returns the name of a group, which stays valid. */
const char *km_sync_log_name(struct km_sync_log *log, uint32_t number);
/* Returns the seq of the newest mutation of the group that has left the ring. */
uint64_t km_sync_log_lost(struct km_sync_log *log, uint32_t number);

/* A record that was looked for. */
struct km_sync_found {
    uint64_t seq;
    struct km_version version;
    enum km_sync_kind kind;
    km_ns
        time; /* when it was appended, by the monotonic clock in milliseconds */
};
/* Looks for the newest record of a key of the group of that name, or for a newer CLEAR of
 * it, in the ring. Returns false if there is no such group; the seq is 0 if there is no
 * such record. For people: O(ring). */
bool km_sync_log_find(struct km_sync_log *log, const char *name, kama_bytes key,
                      struct km_sync_found *ret_found);

/* Asserts the invariants. For tests. */
void km_sync_log_check(struct km_sync_log *log);
