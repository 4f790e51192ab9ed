/* SPDX-License-Identifier: MIT */
/* Admission, the wait for a view, Hello and Peek. Fills and mutations are in
 * peer_fill.c and peer_mutate.c. */
#include "services/peer.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/peek_op.h"
#include "group/registry.h"
#include "group/sync_apply.h"
#include "services/peer_work.h"
#include "services/service.h"
#include "wire/msg/peer.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* -- Hello ----------------------------------------------------------------- */

/* Returns the table of the node, or NULL when it has finished the call. */
static const struct km_service_peers *peers_of(struct km_server_call *call)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    if (peers->ops == NULL) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "this node is in no cluster; start it with etcd "
                              "to make it a member");
        return NULL;
    }
    return peers;
}

void km_service_peer_hello(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_peer_hello_request request;
    struct km_buf out;
    const struct km_service_peers *peers = peers_of(call);
    if (peers == NULL || !km_service_decode(call, &km_msg_peer_hello_request_pb,
                                            message, &request)) {
        return;
    }
    km_buf_init(&out, km_service_env_of(call)->mem, SIZE_MAX);
    kama_status st = peers->ops->hello(peers->arg, &request, &out);
    km_service_reply_buf(call, &out, st);
}

/* -- admission ------------------------------------------------------------- */

/* The beginning of all requests but Hello: a Fill has one key where the others
 * have a list of keys or of mutations, and a Mutate has no needs. */
typedef struct km_msg_peer_fill_many_request head;
#define HEAD_PB (&km_msg_peer_fill_many_request_pb)

/* What this node lacks to answer a request. */
enum level {
    IS_LEVEL,
    LACKS_VIEW, /* it has adopted neither that of the sender nor a later one */
    LACKS_NEEDS,
    STILL_LACKS_NEEDS /* the sender knows that, and does not wait */
};

/* Returns whether this node has what a need says. Once it has, it does for good, so that
 * the key may be looked up afterwards. */
static bool has(const struct km_service_peers *peers,
                const struct km_msg_peer_need *need)
{
    return peers->ops->has != NULL &&
           peers->ops->has(peers->arg, need->member_id, need->clock);
}

/* Notes what this node lacks, to name it in the answer. */
static void note_lacking(struct km_service_peer_state *state,
                         const struct km_msg_peer_need *need)
{
    state->names_lacking =
        need->member_id.len == sizeof state->lacking_member_id;
    if (state->names_lacking) {
        memcpy(state->lacking_member_id, need->member_id.data,
               sizeof state->lacking_member_id);
        state->lacking_clock = need->clock;
    }
}

/* Looks for all needs, because one that is not waited for may be behind another one. */
static enum level level_of_needs(struct km_server_call *call,
                                 const head *request)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    struct km_pb_list needs = request->needs;
    enum level level = IS_LEVEL;
    kama_bytes element;
    while (level != STILL_LACKS_NEEDS && km_pb_next(&needs, &element)) {
        struct km_msg_peer_need need;
        bool is_need =
            km_pb_decode(&km_msg_peer_need_pb, element, &need) == KAMA_OK;
        if (!is_need) {
            need = (struct km_msg_peer_need){.clock = 0};
        }
        if (!is_need || !has(peers, &need)) {
            note_lacking(km_server_call_state(call), &need);
            level = need.at_once ? STILL_LACKS_NEEDS : LACKS_NEEDS;
        }
    }
    return level;
}

static enum level level_of(struct km_server_call *call, const head *request)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    struct km_service_peer_state *state = km_server_call_state(call);
    state->names_lacking = false;
    return peers->ops->has_adopted(peers->arg, request->sender.view_id)
               ? level_of_needs(call, request)
               : LACKS_VIEW;
}

/* Returns the time until which a call waits for what is lacking. */
static km_ns until_of(const struct km_service_peer_state *state,
                      enum level level)
{
    switch (level) {
    case LACKS_VIEW:
        return state->view_until;
    case LACKS_NEEDS:
        return state->needs_until;
    case IS_LEVEL:
    case STILL_LACKS_NEEDS:
        break;
    }
    return 0;
}

static kama_group *group_of(struct km_server_call *call, const head *request)
{
    return km_registry_find(km_service_env_of(call)->registry, request->group);
}

/* Counts a call that begins to wait for needs. */
static void count_wait(struct km_server_call *call, const head *request)
{
    struct km_service_peer_state *state = km_server_call_state(call);
    kama_group *group = group_of(call, request);
    if (!state->is_counted && group != NULL) {
        state->is_counted = true;
        km_group_count_fence_wait(group);
    }
}

/* Returns whether a call waits for what is lacking, or goes on waiting. */
static bool waits(struct km_server_call *call, const head *request,
                  enum level level)
{
    const struct km_service_peer_state *state = km_server_call_state(call);
    bool there_is_time =
        km_loop_now(km_server_call_loop(call)) < until_of(state, level);
    if (there_is_time && level == LACKS_NEEDS) {
        count_wait(call, request);
    }
    return there_is_time;
}

/* Each method goes on in `begin`, the first member behind the state. */
static void go_on(struct km_server_call *call, kama_bytes message,
                  enum level level)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    state->begin(call, message,
                 level == IS_LEVEL ? KM_PEER_IS_LEVEL : KM_PEER_IS_BEHIND);
}

/* Returns the time between two looks: a mutation comes within a millisecond or so, a view
 * within some. */
static int64_t pause_ms_of(const head *request)
{
    return request->needs.count > 0 ? KM_SERVICE_NEEDS_POLL_MS
                                    : KM_SERVICE_VIEW_POLL_MS;
}

static int64_t look(struct km_server_call *call, kama_bytes message)
{
    head request;
    kama_status st = km_pb_decode(HEAD_PB, message, &request);
    KM_ASSERT(st == KAMA_OK);
    enum level level = level_of(call, &request);
    if (waits(call, &request, level)) {
        return pause_ms_of(&request);
    }
    go_on(call, message, level);
    return 0;
}

/* Begins to count the time of a call for which this node lacks something. A group that is
 * not here needs nothing. */
static void start_clock(struct km_server_call *call, const head *request)
{
    struct km_service_peer_state *state = km_server_call_state(call);
    const kama_group *group = group_of(call, request);
    km_ns now = km_loop_now(km_server_call_loop(call));
    state->view_until = km_ns_after_ms(now, KM_SERVICE_VIEW_WAIT_MS);
    state->needs_until =
        km_ns_after_ms(now, group != NULL ? km_group_fence_wait_ms(group) : 0);
}

/* A list is worked through in one turn of the loop, and each of its elements has
 * an answer in memory. Returns whether the call was refused. */
static bool refuse_long_list(struct km_server_call *call, const head *request)
{
    char text[KM_ERROR_BYTES_MAX];
    if (request->keys.count > KM_PEERS_BATCH_KEYS) {
        (void)snprintf(text, sizeof text,
                       "the request has %" PRIu32 " keys or mutations, and at "
                       "most %d are allowed; send several requests",
                       request->keys.count, KM_PEERS_BATCH_KEYS);
    } else if (request->needs.count > KM_PEERS_NEEDS_MAX) {
        (void)snprintf(text, sizeof text,
                       "the request has %" PRIu32 " needs, and at most %d are "
                       "allowed",
                       request->needs.count, KM_PEERS_NEEDS_MAX);
    } else {
        return false;
    }
    km_server_call_finish(call, KAMA_ERR_TOO_LARGE, text);
    return true;
}

void km_peer_method_start(struct km_server_call *call, kama_bytes message,
                          km_peer_begin_fn begin)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    const struct km_service_peers *peers = peers_of(call);
    head request;
    if (peers == NULL || !km_service_decode(call, HEAD_PB, message, &request)) {
        return;
    }
    km_last_error_clear();
    kama_status st = peers->ops->admit(peers->arg, &request.sender);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    if (refuse_long_list(call, &request)) {
        return;
    }
    km_server_call_trust_peer(call);
    state->begin = begin;
    enum level level = level_of(call, &request);
    if (level != IS_LEVEL) {
        start_clock(call, &request);
    }
    if (waits(call, &request, level)) {
        (void)km_waiting_call_start(&state->base.waiting, call, message,
                                    pause_ms_of(&request), look);
    } else {
        go_on(call, message, level);
    }
}

/* -- parts of several methods ------------------------------------------------ */

enum km_msg_peer_outcome km_peer_place(struct km_server_call *call,
                                       kama_group *group, kama_bytes key)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    switch (peers->ops->place(peers->arg, kama_group_name(group), key)) {
    case KM_SERVICE_OWNER:
        return KM_MSG_PEER_ANSWERED;
    case KM_SERVICE_NOT_OWNER:
        return KM_MSG_PEER_NOT_OWNER;
    default:
        return KM_MSG_PEER_BEHIND;
    }
}

uint64_t km_peer_view_id(struct km_server_call *call)
{
    const struct km_service_peers *peers = &km_service_env_of(call)->peers;
    return peers->ops->view_id(peers->arg);
}

struct km_msg_peer_need km_peer_lacking(struct km_server_call *call)
{
    const struct km_service_peer_state *state = km_server_call_state(call);
    struct km_msg_peer_need need = {.clock = 0};
    if (state->names_lacking) {
        need.member_id = kama_bytes_make(state->lacking_member_id,
                                         sizeof state->lacking_member_id);
        need.clock = state->lacking_clock;
    }
    return need;
}

void km_service_peer_cancelled(struct km_server_call *call, kama_status why)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    (void)why;
    if (km_waiting_call_waits(&state->base.waiting)) {
        km_waiting_call_end(&state->base.waiting);
    } else if (state->base.work != NULL && state->cancel != NULL) {
        state->cancel(call);
    }
}

/* -- Peek ------------------------------------------------------------------ */

/* Only the memory of this node is asked, so the answer is there at once. */
static struct km_msg_peer_peek_item peek(struct km_server_call *call,
                                         kama_group *group, kama_bytes key)
{
    struct km_msg_peer_peek_item item = {
        .outcome = (int32_t)km_peer_place(call, group, key)};
    struct km_peek_op op = {.done = NULL};
    kama_ctx ctx;
    if (item.outcome != KM_MSG_PEER_ANSWERED) {
        return item;
    }
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    kama_status st =
        km_peek_op_start(group, &op, KM_MUTATE_PARKS, key, &ctx, &item.ttl_ms);
    KM_ASSERT(st != KAMA_DEFERRED);
    item.status = st;
    return item;
}

static void begin_peek(struct km_server_call *call, kama_bytes message,
                       enum km_peer_knowledge knowledge)
{
    struct km_msg_peer_peek_request request;
    struct km_msg_peer_items_response end = {.view_id = km_peer_view_id(call)};
    struct km_buf out;
    kama_bytes key;
    kama_group *group = NULL;
    if (!km_service_decode(call, &km_msg_peer_peek_request_pb, message,
                           &request) ||
        (group = km_service_find_group(call, request.group)) == NULL) {
        return;
    }
    km_buf_init(&out, km_service_env_of(call)->mem, SIZE_MAX);
    kama_status st = KAMA_OK;
    while (st == KAMA_OK && km_pb_next(&request.keys, &key)) {
        struct km_msg_peer_peek_item item = {.outcome = KM_MSG_PEER_BEHIND};
        if (knowledge == KM_PEER_IS_LEVEL) {
            item = peek(call, group, key);
        }
        st = km_pb_append_element(&out, KM_MSG_PEER_ITEMS,
                                  &km_msg_peer_peek_item_pb, &item);
    }
    if (st == KAMA_OK) {
        st = km_pb_append(&out, &km_msg_peer_items_response_pb, &end);
    }
    km_service_reply_buf(call, &out, st);
}

void km_service_peer_peek(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin_peek);
}
