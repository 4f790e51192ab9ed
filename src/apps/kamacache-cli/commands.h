/* SPDX-License-Identifier: MIT */
/* The commands behind the table in commands.c; argv begins with the first
 * argument of the command. Thread-safety: main thread. */
#pragma once

#include "cli.h"

enum cli_exit cli_cmd_get(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_set(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_del(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_mget(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_clear(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_keys(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_groups(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_stats(struct cli *cli, int argc, char **argv);
enum cli_exit cli_cmd_ping(struct cli *cli, int argc, char **argv);

/* Takes `--name=VALUE` or `--name VALUE` out of the arguments.
 * *ret_value is NULL when it was not given; `--` ends options and is taken
 * out by cli_take_end. false: a usage error was printed. */
bool cli_take_option(int *argc, char **argv, const char *name,
                     const char **ret_value);

/* Refuses other options and takes out a `--`. */
bool cli_take_end(int *argc, char **argv);
