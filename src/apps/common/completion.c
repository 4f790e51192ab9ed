/* SPDX-License-Identifier: MIT */
/*
 * The script has one function. It takes the line apart itself, at blanks, because
 * the shell also cuts words at = and :, which --flag=value and NAME:KEY=VALUE
 * have; what the shell has cut off is taken off the candidates at the end.
 */
#include "completion.h"

#include "base/option_text.h"

/* -- the parts that are always the same ----------------------------------- */

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

/* The command: the first word that is neither a flag nor the value of one. */
static const char find_word[] =
    "    for ((i = 1; i < ${#pieces[@]}; i++)); do\n"
    "        if [[ ${pieces[i]} != -* && ${pieces[i - 1]} != @($with_value) "
    "]]; then\n"
    "            word=${pieces[i]}\n"
    "            break\n"
    "        fi\n"
    "    done\n";

/* With flags behind a dash, words at first, and arguments behind those. */
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

/* The first error stays. */
struct writer {
    struct km_buf *out;
    kama_status status;
};

static void put(struct writer *w, const char *text)
{
    if (w->status == KAMA_OK) {
        w->status = km_buf_append_str(w->out, text);
    }
}

/* The name of the function: that of the program with _ for -. */
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

/* Whether the next word is the option's value. */
static bool takes_value(const struct completion *c, const struct km_option *row)
{
    return row->kind < KM_OPTION_LATER && row->kind != KM_OPTION_BOOL &&
           strcmp(row->name, c->optional) != 0;
}

/* "--group|-g" */
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

/* candidates becomes the lines that a command prints. */
static void put_command(struct writer *w, const char *command)
{
    put(w, "        mapfile -t candidates < <(");
    put(w, command);
    put(w, ")\n");
}

/* What each value may be; an option without candidates has none, rather than
 * flags. */
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
