/* SPDX-License-Identifier: MIT */
/* Reading the options of the daemon, and the texts around the listings that are
 * made from their rows. */
#include "options.h"

#include "apps/kamacache-cli/options.h"
#include "base/log_format.h"
#include "base/option_argv.h"
#include "base/option_help.h"
#include "base/option_text.h"
#include "base/status.h"
#include "base/text.h"
#include "group/options.h"

#include <stdio.h>
#include <stdlib.h>

#define ENV_PREFIX "KAMACACHE"
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

#define KM_OPTION_STRUCT struct daemon_options
static const struct km_option rows[] = {DAEMON_SETTINGS(KM_OPTION_ROW)
                                            DAEMON_ACTIONS(KM_OPTION_ROW)};

#define ONE_MORE(field, kind, arg, fallback, min, max, help) +1
enum { SETTING_COUNT = 0 DAEMON_SETTINGS(ONE_MORE) };

/* -- reading ------------------------------------------------------------- */

/* Refuses the value of an option that must be one of a few words. */
static kama_status refuse_word(const struct daemon_options *options,
                               const char *name, const char *word,
                               const char *wants)
{
    char spelling[KM_OPTION_SPELLING_BYTES];
    char shown[64];
    km_options_spelling(&options->table, ENV_PREFIX, name, spelling);
    return km_fail(KAMA_ERR_INVALID, "%s: \"%s\" is not %s", spelling,
                   km_bytes_quote(KAMA_STR(word), shown, sizeof shown), wants);
}

/* Parses the options that are one of a few words. */
static kama_status check_words(struct daemon_options *options)
{
    if (!km_log_level_parse(options->log_level, &options->level)) {
        return refuse_word(options, "log_level", options->log_level,
                           "debug, info, warn or error");
    }
    if (!km_log_format_parse(options->log_format, &options->format)) {
        return refuse_word(options, "log_format", options->log_format,
                           "text or json");
    }
    return KAMA_OK;
}

/* Reads the variables of the settings. The actions have none. */
static kama_status read_environment(struct daemon_options *options)
{
    struct km_options *table = &options->table;
    table->row_count = SETTING_COUNT;
    kama_status status = km_options_from_env(table, ENV_PREFIX);
    table->row_count = COUNT(rows);
    return status;
}

/* The flags come first, because --help and --version have to work with any
 * environment. A flag wins over a variable, whichever is read first. */
kama_status daemon_options_init(struct daemon_options *options, int argc,
                                char **argv)
{
    int rest = 0;
    memset(options, 0, sizeof *options);
    kama_status status =
        km_options_init(&options->table, rows, COUNT(rows), options);
    if (status == KAMA_OK) {
        status = km_options_from_argv(&options->table, argc, argv, &rest);
    }
    if (status != KAMA_OK || options->help != 0 || options->version != 0) {
        return status; /* these two work in any environment */
    }
    if (rest > 0) {
        char shown[100];
        return km_fail(
            KAMA_ERR_INVALID,
            "\"%s\": unexpected argument; kamacached takes options only",
            km_bytes_quote(KAMA_STR(argv[1]), shown, sizeof shown));
    }
    status = read_environment(options);
    return status == KAMA_OK ? check_words(options) : status;
}

void daemon_options_fini(struct daemon_options *options)
{
    km_options_fini(&options->table);
}

kama_status daemon_options_name(const struct daemon_options *options,
                                const char *name, kama_status status)
{
    char spelling[KM_OPTION_SPELLING_BYTES];
    km_options_spelling(&options->table, ENV_PREFIX, name, spelling);
    return km_fail(status, "%s: %s", spelling, km_last_error());
}

/* Returns the row whose name the sentence begins with, before a colon, and the
 * rest of the sentence; or NULL. A time has its unit in the name of the member
 * (start_timeout_ms), and not in that of the setting. */
static const struct km_option *row_of_sentence(const char *sentence,
                                               const char **ret_rest)
{
    const char *colon = strstr(sentence, ": ");
    size_t len = colon != NULL ? (size_t)(colon - sentence) : 0;
    if (len > 3 && strncmp(colon - 3, "_ms", 3) == 0) {
        len -= 3;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strlen(rows[i].name) == len &&
            strncmp(sentence, rows[i].name, len) == 0) {
            *ret_rest = colon + 2;
            return &rows[i];
        }
    }
    return NULL;
}

/* The node knows only the members of its options; the user knows the flag or the
 * variable. */
kama_status daemon_options_explain(const struct daemon_options *options,
                                   kama_status status)
{
    char spelling[KM_OPTION_SPELLING_BYTES];
    const char *sentence = km_last_error();
    const char *rest;
    const struct km_option *row = row_of_sentence(sentence, &rest);
    if (row == NULL) {
        return status;
    }
    km_options_spelling(&options->table, ENV_PREFIX, row->name, spelling);
    if (status != KAMA_ERR_PERMISSION) {
        return km_fail(status, "%s: %s", spelling, rest);
    }
    return km_fail(
        status,
        "%s: %.*s is reachable from other machines, and this "
        "version neither encrypts nor asks who calls; %s permits it",
        spelling,
        KM_TEXT_UP_TO(64, strcmp(row->name, "admin") == 0 ? options->admin
                                                          : options->listen),
        spelling[0] == '-' ? "--insecure" : ENV_PREFIX "_INSECURE=true");
}

/* Writes the variable of a setting: KAMACACHE_LOG_LEVEL for log_level. */
static void variable_name(const char *name, char *variable, size_t cap)
{
    size_t n = (size_t)snprintf(variable, cap, ENV_PREFIX "_");
    for (; *name != '\0' && n + 1 < cap; name++) {
        bool lower = *name >= 'a' && *name <= 'z';
        variable[n++] = lower ? (char)(*name - 'a' + 'A') : *name;
    }
    variable[n] = '\0';
}

void daemon_options_variables(const struct daemon_options *options,
                              void (*seen)(const char *name))
{
    char variable[96];
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (options->table.origins[i] == KM_ORIGIN_ENV) {
            variable_name(rows[i].name, variable, sizeof variable);
            seen(variable);
        }
    }
}

static const struct km_option other_rows[] = {
    CLI_SETTINGS(KM_OPTION_NAME_ROW){.name = "version"}};

/* The settings of the client have the same prefix and are no mistake. */
void daemon_options_unknown(const struct daemon_options *options,
                            km_option_unknown_fn seen, void *arg)
{
    struct km_options view = options->table;
    view.row_count = SETTING_COUNT;
    km_options_unknown_env(&view, ENV_PREFIX, other_rows, COUNT(other_rows),
                           seen, arg);
}

/* -- writing ------------------------------------------------------------- */

static const char help_head[] =
    "Usage: kamacached [OPTION...]\n"
    "\n"
    "Serves groups of a read-through cache over gRPC, in the foreground.\n"
    "\n";

/* The key that is not in the table of a group's options, because it cannot be
 * set by name. */
static const struct km_option loader_row = {
    .name = "loader",
    .kind = KM_OPTION_STRING,
    .arg = "NAME:CONFIG",
    .help = "Where values come from when they are not in memory.",
};

static const char help_tail[] =
    "\n"
    "A VALUE with , or blanks is written in \"...\", where \\ takes the next\n"
    "character as it is:\n"
    "  --group 'users:max_bytes=1g,ttl=5m'\n"
    "  --group 'u:loader=\"sqlite:/db?query=SELECT v FROM t WHERE k=?1\"'\n"
    "\n"
    "Times need a unit: 250ms, 5s, 3m or 1h; ttl and negative_ttl may be\n"
    "`forever`. Sizes are bytes, or take k, m or g.\n"
    "\n"
    "Each setting also has an environment variable, KAMACACHE_LISTEN for\n"
    "--listen; flags win. KAMACACHE_GROUP takes one group per line.\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain and stop, the second one at once.\n"
    "Exit status: 0 stopped, 1 could not start, 2 bad settings,\n"
    "130 or 143 stopped by a second signal.\n";

kama_status daemon_options_help(const struct daemon_options *options,
                                struct km_buf *out)
{
    kama_status status = km_buf_append_str(out, help_head);
    if (status == KAMA_OK) {
        status = km_options_help(&options->table, out);
    }
    if (status == KAMA_OK) {
        status = km_buf_append_str(out, "\nKeys of a group:\n");
    }
    if (status == KAMA_OK) {
        status = km_option_keys_help(km_group_option_rows,
                                     km_group_option_row_count, out);
    }
    if (status == KAMA_OK) {
        status = km_option_keys_help(&loader_row, 1, out);
    }
    return status == KAMA_OK ? km_buf_append_str(out, help_tail) : status;
}

/* Appends the table of the actions, which have no variables. */
static kama_status append_actions(struct km_buf *out)
{
    kama_status status = km_buf_append_str(out, "\n## Instead of serving\n\n"
                                                "| flag | what it does |\n"
                                                "| --- | --- |\n");
    for (size_t i = SETTING_COUNT; i < COUNT(rows); i++) {
        if (rows[i].kind != KM_OPTION_BOOL || status != KAMA_OK) {
            continue;
        }
        char shown[KM_OPTION_NAME_BYTES_MAX + 1];
        snprintf(shown, sizeof shown, "%s", rows[i].name);
        for (char *p = shown; *p != '\0'; p++) {
            *p = *p == '_' ? '-' : *p;
        }
        status = km_buf_printf(out, "| `--%s` | %s |\n", shown, rows[i].help);
    }
    return status;
}

kama_status daemon_options_document(const struct daemon_options *options,
                                    struct km_buf *out)
{
    struct km_options view = options->table;
    view.row_count = SETTING_COUNT;
    kama_status status = km_options_document(&view, ENV_PREFIX, out);
    return status == KAMA_OK ? append_actions(out) : status;
}

/* A copy of the table that ends behind the settings leaves the actions out. */
kama_status daemon_options_print(const struct daemon_options *options,
                                 struct km_buf *out)
{
    struct km_options view = options->table;
    view.row_count = SETTING_COUNT;
    return km_options_print(&view, out);
}
