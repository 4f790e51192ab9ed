/* SPDX-License-Identifier: MIT */
/*
 * The answers of one MGet, as they are collected: one per key, in the order of
 * the keys, and within the bytes that one message may have. The answers of an
 * MGetStream are collected in the same way, but each is sent by itself as soon
 * as there is room, and then forgotten.
 *
 * A key that is equal to one which is still being loaded follows that one, and
 * gets its answer when it arrives:
 *
 *     follow(0, 3)  follow(0, 7)  put(0, KAMA_OK, value)   answers 0, 3 and 7
 *
 * Followers are a chain that begins at the key that they follow, with the last
 * one first:
 *
 *     list[0].next --> list[7].next --> list[3].next = 0, the end
 *
 * Cost: 24 bytes per key, the values by reference, and the sentences of errors.
 * A value that would make the message too large is given back at once; its item
 * says KAMA_ERR_TOO_LARGE then. A sentence for which there is no room is left
 * out.
 * Threads: loop thread.
 * Errors: KAMA_ERR_NO_MEMORY.
 * Ownership: values and texts that are put are taken.
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "services/source.h"

struct km_mget_answer;
struct km_server_call;

struct km_mget_answers {
    const kama_allocator *mem;
    struct km_mget_answer *list;
    uint32_t count;
    uint64_t bytes;     /* at most so many has the message so far */
    uint64_t bytes_max; /* and so many it may have */
    uint32_t *order;    /* of a stream: keys as they were answered; else NULL */
    uint32_t answered;  /* so many of them, */
    uint32_t sent;      /* and so many of these were sent */
    bool want_etags;    /* also of long values; the caller sets it after init */
};

/* Makes room for `count` answers, none of which is there yet, in a message of
 * at most bytes_max bytes. mem: borrowed until fini. */
KAMA_NODISCARD kama_status km_mget_answers_init(struct km_mget_answers *answers,
                                                const kama_allocator *mem,
                                                uint32_t count,
                                                uint64_t bytes_max);
/* Makes room for `count` answers that are sent one by one. */
KAMA_NODISCARD kama_status km_mget_answers_init_stream(
    struct km_mget_answers *answers, const kama_allocator *mem, uint32_t count);
/* Gives back all values and sentences, whether they were written or not. */
void km_mget_answers_fini(struct km_mget_answers *answers);

/* Answers key `index` and those that follow it. The key must not have an answer
 * yet. value: taken; not NULL exactly if the status is KAMA_OK. text: a
 * sentence about an error, allocated from mem; taken; may be NULL. */
void km_mget_answers_put(struct km_mget_answers *answers, uint32_t index,
                         enum km_source source, kama_status status,
                         kama_value *value, char *text);

/* Returns how many keys wait for the answer of key `index`. */
uint32_t km_mget_answers_followers(const struct km_mget_answers *answers,
                                   uint32_t index);

/* Returns where the answer of key `index`, which had to be loaded, came from. */
enum km_get_source km_mget_answers_source(const struct km_mget_answers *answers,
                                          uint32_t index);

/* Gives key `index` the answer of the equal key `first`, now if that has one,
 * or else when it is put. */
void km_mget_answers_follow(struct km_mget_answers *answers, uint32_t first,
                            uint32_t index);

/* Appends all items to buf and gives the values back. Every key must have its
 * answer. */
KAMA_NODISCARD kama_status
km_mget_answers_write(struct km_mget_answers *answers, struct km_buf *buf);

/* Returns whether key `index` has its answer. Of a stream, the answer may have
 * been sent and forgotten, so that no other key can follow it. */
bool km_mget_answers_has(const struct km_mget_answers *answers, uint32_t index);

/* Of a stream: sends the answers that were not sent yet, each as a message, as
 * long as the call has room. Errors: those of km_server_call_send. */
KAMA_NODISCARD kama_status km_mget_answers_send(struct km_mget_answers *answers,
                                                struct km_server_call *call);

/* Asserts what must hold between any two calls: an answered key has no value
 * but with KAMA_OK, an open key has nothing, chains of followers lead to open
 * keys and end, and the bytes that are counted suffice for the answers. For
 * tests; O(keys). */
void km_mget_answers_check(const struct km_mget_answers *answers);
