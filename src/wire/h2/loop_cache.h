/* SPDX-License-Identifier: MIT */
/*
 * The memory, the output buffers, and the callbacks and options of nghttp2 that
 * the connections of one loop share.
 *
 * A call costs nghttp2 some twenty small blocks. They come from lists of free
 * blocks by size, without a lock, and go back there:
 *
 *     free_blocks[1]   block -> block -> block      16 bytes each
 *     free_blocks[2]   block                        32 bytes
 *     ...
 *     larger           the allocator, each time
 *
 * An output buffer is needed only while a connection has something to send, so
 * that an idle one holds none; a few spare ones stay here.
 *
 * Cost: O(1). Threads: the loop's thread, or setup. Errors: running out of
 * memory. Ownership: the cache outlives its connections.
 */
#pragma once

#include "wire/h2/block.h"

#include <kamacache/kamacache.h>
#include <stdint.h>

struct nghttp2_option;
struct nghttp2_session_callbacks;

/* A connection stops collecting frames at KM_H2_OUT_BYTES. One more frame of
 * the largest size always fits behind them. */
#define KM_H2_OUT_BYTES (64u << 10)
#define KM_H2_OUT_CAP (KM_H2_OUT_BYTES + (20u << 10))

/* How many spare output buffers are kept. */
#define KM_H2_OUT_SPARES 2

struct km_h2_loop_cache {
    const kama_allocator *mem;
    struct nghttp2_session_callbacks *callbacks;
    struct nghttp2_option *option;
    size_t cache_bytes_max;
    size_t cache_bytes; /* of the free blocks, headers included */
    struct km_h2_block *free_blocks[KM_H2_CLASSES];
    uint8_t *outs[KM_H2_OUT_SPARES];
    unsigned out_count;
};

/* Makes a cache that keeps at most cache_bytes of free blocks. With 0 it keeps
 * none, and every allocation reaches mem, as tests want it. */
KAMA_NODISCARD kama_status
km_h2_loop_cache_new(const kama_allocator *mem, size_t cache_bytes,
                     struct km_h2_loop_cache **ret_cache);

/* Frees the cache, after its last connection. Passing NULL does nothing. */
void km_h2_loop_cache_free(struct km_h2_loop_cache *cache);

/* Returns memory for size bytes from the allocator, or NULL. */
void *km_h2_loop_cache_new_block(struct km_h2_loop_cache *cache, size_t size);

/* Gives a block back to the allocator. */
void km_h2_loop_cache_free_block(struct km_h2_loop_cache *cache,
                                 struct km_h2_block *block);

/* Returns size bytes that are not zeroed, or NULL. This and the next function
 * run twenty times for each call, so the usual way through them is inline. */
static inline void *km_h2_loop_cache_alloc(struct km_h2_loop_cache *cache,
                                           size_t size)
{
    size_t class = km_h2_block_class(size);
    if (class == KM_H2_CLASS_LARGE || cache->free_blocks[class] == NULL) {
        return km_h2_loop_cache_new_block(cache, size);
    }
    struct km_h2_block *block = cache->free_blocks[class];
    cache->free_blocks[class] = block->next;
    cache->cache_bytes -= km_h2_block_bytes(class);
    return km_h2_block_payload(block);
}

/* Gives back memory of km_h2_loop_cache_alloc. Passing NULL does nothing. */
static inline void km_h2_loop_cache_release(struct km_h2_loop_cache *cache,
                                            void *p)
{
    if (p == NULL) {
        return;
    }
    struct km_h2_block *block = km_h2_block_of(p);
    size_t bytes = km_h2_block_bytes(block->class);
    if (block->class >= KM_H2_CLASS_LARGE ||
        cache->cache_bytes + bytes > cache->cache_bytes_max) {
        km_h2_loop_cache_free_block(cache, block);
        return;
    }
    block->next = cache->free_blocks[block->class];
    cache->free_blocks[block->class] = block;
    cache->cache_bytes += bytes;
}

/* Returns an output buffer of KM_H2_OUT_CAP bytes, or NULL. */
uint8_t *km_h2_loop_cache_out_get(struct km_h2_loop_cache *cache);

/* Gives an output buffer back. */
void km_h2_loop_cache_out_put(struct km_h2_loop_cache *cache, uint8_t *out);
