/* SPDX-License-Identifier: MIT */
/*
 * The strategy of a group (its option `sync`): which nodes of a cluster keep a value.
 *
 *     struct km_strategy strategy;
 *     status = km_strategy_parse("shard:2", &strategy);
 *
 *     text               the value goes to              the others hear
 *     broadcast          every member                   -
 *     invalidate         the owner of the key           that their copy is old
 *     shard:R            the R members that come        that their copy is old
 *                        first for the key
 *     peers:LABEL        the members with this label,   that their copy is old
 *                        and the owner
 *     peers:ADDR+ADDR    the members at these           that their copy is old
 *                        addresses, and the owner
 *     owner              the owner                      nothing
 *     local              nobody else                    nothing
 *
 * With the first four, every member hears the key and the version of every change, so
 * that no member keeps an older value: such a group is *streamed*. A text with a colon
 * behind "peers:" is a list of addresses, any other one is a label.
 *
 * Threads: any thread; plain data. Errors: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE, with a
 * sentence that begins with "sync:". Ownership: texts are copied. Cost: O(length).
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

enum km_strategy_kind {
    KM_STRATEGY_BROADCAST,
    KM_STRATEGY_INVALIDATE,
    KM_STRATEGY_SHARD,
    KM_STRATEGY_PEERS,
    KM_STRATEGY_OWNER,
    KM_STRATEGY_LOCAL
};

struct km_strategy {
    enum km_strategy_kind kind;
    unsigned copies; /* SHARD: R; else 0 */
    /* PEERS: the label, or the addresses with a plus between them; else "". */
    char targets[KM_STRATEGY_TARGETS_BYTES_MAX + 1];
};

/* The longest text is "peers:" and the targets. */
#define KM_STRATEGY_TEXT_BYTES (sizeof "peers:" + KM_STRATEGY_TARGETS_BYTES_MAX)

/* Writes the canonical form of an address, as km_member_address does. The group knows
 * no network, so that its node brings the function. */
typedef kama_status (*km_strategy_address_fn)(const char *text, char *ret_text);
#define KM_STRATEGY_ADDRESS_BYTES 264 /* that such a function may write */

/* Reads the text of a strategy. The addresses stay as they are written. */
KAMA_NODISCARD kama_status km_strategy_parse(const char *text,
                                             struct km_strategy *ret_strategy);

/* Makes the addresses of a strategy canonical, and puts them in order, each once: two
 * nodes that mean the same then have the same text. Does nothing if there are none. */
KAMA_NODISCARD kama_status km_strategy_complete(struct km_strategy *strategy,
                                                km_strategy_address_fn address);

/* Writes the text of a strategy, and returns `text`. */
const char *km_strategy_format(const struct km_strategy *strategy,
                               char text[KM_STRATEGY_TEXT_BYTES]);

/* Returns whether every member hears of every change. */
bool km_strategy_is_streamed(const struct km_strategy *strategy);

/* PEERS. Returns whether the strategy names a member: it has the label, or is at one of
 * the addresses. The address is canonical. */
bool km_strategy_names(const struct km_strategy *strategy, const char *address,
                       const char *const *labels, size_t label_count);
