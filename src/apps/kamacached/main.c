/* SPDX-License-Identifier: MIT */
/* kamacached: reads the command line and does what it asks for, which is to
 * serve or to print something. */
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "group_spec.h"
#include "kamacache_build.h"
#include "loader_path.h"
#include "manual.h"
#include "options.h"
#include "process.h"
#include "serve.h"

#include <stdio.h>
#include <unistd.h>

/* Prints a text that was made with a status. Returns the exit code. */
static int print(const struct km_buf *out, kama_status status)
{
    if (status != KAMA_OK) {
        fprintf(stderr, "kamacached: %s\n", kama_strerror(status));
        return EXIT_NOT_STARTED;
    }
    fwrite(out->data, 1, out->len, stdout);
    return fflush(stdout) == 0 ? EXIT_STOPPED : EXIT_NOT_STARTED;
}

/* Makes a text with one of the writers of the options and prints it. */
static int print_with(const struct daemon_options *options,
                      kama_status (*write)(const struct daemon_options *,
                                           struct km_buf *))
{
    struct km_buf out;
    km_buf_init(&out, km_mem_default(), SIZE_MAX);
    int code = print(&out, write(options, &out));
    km_buf_fini(&out);
    return code;
}

/* How much --version prints. */
enum detail { BRIEF, VERBOSE };

static int print_version(enum detail detail)
{
    printf("kamacached %s\n", kama_version());
    if (detail == VERBOSE) {
        char loaders[PATH_MAX];
        loader_path_built_in(loaders);
        printf("revision: %s\ncompiler: %s\nbuild: %s\nfeatures: %s\n"
               "loaders: %s\n",
               KM_BUILD_GIT_REV, KM_BUILD_COMPILER, KM_BUILD_TYPE,
               KM_BUILD_FEATURES, loaders);
    }
    return fflush(stdout) == 0 ? EXIT_STOPPED : EXIT_NOT_STARTED;
}

/* Takes a flag out of argv. Returns false if it is not there. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], flag) == 0) {
            for (; i < *argc; i++) {
                argv[i] = argv[i + 1];
            }
            (*argc)--;
            return true;
        }
    }
    return false;
}

/* Hides the passwords in the settings before these are printed. The texts are
 * argv or copies of the environment, so that they may be changed. */
static void hide_passwords(const struct daemon_options *options)
{
    for (size_t i = 0; i < options->group.count; i++) {
        group_spec_hide_passwords((char *)(uintptr_t)options->group.items[i]);
    }
}

/* The forms of --help that the build writes to files. */
static const struct {
    const char *flag;
    kama_status (*write)(const struct daemon_options *, struct km_buf *);
} documents[] = {
    {"--help=markdown", daemon_options_document},
    {"--help=man", daemon_manual_write},
    {"--help=completion", daemon_completion_write},
};
enum { DOCUMENT_COUNT = sizeof documents / sizeof documents[0] };

/* Returns the index of the document that argv asks for, or DOCUMENT_COUNT. The
 * flag is replaced by --help, which works in any environment. */
static int take_document(int argc, char **argv)
{
    static char help[] = "--help";
    for (int i = 0; i < DOCUMENT_COUNT; i++) {
        for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
            if (strcmp(argv[at], documents[i].flag) == 0) {
                argv[at] = help;
                return i;
            }
        }
    }
    return DOCUMENT_COUNT;
}

/* Prints a warning about a variable that is probably misspelled. */
static void warn_unknown(void *arg, const char *name, const char *nearest)
{
    char text[KM_ERROR_BYTES_MAX];
    (void)arg;
    (void)km_text_clean(KAMA_STR(name), text, sizeof text);
    fprintf(stderr, "kamacached: warning: %s: unknown variable%s%s%s\n", text,
            nearest != NULL ? ", did you mean " : "",
            nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

/* Does what the options ask for. */
static int run(const struct daemon_options *options, enum detail detail,
               km_ns started_at)
{
    if (options->help != 0) {
        return print_with(options, daemon_options_help);
    }
    if (options->version != 0) {
        return print_version(detail);
    }
    if (options->print_config != 0 || options->check_config != 0) {
        daemon_options_unknown(options, warn_unknown, NULL);
    }
    if (options->print_config != 0) {
        hide_passwords(options);
        return print_with(options, daemon_options_print);
    }
    return options->check_config != 0 ? serve_check(options)
                                      : serve(options, started_at);
}

/* Takes -v out of argv, which means something only beside --version. */
static enum detail take_detail(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            return take_flag(argc, argv, "-v") ? VERBOSE : BRIEF;
        }
    }
    return BRIEF;
}

int main(int argc, char **argv)
{
    km_ns started_at = km_clock_mono(km_clock_system());
    struct daemon_options options;
    process_init();
    enum detail detail = take_detail(&argc, argv);
    int document = take_document(argc, argv);
    kama_status status = daemon_options_init(&options, argc, argv);
    int code;
    if (document < DOCUMENT_COUNT && status == KAMA_OK) {
        code = print_with(&options, documents[document].write);
    } else if (status == KAMA_OK) {
        code = run(&options, detail, started_at);
    } else {
        fprintf(stderr, "kamacached: %s\nTry 'kamacached --help'.\n",
                km_last_error());
        code = EXIT_SETTINGS;
    }
    daemon_options_fini(&options);
    return code;
}
