/* SPDX-License-Identifier: MIT */
/*
 * The log of a shard: its records, in two queues of segments. The order of the
 * records in a queue is the order in which they were appended, so that a queue needs
 * no links.
 *
 *     queue 0   [ gone | record | dead | record ] -> [ record | record | free ]
 *                      ^ walk, the oldest record                      ^ append
 *
 *     km_ref ref = km_log_append(log, 0, header);      the caller writes the record
 *     km_log_kill(log, ref);                           it is a hole from now on
 *     ref = km_log_oldest(log, 0);
 *
 * A segment is freed when its last record has died. Holes in between are closed by
 * the sweep: it goes through a queue from the oldest record to the youngest and slides
 * the records together in place, which keeps their order:
 *
 *     before   [ a . b ] [ . . c ] [ d . e ]
 *     after    [ a b c ] [ d e . ]            one segment is free
 *
 * The sweep runs when the holes of a queue pass a tenth of it, some records at a
 * time. Between two steps the log is whole: the space between the last record that
 * was slid and the next one is a gap (record.h).
 *
 * Cost: appending and killing are O(1). Threads: the lock of the shard; km_log_at
 * any thread, if segments are never unmapped (pages.h). Errors: 0 without memory.
 * Ownership: segments are charged to the account; blocks of records belong to the
 * shard.
 */
#pragma once

#include "store/chunks.h"
#include "store/record.h"

#define KM_LOG_QUEUES 2

struct km_segment {
    km_word *base;       /* NULL if the number is free */
    uint32_t used;       /* bytes that were appended */
    uint32_t live;       /* bytes of the records that live */
    uint32_t prev, next; /* in the queue; 0: none */
    uint32_t blocks;     /* records that live and have a block */
    uint8_t queue;
    uint64_t stamp; /* of the log, when the segment was made */
    km_ns
        expires_first; /* no record expires before it; KM_NS_NEVER: none does */
    km_ns expires_last; /* about when the last one of them does */
    uint32_t looked;    /* bytes that a look for expired records is behind */
    bool is_looked_at;  /* such a look has begun (km_log_look) */
};

struct km_log_queue {
    uint32_t oldest, youngest; /* segments; 0: none */
    uint32_t walked;           /* bytes of the oldest segment that are gone */
    uint64_t weight;           /* of the records that live, with their blocks */
    uint64_t count;
    uint64_t live; /* bytes of the records that live */
    uint64_t used; /* bytes of all segments that were appended */
    /* The sweep: records before `to` were slid, and `from` is the next one. */
    uint32_t to_segment, to;
    uint32_t from_segment, from;
    bool sweeping;
};

/* Called when a record moves, between the words of its old place and of its new one.
 * It does the move with km_words_move, and tells the index. */
typedef void (*km_log_move_fn)(void *arg, km_ref from, km_ref to,
                               uint32_t bytes);

struct km_log {
    struct km_chunks bases; /* the first word of each segment */
    struct km_segment *segments;
    uint32_t segment_cap;
    uint32_t free_number; /* the first free number; linked by next */
    uint32_t segment_bytes;
    unsigned offset_bits; /* of a ref: words in the segment */
    uint32_t offset_mask; /* so many ones */
    uint32_t dropped;     /* the first segment that a clear has left */
    uint64_t stamp;       /* for new segments; the policy sets it */
    struct km_log_queue queues[KM_LOG_QUEUES];
    struct km_account *account;
};

/* Makes an empty log. segment_bytes is a power of two. */
void km_log_init(struct km_log *log, struct km_account *account,
                 uint32_t segment_bytes);
/* Frees everything. The shard has given back the blocks. */
void km_log_fini(struct km_log *log);

/* Returns the words of a record. NULL if the segment is not known. */
static inline km_word *km_log_at(const struct km_log *log, km_ref ref)
{
    km_word *base = km_chunks_get(&log->bases, ref >> log->offset_bits);
    return base == NULL ? NULL : base + (ref & log->offset_mask);
}

/* Returns the number of the segment of a record. */
static inline uint32_t km_log_segment_of(const struct km_log *log, km_ref ref)
{
    return ref >> log->offset_bits;
}

/* Returns the number of the queue of a record. */
static inline unsigned km_log_queue_of(const struct km_log *log, km_ref ref)
{
    return log->segments[km_log_segment_of(log, ref)].queue;
}

/* Returns the bytes of all segments of both queues. */
uint64_t km_log_bytes(const struct km_log *log);

/* Returns the number of segments, with those that a clear has left. O(segments). */
uint32_t km_log_segment_count(const struct km_log *log);

/* Returns how many bytes are charged for the tables of segments. */
size_t km_log_table_bytes(const struct km_log *log);

/* Returns whether all numbers of segments are in use. They are enough for 32 GiB of
 * records. */
bool km_log_is_full(const struct km_log *log);

/* Makes room for a record of that header at the end of a queue, and counts it. The
 * caller writes it before it gives up the lock. expires_at: 0 for never. Returns 0
 * without memory for a segment, or without a number. */
km_ref km_log_append(struct km_log *log, unsigned queue, uint64_t header,
                     km_ns expires_at);

/* Makes a hole of a record, which is in no line of the index any more. */
void km_log_kill(struct km_log *log, km_ref ref);

/* Counts the record at ref, which was just overwritten in place, by its new
 * header. */
void km_log_recount(struct km_log *log, km_ref ref, uint64_t old_header,
                    uint64_t header, km_ns expires_at);

/* Returns the oldest record that lives in a queue, or 0. */
km_ref km_log_oldest(struct km_log *log, unsigned queue);

/* Returns the record behind ref that lives in its segment, or 0 at its end. */
km_ref km_log_next(const struct km_log *log, km_ref ref);

/* Returns the first record that lives in a segment, or 0. */
km_ref km_log_first(const struct km_log *log, uint32_t segment);

/* Returns the next record that lives in a segment, and goes on behind it; 0 at the
 * end. A look begins with the segment without a time at which records expire:
 * the caller kills the expired ones, and notes the times of the others. Between two
 * calls records may be appended, killed and moved. */
km_ref km_log_look(struct km_log *log, uint32_t segment);

/* Notes when a record of a segment expires; 0: never. */
void km_log_note_expiry(struct km_log *log, uint32_t segment, km_ns expires_at);

/* Returns whether a queue has holes enough for the sweep. */
bool km_log_wants_sweep(const struct km_log *log, unsigned queue);

/* Slides records of a queue together until about `bytes` were looked at. Returns
 * false if there is nothing more to slide. */
bool km_log_sweep(struct km_log *log, unsigned queue, uint64_t bytes,
                  km_log_move_fn move, void *arg);

/* Takes all segments out of the queues; km_log_drop frees them. O(1). */
void km_log_clear(struct km_log *log);

/* Returns a segment that a clear has left, or 0. Its records with blocks can still be
 * visited by km_log_first and km_log_next. */
static inline uint32_t km_log_dropped(const struct km_log *log)
{
    return log->dropped;
}

/* Makes a hole of a record of such a segment, whose block was given back. */
void km_log_forget(struct km_log *log, km_ref ref);

/* Frees the segment that km_log_dropped has returned. */
void km_log_drop(struct km_log *log);

/* Asserts that counts and sizes of a queue agree. For tests: O(records). */
void km_log_check(const struct km_log *log);
