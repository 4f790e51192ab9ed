/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the http loader: a URL with `{key}` in its path or
 * query, and options behind it, between blanks.
 *
 *     http://host/path/{key}
 *     https://user:password@host:8443/find?id={key} redirects=any
 *     //host/{key}
 *
 * `//` stands for `http://`, so that the option reads loader="http://...".
 * Threads: setup.
 */
#pragma once

#include <kamacache/loader.h>

/* Which redirects are followed. */
enum km_redirects {
    KM_REDIRECTS_SAME, /* to the same scheme, host and port */
    KM_REDIRECTS_ANY   /* to any http or https */
};

struct km_http_config {
    char *site; /* owned; what stands before the path, without {key}:
                 * "http://user:password@host:80" */
    char *path; /* owned; path and query, with their slots; begins with / */
    enum km_redirects redirects;
};

/* Checks text and takes it apart; site is not checked further than that there
 * is one. ret_config is written on success only and ends with
 * km_http_config_fini.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence in error
 * (cap bytes), which holds nothing of the site: that may have a password. */
kama_status km_http_config_parse(const char *text,
                                 struct km_http_config *ret_config, char *error,
                                 size_t cap);

/* Frees the strings. */
void km_http_config_fini(struct km_http_config *config);
