/* SPDX-License-Identifier: MIT */
/*
 * A group as the command line says it:
 *
 *     NAME[:KEY=VALUE,...]
 *
 * NAME or VALUE may stand in "...", where \ takes the next character as it
 * is; a VALUE with , or blanks has to, a NAME with : too. Keys are those of
 * kama_group_options_set, and loader.
 *
 * Thread-safety: setup. Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED,
 * KAMA_ERR_NO_MEMORY with a sentence that quotes the group's name or text.
 */
#pragma once

#include <kamacache/kamacache.h>

struct group_spec {
    char *text; /* owned; what the rest points into */
    const char *name;
    const char *loader; /* NAME:CONFIG; NULL: none */
    kama_group_options options;
};

/* Parses text; the result is freed with group_spec_fini. */
KAMA_NODISCARD kama_status group_spec_init(struct group_spec *ret_spec,
                                           const char *text);
void group_spec_fini(struct group_spec *spec);

/* Replaces the password of each URL in text ("//user:password@host") by
 * "***", in place: for people. */
void group_spec_hide_passwords(char *text);
