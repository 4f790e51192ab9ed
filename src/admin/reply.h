/* SPDX-License-Identifier: MIT */
/*
 * The answer to one request: a code, a type and a body, and the head that is made
 * of them.
 *
 *     km_admin_reply_init(&reply, mem);
 *     km_admin_reply_json(&reply, json);
 *     km_admin_reply_head(&reply, KM_ADMIN_LAST, head);
 *     km_admin_reply_fini(&reply);
 *
 * Every answer says that it must not be stored, that its type is not to be
 * guessed, and that a page of it may load nothing. An error is a JSON object:
 *
 *     {"error": "KAMA_ERR_NO_GROUP", "status": 404, "message": "there is ..."}
 *
 * Threads: one owner. Cost: the memory of the body.
 * Errors: an answer that does not fit into KM_ADMIN_ANSWER_BYTES_MAX, or for which
 * there is no memory, becomes an error answer (500).
 * Ownership: the reply owns its body.
 */
#pragma once

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

#define KM_ADMIN_REPLY_HEAD_BYTES 512

/* The statement of the head about the connection. */
enum km_admin_connection {
    KM_ADMIN_LAST,     /* it ends behind this answer */
    KM_ADMIN_GOES_ON,  /* as HTTP/1.1 does unless told otherwise */
    KM_ADMIN_KEPT_OPEN /* as HTTP/1.0 does only if told */
};

struct km_admin_later;

struct km_admin_reply {
    int code;
    const char *type; /* static */
    struct km_buf body;
    struct km_admin_later *later; /* that will write it; NULL: it is complete */
};

/* Makes an empty answer with the code 200. mem: borrowed. */
void km_admin_reply_init(struct km_admin_reply *reply,
                         const kama_allocator *mem);
/* Frees the body. */
void km_admin_reply_fini(struct km_admin_reply *reply);

/* Turn the answer into plain text, or a page. The text may be appended to. */
void km_admin_reply_text(struct km_admin_reply *reply, int code,
                         const char *text);
void km_admin_reply_page(struct km_admin_reply *reply, const char *html);
/* Appends a line to a text. */
void km_admin_reply_line(struct km_admin_reply *reply, const char *fmt, ...)
    KAMA_PRINTF(2, 3);
/* Turns the answer into JSON. Takes the value; NULL: there was no memory. */
void km_admin_reply_json(struct km_admin_reply *reply, json_t *json);

/* Leaves the answer to a later (later.h). */
void km_admin_reply_wait(struct km_admin_reply *reply,
                         struct km_admin_later *later);

/* Turns the answer into an error with that code of HTTP. */
void km_admin_reply_error(struct km_admin_reply *reply, kama_status status,
                          int code, const char *message);
/* Turns the answer into the error of a status, with the sentence of the last
 * error. */
void km_admin_reply_fail(struct km_admin_reply *reply, kama_status status);

/* Writes the head, up to and with the empty line. Returns its length. */
size_t km_admin_reply_head(const struct km_admin_reply *reply,
                           enum km_admin_connection connection,
                           char ret_head[KM_ADMIN_REPLY_HEAD_BYTES]);
