/* SPDX-License-Identifier: MIT */
/*
 * The record of a member: the JSON object that stands in the registry.
 * docs/CLUSTER.md 2 has its members.
 *
 *     km_record_format(&record, &buf);
 *     status = km_record_parse(value, address, wall_ms, &record);
 *
 * Whatever is not such an object is junk: a value of more than 8 KiB (which is
 * not parsed at all), brackets that are nested deeper than a record needs,
 * malformed JSON or UTF-8, a member of another type, a number or a text outside
 * its limit, an address that is not canonical or not the one in the key, a clock
 * that is more than 60 s ahead of the wall clock (R3). Members that this version
 * does not know are ignored. A record without final_seq, clock and prev, which an
 * older version has written, reads as if they were 0 and null, and one without proto as
 * if it had the range of this node.
 *
 * Cost: O(bytes); jansson allocates with malloc while it parses. Threads: any;
 * plain data. Errors: KAMA_ERR_MALFORMED with a sentence for junk, and
 * KAMA_ERR_NO_MEMORY. Ownership: a parsed record holds its own texts, and
 * record->member points to them: a record must not be copied.
 */
#pragma once

#include "base/buf.h"
#include "view/member.h"

struct km_record {
    char cluster[KM_CLUSTER_NAME_BYTES_MAX + 1];
    struct km_member_id nonce;
    uint32_t
        proto_min; /* of the protocol between nodes; format writes that of */
    uint32_t proto_max; /* this node */
    struct km_member member;
    /* The texts of a record that was parsed. */
    char address[KM_MEMBER_ADDRESS_BYTES];
    char admin[KM_MEMBER_ADDRESS_BYTES];
    char version[KM_MEMBER_VERSION_BYTES_MAX + 1];
    const char *labels[KM_MEMBER_LABELS_MAX];
    char label_texts[KM_MEMBER_LABELS_MAX][KM_MEMBER_LABEL_BYTES_MAX + 1];
};

/* Appends the record as JSON to buf: the cluster, the nonce, and everything
 * that record->member says. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_record_format(const struct km_record *record,
                                            struct km_buf *buf);

/* Reads the value of the key members/<address>. wall_ms: the clock of this node, in
 * milliseconds since 1970. */
KAMA_NODISCARD kama_status km_record_parse(kama_bytes value, kama_bytes address,
                                           uint64_t wall_ms,
                                           struct km_record *ret_record);
