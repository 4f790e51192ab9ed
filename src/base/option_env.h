/* SPDX-License-Identifier: MIT */
/*
 * Option values from the environment.
 *
 * The option max-connections of a program with the prefix KAMACACHED is the
 * variable KAMACACHED_MAX_CONNECTIONS. A variable whose name is no option is
 * probably a mistake, so a program can list these and warn about them.
 *
 *     km_options_from_env(&o, "KAMACACHED");
 *     km_options_unknown_env(&o, "KAMACACHED", NULL, 0, warn_about, NULL);
 *
 * Threads: the environment is read without a lock, so no other thread may call
 * setenv at the same time. Cost: one pass over the rows or over the
 * environment.
 * Ownership: values of STRING rows point into the environment; the lines of a
 * LIST row are copied, and km_options_fini frees the copies.
 */
#pragma once

#include "base/option.h"

/* Reads the variable PREFIX_NAME for each row: the name in upper case, with
 * each dash as an underscore. A LIST row takes one value from each line that is
 * not empty. A variable that Kubernetes has set is skipped
 * (km_option_is_injected).
 * Errors: as km_options_set, with a sentence that names the variable. */
KAMA_NODISCARD kama_status km_options_from_env(struct km_options *o,
                                               const char *prefix);

/*
 * Returns whether Kubernetes sets such a variable in every container beside a
 * service that is called PREFIX or PREFIX-X:
 *
 *     PREFIX[_X]_SERVICE_HOST            10.0.0.11
 *     PREFIX[_X]_SERVICE_PORT[_NAME]     8001
 *     PREFIX[_X]_PORT[_8001_TCP]         tcp://10.0.0.11:8001
 *     PREFIX[_X]_PORT_8001_TCP_{PROTO,PORT,ADDR}
 *
 * Nobody has chosen these values as settings, so no option may take them.
 * PREFIX_X_PORT alone may well be a setting: it counts only with a URL as its
 * value.
 */
bool km_option_is_injected(const char *prefix, const char *variable,
                           const char *value);

/* Receives the name of one unknown variable, which may hold any bytes, and the
 * name of the variable that was probably meant, or NULL. Both are borrowed
 * until the function returns. */
typedef void (*km_option_unknown_fn)(void *arg, const char *variable,
                                     const char *nearest);

/* Calls `seen` for each variable PREFIX_* of the environment that is neither a
 * row of o nor one of `others` (the rows of another program with the same
 * prefix), and that Kubernetes has not set. */
void km_options_unknown_env(const struct km_options *o, const char *prefix,
                            const struct km_option *others, size_t other_count,
                            km_option_unknown_fn seen, void *arg);

/* Makes a row for `others` from a row of an option table. Only its name is
 * compared. */
#define KM_OPTION_NAME_ROW(field, kind, arg, fallback, min, max, help)         \
    {#field, KM_OPTION_##kind, 0, NULL, NULL, 0, 0, NULL},
