/* SPDX-License-Identifier: MIT */
/*
 * Encoding in two passes: each kind of field has a function for its size and a
 * function that writes it, and the two must agree to the byte. km_pb_append
 * asserts that they do.
 */
#include "wire/msg/pb_encode.h"

#include "base/assert.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

#define VARINT_BYTES_MAX 10

/* -- pieces -------------------------------------------------------------- */

/* Seven bits a byte: ceil(bits / 7), and one byte for 0. */
static inline size_t varint_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline uint8_t *write_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline size_t tag_size(uint32_t number)
{
    return varint_size((uint64_t)number << 3);
}

static inline uint8_t *write_tag(uint8_t *out, uint32_t number, unsigned wire)
{
    return write_varint(out, (uint64_t)number << 3 | wire);
}

static inline uint8_t *write_bytes(uint8_t *out, uint32_t number,
                                   kama_bytes bytes)
{
    out = write_tag(out, number, WIRE_BYTES);
    out = write_varint(out, bytes.len);
    if (bytes.len > 0) {
        memcpy(out, bytes.data, bytes.len);
    }
    return out + bytes.len;
}

size_t km_pb_prefix_size(uint32_t number, uint64_t len)
{
    return len == 0 ? 0 : tag_size(number) + varint_size(len);
}

uint8_t *km_pb_write_prefix(uint8_t *out, uint32_t number, uint64_t len)
{
    if (len == 0) {
        return out;
    }
    return write_varint(write_tag(out, number, WIRE_BYTES), len);
}

/* A field of bytes: tag, length and bytes. */
static inline size_t bytes_size(uint32_t number, size_t len)
{
    return tag_size(number) + varint_size(len) + len;
}

/* -- fields -------------------------------------------------------------- */

/* Returns the number that goes on the wire. A field whose number is 0 is left
 * out. */
static uint64_t load_number(enum km_pb_kind kind, const void *member)
{
    switch (kind) {
    case KM_PB_BOOL:
        return *(const bool *)member;
    case KM_PB_UINT32:
        return *(const uint32_t *)member;
    case KM_PB_INT32:
        return (uint64_t)(int64_t) * (const int32_t *)member;
    case KM_PB_SINT64: {
        int64_t value = *(const int64_t *)member;
        return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    }
    default:
        return *(const uint64_t *)member;
    }
}

/* The elements of a list are copied from the input in which it was decoded. */
static size_t list_size(struct km_pb_list list)
{
    size_t size = 0;
    kama_bytes element;
    while (km_pb_next(&list, &element)) {
        size += bytes_size(list.number, element.len);
    }
    return size;
}

/* Lists of varints are written packed, however they were read. */
static size_t pack_size(struct km_pb_list list)
{
    size_t size = 0;
    uint64_t element;
    while (km_pb_next_varint(&list, &element)) {
        size += varint_size(element);
    }
    return size;
}

/* Returns how many bytes a field takes with its tag, or 0 if it is left out. */
static size_t field_size(const struct km_pb_field *field, const void *member)
{
    size_t size;
    switch (field->kind) {
    case KM_PB_BYTES:
        size = ((const kama_bytes *)member)->len;
        return size == 0 ? 0 : bytes_size(field->number, size);
    case KM_PB_MESSAGE:
        size = km_pb_size(field->message, member);
        return size == 0 ? 0 : bytes_size(field->number, size);
    case KM_PB_LIST:
        return list_size(*(const struct km_pb_list *)member);
    case KM_PB_VLIST:
        size = pack_size(*(const struct km_pb_list *)member);
        return size == 0 ? 0 : bytes_size(field->number, size);
    default:
        break;
    }
    uint64_t value = load_number(field->kind, member);
    if (value == 0) {
        return 0;
    }
    return tag_size(field->number) +
           (field->kind == KM_PB_FIXED64 ? 8 : varint_size(value));
}

static uint8_t *write_message(const struct km_pb_field *field,
                              const void *member, uint8_t *out)
{
    out = km_pb_write_prefix(out, field->number,
                             km_pb_size(field->message, member));
    return km_pb_write(field->message, member, out);
}

static uint8_t *write_list(struct km_pb_list list, uint8_t *out)
{
    kama_bytes element;
    while (km_pb_next(&list, &element)) {
        out = write_bytes(out, list.number, element);
    }
    return out;
}

static uint8_t *write_pack(struct km_pb_list list, uint8_t *out)
{
    out = km_pb_write_prefix(out, list.number, pack_size(list));
    uint64_t element;
    while (km_pb_next_varint(&list, &element)) {
        out = write_varint(out, element);
    }
    return out;
}

/* A varint, or eight bytes with the lowest one first. */
static uint8_t *write_number(const struct km_pb_field *field,
                             const void *member, uint8_t *out)
{
    uint64_t value = load_number(field->kind, member);
    if (value == 0) {
        return out;
    }
    if (field->kind != KM_PB_FIXED64) {
        out = write_tag(out, field->number, WIRE_VARINT);
        return write_varint(out, value);
    }
    out = write_tag(out, field->number, WIRE_FIXED64);
    for (unsigned i = 0; i < 8; i++) {
        *out++ = (uint8_t)(value >> (8 * i));
    }
    return out;
}

/* Writes the bytes that field_size has counted. */
static uint8_t *write_field(const struct km_pb_field *field, const void *member,
                            uint8_t *out)
{
    switch (field->kind) {
    case KM_PB_BYTES: {
        kama_bytes bytes = *(const kama_bytes *)member;
        return bytes.len == 0 ? out : write_bytes(out, field->number, bytes);
    }
    case KM_PB_MESSAGE:
        return write_message(field, member, out);
    case KM_PB_LIST:
        return write_list(*(const struct km_pb_list *)member, out);
    case KM_PB_VLIST:
        return write_pack(*(const struct km_pb_list *)member, out);
    default:
        return write_number(field, member, out);
    }
}

/* -- messages ------------------------------------------------------------ */

size_t km_pb_size(const struct km_pb_message *table, const void *message)
{
    size_t size = 0;
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct km_pb_field *field = &table->fields[i];
        size += field_size(field, (const char *)message + field->offset);
    }
    return size;
}

uint8_t *km_pb_write(const struct km_pb_message *table, const void *message,
                     uint8_t *out)
{
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct km_pb_field *field = &table->fields[i];
        out = write_field(field, (const char *)message + field->offset, out);
    }
    return out;
}

kama_status km_pb_append(struct km_buf *out, const struct km_pb_message *table,
                         const void *message)
{
    size_t size = km_pb_size(table, message);
    kama_status st = km_buf_reserve(out, size);
    if (st == KAMA_OK && size > 0) {
        uint8_t *end = km_pb_write(table, message, out->data + out->len);
        out->len += size;
        KM_ASSERT(end == out->data + out->len);
    }
    return st;
}

kama_status km_pb_append_element(struct km_buf *out, uint32_t number,
                                 const struct km_pb_message *table,
                                 const void *message)
{
    size_t size = km_pb_size(table, message);
    kama_status st = km_buf_reserve(out, bytes_size(number, size));
    if (st == KAMA_OK) {
        uint8_t *at = write_tag(out->data + out->len, number, WIRE_BYTES);
        at = km_pb_write(table, message, write_varint(at, size));
        out->len += bytes_size(number, size);
        KM_ASSERT(at == out->data + out->len);
    }
    return st;
}

kama_status km_pb_append_bytes(struct km_buf *out, uint32_t number,
                               kama_bytes bytes)
{
    kama_status st = km_buf_reserve(out, bytes_size(number, bytes.len));
    if (st == KAMA_OK) {
        uint8_t *end = write_bytes(out->data + out->len, number, bytes);
        out->len = (size_t)(end - out->data);
    }
    return st;
}

kama_status km_pb_append_varint(struct km_buf *out, uint32_t number,
                                uint64_t value)
{
    kama_status st = km_buf_reserve(out, tag_size(number) + VARINT_BYTES_MAX);
    if (st == KAMA_OK) {
        uint8_t *end = write_tag(out->data + out->len, number, WIRE_VARINT);
        end = write_varint(end, value);
        out->len = (size_t)(end - out->data);
    }
    return st;
}
