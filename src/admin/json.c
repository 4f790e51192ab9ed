/* SPDX-License-Identifier: MIT */
#include "admin/json.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

void km_admin_json_begin(struct km_admin_json *json)
{
    json->object = json_object();
    json->failed = json->object == NULL;
}

json_t *km_admin_json_end(struct km_admin_json *json)
{
    if (json->failed) {
        json_decref(json->object);
        json->object = NULL;
    }
    return json->object;
}

void km_admin_json_set(struct km_admin_json *json, const char *name,
                       json_t *value)
{
    if (json_object_set_new(json->object, name, value) != 0) {
        json->failed = true;
    }
}

/* Makes a text of any bytes. It may end within a character, which a text that was
 * cut would not show. */
static json_t *shown(kama_bytes bytes)
{
    char text[4 * KM_KEY_BYTES_MAX + 1]; /* each byte as \xNN */
    const uint8_t *p = bytes.data;
    kama_bytes whole =
        kama_bytes_make(bytes.data, bytes.len - km_bytes_utf8_tail(bytes));
    size_t len = km_text_clean(whole, text, sizeof text);
    for (size_t i = whole.len; i < bytes.len && len + 4 < sizeof text; i++) {
        len += km_bytes_quote_byte(p[i], text + len);
    }
    return json_stringn(text, len);
}

/* Names come from settings, which need not be UTF-8 as JSON is. */
static json_t *text_of(const char *text)
{
    json_t *exact = json_string(text);
    return exact != NULL ? exact : shown(KAMA_STR(text));
}

void km_admin_json_text(struct km_admin_json *json, const char *name,
                        const char *text)
{
    km_admin_json_set(json, name, text_of(text));
}

static json_t *number_of(uint64_t number)
{
    return json_integer(number < INT64_MAX ? (json_int_t)number : INT64_MAX);
}

void km_admin_json_uint(struct km_admin_json *json, const char *name,
                        uint64_t number)
{
    km_admin_json_set(json, name, number_of(number));
}

void km_admin_json_int(struct km_admin_json *json, const char *name,
                       int64_t number)
{
    km_admin_json_set(json, name, json_integer(number));
}

void km_admin_json_bool(struct km_admin_json *json, const char *name,
                        bool value)
{
    km_admin_json_set(json, name, json_boolean(value));
}

void km_admin_json_texts(struct km_admin_json *json, const char *name,
                         const char *const *texts, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(array, text_of(texts[i])) != 0) {
            json->failed = true;
        }
    }
    km_admin_json_set(json, name, array);
}

void km_admin_json_id(struct km_admin_json *json, const char *name,
                      const uint8_t *id, size_t len)
{
    char text[2 * KAMA_MEMBER_ID_BYTES + 1] = "";
    for (size_t i = 0; i < len && 2 * i + 2 < sizeof text; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    }
    km_admin_json_text(json, name, text);
}

void km_admin_json_view(struct km_admin_json *json, const char *name,
                        uint64_t view_id)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, view_id);
    km_admin_json_text(json, name, text);
}

json_t *km_admin_json_string(kama_bytes text)
{
    return shown(text);
}

void km_admin_json_bytes(struct km_admin_json *json, const char *name,
                         kama_bytes text)
{
    km_admin_json_set(json, name, shown(text));
}

void km_admin_json_key(struct km_admin_json *json, kama_bytes key)
{
    char exact[KM_BYTES_BASE64(KM_KEY_BYTES_MAX)];
    km_admin_json_set(json, "key", shown(key));
    km_admin_json_text(json, "key_base64", km_bytes_base64(key, exact));
}
