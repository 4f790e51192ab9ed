/* SPDX-License-Identifier: MIT */
/*
 * Splitting a command into words, checking keys, and putting a key into the
 * words.
 *
 * The words of a command stand one behind the other in one block, behind the
 * pointers to them:
 *
 *     | pointers ... NULL | word 0 NUL | word 1 NUL | ... |
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static const char SLOT[] = KM_PATH_SLOT;
enum { SLOT_LEN = sizeof SLOT - 1 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word with its NUL from *text to *word, and moves both behind it.
 * Returns NULL, or a sentence about the fault. */
static const char *take_word(const char **text, char **word)
{
    const char *in = *text;
    char *out = *word;
    bool quoted = false;
    for (; *in != '\0' && (quoted || !is_blank(*in)); in++) {
        if (*in == '"') {
            quoted = !quoted;
            continue;
        }
        if (*in == '\\' && *++in == '\0') {
            return "it ends in a backslash";
        }
        *out++ = *in;
    }
    *out++ = '\0';
    *text = in;
    *word = out;
    return quoted ? "a double quote is not closed" : NULL;
}

/* Writes the words into block, which has room for text. Returns NULL, or a
 * sentence about the fault. */
static const char *split(const char *text, char *block,
                         struct km_command *command)
{
    char *end = block;
    for (;;) {
        while (is_blank(*text)) {
            text++;
        }
        if (*text == '\0') {
            break;
        }
        command->words[command->count++] = end;
        const char *wrong = take_word(&text, &end);
        if (wrong != NULL) {
            return wrong;
        }
    }
    command->text_bytes = (size_t)(end - block);
    return NULL;
}

static size_t count_slots(const char *word)
{
    size_t count = 0;
    while ((word = strstr(word, SLOT)) != NULL) {
        word += SLOT_LEN;
        count++;
    }
    return count;
}

/* Returns the index of the word `--`, which ends the options of the program, or
 * the number of words. */
static size_t find_options_end(const struct km_command *command)
{
    size_t i = 1;
    while (i < command->count && strcmp(command->words[i], "--") != 0) {
        i++;
    }
    return i;
}

/* Returns whether the key would be the name of an option: -{key} or --{key}. */
static bool is_option_slot(const char *word)
{
    size_t dashes = strspn(word, "-");
    return dashes > 0 && strncmp(word + dashes, SLOT, SLOT_LEN) == 0;
}

/* Checks the words behind the program, and counts their slots. */
static const char *check_words(struct km_command *command)
{
    command->options_end = find_options_end(command);
    for (size_t i = 1; i < command->count; i++) {
        if (i < command->options_end && is_option_slot(command->words[i])) {
            return "{key} cannot choose an option of the program";
        }
        command->slots += count_slots(command->words[i]);
    }
    return NULL;
}

static const char *check(struct km_command *command)
{
    if (command->count == 0) {
        return "it names no program";
    }
    if (strchr(command->words[0], '/') == NULL) {
        return "the program is not a path; PATH is not searched";
    }
    if (count_slots(command->words[0]) > 0) {
        return "the program itself cannot contain {key}";
    }
    return check_words(command);
}

const char *km_command_new(const char *text, struct km_command *ret_command)
{
    /* A word has at least one character and a blank behind it. */
    size_t len = strlen(text);
    size_t pointers = len / 2 + 2;
    struct km_command command = {0};
    command.words = calloc(1, pointers * sizeof(char *) + len + 1);
    if (command.words == NULL) {
        return "out of memory";
    }
    const char *wrong =
        split(text, (char *)(command.words + pointers), &command);
    if (wrong == NULL) {
        wrong = check(&command);
    }
    if (wrong != NULL) {
        km_command_fini(&command);
        return wrong;
    }
    *ret_command = command;
    return NULL;
}

void km_command_fini(struct km_command *command)
{
    free(command->words);
    memset(command, 0, sizeof *command);
}

/* -- keys --------------------------------------------------------------- */

/* Returns KM_PATH_LEAVES if the configuration writes the word as a path, with a
 * slash, and the key leads out of it. */
static enum km_path_verdict check_path(const char *word, kama_bytes key)
{
    if (strchr(word, '/') == NULL || strstr(word, SLOT) == NULL) {
        return KM_PATH_STAYS;
    }
    return km_path_check(kama_bytes_str(word), key);
}

/* Returns whether the program could take word i for an option, because the key
 * stands at its beginning and begins with a dash. */
static bool becomes_option(const struct km_command *command, size_t i,
                           kama_bytes key)
{
    return i < command->options_end && *(const char *)key.data == '-' &&
           strncmp(command->words[i], SLOT, SLOT_LEN) == 0;
}

static kama_status check_word(const struct km_command *command, size_t i,
                              kama_bytes key, const char **ret_reason)
{
    if (becomes_option(command, i, key)) {
        *ret_reason = "the program could take it for an option; write "
                      "--name={key} or -- {key} in the configuration";
        return KAMA_ERR_INVALID;
    }
    switch (check_path(command->words[i], key)) {
    case KM_PATH_LEAVES:
        *ret_reason = KM_PATH_LEAVES_REASON;
        return KAMA_ERR_INVALID;
    case KM_PATH_NO_MEMORY:
        return KAMA_ERR_NO_MEMORY;
    case KM_PATH_STAYS:
        break;
    }
    return KAMA_OK;
}

kama_status km_command_check(const struct km_command *command, kama_bytes key,
                             const char **ret_reason)
{
    if (command->slots == 0) {
        return KAMA_OK;
    }
    if (key.len == 0 || memchr(key.data, '\0', key.len) != NULL) {
        *ret_reason = "an empty key or one with a NUL byte does not fit into "
                      "{key} of an argument";
        return KAMA_ERR_INVALID;
    }
    kama_status status = KAMA_OK;
    for (size_t i = 1; i < command->count && status == KAMA_OK; i++) {
        status = check_word(command, i, key, ret_reason);
    }
    return status;
}

/* Copies word to out with key in its slots. Returns the end of the copy. */
static char *fill_word(const char *word, kama_bytes key, char *out)
{
    const char *slot;
    while ((slot = strstr(word, SLOT)) != NULL) {
        memcpy(out, word, (size_t)(slot - word));
        out += slot - word;
        memcpy(out, key.data, key.len);
        out += key.len;
        word = slot + SLOT_LEN;
    }
    size_t rest = strlen(word) + 1;
    memcpy(out, word, rest);
    return out + rest;
}

char **km_command_arguments(const struct km_command *command, kama_bytes key)
{
    size_t pointers_bytes = (command->count + 1) * sizeof(char *);
    char **arguments =
        malloc(pointers_bytes + command->text_bytes + command->slots * key.len);
    if (arguments == NULL) {
        return NULL;
    }
    char *out = (char *)arguments + pointers_bytes;
    for (size_t i = 0; i < command->count; i++) {
        arguments[i] = out;
        out = fill_word(command->words[i], key, out);
    }
    arguments[command->count] = NULL;
    return arguments;
}
