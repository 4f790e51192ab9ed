/* SPDX-License-Identifier: MIT */
/*
 * The inside of an HTTP/2 connection, shared by the h2 files: h2.c (life and
 * session), h2_recv.c (nghttp2's callbacks for input), h2_send.c (the owner's
 * calls), h2_queue.c (what waits in the streams), h2_linger.c (streams whose
 * answer was sent before the request ended), h2_shared.c (memory, callbacks,
 * options).
 * Thread-safety: loop thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "wire/h2/h2.h"
#include "wire/h2/rate.h"
#include "wire/sniff.h"

#include <nghttp2/nghttp2.h>

/* take stops adding frames here; one more frame always fits behind it. */
#define KM_H2_OUT_BYTES (64u << 10)
#define KM_H2_OUT_CAP (KM_H2_OUT_BYTES + (20u << 10))

/* A header list this large is not even walked: the stream is reset. */
#define KM_H2_HEADER_LIST_BYTES_HARD (64u << 10)

/* One queued message: head bytes behind the struct, then body's. */
struct km_h2_segment {
    struct km_h2_segment *next;
    kama_value *body;
    kama_bytes body_bytes;
    size_t head_bytes;
    size_t taken;
};

struct km_h2_stream_impl {
    struct km_h2_stream pub; /* first */
    struct km_list node;     /* in km_h2.streams */
    struct km_list writable; /* in km_h2.crowded or .writable */
    struct km_list linger;   /* in km_h2.lingering */
    km_ns linger_until;
    uint32_t lingered_bytes; /* read and dropped since the answer was sent */
    struct km_h2_segment *first;
    struct km_h2_segment *last;
    size_t queued_bytes;
    nghttp2_nv *trailers; /* one block with their bytes */
    size_t trailer_count;
    uint32_t header_bytes; /* of the list being received */
    uint8_t empty_data;    /* DATA frames without a byte in a row */
    bool interim;          /* client: the list being received is 1xx */
    bool headers_seen;     /* the first (final) list was complete */
    bool last_data;        /* the last byte of its body has arrived */
    bool remote_ended;
    bool started;     /* headers were submitted */
    bool ended;       /* km_h2_end was called, or headers ended it */
    bool lingers;     /* our end was sent, the other side's has not come */
    bool takes_turns; /* it was large once */
    bool deferred;    /* nghttp2 waits for km_h2_send or km_h2_end */
    bool reset;       /* RST_STREAM was submitted */
    bool reset_seen;  /* RST_STREAM of the other side came */
};

struct km_h2 {
    struct km_session session; /* first */
    nghttp2_session *ng;
    const struct km_clock *clock; /* NULL: now is all there is */
    const struct km_h2_ops *ops;
    void *arg;
    const kama_allocator *mem;
    struct km_h2_loop_cache *cache;
    const char *http1_hint;
    enum km_h2_role role;
    enum km_h2_why why;
    bool settings_seen;  /* the other side's first SETTINGS */
    bool goaway_seen;    /* the other side's GOAWAY */
    bool goaway_sent;    /* ours, the real one, is submitted */
    bool cut_off;        /* the GOAWAY that ends it at once was sent */
    bool foreign;        /* not HTTP/2: nghttp2 is not asked any more */
    bool eof;            /* nothing more comes */
    bool no_memory;      /* nghttp2 got none: it may not be used any more */
    bool data_ends;      /* the DATA frame being received has END_STREAM */
    uint32_t data_left;  /* of its payload; 0 when it is padded */
    km_ns now;           /* as last told */
    km_ns preface_until; /* KM_NS_NEVER once it is in */
    km_ns progress_at;   /* when DATA was last taken, or began to wait */
    struct km_list streams;
    struct km_list crowded;   /* streams that wait for room on the connection */
    struct km_list writable;  /* streams to be notified */
    struct km_list lingering; /* streams in the order of their linger_until */
    unsigned stream_count;
    size_t queued_bytes;           /* of all streams */
    struct km_h2_stream_impl *hot; /* the stream last looked up */
    uint8_t *out;                  /* KM_H2_OUT_CAP, only while in use */
    size_t out_bytes;
    void *quarantine; /* blocks that nghttp2 freed after no_memory */
    struct km_h2_rates rates;
    struct km_h2_sniff sniff;
};

/* Free blocks by size, output buffers, and what nghttp2 wants per session. */
#define KM_H2_CLASS_BYTES 16
#define KM_H2_CLASSES 40
#define KM_H2_OUT_SPARES 2

struct km_h2_loop_cache {
    const kama_allocator *mem;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    size_t cache_bytes_max;
    size_t cache_bytes;
    void *free_blocks[KM_H2_CLASSES];
    uint8_t *outs[KM_H2_OUT_SPARES];
    unsigned out_count;
};

/* Memory of one loop: from the free blocks, else from the allocator. */
void *km_h2_loop_cache_alloc(struct km_h2_loop_cache *cache, size_t size);
void km_h2_loop_cache_release(struct km_h2_loop_cache *cache, void *p);

/* What nghttp2 allocates with, for one connection; after its session was
 * deleted, km_h2_loop_cache_flush. */
nghttp2_mem km_h2_loop_cache_ng_mem(struct km_h2 *h2);
void km_h2_loop_cache_flush(struct km_h2 *h2);

/* An output buffer of KM_H2_OUT_CAP bytes; NULL without memory. */
uint8_t *km_h2_loop_cache_out_get(struct km_h2_loop_cache *cache);
void km_h2_loop_cache_out_put(struct km_h2_loop_cache *cache, uint8_t *out);

/* A kama_status for a result of nghttp2's submit functions. */
kama_status km_h2_status_of(int result);

/* Asks nghttp2 to ask again for the stream's DATA, when it waits. */
kama_status km_h2_queue_resume(struct km_h2_stream_impl *stream);

/* nghttp2's read callback, for a data provider whose source is the stream. */
ssize_t km_h2_queue_read(nghttp2_session *ng, int32_t id, uint8_t *buf,
                         size_t room, uint32_t *data_flags,
                         nghttp2_data_source *source, void *arg);

/* Fields as nghttp2 takes them, borrowing their bytes. */
void km_h2_nv_from_fields(nghttp2_nv *nv, const struct km_h2_field *fields,
                          size_t count);

/* Registers the callbacks of h2_recv.c, h2_queue.c and h2_send.c. */
void km_h2_recv_register(nghttp2_session_callbacks *callbacks);
void km_h2_queue_register(nghttp2_session_callbacks *callbacks);
void km_h2_send_register(nghttp2_session_callbacks *callbacks);

/* A stream in the connection's list, before nghttp2 or the owner know it;
 * NULL without memory. */
struct km_h2_stream_impl *km_h2_stream_impl_new(struct km_h2 *h2, int32_t id);
/* Frees its queue and itself; the owner was told. */
void km_h2_stream_impl_free(struct km_h2_stream_impl *stream);
/* Drops what is queued. */
void km_h2_stream_impl_drop(struct km_h2_stream_impl *stream);

/* The stream of that id, or NULL. */
struct km_h2_stream_impl *km_h2_stream_impl_find(struct km_h2 *h2, int32_t id);

/* Tells the owner of streams that fell below the low-water mark. */
void km_h2_notify_writable(struct km_h2 *h2);

/* Lets a stream linger; its END_STREAM was sent. */
void km_h2_linger_begin(struct km_h2_stream_impl *stream);
/* When the first stream has lingered long enough; KM_NS_NEVER: none lingers. */
km_ns km_h2_linger_until(const struct km_h2 *h2);
/* Resets the streams that have lingered until now. */
void km_h2_linger_end(struct km_h2 *h2);
/* Drops n bytes of the body of a stream that lingers. */
void km_h2_linger_data(struct km_h2_stream_impl *stream, size_t n);

/* Ends the connection with a GOAWAY that carries text. Returns the value that
 * stops nghttp2 when a callback of it returns it. */
int km_h2_end_for(struct km_h2 *h2, enum km_h2_why why, uint32_t error_code,
                  const char *text);

/* Ends a connection that has passed a limit: tells the owner, and the other
 * side, which limit it was. Returns as km_h2_end_for. */
int km_h2_abuse(struct km_h2 *h2, const char *text);
/* The same for the limit of a kind of frames. */
int km_h2_abuse_rate(struct km_h2 *h2, enum km_h2_rate kind);

static inline struct km_h2_stream_impl *km_h2_stream_impl_of(
    struct km_h2_stream *stream)
{
    return (struct km_h2_stream_impl *)(void *)stream;
}
