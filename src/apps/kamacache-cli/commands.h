/* SPDX-License-Identifier: MIT */
/*
 * The table of commands, and the functions that run them.
 *
 *     const struct cli_command *command = cli_command_find("get");
 *     if (command != NULL) {
 *         code = command->run(cli, args, count);
 *     }
 *
 * To add a command, write a function cli_cmd_NAME, declare it here and add a
 * row to the table in commands.c. Help, manual, completion and the check of the
 * number of arguments follow from the row.
 *
 * Threads: the main thread. Errors: exit codes. Ownership: the table is static.
 */
#pragma once

#include "cli.h"

struct cli_command {
    const char *name;
    const char *args;    /* "KEY [VALUE]", or NULL without arguments */
    const char *options; /* those of this command ("ttl nx"), or NULL */
    const char *help;    /* a sentence or two, in lines of up to 74 columns */
    int args_min;
    int args_max; /* -1 for any number */

    /* Runs the command. args are the bytes that the arguments stand for; their
     * number lies in the bounds above. */
    enum cli_exit (*run)(struct cli *cli, const kama_bytes *args, int count);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* Returns the command of that name, or NULL. */
const struct cli_command *cli_command_find(const char *name);

/* Returns the name of a command that is near to it, or NULL. */
const char *cli_command_nearest(const char *name);

/* Commands on one key, and del on several (cmd_key.c). */
enum cli_exit cli_cmd_get(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_set(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_del(struct cli *cli, const kama_bytes *args, int count);

/* Commands on several keys in one call (cmd_mget.c, cmd_mset.c, cmd_mdel.c,
 * cmd_exists.c). */
enum cli_exit cli_cmd_mget(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_mset(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_mdel(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_exists(struct cli *cli, const kama_bytes *args,
                             int count);

/* The time to live of an entry (cmd_ttl.c, cmd_touch.c). */
enum cli_exit cli_cmd_ttl(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_touch(struct cli *cli, const kama_bytes *args, int count);

/* Commands on all entries of a group (cmd_group.c). */
enum cli_exit cli_cmd_clear(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_keys(struct cli *cli, const kama_bytes *args, int count);

/* Hot keys and the longest values of a group (cmd_hotkeys.c). */
enum cli_exit cli_cmd_hotkeys(struct cli *cli, const kama_bytes *args,
                              int count);

/* The bound of a group (cmd_resize.c). */
enum cli_exit cli_cmd_resize(struct cli *cli, const kama_bytes *args,
                             int count);

/* Commands on the node and its cluster (cmd_groups.c, cmd_stats.c, cmd_ping.c,
 * cmd_node.c, cmd_peers.c, cmd_owner.c, cmd_explain.c, cmd_doctor.c). */
enum cli_exit cli_cmd_groups(struct cli *cli, const kama_bytes *args,
                             int count);
enum cli_exit cli_cmd_stats(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_ping(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_node(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_peers(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_owner(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_explain(struct cli *cli, const kama_bytes *args,
                              int count);
enum cli_exit cli_cmd_doctor(struct cli *cli, const kama_bytes *args,
                             int count);
