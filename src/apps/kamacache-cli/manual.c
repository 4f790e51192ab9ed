/* SPDX-License-Identifier: MIT */
/* The texts of the manual page, and the shell functions of the completion. */
#include "manual.h"

#include "commands.h"

#include "apps/common/completion.h"
#include "apps/common/manual.h"

#include <stdio.h>

#define ENV_PREFIX "KAMACACHE"

/* The settings come first in the table. The flags behind them have no
 * variables. */
#define ONE_MORE(field, kind, arg, fallback, min, max, help) +1
enum { SETTING_COUNT = 0 CLI_SETTINGS(ONE_MORE) };

enum { USE_BYTES = 160 };

/* -- the page ------------------------------------------------------------ */

/* Writes the table of commands as items. */
static void write_commands(struct manual *m)
{
    manual_section(m, "COMMANDS");
    for (size_t i = 0; i < cli_command_count; i++) {
        char use[USE_BYTES];
        const struct cli_command *command = &cli_commands[i];
        snprintf(use, sizeof use, "%s%s%s", command->name,
                 command->args != NULL ? " " : "",
                 command->args != NULL ? command->args : "");
        manual_item(m, use, command->help);
    }
}

static void write_options(struct manual *m, const struct cli_options *options)
{
    const struct km_options *table = &options->table;
    manual_section(m, "OPTIONS");
    manual_options(m, table->rows, SETTING_COUNT, ENV_PREFIX);
    manual_options(m, table->rows + SETTING_COUNT,
                   table->row_count - SETTING_COUNT, NULL);
}

/* Writes the exit codes, which cli.h defines. */
static void write_exits(struct manual *m)
{
    manual_section(m, "EXIT STATUS");
    manual_item(m, "0", "Done.");
    manual_item(m, "1",
                "A miss, or a `set` whose condition was not met: nothing was "
                "changed.");
    manual_item(m, "2",
                "Usage: the command line is wrong, and nothing was "
                "asked.");
    manual_item(m, "3",
                "Unreachable: no node is there, it went away, or it "
                "does not serve.");
    manual_item(m, "4",
                "Refused: no such group, too large, invalid, "
                "overloaded, or not in this version.");
    manual_item(m, "5",
                "Anything else: the loader failed, a timeout, or the "
                "output could not be written.");
}

kama_status cli_manual_write(const struct cli_options *options,
                             const char *notes, struct km_buf *out)
{
    struct manual m;
    manual_begin(&m, out, "kamacache-cli", "1", "client of a KamaCache node");
    manual_section(&m, "SYNOPSIS");
    manual_text(&m, "`kamacache-cli` [`OPTION`...] `COMMAND` [`ARGUMENT`...]");
    manual_section(&m, "DESCRIPTION");
    manual_text(&m, "Asks one node for one thing and prints the answer. "
                    "`kamacache-cli COMMAND --help` shows how a command is "
                    "used.");
    write_commands(&m);
    write_options(&m, options);
    manual_section(&m, "NOTES");
    manual_example(&m, notes);
    write_exits(&m);
    manual_section(&m, "EXAMPLES");
    manual_example(&m, "kamacache-cli set greeting hello\n"
                       "kamacache-cli -g users get tom\n"
                       "kamacache-cli -e 127.0.0.1:8002 stats\n");
    manual_section(&m, "SEE ALSO");
    manual_text(&m, "`kamacached`(8)");
    return manual_end(&m);
}

/* -- completion ---------------------------------------------------------- */

/* A shell function that asks the node of the command line for its groups.
 * Groups whose names would have to be quoted are left out. */
static const char functions[] =
    "_kamacache_cli_groups()\n"
    "{\n"
    "    local -a node=()\n"
    "    local at\n"
    "    for ((at = 1; at < ${#pieces[@]}; at++)); do\n"
    "        case ${pieces[at]} in\n"
    "        -e | --endpoint) node=(-e \"${pieces[at + 1]-}\") ;;\n"
    "        --endpoint=*) node=(\"${pieces[at]}\") ;;\n"
    "        -e?*) node=(\"${pieces[at]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    \"${pieces[0]}\" --timeout=500ms --json \"${node[@]}\" groups "
    "2>/dev/null |\n"
    "        grep -o '\"name\":\"[A-Za-z0-9_.-]*\"' | cut -d '\"' -f 4\n"
    "}\n";

/* Appends text, unless there was an error before. */
static void put(struct km_buf *out, kama_status *status, const char *text)
{
    if (*status == KAMA_OK) {
        *status = km_buf_append_str(out, text);
    }
}

/* Writes the commands, a blank behind each, and a NUL. */
static kama_status write_words(struct km_buf *out)
{
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < cli_command_count; i++) {
        put(out, &status, cli_commands[i].name);
        put(out, &status, " ");
    }
    return status == KAMA_OK ? km_buf_append(out, "", 1) : status;
}

static bool takes_group(const struct cli_command *command)
{
    const char *args = command->args;
    return args != NULL && (strncmp(args, "[GROUP]", 7) == 0 ||
                            strncmp(args, "GROUP ", 6) == 0);
}

/* Writes a shell `case` over the commands whose first argument is a group, and
 * a NUL. */
static kama_status write_arguments(struct km_buf *out)
{
    kama_status status = KAMA_OK;
    put(out, &status, "case $word in");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (takes_group(&cli_commands[i])) {
            put(out, &status, " ");
            put(out, &status, cli_commands[i].name);
            put(out, &status, ") _kamacache_cli_groups ;;");
        }
    }
    put(out, &status, " esac");
    return status == KAMA_OK ? km_buf_append(out, "", 1) : status;
}

static kama_status write_script(const struct cli_options *options,
                                struct km_buf *words, struct km_buf *arguments,
                                struct km_buf *out)
{
    static const struct completion_value values[] = {
        {"group", "_kamacache_cli_groups"},
        {"ttl", "echo forever"},
        {NULL, NULL}};
    static const struct completion_letter letters[] = {
        {'e', "endpoint"}, {'g', "group"}, {'n', "limit"}, {0, NULL}};
    kama_status status = write_words(words);
    if (status == KAMA_OK) {
        status = write_arguments(arguments);
    }
    if (status != KAMA_OK) {
        return status;
    }
    const struct completion completion = {
        .program = "kamacache-cli",
        .rows = options->table.rows,
        .row_count = options->table.row_count,
        .values = values,
        .letters = letters,
        .optional = "wait",
        .functions = functions,
        .words = (const char *)words->data,
        .arguments = (const char *)arguments->data,
    };
    return completion_write(&completion, out);
}

kama_status cli_completion_write(const struct cli_options *options,
                                 struct km_buf *out)
{
    struct km_buf words;
    struct km_buf arguments;
    km_buf_init(&words, km_mem_default(), SIZE_MAX);
    km_buf_init(&arguments, km_mem_default(), SIZE_MAX);
    kama_status status = write_script(options, &words, &arguments, out);
    km_buf_fini(&words);
    km_buf_fini(&arguments);
    return status;
}
