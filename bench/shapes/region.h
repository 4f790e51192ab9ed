/* SPDX-License-Identifier: MIT */
/*
 * Address space that is given out in blocks of one size.
 *
 *     struct shape_region region;
 *     shape_region_init(&region, 256 << 10);
 *     uint8_t *block = shape_region_take(&region);
 *     shape_region_give(&region, block);
 *     shape_region_fini(&region);
 *
 * A block that was given back stays resident, and is taken again before any other.
 * A run of blocks comes from address space that nobody has used; the system gets
 * as many resident blocks back.
 *
 * Threads: one at a time. Errors: running out of memory or of address space fails
 * an assertion. Ownership: the region owns the memory until its fini.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHAPE_REGION_BYTES ((size_t)8 << 30)

/* Numbers of blocks, the last one first. */
struct shape_blocks {
    uint32_t *numbers;
    uint32_t count;
};

struct shape_region {
    uint8_t *base;
    size_t block_bytes; /* a power of two */
    unsigned block_shift;
    uint32_t fresh; /* the first block that was never taken, from 1 on */
    struct shape_blocks warm; /* free and resident */
    struct shape_blocks cold; /* free and not resident */
    uint64_t used_bytes;      /* of blocks that are taken, and of warm ones */
};

/* Returns zeroed memory that becomes resident page by page as it is written. */
void *shape_map(size_t bytes);
void shape_unmap(void *memory, size_t bytes);

void shape_region_init(struct shape_region *region, size_t block_bytes);
void shape_region_fini(struct shape_region *region);

/* Returns the bytes of the blocks that are taken. */
static inline uint64_t shape_region_taken(const struct shape_region *region)
{
    return region->used_bytes - region->warm.count * region->block_bytes;
}

/* Returns a block with any contents. */
uint8_t *shape_region_take(struct shape_region *region);
void shape_region_give(struct shape_region *region, uint8_t *block);
/* Gives all warm blocks but `keep` back to the system. */
void shape_region_trim(struct shape_region *region, uint32_t keep);
/* Returns `bytes` in one piece. */
uint8_t *shape_region_take_run(struct shape_region *region, size_t bytes);

/* Returns the number of the block that has this address. */
static inline uint32_t shape_region_number(const struct shape_region *region,
                                           const void *address)
{
    size_t offset = (size_t)((const uint8_t *)address - region->base);
    return (uint32_t)(offset >> region->block_shift);
}

static inline uint8_t *shape_region_block(const struct shape_region *region,
                                          uint32_t number)
{
    return region->base + ((size_t)number << region->block_shift);
}
