/* SPDX-License-Identifier: MIT */
/* nghttp2's allocator: blocks of the loop, and a quarantine after a failure. */
#include "wire/h2/ng_mem.h"

#include "base/assert.h"
#include "base/mem.h"
#include "wire/h2/block.h"
#include "wire/h2/loop_cache.h"

#include <string.h>

/*
 * Why there is a quarantine.
 *
 * When an allocation fails in the middle of nghttp2, it frees the parts that it
 * had made so far, but some of its structures keep a pointer to that. For
 * instance, when the queue of streams cannot grow:
 *
 *     nghttp2 frees the DATA item; its stream still points to it
 *     nghttp2_session_del frees the stream, and the DATA item a second time
 *
 * So the connection is lost from the first failure on (KM_H2_NO_MEMORY). A
 * block that nghttp2 frees after that is only marked and linked, a second free
 * of it does nothing, and all of them are freed when the session is gone.
 */
static void *ng_result(struct km_h2 *h2, void *p)
{
    if (p == NULL) {
        h2->life = KM_H2_NO_MEMORY;
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
    if (KM_LIKELY(h2->life != KM_H2_NO_MEMORY) || p == NULL) {
        km_h2_loop_cache_release(h2->cache, p);
        return;
    }
    struct km_h2_block *block = km_h2_block_of(p);
    if (block->class != KM_H2_CLASS_QUARANTINED) {
        block->class = KM_H2_CLASS_QUARANTINED;
        block->next = h2->quarantine;
        h2->quarantine = block;
    }
}

void km_h2_ng_mem_flush(struct km_h2 *h2)
{
    struct km_h2_block *block = h2->quarantine;
    h2->quarantine = NULL;
    while (block != NULL) {
        struct km_h2_block *next = block->next;
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

static void *resize_large(struct km_h2_loop_cache *cache,
                          struct km_h2_block *block, size_t size)
{
    if (size > SIZE_MAX - KM_H2_BLOCK_HEADER_BYTES) {
        return NULL;
    }
    block = km_mem_resize(cache->mem, block, size + KM_H2_BLOCK_HEADER_BYTES);
    return block != NULL ? km_h2_block_payload(block) : NULL;
}

static void *ng_realloc(void *p, size_t size, void *arg)
{
    struct km_h2 *h2 = arg;
    if (p == NULL) {
        return ng_malloc(size, arg);
    }
    struct km_h2_block *block = km_h2_block_of(p);
    if (block->class == KM_H2_CLASS_LARGE) {
        /* A large block stays large even when it shrinks, because its size is
         * not kept. */
        return ng_result(h2, resize_large(h2->cache, block, size));
    }
    if (km_h2_block_class(size) <= block->class) {
        return p;
    }
    void *grown = ng_malloc(size, arg);
    if (grown != NULL) {
        memcpy(grown, p, block->class * KM_H2_CLASS_BYTES);
        ng_free(p, arg);
    }
    return grown;
}

nghttp2_mem km_h2_ng_mem(struct km_h2 *h2)
{
    return (nghttp2_mem){.mem_user_data = h2,
                         .malloc = ng_malloc,
                         .free = ng_free,
                         .calloc = ng_calloc,
                         .realloc = ng_realloc};
}
