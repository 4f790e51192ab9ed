/* SPDX-License-Identifier: MIT */
/* Ids and states of members, and copies of members. */
#include "view/member.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

bool km_member_id_equal(const struct km_member_id *a,
                        const struct km_member_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool km_member_id_is_none(const struct km_member_id *id)
{
    static const struct km_member_id none;
    return km_member_id_equal(id, &none);
}

const char *km_member_id_format(const struct km_member_id *id,
                                char text[KM_MEMBER_ID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KM_MEMBER_ID_BYTES; i++) {
        text[2 * i] = digits[id->bytes[i] >> 4];
        text[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    text[KM_MEMBER_ID_TEXT_BYTES - 1] = '\0';
    return text;
}

/* Returns the value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool km_member_id_parse(kama_bytes text, struct km_member_id *ret_id)
{
    struct km_member_id id;
    const char *digits = text.data;
    if (text.len != KM_MEMBER_ID_TEXT_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; i < KM_MEMBER_ID_BYTES; i++) {
        int high = hex_value(digits[2 * i]);
        int low = hex_value(digits[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return true;
}

static const char *const state_names[] = {
    [KM_MEMBER_JOINING] = "joining",
    [KM_MEMBER_ACTIVE] = "active",
    [KM_MEMBER_LEAVING] = "leaving",
};

const char *km_member_state_name(enum km_member_state state)
{
    KM_ASSERT(state >= KM_MEMBER_JOINING && state <= KM_MEMBER_LEAVING);
    return state_names[state];
}

bool km_member_state_parse(kama_bytes name, enum km_member_state *ret_state)
{
    for (int s = KM_MEMBER_JOINING; s <= KM_MEMBER_LEAVING; s++) {
        if (km_bytes_eq(name, KAMA_STR(state_names[s]))) {
            *ret_state = (enum km_member_state)s;
            return true;
        }
    }
    return false;
}

/* -- copies -------------------------------------------------------------- */

size_t km_member_texts_bytes(const struct km_member *member)
{
    size_t bytes = strlen(member->address) + strlen(member->admin) +
                   strlen(member->version) + 3;
    for (size_t i = 0; i < member->label_count; i++) {
        bytes += strlen(member->labels[i]) + 1;
    }
    return bytes;
}

/* Copies a string to *texts and moves *texts behind it. */
static const char *put_text(char **texts, const char *from)
{
    char *to = *texts;
    size_t size = strlen(from) + 1;
    memcpy(to, from, size);
    *texts += size;
    return to;
}

void km_member_put(struct km_member *to, const struct km_member *from,
                   const char ***labels, char **texts)
{
    *to = *from;
    to->address = put_text(texts, from->address);
    to->admin = put_text(texts, from->admin);
    to->version = put_text(texts, from->version);
    to->labels = *labels;
    for (size_t i = 0; i < from->label_count; i++) {
        *(*labels)++ = put_text(texts, from->labels[i]);
    }
}

struct km_member *km_member_new(const kama_allocator *mem,
                                const struct km_member *from)
{
    struct km_member *member =
        km_mem_alloc(mem, sizeof *member + from->label_count * sizeof(char *) +
                              km_member_texts_bytes(from));
    if (member == NULL) {
        return NULL;
    }
    const char **labels = (const char **)(void *)(member + 1);
    char *texts = (char *)(labels + from->label_count);
    km_member_put(member, from, &labels, &texts);
    return member;
}
