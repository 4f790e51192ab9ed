/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Resize: the bound of a group's memory changes. Each turn of the
 * loop makes one step (group/resize.h), and other calls have their turns between
 * two steps:
 *
 *     on_message --begin--> [ step --more--> mail of the next turn ] --> reply
 *
 * A client that leaves does not stop the steps, because the new bound is shown
 * already. The end of the node does: nobody uses the group any longer.
 *
 * Cost: no allocation. Threads: loop thread. Errors: KAMA_ERR_MALFORMED,
 * KAMA_ERR_NO_GROUP, and those of kama_group_resize. Ownership: the state of the
 * call holds everything.
 */
#pragma once

#include "rpc/server_call.h"

#include <kamacache/kamacache.h>

/* The state of a call, which is held while the mail is under way. */
struct km_service_resize {
    struct km_mail turn;
    kama_group *group;
    uint64_t old_max_bytes;
};

/* on_message; message: borrowed until return. */
void km_service_v2_resize(struct km_server_call *call, kama_bytes message);
