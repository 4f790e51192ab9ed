/* SPDX-License-Identifier: MIT */
/*
 * What the services share: finding the group, a get that may be parked, calls
 * that last as long as the node, and the handlers themselves (their contract
 * is struct km_server_method's).
 *
 * States are zeroed by the server for each call of any method: what is large
 * is allocated when it is needed.
 * Thread-safety: loop thread.
 */
#pragma once

#include "group/group.h"
#include "services/long_call.h"

/* -- helpers ------------------------------------------------------------- */

/* The group of that name ("" is "default"). NULL: the call was finished. */
kama_group *km_service_find_group(struct km_server_call *call, kama_bytes name);

/* Finishes the call with an error and the sentence of this thread's
 * km_last_error, if there is one. */
void km_service_fail(struct km_server_call *call, kama_status status);

/* The message is malformed: finishes the call. */
void km_service_fail_malformed(struct km_server_call *call);

/* enum kama.v2.Ack. */
enum { KM_ACK_UNSPECIFIED = 0, KM_ACK_ASYNC = 1 };

/* true: the call was finished, because it asks for a condition or an
 * acknowledgement, which belong to a later version. Such a wish is refused, never
 * ignored: the caller relies on it. */
bool km_service_refuse_condition(struct km_server_call *call,
                                 bool has_condition);
bool km_service_refuse_ack(struct km_server_call *call, int32_t ack);

struct km_buf;
/* Replies with what buf holds, or with status when it is an error; takes
 * buf. */
void km_service_reply_buf(struct km_server_call *call, struct km_buf *buf,
                          kama_status status);

/* -- one get ------------------------------------------------------------- */

/* How a get ended: value is set with KAMA_OK; text may be NULL. */
struct km_get_result {
    kama_status status;
    kama_value *value;
    const char *text;
    bool loaded; /* it was parked */
};

/* Writes the answer, which is borrowed, and finishes the call. */
typedef void (*km_service_reply_fn)(struct km_server_call *call,
                                    const struct km_get_result *result);

/* State of a call that gets one key. */
struct km_service_get {
    struct km_get_op op;
    struct km_mail mail;
    struct km_service_env *env;
    km_service_reply_fn reply;
    kama_group *group;
    uint32_t flags;
    char *key; /* owned, while it waits for room; NULL: it does not */
    size_t key_bytes;
    kama_status status;
    kama_value *value;
    char *text;  /* owned */
    bool parked; /* mail will come, and the call is held */
};

/* Gets key of group and replies, now or later. flags: as kama_ctx. */
void km_service_get_start(struct km_server_call *call, kama_group *group,
                          kama_bytes key, uint32_t flags,
                          km_service_reply_fn reply);
/* Begins, if it waits and there is room. */
void km_service_get_writable(struct km_server_call *call);
/* Leaves the get, if it is parked; its load goes on. */
void km_service_get_cancelled(struct km_server_call *call, kama_status why);

/* -- states -------------------------------------------------------------- */

struct km_service_mget;
struct km_service_scan;
struct km_service_many;

struct km_service_many_state {
    struct km_service_many *many; /* NULL: nothing is on its way */
};

struct km_service_mget_state {
    struct km_service_mget *mget; /* NULL: nothing is on its way */
};

struct km_service_scan_state {
    struct km_service_scan *scan; /* NULL: over */
};

struct km_service_stats {
    kama_group *group; /* NULL: all */
    bool asked;        /* and not answered, while the call runs */
};

struct km_service_watch {
    struct km_long_call long_call;
    int sent;   /* the status sent last; 0: none */
    bool known; /* the service */
};

struct km_service_reflect {
    struct km_long_call long_call;
};

/* -- handlers ------------------------------------------------------------ */

/* on_message of one method. */
#define KM_SERVICE_HANDLER(name)                                               \
    void km_service_##name(struct km_server_call *call, kama_bytes message)

KM_SERVICE_HANDLER(v1_get);
KM_SERVICE_HANDLER(v1_set);
KM_SERVICE_HANDLER(v1_delete);

KM_SERVICE_HANDLER(v2_get);
KM_SERVICE_HANDLER(v2_set);
KM_SERVICE_HANDLER(v2_delete);
KM_SERVICE_HANDLER(v2_clear);
KM_SERVICE_HANDLER(v2_ping);
KM_SERVICE_HANDLER(v2_stats);
KM_SERVICE_HANDLER(v2_groups);

KM_SERVICE_HANDLER(v2_mget);
/* Leaves every get that is parked. */
void km_service_mget_cancelled(struct km_server_call *call, kama_status why);

KM_SERVICE_HANDLER(v2_ttl);
KM_SERVICE_HANDLER(v2_touch);

KM_SERVICE_HANDLER(v2_exists);
KM_SERVICE_HANDLER(v2_mset);
KM_SERVICE_HANDLER(v2_mdelete);
/* Reply, when every key has its answer. */
void km_service_many_writable(struct km_server_call *call);
/* The keys that are left are not touched. */
void km_service_many_cancelled(struct km_server_call *call, kama_status why);

KM_SERVICE_HANDLER(v2_scan);
/* Replies, when everything is there. */
void km_service_mget_writable(struct km_server_call *call);

/* Reply, once they were asked. */
void km_service_stats_writable(struct km_server_call *call);
void km_service_groups_writable(struct km_server_call *call);

/* Goes on behind the cursor. */
void km_service_scan_writable(struct km_server_call *call);
/* Forgets the cursor. */
void km_service_scan_cancelled(struct km_server_call *call, kama_status why);

KM_SERVICE_HANDLER(health_check);
KM_SERVICE_HANDLER(health_watch);
/* Sends the news that did not fit before. */
void km_service_watch_writable(struct km_server_call *call);

KM_SERVICE_HANDLER(reflect);
/* No more questions: the stream ends with OK. */
void km_service_reflect_half_closed(struct km_server_call *call);
