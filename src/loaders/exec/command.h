/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the exec loader: a program and its arguments, as words
 * between blanks.
 *
 *     /usr/local/bin/find-user --id={key} "a word with blanks"
 *
 * Double quotes keep blanks in a word, and a backslash takes the next character
 * as it is, also inside quotes. There is no shell, and there are no variables
 * or patterns. `{key}` in an argument stands for the key.
 *
 *     struct km_command command;
 *     const char *wrong = km_command_new(text, &command);
 *     status = km_command_check(&command, key, &reason);
 *     char **arguments = km_command_arguments(&command, key);
 *
 * Cost: a run copies the words into one block. Threads: any, after
 * km_command_new. Errors: static sentences, or a status.
 * Ownership: the words belong to the command, and the arguments to the caller.
 */
#pragma once

#include "../common/path.h"

#include <kamacache/loader.h>

struct km_command {
    char **words; /* owned; NULL-terminated; words[0] is the program */
    size_t count;
    size_t text_bytes;  /* the length of all words with their NULs */
    size_t slots;       /* how often {key} occurs */
    size_t options_end; /* the index of the word `--`, or count without one */
};

/* Splits text into words and checks them. Returns NULL, or a static sentence
 * about the fault; ret_command is not written then. */
const char *km_command_new(const char *text, struct km_command *ret_command);

/* Frees the words. */
void km_command_fini(struct km_command *command);

/* Checks whether key may stand for {key}. It must not become an option of the
 * program (a word that begins with {key} stands before `--`, and the key begins
 * with a dash), and it must not lead out of a word that is a path.
 * Errors: KAMA_ERR_INVALID with a static reason for a sentence, and
 * KAMA_ERR_NO_MEMORY. */
kama_status km_command_check(const struct km_command *command, kama_bytes key,
                             const char **ret_reason);

/* Returns the NULL-terminated arguments of one run, with key in the place of
 * each {key}, as one block for free(). key must have been checked. Returns NULL
 * without memory. */
char **km_command_arguments(const struct km_command *command, kama_bytes key);
