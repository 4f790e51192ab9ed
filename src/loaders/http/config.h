/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the http loader: a URL with `{key}` in its path or
 * query, and options behind it, between blanks.
 *
 *     http://host/path/{key}
 *     https://user:password@host:8443/find?id={key} redirects=any
 *     //host/{key}
 *
 * `//` stands for `http://`, so that the option of a group, which is the name
 * of the plug-in, a colon and the configuration, reads loader="http://...".
 *
 *     http://user:password@host:80/path/{key}?q=1
 *     |------------ site ---------||--- path ----|
 *
 * Threads: the owner, when the loader is opened. Cost: linear in the text.
 * Errors: sentences that hold nothing of the site, because that may contain a
 * password. Ownership: the strings belong to the configuration.
 */
#pragma once

#include <kamacache/loader.h>

/* The redirects that are followed. */
enum km_redirects {
    KM_REDIRECTS_SAME, /* to the same scheme, host and port */
    KM_REDIRECTS_ANY   /* to any http or https */
};

struct km_http_config {
    char *site; /* owned; the URL before the path, without {key} */
    char *path; /* owned; path and query with their slots; begins with / */
    enum km_redirects redirects;
};

/* Checks text and takes it apart. Of the site it only checks that there is one.
 * ret_config is written on success only, and freed by km_http_config_fini.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence in error,
 * which has cap bytes. */
kama_status km_http_config_parse(const char *text,
                                 struct km_http_config *ret_config, char *error,
                                 size_t cap);

/* Frees the strings. */
void km_http_config_fini(struct km_http_config *config);
