/* SPDX-License-Identifier: MIT */
/*
 * A JSON object that is filled member by member. A failed allocation is kept until
 * the end, so that only the end has to be checked.
 *
 *     struct km_admin_json json;
 *     km_admin_json_begin(&json);
 *     km_admin_json_text(&json, "name", name);
 *     km_admin_json_uint(&json, "entries", entries);
 *     km_admin_reply_json(reply, km_admin_json_end(&json));
 *
 * The names of members are those that `kamacache-cli --json` prints.
 *
 * Threads: one owner. Errors: end returns NULL without memory.
 * Ownership: begin makes an object, end gives it away. Cost: O(members).
 */
#pragma once

#include <jansson.h>
#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_admin_json {
    json_t *object;
    bool failed;
};

void km_admin_json_begin(struct km_admin_json *json);
/* Returns the object, which is the caller's, or NULL. */
json_t *km_admin_json_end(struct km_admin_json *json);

/* Adds a member. Takes the value; NULL stands for one without memory. */
void km_admin_json_set(struct km_admin_json *json, const char *name,
                       json_t *value);
/* A text; bytes in it that are no text become \xNN. */
void km_admin_json_text(struct km_admin_json *json, const char *name,
                        const char *text);
/* Numbers above 2^63 - 1 become that. */
void km_admin_json_uint(struct km_admin_json *json, const char *name,
                        uint64_t number);
void km_admin_json_int(struct km_admin_json *json, const char *name,
                       int64_t number);
void km_admin_json_bool(struct km_admin_json *json, const char *name,
                        bool value);
void km_admin_json_texts(struct km_admin_json *json, const char *name,
                         const char *const *texts, size_t count);
/* An id of bytes, and the id of a view, in hexadecimal digits. */
void km_admin_json_id(struct km_admin_json *json, const char *name,
                      const uint8_t *id, size_t len);
void km_admin_json_view(struct km_admin_json *json, const char *name,
                        uint64_t view_id);
/* A text of bytes, in which bytes that are no text are \xNN. */
json_t *km_admin_json_string(kama_bytes text);
void km_admin_json_bytes(struct km_admin_json *json, const char *name,
                         kama_bytes text);
/* A key: `key`, in which bytes that are no text are \xNN, and `key_base64`, which
 * is exact. */
void km_admin_json_key(struct km_admin_json *json, kama_bytes key);
