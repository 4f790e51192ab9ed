/* SPDX-License-Identifier: MIT */
/* Option values from the environment and from argv. */
#include "base/mem.h"
#include "base/option_text.h"
#include "base/status.h"

#include <stdlib.h>

/* -- environment --------------------------------------------------------- */

/* len bytes at text as a string that o owns; NULL without memory. */
static const char *keep_copy(struct km_options *o, const char *text, size_t len)
{
    struct km_option_copy *copy = km_mem_alloc(o->mem, sizeof *copy + len + 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy->text, text, len);
    copy->text[len] = '\0';
    copy->next = o->copies;
    o->copies = copy;
    return copy->text;
}

/* Each line that is not empty is a value. */
static kama_status set_lines(struct km_options *o, const struct km_option *row,
                             const char *text)
{
    kama_status status = KAMA_OK;
    while (status == KAMA_OK && *text != '\0') {
        size_t len = strcspn(text, "\n");
        if (len > 0) {
            const char *line = keep_copy(o, text, len);
            status = line != NULL
                         ? km_options_set(o, row->name, line, KM_ORIGIN_ENV)
                         : km_fail(KAMA_ERR_NO_MEMORY, "no memory for options");
        }
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    return status;
}

static kama_status set_from_env(struct km_options *o,
                                const struct km_option *row, const char *prefix)
{
    char name[2 * KM_OPTION_SHOWN_BYTES];
    km_option_env_name(prefix, row->name, sizeof name, name);
    const char *text = getenv(name);
    if (text == NULL) {
        return KAMA_OK;
    }
    kama_status status =
        row->kind == KM_OPTION_LIST
            ? set_lines(o, row, text)
            : km_options_set(o, row->name, text, KM_ORIGIN_ENV);
    if (status != KAMA_OK) {
        return km_fail(status, "%s: %s", name, km_last_error());
    }
    return KAMA_OK;
}

kama_status km_options_from_env(struct km_options *o, const char *prefix)
{
    for (size_t i = 0; i < o->row_count; i++) {
        if (o->rows[i].kind == KM_OPTION_HEADING) {
            continue;
        }
        kama_status status = set_from_env(o, &o->rows[i], prefix);
        if (status != KAMA_OK) {
            return status;
        }
    }
    return KAMA_OK;
}

/* -- argv ---------------------------------------------------------------- */

/* A flag taken apart. */
struct flag {
    kama_bytes name;             /* without dashes and value */
    const char *value;           /* behind =, or NULL */
    const struct km_option *row; /* NULL: unknown */
    bool negated;                /* --no- before the name of a BOOL */
};

static void find_flag(const struct km_options *o, const char *text,
                      struct flag *flag)
{
    const char *equals = strchr(text, '=');
    flag->value = equals != NULL ? equals + 1 : NULL;
    flag->name = equals != NULL ? kama_bytes_make(text, (size_t)(equals - text))
                                : KAMA_STR(text);
    flag->negated = false;
    flag->row = km_option_find(o->rows, o->row_count, flag->name);
    if (flag->row != NULL || !km_bytes_starts(flag->name, KM_LIT("no-"))) {
        return;
    }
    const struct km_option *row = km_option_find(
        o->rows, o->row_count, km_bytes_skip(flag->name, strlen("no-")));
    if (row != NULL && row->kind == KM_OPTION_BOOL) {
        flag->row = row;
        flag->negated = true;
    }
}

static kama_status set_bool(struct km_options *o, const struct flag *flag)
{
    if (!flag->negated) {
        return km_options_set(o, flag->row->name,
                              flag->value != NULL ? flag->value : "true",
                              KM_ORIGIN_FLAG);
    }
    if (flag->value != NULL) {
        return km_fail(KAMA_ERR_INVALID, "--%.*s: takes no value",
                       (int)flag->name.len, (const char *)flag->name.data);
    }
    return km_options_set(o, flag->row->name, "false", KM_ORIGIN_FLAG);
}

/* Sets the flag; next is the argument behind it, or NULL. *ret_used_next says
 * whether that was its value. */
static kama_status set_flag(struct km_options *o, const struct flag *flag,
                            const char *next, bool *ret_used_next)
{
    char shown[KM_OPTION_SHOWN_BYTES];
    if (flag->row == NULL) {
        return km_option_unknown(o, flag->name, "--");
    }
    if (flag->row->kind == KM_OPTION_BOOL) {
        return set_bool(o, flag);
    }
    bool wants_next = flag->value == NULL && flag->row->kind < KM_OPTION_LATER;
    if (wants_next && next == NULL) {
        km_option_show_name(flag->row->name, shown);
        return km_fail(KAMA_ERR_INVALID, "--%s: needs a value (%s)", shown,
                       flag->row->arg != NULL ? flag->row->arg : "VALUE");
    }
    *ret_used_next = wants_next;
    return km_options_set(o, flag->row->name, wants_next ? next : flag->value,
                          KM_ORIGIN_FLAG);
}

/* The text of an option without its dashes; NULL: arg is no option. */
static const char *option_text(const char *arg)
{
    if (strcmp(arg, "-h") == 0) {
        return "help";
    }
    if (arg[0] != '-' || arg[1] == '\0') {
        return NULL;
    }
    return arg[1] == '-' ? arg + 2 : arg + 1;
}

/* A single dash is an error, unless it is -h; said with the nearest name. */
static kama_status check_dashes(const struct km_options *o, const char *arg)
{
    if (arg[1] == '-' || strcmp(arg, "-h") == 0) {
        return KAMA_OK;
    }
    struct flag flag;
    find_flag(o, arg + 1, &flag);
    if (flag.row == NULL) {
        return km_option_unknown(o, flag.name, "-");
    }
    return km_fail(KAMA_ERR_INVALID,
                   "-%.*s: unknown option, did you mean "
                   "--%.*s?",
                   (int)flag.name.len, (const char *)flag.name.data,
                   (int)flag.name.len, (const char *)flag.name.data);
}

kama_status km_options_from_argv(struct km_options *o, int argc, char **argv,
                                 int *ret_rest)
{
    int rest = 0;
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *text = option_text(argv[i]);
        if (text == NULL) {
            argv[++rest] = argv[i];
            continue;
        }
        struct flag flag;
        bool used_next = false;
        kama_status status = check_dashes(o, argv[i]);
        if (status == KAMA_OK) {
            find_flag(o, text, &flag);
            const char *next = i + 1 < argc ? argv[i + 1] : NULL;
            status = set_flag(o, &flag, next, &used_next);
        }
        if (status != KAMA_OK) {
            return status;
        }
        i += used_next ? 1 : 0;
    }
    for (i++; i < argc; i++) {
        argv[++rest] = argv[i];
    }
    *ret_rest = rest;
    return KAMA_OK;
}
