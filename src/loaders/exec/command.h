/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the exec loader: a program and its arguments, as words
 * between blanks. "..." keeps blanks in a word, \ takes the next character as
 * it is, inside quotes too. No shell, no variables, no patterns. `{key}` in
 * an argument stands for the key.
 *
 * Threads: km_command_new setup; km_command_arguments any thread.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

struct km_command {
    char **words; /* owned; NULL-terminated; words[0] is the program */
    size_t count;
    size_t text_bytes; /* of all words with their NULs */
    size_t slots;      /* how often {key} occurs */
};

/* Splits text. NULL, or a sentence (static) that says what is wrong; then
 * ret_command is not written. */
const char *km_command_new(const char *text, struct km_command *ret_command);

/* Frees the words. */
void km_command_fini(struct km_command *command);

/* The arguments of one run, NULL-terminated, with key in the place of {key};
 * one block for free(). NULL: no memory. key has no NUL byte if the command
 * has slots. */
char **km_command_arguments(const struct km_command *command, kama_bytes key);
