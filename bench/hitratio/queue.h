/* SPDX-License-Identifier: MIT */
/*
 * A queue of keys, from the oldest to the youngest.
 *
 *     hr_queue_init(&queue, shape);
 *     hr_queue_push(&queue, key);
 *     uint32_t oldest = hr_queue_pop(&queue);
 *     hr_queue_fini(&queue);
 *
 * The links are arrays with a place for each key, so that a key is taken out of
 * the middle in O(1). A key may be in a queue once. Threads: one owner.
 * Errors: a push of a key that is in the queue, and a pop of an empty queue,
 * are assertions. Ownership: a queue owns its arrays and borrows the sizes.
 */
#pragma once

#include "policy.h"

struct hr_queue {
    uint32_t *next; /* towards the youngest; the last place is the head */
    uint32_t *prev;
    const uint32_t *sizes;
    uint32_t head; /* the number of keys, which no key has */
    uint64_t count;
    uint64_t bytes;
};

/* Makes an empty queue. */
void hr_queue_init(struct hr_queue *queue, const struct hr_shape *shape);
/* Frees the arrays. */
void hr_queue_fini(struct hr_queue *queue);

/* Makes a key the youngest. */
void hr_queue_push(struct hr_queue *queue, uint32_t key);

/* Takes a key out. */
void hr_queue_remove(struct hr_queue *queue, uint32_t key);

/* Takes the oldest key out and returns it. */
uint32_t hr_queue_pop(struct hr_queue *queue);

/* Makes a key that is in the queue the youngest. */
void hr_queue_renew(struct hr_queue *queue, uint32_t key);

static inline uint32_t hr_queue_oldest(const struct hr_queue *queue)
{
    return queue->next[queue->head];
}

static inline bool hr_queue_is_empty(const struct hr_queue *queue)
{
    return queue->count == 0;
}
