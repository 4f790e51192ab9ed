/* SPDX-License-Identifier: MIT */
/*
 * Slabs: pages of 16 KiB, each with slots of one class. A class is 1.12 times as large
 * as the one before it. Items do not move when others leave, so the queue is an array of
 * references, in pages as well, and each item knows its place in it:
 *
 *     item    value_bytes | key_bytes | class | - | place in the queue | key | value
 *     queue   [ ref | 0 | ref | ... ] -> [ ref | ref | free ]
 *
 * A value of another class gets another slot, and keeps its place in the queue. If the
 * class has no free slot and the bound no room for a page, the oldest items leave until
 * one of them was of the class; after EVICTIONS_MAX of them a page of another class is
 * emptied. To empty a page, its items are copied to free slots of the same class, and
 * the index and the queue learn the new places.
 */
#include "base/assert.h"
#include "index.h"
#include "region.h"
#include "shape.h"

#include <stdlib.h>

#define PAGE_BYTES ((size_t)16 << 10)
#define PAGES_MAX (SHAPE_REGION_BYTES / PAGE_BYTES)
#define SLOT_MIN 40u
#define SLOT_MAX 4096u
#define GROWTH 1.12
#define CLASSES_MAX 64u
#define EVICTIONS_MAX 256u
/* Of so many pages with free slots, the emptiest one is chosen. */
#define PAGES_LOOKED_AT 32u
#define QUEUE_REFS ((uint32_t)(PAGE_BYTES / sizeof(uint32_t)))

struct item {
    uint32_t value_bytes;
    uint16_t key_bytes; /* 0: a free slot, whose first word is the next one */
    uint8_t class_number;
    uint8_t unused; /* has its place for flags */
    uint32_t place;
    uint8_t data[];
};
#define ITEM_HEAD offsetof(struct item, data)

/* A page with free slots is in the list of its class. */
struct page {
    uint32_t prev, next;
    uint16_t class_number;
    uint16_t live;
    uint16_t first_free; /* 1 + the number of a slot; 0: none */
};

struct class
{
    uint32_t slot_bytes;
    uint32_t slots; /* of a page */
    uint32_t pages; /* the first page with free slots; 0: none */
    uint64_t free_slots;
};

struct slabs {
    struct shape_options options;
    struct shape_region region;
    struct shape_index index;
    struct class classes[CLASSES_MAX];
    unsigned class_count;
    uint8_t class_of[SLOT_MAX / 8 + 1]; /* by the words of an item */
    struct page *pages;                 /* by the number of the block */
    uint32_t head, tail;                /* places in the queue */
    uint32_t *queue_pages; /* for each page of the queue, the one behind it */
    uint64_t payload, moved;
};

static struct item *item_of(const struct slabs *slabs, uint64_t ref)
{
    return (void *)(slabs->region.base + ref * 8);
}

static uint32_t ref_of(const struct slabs *slabs, const struct item *item)
{
    return (uint32_t)((const uint8_t *)item - slabs->region.base) / 8;
}

static uint64_t payload_of(const struct item *item)
{
    return item->key_bytes + (uint64_t)item->value_bytes;
}

/* -- the queue --------------------------------------------------------------- */

/* Returns the reference that has this place in the queue. A place is the address of a
 * reference, counted in references. */
static uint32_t *queue_at(const struct slabs *slabs, uint32_t place)
{
    return (uint32_t *)(void *)slabs->region.base + place;
}

static uint32_t add_queue_page(struct slabs *slabs)
{
    uint8_t *block = shape_region_take(&slabs->region);
    return shape_region_number(&slabs->region, block) * QUEUE_REFS;
}

static uint32_t queue_append(struct slabs *slabs, uint32_t ref)
{
    uint32_t place = slabs->tail++;
    *queue_at(slabs, place) = ref;
    if (slabs->tail % QUEUE_REFS == 0) {
        slabs->tail = add_queue_page(slabs);
        slabs->queue_pages[place / QUEUE_REFS] = slabs->tail;
    }
    return place;
}

/* Takes the oldest reference out of the queue. */
static uint32_t queue_shift(struct slabs *slabs)
{
    KM_ASSERT(slabs->head != slabs->tail);
    uint32_t page = slabs->head / QUEUE_REFS;
    uint32_t ref = *queue_at(slabs, slabs->head++);
    if (slabs->head % QUEUE_REFS == 0) {
        slabs->head = slabs->queue_pages[page];
        shape_region_give(&slabs->region,
                          shape_region_block(&slabs->region, page));
    }
    return ref;
}

/* -- pages and slots --------------------------------------------------------- */

static struct item *slot_at(const struct slabs *slabs, uint32_t page,
                            uint32_t slot)
{
    const struct class *c = &slabs->classes[slabs->pages[page].class_number];
    return (void *)(shape_region_block(&slabs->region, page) +
                    (size_t)slot * c->slot_bytes);
}

static void list_page(struct slabs *slabs, struct class *c, uint32_t number)
{
    slabs->pages[number].prev = 0;
    slabs->pages[number].next = c->pages;
    if (c->pages != 0) {
        slabs->pages[c->pages].prev = number;
    }
    c->pages = number;
}

static void unlist_page(struct slabs *slabs, struct class *c, uint32_t number)
{
    const struct page *p = &slabs->pages[number];
    if (p->prev != 0) {
        slabs->pages[p->prev].next = p->next;
    } else {
        c->pages = p->next;
    }
    if (p->next != 0) {
        slabs->pages[p->next].prev = p->prev;
    }
}

static void put_free(struct slabs *slabs, uint32_t number, struct item *slot)
{
    struct page *p = &slabs->pages[number];
    const struct class *c = &slabs->classes[p->class_number];
    const uint8_t *block = shape_region_block(&slabs->region, number);
    slot->key_bytes = 0;
    slot->value_bytes = p->first_free;
    p->first_free =
        (uint16_t)((size_t)((uint8_t *)slot - block) / c->slot_bytes + 1);
}

static void add_page(struct slabs *slabs, unsigned class_number)
{
    struct class *c = &slabs->classes[class_number];
    uint8_t *block = shape_region_take(&slabs->region);
    uint32_t number = shape_region_number(&slabs->region, block);
    slabs->pages[number] =
        (struct page){.class_number = (uint16_t)class_number};
    for (uint32_t i = c->slots; i-- > 0;) {
        put_free(slabs, number, slot_at(slabs, number, i));
    }
    c->free_slots += c->slots;
    list_page(slabs, c, number);
}

/* Frees a page without items, which is in no list. */
static void free_page(struct slabs *slabs, uint32_t number)
{
    struct class *c = &slabs->classes[slabs->pages[number].class_number];
    c->free_slots -= c->slots;
    shape_region_give(&slabs->region,
                      shape_region_block(&slabs->region, number));
}

/* Takes a slot of a class that has a free one. */
static struct item *take_slot(struct slabs *slabs, unsigned class_number)
{
    struct class *c = &slabs->classes[class_number];
    uint32_t number = c->pages;
    struct page *p = &slabs->pages[number];
    struct item *slot = slot_at(slabs, number, p->first_free - 1u);
    p->first_free = (uint16_t)slot->value_bytes;
    p->live++;
    c->free_slots--;
    if (p->first_free == 0) {
        unlist_page(slabs, c, number);
    }
    slot->class_number = (uint8_t)class_number;
    return slot;
}

static void give_slot(struct slabs *slabs, struct item *slot)
{
    uint32_t number = shape_region_number(&slabs->region, slot);
    struct page *p = &slabs->pages[number];
    struct class *c = &slabs->classes[p->class_number];
    if (p->first_free == 0) {
        list_page(slabs, c, number);
    }
    put_free(slabs, number, slot);
    p->live--;
    c->free_slots++;
    if (p->live == 0) {
        unlist_page(slabs, c, number);
        free_page(slabs, number);
    }
}

/* -- eviction ---------------------------------------------------------------- */

/* Goes past the oldest item, which leaves or begins another round. */
static void walk(struct slabs *slabs)
{
    uint32_t ref = queue_shift(slabs);
    if (ref == 0) {
        return;
    }
    struct item *item = item_of(slabs, ref);
    struct shape_place place = shape_index_find_ref(&slabs->index, ref);
    if (shape_place_freq(&place) > 0) {
        shape_place_set_freq(&place, 0);
        item->place = queue_append(slabs, ref);
        return;
    }
    slabs->payload -= payload_of(item);
    shape_index_remove(&slabs->index, &place);
    give_slot(slabs, item);
}

/* Copies an item to another slot of its class. */
static void move_item(struct slabs *slabs, struct item *item)
{
    const struct class *c = &slabs->classes[item->class_number];
    struct shape_place place =
        shape_index_find_ref(&slabs->index, ref_of(slabs, item));
    struct item *to = take_slot(slabs, item->class_number);
    memcpy(to, item, c->slot_bytes);
    shape_index_move(&slabs->index, &place, ref_of(slabs, to));
    *queue_at(slabs, to->place) = ref_of(slabs, to);
    slabs->moved += c->slot_bytes;
}

/* Moves all items of a page to other pages of its class, which have room for
 * them. */
static void empty_page(struct slabs *slabs, uint32_t number)
{
    struct page *p = &slabs->pages[number];
    struct class *c = &slabs->classes[p->class_number];
    unlist_page(slabs, c, number);
    for (uint32_t i = 0; i < c->slots; i++) {
        struct item *item = slot_at(slabs, number, i);
        if (item->key_bytes != 0) {
            move_item(slabs, item);
            c->free_slots++;
        }
    }
    free_page(slabs, number);
}

static uint32_t emptiest_page(const struct slabs *slabs, const struct class *c)
{
    uint32_t best = c->pages;
    uint32_t number = c->pages;
    for (unsigned i = 0; i < PAGES_LOOKED_AT && number != 0; i++) {
        best =
            slabs->pages[number].live < slabs->pages[best].live ? number : best;
        number = slabs->pages[number].next;
    }
    return best;
}

/* Empties a page of the class with the most free bytes, if its other pages have room for
 * the items. Returns whether they had. */
static bool empty_some_page(struct slabs *slabs)
{
    const struct class *best = &slabs->classes[0];
    for (unsigned i = 1; i < slabs->class_count; i++) {
        const struct class *c = &slabs->classes[i];
        best =
            c->free_slots * c->slot_bytes > best->free_slots * best->slot_bytes
                ? c
                : best;
    }
    if (best->free_slots < best->slots) {
        return false;
    }
    empty_page(slabs, emptiest_page(slabs, best));
    return true;
}

static bool has_room(const struct slabs *slabs, size_t bytes)
{
    return shape_region_taken(&slabs->region) +
               shape_index_bytes(&slabs->index) + bytes <=
           slabs->options.max_bytes;
}

/* Makes a free slot of the class. */
static void make_slot(struct slabs *slabs, unsigned class_number)
{
    const struct class *c = &slabs->classes[class_number];
    for (unsigned i = 0; c->free_slots == 0; i++) {
        if (has_room(slabs, PAGE_BYTES)) {
            add_page(slabs, class_number);
        } else if (i < EVICTIONS_MAX || !empty_some_page(slabs)) {
            walk(slabs);
        }
    }
    shape_region_trim(&slabs->region, 1);
}

/* -- the shape --------------------------------------------------------------- */

static void make_classes(struct slabs *slabs)
{
    uint32_t words = 0;
    for (double bytes = SLOT_MIN; bytes <= SLOT_MAX; bytes *= GROWTH) {
        uint32_t slot_bytes = ((uint32_t)bytes + 7) & ~7u;
        KM_ASSERT(slabs->class_count < CLASSES_MAX);
        for (; words <= slot_bytes / 8; words++) {
            slabs->class_of[words] = (uint8_t)slabs->class_count;
        }
        slabs->classes[slabs->class_count++] =
            (struct class){.slot_bytes = slot_bytes,
                           .slots = (uint32_t)PAGE_BYTES / slot_bytes};
        bytes = slot_bytes;
    }
}

static unsigned class_of(const struct slabs *slabs, uint32_t value_bytes)
{
    size_t words = (ITEM_HEAD + BENCH_KEY_BYTES + value_bytes + 7) / 8;
    KM_ASSERT(words < sizeof slabs->class_of);
    return slabs->class_of[words];
}

static void *slabs_open(const struct shape_options *options)
{
    struct slabs *slabs = calloc(1, sizeof *slabs);
    KM_ASSERT(slabs != NULL);
    slabs->options = *options;
    shape_region_init(&slabs->region, PAGE_BYTES);
    shape_index_init(&slabs->index, SHAPE_NARROW);
    slabs->index.base = slabs->region.base;
    slabs->index.shift = 3;
    slabs->index.key_offset = ITEM_HEAD;
    slabs->pages = shape_map(PAGES_MAX * sizeof *slabs->pages);
    slabs->queue_pages = shape_map(PAGES_MAX * sizeof *slabs->queue_pages);
    slabs->head = slabs->tail = add_queue_page(slabs);
    make_classes(slabs);
    return slabs;
}

static void slabs_close(void *shape)
{
    struct slabs *slabs = shape;
    shape_region_fini(&slabs->region);
    shape_index_fini(&slabs->index);
    shape_unmap(slabs->pages, PAGES_MAX * sizeof *slabs->pages);
    shape_unmap(slabs->queue_pages, PAGES_MAX * sizeof *slabs->queue_pages);
    free(slabs);
}

static size_t slabs_get(void *shape, const uint8_t *key, uint8_t *out)
{
    struct slabs *slabs = shape;
    struct shape_place place =
        shape_index_find(&slabs->index, shape_index_hash(key), key);
    if (place.ref == 0) {
        return 0;
    }
    const struct item *item = item_of(slabs, place.ref);
    memcpy(out, item->data + BENCH_KEY_BYTES, item->value_bytes);
    shape_place_touch(&place);
    return item->value_bytes;
}

static void write_item(struct slabs *slabs, struct item *slot,
                       const struct shape_item *item)
{
    slot->value_bytes = item->value_bytes;
    slot->key_bytes = BENCH_KEY_BYTES;
    memcpy(slot->data, item->key, BENCH_KEY_BYTES);
    memcpy(slot->data + BENCH_KEY_BYTES, item->value, item->value_bytes);
    slabs->payload += payload_of(slot);
}

/* Puts the item at `place` into a slot of another class. */
static void replace(struct slabs *slabs, const struct shape_place *place,
                    struct item *slot)
{
    struct item *old = item_of(slabs, place->ref);
    slot->place = old->place;
    *queue_at(slabs, slot->place) = ref_of(slabs, slot);
    shape_index_move(&slabs->index, place, ref_of(slabs, slot));
    slabs->payload -= payload_of(old);
    give_slot(slabs, old);
}

/* The making of a slot may evict the old item of the key. */
static void set_elsewhere(struct slabs *slabs, const struct shape_item *item,
                          uint64_t hash)
{
    unsigned class_number = class_of(slabs, item->value_bytes);
    make_slot(slabs, class_number);
    struct item *slot = take_slot(slabs, class_number);
    write_item(slabs, slot, item);
    struct shape_place place = shape_index_find(&slabs->index, hash, item->key);
    if (place.ref != 0) {
        replace(slabs, &place, slot);
    } else {
        slot->place = queue_append(slabs, ref_of(slabs, slot));
        shape_index_add(&slabs->index, hash, ref_of(slabs, slot));
    }
}

static void slabs_set(void *shape, const struct shape_item *item)
{
    struct slabs *slabs = shape;
    uint64_t hash = shape_index_hash(item->key);
    struct shape_place place = shape_index_find(&slabs->index, hash, item->key);
    if (place.ref != 0) {
        struct item *old = item_of(slabs, place.ref);
        if (old->class_number == class_of(slabs, item->value_bytes)) {
            slabs->payload -= payload_of(old);
            write_item(slabs, old, item);
            return;
        }
    }
    set_elsewhere(slabs, item, hash);
}

static void slabs_take(void *shape, size_t bytes)
{
    struct slabs *slabs = shape;
    while (!has_room(slabs, bytes)) {
        if (!empty_some_page(slabs)) {
            walk(slabs);
        }
    }
    memset(shape_region_take_run(&slabs->region, bytes), 1, bytes);
}

static void slabs_count(void *shape, struct shape_counts *ret)
{
    const struct slabs *slabs = shape;
    *ret = (struct shape_counts){.entries = slabs->index.entry_count,
                                 .payload = slabs->payload,
                                 .used = slabs->region.used_bytes +
                                         shape_index_bytes(&slabs->index),
                                 .moved = slabs->moved};
}

const struct shape_ops shape_slabs = {.name = "slabs",
                                      .open = slabs_open,
                                      .close = slabs_close,
                                      .get = slabs_get,
                                      .set = slabs_set,
                                      .take = slabs_take,
                                      .count = slabs_count};
