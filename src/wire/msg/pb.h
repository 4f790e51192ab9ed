/* SPDX-License-Identifier: MIT */
/*
 * Decoding protocol buffers (proto3) into plain structs.
 *
 * A message is a struct, and its bytes and strings are slices of the input. A
 * table with one row for each field says which member it fills. One X-macro is
 * the source of both, so that they cannot differ:
 *
 *     #define POINT(X, M)                         \
 *         X(M, 1, SINT64, x, _)                   \
 *         X(M, 2, BYTES, label, _)                \
 *         X(M, 3, MESSAGE, colour, (rgb, rgb_pb)) \
 *         X(M, 4, LIST, tags, _)
 *     KM_PB_DECLARE(point, point_pb, POINT);   in a header
 *     KM_PB_DEFINE(point, point_pb, POINT)     in one .c file
 *
 *     struct point point;
 *     kama_status status = km_pb_decode(&point_pb, bytes, &point);
 *
 * The rows are in the order of their numbers. The kind of a row is one of enum
 * km_pb_kind without its prefix, and its last column names the struct and the
 * table of a MESSAGE.
 *
 * A repeated field is not an array, because decoding never allocates. A list
 * remembers where its elements are in the input, and km_pb_next walks them:
 *
 *     input    | 1: x | 4: "a" | 2: label | 4: "b" | 4: "c" |
 *     list            ^ at                                  ^ end, count 3
 *
 * Input is refused as malformed if it is cut off, has a varint of more than ten
 * bytes, the field number 0, a group (wire types 3 and 4) or wire type 6 or 7,
 * or if a known field has another wire type than its own. Unknown fields are
 * skipped. If a field occurs several times, the last one counts; messages are
 * merged instead, except their lists. Strings are not checked for UTF-8.
 *
 * Cost: O(bytes), no allocation, and no recursion but along nested structs.
 * Threads: pure functions. Errors: KAMA_ERR_MALFORMED. Ownership: a decoded
 * message borrows the input.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

/* The types of fields. */
enum km_pb_kind {
    KM_PB_BOOL,
    KM_PB_UINT32,
    KM_PB_UINT64,
    KM_PB_INT32, /* and enums */
    KM_PB_INT64,
    KM_PB_SINT64,
    KM_PB_FIXED64,
    KM_PB_BYTES,   /* bytes or string; data is NULL if the field is absent */
    KM_PB_MESSAGE, /* a struct by value */
    KM_PB_LIST,    /* repeated bytes, string or message */
    KM_PB_VLIST    /* repeated varints, packed or not */
};

struct km_pb_message;

/* One row of a table. */
struct km_pb_field {
    uint16_t number;
    uint8_t kind;                        /* enum km_pb_kind */
    uint16_t offset;                     /* of the member */
    const struct km_pb_message *message; /* the table of a MESSAGE, or NULL */
};

/* The table of a message. */
struct km_pb_message {
    const struct km_pb_field *fields;
    uint16_t field_count;
    uint16_t bytes; /* of the struct */
};

/* A repeated field of a decoded message. */
struct km_pb_list {
    const uint8_t *at; /* the tag of the next element */
    const uint8_t *end;
    kama_bytes packed; /* the rest of the pack that is being read */
    uint32_t count;
    uint32_t number;
};

/* -- declaring messages -------------------------------------------------- */

/* The type of a member, by its kind. */
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

/* The table of the message in a field, by the field's kind. */
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

/* The parts of a MESSAGE row's last column. */
#define KM_PB_FIRST(type, table) type
#define KM_PB_SECOND(type, table) table

/* The uses of a row: a member, a row of the table, and one more row. */
#define KM_PB_MEMBER(M, number, kind, name, type) KM_PB_C_##kind(type) name;
#define KM_PB_ROW(M, number, kind, name, type)                                 \
    {number, KM_PB_##kind, offsetof(struct M, name), KM_PB_SUB_##kind(type)},
#define KM_PB_ONE(M, number, kind, name, type) +1

/* Declares struct M and its table. */
#define KM_PB_DECLARE(M, TABLE, ROWS)                                          \
    struct M {                                                                 \
        ROWS(KM_PB_MEMBER, M)                                                  \
    };                                                                         \
    extern const struct km_pb_message TABLE

/* Defines the table, in one .c file. */
#define KM_PB_DEFINE(M, TABLE, ROWS)                                           \
    const struct km_pb_message TABLE = {                                       \
        (const struct km_pb_field[]){ROWS(KM_PB_ROW, M)},                      \
        0 ROWS(KM_PB_ONE, M),                                                  \
        sizeof(struct M),                                                      \
    };

/* -- decoding ------------------------------------------------------------ */

/* Fills *message, which is the struct of the table, from bytes. Absent fields
 * are zero. After an error the content of *message means nothing. Errors:
 * KAMA_ERR_MALFORMED. */
KAMA_NODISCARD kama_status km_pb_decode(const struct km_pb_message *table,
                                        kama_bytes bytes, void *message);

/* Returns the next element of a LIST in *ret_element, or false after the last
 * one. The list itself moves on, so a second walk needs a copy of it. The
 * element borrows the decoded input. */
bool km_pb_next(struct km_pb_list *list, kama_bytes *ret_element);

/* The same for a VLIST. */
bool km_pb_next_varint(struct km_pb_list *list, uint64_t *ret_element);
