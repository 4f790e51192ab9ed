/* SPDX-License-Identifier: MIT */
/* The table of commands, and finding one by its name or by a similar name. */
#include "commands.h"

const struct cli_command cli_commands[] = {
    {"get", "KEY", NULL, "Prints the value. Loads it when it is not in memory.",
     1, 1, cli_cmd_get},
    {"set", "KEY [VALUE] [--ttl=T] [--nx|--xx|--etag=E]", "ttl nx xx etag",
     "Stores VALUE or standard input. Exit 1: the condition was not met.", 1, 2,
     cli_cmd_set},
    {"del", "KEY...", NULL, "Removes keys and prints how many were in memory.",
     1, -1, cli_cmd_del},
    {"mget", "KEY...", NULL, "Prints the values of several keys, a line each.",
     1, -1, cli_cmd_mget},
    {"mset", "KEY VALUE... [--ttl=TIME]", "ttl",
     "Stores several values in one call; when one is refused, none is stored.",
     2, -1, cli_cmd_mset},
    {"mdel", "KEY...", NULL,
     "Removes keys in one call and prints how many were in memory.", 1, -1,
     cli_cmd_mdel},
    {"exists", "KEY...", NULL,
     "Prints how many of the keys are in memory. Loads nothing.", 1, -1,
     cli_cmd_exists},
    {"ttl", "KEY", NULL,
     "Prints how long the entry has left, or `forever`. Loads nothing.", 1, 1,
     cli_cmd_ttl},
    {"touch", "KEY [--ttl=TIME]", "ttl",
     "Gives the entry a new time to live: TIME, or the group's.", 1, 1,
     cli_cmd_touch},
    {"keys", "[GLOB] [--limit=N]", "limit",
     "Prints the keys in the node's memory that match (* ? [a-z] [^a-z] \\x).",
     0, 1, cli_cmd_keys},
    {"clear", NULL, NULL,
     "Removes every entry of the group, on all members of the cluster.", 0, 0,
     cli_cmd_clear},
    {"resize", "GROUP SIZE", NULL,
     "Changes how much memory the group of this node may use: 512k, 64m, 1g.",
     2, 2, cli_cmd_resize},
    {"hotkeys", "[-n N] [--largest]", "limit largest bytes",
     "Prints the keys that are asked for most; --largest: the longest values.",
     0, 2, cli_cmd_hotkeys},
    {"stats", "[GROUP] [--cluster]", "cluster",
     "Prints counters and sizes; with --cluster, the sums over all members.", 0,
     1, cli_cmd_stats},
    {"groups", "[--bytes]", "bytes",
     "Prints the groups of the node and how full they are.", 0, 0,
     cli_cmd_groups},
    {"ping", "[--cluster]", "cluster",
     "Asks whether the node serves; with --cluster, every member is asked.", 0,
     0, cli_cmd_ping},
    {"node", NULL, NULL,
     "Prints the node as a member: addresses, registration, readiness.", 0, 0,
     cli_cmd_node},
    {"peers", NULL, NULL,
     "Prints the members of the cluster and how the node reaches them.", 0, 0,
     cli_cmd_peers},
    {"owner", "KEY", NULL,
     "Prints which member owns the key; --raw prints its address alone.", 1, 1,
     cli_cmd_owner},
    {"explain", "KEY", NULL,
     "Prints what each member knows of the key, and what a get would do there.",
     1, 1, cli_cmd_explain},
    {"doctor", "[--probe-load=GROUP:KEY]", "probe-load",
     "Asks all members at once, for 2 s at most, and prints what is wrong.", 0,
     0, cli_cmd_doctor},
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

/* The search for a similar name works on option rows, so that the commands
 * become rows of which only the name is set. */
const char *cli_command_nearest(const char *name)
{
    struct km_option rows[sizeof cli_commands / sizeof cli_commands[0]];
    for (size_t i = 0; i < cli_command_count; i++) {
        rows[i] = (struct km_option){.name = cli_commands[i].name,
                                     .kind = KM_OPTION_STRING};
    }
    return km_option_nearest(rows, cli_command_count, KAMA_STR(name));
}
