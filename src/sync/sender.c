/* SPDX-License-Identifier: MIT */
#include "sync/sender.h"

#include "base/bytes.h"
#include "base/container.h"
#include "base/log.h"
#include "base/status.h"
#include "sync/acks.h"
#include "sync/course.h"
#include "sync/members.h"
#include "sync/pin.h"
#include "sync/strategies.h"

#include <string.h>

#define PAUSE_MIN_MS 50
#define SILENT_NS (KM_SYNC_SILENT_MS * KM_NS_PER_MS)
#define HEARTBEAT_NS (KM_SYNC_HEARTBEAT_MS * KM_NS_PER_MS)

static void fire(struct km_timer *timer);
static void look_at_lag(struct km_sync_out *out);

static struct km_sync *sync_of(const struct km_sync_out *out)
{
    return out->member->sync;
}

void km_sync_out_init(struct km_sync_out *out, struct km_sync_member *member)
{
    struct km_sync_log_state log;
    out->member = member;
    out->timer.fire = fire;
    out->pause = PAUSE_MIN_MS * KM_NS_PER_MS;
    km_sync_log_get(sync_of(out)->log, &log);
    km_sync_out_rebase(out, log.seq);
}

void km_sync_out_rebase(struct km_sync_out *out, uint64_t seq)
{
    out->acked = seq;
    out->confirmed = 0;
    out->next = seq + 1;
}

bool km_sync_out_is_gapped(const struct km_sync_out *out)
{
    return out->gap > out->confirmed;
}

/* -- the life of a stream ---------------------------------------------------------- */

/* A Gap that the member has not acknowledged may be lost, and the mutations that it covers
 * wait as before. */
static void forget_stream(struct km_sync_out *out)
{
    km_sync_pin_give(sync_of(out), out->pin);
    if (km_sync_out_is_gapped(out)) {
        out->acked = out->before_gap;
    }
    out->gap = 0;
    out->pin = NULL;
    out->use = NULL;
    out->state = KM_SYNC_OUT_DOWN;
    memset(&out->named, 0, sizeof out->named);
    km_sync_disarm(sync_of(out), &out->timer);
}

static void dial_later(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    look_at_lag(out);
    if (sync->stage == KM_SYNC_STAYS && !sync->is_closed) {
        km_sync_arm(sync, &out->timer, km_sync_now(sync) + out->pause);
    }
    out->pause = out->pause * 2 < KM_SYNC_HELLO_MS * KM_NS_PER_MS
                     ? out->pause * 2
                     : KM_SYNC_HELLO_MS * KM_NS_PER_MS;
    km_sync_check_goodbye(sync);
}

void km_sync_out_hang_up(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    void *use = out->use;
    forget_stream(out);
    sync->env.hang_up(sync->env.arg, use);
    dial_later(out);
}

void km_sync_out_stop(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    void *use = out->use;
    bool stood = out->state == KM_SYNC_OUT_HELLO ||
                 out->state == KM_SYNC_OUT_LIVE ||
                 (out->state == KM_SYNC_OUT_OVER && use != NULL);
    forget_stream(out);
    if (stood) {
        sync->env.hang_up(sync->env.arg, use);
    }
}

void km_sync_out_closed(struct km_sync_out *out, kama_status status,
                        const char *text)
{
    struct km_sync *sync = sync_of(out);
    bool is_over = out->state == KM_SYNC_OUT_OVER;
    forget_stream(out);
    if (is_over) {
        out->state = KM_SYNC_OUT_OVER;
        km_sync_check_goodbye(sync);
        return;
    }
    km_sync_say(sync, KM_LOG_DEBUG, out->member->address,
                "the stream to %s has ended: %s%s%s", out->member->address,
                kama_strerror(status), text != NULL ? ": " : "",
                text != NULL ? text : "");
    dial_later(out);
}

bool km_sync_out_send_head(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    out->member->bytes_sent += sync->head.len;
    return sync->env.send(sync->env.arg, out->use, km_buf_bytes(&sync->head),
                          NULL) == KAMA_OK;
}

bool km_sync_out_send_field(struct km_sync_out *out, uint32_t field,
                            const struct km_pb_message *table,
                            const void *message)
{
    struct km_sync *sync = sync_of(out);
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_pb_append_element(&sync->head, field, table, message) != KAMA_OK) {
        km_sync_out_hang_up(out);
        return false;
    }
    return km_sync_out_send_head(out);
}

/* R3. The first message says who this node is, and whom it expects. */
static void say_hello(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    const struct km_msg_sync_hello hello = {
        .sender = {.cluster = kama_bytes_str(sync->cluster),
                   .service = kama_bytes_str(sync->service),
                   .id = kama_bytes_make(sync->self.bytes, KM_MEMBER_ID_BYTES),
                   .view_id = sync->adopted != NULL ? sync->adopted->id : 0},
        .expected_id =
            kama_bytes_make(out->member->id.bytes, KM_MEMBER_ID_BYTES),
        .proto_min = KM_SYNC_PROTO,
        .proto_max = KM_SYNC_PROTO,
        .wall_ms = sync->env.wall_ms(sync->env.arg),
        .clock = log.hlc};
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_sync_strategies_put(sync, KM_SYNC_FIELD_HELLO, &km_msg_sync_hello_pb,
                               &hello) == KAMA_OK) {
        (void)km_sync_out_send_head(out);
    } else {
        km_sync_out_hang_up(out);
    }
}

void km_sync_out_start(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    if (out->state != KM_SYNC_OUT_DOWN || sync->is_closed ||
        sync->stage != KM_SYNC_STAYS || km_member_id_is_none(&sync->self)) {
        return;
    }
    km_sync_disarm(sync, &out->timer);
    if (sync->env.dial(sync->env.arg, out, out->member->address, &out->use) !=
        KAMA_OK) {
        dial_later(out);
        return;
    }
    out->state = KM_SYNC_OUT_HELLO;
    out->dialled = km_sync_now(sync);
    km_sync_arm(sync, &out->timer, out->dialled + SILENT_NS);
    say_hello(out);
}

/* -- views ------------------------------------------------------------------- */

void km_sync_out_announce(struct km_sync_out *out)
{
    const struct km_view *noticed = sync_of(out)->noticed;
    if (out->state == KM_SYNC_OUT_LIVE && noticed != NULL) {
        const struct km_msg_sync_view view = {.noticed_id = noticed->id};
        (void)km_sync_out_send_field(out, KM_SYNC_FIELD_VIEW,
                                     &km_msg_sync_view_pb, &view);
    }
}

/* -- the goodbye ------------------------------------------------------------------- */

/* R11. The last record of a stream that was flushed. The member ends the stream when it
 * has read it. */
static void send_goodbye(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    if (!km_sync_get_log(sync, &log) || out->next <= log.seq) {
        return;
    }
    const struct km_msg_sync_bye bye = {.final_seq = log.seq, .clock = log.hlc};
    if (km_sync_out_send_field(out, KM_SYNC_FIELD_BYE, &km_msg_sync_bye_pb,
                               &bye)) {
        out->state = KM_SYNC_OUT_OVER;
        km_sync_arm(sync, &out->timer, km_sync_now(sync) + SILENT_NS);
    }
}

void km_sync_out_pump(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    bool more = true;
    while (more && out->state == KM_SYNC_OUT_LIVE &&
           sync->env.can_send(sync->env.arg, out->use)) {
        more = km_sync_course_next(out);
    }
    if (sync->stage == KM_SYNC_LEAVES && out->state == KM_SYNC_OUT_LIVE &&
        out->pin == NULL) {
        send_goodbye(out);
    }
}

/* -- the words of the member --------------------------------------------------------- */

/* Returns why the answer to Hello is not the one that was hoped for, or NULL. */
static const char *refuse_welcome(const struct km_sync_out *out,
                                  const struct km_msg_sync_welcome *welcome)
{
    const struct km_sync *sync = sync_of(out);
    uint64_t wall = sync->env.wall_ms(sync->env.arg);
    uint64_t apart = wall > welcome->wall_ms ? wall - welcome->wall_ms
                                             : welcome->wall_ms - wall;
    km_ns round = km_sync_now(sync) - out->dialled;
    if (welcome->welcome != KM_MSG_PEER_WELCOME_MEMBER ||
        !km_bytes_eq(welcome->id, kama_bytes_make(out->member->id.bytes,
                                                  KM_MEMBER_ID_BYTES))) {
        return "it does not know this node yet";
    }
    if ((round < KM_NS_PER_S && apart > KM_SYNC_CLOCK_MS) ||
        km_sync_is_ahead(sync, welcome->clock)) {
        return "its clock and that of this node differ by more than 60 s";
    }
    return NULL;
}

static void on_welcome(struct km_sync_out *out, kama_bytes message)
{
    struct km_sync *sync = sync_of(out);
    struct km_msg_sync_welcome welcome;
    const char *why =
        km_pb_decode(&km_msg_sync_welcome_pb, message, &welcome) == KAMA_OK
            ? refuse_welcome(out, &welcome)
            : "its answer is malformed";
    if (why == NULL &&
        km_sync_strategies_learn(out->member, welcome.strategies) != KAMA_OK) {
        why = "the strategies of its groups cannot be read";
    }
    if (why != NULL) {
        km_sync_say(sync, KM_LOG_DEBUG, out->member->address,
                    "no mutations go to %s: %s", out->member->address, why);
        km_sync_out_hang_up(out);
        return;
    }
    out->state = KM_SYNC_OUT_LIVE;
    out->pause = PAUSE_MIN_MS * KM_NS_PER_MS;
    out->heard = km_sync_now(sync);
    km_sync_arm(sync, &out->timer, out->heard + HEARTBEAT_NS);
    if (km_sync_course_position(out, &welcome)) {
        km_sync_out_announce(out);
    }
    if (out->state == KM_SYNC_OUT_LIVE) {
        km_sync_course_heartbeat(out);
        km_sync_out_pump(out);
    }
    km_sync_acks_look(sync);
}

km_ns km_sync_out_lag(const struct km_sync_out *out, uint64_t seq)
{
    struct km_sync *sync = sync_of(out);
    km_ns now = km_sync_now(sync);
    if (out->acked >= seq) {
        return 0;
    }
    km_ns since = km_sync_log_time_of(sync->log, out->acked + 1);
    if (since == 0) { /* it has left the ring */
        return KM_SYNC_RING_MS * KM_NS_PER_MS;
    }
    return since < now ? now - since : 1;
}

/* Says once that a member lags for longer than it may, and once that it does not any
 * more. */
static void look_at_lag(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    bool is_late = km_sync_get_log(sync, &log) &&
                   km_sync_out_lag(out, log.seq) > sync->timeout;
    const char *address = out->member->address;
    if (is_late && !out->is_unsynced) {
        km_sync_say(sync, KM_LOG_WARN, address,
                    "%s has not acknowledged mutations for %llu ms; it may "
                    "have older values meanwhile",
                    address,
                    (unsigned long long)(sync->timeout / KM_NS_PER_MS));
    } else if (!is_late && out->is_unsynced) {
        km_sync_say(sync, KM_LOG_INFO, address, "%s has all mutations again",
                    address);
    }
    out->is_unsynced = is_late;
}

static void on_applied(struct km_sync_out *out, uint64_t applied)
{
    if (applied >= out->next) {
        km_sync_out_hang_up(out); /* it was not sent that yet */
        return;
    }
    out->heard = km_sync_now(sync_of(out));
    out->acked = applied > out->acked ? applied : out->acked;
    out->confirmed = applied > out->confirmed ? applied : out->confirmed;
    if (out->is_unsynced) {
        look_at_lag(out);
    }
    km_sync_acks_look(sync_of(out));
}

void km_sync_out_message(struct km_sync_out *out, kama_bytes message)
{
    struct km_msg_sync_response response;
    out->member->bytes_received += message.len;
    if (km_pb_decode(&km_msg_sync_response_pb, message, &response) != KAMA_OK) {
        if (out->state != KM_SYNC_OUT_DOWN) {
            km_sync_out_hang_up(out);
        }
        return;
    }
    switch (out->state) {
    case KM_SYNC_OUT_HELLO:
        on_welcome(out, response.welcome);
        break;
    case KM_SYNC_OUT_LIVE:
    case KM_SYNC_OUT_OVER:
        on_applied(out, response.applied);
        break;
    case KM_SYNC_OUT_DOWN:
        break;
    }
}

void km_sync_out_writable(struct km_sync_out *out)
{
    out->heard = km_sync_now(sync_of(out));
    km_sync_out_pump(out);
}

/* -- time ------------------------------------------------------------------------------ */

/* Returns whether the member owes an answer for too long. */
static bool is_silent(const struct km_sync_out *out, km_ns now)
{
    bool owes = out->acked + 1 < out->next || out->pin != NULL;
    return owes && now >= out->heard + SILENT_NS;
}

static void tick_live(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    km_ns now = km_sync_now(sync);
    look_at_lag(out);
    if (is_silent(out, now)) {
        km_sync_out_hang_up(out);
        return;
    }
    if (now >= out->beat + HEARTBEAT_NS) {
        if (sync->env.can_send(sync->env.arg, out->use)) {
            km_sync_course_heartbeat(out);
        } else {
            out->beat = now;
        }
    }
    if (out->state == KM_SYNC_OUT_LIVE) {
        km_sync_arm(sync, &out->timer, out->beat + HEARTBEAT_NS);
    }
}

static void fire(struct km_timer *timer)
{
    struct km_sync_out *out = KM_CONTAINER_OF(timer, struct km_sync_out, timer);
    switch (out->state) {
    case KM_SYNC_OUT_DOWN:
        look_at_lag(out);
        km_sync_out_start(out);
        break;
    case KM_SYNC_OUT_HELLO:
        km_sync_out_hang_up(out);
        break;
    case KM_SYNC_OUT_LIVE:
        tick_live(out);
        break;
    case KM_SYNC_OUT_OVER: /* the member does not end the stream */
        km_sync_out_stop(out);
        km_sync_check_goodbye(out->member->sync);
        break;
    }
}
