/* SPDX-License-Identifier: MIT */
/*
 * The answers of one MGet, as they are collected: one per key, in the order of
 * the keys, and within the bytes that one message may have.
 *
 * A key that is equal to one which is still being loaded follows that one, and
 * gets its answer when it comes:
 *
 *     follow(0, 3)  follow(0, 7)  put(0, OK, value)   answers 0, 3 and 7
 *
 * Memory: 24 bytes per key, the values by reference, the sentences. What would
 * make the message too large is given back at once: the item then says
 * KAMA_ERR_TOO_LARGE, or comes without its sentence.
 * Thread-safety: loop thread. Errors: KAMA_ERR_NO_MEMORY.
 * Ownership: values and texts that are put are taken.
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "services/source.h"

struct km_mget_answer;

struct km_mget_answers {
    const kama_allocator *mem;
    struct km_mget_answer *list;
    uint32_t count;
    uint64_t bytes;     /* of the message so far */
    uint64_t bytes_max; /* of the message */
};

/* Room for count answers, none of which has come. */
KAMA_NODISCARD kama_status km_mget_answers_init(struct km_mget_answers *answers,
                                                const kama_allocator *mem,
                                                uint32_t count,
                                                uint64_t bytes_max);
/* Gives everything back. */
void km_mget_answers_fini(struct km_mget_answers *answers);

/* Answers key `index` and those that follow it. value is taken, and not NULL
 * with KAMA_OK; text, from mem, is taken and may be NULL. */
void km_mget_answers_put(struct km_mget_answers *answers, uint32_t index,
                         enum km_source source, kama_status status,
                         kama_value *value, char *text);

/* Key `index` gets the answer of the equal key `first`, now or later. */
void km_mget_answers_follow(struct km_mget_answers *answers, uint32_t first,
                            uint32_t index);

/* Appends every item to buf, and gives the values back. Each key is answered. */
KAMA_NODISCARD kama_status
km_mget_answers_write(struct km_mget_answers *answers, struct km_buf *buf);
