/* SPDX-License-Identifier: MIT */
#include "region.h"

#include "base/assert.h"

#include <sys/mman.h>

void *shape_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KM_ASSERT(memory != MAP_FAILED);
    return memory;
}

void shape_unmap(void *memory, size_t bytes)
{
    (void)munmap(memory, bytes);
}

static size_t numbers_bytes(const struct shape_region *region)
{
    return SHAPE_REGION_BYTES / region->block_bytes * sizeof(uint32_t);
}

void shape_region_init(struct shape_region *region, size_t block_bytes)
{
    *region = (struct shape_region){.base = shape_map(SHAPE_REGION_BYTES),
                                    .block_bytes = block_bytes,
                                    .block_shift =
                                        (unsigned)__builtin_ctzll(block_bytes),
                                    .fresh = 1};
    region->warm.numbers = shape_map(numbers_bytes(region));
    region->cold.numbers = shape_map(numbers_bytes(region));
}

void shape_region_fini(struct shape_region *region)
{
    shape_unmap(region->warm.numbers, numbers_bytes(region));
    shape_unmap(region->cold.numbers, numbers_bytes(region));
    shape_unmap(region->base, SHAPE_REGION_BYTES);
}

static uint32_t take_fresh(struct shape_region *region, uint32_t blocks)
{
    uint32_t number = region->fresh;
    region->fresh += blocks;
    KM_ASSERT(region->fresh <= SHAPE_REGION_BYTES / region->block_bytes);
    return number;
}

uint8_t *shape_region_take(struct shape_region *region)
{
    if (region->warm.count > 0) {
        uint32_t number = region->warm.numbers[--region->warm.count];
        return shape_region_block(region, number);
    }
    region->used_bytes += region->block_bytes;
    if (region->cold.count > 0) {
        uint32_t number = region->cold.numbers[--region->cold.count];
        return shape_region_block(region, number);
    }
    return shape_region_block(region, take_fresh(region, 1));
}

void shape_region_give(struct shape_region *region, uint8_t *block)
{
    region->warm.numbers[region->warm.count++] =
        shape_region_number(region, block);
}

void shape_region_trim(struct shape_region *region, uint32_t keep)
{
    while (region->warm.count > keep) {
        uint32_t number = region->warm.numbers[--region->warm.count];
        (void)madvise(shape_region_block(region, number), region->block_bytes,
                      MADV_DONTNEED);
        region->cold.numbers[region->cold.count++] = number;
        region->used_bytes -= region->block_bytes;
    }
}

uint8_t *shape_region_take_run(struct shape_region *region, size_t bytes)
{
    size_t blocks = (bytes + region->block_bytes - 1) / region->block_bytes;
    shape_region_trim(region, 0);
    region->used_bytes += blocks * region->block_bytes;
    return shape_region_block(region, take_fresh(region, (uint32_t)blocks));
}
