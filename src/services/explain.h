/* SPDX-License-Identifier: MIT */
/*
 * Where a key lives: the knowledge of each member of the cluster about it, and the
 * way that a Get would take there (group/explain.h). kama.v2.Cache/Explain is this, and everything
 * else that shows it starts a question of its own:
 *
 *     q->env = env; q->group = group; q->key = key;
 *     q->until = now + 2 s; q->done = on_done;
 *     status = km_explain_start(q);
 *     ...
 *     on_done: km_pb_decode(&km_msg_explain_response_pb, response, ...)
 *
 * The other members are asked at once (services/cluster.h), each for its own
 * knowledge:
 *
 *     question --> own copy ------------------------------+
 *              --> survey --Explain(local_only)--> others +--> rows, by rank
 *                                 no answer in time ------+
 *
 * A member that does not answer is a row with the reason. Nothing is loaded and no
 * counter of a group changes, here or there.
 *
 * Threads: any thread may start; done runs on any thread, exactly once, perhaps
 * before the start returns, and must not block. Errors: those of a key that is not
 * within the limits, at the start; KAMA_ERR_NO_MEMORY. Ownership: the question is
 * the caller's memory until done has returned; the key and the message are borrowed
 * until km_explain_start has returned, the response until done returns.
 * Cost: a call and an allocation for each other member.
 */
#pragma once

#include "base/buf.h"
#include "services/cluster.h"
#include "services/parked.h"

enum km_explain_reach {
    KM_EXPLAIN_CLUSTER, /* all members are asked */
    KM_EXPLAIN_NODE     /* this node alone answers */
};

struct km_explain_question {
    struct km_service_env *env;
    kama_group *group;
    kama_bytes key;
    enum km_explain_reach reach;
    km_ns until; /* monotonic; a member that is silent then does not answer */
    /* response: an encoded kama.v2.ExplainResponse if status is KAMA_OK. */
    void (*done)(struct km_explain_question *question, kama_status status,
                 kama_bytes response);
    /* ---- the module's ---- */
    struct km_cluster_survey survey;
    struct km_buf request; /* to the others */
    struct km_buf owner;   /* the encoded OwnerResponse */
    struct km_list rows;   /* by rank and address */
    kama_status failure;
};

KAMA_NODISCARD kama_status
km_explain_start(struct km_explain_question *question);

/* -- the method ------------------------------------------------------------ */

#define KM_EXPLAIN_MS 2000 /* as long as members are waited for */

/* The state of a call. */
struct km_service_explain {
    struct km_service_parked parked;
    struct km_explain_question question;
    struct km_buf answer;
};

/* on_message; message: borrowed until return. */
void km_service_v2_explain(struct km_server_call *call, kama_bytes message);
