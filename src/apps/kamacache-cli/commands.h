/* SPDX-License-Identifier: MIT */
/* The commands behind the table in commands.c. Thread-safety: main thread. */
#pragma once

#include "cli.h"

enum cli_exit cli_cmd_get(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_set(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_del(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_mget(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_mset(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_mdel(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_exists(struct cli *cli, const kama_bytes *args,
                             int count);
enum cli_exit cli_cmd_ttl(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_touch(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_clear(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_keys(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_groups(struct cli *cli, const kama_bytes *args,
                             int count);
enum cli_exit cli_cmd_stats(struct cli *cli, const kama_bytes *args, int count);
enum cli_exit cli_cmd_ping(struct cli *cli, const kama_bytes *args, int count);
