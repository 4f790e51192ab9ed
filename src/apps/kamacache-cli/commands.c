/* SPDX-License-Identifier: MIT */
/* The table of commands, and options behind a command. */
#include "commands.h"

const struct cli_command cli_commands[] = {
    {"get", "KEY", "Prints the value; loads it when it is not in memory.", 1, 2,
     cli_cmd_get},
    {"set", "KEY [VALUE] [--ttl=TIME|forever]",
     "Stores a value; without VALUE it is read from standard input.", 1, 5,
     cli_cmd_set},
    {"del", "KEY...", "Removes keys; prints how many were there.", 1, -1,
     cli_cmd_del},
    {"mget", "KEY...", "Prints the values of several keys, a line each.", 1, -1,
     cli_cmd_mget},
    {"keys", "[GLOB] [--limit=N]",
     "Prints the keys that are in memory and match (* ? [a-z] \\x).", 0, 4,
     cli_cmd_keys},
    {"clear", "", "Removes every entry of the group.", 0, 0, cli_cmd_clear},
    {"stats", "[GROUP]", "Prints counters and sizes.", 0, 1, cli_cmd_stats},
    {"groups", "", "Prints the groups of the node.", 0, 0, cli_cmd_groups},
    {"ping", "", "Asks whether the node serves; prints the round trip.", 0, 0,
     cli_cmd_ping},
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

static void take_out(int *argc, char **argv, int at, int count)
{
    memmove(&argv[at], &argv[at + count],
            (size_t)(*argc - at - count) * sizeof *argv);
    *argc -= count;
}

/* The value behind "--name=" in text, "" for "--name" alone, else NULL. */
static const char *match_option(const char *text, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(text, "--", 2) != 0 || strncmp(text + 2, name, len) != 0) {
        return NULL;
    }
    const char *rest = text + 2 + len;
    if (*rest == '=') {
        return rest + 1;
    }
    return *rest == '\0' ? rest : NULL;
}

bool cli_take_option(int *argc, char **argv, const char *name,
                     const char **ret_value)
{
    *ret_value = NULL;
    for (int i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = match_option(argv[i], name);
        if (value == NULL) {
            continue;
        }
        bool separate = strchr(argv[i], '=') == NULL;
        if (separate && i + 1 >= *argc) {
            (void)cli_usage_error("--%s needs a value", name);
            return false;
        }
        *ret_value = separate ? argv[i + 1] : value;
        take_out(argc, argv, i, separate ? 2 : 1);
        return true;
    }
    return true;
}

bool cli_take_end(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            take_out(argc, argv, i, 1);
            return true;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            (void)cli_usage_error("no such option here: %s", argv[i]);
            return false;
        }
    }
    return true;
}
