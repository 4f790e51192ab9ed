/* SPDX-License-Identifier: MIT */
/*
 * The members of a cluster, as the streams know them: all of the noticed view and of the
 * adopted one (R10), without this node.
 *
 *                 notice                     adopt
 *     stranger ----------> member <-----------------------+
 *                            |  in neither of the views    |
 *                            v                             |
 *                          parted: cleanly (R11, R12), or its groups are invalidated
 *
 * A stream to a member stands as long as the noticed view has it, and records of a
 * member are applied as long as one of the two views has it: a leaver's last records may
 * arrive behind the notice that it has left.
 *
 * A member with a new id is a new member. If its record says that this is the next life
 * of a node whose mutations are all here, then it begins as known (R12).
 *
 * Threads: the sync loop. Errors: without memory a member is missing, and looked for
 * again a second later. Ownership: sync owns the members, and a member its streams.
 * Cost: O(members) for a view.
 */
#pragma once

#include "sync/sync_internal.h"

/* Makes the members those of the two views, after one of them has changed. A member that is in
 * neither has parted. */
void km_sync_members_follow(struct km_sync *sync);
/* Frees all members. Their streams were hung up. */
void km_sync_members_fini(struct km_sync *sync);

/* Returns a member, or NULL. */
struct km_sync_member *km_sync_member_find(const struct km_sync *sync,
                                           const struct km_member_id *id);
/* Returns whether a record of a view is this node's, of any of its lives. */
bool km_sync_is_self(const struct km_sync *sync,
                     const struct km_member *record);
/* Replaces the table of origins.h. */
void km_sync_members_publish(struct km_sync *sync);
