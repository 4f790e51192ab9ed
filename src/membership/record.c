/* SPDX-License-Identifier: MIT */
/* Records of members to JSON and back. */
#include "membership/record.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/version.h"

#include <jansson.h>

static kama_status junk(const char *what, const char *why)
{
    return km_fail(KAMA_ERR_MALFORMED, "the record of a member: %s: %s", what,
                   why);
}

/* -- writing --------------------------------------------------------------- */

static json_t *id_json(const struct km_member_id *id)
{
    char text[KM_MEMBER_ID_TEXT_BYTES];
    return json_string(km_member_id_format(id, text));
}

static json_t *labels_json(const struct km_member *m)
{
    json_t *labels = json_array();
    for (size_t i = 0; labels != NULL && i < m->label_count; i++) {
        if (json_array_append_new(labels, json_string(m->labels[i])) != 0) {
            json_decref(labels);
            return NULL;
        }
    }
    return labels;
}

/* No life before is null. */
static json_t *prev_json(const struct km_member_goodbye *prev)
{
    return km_member_id_is_none(&prev->id)
               ? json_null()
               : json_pack("{s:o, s:I, s:I, s:b}", "id", id_json(&prev->id),
                           "final_seq", (json_int_t)prev->final_seq, "clock",
                           (json_int_t)prev->clock, "originated",
                           prev->originated);
}

/* json_pack takes the pieces, also when one of them is NULL. */
static json_t *record_json(const struct km_record *record)
{
    const struct km_member *m = &record->member;
    return json_pack(
        "{s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:i, s:[i, i], s:s,"
        " s:I, s:I, s:o}",
        "cluster", record->cluster, "nonce", id_json(&record->nonce), "id",
        id_json(&m->id), "addr", m->address, "admin", m->admin, "state",
        km_member_state_name(m->state), "labels", labels_json(m), "weight",
        (int)m->weight, "proto", KM_MEMBER_PROTO_MIN, KM_MEMBER_PROTO_MAX,
        "version", m->version, "final_seq", (json_int_t)m->final_seq, "clock",
        (json_int_t)m->clock, "prev", prev_json(&m->prev));
}

static int append_to_buf(const char *text, size_t len, void *arg)
{
    return km_buf_append(arg, text, len) == KAMA_OK ? 0 : -1;
}

kama_status km_record_format(const struct km_record *record, struct km_buf *buf)
{
    json_t *json = record_json(record);
    int failed = json == NULL ||
                 json_dump_callback(json, append_to_buf, buf, JSON_COMPACT);
    json_decref(json);
    if (failed) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a member's record");
    }
    return KAMA_OK;
}

/* -- reading --------------------------------------------------------------- */

/* Returns whether brackets outside strings are nested at most as deep as is
 * permitted: jansson recurses for each level. */
static bool depth_ok(kama_bytes value)
{
    const char *c = value.data;
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < value.len; i++) {
        if (in_string && c[i] == '\\') {
            i++;
        } else if (c[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && (c[i] == '[' || c[i] == '{')) {
            depth++;
            if (depth > KM_MEMBERSHIP_RECORD_DEPTH_MAX) {
                return false;
            }
        } else if (!in_string && depth > 0 && (c[i] == ']' || c[i] == '}')) {
            depth--;
        }
    }
    return true;
}

static kama_status load(kama_bytes value, json_t **ret_json)
{
    json_error_t error;
    if (value.len > KM_MEMBERSHIP_RECORD_BYTES_MAX) {
        return junk("size", "it has more than " KM_TEXT_OF(
                                KM_MEMBERSHIP_RECORD_BYTES_MAX) " bytes");
    }
    if (!depth_ok(value)) {
        return junk("nesting", "it is deeper than " KM_TEXT_OF(
                                   KM_MEMBERSHIP_RECORD_DEPTH_MAX) " levels");
    }
    json_t *json =
        json_loadb(value.data, value.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        return json_error_code(&error) == json_error_out_of_memory
                   ? km_fail(KAMA_ERR_NO_MEMORY, "no memory to parse a record")
                   : junk("JSON", error.text);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return junk("JSON", "it is not an object");
    }
    *ret_json = json;
    return KAMA_OK;
}

/* Copies the text of a member, which may be missing if `missing` is a text. */
static kama_status read_text(const json_t *json, const char *name,
                             const char *missing, char *to, size_t cap)
{
    const json_t *text = json_object_get(json, name);
    if (text == NULL && missing == NULL) {
        return junk(name, "it is missing");
    }
    if (text != NULL && !json_is_string(text)) {
        return junk(name, "it is not a string");
    }
    const char *from = text != NULL ? json_string_value(text) : missing;
    if (strlen(from) >= cap) {
        return junk(name, "it is too long");
    }
    memcpy(to, from, strlen(from) + 1);
    return KAMA_OK;
}

static kama_status read_id(const json_t *json, const char *name,
                           struct km_member_id *ret_id)
{
    char text[KM_MEMBER_ID_TEXT_BYTES];
    kama_status status = read_text(json, name, NULL, text, sizeof text);
    if (status != KAMA_OK) {
        return status;
    }
    if (!km_member_id_parse(KAMA_STR(text), ret_id) ||
        km_member_id_is_none(ret_id)) {
        return junk(name, "it is not an id of 32 hexadecimal digits");
    }
    return KAMA_OK;
}

static kama_status read_state(const json_t *json, struct km_member *m)
{
    char text[16];
    kama_status status = read_text(json, "state", NULL, text, sizeof text);
    if (status == KAMA_OK &&
        !km_member_state_parse(KAMA_STR(text), &m->state)) {
        status = junk("state", "it is not joining, active or leaving");
    }
    return status;
}

static kama_status read_weight(const json_t *json, struct km_member *m)
{
    const json_t *weight = json_object_get(json, "weight");
    json_int_t number = json_integer_value(weight);
    if (!json_is_integer(weight) || number < 1 ||
        number > KM_MEMBER_WEIGHT_MAX) {
        return junk("weight", "it is not a number from 1 to " KM_TEXT_OF(
                                  KM_MEMBER_WEIGHT_MAX));
    }
    m->weight = (uint32_t)number;
    return KAMA_OK;
}

static kama_status read_labels(const json_t *json, struct km_record *record)
{
    const json_t *labels = json_object_get(json, "labels");
    size_t count = json_array_size(labels);
    if (labels != NULL && !json_is_array(labels)) {
        return junk("labels", "it is not an array");
    }
    if (count > KM_MEMBER_LABELS_MAX) {
        return junk("labels",
                    "there are more than " KM_TEXT_OF(KM_MEMBER_LABELS_MAX));
    }
    for (size_t i = 0; i < count; i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        if (label == NULL || strlen(label) > KM_MEMBER_LABEL_BYTES_MAX) {
            return junk("labels", "one is not a string of at most " KM_TEXT_OF(
                                      KM_MEMBER_LABEL_BYTES_MAX) " bytes");
        }
        memcpy(record->label_texts[i], label, strlen(label) + 1);
        record->labels[i] = record->label_texts[i];
    }
    record->member.label_count = count;
    return KAMA_OK;
}

static kama_status read_address(const json_t *json, kama_bytes key_address,
                                struct km_record *record)
{
    char canonical[KM_MEMBER_ADDRESS_BYTES];
    kama_status status =
        read_text(json, "addr", NULL, record->address, sizeof record->address);
    if (status != KAMA_OK) {
        return status;
    }
    if (!km_bytes_eq(KAMA_STR(record->address), key_address)) {
        return junk("addr", "it is not the address in the key");
    }
    if (km_member_address(record->address, canonical) != KAMA_OK ||
        strcmp(canonical, record->address) != 0) {
        return junk("addr", "it is not a canonical address");
    }
    return KAMA_OK;
}

static kama_status read_texts(const json_t *json, struct km_record *r)
{
    kama_status status =
        read_text(json, "cluster", NULL, r->cluster, sizeof r->cluster);
    if (status == KAMA_OK) {
        status = read_text(json, "admin", "", r->admin, sizeof r->admin);
    }
    if (status == KAMA_OK) {
        status = read_text(json, "version", "", r->version, sizeof r->version);
    }
    return status;
}

/* A number that is missing is 0. */
static kama_status read_number(const json_t *json, const char *name,
                               uint64_t *ret_number)
{
    const json_t *number = json_object_get(json, name);
    if (number != NULL &&
        (!json_is_integer(number) || json_integer_value(number) < 0)) {
        return junk(name, "it is not a number from 0 on");
    }
    *ret_number = (uint64_t)json_integer_value(number);
    return KAMA_OK;
}

static kama_status read_clock(const json_t *json, uint64_t wall_ms,
                              uint64_t *ret_clock)
{
    kama_status status = read_number(json, "clock", ret_clock);
    if (status == KAMA_OK &&
        km_hlc_is_ahead(*ret_clock, wall_ms, KM_MEMBERSHIP_CLOCK_MS)) {
        status =
            junk("clock", "it is more than " KM_TEXT_OF(
                              KM_MEMBERSHIP_CLOCK_MS) " ms ahead of the "
                                                      "clock of this node");
    }
    return status;
}

/* Whether the life before has originated is never guessed. */
static kama_status read_prev(const json_t *json, uint64_t wall_ms,
                             struct km_member_goodbye *prev)
{
    const json_t *object = json_object_get(json, "prev");
    const json_t *originated = json_object_get(object, "originated");
    if (object == NULL || json_is_null(object)) {
        return KAMA_OK;
    }
    if (!json_is_boolean(originated)) {
        return junk("prev", "it is not an object that has \"originated\"");
    }
    prev->originated = json_is_true(originated);
    kama_status status = read_id(object, "id", &prev->id);
    if (status == KAMA_OK) {
        status = read_number(object, "final_seq", &prev->final_seq);
    }
    return status == KAMA_OK ? read_clock(object, wall_ms, &prev->clock)
                             : status;
}

static kama_status read_goodbyes(const json_t *json, uint64_t wall_ms,
                                 struct km_member *m)
{
    kama_status status = read_number(json, "final_seq", &m->final_seq);
    if (status == KAMA_OK) {
        status = read_clock(json, wall_ms, &m->clock);
    }
    return status == KAMA_OK ? read_prev(json, wall_ms, &m->prev) : status;
}

static bool is_version(const json_t *number)
{
    return json_is_integer(number) && json_integer_value(number) >= 0 &&
           json_integer_value(number) <= UINT32_MAX;
}

static kama_status read_proto(const json_t *json, struct km_record *r)
{
    const json_t *range = json_object_get(json, "proto");
    const json_t *min = json_array_get(range, 0);
    const json_t *max = json_array_get(range, 1);
    if (range == NULL) {
        r->proto_min = KM_MEMBER_PROTO_MIN;
        r->proto_max = KM_MEMBER_PROTO_MAX;
        return KAMA_OK;
    }
    if (!is_version(min) || !is_version(max)) {
        return junk("proto", "it is not a range of two numbers from 0 on");
    }
    r->proto_min = (uint32_t)json_integer_value(min);
    r->proto_max = (uint32_t)json_integer_value(max);
    return KAMA_OK;
}

static kama_status read_record(const json_t *json, kama_bytes address,
                               uint64_t wall_ms, struct km_record *r)
{
    kama_status status = read_texts(json, r);
    if (status == KAMA_OK) {
        status = read_address(json, address, r);
    }
    if (status == KAMA_OK) {
        status = read_id(json, "nonce", &r->nonce);
    }
    if (status == KAMA_OK) {
        status = read_id(json, "id", &r->member.id);
    }
    if (status == KAMA_OK) {
        status = read_state(json, &r->member);
    }
    if (status == KAMA_OK) {
        status = read_weight(json, &r->member);
    }
    if (status == KAMA_OK) {
        status = read_proto(json, r);
    }
    if (status == KAMA_OK) {
        status = read_goodbyes(json, wall_ms, &r->member);
    }
    return status == KAMA_OK ? read_labels(json, r) : status;
}

kama_status km_record_parse(kama_bytes value, kama_bytes address,
                            uint64_t wall_ms, struct km_record *ret_record)
{
    json_t *json = NULL;
    kama_status status = load(value, &json);
    if (status != KAMA_OK) {
        return status;
    }
    *ret_record = (struct km_record){.member.weight = 1};
    status = read_record(json, address, wall_ms, ret_record);
    json_decref(json);
    ret_record->member.address = ret_record->address;
    ret_record->member.admin = ret_record->admin;
    ret_record->member.version = ret_record->version;
    ret_record->member.labels = ret_record->labels;
    return status;
}
