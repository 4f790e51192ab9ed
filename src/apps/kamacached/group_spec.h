/* SPDX-License-Identifier: MIT */
/*
 * The specification of a group on the command line:
 *
 *     NAME[:KEY=VALUE,...]
 *
 *     users
 *     users:max_bytes=1g,ttl=5m
 *     u:loader="sqlite:/db?query=SELECT v FROM t WHERE k=?1"
 *
 * A NAME or VALUE may stand in double quotes, in which a backslash takes the
 * next character as it is. It has to if a VALUE contains a comma or blanks, or
 * a NAME contains a colon. The keys are those of kama_group_options_set, and
 * loader.
 *
 * Cost: linear in the text. Threads: the main thread, during the start.
 * Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED and KAMA_ERR_NO_MEMORY, with a
 * sentence that names the group. Ownership: the strings lie in a copy of the
 * text.
 */
#pragma once

#include <kamacache/kamacache.h>

struct group_spec {
    char *text; /* owned; the other strings lie in it */
    const char *name;
    const char *loader; /* NAME:CONFIG, or NULL without a loader */
    kama_group_options options;
};

/* Parses text. ret_spec is written on success only, and freed by
 * group_spec_fini. */
KAMA_NODISCARD kama_status group_spec_init(struct group_spec *ret_spec,
                                           const char *text);
/* Frees the strings. */
void group_spec_fini(struct group_spec *spec);

/* Replaces the password of each URL in text ("//user:password@host") by "***",
 * in place, so that text can be shown. */
void group_spec_hide_passwords(char *text);
