/* SPDX-License-Identifier: MIT */
/*
 * One attempt: a call on a line, with the metadata that etcd wants.
 *
 *     km_etcd_call_new(&line, &options, &ops, arg, &call);
 *        ops.message(arg, bytes) ..     answers
 *        ops.end(arg, failure)          the call is gone; it was ended by a
 *                                       failure
 *
 * A user that has got its answer lets go of its call, and hears nothing of it
 * any more. So `end` always tells a failure. A failure that another endpoint
 * may not have moves the line before `end` runs.
 *
 * Threads: the loop. Ownership: the call frees itself; arg is borrowed until
 * `end`, or until the user lets go. Errors: where a function returns them.
 * Cost: that of a channel's call.
 */
#pragma once

#include "membership/etcd_internal.h"

enum km_etcd_call_shape {
    KM_ETCD_UNARY, /* one message each way, in the time of a request */
    KM_ETCD_STREAM /* messages both ways, without an end */
};

struct km_etcd_call_ops {
    /* An answer. An error, with its sentence in km_last_error, ends the call as
     * one that the endpoint must not send. */
    kama_status (*message)(void *arg, kama_bytes message);
    /* The call is gone. */
    void (*end)(void *arg, struct km_etcd_failure *failure);
};

/* Starts a call and sends its first message. Errors: KAMA_ERR_NO_MEMORY;
 * nothing follows then. */
KAMA_NODISCARD kama_status km_etcd_call_new(
    struct km_etcd_line *line, const char *path, enum km_etcd_call_shape shape,
    kama_bytes message, const struct km_etcd_call_ops *ops, void *arg,
    struct km_etcd_call **ret_call);
/* Sends one more message of a stream. Errors: as km_channel_call_send. */
KAMA_NODISCARD kama_status km_etcd_call_send(struct km_etcd_call *call,
                                             kama_bytes message);
/* Ends the call; `end` follows, with this failure. */
void km_etcd_call_fail(struct km_etcd_call *call, kama_status status,
                       const char *text);
/* The user needs no more of the call: a unary one ends by itself. */
void km_etcd_call_let_go(struct km_etcd_call *call);
/* The same, and the call is cancelled. */
void km_etcd_call_drop(struct km_etcd_call *call);
