/* SPDX-License-Identifier: MIT */
/*
 * Reading the answers of etcd. An endpoint may be anything that listens at the
 * address, so that each answer is checked before it is believed.
 *
 * A record refers to the bytes of the answer. So does everything that is
 * returned, unless it is a number.
 *
 * Threads: pure functions. Errors: KAMA_ERR_MALFORMED (not such a message),
 * KAMA_ERR_PROTOCOL (a message that etcd would not send), KAMA_ERR_TOO_LARGE
 * (more records than KM_ETCD_RECORDS_MAX), KAMA_ERR_NO_MEMORY; all with a
 * sentence (km_last_error). Cost: O(bytes).
 */
#pragma once

#include "membership/registry.h"
#include "wire/msg/etcd.h"

/* A growing array of records. A zeroed array is empty. */
struct km_etcd_records {
    struct km_registry_record *at;
    size_t count;
    size_t cap;
};

/* Appends a record. */
KAMA_NODISCARD kama_status
km_etcd_records_add(struct km_etcd_records *records, const kama_allocator *mem,
                    const struct km_registry_record *record);
/* Frees the array and zeroes the structure. */
void km_etcd_records_fini(struct km_etcd_records *records,
                          const kama_allocator *mem);

/* Reads the answer of a claim: the records that it has read, and its revision.
 * The array is the caller's also after an error. */
KAMA_NODISCARD kama_status km_etcd_answer_claim(
    kama_bytes answer, const kama_allocator *mem,
    enum km_registry_verdict *ret_verdict, struct km_etcd_records *ret_records,
    int64_t *ret_revision);

/* Reads the answer of a transaction. If it was refused, the record that its
 * other branch has read is returned; its key is empty if there is none. */
KAMA_NODISCARD kama_status
km_etcd_answer_txn(kama_bytes answer, enum km_registry_verdict *ret_verdict,
                   struct km_registry_record *ret_found);

/* Reads the answer of a Range over the prefix. The array is the caller's also
 * after an error. */
KAMA_NODISCARD kama_status km_etcd_answer_list(
    kama_bytes answer, kama_bytes prefix, const kama_allocator *mem,
    struct km_etcd_records *ret_records, int64_t *ret_revision);

/* Reads the answer of LeaseGrant. */
KAMA_NODISCARD kama_status km_etcd_answer_grant(kama_bytes answer,
                                                int64_t *ret_lease,
                                                int64_t *ret_ttl_ms);
/* Reads the answer of LeaseKeepAlive or LeaseTimeToLive about `lease`. A lease
 * that is gone has a time of 0 or less, as etcd said. */
KAMA_NODISCARD kama_status km_etcd_answer_lease(kama_bytes answer,
                                                int64_t lease,
                                                int64_t *ret_ttl_ms);
/* Reads the answer of Authenticate. */
KAMA_NODISCARD kama_status km_etcd_answer_login(kama_bytes answer,
                                                kama_bytes *ret_token);

/* Reads one answer of a watch. */
KAMA_NODISCARD kama_status km_etcd_answer_watch(
    kama_bytes answer, struct km_etcd_watch_answer *ret_answer);
/* Reads one event of a watch over the prefix. */
KAMA_NODISCARD kama_status km_etcd_answer_event(
    kama_bytes event, kama_bytes prefix, struct km_registry_record *ret_record);
