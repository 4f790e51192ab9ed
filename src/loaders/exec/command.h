/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the exec loader: a program and its arguments, as words
 * between blanks. "..." keeps blanks in a word, \ takes the next character as
 * it is, inside quotes too. No shell, no variables, no patterns. `{key}` in
 * an argument stands for the key.
 *
 * Threads: km_command_new setup; the others any thread.
 */
#pragma once

#include "../common/path.h"

#include <kamacache/loader.h>

struct km_command {
    char **words; /* owned; NULL-terminated; words[0] is the program */
    size_t count;
    size_t text_bytes;  /* of all words with their NULs */
    size_t slots;       /* how often {key} occurs */
    size_t options_end; /* index of the word `--`; count: there is none */
};

/* Splits text. NULL, or a sentence (static) that says what is wrong; then
 * ret_command is not written. */
const char *km_command_new(const char *text, struct km_command *ret_command);

/* Frees the words. */
void km_command_fini(struct km_command *command);

/* Whether key may stand for {key}: it becomes no option (a word that begins
 * with {key}, before `--`), and does not leave a word that is a path.
 * Errors: KAMA_ERR_INVALID, with the reason (static) for a sentence,
 * KAMA_ERR_NO_MEMORY. */
kama_status km_command_check(const struct km_command *command, kama_bytes key,
                             const char **ret_reason);

/* The arguments of one run, NULL-terminated, with key in the place of {key};
 * one block for free(). NULL: no memory. key was checked. */
char **km_command_arguments(const struct km_command *command, kama_bytes key);
