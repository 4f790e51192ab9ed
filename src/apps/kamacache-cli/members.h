/* SPDX-License-Identifier: MIT */
/*
 * The members of a cluster, one after the other, for the commands that ask all
 * of them; and the parts of members in print.
 *
 *     code = cli_members_each(cli, ping_member, &lines);
 *
 * Threads: the main thread. Cost: one call for the members, and a connection to
 * each of them.
 * Errors: exit codes. Ownership: everything is borrowed.
 */
#pragma once

#include "cli.h"
#include "print.h"

#include "wire/msg/pb.h"

/* Visits one member. Calls go to that member alone. */
typedef enum cli_exit (*cli_member_fn)(struct cli *cli, const char *address,
                                       void *arg);

/* Asks the node for the members and visits each of them. Returns the largest of
 * the visits' exit codes, or that of the failure to get the members. */
enum cli_exit cli_members_each(struct cli *cli, cli_member_fn visit, void *arg);

/* Writes the first 8 hexadecimal digits of an id, or all of them. Returns
 * text. */
#define CLI_ID_BYTES 33
const char *cli_members_short_id(kama_bytes id, char text[CLI_ID_BYTES]);
const char *cli_members_id(kama_bytes id, char text[CLI_ID_BYTES]);

/* Writes the id of a view as 16 hexadecimal digits. Returns text. */
#define CLI_VIEW_BYTES 17
const char *cli_members_view(uint64_t view_id, char text[CLI_VIEW_BYTES]);

/* Returns the name of a number of kama.v2.Reach: "self", "up", ..., or "unknown" for
 * any other one. */
const char *cli_members_reach(int32_t reach);

/* Returns whether the asked node does not reach the member, or is refused there. */
struct km_msg_member;
bool cli_members_is_cut(const struct km_msg_member *member);

/* Makes the JSON object of an OwnerResponse, or NULL. */
struct km_msg_owner_response;
json_t *cli_members_owner(const struct km_msg_owner_response *owner);

/* Adds each text of a list to a JSON array. Returns the array, or NULL. */
json_t *cli_members_texts(struct km_pb_list list);
