/* SPDX-License-Identifier: MIT */
/* The work of one question is made on the thread of the port, filled in by the thread
 * that has the answers, and finished on the thread of the port. */
#include "admin/explain.h"

#include "admin/json.h"
#include "admin/keys.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "group/group.h"
#include "wire/msg/diagnose.h"

struct work {
    struct km_admin_later later;
    const kama_allocator *mem;
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX]; /* of an error */
    struct km_buf response;
    const char *group;
    size_t key_len;
    uint8_t key[];
};

/* -- JSON ------------------------------------------------------------------------ */

/* A word, or null for "not known". */
static json_t *word_json(const char *word)
{
    return strcmp(word, "unknown") == 0 ? json_null() : json_string(word);
}

static void set_status(struct km_admin_json *json, const char *name,
                       int32_t status)
{
    km_admin_json_text(json, name, kama_status_name((kama_status)status));
}

static json_t *held_json(const struct km_msg_copy *copy)
{
    return km_msg_copy_is_known(copy) ? json_boolean(km_msg_copy_is_held(copy))
                                      : json_null();
}

/* null: there is none. */
static json_t *version_json(const struct km_msg_version *version)
{
    struct km_admin_json json;
    if (version->origin.len == 0) {
        return json_null();
    }
    km_admin_json_begin(&json);
    km_admin_json_uint(&json, "unix_ms", version->unix_ms);
    km_admin_json_uint(&json, "counter", version->counter);
    km_admin_json_id(&json, "origin", version->origin.data,
                     version->origin.len);
    km_admin_json_bytes(&json, "address", version->address);
    return km_admin_json_end(&json);
}

static json_t *record_json(const struct km_msg_key_record *record)
{
    struct km_admin_json json;
    if (record->operation.len == 0) {
        return json_null();
    }
    km_admin_json_begin(&json);
    km_admin_json_bytes(&json, "operation", record->operation);
    km_admin_json_id(&json, "origin", record->origin.data, record->origin.len);
    km_admin_json_uint(&json, "age_ms", record->age_ms);
    km_admin_json_uint(&json, "seq", record->seq);
    km_admin_json_set(&json, "version", version_json(&record->version));
    return km_admin_json_end(&json);
}

static void set_entry(struct km_admin_json *json,
                      const struct km_msg_copy *copy)
{
    km_admin_json_set(json, "held", held_json(copy));
    km_admin_json_bool(json, "negative", copy->status == KAMA_MISS);
    km_admin_json_set(json, "kind",
                      word_json(km_msg_copy_kind_name(copy->kind)));
    km_admin_json_set(json, "absence",
                      word_json(km_msg_absence_name(copy->absence)));
    km_admin_json_set(json, "age_ms",
                      copy->age_ms > 0 ? json_integer((json_int_t)copy->age_ms)
                                       : json_null());
    km_admin_json_set(json, "ttl_ms",
                      km_msg_copy_is_held(copy) ? json_integer(copy->ttl_ms)
                                                : json_null());
    km_admin_json_uint(json, "value_bytes", copy->value_bytes);
    km_admin_json_uint(json, "version", copy->version);
    km_admin_json_set(json, "stamp", version_json(&copy->stamp));
    km_admin_json_set(json, "record", record_json(&copy->record));
}

static void set_get(struct km_admin_json *json, const struct km_msg_copy *copy)
{
    km_admin_json_text(json, "get", km_msg_get_action_name(copy->get));
    km_admin_json_bytes(json, "get_peer", copy->get_peer);
    set_status(json, "get_status", copy->get_status);
    km_admin_json_bytes(json, "reason", copy->reason);
    km_admin_json_bool(json, "loading", copy->loading);
    km_admin_json_uint(json, "waiters", copy->waiters);
}

static json_t *copy_json(const struct km_msg_copy *copy)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_bytes(&json, "address", copy->address);
    km_admin_json_id(&json, "id", copy->id.data, copy->id.len);
    km_admin_json_text(&json, "state", km_msg_member_state_name(copy->state));
    km_admin_json_uint(&json, "rank", copy->rank);
    km_admin_json_view(&json, "view_id", copy->view_id);
    set_status(&json, "status", copy->status);
    set_entry(&json, copy);
    set_get(&json, copy);
    return km_admin_json_end(&json);
}

static json_t *copies_json(struct km_pb_list copies)
{
    kama_bytes element;
    struct km_msg_copy copy;
    json_t *array = json_array();
    while (array != NULL && km_pb_next(&copies, &element)) {
        if (km_pb_decode(&km_msg_copy_pb, element, &copy) != KAMA_OK ||
            json_array_append_new(array, copy_json(&copy)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *addresses_json(struct km_pb_list addresses)
{
    kama_bytes element;
    json_t *array = json_array();
    while (array != NULL && km_pb_next(&addresses, &element)) {
        if (json_array_append_new(array, km_admin_json_string(element)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *owner_json(const struct km_msg_owner_response *owner)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_set(&json, "addresses", addresses_json(owner->addresses));
    km_admin_json_id(&json, "owner_id", owner->owner_id.data,
                     owner->owner_id.len);
    km_admin_json_uint(&json, "slot", owner->slot);
    km_admin_json_view(&json, "view_id", owner->view_id);
    km_admin_json_bool(&json, "self", owner->self);
    return km_admin_json_end(&json);
}

/* -- the work --------------------------------------------------------------------- */

static void show(const struct work *work, struct km_admin_reply *reply)
{
    struct km_msg_explain_response response;
    struct km_admin_json json;
    if (km_pb_decode(&km_msg_explain_response_pb, km_buf_bytes(&work->response),
                     &response) != KAMA_OK) {
        km_admin_reply_error(reply, KAMA_ERR_INTERNAL, 500,
                             "the answers cannot be decoded");
        return;
    }
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "group", work->group);
    km_admin_json_key(&json, kama_bytes_make(work->key, work->key_len));
    km_admin_json_set(&json, "owner", owner_json(&response.owner));
    km_admin_json_set(&json, "copies", copies_json(response.copies));
    km_admin_reply_json(reply, km_admin_json_end(&json));
}

static void finish(struct km_admin_later *later, struct km_admin_reply *reply)
{
    struct work *work = KM_CONTAINER_OF(later, struct work, later);
    if (reply != NULL && work->status == KAMA_OK) {
        show(work, reply);
    } else if (reply != NULL) {
        km_admin_reply_fail(reply, km_fail(work->status, "%s", work->sentence));
    }
    km_buf_fini(&work->response);
    km_mem_free(work->mem, work);
}

static void on_explained(void *arg, kama_status status, kama_bytes response)
{
    struct work *work = arg;
    work->status = status;
    if (status == KAMA_OK) {
        work->status =
            km_buf_append(&work->response, response.data, response.len);
    }
    (void)km_text_printf(work->sentence, sizeof work->sentence, "%s",
                         kama_strerror(work->status));
    km_admin_later_done(&work->later);
}

static kama_status start(const struct km_admin_context *context,
                         struct km_admin_reply *reply, kama_group *group,
                         kama_bytes key)
{
    const struct km_admin_source *source = context->source;
    const kama_allocator *mem = reply->body.mem;
    struct work *work = km_mem_zalloc(mem, 1, sizeof *work + key.len);
    if (work == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a question");
    }
    work->mem = mem;
    work->group = kama_group_name(group);
    work->key_len = key.len;
    memcpy(work->key, key.data, key.len);
    km_buf_init(&work->response, mem, SIZE_MAX);
    km_admin_later_init(&work->later, context->laters, finish);
    km_admin_reply_wait(reply, &work->later);
    kama_status status = source->ops->explain(
        source->arg, group, kama_bytes_make(work->key, work->key_len),
        on_explained, work);
    if (status != KAMA_OK) {
        work->status = status;
        (void)km_text_printf(work->sentence, sizeof work->sentence, "%s",
                             km_last_error());
        km_admin_later_done(&work->later);
    }
    return KAMA_OK;
}

void km_admin_explain(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    char text[KM_KEY_BYTES_MAX];
    kama_group *group;
    kama_bytes key;
    kama_status status = km_admin_key_of(context, text, &group, &key);
    if (status == KAMA_OK && context->laters == NULL) {
        status = km_fail(KAMA_ERR_CLOSED, "the port is about to close");
    }
    if (status == KAMA_OK) {
        status = start(context, reply, group, key);
    }
    if (status != KAMA_OK) {
        km_admin_reply_fail(reply, status);
    }
}
