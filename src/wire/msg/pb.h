/* SPDX-License-Identifier: MIT */
/*
 * Protocol buffers (proto3) without a tree: a message is a plain struct, its
 * byte fields are slices of the input. A table with one row per field says
 * where everything is; one X-macro makes struct and table:
 *
 *     #define POINT(X, M)                         \
 *         X(M, 1, SINT64, x, _)                   \
 *         X(M, 2, BYTES, label, _)                \
 *         X(M, 3, MESSAGE, colour, (rgb, rgb_pb)) \
 *         X(M, 4, LIST, tags, _)
 *     KM_PB_DECLARE(point, point_pb, POINT);   in a header
 *     KM_PB_DEFINE(point, point_pb, POINT)     in one .c file
 *
 * Rows are in the order of their numbers. A repeated field is no array: the
 * list remembers where in the input its elements are, and km_pb_next walks
 * them, so that decoding never needs memory.
 *
 * Refused as malformed: what is cut off, varints over ten bytes, field number
 * 0, groups (wire types 3 and 4), wire types 6 and 7, a known field with
 * another type than its own. Unknown fields are skipped. Of several
 * occurrences of a field the last counts; those of a message are merged, its
 * lists excepted (the last again). Strings are not checked for UTF-8.
 *
 * Cost: O(bytes), no allocation, no recursion but along nested structs.
 * Thread-safety: pure functions. Errors: KAMA_ERR_MALFORMED.
 * Ownership: a decoded message borrows the input.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

enum km_pb_kind {
    KM_PB_BOOL,
    KM_PB_UINT32,
    KM_PB_UINT64,
    KM_PB_INT32, /* enums, too */
    KM_PB_INT64,
    KM_PB_SINT64,
    KM_PB_FIXED64,
    KM_PB_BYTES,   /* bytes and string; data is NULL when absent */
    KM_PB_MESSAGE, /* struct by value */
    KM_PB_LIST,    /* repeated bytes, string or message */
    KM_PB_VLIST    /* repeated varints, packed or not */
};

struct km_pb_message;

struct km_pb_field {
    uint16_t number;
    uint8_t kind;
    uint16_t offset;
    const struct km_pb_message *message; /* of MESSAGE */
};

struct km_pb_message {
    const struct km_pb_field *fields;
    uint16_t field_count;
    uint16_t bytes; /* of the struct */
};

/* A repeated field: count, and where to find the elements. */
struct km_pb_list {
    const uint8_t *at; /* the tag of the next one */
    const uint8_t *end;
    kama_bytes packed; /* varints of the pack that is being read */
    uint32_t count;
    uint32_t number;
};

/* -- declaring messages -------------------------------------------------- */

#define KM_PB_C_BOOL(type) bool
#define KM_PB_C_UINT32(type) uint32_t
#define KM_PB_C_UINT64(type) uint64_t
#define KM_PB_C_INT32(type) int32_t
#define KM_PB_C_INT64(type) int64_t
#define KM_PB_C_SINT64(type) int64_t
#define KM_PB_C_FIXED64(type) uint64_t
#define KM_PB_C_BYTES(type) kama_bytes
#define KM_PB_C_MESSAGE(pair) struct KM_PB_FIRST pair
#define KM_PB_C_LIST(type) struct km_pb_list
#define KM_PB_C_VLIST(type) struct km_pb_list

#define KM_PB_SUB_BOOL(type) NULL
#define KM_PB_SUB_UINT32(type) NULL
#define KM_PB_SUB_UINT64(type) NULL
#define KM_PB_SUB_INT32(type) NULL
#define KM_PB_SUB_INT64(type) NULL
#define KM_PB_SUB_SINT64(type) NULL
#define KM_PB_SUB_FIXED64(type) NULL
#define KM_PB_SUB_BYTES(type) NULL
#define KM_PB_SUB_MESSAGE(pair) &KM_PB_SECOND pair
#define KM_PB_SUB_LIST(type) NULL
#define KM_PB_SUB_VLIST(type) NULL

#define KM_PB_FIRST(type, table) type
#define KM_PB_SECOND(type, table) table

#define KM_PB_MEMBER(M, number, kind, name, type) KM_PB_C_##kind(type) name;
#define KM_PB_ROW(M, number, kind, name, type)                                 \
    {number, KM_PB_##kind, offsetof(struct M, name), KM_PB_SUB_##kind(type)},
#define KM_PB_ONE(M, number, kind, name, type) +1

#define KM_PB_DECLARE(M, TABLE, ROWS)                                          \
    struct M {                                                                 \
        ROWS(KM_PB_MEMBER, M)                                                  \
    };                                                                         \
    extern const struct km_pb_message TABLE

#define KM_PB_DEFINE(M, TABLE, ROWS)                                           \
    const struct km_pb_message TABLE = {                                       \
        (const struct km_pb_field[]){ROWS(KM_PB_ROW, M)},                      \
        0 ROWS(KM_PB_ONE, M),                                                  \
        sizeof(struct M),                                                      \
    };

/* -- decoding ------------------------------------------------------------ */

/* Fills *message, a struct of table's kind, from bytes; absent fields are
 * zero. After an error its contents mean nothing. */
KAMA_NODISCARD kama_status km_pb_decode(const struct km_pb_message *table,
                                        kama_bytes bytes, void *message);

/* The next element of a LIST; false after the last. list moves on: walk a
 * copy to walk again. The element borrows the decoded input. */
bool km_pb_next(struct km_pb_list *list, kama_bytes *ret_element);

/* The next element of a VLIST; false after the last. */
bool km_pb_next_varint(struct km_pb_list *list, uint64_t *ret_element);
