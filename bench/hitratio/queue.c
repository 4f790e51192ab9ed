/* SPDX-License-Identifier: MIT */
/* A link of a key that is in no queue is its own place, which makes a double
 * push visible. */
#include "queue.h"

#include "base/assert.h"
#include "base/mem.h"
#include "trace.h"

void hr_queue_init(struct hr_queue *queue, const struct hr_shape *shape)
{
    size_t places = (size_t)shape->keys + 1;
    *queue = (struct hr_queue){.next = hr_array(places, sizeof(uint32_t)),
                               .prev = hr_array(places, sizeof(uint32_t)),
                               .sizes = shape->sizes,
                               .head = shape->keys};
    for (size_t i = 0; i < places; i++) {
        queue->next[i] = (uint32_t)i;
        queue->prev[i] = (uint32_t)i;
    }
}

void hr_queue_fini(struct hr_queue *queue)
{
    km_mem_free(km_mem_default(), queue->next);
    km_mem_free(km_mem_default(), queue->prev);
}

void hr_queue_push(struct hr_queue *queue, uint32_t key)
{
    uint32_t youngest = queue->prev[queue->head];
    KM_ASSERT(queue->next[key] == key && key < queue->head);
    queue->next[youngest] = key;
    queue->prev[key] = youngest;
    queue->next[key] = queue->head;
    queue->prev[queue->head] = key;
    queue->count++;
    queue->bytes += queue->sizes[key];
}

void hr_queue_remove(struct hr_queue *queue, uint32_t key)
{
    KM_ASSERT(queue->next[key] != key && key < queue->head);
    queue->next[queue->prev[key]] = queue->next[key];
    queue->prev[queue->next[key]] = queue->prev[key];
    queue->next[key] = key;
    queue->prev[key] = key;
    queue->count--;
    queue->bytes -= queue->sizes[key];
}

uint32_t hr_queue_pop(struct hr_queue *queue)
{
    uint32_t key = hr_queue_oldest(queue);
    hr_queue_remove(queue, key);
    return key;
}

void hr_queue_renew(struct hr_queue *queue, uint32_t key)
{
    hr_queue_remove(queue, key);
    hr_queue_push(queue, key);
}
