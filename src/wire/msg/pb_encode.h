/* SPDX-License-Identifier: MIT */
/*
 * Encoding protocol buffers from the structs and tables of wire/msg/pb.h.
 *
 * A message is encoded in two passes over its table: the first one computes the
 * size, the second one writes. So the length in front of each nested message is
 * known when it is written, and the memory is asked for once.
 *
 *     struct point point = {.x = 3, .label = KM_LIT("start")};
 *     struct km_buf out;
 *     km_buf_init(&out, mem, SIZE_MAX);
 *     kama_status status = km_pb_append(&out, &point_pb, &point);
 *
 * As proto3 asks for, a number that is 0 and bytes that are empty are left out.
 * The elements of a LIST or VLIST are taken from where the list was decoded. A
 * list that is made here is not a member of a struct: its elements are appended
 * one by one with km_pb_append_element, _bytes and _varint.
 *
 * Cost: O(bytes); a nested message is measured once more for each level above
 * it. Threads: pure functions. Errors: those of km_buf_reserve, and nothing is
 * appended then. Ownership: nothing is kept.
 */
#pragma once

#include "base/buf.h"
#include "wire/msg/pb.h"

/* The longest tag and length in front of a field's bytes. */
#define KM_PB_PREFIX_BYTES_MAX 15

/* Returns how many bytes km_pb_write writes for the message. */
size_t km_pb_size(const struct km_pb_message *table, const void *message);

/* Writes the message's km_pb_size bytes to out and returns their end. */
uint8_t *km_pb_write(const struct km_pb_message *table, const void *message,
                     uint8_t *out);

/* Writes the tag and the length of a bytes field whose len bytes the caller
 * puts behind them; values are sent that way without a copy. Writes at most
 * KM_PB_PREFIX_BYTES_MAX bytes, and none if len is 0, and returns their end. */
uint8_t *km_pb_write_prefix(uint8_t *out, uint32_t number, uint64_t len);

/* Returns how many bytes km_pb_write_prefix writes. */
size_t km_pb_prefix_size(uint32_t number, uint64_t len);

/* Appends the message to out. */
KAMA_NODISCARD kama_status km_pb_append(struct km_buf *out,
                                        const struct km_pb_message *table,
                                        const void *message);

/* Appends the message to out as one element of the repeated field `number`. An
 * element is written even when it is empty, because elements are counted. */
KAMA_NODISCARD kama_status
km_pb_append_element(struct km_buf *out, uint32_t number,
                     const struct km_pb_message *table, const void *message);

/* Appends bytes to out as the field `number`, even when they are empty. */
KAMA_NODISCARD kama_status km_pb_append_bytes(struct km_buf *out,
                                              uint32_t number,
                                              kama_bytes bytes);

/* Appends value to out as the varint field `number`, even when it is 0. */
KAMA_NODISCARD kama_status km_pb_append_varint(struct km_buf *out,
                                               uint32_t number, uint64_t value);
