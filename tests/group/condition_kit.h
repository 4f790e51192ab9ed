/* SPDX-License-Identifier: MIT */
/* Sets of the key "k" with a condition, and a counter under it that threads
 * increment. */
#pragma once

#include "group/group_fixture.h"

#include <stdlib.h>

#define K KAMA_STR("k")

static inline void expect_sentence(const char *part)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    if (strstr(sentence, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, sentence);
    }
}

static inline kama_status set_if(kama_group *group, const char *value,
                                 kama_condition condition, uint64_t if_etag,
                                 uint64_t *ret_etag)
{
    kama_set_options set;
    kama_set_options_init(&set);
    set.condition = condition;
    set.if_etag = if_etag;
    set.ret_etag = ret_etag;
    return kama_set(group, K, KAMA_STR(value), &set);
}

/* Returns the etag of the key's value, which is loaded if it is not there. */
static inline uint64_t etag_of(kama_group *group)
{
    kama_value *value;
    assert_int_equal(kama_get(group, K, NULL, &value), KAMA_OK);
    uint64_t etag = kama_value_etag(value);
    kama_value_unref(value);
    return etag;
}

/* Returns the counter, which is text, and the etag of that value. */
static inline unsigned read_counter(kama_group *group, uint64_t *ret_etag)
{
    kama_value *value;
    char text[16] = "";
    assert_int_equal(kama_get(group, K, NULL, &value), KAMA_OK);
    kama_bytes b = kama_value_bytes(value);
    assert_true(b.len < sizeof text);
    memcpy(text, b.data, b.len);
    *ret_etag = kama_value_etag(value);
    kama_value_unref(value);
    return (unsigned)strtoul(text, NULL, 10);
}

/* Adds 1 to the counter, as often as other threads come between. */
static inline void add_one(kama_group *group)
{
    kama_status st;
    do {
        uint64_t etag;
        char text[16];
        unsigned n = read_counter(group, &etag);
        (void)snprintf(text, sizeof text, "%u", n + 1);
        st = set_if(group, text, KAMA_SET_IF_MATCH, etag, NULL);
        assert_true(st == KAMA_OK || st == KAMA_ERR_TRY_AGAIN);
    } while (st != KAMA_OK);
}
