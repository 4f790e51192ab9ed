/* SPDX-License-Identifier: MIT */
/*
 * Whether a key stays where a path with `{key}` in it puts it.
 *
 *     http://o/users/{key}     key "tom"          /users/tom
 *                              key "../admin"     /users/../admin, which is
 *                                                 another resource: refused
 *
 * Percent-encoding the key does not help: servers decode a path before they
 * resolve its dots (nginx), drop ";parameters" first (Tomcat, Jetty), take a
 * backslash for a slash (URL parsers of browsers and of Node), and a proxy in
 * front of them decodes once more. So the path is looked at as the most
 * careless reader would see it: decoded until nothing is left to decode, with
 * %uXXXX and UTF-8 that is longer than it needs to be, cut into segments at
 * slashes and backslashes, each without blanks, control characters and what
 * follows ; ? # or a NUL byte.
 *
 * Cost: O(bytes of path and key), one allocation. Threads: any.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

/* What a template stands for the key with. */
#define KM_PATH_SLOT "{key}"

enum km_path_verdict {
    KM_PATH_STAYS,
    KM_PATH_LEAVES, /* the key brings a segment that is made of dots */
    KM_PATH_NO_MEMORY
};

/* What a sentence says of KM_PATH_LEAVES. */
#define KM_PATH_LEAVES_REASON                                                  \
    "it has a path segment made of dots, which would lead out of the place "   \
    "that the loader gives it"

/* Says what becomes of `path`, a template with one KM_PATH_SLOT or more, when
 * key takes their place. Segments of dots that the template itself has do not
 * count. Both are borrowed. */
enum km_path_verdict km_path_check(kama_bytes path, kama_bytes key);
