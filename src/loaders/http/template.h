/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the http loader: a URL with `{key}` in its path or
 * query.
 *
 *     http://host/path/{key}      https://host/find?id={key}      //host/{key}
 *
 * `//` stands for `http://`, so that the option reads loader="http://...".
 * Threads: km_template_new setup; the others any thread.
 */
#pragma once

#include "../common/path.h"

#include <kamacache/loader.h>

struct km_template {
    char *url;        /* owned; with its slots */
    const char *path; /* within url: path and query */
    char *origin; /* owned; scheme, host and port, for sentences: what else is
                   * in a URL may be secret */
    size_t slots; /* how often {key} occurs, at least once */
};

/* Checks text and copies it. NULL, or a sentence (static) that says what is
 * wrong; then ret_template is not written. */
const char *km_template_new(const char *text, struct km_template *ret_template);

/* Frees the strings. */
void km_template_fini(struct km_template *template);

/* Whether key stays within the URL: in the path, and in each parameter of the
 * query that the template itself writes as a path (`?file=users/{key}`). */
enum km_path_verdict km_template_check(const struct km_template *template,
                                       kama_bytes key);

/* The URL of a key that was checked, for free(): each {key} is the key
 * percent-encoded, all but letters, digits and - . _ ~ (RFC 3986), so that it
 * ends no segment and no parameter. NULL: no memory. */
char *km_template_url(const struct km_template *template, kama_bytes key);
