/* SPDX-License-Identifier: MIT */
#include "sync/receiver.h"

#include "base/bytes.h"
#include "base/container.h"
#include "base/log.h"
#include "base/status.h"
#include "sync/apply.h"
#include "sync/members.h"
#include "sync/strategies.h"

#include <string.h>

#define ACK_NS (KM_SYNC_ACK_MS * KM_NS_PER_MS)
#define SILENT_NS (KM_SYNC_SILENT_MS * KM_NS_PER_MS)
#define SIGN_NS (KM_SYNC_HEARTBEAT_MS * KM_NS_PER_MS)
#define HELD_NS (KM_SYNC_HELLO_MS * KM_NS_PER_MS)

static void fire(struct km_timer *timer);

/* -- life ------------------------------------------------------------------------ */

struct km_sync_in *km_sync_in_new(struct km_sync *sync, void *use)
{
    struct km_sync_in *in = km_mem_zalloc(sync->mem, 1, sizeof *in);
    if (in == NULL) {
        return NULL;
    }
    in->sync = sync;
    in->use = use;
    in->timer.fire = fire;
    in->heard = km_sync_now(sync);
    km_buf_init(&in->chunk.bytes, sync->mem, SIZE_MAX);
    km_list_push_back(&sync->ins, &in->node);
    km_sync_arm(sync, &in->timer, in->heard + SILENT_NS);
    return in;
}

/* The stream brings nothing more. The network still has it. */
static void leave(struct km_sync_in *in)
{
    if (in->member != NULL && in->member->in == in) {
        in->member->in = NULL;
    }
    in->member = NULL;
    in->state = KM_SYNC_IN_OVER;
    km_sync_disarm(in->sync, &in->timer);
    km_sync_chunk_drop(in);
}

void km_sync_in_free(struct km_sync_in *in)
{
    if (in == NULL) {
        return;
    }
    leave(in);
    km_list_remove(&in->node);
    for (size_t i = 0; i < in->group_count; i++) {
        km_mem_free(in->sync->mem, in->groups[i].name);
    }
    km_mem_free(in->sync->mem, in->groups);
    km_buf_fini(&in->chunk.bytes);
    km_mem_free(in->sync->mem, in);
}

void km_sync_in_end(struct km_sync_in *in, kama_status status, const char *text)
{
    if (in->state != KM_SYNC_IN_OVER) {
        leave(in);
        in->sync->env.refuse(in->sync->env.arg, in->use, status, text);
    }
}

void km_sync_in_end_all(struct km_sync *sync, kama_status status,
                        const char *text)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->ins) {
        km_sync_in_end(KM_CONTAINER_OF(node, struct km_sync_in, node), status,
                       text);
    }
}

/* Ends a stream because of a message that cannot be. People are told if it is a member's. */
static void end_bad(struct km_sync_in *in, const char *text)
{
    if (in->member != NULL) {
        const char *address = in->member->address;
        km_sync_say(in->sync, KM_LOG_WARN, address,
                    "the stream of %s was ended, and begins anew: %s", address,
                    text);
    }
    km_sync_in_end(in, KAMA_ERR_MALFORMED, text);
}

/* -- answers --------------------------------------------------------------------- */

static void reply(struct km_sync_in *in,
                  const struct km_msg_sync_welcome *welcome)
{
    struct km_sync *sync = in->sync;
    const struct km_msg_sync_response response = {
        .applied = welcome == NULL ? in->member->applied : 0};
    kama_status st = KAMA_OK;
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (welcome != NULL) {
        st = km_sync_strategies_put(sync, KM_SYNC_FIELD_WELCOME,
                                    &km_msg_sync_welcome_pb, welcome);
    }
    if (st == KAMA_OK) {
        st = km_pb_append(&sync->head, &km_msg_sync_response_pb, &response);
    }
    if (st != KAMA_OK) {
        km_sync_in_end(in, st, "no memory for an answer");
        return;
    }
    in->ack_at = 0;
    in->answers_now = false;
    in->acked = in->member->applied;
    in->replied = km_sync_now(sync);
    in->member->bytes_sent += sync->head.len;
    sync->env.reply(sync->env.arg, in->use, km_buf_bytes(&sync->head));
}

/* Returns when the timer has to look: for an answer that is owed, or for silence. */
static km_ns next_look(const struct km_sync_in *in)
{
    km_ns silent = in->heard + SILENT_NS;
    return in->ack_at != 0 && in->ack_at < silent ? in->ack_at : silent;
}

/* R2. An acknowledgement is owed 10 ms after the first record that it is for, so that those
 * that come together are one, and at once if callers wait for it (sync_ack). A part of a
 * large value is answered twice a second: the sender must not take this node for dead while
 * it sends it. */
static void owe_reply(struct km_sync_in *in)
{
    if (in->answers_now) {
        reply(in, NULL);
        return;
    }
    km_ns now = km_sync_now(in->sync);
    km_ns at = in->acked != in->member->applied ? now + ACK_NS
               : in->chunk.is_open              ? in->replied + SIGN_NS
                                                : 0;
    if (at == 0 || (in->ack_at != 0 && in->ack_at <= at)) {
        return;
    }
    in->ack_at = at > now ? at : now + ACK_NS;
    if (in->timer.at == 0 || in->timer.at > in->ack_at) {
        km_sync_arm(in->sync, &in->timer, in->ack_at);
    }
}

static void fire(struct km_timer *timer)
{
    struct km_sync_in *in = KM_CONTAINER_OF(timer, struct km_sync_in, timer);
    km_ns now = km_sync_now(in->sync);
    if (in->state == KM_SYNC_IN_HELD && now >= in->heard + HELD_NS) {
        km_sync_in_end(in, KAMA_ERR_NOT_MEMBER,
                       "the view of this node does not have the sender");
        return;
    }
    if (now >= in->heard + SILENT_NS) {
        km_sync_in_end(in, KAMA_ERR_TIMEOUT, "nothing came for 1.5 s");
        return;
    }
    if (in->state == KM_SYNC_IN_LIVE && in->ack_at != 0 && now >= in->ack_at) {
        reply(in, NULL);
    }
    if (in->state != KM_SYNC_IN_OVER) {
        km_sync_arm(in->sync, &in->timer,
                    in->state == KM_SYNC_IN_HELD ? in->heard + HELD_NS
                                                 : next_look(in));
    }
}

/* -- Hello ------------------------------------------------------------------------- */

/* A peer whose clock is too far ahead is refused for a minute, and its clock is not
 * merged: every later version of this node would have it. */
static void quarantine(struct km_sync_in *in)
{
    struct km_sync *sync = in->sync;
    const char *address = in->member->address;
    in->member->quarantined_until =
        km_sync_now(sync) + KM_SYNC_QUARANTINE_MS * KM_NS_PER_MS;
    km_sync_say(sync, KM_LOG_WARN, address,
                "the clock of %s is more than 60 s ahead of that of this node; "
                "its mutations are refused for 60 s; set the clocks right",
                address);
    km_sync_in_end(in, KAMA_ERR_MALFORMED,
                   "the clock of the sender is more than 60 s ahead");
}

/* R3. Answers the Hello of a member with the number of its mutations that are applied here. */
static void welcome(struct km_sync_in *in, struct km_sync_member *member)
{
    struct km_sync *sync = in->sync;
    struct km_sync_log_state log;
    if (km_sync_now(sync) < member->quarantined_until) {
        km_sync_in_end(in, KAMA_ERR_MALFORMED,
                       "the clock of the sender was more than 60 s ahead");
        return;
    }
    if (member->in != NULL) {
        km_sync_in_end(member->in, KAMA_ERR_CANCELLED,
                       "the sender has begun a newer stream");
    }
    km_sync_log_get(sync->log, &log);
    const struct km_msg_sync_welcome answer = {
        .welcome = KM_MSG_PEER_WELCOME_MEMBER,
        .id = kama_bytes_make(sync->self.bytes, KM_MEMBER_ID_BYTES),
        .knows = member->is_known,
        .applied = member->applied,
        .wall_ms = sync->env.wall_ms(sync->env.arg),
        .clock = log.hlc,
        .view_id = sync->adopted != NULL ? sync->adopted->id : 0};
    in->member = member;
    member->in = in;
    member->bytes_received += in->hello_bytes;
    in->state = KM_SYNC_IN_LIVE;
    in->heard = km_sync_now(sync);
    km_sync_arm(sync, &in->timer, next_look(in));
    reply(in, &answer);
}

void km_sync_in_answer_held(struct km_sync *sync)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->ins) {
        struct km_sync_in *in = KM_CONTAINER_OF(node, struct km_sync_in, node);
        struct km_sync_member *member = in->state == KM_SYNC_IN_HELD
                                            ? km_sync_member_find(sync, &in->id)
                                            : NULL;
        if (member != NULL) {
            welcome(in, member);
        }
    }
}

static bool is_self(const struct km_sync *sync, kama_bytes id)
{
    return !km_member_id_is_none(&sync->self) &&
           km_bytes_eq(id,
                       kama_bytes_make(sync->self.bytes, KM_MEMBER_ID_BYTES));
}

/* Returns why a Hello is refused whoever has sent it, or NULL. */
static const char *refuse_hello(const struct km_sync *sync,
                                const struct km_msg_sync_hello *hello)
{
    if (!km_bytes_eq(hello->sender.cluster, kama_bytes_str(sync->cluster)) ||
        !km_bytes_eq(hello->sender.service, kama_bytes_str(sync->service))) {
        return "the sender is of another cluster or service";
    }
    if (hello->proto_min > KM_SYNC_PROTO || hello->proto_max < KM_SYNC_PROTO) {
        return "the sender speaks another version of the protocol";
    }
    if (hello->sender.id.len != KM_MEMBER_ID_BYTES ||
        !is_self(sync, hello->expected_id)) {
        return "another member is expected here";
    }
    return NULL;
}

/* The clock of a Hello is looked at, and not merged: after a Gap the floors rise to the clock
 * of this node, and all that follows the Gap would be below it. The strategies of a sender
 * that no view has yet are not needed: the stream to it, which begins with the view, brings
 * them with its Welcome. */
static void on_hello(struct km_sync_in *in, kama_bytes message)
{
    struct km_sync *sync = in->sync;
    struct km_msg_sync_hello hello;
    const char *why =
        km_pb_decode(&km_msg_sync_hello_pb, message, &hello) == KAMA_OK
            ? refuse_hello(sync, &hello)
            : "the Hello is malformed";
    if (why == NULL && km_sync_is_ahead(sync, hello.clock) &&
        KM_SYNC_KEEPS(KM_SYNC_QUARANTINE)) {
        why = "the clock of the sender is more than 60 s ahead";
    }
    if (why != NULL) {
        km_sync_in_end(in, KAMA_ERR_NOT_MEMBER, why);
        return;
    }
    memcpy(in->id.bytes, hello.sender.id.data, KM_MEMBER_ID_BYTES);
    struct km_sync_member *member = km_sync_member_find(sync, &in->id);
    if (member != NULL &&
        km_sync_strategies_learn(member, hello.strategies) != KAMA_OK) {
        km_sync_in_end(in, KAMA_ERR_MALFORMED,
                       "the strategies of the groups cannot be read");
        return;
    }
    if (member != NULL) {
        welcome(in, member);
        return;
    }
    in->state = KM_SYNC_IN_HELD;
    km_sync_arm(sync, &in->timer, in->heard + HELD_NS);
}

/* -- records ------------------------------------------------------------------------- */

void km_sync_in_message(struct km_sync_in *in, kama_bytes message)
{
    struct km_msg_sync_request request;
    if (in->state == KM_SYNC_IN_OVER) {
        return;
    }
    in->heard = km_sync_now(in->sync);
    if (in->member != NULL) {
        in->member->bytes_received += message.len;
    } else {
        in->hello_bytes = message.len;
    }
    bool is_read =
        km_pb_decode(&km_msg_sync_request_pb, message, &request) == KAMA_OK;
    bool is_hello = is_read && request.hello.data != NULL;
    if (!is_read || is_hello != (in->state == KM_SYNC_IN_NEW)) {
        end_bad(in, "a message is malformed, or out of order");
        return;
    }
    if (is_hello) {
        on_hello(in, request.hello);
        return;
    }
    const char *wrong = NULL;
    switch (km_sync_apply(in, &request, &wrong)) {
    case KM_SYNC_APPLIED:
        owe_reply(in);
        break;
    case KM_SYNC_WRONG:
        end_bad(in, wrong);
        break;
    case KM_SYNC_AHEAD:
        quarantine(in);
        break;
    case KM_SYNC_GOODBYE:
        reply(in, NULL);
        km_sync_in_end(in, KAMA_OK, "goodbye");
        break;
    }
}
