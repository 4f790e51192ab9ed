/* SPDX-License-Identifier: MIT */
/* Parses records of members. The address of the key is what stands before the
 * first newline of the input, and the record is the rest. A record that is
 * accepted keeps its limits, and is the same after it was written and read. */
#include "membership/record.h"

#include "base/bytes.h"

#include <stdlib.h>

#define WALL_MS 1700000000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void write_and_read(const struct km_record *record, kama_bytes address)
{
    static struct km_record again;
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    require(km_record_format(record, &buf) == KAMA_OK);
    /* Escapes can make a record longer than it was. */
    if (buf.len <= KM_MEMBERSHIP_RECORD_BYTES_MAX) {
        require(km_record_parse(km_buf_bytes(&buf), address, WALL_MS, &again) ==
                KAMA_OK);
        require(strcmp(again.cluster, record->cluster) == 0);
        require(km_member_id_equal(&again.member.id, &record->member.id));
        require(again.member.label_count == record->member.label_count);
        require(again.member.final_seq == record->member.final_seq);
        require(again.member.clock == record->member.clock);
        require(
            km_member_id_equal(&again.member.prev.id, &record->member.prev.id));
        require(again.member.prev.clock == record->member.prev.clock);
    }
    km_buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct km_record record;
    const uint8_t *newline = len > 0 ? memchr(data, '\n', len) : NULL;
    if (newline == NULL) {
        return 0;
    }
    kama_bytes address = kama_bytes_make(data, (size_t)(newline - data));
    kama_bytes value = kama_bytes_make(newline + 1, len - address.len - 1);
    if (km_record_parse(value, address, WALL_MS, &record) == KAMA_OK) {
        require(value.len <= KM_MEMBERSHIP_RECORD_BYTES_MAX);
        require(record.member.weight >= 1 &&
                record.member.weight <= KM_MEMBER_WEIGHT_MAX);
        require(record.member.label_count <= KM_MEMBER_LABELS_MAX);
        require(!km_member_id_is_none(&record.member.id));
        write_and_read(&record, address);
    }
    return 0;
}
