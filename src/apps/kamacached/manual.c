/* SPDX-License-Identifier: MIT */
/* The texts of the manual page, and the shell functions of the completion. */
#include "manual.h"

#include "apps/common/completion.h"
#include "apps/common/manual.h"
#include "group/options.h"

#include <stdio.h>

#define ENV_PREFIX "KAMACACHE"

/* The settings come first in the table. The actions behind them have no
 * variables. */
#define ONE_MORE(field, kind, arg, fallback, min, max, help) +1
enum { SETTING_COUNT = 0 DAEMON_SETTINGS(ONE_MORE) };

/* -- the page ------------------------------------------------------------ */

static void write_description(struct manual *m)
{
    manual_section(m, "SYNOPSIS");
    manual_text(m, "`kamacached` [`OPTION`...]");
    manual_section(m, "DESCRIPTION");
    manual_text(m, "Serves groups of a read-through cache over gRPC, in the "
                   "foreground. A group answers from memory; on a miss its "
                   "loader asks the origin, once for all callers that want "
                   "the same key.");
    manual_text(m, "Without options it serves the group `default`, without a "
                   "loader, on 127.0.0.1:8001.");
}

/* Writes the settings with their variables, and the actions without. */
static void write_options(struct manual *m, const struct daemon_options *o)
{
    const struct km_options *table = &o->table;
    manual_section(m, "OPTIONS");
    manual_text(m, "`--name=value` and `--name value` mean the same. Sizes "
                   "take k, m and g (powers of 1024), times ms, s, m and h.");
    manual_options(m, table->rows, SETTING_COUNT, ENV_PREFIX);
    manual_options(m, table->rows + SETTING_COUNT,
                   table->row_count - SETTING_COUNT, NULL);
}

/* Writes the options of a group, from the table that the parser uses. */
static void write_groups(struct manual *m)
{
    manual_section(m, "GROUPS");
    manual_text(m, "A group is written as `NAME[:KEY=VALUE,...]`. A name or a "
                   "value with commas or blanks stands in double quotes, where "
                   "a backslash takes the next character as it is.");
    manual_keys(m, km_group_option_rows, km_group_option_row_count);
    manual_item(m, "loader=NAME:CONFIG",
                "where values come from when they are not in memory. NAME is "
                "a plug-in of the loader path, for example `sqlite`, `http` "
                "or `exec`; CONFIG is what that plug-in takes.");
}

static void write_environment(struct manual *m)
{
    manual_section(m, "ENVIRONMENT");
    manual_text(m, "Each setting has a variable, which is named with it; "
                   "flags win. `KAMACACHE_GROUP` takes one group per line.");
    manual_item(m, "NOTIFY_SOCKET",
                "Set by the service manager, which is told READY=1 and "
                "STOPPING=1 there.");
}

/* Writes the signals and the exit codes. */
static void write_signals(struct manual *m)
{
    manual_section(m, "SIGNALS");
    manual_item(m, "SIGTERM, SIGINT",
                "The node drains: health says NOT_SERVING, clients are sent "
                "elsewhere, and running calls get up to `--drain-timeout`. A "
                "second signal ends the process at once.");
    manual_item(m, "SIGHUP", "Nothing is reloaded in this version.");
    manual_section(m, "EXIT STATUS");
    manual_item(m, "0", "Stopped, or did what was asked instead of serving.");
    manual_item(m, "1",
                "Could not start, for example because the port is "
                "taken.");
    manual_item(m, "2", "Bad settings, or a loader that does not open.");
    manual_item(m, "130, 143", "Ended by a second SIGINT or SIGTERM.");
}

static void write_examples(struct manual *m)
{
    manual_section(m, "FILES");
    manual_item(m, "/etc/kamacache/kamacached.env",
                "The settings of the systemd unit, as variables.");
    manual_section(m, "EXAMPLES");
    manual_example(m, "kamacached --listen 127.0.0.1:8001 \\\n"
                      "    --group 'users:max_bytes=1g,ttl=5m' \\\n"
                      "    --group 'pages:loader=\"http://127.0.0.1:8080/"
                      "{key}\"'\n"
                      "kamacached --check-config --group "
                      "'u:loader=\"sqlite:/srv/app.db?query=SELECT v FROM t "
                      "WHERE k=?1\"'\n");
    manual_section(m, "SEE ALSO");
    manual_text(m, "`kamacache-cli`(1)");
}

kama_status daemon_manual_write(const struct daemon_options *options,
                                struct km_buf *out)
{
    struct manual m;
    manual_begin(&m, out, "kamacached", "8",
                 "read-through cache, served over gRPC");
    write_description(&m);
    write_options(&m, options);
    write_groups(&m);
    write_environment(&m);
    write_signals(&m);
    write_examples(&m);
    return manual_end(&m);
}

/* -- completion ---------------------------------------------------------- */

/* A shell function that prints the keys which may follow in NAME:KEY=VALUE,...
 * $value is the part that was typed, and each key is printed behind it. */
static const char keys_head[] = "_kamacached_keys()\n"
                                "{\n"
                                "    local last=${value##*[:,]} key\n"
                                "    [[ $value == *:* && $last != *=* ]] || "
                                "return\n"
                                "    for key in";
static const char keys_tail[] =
    " loader; do\n"
    "        printf '%s\\n' \"${value%\"$last\"}$key=\"\n"
    "    done\n"
    "}\n";

/* A shell function that prints the folders which may follow in DIR[:DIR]. */
static const char folders[] =
    "_kamacached_folders()\n"
    "{\n"
    "    local last=${value##*:}\n"
    "    compgen -d -P \"${value%\"$last\"}\" -S / -- \"$last\"\n"
    "}\n";

/* Writes both functions and a NUL. The keys come from the table of group
 * options. */
static kama_status write_functions(struct km_buf *out)
{
    kama_status status = km_buf_append_str(out, folders);
    if (status == KAMA_OK) {
        status = km_buf_append_str(out, keys_head);
    }
    for (size_t i = 0; i < km_group_option_row_count; i++) {
        const struct km_option *row = &km_group_option_rows[i];
        if (status == KAMA_OK && row->kind < KM_OPTION_LATER) {
            status = km_buf_printf(out, " %s", row->name);
        }
    }
    if (status == KAMA_OK) {
        status = km_buf_append_str(out, keys_tail);
    }
    return status == KAMA_OK ? km_buf_append(out, "", 1) : status;
}

kama_status daemon_completion_write(const struct daemon_options *options,
                                    struct km_buf *out)
{
    static const struct completion_value values[] = {
        {"group", "_kamacached_keys"},
        {"loader_path", "_kamacached_folders"},
        {"log_level", "printf '%s\\n' debug info warn error"},
        {"log_format", "printf '%s\\n' text json"},
        {NULL, NULL}};
    static const struct completion_letter letters[] = {{0, NULL}};
    struct km_buf functions;
    km_buf_init(&functions, km_mem_default(), SIZE_MAX);
    kama_status status = write_functions(&functions);
    if (status == KAMA_OK) {
        const struct completion completion = {
            .program = "kamacached",
            .rows = options->table.rows,
            .row_count = options->table.row_count,
            .values = values,
            .letters = letters,
            .optional = "",
            .functions = (const char *)functions.data,
            .words = "",
            .arguments = "",
        };
        status = completion_write(&completion, out);
    }
    km_buf_fini(&functions);
    return status;
}
