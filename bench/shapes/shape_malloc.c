/* SPDX-License-Identifier: MIT */
/*
 * A block of malloc for each item, as release 0.1 had it: 36 bytes of header with the
 * links of the queue and a counter of references, and an index with addresses of 48
 * bits. It counts its use as the sum of the blocks, as malloc rounds them.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/list.h"
#include "index.h"
#include "shape.h"

#include <malloc.h>
#include <stdlib.h>

#define MALLOC_HEADER 8u
#define TAKEN_MAX 1024u

struct item {
    void *account; /* has its place: whom to give the bytes back */
    struct km_list link;
    uint32_t refs; /* has its place: a caller could hold the item */
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t freq;
    uint8_t flags; /* has its place */
    uint8_t data[];
};
#define ITEM_HEAD offsetof(struct item, data)

struct heap {
    struct shape_options options;
    struct shape_index index;
    struct km_list queue; /* the oldest item first */
    uint64_t blocks_bytes;
    uint64_t payload;
    void *taken[TAKEN_MAX];
    unsigned taken_count;
};

static struct item *item_of(uint64_t ref)
{
    return (void *)(uintptr_t)ref;
}

static uint64_t block_bytes(void *block)
{
    return malloc_usable_size(block) + MALLOC_HEADER;
}

static uint64_t used_bytes(const struct heap *heap)
{
    return heap->blocks_bytes + shape_index_bytes(&heap->index);
}

static void remove_item(struct heap *heap, const struct shape_place *place)
{
    struct item *item = item_of(place->ref);
    shape_index_remove(&heap->index, place);
    heap->payload -= item->key_bytes + UINT64_C(1) * item->value_bytes;
    heap->blocks_bytes -= block_bytes(item);
    km_list_remove(&item->link);
    free(item);
}

/* Goes past the oldest item, which leaves or begins another round. */
static void walk(struct heap *heap)
{
    KM_ASSERT(!km_list_empty(&heap->queue));
    struct item *item = KM_CONTAINER_OF(heap->queue.next, struct item, link);
    if (item->freq > 0) {
        item->freq = 0;
        km_list_remove(&item->link);
        km_list_push_back(&heap->queue, &item->link);
        return;
    }
    struct shape_place place =
        shape_index_find_ref(&heap->index, (uintptr_t)item);
    remove_item(heap, &place);
}

static void make_room(struct heap *heap, size_t bytes)
{
    while (used_bytes(heap) + bytes > heap->options.max_bytes) {
        walk(heap);
    }
}

/* -- the shape --------------------------------------------------------------- */

static void *heap_open(const struct shape_options *options)
{
    struct heap *heap = calloc(1, sizeof *heap);
    KM_ASSERT(heap != NULL);
    heap->options = *options;
    shape_index_init(&heap->index, SHAPE_WIDE);
    heap->index.key_offset = ITEM_HEAD;
    km_list_init(&heap->queue);
    return heap;
}

static void heap_close(void *shape)
{
    struct heap *heap = shape;
    struct km_list *link = heap->queue.next;
    while (link != &heap->queue) {
        struct item *item = KM_CONTAINER_OF(link, struct item, link);
        link = link->next;
        free(item);
    }
    for (unsigned i = 0; i < heap->taken_count; i++) {
        free(heap->taken[i]);
    }
    shape_index_fini(&heap->index);
    free(heap);
}

static size_t heap_get(void *shape, const uint8_t *key, uint8_t *out)
{
    struct heap *heap = shape;
    struct shape_place place =
        shape_index_find(&heap->index, shape_index_hash(key), key);
    if (place.ref == 0) {
        return 0;
    }
    struct item *item = item_of(place.ref);
    memcpy(out, item->data + BENCH_KEY_BYTES, item->value_bytes);
    if (item->freq == 0) {
        item->freq = 1;
    }
    return item->value_bytes;
}

static struct item *new_item(const struct shape_item *contents)
{
    struct item *item =
        malloc(ITEM_HEAD + BENCH_KEY_BYTES + contents->value_bytes);
    KM_ASSERT(item != NULL);
    *item = (struct item){.refs = 1,
                          .value_bytes = contents->value_bytes,
                          .key_bytes = BENCH_KEY_BYTES};
    memcpy(item->data, contents->key, BENCH_KEY_BYTES);
    memcpy(item->data + BENCH_KEY_BYTES, contents->value,
           contents->value_bytes);
    return item;
}

static void heap_set(void *shape, const struct shape_item *contents)
{
    struct heap *heap = shape;
    uint64_t hash = shape_index_hash(contents->key);
    struct item *item = new_item(contents);
    struct shape_place place =
        shape_index_find(&heap->index, hash, contents->key);
    if (place.ref != 0) {
        remove_item(heap, &place);
    }
    make_room(heap, block_bytes(item));
    km_list_push_back(&heap->queue, &item->link);
    heap->blocks_bytes += block_bytes(item);
    heap->payload += item->key_bytes + UINT64_C(1) * item->value_bytes;
    shape_index_add(&heap->index, hash, (uintptr_t)item);
}

/* The blocks that are freed do not lie together, so malloc takes the room from
 * elsewhere. */
static void heap_take(void *shape, size_t bytes)
{
    struct heap *heap = shape;
    KM_ASSERT(heap->taken_count < TAKEN_MAX);
    make_room(heap, bytes);
    void *taken = malloc(bytes);
    KM_ASSERT(taken != NULL);
    memset(taken, 1, bytes);
    heap->taken[heap->taken_count++] = taken;
    heap->blocks_bytes += block_bytes(taken);
}

static void heap_count(void *shape, struct shape_counts *ret)
{
    const struct heap *heap = shape;
    *ret = (struct shape_counts){.entries = heap->index.entry_count,
                                 .payload = heap->payload,
                                 .used = used_bytes(heap)};
}

const struct shape_ops shape_malloc = {.name = "malloc",
                                       .open = heap_open,
                                       .close = heap_close,
                                       .get = heap_get,
                                       .set = heap_set,
                                       .take = heap_take,
                                       .count = heap_count};
