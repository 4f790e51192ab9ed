/* SPDX-License-Identifier: MIT */
/*
 * Free blocks and output buffers of one loop, and the options and callbacks
 * that all its nghttp2 sessions have in common.
 */
#include "wire/h2/loop_cache.h"

#include "base/assert.h"
#include "base/mem.h"
#include "wire/h2/h2_impl.h"
#include "wire/h2/queue.h"
#include "wire/h2/recv.h"
#include "wire/h2/send.h"

#include <nghttp2/nghttp2.h>

/* -- blocks -------------------------------------------------------------- */

/* A block is as large as its class, so that it can serve any other request of
 * the class later. */
void *km_h2_loop_cache_new_block(struct km_h2_loop_cache *cache, size_t size)
{
    size_t class = km_h2_block_class(size);
    if (class != KM_H2_CLASS_LARGE) {
        size = class * KM_H2_CLASS_BYTES;
    }
    if (size > SIZE_MAX - KM_H2_BLOCK_HEADER_BYTES) {
        return NULL;
    }
    struct km_h2_block *block =
        km_mem_alloc(cache->mem, size + KM_H2_BLOCK_HEADER_BYTES);
    if (block == NULL) {
        return NULL;
    }
    block->class = class;
    return km_h2_block_payload(block);
}

void km_h2_loop_cache_free_block(struct km_h2_loop_cache *cache,
                                 struct km_h2_block *block)
{
    KM_ASSERT(block->class <= KM_H2_CLASS_LARGE);
    km_mem_free(cache->mem, block);
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
    KM_ASSERT(out != NULL && cache->out_count <= KM_H2_OUT_SPARES);
    if (cache->out_count < KM_H2_OUT_SPARES && cache->cache_bytes_max > 0) {
        cache->outs[cache->out_count++] = out;
        return;
    }
    km_mem_free(cache->mem, out);
}

/* -- life ---------------------------------------------------------------- */

static void set_options(nghttp2_option *option)
{
    /* The owner opens the windows, with km_h2_consume. */
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* nghttp2 would count fair resets, too; recv.c judges resets instead. */
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
        struct km_h2_block *block = cache->free_blocks[class];
        while (block != NULL) {
            struct km_h2_block *next = block->next;
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
