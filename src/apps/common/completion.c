/* SPDX-License-Identifier: MIT */
/*
 * The script consists of one function, and of functions that make candidates.
 *
 * It takes the command line apart at blanks itself, because bash also cuts
 * words at `=` and `:`, which --flag=value and NAME:KEY=VALUE contain. At the
 * end, the part that bash has cut off is removed from the candidates:
 *
 *     typed by the user    kamacached --group=users:ma
 *     $current             --group=users:ma
 *     $cur (of bash)       ma
 *     candidate            --group=users:max_bytes=
 *     reply                max_bytes=
 */
#include "completion.h"

#include "base/option_text.h"

/* -- the fixed parts of the script ---------------------------------------- */

static const char take_apart[] =
    "    local line=${COMP_LINE:0:COMP_POINT} cur=${COMP_WORDS[COMP_CWORD]}\n"
    "    local current=${line##*[[:blank:]]} word='' prefix='' i\n"
    "    local -a pieces candidates\n"
    "    read -ra pieces <<<\"${line%\"$current\"}\"\n"
    "    local value=$current flag=${pieces[-1]}\n"
    "    if [[ $current == --*=* ]]; then\n"
    "        flag=${current%%=*}\n"
    "        prefix=$flag=\n"
    "        value=${current#*=}\n"
    "    fi\n";

/* Finds the command, which is the first word that is neither a flag nor the
 * value of one. */
static const char find_word[] =
    "    for ((i = 1; i < ${#pieces[@]}; i++)); do\n"
    "        if [[ ${pieces[i]} != -* && ${pieces[i - 1]} != @($with_value) "
    "]]; then\n"
    "            word=${pieces[i]}\n"
    "            break\n"
    "        fi\n"
    "    done\n";

/* Offers flags for a word that begins with a dash, commands in front of a
 * command, and arguments behind it. */
static const char choose[] =
    "    *)\n"
    "        if [[ $current == -* || -z $words ]]; then\n"
    "            candidates=($flags)\n"
    "        elif [[ -z $word ]]; then\n"
    "            candidates=($words)\n";

static const char choose_end[] = "        fi\n"
                                 "        ;;\n"
                                 "    esac\n";

static const char reply[] =
    "    [[ $cur == [:=] ]] && cur=''\n"
    "    local cut=${current%\"$cur\"} candidate\n"
    "    COMPREPLY=()\n"
    "    for candidate in \"${candidates[@]}\"; do\n"
    "        candidate=$prefix$candidate\n"
    "        if [[ $candidate == \"$current\"* ]]; then\n"
    "            COMPREPLY+=(\"${candidate#\"$cut\"}\")\n"
    "        fi\n"
    "    done\n"
    "    [[ ${COMPREPLY[0]-} == *[=/:] ]] && compopt -o nospace\n"
    "    return 0\n"
    "}\n";

/* -- writing ------------------------------------------------------------- */

struct writer {
    struct km_buf *out;
    kama_status status; /* the first error stays */
};

static void put(struct writer *w, const char *text)
{
    if (w->status == KAMA_OK) {
        w->status = km_buf_append_str(w->out, text);
    }
}

/* Writes the name of the function: that of the program with _ for each dash. */
static void put_function(struct writer *w, const char *program)
{
    put(w, "_");
    for (; *program != '\0'; program++) {
        char c[2] = {*program == '-' ? '_' : *program, '\0'};
        put(w, c);
    }
}

static void put_flag(struct writer *w, const struct km_option *row)
{
    char shown[KM_OPTION_SHOWN_BYTES];
    km_option_show_name(row->name, shown);
    put(w, "--");
    put(w, shown);
}

/* Returns whether the next word is the value of the option. */
static bool takes_value(const struct completion *c, const struct km_option *row)
{
    return row->kind < KM_OPTION_LATER && row->kind != KM_OPTION_BOOL &&
           strcmp(row->name, c->optional) != 0;
}

/* Writes the spellings of an option as a pattern: "--group|-g". */
static void put_spellings(struct writer *w, const struct completion *c,
                          const struct km_option *row)
{
    put_flag(w, row);
    for (size_t i = 0; c->letters[i].option != NULL; i++) {
        if (strcmp(c->letters[i].option, row->name) == 0) {
            char text[4] = {'|', '-', c->letters[i].letter, '\0'};
            put(w, text);
        }
    }
}

/* Writes the variables that hold the flags, the commands, and the flags that
 * take a value. */
static void put_tables(struct writer *w, const struct completion *c)
{
    const char *separator = "";
    put(w, "    local flags='");
    for (size_t i = 0; i < c->row_count; i++) {
        if (c->rows[i].kind < KM_OPTION_LATER) {
            put_flag(w, &c->rows[i]);
            put(w, takes_value(c, &c->rows[i]) ? "= " : " ");
        }
    }
    put(w, "' words='");
    put(w, c->words);
    put(w, "'\n    local with_value='");
    for (size_t i = 0; i < c->row_count; i++) {
        if (takes_value(c, &c->rows[i])) {
            put(w, separator);
            put_spellings(w, c, &c->rows[i]);
            separator = "|";
        }
    }
    put(w, "'\n");
}

/* Returns the shell command that prints candidates for the value of an option,
 * or NULL. */
static const char *command_of(const struct completion *c,
                              const struct km_option *row)
{
    for (size_t i = 0; c->values[i].option != NULL; i++) {
        if (strcmp(c->values[i].option, row->name) == 0) {
            return c->values[i].command;
        }
    }
    return NULL;
}

/* Writes that the candidates are the lines that a shell command prints. */
static void put_command(struct writer *w, const char *command)
{
    put(w, "        mapfile -t candidates < <(");
    put(w, command);
    put(w, ")\n");
}

/* Writes a case per option that takes a value. An option without a command has
 * no candidates; without its case, flags would be offered as its value. */
static void put_values(struct writer *w, const struct completion *c)
{
    put(w, "    case $flag in\n");
    for (size_t i = 0; i < c->row_count; i++) {
        const char *command = command_of(c, &c->rows[i]);
        if (!takes_value(c, &c->rows[i])) {
            continue;
        }
        put(w, "    ");
        put_spellings(w, c, &c->rows[i]);
        put(w, ")\n");
        if (command != NULL) {
            put_command(w, command);
        }
        put(w, "        ;;\n");
    }
}

static void put_choice(struct writer *w, const struct completion *c)
{
    put(w, choose);
    if (c->arguments[0] != '\0') {
        put(w, "        else\n    ");
        put_command(w, c->arguments);
    }
    put(w, choose_end);
}

kama_status completion_write(const struct completion *completion,
                             struct km_buf *out)
{
    struct writer w = {.out = out};
    put(&w, "# Completion of ");
    put(&w, completion->program);
    put(&w, " for bash. Made from its tables by --help=completion.\n");
    put(&w, completion->functions);
    put_function(&w, completion->program);
    put(&w, "()\n{\n");
    put_tables(&w, completion);
    put(&w, take_apart);
    put(&w, find_word);
    put_values(&w, completion);
    put_choice(&w, completion);
    put(&w, reply);
    put(&w, "complete -F ");
    put_function(&w, completion->program);
    put(&w, " ");
    put(&w, completion->program);
    put(&w, "\n");
    return w.status;
}
