/* SPDX-License-Identifier: MIT */
/*
 * A member of a cluster: one registration of one node.
 *
 * The identity of a member is its id. A node that restarts, or that loses its
 * lease, registers again with a new id and is a new member.
 *
 * Threads: any thread; plain data. Errors: KAMA_ERR_INVALID with a sentence.
 * Ownership: the texts belong to the structure that the member stands in, for
 * example a view. Cost: O(length).
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"

#include <stdbool.h>

#define KM_MEMBER_ID_BYTES 16
/* 32 hexadecimal digits and NUL. */
#define KM_MEMBER_ID_TEXT_BYTES (2 * KM_MEMBER_ID_BYTES + 1)

/* 128 random bits. All zero stands for "none". */
struct km_member_id {
    uint8_t bytes[KM_MEMBER_ID_BYTES];
};

/* Returns whether this node speaks a version of the protocol between nodes that is in the
 * range. */
static inline bool km_member_is_spoken(uint32_t proto_min, uint32_t proto_max)
{
    return proto_min <= KM_MEMBER_PROTO_MAX && proto_max >= KM_MEMBER_PROTO_MIN;
}

/* The numbers are those of kama.v2.MemberState, and part of the view id. */
enum km_member_state {
    KM_MEMBER_JOINING = 1, /* owns nothing yet */
    KM_MEMBER_ACTIVE = 2,
    KM_MEMBER_LEAVING = 3 /* drains, and owns nothing any more */
};

/* How a life of a node has ended, for members that have to know whether they have all
 * of its mutations: its id, the number and the clock of its last one. */
struct km_member_goodbye {
    struct km_member_id id;
    uint64_t final_seq;
    uint64_t clock;
    bool originated; /* a mutation after its lease may have expired */
};

struct km_member {
    struct km_member_id id;
    const char *address; /* canonical, see km_member_address */
    const char *admin;   /* "" if it has none */
    const char *version; /* of the program */
    enum km_member_state state;
    uint32_t weight; /* 1 to KM_MEMBER_WEIGHT_MAX */
    const char *const *labels;
    size_t label_count;
    uint64_t
        final_seq; /* of a leaving member that has ended its stream; else 0, and no
                         * part of the view id, as the members below */
    uint64_t clock;
    struct km_member_goodbye
        prev;  /* of the life before; id: none if there was none */
    bool held; /* its record is gone, and it stays for a while nevertheless; no
                * part of the view id */
};

/* Returns whether two ids are equal, and whether an id is all zero. */
bool km_member_id_equal(const struct km_member_id *a,
                        const struct km_member_id *b);
bool km_member_id_is_none(const struct km_member_id *id);
/* Writes 32 lower-case hexadecimal digits. Returns text. */
const char *km_member_id_format(const struct km_member_id *id,
                                char text[KM_MEMBER_ID_TEXT_BYTES]);
/* Reads 32 hexadecimal digits. Returns false for anything else. */
bool km_member_id_parse(kama_bytes text, struct km_member_id *ret_id);

/* Returns the name of a state: "joining", "active" or "leaving". */
const char *km_member_state_name(enum km_member_state state);
/* Reads the name of a state. Returns false for anything else. */
bool km_member_state_parse(kama_bytes name, enum km_member_state *ret_state);

/* Returns a copy of a member with copies of its texts, as one block of memory
 * that km_mem_free frees. Returns NULL without memory. */
struct km_member *km_member_new(const kama_allocator *mem,
                                const struct km_member *from);

/* For structures that have several members in one block: the bytes that the
 * texts of a member take, and a function that copies a member into such a
 * block. It moves *labels and *texts behind what it has written. */
size_t km_member_texts_bytes(const struct km_member *member);
void km_member_put(struct km_member *to, const struct km_member *from,
                   const char ***labels, char **texts);

/* -- addresses (view/member_address.c) ------------------------------------- */

/* The longest canonical address: a name of 253 characters, ":65535" and NUL. */
#define KM_MEMBER_ADDRESS_BYTES 264

/* Writes the canonical form of "host:port": the host in lower case, IPv6 in
 * brackets and in the form of RFC 5952, the port in decimal without leading
 * zeros. Errors: KAMA_ERR_INVALID for a text that is no such address, for the
 * port 0, and for an address that stands for all addresses ("0.0.0.0:8001",
 * "[::]:8001", ":8001"), which nobody could connect to. */
KAMA_NODISCARD kama_status
km_member_address(const char *text, char ret_text[KM_MEMBER_ADDRESS_BYTES]);
