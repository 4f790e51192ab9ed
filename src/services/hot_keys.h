/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/HotKeys: the keys of a group that are asked for most often, or the
 * entries with the longest values. The first are known (group/hot_keys.h), and the
 * others are found by a scan of one step for each turn of the loop
 * (group/largest.h):
 *
 *     NEW --by gets--------------------> READY --there is room--> reply
 *      |                                   ^
 *      +--by value_bytes--> SCANNING ------+
 *                            |  ^  the mail of a turn: one step
 *                            +--+
 *
 * An answer has at most KM_HOT_KEYS_MESSAGE_BYTES of keys; those that have no room
 * are left out.
 *
 * Cost: one buffer for the answer, and while scanning the keys that are kept.
 * Threads: loop thread. Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP,
 * KAMA_ERR_INVALID (limit, order), KAMA_ERR_NO_MEMORY. Ownership: the state of the
 * call holds everything; it is freed with the answer, or when the call has ended.
 */
#pragma once

#include "group/largest.h"
#include "rpc/server_call.h"

enum km_service_hot_keys_step {
    KM_HOT_KEYS_NEW,
    KM_HOT_KEYS_SCANNING, /* the call is held, and a mail is under way */
    KM_HOT_KEYS_READY
};

/* The state of a call. */
struct km_service_hot_keys {
    struct km_mail turn;
    kama_group *group;
    size_t limit;
    enum km_service_hot_keys_step step;
    kama_status status;        /* of the scan */
    struct km_largest largest; /* its limit is 0 if gets are asked for */
};

/* on_message; message: borrowed until return. */
void km_service_v2_hot_keys(struct km_server_call *call, kama_bytes message);

/* on_writable: replies, if the answer is ready. */
void km_service_hot_keys_writable(struct km_server_call *call);

/* on_cancel: frees what was found, at once or when the mail has run. */
void km_service_hot_keys_cancelled(struct km_server_call *call,
                                   kama_status why);
