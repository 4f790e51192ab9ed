/* SPDX-License-Identifier: MIT */
#include "admin/keys.h"

#include "admin/group.h"
#include "admin/json.h"
#include "admin/query.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/status.h"
#include "group/explain.h"
#include "group/scan_cursor.h"

#include <stdio.h>

static void set_entry(struct km_admin_json *json, const kama_entry *entry)
{
    km_admin_json_uint(json, "value_bytes", entry->value_bytes);
    km_admin_json_int(json, "ttl_ms", entry->ttl_ms);
    km_admin_json_uint(json, "version", entry->version);
}

/* -- the parameters of a list ---------------------------------------------------- */

struct listing {
    kama_group *group;
    char glob[KM_GLOB_BYTES_MAX];
    size_t glob_len;
    uint64_t limit;
    uint64_t place; /* of the next entry; 0: the begin, and the end */
    json_t *keys;
    uint64_t count;
    size_t bytes; /* of the keys so far */
    bool failed;
};

/* Makes a glob that matches the keys with that prefix. */
static kama_status glob_of_prefix(struct listing *l, kama_bytes prefix)
{
    const char *p = prefix.data;
    size_t n = 0;
    for (size_t i = 0; i < prefix.len; i++) {
        if (n + 3 > sizeof l->glob) {
            return km_fail(KAMA_ERR_TOO_LARGE,
                           "prefix: as a glob it has more than %d bytes",
                           KM_GLOB_BYTES_MAX);
        }
        if (p[i] != '\0' && strchr("*?[]\\^-", p[i]) != NULL) {
            l->glob[n++] = '\\';
        }
        l->glob[n++] = p[i];
    }
    l->glob[n++] = '*';
    l->glob_len = n;
    return KAMA_OK;
}

static kama_status read_pattern(kama_bytes query, struct listing *l)
{
    char prefix[KM_GLOB_BYTES_MAX];
    kama_bytes value;
    kama_status with_glob =
        km_admin_query_get(query, "glob", l->glob, sizeof l->glob, &value);
    if (with_glob == KAMA_OK) {
        l->glob_len = value.len;
    } else if (with_glob != KAMA_MISS) {
        return with_glob;
    }
    kama_status status =
        km_admin_query_get(query, "prefix", prefix, sizeof prefix, &value);
    if (status != KAMA_OK) {
        return status == KAMA_MISS ? KAMA_OK : status;
    }
    return with_glob == KAMA_MISS
               ? glob_of_prefix(l, value)
               : km_fail(KAMA_ERR_INVALID,
                         "prefix, glob: there is one of them or none");
}

static kama_status read_limit(kama_bytes query, struct listing *l)
{
    char text[24];
    kama_bytes value;
    l->limit = KM_ADMIN_KEYS_DEFAULT;
    kama_status status =
        km_admin_query_get(query, "limit", text, sizeof text - 1, &value);
    if (status != KAMA_OK) {
        return status == KAMA_MISS ? KAMA_OK : status;
    }
    text[value.len] = '\0';
    if (strlen(text) != value.len) {
        return km_fail(KAMA_ERR_INVALID, "limit: it has a NUL");
    }
    status = km_parse_uint(text, 1, KM_ADMIN_KEYS_MAX, &l->limit);
    return status == KAMA_OK ? KAMA_OK
                             : km_fail(status, "limit: %s", km_last_error());
}

/* Reads pairs of hexadecimal digits. Returns false if they are none. */
static bool read_hex(kama_bytes text, uint8_t bytes[KM_SCAN_CURSOR_BYTES])
{
    const char *p = text.data;
    for (size_t i = 0; i < KM_SCAN_CURSOR_BYTES; i++) {
        unsigned byte;
        char pair[3] = {p[2 * i], p[2 * i + 1], '\0'};
        char end;
        if (strspn(pair, "0123456789abcdef") != 2 ||
            sscanf(pair, "%x%c", &byte, &end) != 1) {
            return false;
        }
        bytes[i] = (uint8_t)byte;
    }
    return true;
}

static kama_status read_cursor(kama_bytes query, struct listing *l)
{
    char text[2 * KM_SCAN_CURSOR_BYTES];
    uint8_t bytes[KM_SCAN_CURSOR_BYTES];
    kama_bytes value;
    kama_status status =
        km_admin_query_get(query, "cursor", text, sizeof text, &value);
    if (status == KAMA_MISS || (status == KAMA_OK && value.len == 0)) {
        return KAMA_OK;
    }
    if (status != KAMA_OK || value.len != sizeof text ||
        !read_hex(value, bytes)) {
        return km_fail(KAMA_ERR_INVALID,
                       "cursor: it is not one that an earlier list has had");
    }
    return km_scan_cursor_read(l->group, kama_bytes_make(bytes, sizeof bytes),
                               &l->place);
}

static kama_status read_listing(const struct km_admin_context *context,
                                struct listing *l)
{
    kama_status status =
        km_admin_group_of(context, KM_ADMIN_REQUIRED, &l->group);
    if (status == KAMA_OK) {
        status = read_pattern(context->query, l);
    }
    if (status == KAMA_OK) {
        status = read_limit(context->query, l);
    }
    return status == KAMA_OK ? read_cursor(context->query, l) : status;
}

/* -- the list -------------------------------------------------------------------- */

static bool is_full(const struct listing *l)
{
    return l->failed || l->count >= l->limit ||
           l->bytes >= KM_ADMIN_KEYS_BYTES_MAX;
}

static int on_entry(void *arg, const kama_entry *entry)
{
    struct listing *l = arg;
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_key(&json, entry->key);
    set_entry(&json, entry);
    if (json_array_append_new(l->keys, km_admin_json_end(&json)) != 0) {
        l->failed = true;
    }
    l->count++;
    l->bytes += entry->key.len;
    return is_full(l);
}

/* A glob can make each call compare millions of bytes. Whoever else asks this port
 * waits meanwhile. */
static kama_status scan(struct listing *l)
{
    const struct km_clock *clock = km_clock_system();
    km_ns deadline = km_ns_after_ms(km_clock_mono(clock), KM_ADMIN_SCAN_MS);
    kama_bytes glob = kama_bytes_make(l->glob, l->glob_len);
    for (unsigned i = 0; i < KM_ADMIN_SCANS_MAX; i++) {
        kama_status status = kama_scan(l->group, &l->place, glob, on_entry, l);
        if (status != KAMA_OK || l->place == 0 || is_full(l) ||
            km_clock_mono(clock) >= deadline) {
            return status;
        }
    }
    return KAMA_OK;
}

static void set_cursor(struct km_admin_json *json, const struct listing *l)
{
    uint8_t bytes[KM_SCAN_CURSOR_BYTES];
    if (l->place == 0) {
        km_admin_json_text(json, "cursor", "");
        return;
    }
    km_scan_cursor_write(l->group, l->place, bytes);
    km_admin_json_id(json, "cursor", bytes, sizeof bytes);
}

void km_admin_keys(const struct km_admin_context *context,
                   struct km_admin_reply *reply)
{
    struct listing l = {.count = 0};
    struct km_admin_json json;
    kama_status status = read_listing(context, &l);
    if (status != KAMA_OK) {
        km_admin_reply_fail(reply, status);
        return;
    }
    l.keys = json_array();
    status = scan(&l);
    km_admin_json_begin(&json);
    json.failed |= l.failed;
    set_cursor(&json, &l);
    km_admin_json_set(&json, "keys", l.keys);
    json_t *made = km_admin_json_end(&json);
    if (status == KAMA_OK) {
        km_admin_reply_json(reply, made);
    } else {
        json_decref(made);
        km_admin_reply_fail(reply, status);
    }
}

/* -- one key --------------------------------------------------------------------- */

static void on_owner(void *arg, const kama_owner *owner)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_texts(&json, "addresses", owner->addresses,
                        owner->address_count);
    km_admin_json_id(&json, "owner_id", owner->id, sizeof owner->id);
    km_admin_json_uint(&json, "slot", owner->slot);
    km_admin_json_view(&json, "view_id", owner->view_id);
    km_admin_json_bool(&json, "self", owner->self);
    km_admin_json_set(arg, "owner", km_admin_json_end(&json));
}

static void set_found(struct km_admin_json *json,
                      const struct km_explain *known)
{
    const kama_entry entry = {.value_bytes = known->value_bytes,
                              .version = known->version,
                              .ttl_ms = known->ttl_ms};
    bool found = known->presence == KM_STORE_VALUE;
    km_admin_json_bool(json, "found", found);
    if (found) {
        set_entry(json, &entry);
    }
}

static void show_key(const struct km_admin_context *context,
                     struct km_admin_reply *reply, kama_group *group,
                     kama_bytes key)
{
    const struct km_admin_source *source = context->source;
    struct km_admin_json json;
    struct km_explain known;
    kama_status status = km_group_explain(group, key, &known);
    if (status != KAMA_OK) {
        km_admin_reply_fail(reply, status);
        return;
    }
    km_admin_json_begin(&json);
    km_admin_json_key(&json, key);
    set_found(&json, &known);
    status = source->ops->owner(source->arg, kama_group_name(group), key,
                                on_owner, &json);
    json.failed |= status != KAMA_OK;
    km_admin_reply_json(reply, km_admin_json_end(&json));
}

kama_status km_admin_key_of(const struct km_admin_context *context,
                            char text[KM_KEY_BYTES_MAX], kama_group **ret_group,
                            kama_bytes *ret_key)
{
    kama_status status =
        km_admin_group_of(context, KM_ADMIN_REQUIRED, ret_group);
    if (status == KAMA_OK) {
        status = km_admin_query_get(context->query, "key", text,
                                    KM_KEY_BYTES_MAX, ret_key);
    }
    return status != KAMA_MISS
               ? status
               : km_fail(KAMA_ERR_INVALID, "key: the parameter is missing; "
                                           "?group=NAME&key=KEY");
}

void km_admin_key(const struct km_admin_context *context,
                  struct km_admin_reply *reply)
{
    char text[KM_KEY_BYTES_MAX];
    kama_group *group;
    kama_bytes key;
    kama_status status = km_admin_key_of(context, text, &group, &key);
    if (status == KAMA_OK) {
        show_key(context, reply, group, key);
    } else {
        km_admin_reply_fail(reply, status);
    }
}
