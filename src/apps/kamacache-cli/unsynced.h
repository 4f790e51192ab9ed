/* SPDX-License-Identifier: MIT */
/*
 * Members that are late: a change has acted, but they have not acknowledged it in time
 * (the option sync_ack of the group).
 *
 *     code = cli_unsynced_ok(cli, "set", r->unsynced);
 *
 * With --json they are the field "unsynced" of the answer, which is there only if there are
 * some; otherwise they are one line on standard error. The exit code stays 0.
 *
 * Threads: the main thread. Ownership: the list is borrowed. Cost: linear.
 */
#pragma once

#include "cli.h"
#include "wire/msg/pb.h"

#include <jansson.h>

/* Prints the line. command: "set". */
void cli_unsynced_warn(const struct cli *cli, const char *command,
                       struct km_pb_list unsynced);

/* Prints JSON as cli_print_json does, with the field. Takes the object. */
enum cli_exit cli_unsynced_json(json_t *object, struct km_pb_list unsynced);

/* Says that a change has acted, as cli_print_ok does, and names the members that are late. */
enum cli_exit cli_unsynced_ok(const struct cli *cli, const char *command,
                              struct km_pb_list unsynced);
