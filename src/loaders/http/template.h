/* SPDX-License-Identifier: MIT */
/*
 * A path and query with `{key}` in them, and what becomes of a key there.
 * Threads: any; nothing is changed. Cost: O(bytes of template and key).
 */
#pragma once

#include "../common/path.h"

#include <kamacache/loader.h>

/* Whether key stays within the template: in the path, and in each parameter of
 * the query that the template itself writes as a path (`?file=users/{key}`). */
enum km_path_verdict km_template_check(const char *template, kama_bytes key);

/* prefix and the template filled with a key that was checked, for free(): each
 * {key} is the key percent-encoded, all but letters, digits and - . _ ~
 * (RFC 3986), so that it ends no segment and no parameter. NULL: no memory. */
char *km_template_fill(const char *prefix, const char *template,
                       kama_bytes key);
