/* SPDX-License-Identifier: MIT */
/*
 * Decoding in one pass, one field after the other. Encoders write the fields in
 * the order of their numbers, so for each field the row behind that of the
 * field before is tried first; only then the table is searched.
 */
#include "wire/msg/pb.h"

#include "base/assert.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define VARINT_BYTES_MAX 10
#define TAG_BYTES_MAX 5

/* The rest of the input. */
struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static inline size_t left(const struct input *in)
{
    return (size_t)(in->end - in->at);
}

/* -- pieces -------------------------------------------------------------- */

/* A varint of any length. Bits beyond the 64th are dropped, as every
 * implementation does. */
static bool read_varint_slow(struct input *in, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t n = left(in) < VARINT_BYTES_MAX ? left(in) : VARINT_BYTES_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = in->at[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            in->at += i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Most varints are tags, lengths and small numbers of one byte. */
static inline bool read_varint(struct input *in, uint64_t *ret_value)
{
    if (in->at < in->end && *in->at < 0x80) {
        *ret_value = *in->at++;
        return true;
    }
    return read_varint_slow(in, ret_value);
}

/* A tag is a 32-bit varint whose field number is not 0. */
static inline bool read_tag(struct input *in, uint32_t *ret_tag)
{
    const uint8_t *begin = in->at;
    uint64_t tag;
    if (!read_varint(in, &tag) || tag < 8 || tag > UINT32_MAX ||
        in->at - begin > TAG_BYTES_MAX) {
        return false;
    }
    *ret_tag = (uint32_t)tag;
    return true;
}

static inline bool read_bytes(struct input *in, kama_bytes *ret_bytes)
{
    uint64_t len;
    if (!read_varint(in, &len) || len > left(in)) {
        return false;
    }
    *ret_bytes = kama_bytes_make(in->at, (size_t)len);
    in->at += len;
    return true;
}

static bool read_fixed64(struct input *in, uint64_t *ret_value)
{
    if (left(in) < 8) {
        return false;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)in->at[i] << (8 * i);
    }
    in->at += 8;
    *ret_value = value;
    return true;
}

static bool skip_bytes(struct input *in, size_t n)
{
    if (left(in) < n) {
        return false;
    }
    in->at += n;
    return true;
}

/* Skips a field that the table does not know. Groups are refused: they have no
 * length, and proto3 has none of them. */
static bool skip_field(struct input *in, uint32_t tag)
{
    uint64_t number;
    kama_bytes bytes;
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(in, &number);
    case WIRE_FIXED64:
        return skip_bytes(in, 8);
    case WIRE_BYTES:
        return read_bytes(in, &bytes);
    case WIRE_FIXED32:
        return skip_bytes(in, 4);
    default:
        return false;
    }
}

/* -- fields -------------------------------------------------------------- */

static bool merge(const struct km_pb_message *table, kama_bytes bytes,
                  uint8_t *message);

static inline const struct km_pb_field *find_field(
    const struct km_pb_message *table, const struct km_pb_field *hint,
    uint32_t number)
{
    const struct km_pb_field *end = table->fields + table->field_count;
    if (hint < end && hint->number == number) {
        return hint;
    }
    for (const struct km_pb_field *f = table->fields; f < end; f++) {
        if (f->number == number) {
            return f;
        }
    }
    return NULL;
}

/* Stores a varint into the member, converted as the kind asks for. A negative
 * int32 comes as 64 bits, of which the lower half counts. */
static void store_varint(enum km_pb_kind kind, uint64_t value, void *member)
{
    switch (kind) {
    case KM_PB_BOOL:
        *(bool *)member = value != 0;
        break;
    case KM_PB_UINT32:
        *(uint32_t *)member = (uint32_t)value;
        break;
    case KM_PB_INT32:
        *(int32_t *)member = (int32_t)(uint32_t)value;
        break;
    case KM_PB_SINT64:
        *(int64_t *)member = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        break;
    case KM_PB_INT64:
        *(int64_t *)member = (int64_t)value;
        break;
    default:
        *(uint64_t *)member = value;
        break;
    }
}

/* Counts the varints in a pack, so that a broken one is found while decoding
 * and not by km_pb_next_varint, which could not tell it from the end. */
static bool count_packed(kama_bytes packed, uint32_t *ret_count)
{
    struct input in = {packed.data, (const uint8_t *)packed.data + packed.len};
    uint32_t count = 0;
    uint64_t value;
    for (; in.at < in.end; count++) {
        if (!read_varint(&in, &value)) {
            return false;
        }
    }
    *ret_count = count;
    return true;
}

/* Notes where the first element is. A list of another occurrence of the message
 * has another end, and is replaced. */
static void list_begin(struct km_pb_list *list, const uint8_t *at,
                       const uint8_t *end, uint32_t number)
{
    if (list->end != end) {
        *list = (struct km_pb_list){.at = at, .end = end, .number = number};
    }
}

static bool read_list(struct input *in, uint32_t tag, const uint8_t *at,
                      struct km_pb_list *list)
{
    kama_bytes element;
    if ((tag & 7) != WIRE_BYTES || !read_bytes(in, &element)) {
        return false;
    }
    list_begin(list, at, in->end, tag >> 3);
    list->count++;
    return true;
}

/* Encoders may write numbers packed, one by one, or both in turn. */
static bool read_vlist(struct input *in, uint32_t tag, const uint8_t *at,
                       struct km_pb_list *list)
{
    uint32_t count = 1;
    if ((tag & 7) == WIRE_BYTES) {
        kama_bytes packed;
        if (!read_bytes(in, &packed) || !count_packed(packed, &count)) {
            return false;
        }
    } else {
        uint64_t value;
        if ((tag & 7) != WIRE_VARINT || !read_varint(in, &value)) {
            return false;
        }
    }
    list_begin(list, at, in->end, tag >> 3);
    list->count += count;
    return true;
}

static bool read_message(struct input *in, uint32_t tag,
                         const struct km_pb_field *field, uint8_t *member)
{
    kama_bytes bytes;
    return (tag & 7) == WIRE_BYTES && read_bytes(in, &bytes) &&
           merge(field->message, bytes, member);
}

/* Reads the field behind a tag, which begins at `at`, into the member. */
static bool read_field(struct input *in, uint32_t tag, const uint8_t *at,
                       const struct km_pb_field *field, uint8_t *member)
{
    uint64_t value;
    switch (field->kind) {
    case KM_PB_BYTES:
        return (tag & 7) == WIRE_BYTES &&
               read_bytes(in, (kama_bytes *)(void *)member);
    case KM_PB_MESSAGE:
        return read_message(in, tag, field, member);
    case KM_PB_LIST:
        return read_list(in, tag, at, (struct km_pb_list *)(void *)member);
    case KM_PB_VLIST:
        return read_vlist(in, tag, at, (struct km_pb_list *)(void *)member);
    case KM_PB_FIXED64:
        return (tag & 7) == WIRE_FIXED64 &&
               read_fixed64(in, (uint64_t *)(void *)member);
    default:
        if ((tag & 7) != WIRE_VARINT || !read_varint(in, &value)) {
            return false;
        }
        store_varint(field->kind, value, member);
        return true;
    }
}

/* Adds the fields in bytes to the message. A MESSAGE that occurs twice is
 * merged by calling this twice for the same member. */
static bool merge(const struct km_pb_message *table, kama_bytes bytes,
                  uint8_t *message)
{
    struct input in = {bytes.data, (const uint8_t *)bytes.data + bytes.len};
    const struct km_pb_field *hint = table->fields;
    while (in.at < in.end) {
        const uint8_t *at = in.at;
        uint32_t tag;
        if (!read_tag(&in, &tag)) {
            return false;
        }
        const struct km_pb_field *field = find_field(table, hint, tag >> 3);
        if (field == NULL) {
            if (!skip_field(&in, tag)) {
                return false;
            }
            continue;
        }
        KM_DEBUG_ASSERT(field->offset < table->bytes);
        if (!read_field(&in, tag, at, field, message + field->offset)) {
            return false;
        }
        hint = field + 1;
    }
    return true;
}

kama_status km_pb_decode(const struct km_pb_message *table, kama_bytes bytes,
                         void *message)
{
    memset(message, 0, table->bytes);
    if (bytes.len == 0) {
        return KAMA_OK;
    }
    return merge(table, bytes, message) ? KAMA_OK : KAMA_ERR_MALFORMED;
}

/* -- lists --------------------------------------------------------------- */

/* Moves on to the next occurrence of the list's field and reads its tag. Other
 * fields may stand between two elements. */
static bool find_element(struct km_pb_list *list, struct input *in,
                         uint32_t *ret_tag)
{
    while (in->at < in->end && read_tag(in, ret_tag)) {
        if (*ret_tag >> 3 == list->number) {
            return true;
        }
        if (!skip_field(in, *ret_tag)) {
            return false;
        }
    }
    return false;
}

bool km_pb_next(struct km_pb_list *list, kama_bytes *ret_element)
{
    struct input in = {list->at, list->end};
    uint32_t tag;
    if (!find_element(list, &in, &tag) || (tag & 7) != WIRE_BYTES ||
        !read_bytes(&in, ret_element)) {
        return false;
    }
    list->at = in.at;
    return true;
}

static bool next_packed(struct km_pb_list *list, uint64_t *ret_element)
{
    const uint8_t *data = list->packed.data;
    struct input in = {data, data + list->packed.len};
    if (!read_varint(&in, ret_element)) {
        return false;
    }
    list->packed = kama_bytes_make(in.at, left(&in));
    return true;
}

bool km_pb_next_varint(struct km_pb_list *list, uint64_t *ret_element)
{
    while (list->packed.len == 0) {
        struct input in = {list->at, list->end};
        uint32_t tag;
        if (!find_element(list, &in, &tag)) {
            return false;
        }
        bool packed = (tag & 7) == WIRE_BYTES;
        if (packed ? !read_bytes(&in, &list->packed)
                   : !read_varint(&in, ret_element)) {
            return false;
        }
        list->at = in.at;
        if (!packed) {
            return true;
        }
    }
    return next_packed(list, ret_element);
}
