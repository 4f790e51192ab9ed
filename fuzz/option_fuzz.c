/* SPDX-License-Identifier: MIT */
/* Parses options. The input is cut into arguments at its newlines, and the
 * first line is parsed once more as a variable of the environment. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/option_argv.h"
#include "base/option_env.h"
#include "base/option_help.h"

#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 64

#define OPTIONS(X)                                                             \
    X(limits, HEADING, NULL, NULL, 0, 0, "Limits")                             \
    X(flag, BOOL, NULL, "1", 0, 0, "A flag.")                                  \
    X(number, UINT, "N", "5", 1, 10, "A number.")                              \
    X(size, BYTES, "SIZE", "64k", 1024, 0, "A size.")                          \
    X(time_limit, DURATION, "TIME", NULL, 0, 60000, "A time.")                 \
    X(lifetime, TTL, "TIME", "forever", 1, 0, "A time to live.")               \
    X(text, STRING, "TEXT", NULL, 0, 0, "A text.")                             \
    X(list, LIST, "TEXT", "x", 0, 0, "A list.")                                \
    X(later, LATER, NULL, NULL, 0, 0, "Later.")

struct settings {
    OPTIONS(KM_OPTION_FIELD)
};

#define KM_OPTION_STRUCT struct settings
static const struct km_option rows[] = {OPTIONS(KM_OPTION_ROW)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Cuts text at its newlines; argv[0] is the program. */
static int cut_arguments(char *text, char **argv)
{
    int argc = 1;
    argv[0] = "program";
    while (text != NULL && argc < ARGUMENTS_MAX) {
        argv[argc++] = text;
        text = strchr(text, '\n');
        if (text != NULL) {
            *text++ = '\0';
        }
    }
    return argc;
}

static void note_unknown(void *arg, const char *variable, const char *nearest)
{
    (void)arg;
    if (strncmp(variable, "FUZZ_", 5) != 0 ||
        (nearest != NULL && strncmp(nearest, "FUZZ_", 5) != 0)) {
        abort();
    }
}

/* Looks text up as the name of a variable, up to its first `=`. */
static void look_at_variable(const struct km_options *o, const char *text)
{
    char name[512];
    int len = (int)strcspn(text, "=");
    (void)snprintf(name, sizeof name, "FUZZ_%.*s", len, text);
    (void)setenv(name, text, 1);
    km_options_unknown_env(o, "FUZZ", o->rows, 1, note_unknown, NULL);
    (void)unsetenv(name);
}

static void parse_all(struct km_options *o, char *text)
{
    char *argv[ARGUMENTS_MAX];
    struct km_buf out;
    int rest = 0;
    int argc = cut_arguments(text, argv);
    (void)setenv("FUZZ_LIST", argv[1], 1);
    (void)setenv("FUZZ_TIME_LIMIT", argv[1], 1);
    (void)setenv("FUZZ_LIFETIME", argv[1], 1);
    kama_status status = km_options_from_argv(o, argc, argv, &rest);
    if (status == KAMA_OK && rest >= argc) {
        abort();
    }
    look_at_variable(o, argc > 1 ? argv[1] : "");
    km_buf_init(&out, NULL, SIZE_MAX);
    status = km_options_from_env(o, "FUZZ");
    status = km_options_print(o, &out);
    if (status != KAMA_OK) {
        abort();
    }
    km_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct km_options o;
    struct settings s;
    char *text = km_mem_strndup(km_mem_default(), (const char *)data, len);
    if (text == NULL || km_options_init(&o, rows, sizeof rows / sizeof rows[0],
                                        &s) != KAMA_OK) {
        abort();
    }
    parse_all(&o, text);
    km_options_fini(&o);
    km_mem_free(km_mem_default(), text);
    return 0;
}
