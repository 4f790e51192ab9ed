/* SPDX-License-Identifier: MIT */
/*
 * A block of a loop's memory: a header of 16 bytes, and the payload behind it.
 *
 *     block                  payload, whose address the user gets
 *     | class | next or - -  | class x 16 bytes ...
 *
 * Blocks of one class have the same size, so that a free block serves the next
 * request of its class. A request that does not fit the largest class gets a
 * large block, whose size is not kept; it goes back to the allocator.
 *
 * Threads: the loop's thread.
 */
#pragma once

#include <stddef.h>

#define KM_H2_BLOCK_HEADER_BYTES 16
#define KM_H2_CLASS_BYTES 16
#define KM_H2_CLASSES 40

/* The class of large blocks, and of blocks in quarantine (ng_mem.c). */
#define KM_H2_CLASS_LARGE KM_H2_CLASSES
#define KM_H2_CLASS_QUARANTINED ((size_t)-1)

struct km_h2_block {
    size_t class;
    struct km_h2_block *next; /* while it is free, or in quarantine */
};
_Static_assert(sizeof(struct km_h2_block) <= KM_H2_BLOCK_HEADER_BYTES,
               "block header");

/* Returns the class of the blocks for size bytes. */
static inline size_t km_h2_block_class(size_t size)
{
    size_t class = (size + KM_H2_CLASS_BYTES - 1) / KM_H2_CLASS_BYTES;
    return class < KM_H2_CLASSES ? class : KM_H2_CLASS_LARGE;
}

/* Returns how many bytes a block of a class takes with its header. */
static inline size_t km_h2_block_bytes(size_t class)
{
    return class * KM_H2_CLASS_BYTES + KM_H2_BLOCK_HEADER_BYTES;
}

/* Returns the block of a payload. */
static inline struct km_h2_block *km_h2_block_of(void *payload)
{
    char *begin = (char *)payload - KM_H2_BLOCK_HEADER_BYTES;
    return (struct km_h2_block *)(void *)begin;
}

/* Returns the payload of a block. */
static inline void *km_h2_block_payload(struct km_h2_block *block)
{
    return (char *)block + KM_H2_BLOCK_HEADER_BYTES;
}
