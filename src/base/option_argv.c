/* SPDX-License-Identifier: MIT */
/* The parser of the command line: it takes one argument apart at a time. */
#include "base/option_argv.h"

#include "base/option_text.h"
#include "base/status.h"

/* A flag taken apart. */
struct flag {
    kama_bytes name;             /* without dashes and value */
    const char *value;           /* the text behind `=`, or NULL */
    const struct km_option *row; /* NULL if the name is unknown */
    bool negated;                /* `no-` stands before the name of a BOOL */
};

/* Takes the text of a flag apart, which stands behind its dashes. */
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

/* Sets the row of a flag. next is the argument behind the flag, or NULL, and
 * *ret_used_next tells whether it was the value. */
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

/* Returns the text of an option without its dashes, or NULL if arg is an
 * operand. */
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

/* Refuses a single dash, except in -h. The sentence suggests two dashes, or the
 * nearest name if the name is unknown. */
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
