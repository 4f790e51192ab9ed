/* SPDX-License-Identifier: MIT */
/*
 * Reads arbitrary bytes as each of the answers of etcd. The first byte says as
 * which one. Every part that is believed must lie inside the input and keep the promises of
 * membership/etcd_answer.h.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "membership/etcd_answer.h"

#include <stdlib.h>

#define PREFIX "/kamacache/v1/t/"

static void check_inside(kama_bytes part, kama_bytes input)
{
    const uint8_t *data = part.data;
    const uint8_t *begin = input.data;
    KM_ASSERT(part.len == 0 ||
              (data >= begin && data + part.len <= begin + input.len));
}

static void check_record(const struct km_registry_record *record,
                         kama_bytes input)
{
    check_inside(record->key, input);
    check_inside(record->value, input);
    KM_ASSERT(record->key.len > 0 && record->mod_revision > 0);
    KM_ASSERT(!record->deleted || record->value.len == 0);
}

static void read_txn(kama_bytes input)
{
    enum km_registry_verdict verdict;
    struct km_registry_record found;
    if (km_etcd_answer_txn(input, &verdict, &found) == KAMA_OK &&
        found.key.len > 0) {
        KM_ASSERT(verdict == KM_REGISTRY_REFUSED);
        check_record(&found, input);
    }
}

static void read_list(kama_bytes input)
{
    struct km_etcd_records records = {0};
    int64_t revision = 0;
    const kama_allocator *mem = km_mem_default();
    if (km_etcd_answer_list(input, KM_LIT(PREFIX), mem, &records, &revision) ==
        KAMA_OK) {
        KM_ASSERT(revision > 0 && records.count <= KM_ETCD_RECORDS_MAX);
        for (size_t i = 0; i < records.count; i++) {
            check_record(&records.at[i], input);
        }
    }
    km_etcd_records_fini(&records, mem);
}

static void read_leases(kama_bytes input)
{
    int64_t lease = 0;
    int64_t ttl_ms = 0;
    if (km_etcd_answer_grant(input, &lease, &ttl_ms) == KAMA_OK) {
        KM_ASSERT(lease != 0 && ttl_ms > 0);
        KM_ASSERT(km_etcd_answer_lease(input, lease, &ttl_ms) == KAMA_OK);
    }
    if (km_etcd_answer_lease(input, 7, &ttl_ms) == KAMA_OK) {
        KM_ASSERT(ttl_ms >= -1 && ttl_ms <= KM_ETCD_TTL_S_MAX * 1000);
    }
}

static void read_login(kama_bytes input)
{
    kama_bytes token;
    if (km_etcd_answer_login(input, &token) == KAMA_OK) {
        check_inside(token, input);
        KM_ASSERT(token.len > 0 && token.len <= KM_ETCD_TOKEN_BYTES_MAX);
    }
}

static void read_watch(kama_bytes input)
{
    struct km_etcd_watch_answer answer;
    kama_bytes event;
    if (km_etcd_answer_watch(input, &answer) != KAMA_OK) {
        return;
    }
    check_inside(answer.cancel_reason, input);
    while (km_pb_next(&answer.events, &event)) {
        struct km_registry_record record;
        check_inside(event, input);
        if (km_etcd_answer_event(event, KM_LIT(PREFIX), &record) == KAMA_OK) {
            check_record(&record, input);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(kama_bytes input) = {
        read_txn, read_list, read_leases, read_login, read_watch};
    if (size > 0) {
        /* A copy of the exact size lets ASan see every byte past the end. */
        uint8_t *copy = malloc(size);
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, data, size);
        readers[copy[0] % (sizeof readers / sizeof readers[0])](
            kama_bytes_make(copy + 1, size - 1));
        free(copy);
    }
    return 0;
}
