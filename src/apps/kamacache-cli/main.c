/* SPDX-License-Identifier: MIT */
/* kamacache-cli: it reads the options, finds the command in the table, turns
 * the arguments into bytes, connects, and runs the command. */
#include "call.h"
#include "columns.h"
#include "commands.h"
#include "manual.h"
#include "quote.h"
#include "report.h"

#include "base/clock.h"
#include "base/status.h"
#include "kamacache_build.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* -- help, version ------------------------------------------------------- */

static const char usage[] =
    "Usage: kamacache-cli [OPTION...] COMMAND [ARGUMENT...]\n"
    "\n"
    "Commands:\n";

static const char notes[] =
    "\n"
    "KAMACACHE_ENDPOINT, KAMACACHE_GROUP and KAMACACHE_TIMEOUT of the\n"
    "environment stand for the first three options. `--` ends options.\n"
    "\n"
    "Times need a unit: 250ms, 5s, 3m or 1h.\n"
    "\n"
    "Arguments are taken byte for byte. With -q, an argument in double quotes\n"
    "is read as quoted bytes: \\\" \\\\ \\n \\r \\t \\0 \\xNN. Keys are "
    "printed that\n"
    "way, so that they can be typed again with -q.\n"
    "\n"
    "Exit: 0 ok, 1 miss (also a condition that was not met), 2 usage,\n"
    "3 unreachable, 4 refused, 5 other.\n";

/* Prints the use of a command: "set KEY [VALUE]". */
static void print_use(const struct cli_command *command)
{
    const char *args = command->args;
    printf("%s%s%s\n", command->name, args != NULL ? " " : "",
           args != NULL ? args : "");
}

/* Prints the use, the commands, the options and the notes. */
static enum cli_exit print_help(const struct cli_options *options)
{
    struct km_buf rows;
    km_buf_init(&rows, km_mem_default(), SIZE_MAX);
    kama_status status = cli_options_help(options, &rows);
    fputs(usage, stdout);
    for (size_t i = 0; i < cli_command_count; i++) {
        fputs("  ", stdout);
        print_use(&cli_commands[i]);
        printf("      %s\n", cli_commands[i].help);
    }
    if (status == KAMA_OK) {
        putchar('\n');
        fwrite(rows.data, 1, rows.len, stdout);
    }
    fputs(notes, stdout);
    km_buf_fini(&rows);
    return status == KAMA_OK ? CLI_EXIT_OK : CLI_EXIT_OTHER;
}

/* Prints a form of --help that the build writes to a file. */
static enum cli_exit print_document(const struct cli_options *options,
                                    const char *form)
{
    struct km_buf text;
    km_buf_init(&text, km_mem_default(), SIZE_MAX);
    kama_status status = strcmp(form, "man") == 0
                             ? cli_manual_write(options, notes + 1, &text)
                             : cli_completion_write(options, &text);
    if (status == KAMA_OK) {
        fwrite(text.data, 1, text.len, stdout);
    }
    km_buf_fini(&text);
    return status == KAMA_OK ? CLI_EXIT_OK : CLI_EXIT_OTHER;
}

static enum cli_exit print_command_help(const struct cli_command *command)
{
    fputs("Usage: kamacache-cli [OPTION...] ", stdout);
    print_use(command);
    printf("\n%s\n\n'kamacache-cli --help' lists the options.\n",
           command->help);
    return CLI_EXIT_OK;
}

static enum cli_exit print_version(const struct cli_options *options)
{
    printf("kamacache-cli %s\n", kama_version());
    if (options->verbose) {
        printf("revision: %s\ncompiler: %s\nbuild: %s\nfeatures: %s\n",
               KM_BUILD_GIT_REV, KM_BUILD_COMPILER, KM_BUILD_TYPE,
               KM_BUILD_FEATURES);
    }
    return CLI_EXIT_OK;
}

/* -- a command ----------------------------------------------------------- */

/* Prints a warning about a variable that is probably misspelled. */
static void warn_unknown(void *arg, const char *name, const char *nearest)
{
    (void)arg;
    fputs("kamacache-cli: warning: ", stderr);
    cli_quote_write_sentence(stderr, name);
    fprintf(stderr, ": unknown variable%s%s%s\n",
            nearest != NULL ? ", did you mean " : "",
            nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

/* Makes the client, waits for the node if that was asked for, and runs the
 * command. */
static enum cli_exit run_connected(struct cli *cli, const kama_bytes *args,
                                   int count)
{
    cli_options_unknown(&cli->options, warn_unknown, NULL);
    kama_status status = cli_endpoints_init(
        &cli->endpoints, cli->options.endpoint, cli->options.timeout);
    if (status == KAMA_ERR_INVALID) {
        char spelling[KM_OPTION_SPELLING_BYTES];
        cli_options_spelling(&cli->options, "endpoint", spelling);
        return cli_usage_error("%s: %s", spelling, km_last_error());
    }
    if (status != KAMA_OK) {
        return cli_failed(cli, status);
    }
    enum cli_exit code = CLI_EXIT_OK;
    if (cli->options.wait > 0) {
        code = cli_wait(cli);
    }
    if (code == CLI_EXIT_OK) {
        code = cli->command->run(cli, args, count);
    }
    cli_endpoints_fini(&cli->endpoints);
    return code;
}

/* Turns a word into bytes. With --quoted, a word in quotes becomes the bytes
 * that it stands for, in place; otherwise it is taken byte for byte. */
static kama_status read_word(const struct cli *cli, char *word,
                             kama_bytes *ret_bytes)
{
    if (cli->options.quoted != 0) {
        return cli_unquote(word, ret_bytes);
    }
    *ret_bytes = KAMA_STR(word);
    return KAMA_OK;
}

/* Reads the name of the group. Only a name that was typed as an argument is in
 * the quoted notation. */
static kama_status read_group(struct cli *cli)
{
    /* It is in argv or in a copy, and may be changed. */
    char *group = (char *)(uintptr_t)cli->options.group;
    if (cli->options.group_is_typed) {
        return read_word(cli, group, &cli->group);
    }
    cli->group = KAMA_STR(group);
    return KAMA_OK;
}

/* Turns the group and all arguments into bytes. */
static enum cli_exit read_words(struct cli *cli, char **words, int count,
                                kama_bytes *args)
{
    if (read_group(cli) != KAMA_OK) {
        return cli_usage_error("--group: %s", km_last_error());
    }
    for (int i = 0; i < count; i++) {
        if (read_word(cli, words[i], &args[i]) != KAMA_OK) {
            return cli_usage_error("%s: argument %d: %s", cli->command->name,
                                   i + 1, km_last_error());
        }
    }
    return CLI_EXIT_OK;
}

/* Returns a word that was probably meant as an option, though it stands behind the
 * command, where it is an argument; NULL if there is none. */
static const char *late_option(char **words, int count)
{
    static const char *const options[] = {"-e", "-g", "-n", "-q"};
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof options / sizeof options[0]; k++) {
            if (strcmp(words[i], options[k]) == 0) {
                return options[k];
            }
        }
    }
    return NULL;
}

static enum cli_exit refuse_count(const struct cli_command *command,
                                  char **words, int count)
{
    const char *late = late_option(words, count);
    return cli_usage_error("usage: %s%s%s%s%s%s", command->name,
                           command->args != NULL ? " " : "",
                           command->args != NULL ? command->args : "",
                           late != NULL ? " (" : "", late != NULL ? late : "",
                           late != NULL ? " stands before the command)" : "");
}

/* Checks and runs the command. words are its arguments as they were typed. */
static enum cli_exit run_command(struct cli *cli, char **words, int count)
{
    const struct cli_command *command = cli->command;
    if (count < command->args_min ||
        (command->args_max >= 0 && count > command->args_max)) {
        return refuse_count(command, words, count);
    }
    if (cli_options_check(&cli->options, command->options) != KAMA_OK) {
        return cli_usage_error("%s %s", command->name, km_last_error());
    }
    kama_bytes *args = calloc((size_t)count + 1, sizeof *args);
    if (args == NULL) {
        return cli_failed(cli, KAMA_ERR_NO_MEMORY);
    }
    enum cli_exit code = read_words(cli, words, count, args);
    if (code == CLI_EXIT_OK) {
        code = run_connected(cli, args, count);
    }
    free(args);
    return code;
}

/* Refuses an unknown command, and suggests a similar one. */
static enum cli_exit refuse_command(const char *name)
{
    char shown[64];
    const char *nearest = cli_command_nearest(name);
    km_bytes_quote(KAMA_STR(name), shown, sizeof shown);
    if (nearest != NULL) {
        return cli_usage_error("no command %s, did you mean %s?", shown,
                               nearest);
    }
    return cli_usage_error("no command %s", shown);
}

/* Does what the options ask for. words are the command and its arguments. */
static enum cli_exit run(struct cli *cli, char **words, int count)
{
    const struct cli_options *options = &cli->options;
    if (options->version != 0) {
        return print_version(options);
    }
    if (count == 0) {
        return options->help != 0
                   ? print_help(options)
                   : cli_usage_error("a command is missing; the interactive "
                                     "shell is not in this version");
    }
    cli->command = cli_command_find(words[0]);
    if (cli->command == NULL) {
        return refuse_command(words[0]);
    }
    return options->help != 0 ? print_command_help(cli->command)
                              : run_command(cli, words + 1, count - 1);
}

/* Returns the form of the output, which is for people if that is a terminal. */
static enum cli_mode mode_of(const struct cli_options *options)
{
    if (options->json != 0) {
        return CLI_MODE_JSON;
    }
    if (options->raw != 0) {
        return CLI_MODE_RAW;
    }
    return isatty(STDOUT_FILENO) ? CLI_MODE_PEOPLE : CLI_MODE_PIPE;
}

/* Occupies the descriptors 0 to 2, so that no socket gets their numbers and
 * receives the output. A closed one is opened in the wrong direction, so that
 * using it fails. */
static bool occupy_descriptors(void)
{
    static const int unusable[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", unusable[fd]) != fd) {
            return false;
        }
    }
    return true;
}

/* Takes --help=man or --help=completion out of argv. Returns "man" or
 * "completion", or NULL. */
static const char *take_form(int *argc, char **argv)
{
    static const char *const forms[] = {"--help=man", "--help=completion"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (*argc == 2 && strcmp(argv[1], forms[i]) == 0) {
            *argc = 1;
            return strchr(forms[i], '=') + 1;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct cli cli = {.mode = CLI_MODE_PIPE};
    const char *form = take_form(&argc, argv);
    int count = 0;
    if (!occupy_descriptors()) {
        return CLI_EXIT_OTHER;
    }
    signal(SIGPIPE, SIG_IGN);
    cli_columns_init();
    kama_status status = cli_options_init(&cli.options, argc, argv, &count);
    enum cli_exit code;
    if (status == KAMA_OK) {
        cli.mode = mode_of(&cli.options);
        code = form != NULL ? print_document(&cli.options, form)
                            : run(&cli, argv, count);
        code = cli_close_output(code);
    } else {
        code = cli_usage_error("%s", km_last_error());
    }
    cli_options_fini(&cli.options);
    return (int)code;
}
