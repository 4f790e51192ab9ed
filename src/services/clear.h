/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Clear: a group is cleared on this node and on the others, and
 * the call is parked until they have answered (parked.h). Members that did not
 * answer are listed, and the call has succeeded all the same: its kama-status is
 * KAMA_UNSYNCED.
 *
 * Cost: one allocation if there are such members. Threads: loop thread. Errors:
 * those of kama_group_clear_ctx, and KAMA_ERR_NO_MEMORY if the members that were
 * not reached cannot be listed. Ownership: the state of the call holds
 * everything.
 */
#pragma once

#include "base/buf.h"
#include "group/clear_op.h"
#include "services/parked.h"

/* The state of a call. */
struct km_service_clear {
    struct km_service_parked parked;
    struct km_clear_op op;
    struct km_buf answer; /* the encoded list of addresses */
};

/* on_message; message: borrowed until return. */
void km_service_v2_clear(struct km_server_call *call, kama_bytes message);
