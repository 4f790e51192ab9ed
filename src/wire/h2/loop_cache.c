/* SPDX-License-Identifier: MIT */
/*
 * What the connections of one loop share. A call costs nghttp2 some twenty
 * small blocks; they come from lists of free blocks by size (16-byte steps),
 * without a lock, and go back there. Each block has a header of 16 bytes with
 * its class; larger blocks pass through to the allocator.
 */
#include "wire/h2/internal.h"

#include "base/assert.h"

#define BLOCK_HEADER_BYTES 16
#define CLASS_LARGE KM_H2_CLASSES

struct block {
    size_t class;
    struct block *next; /* while free */
};
_Static_assert(sizeof(struct block) <= BLOCK_HEADER_BYTES, "block header");

static size_t class_of(size_t size)
{
    size_t class = (size + KM_H2_CLASS_BYTES - 1) / KM_H2_CLASS_BYTES;
    return class < KM_H2_CLASSES ? class : CLASS_LARGE;
}

static struct block *block_of(void *p)
{
    return (struct block *)(void *)((char *)p - BLOCK_HEADER_BYTES);
}

static void *block_payload(struct block *block)
{
    return (char *)block + BLOCK_HEADER_BYTES;
}

void *km_h2_loop_cache_alloc(struct km_h2_loop_cache *cache, size_t size)
{
    size_t class = class_of(size);
    if (class != CLASS_LARGE) {
        size = class * KM_H2_CLASS_BYTES;
        struct block *block = cache->free_blocks[class];
        if (block != NULL) {
            cache->free_blocks[class] = block->next;
            cache->cache_bytes -= size + BLOCK_HEADER_BYTES;
            return block_payload(block);
        }
    }
    if (size > SIZE_MAX - BLOCK_HEADER_BYTES) {
        return NULL;
    }
    struct block *block = km_mem_alloc(cache->mem, size + BLOCK_HEADER_BYTES);
    if (block == NULL) {
        return NULL;
    }
    block->class = class;
    return block_payload(block);
}

void km_h2_loop_cache_release(struct km_h2_loop_cache *cache, void *p)
{
    if (p == NULL) {
        return;
    }
    struct block *block = block_of(p);
    size_t bytes = block->class * KM_H2_CLASS_BYTES + BLOCK_HEADER_BYTES;
    if (block->class == CLASS_LARGE ||
        cache->cache_bytes + bytes > cache->cache_bytes_max) {
        km_mem_free(cache->mem, block);
        return;
    }
    block->next = cache->free_blocks[block->class];
    cache->free_blocks[block->class] = block;
    cache->cache_bytes += bytes;
}

/* -- nghttp2_mem --------------------------------------------------------- */

/*
 * When an allocation fails in the middle of nghttp2, some of its structures
 * keep a pointer to what its unwinding frees (a stream to its DATA item, when
 * the queue of streams cannot grow), and nghttp2_session_del frees that again.
 * So from the first failure on a connection is lost, and what nghttp2 frees
 * stays allocated, marked, until its session is gone.
 */
#define CLASS_QUARANTINED SIZE_MAX

static void *ng_result(struct km_h2 *h2, void *p)
{
    if (p == NULL) {
        h2->no_memory = true;
    }
    return p;
}

static void *ng_malloc(size_t size, void *arg)
{
    struct km_h2 *h2 = arg;
    return ng_result(h2, km_h2_loop_cache_alloc(h2->cache, size));
}

static void ng_free(void *p, void *arg)
{
    struct km_h2 *h2 = arg;
    if (KM_LIKELY(!h2->no_memory) || p == NULL) {
        km_h2_loop_cache_release(h2->cache, p);
        return;
    }
    struct block *block = block_of(p);
    if (block->class != CLASS_QUARANTINED) {
        block->class = CLASS_QUARANTINED;
        block->next = h2->quarantine;
        h2->quarantine = block;
    }
}

void km_h2_loop_cache_flush(struct km_h2 *h2)
{
    struct block *block = h2->quarantine;
    h2->quarantine = NULL;
    while (block != NULL) {
        struct block *next = block->next;
        km_mem_free(h2->cache->mem, block);
        block = next;
    }
}

static void *ng_calloc(size_t count, size_t size, void *arg)
{
    struct km_h2 *h2 = arg;
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    void *p = km_h2_loop_cache_alloc(h2->cache, total);
    if (p != NULL) {
        memset(p, 0, total);
    }
    return ng_result(h2, p);
}

static void *resize_large(struct km_h2_loop_cache *cache, struct block *block,
                          size_t size)
{
    if (size > SIZE_MAX - BLOCK_HEADER_BYTES) {
        return NULL;
    }
    block = km_mem_resize(cache->mem, block, size + BLOCK_HEADER_BYTES);
    return block != NULL ? block_payload(block) : NULL;
}

static void *ng_realloc(void *p, size_t size, void *arg)
{
    struct km_h2 *h2 = arg;
    if (p == NULL) {
        return ng_malloc(size, arg);
    }
    struct block *block = block_of(p);
    if (block->class == CLASS_LARGE) {
        /* It stays large even when it shrinks: its size is not kept. */
        return ng_result(h2, resize_large(h2->cache, block, size));
    }
    if (class_of(size) <= block->class) {
        return p;
    }
    void *grown = ng_malloc(size, arg);
    if (grown != NULL) {
        memcpy(grown, p, block->class * KM_H2_CLASS_BYTES);
        ng_free(p, arg);
    }
    return grown;
}

nghttp2_mem km_h2_loop_cache_ng_mem(struct km_h2 *h2)
{
    return (nghttp2_mem){.mem_user_data = h2,
                         .malloc = ng_malloc,
                         .free = ng_free,
                         .calloc = ng_calloc,
                         .realloc = ng_realloc};
}

/* -- output buffers ------------------------------------------------------ */

uint8_t *km_h2_loop_cache_out_get(struct km_h2_loop_cache *cache)
{
    if (cache->out_count > 0) {
        return cache->outs[--cache->out_count];
    }
    return km_mem_alloc(cache->mem, KM_H2_OUT_CAP);
}

void km_h2_loop_cache_out_put(struct km_h2_loop_cache *cache, uint8_t *out)
{
    if (cache->out_count < KM_H2_OUT_SPARES && cache->cache_bytes_max > 0) {
        cache->outs[cache->out_count++] = out;
        return;
    }
    km_mem_free(cache->mem, out);
}

/* -- life ---------------------------------------------------------------- */

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* nghttp2 counts every reset, fair ones too: h2_recv.c judges instead. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_outbound_ack(option, 1000);
    nghttp2_option_set_max_settings(option, 32);
    nghttp2_option_set_max_continuations(option, 8);
    nghttp2_option_set_max_reserved_remote_streams(option, 0);
}

kama_status km_h2_loop_cache_new(const kama_allocator *mem, size_t cache_bytes,
                                 struct km_h2_loop_cache **ret_cache)
{
    mem = km_mem_or_default(mem);
    struct km_h2_loop_cache *cache = km_mem_zalloc(mem, 1, sizeof *cache);
    if (cache == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    cache->mem = mem;
    cache->cache_bytes_max = cache_bytes;
    if (nghttp2_session_callbacks_new(&cache->callbacks) != 0 ||
        nghttp2_option_new(&cache->option) != 0) {
        km_h2_loop_cache_free(cache);
        return KAMA_ERR_NO_MEMORY;
    }
    set_options(cache->option);
    km_h2_recv_register(cache->callbacks);
    km_h2_queue_register(cache->callbacks);
    km_h2_send_register(cache->callbacks);
    *ret_cache = cache;
    return KAMA_OK;
}

void km_h2_loop_cache_free(struct km_h2_loop_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t class = 0; class < KM_H2_CLASSES; class ++) {
        struct block *block = cache->free_blocks[class];
        while (block != NULL) {
            struct block *next = block->next;
            km_mem_free(cache->mem, block);
            block = next;
        }
    }
    while (cache->out_count > 0) {
        km_mem_free(cache->mem, cache->outs[--cache->out_count]);
    }
    nghttp2_session_callbacks_del(cache->callbacks);
    if (cache->option != NULL) {
        nghttp2_option_del(cache->option);
    }
    km_mem_free(cache->mem, cache);
}
