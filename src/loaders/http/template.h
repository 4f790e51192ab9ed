/* SPDX-License-Identifier: MIT */
/*
 * A template: a path and a query with `{key}` in them. A key is checked and
 * then put into the template.
 *
 *     if (km_template_check("/users/{key}", key) == KM_PATH_STAYS) {
 *         url = km_template_fill("http://host", "/users/{key}", key);
 *     }
 *
 *     key "a b/c"      http://host/users/a%20b%2Fc
 *
 * Cost: linear in the template and the key. Threads: any; nothing is changed.
 * Errors: KM_PATH_NO_MEMORY, or NULL. Ownership: the URL is the caller's.
 */
#pragma once

#include "../common/path.h"

#include <kamacache/loader.h>

/* Returns whether key stays in its place: in the path, and in each parameter of
 * the query that the template itself writes as a path (`?file=users/{key}`). */
enum km_path_verdict km_template_check(const char *template, kama_bytes key);

/* Returns prefix and the template with a checked key in it, for free(). Every
 * byte of the key except letters, digits and - . _ ~ (RFC 3986) is
 * percent-encoded, so that the key ends neither a segment nor a parameter.
 * Returns NULL without memory. */
char *km_template_fill(const char *prefix, const char *template,
                       kama_bytes key);
