/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the http loader: a URL with `{key}` in its path or
 * query.
 *
 *     http://host/path/{key}      https://host/find?id={key}      //host/{key}
 *
 * `//` stands for `http://`, so that the option reads loader="http://...".
 * Threads: km_template_new setup; km_template_url any thread.
 */
#pragma once

#include <kamacache/loader.h>

struct km_template {
    char *url;    /* owned; with its slots */
    char *origin; /* owned; scheme, host and port, for sentences: what else is
                   * in a URL may be secret */
    size_t slots; /* how often {key} occurs, at least once */
};

/* Checks text and copies it. NULL, or a sentence (static) that says what is
 * wrong; then ret_template is not written. */
const char *km_template_new(const char *text, struct km_template *ret_template);

/* Frees the strings. */
void km_template_fini(struct km_template *template);

/* The URL of key, for free(): each {key} is the key percent-encoded, all but
 * letters, digits and - . _ ~ (RFC 3986). A key that is `.` or `..` is encoded
 * too, because as it is it would mean another path. NULL: no memory. */
char *km_template_url(const struct km_template *template, kama_bytes key);
