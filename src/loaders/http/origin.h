/* SPDX-License-Identifier: MIT */
/*
 * An origin: the scheme, host and port of a URL, and the user name and password
 * that the configuration gives for it.
 *
 *     struct km_origin origin;
 *     km_origin_new("https://tom:secret@host", &origin, error, sizeof error);
 *     origin.text                                         "https://host"
 *     place = km_origin_redirect(&origin, location, text, &url);
 *
 * URLs are read by libcurl's own parser. If another parser checked them, a URL
 * that both read differently could pass the check and lead elsewhere.
 *
 * Cost: linear in the URL, and some allocations. Threads: any thread may call
 * km_origin_redirect; init and fini belong to the owner of the loader.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence.
 * Ownership: the strings belong to the origin.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

enum { KM_ORIGIN_TEXT_BYTES = 300 };

struct km_origin {
    char *scheme;   /* owned, as all strings */
    char *host;     /* an IPv6 address stands in brackets */
    char *zone;     /* of an IPv6 address, or NULL */
    char *port;     /* a number, also if the URL has none */
    char *user;     /* or NULL */
    char *password; /* or NULL */

    /* "http://host:81", for people: without login and without the usual port */
    char text[KM_ORIGIN_TEXT_BYTES];
};

/* Reads a URL without a path. ret_origin is written on success only, and freed
 * by km_origin_fini.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence in error,
 * which has cap bytes. */
kama_status km_origin_new(const char *url, struct km_origin *ret_origin,
                          char *error, size_t cap);

/* Frees the strings. */
void km_origin_fini(struct km_origin *origin);

/* The place that a redirect leads to. */
enum km_redirect_place {
    KM_REDIRECT_SAME,  /* to the same scheme, host and port */
    KM_REDIRECT_OTHER, /* to another http or https */
    KM_REDIRECT_WRONG, /* to another scheme, or the URL cannot be read */
    KM_REDIRECT_NO_MEMORY
};

/* Returns where the URL of a redirect leads, seen from origin, and writes that
 * place into ret_text for a sentence. *ret_url becomes the URL with blanks and
 * the like percent-encoded, which the caller frees with curl_free. It is NULL
 * without memory and for KM_REDIRECT_WRONG. */
enum km_redirect_place km_origin_redirect(const struct km_origin *origin,
                                          const char *url,
                                          char ret_text[KM_ORIGIN_TEXT_BYTES],
                                          char **ret_url);
