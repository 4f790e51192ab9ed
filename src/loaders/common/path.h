/* SPDX-License-Identifier: MIT */
/*
 * Checks whether a key stays in the place that a path with `{key}` gives it.
 *
 *     http://o/users/{key}     key "tom"          /users/tom
 *                              key "../admin"     /users/../admin, which is
 *                                                 another resource: refused
 *
 * Percent-encoding the key does not help: servers decode a path before they
 * resolve its dots (nginx), drop ";parameters" first (Tomcat, Jetty), take a
 * backslash for a slash (URL parsers of browsers and of Node), and a proxy in
 * front of them decodes once more. So the path is read as the most careless
 * server would read it:
 *
 *   - It is decoded until nothing is left to decode, %uXXXX and overlong UTF-8
 *     included.
 *   - It is cut into segments at slashes and backslashes.
 *   - Blanks and control characters are dropped from each segment, and so is
 *     the part behind a `;`, `?`, `#` or NUL byte.
 *
 * A key that adds a segment of dots under this reading is refused.
 *
 * Cost: linear in the bytes of path and key, and one allocation. Threads: any.
 * Errors: KM_PATH_NO_MEMORY. Ownership: all texts are borrowed.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

/* The place of the key in a template. */
#define KM_PATH_SLOT "{key}"

enum km_path_verdict {
    KM_PATH_STAYS,
    KM_PATH_LEAVES, /* the key adds a segment that consists of dots */
    KM_PATH_NO_MEMORY
};

/* The part of a sentence that explains KM_PATH_LEAVES. */
#define KM_PATH_LEAVES_REASON                                                  \
    "it has a path segment made of dots, which would lead out of the place "   \
    "that the loader gives it"

/* Returns whether key stays in its place when it is put into `path`, a template
 * with at least one KM_PATH_SLOT. Segments of dots that the template itself has
 * do not count. */
enum km_path_verdict km_path_check(kama_bytes path, kama_bytes key);
