/* SPDX-License-Identifier: MIT */
/* All answers are checked here, in one place, so that the other files may believe
 * the numbers and the keys that they are given. */
#include "membership/etcd_answer.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"

#define RECORDS_MIN 16

static kama_status malformed(const char *what)
{
    return km_fail(KAMA_ERR_MALFORMED, "%s cannot be decoded", what);
}

static kama_status strange(const char *what)
{
    return km_fail(KAMA_ERR_PROTOCOL, "not an answer of etcd: %s", what);
}

/* -- records ------------------------------------------------------------- */

kama_status km_etcd_records_add(struct km_etcd_records *records,
                                const kama_allocator *mem,
                                const struct km_registry_record *record)
{
    if (records->count == KM_ETCD_RECORDS_MAX) {
        return km_fail(
            KAMA_ERR_TOO_LARGE,
            "more than " KM_TEXT_OF(
                KM_ETCD_RECORDS_MAX) " keys; "
                                     "delete those that do not belong there");
    }
    if (records->count == records->cap) {
        size_t cap = records->cap == 0 ? RECORDS_MIN : 2 * records->cap;
        void *at = km_mem_resize(mem, records->at, cap * sizeof records->at[0]);
        if (at == NULL) {
            return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu records",
                           cap);
        }
        records->at = at;
        records->cap = cap;
    }
    records->at[records->count++] = *record;
    return KAMA_OK;
}

void km_etcd_records_fini(struct km_etcd_records *records,
                          const kama_allocator *mem)
{
    km_mem_free(mem, records->at);
    *records = (struct km_etcd_records){0};
}

static struct km_registry_record record_of(const struct km_etcd_key_value *kv)
{
    return (struct km_registry_record){.key = kv->key,
                                       .value = kv->value,
                                       .create_revision = kv->create_revision,
                                       .mod_revision = kv->mod_revision,
                                       .version = kv->version,
                                       .lease = kv->lease};
}

static kama_status read_record(kama_bytes bytes, kama_bytes prefix,
                               struct km_registry_record *ret_record)
{
    struct km_etcd_key_value kv;
    if (km_pb_decode(&km_etcd_key_value_pb, bytes, &kv) != KAMA_OK) {
        return malformed("a record");
    }
    if (kv.key.len == 0 || !km_bytes_starts(kv.key, prefix)) {
        return strange("a key that was not asked for");
    }
    if (kv.mod_revision <= 0) {
        return strange("a record without a revision");
    }
    *ret_record = record_of(&kv);
    return KAMA_OK;
}

/* -- KV ------------------------------------------------------------------ */

/* Reads the record that the other branch of a transaction has found. */
static kama_status read_found(struct km_pb_list answers,
                              struct km_registry_record *ret_found)
{
    kama_bytes element;
    struct km_etcd_step_answer step;
    *ret_found = (struct km_registry_record){0};
    if (!km_pb_next(&answers, &element)) {
        return KAMA_OK; /* it had no other branch */
    }
    if (km_pb_decode(&km_etcd_step_answer_pb, element, &step) != KAMA_OK) {
        return malformed("a step of a transaction");
    }
    return km_pb_next(&step.range.kvs, &element)
               ? read_record(element, kama_bytes_make(NULL, 0), ret_found)
               : KAMA_OK;
}

kama_status km_etcd_answer_txn(kama_bytes answer,
                               enum km_registry_verdict *ret_verdict,
                               struct km_registry_record *ret_found)
{
    struct km_etcd_txn_answer txn;
    if (km_pb_decode(&km_etcd_txn_answer_pb, answer, &txn) != KAMA_OK) {
        return malformed("the answer of a transaction");
    }
    if (txn.header.revision <= 0) {
        return strange("a transaction without a revision");
    }
    *ret_verdict = txn.succeeded ? KM_REGISTRY_DONE : KM_REGISTRY_REFUSED;
    *ret_found = (struct km_registry_record){0};
    return txn.succeeded ? KAMA_OK : read_found(txn.answers, ret_found);
}

/* Adds the records that one step of a transaction has read. */
static kama_status add_step(kama_bytes element, const kama_allocator *mem,
                            struct km_etcd_records *ret_records)
{
    struct km_etcd_step_answer step;
    kama_status status = KAMA_OK;
    if (km_pb_decode(&km_etcd_step_answer_pb, element, &step) != KAMA_OK) {
        return malformed("a step of a transaction");
    }
    while (status == KAMA_OK && km_pb_next(&step.range.kvs, &element)) {
        struct km_registry_record record;
        status = read_record(element, kama_bytes_make(NULL, 0), &record);
        if (status == KAMA_OK) {
            status = km_etcd_records_add(ret_records, mem, &record);
        }
    }
    return status;
}

kama_status km_etcd_answer_claim(kama_bytes answer, const kama_allocator *mem,
                                 enum km_registry_verdict *ret_verdict,
                                 struct km_etcd_records *ret_records,
                                 int64_t *ret_revision)
{
    struct km_etcd_txn_answer txn;
    kama_bytes element;
    kama_status status = KAMA_OK;
    if (km_pb_decode(&km_etcd_txn_answer_pb, answer, &txn) != KAMA_OK) {
        return malformed("the answer of a transaction");
    }
    if (txn.header.revision <= 0) {
        return strange("a transaction without a revision");
    }
    *ret_verdict = txn.succeeded ? KM_REGISTRY_DONE : KM_REGISTRY_REFUSED;
    *ret_revision = txn.header.revision;
    while (status == KAMA_OK && km_pb_next(&txn.answers, &element)) {
        status = add_step(element, mem, ret_records);
    }
    return status;
}

kama_status km_etcd_answer_list(kama_bytes answer, kama_bytes prefix,
                                const kama_allocator *mem,
                                struct km_etcd_records *ret_records,
                                int64_t *ret_revision)
{
    struct km_etcd_range_answer range;
    kama_bytes element;
    kama_status status = KAMA_OK;
    if (km_pb_decode(&km_etcd_range_answer_pb, answer, &range) != KAMA_OK) {
        return malformed("the answer of a Range");
    }
    if (range.header.revision <= 0) {
        return strange("a Range without a revision");
    }
    while (status == KAMA_OK && km_pb_next(&range.kvs, &element)) {
        struct km_registry_record record;
        status = read_record(element, prefix, &record);
        if (status == KAMA_OK) {
            status = km_etcd_records_add(ret_records, mem, &record);
        }
    }
    if (status == KAMA_OK && range.more) {
        status = strange("a part of the records");
    }
    *ret_revision = range.header.revision;
    return status;
}

/* -- leases and users ---------------------------------------------------- */

static kama_status read_lease(kama_bytes answer,
                              struct km_etcd_lease_answer *ret_lease)
{
    if (km_pb_decode(&km_etcd_lease_answer_pb, answer, ret_lease) != KAMA_OK) {
        return malformed("the answer about a lease");
    }
    return ret_lease->ttl > KM_ETCD_TTL_S_MAX
               ? strange("a lease of more than a hundred years")
               : KAMA_OK;
}

kama_status km_etcd_answer_grant(kama_bytes answer, int64_t *ret_lease,
                                 int64_t *ret_ttl_ms)
{
    struct km_etcd_lease_answer lease;
    kama_status status = read_lease(answer, &lease);
    if (status != KAMA_OK) {
        return status;
    }
    if (lease.id == 0 || lease.ttl <= 0) {
        return strange("a lease without an id or a time");
    }
    *ret_lease = lease.id;
    *ret_ttl_ms = lease.ttl * 1000;
    return KAMA_OK;
}

kama_status km_etcd_answer_lease(kama_bytes answer, int64_t lease,
                                 int64_t *ret_ttl_ms)
{
    struct km_etcd_lease_answer message;
    kama_status status = read_lease(answer, &message);
    if (status != KAMA_OK) {
        return status;
    }
    if (message.id != lease) {
        return strange("a lease that was not asked for");
    }
    *ret_ttl_ms =
        message.ttl <= 0 ? (message.ttl < 0 ? -1 : 0) : message.ttl * 1000;
    return KAMA_OK;
}

/* Returns whether the token can travel as the value of a header. */
static bool is_sendable(kama_bytes token)
{
    const uint8_t *bytes = token.data;
    for (size_t i = 0; i < token.len; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') {
            return false;
        }
    }
    return token.len > 0 && token.len <= KM_ETCD_TOKEN_BYTES_MAX;
}

kama_status km_etcd_answer_login(kama_bytes answer, kama_bytes *ret_token)
{
    struct km_etcd_authenticate_answer message;
    if (km_pb_decode(&km_etcd_authenticate_answer_pb, answer, &message) !=
        KAMA_OK) {
        return malformed("the answer of Authenticate");
    }
    if (!is_sendable(message.token)) {
        return strange("a token that cannot be sent");
    }
    *ret_token = message.token;
    return KAMA_OK;
}

/* -- watches ------------------------------------------------------------- */

kama_status km_etcd_answer_watch(kama_bytes answer,
                                 struct km_etcd_watch_answer *ret_answer)
{
    if (km_pb_decode(&km_etcd_watch_answer_pb, answer, ret_answer) != KAMA_OK) {
        return malformed("the answer of a Watch");
    }
    return KAMA_OK;
}

kama_status km_etcd_answer_event(kama_bytes bytes, kama_bytes prefix,
                                 struct km_registry_record *ret_record)
{
    struct km_etcd_event event;
    if (km_pb_decode(&km_etcd_event_pb, bytes, &event) != KAMA_OK) {
        return malformed("an event");
    }
    if (event.type != KM_ETCD_EVENT_PUT && event.type != KM_ETCD_EVENT_DELETE) {
        return strange("an event of an unknown type");
    }
    if (event.kv.key.len == 0 || !km_bytes_starts(event.kv.key, prefix)) {
        return strange("an event of a key that is not watched");
    }
    if (event.kv.mod_revision <= 0) {
        return strange("an event without a revision");
    }
    *ret_record = record_of(&event.kv);
    ret_record->deleted = event.type == KM_ETCD_EVENT_DELETE;
    if (ret_record->deleted) {
        ret_record->value = kama_bytes_make(NULL, 0);
    }
    return KAMA_OK;
}
