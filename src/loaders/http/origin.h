/* SPDX-License-Identifier: MIT */
/*
 * An origin: scheme, host and port of a URL, and the name and password that
 * the configuration gives for it.
 *
 * libcurl's own URL parser reads it, so that what is checked here is what
 * libcurl connects to.
 * Threads: km_origin_new and km_origin_fini setup; the others any thread.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

enum { KM_ORIGIN_TEXT_BYTES = 300 };

struct km_origin {
    char *scheme;                    /* owned, as all of these */
    char *host;                      /* an IPv6 address in brackets */
    char *zone;                      /* of an IPv6 address; NULL: none */
    char *port;                      /* always there, "80" */
    char *user;                      /* NULL: none */
    char *password;                  /* NULL: none */
    char text[KM_ORIGIN_TEXT_BYTES]; /* "http://host:81": without what may be
                                      * secret, without the usual port */
};

/* Reads a URL without a path. ret_origin is written on success only and ends
 * with km_origin_fini.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence in error
 * (cap bytes). */
kama_status km_origin_new(const char *url, struct km_origin *ret_origin,
                          char *error, size_t cap);

/* Frees the strings. */
void km_origin_fini(struct km_origin *origin);

/* Where a redirect leads. */
enum km_redirect_place {
    KM_REDIRECT_SAME,  /* to the same scheme, host and port */
    KM_REDIRECT_OTHER, /* to another http or https */
    KM_REDIRECT_WRONG, /* to something else than http and https, or nowhere */
    KM_REDIRECT_NO_MEMORY
};

/* Says where the URL of a redirect leads, seen from origin, and writes that
 * place into ret_text, as km_origin.text, for a sentence. *ret_url becomes the
 * URL with blanks and the like percent-encoded, for curl_free; NULL without
 * memory and for KM_REDIRECT_WRONG. */
enum km_redirect_place km_origin_redirect(const struct km_origin *origin,
                                          const char *url,
                                          char ret_text[KM_ORIGIN_TEXT_BYTES],
                                          char **ret_url);
