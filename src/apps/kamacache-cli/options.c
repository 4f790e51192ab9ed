/* SPDX-License-Identifier: MIT */
/*
 * Reading the options of the client. It has a loop over argv of its own,
 * because km_options_from_argv would refuse words that begin with a dash
 * everywhere, and here they may be keys and values.
 */
#include "options.h"

#include "apps/kamacached/options.h"
#include "base/option_help.h"
#include "base/status.h"

#define ENV_PREFIX "KAMACACHE"
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

#define KM_OPTION_STRUCT struct cli_options
static const struct km_option rows[] = {CLI_SETTINGS(KM_OPTION_ROW)
                                            CLI_FLAGS(KM_OPTION_ROW)};

/* The rows that the environment may set come first. */
#define ONE(...) +1
enum { SETTING_COUNT = CLI_SETTINGS(ONE) };

/* -- argv ---------------------------------------------------------------- */

struct reader {
    struct cli_options *options;
    int argc;
    char **argv;
    int at;    /* the argument that is being read */
    int count; /* the words so far, which are argv[0..count) */
};

/* Sets an option to a value of the command line. */
static kama_status set(struct reader *r, const char *name, const char *value)
{
    return km_options_set(&r->options->table, name, value, KM_ORIGIN_FLAG);
}

/* Sets an option to the next argument. */
static kama_status set_from_next(struct reader *r, const char *name)
{
    if (r->at + 1 >= r->argc) {
        return km_fail(KAMA_ERR_INVALID, "--%s: needs a value", name);
    }
    r->at++;
    return set(r, name, r->argv[r->at]);
}

/* Reads the text of a long form, "name" or "name=value". The `=` becomes a
 * NUL. */
static kama_status take_long(struct reader *r, char *text)
{
    char *equals = strchr(text, '=');
    if (equals != NULL) {
        *equals = '\0';
        return set(r, text, equals + 1);
    }
    const struct km_option *row =
        km_option_find(rows, COUNT(rows), KAMA_STR(text));
    if (row != NULL && row->kind == KM_OPTION_BOOL) {
        return set(r, text, "true");
    }
    if (strcmp(text, "wait") == 0) {
        return set(r, text, CLI_WAIT_DEFAULT);
    }
    /* set refuses an unknown name, and suggests the nearest one. */
    return row != NULL ? set_from_next(r, text) : set(r, text, "");
}

/* Reads the text of a short form, "e", "eADDR", "n5", "h" or "q". */
static kama_status take_short(struct reader *r, const char *text)
{
    const char *name = text[0] == 'e'   ? "endpoint"
                       : text[0] == 'n' ? "limit"
                                        : "group";
    char shown[16];
    if (text[0] == 'e' || text[0] == 'g' || text[0] == 'n') {
        return text[1] != '\0' ? set(r, name, text + 1)
                               : set_from_next(r, name);
    }
    if (strcmp(text, "h") == 0) {
        return set(r, "help", "true");
    }
    if (strcmp(text, "q") == 0) {
        return set(r, "quoted", "true");
    }
    if (strcmp(text, "v") == 0) {
        r->options->verbose = true;
        return KAMA_OK;
    }
    km_bytes_quote(KAMA_STR(text), shown, sizeof shown);
    return km_fail(KAMA_ERR_INVALID, "-%s: unknown option", shown);
}

/* Adds a hint to the sentence about an unknown option behind a command, which
 * may have been meant as a key or a value. text is its name, with or without a
 * value. */
static kama_status advise_dashes(const struct reader *r, kama_status status,
                                 const char *text)
{
    kama_bytes name = kama_bytes_make(text, strcspn(text, "="));
    if (r->count == 0 || km_option_find(rows, COUNT(rows), name) != NULL) {
        return status;
    }
    return km_fail(status, "%s (behind -- it is an argument)", km_last_error());
}

static kama_status take_argument(struct reader *r)
{
    char *text = r->argv[r->at];
    if (strncmp(text, "--", 2) == 0) {
        kama_status status = take_long(r, text + 2);
        return status == KAMA_OK ? KAMA_OK : advise_dashes(r, status, text + 2);
    }
    if (r->count == 0 && text[0] == '-' && text[1] != '\0') {
        return take_short(r, text + 1);
    }
    r->argv[r->count++] = text;
    return KAMA_OK;
}

static kama_status read_argv(struct reader *r)
{
    kama_status status = KAMA_OK;
    for (r->at = 1; r->at < r->argc && status == KAMA_OK; r->at++) {
        if (strcmp(r->argv[r->at], "--") == 0) {
            r->at++;
            break;
        }
        status = take_argument(r);
    }
    while (status == KAMA_OK && r->at < r->argc) {
        r->argv[r->count++] = r->argv[r->at++];
    }
    return status;
}

/* -- environment --------------------------------------------------------- */

static enum km_option_origin origin_of(const struct cli_options *options,
                                       const char *name)
{
    const struct km_option *row =
        km_option_find(rows, COUNT(rows), KAMA_STR(name));
    return options->table.origins[row - rows];
}

/* Cuts text down to the name of the first group in it. Text is in the notation
 * of the daemon: NAME[:KEY=VALUE,...] per line, where NAME may stand in double
 * quotes, in which a backslash takes the next character as it is. */
static kama_status cut_group_name(char *text)
{
    if (text[0] != '"') {
        text[strcspn(text, ":\n")] = '\0';
        return KAMA_OK;
    }
    char *to = text;
    const char *from = text + 1;
    while (*from != '"') {
        from += *from == '\\' ? 1 : 0;
        if (*from == '\0') {
            return km_fail(KAMA_ERR_INVALID,
                           ENV_PREFIX "_GROUP: a quote is not closed");
        }
        *to++ = *from++;
    }
    *to = '\0';
    return KAMA_OK;
}

/* Reads KAMACACHE_GROUP, which may be the variable of a daemon in the same
 * environment. Its first group is taken then. */
static kama_status cut_env_group(struct cli_options *options)
{
    if (origin_of(options, "group") != KM_ORIGIN_ENV) {
        return KAMA_OK;
    }
    options->env_group = km_mem_strdup(km_mem_default(), options->group);
    options->group = options->env_group;
    return options->group != NULL ? cut_group_name(options->env_group)
                                  : KAMA_ERR_NO_MEMORY;
}

static kama_status read_environment(struct cli_options *options)
{
    struct km_options *table = &options->table;
    table->row_count = SETTING_COUNT;
    kama_status status = km_options_from_env(table, ENV_PREFIX);
    table->row_count = COUNT(rows);
    return status == KAMA_OK ? cut_env_group(options) : status;
}

/* -- the whole ----------------------------------------------------------- */

/* Refuses options that do not go together. */
static kama_status check_together(const struct cli_options *options)
{
    if (options->json != 0 && options->raw != 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "--json and --raw cannot be used together");
    }
    if (options->nx + options->xx + (options->etag != NULL) > 1) {
        return km_fail(KAMA_ERR_INVALID,
                       "--nx, --xx and --etag cannot be used together");
    }
    if (options->verbose && options->version == 0) {
        return km_fail(KAMA_ERR_INVALID, "-v can only be used with --version");
    }
    return KAMA_OK;
}

kama_status cli_options_init(struct cli_options *options, int argc, char **argv,
                             int *ret_count)
{
    struct reader r = {.options = options, .argc = argc, .argv = argv};
    memset(options, 0, sizeof *options);
    kama_status status =
        km_options_init(&options->table, rows, COUNT(rows), options);
    if (status == KAMA_OK) {
        status = read_environment(options);
    }
    if (status == KAMA_OK) {
        status = read_argv(&r);
    }
    if (status == KAMA_OK) {
        status = check_together(options);
    }
    if (status != KAMA_OK) {
        return status;
    }
    options->has_group = origin_of(options, "group") != KM_ORIGIN_DEFAULT &&
                         options->group[0] != '\0';
    options->group_is_typed = origin_of(options, "group") == KM_ORIGIN_FLAG;
    options->has_timeout = origin_of(options, "timeout") != KM_ORIGIN_DEFAULT;
    *ret_count = r.count;
    return KAMA_OK;
}

void cli_options_fini(struct cli_options *options)
{
    if (options->table.origins != NULL) {
        km_options_fini(&options->table);
    }
    km_mem_free(km_mem_default(), options->env_group);
}

/* Returns whether the name is one of the words. */
static bool is_one_of(const char *words, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = words; *at != '\0'; at += *at == ' ') {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, name, len) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

kama_status cli_options_check(const struct cli_options *options,
                              const char *own)
{
    static const char *const names[] = {"ttl",   "nx",      "xx",
                                        "etag",  "limit",   "largest",
                                        "bytes", "cluster", "probe-load"};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (origin_of(options, names[i]) != KM_ORIGIN_DEFAULT &&
            (own == NULL || !is_one_of(own, names[i]))) {
            return km_fail(KAMA_ERR_INVALID,
                           "--%s: not an option of this command", names[i]);
        }
    }
    return KAMA_OK;
}

static const struct km_option other_rows[] = {
    DAEMON_SETTINGS(KM_OPTION_NAME_ROW){.name = "version"}};

void cli_options_unknown(const struct cli_options *options,
                         km_option_unknown_fn seen, void *arg)
{
    struct km_options view = options->table;
    view.row_count = SETTING_COUNT;
    km_options_unknown_env(&view, ENV_PREFIX, other_rows, COUNT(other_rows),
                           seen, arg);
}

void cli_options_spelling(const struct cli_options *options, const char *name,
                          char ret_spelling[KM_OPTION_SPELLING_BYTES])
{
    km_options_spelling(&options->table, ENV_PREFIX, name, ret_spelling);
}

kama_status cli_options_help(const struct cli_options *options,
                             struct km_buf *out)
{
    return km_options_help(&options->table, out);
}
