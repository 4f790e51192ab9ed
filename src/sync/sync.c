/* SPDX-License-Identifier: MIT */
#include "sync/sync.h"

#include "base/container.h"
#include "base/log.h"
#include "base/status.h"
#include "sync/acks.h"
#include "sync/members.h"
#include "sync/receiver.h"
#include "sync/sender.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef KAMA_BREAKABLE
unsigned km_sync_broken;
#endif

static void on_goodbye(struct km_timer *timer);
static void on_again(struct km_timer *timer);

/* -- for the other files ------------------------------------------------------------- */

km_ns km_sync_now(const struct km_sync *sync)
{
    return sync->env.now(sync->env.arg);
}

void km_sync_arm(struct km_sync *sync, struct km_timer *timer, km_ns at)
{
    km_sync_disarm(sync, timer);
    sync->env.arm(sync->env.arg, timer, at);
}

void km_sync_disarm(struct km_sync *sync, struct km_timer *timer)
{
    if (timer->at != 0) {
        sync->env.disarm(sync->env.arg, timer);
    }
}

bool km_sync_get_log(struct km_sync *sync, struct km_sync_log_state *ret)
{
    km_sync_log_get(sync->log, ret);
    return ret->origin == km_sync_origin_number(&sync->self);
}

void km_sync_say(struct km_sync *sync, int level, const char *address,
                 const char *format, ...)
{
    char text[KM_EVENT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sync->events->log(sync->owner, level, "sync", address, text);
}

bool km_sync_is_ahead(const struct km_sync *sync, uint64_t clock)
{
    return km_hlc_is_ahead(clock, sync->env.wall_ms(sync->env.arg),
                           KM_SYNC_CLOCK_MS);
}

void km_sync_try_again(struct km_sync *sync)
{
    if (sync->again.at == 0 && !sync->is_closed) {
        km_sync_arm(sync, &sync->again,
                    km_ns_after_ms(km_sync_now(sync), KM_SYNC_HELLO_MS));
    }
}

static void on_again(struct km_timer *timer)
{
    km_sync_members_follow(KM_CONTAINER_OF(timer, struct km_sync, again));
}

/* -- life -------------------------------------------------------------------------------- */

kama_status km_sync_new(const struct km_sync_options *options,
                        struct km_sync **ret_sync)
{
    struct km_sync *sync = km_mem_zalloc(options->mem, 1, sizeof *sync);
    if (sync == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for streams");
    }
    sync->mem = options->mem;
    sync->env = options->env;
    sync->events = options->events;
    sync->owner = options->owner;
    sync->log = options->log;
    sync->origins = options->origins;
    sync->timeout = (km_ns)(options->timeout_ms > 0 ? options->timeout_ms
                                                    : KM_SYNC_TIMEOUT_MS) *
                    KM_NS_PER_MS;
    km_list_init(&sync->members);
    km_list_init(&sync->ins);
    km_list_init(&sync->pins);
    km_buf_init(&sync->head, sync->mem, SIZE_MAX);
    km_buf_init(&sync->keys, sync->mem, SIZE_MAX);
    sync->goodbye.fire = on_goodbye;
    sync->again.fire = on_again;
    sync->cluster = km_mem_strdup(sync->mem, options->cluster);
    sync->service = km_mem_strdup(sync->mem, options->service);
    bool has_acks = km_sync_acks_init(sync);
    if (sync->cluster == NULL || sync->service == NULL || !has_acks) {
        km_sync_free(sync);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for streams");
    }
    *ret_sync = sync;
    return KAMA_OK;
}

/* Calls `act` for the stream to each member. */
static void each_out(struct km_sync *sync, void (*act)(struct km_sync_out *out))
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        act(&KM_CONTAINER_OF(node, struct km_sync_member, node)->out);
    }
}

void km_sync_close(struct km_sync *sync)
{
    if (sync->is_closed) {
        return;
    }
    sync->is_closed = true;
    km_sync_disarm(sync, &sync->goodbye);
    km_sync_disarm(sync, &sync->again);
    km_sync_acks_end(sync);
    each_out(sync, km_sync_out_stop);
    km_sync_in_end_all(sync, KAMA_ERR_CLOSED, "the node stops");
}

void km_sync_free(struct km_sync *sync)
{
    if (sync == NULL) {
        return;
    }
    KM_ASSERT(km_list_empty(&sync->ins) && km_list_empty(&sync->pins));
    km_sync_members_fini(sync);
    km_sync_acks_fini(sync);
    km_view_unref(sync->noticed);
    km_view_unref(sync->adopted);
    km_buf_fini(&sync->head);
    km_buf_fini(&sync->keys);
    km_mem_free(sync->mem, sync->cluster);
    km_mem_free(sync->mem, sync->service);
    km_mem_free(sync->mem, sync);
}

/* -- views --------------------------------------------------------------------------------- */

/* The caller may have begun the life in the log already (km_sync_log_renew). */
static uint64_t begin_life(struct km_sync *sync, uint64_t origin, uint64_t seq)
{
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    if (log.origin != origin) {
        km_sync_log_begin(sync->log, origin, seq);
        return seq;
    }
    return log.seq;
}

/* R12. A new life: its log is empty, and whoever has begun a stream to the life before
 * begins another one when it has learned the new id. */
void km_sync_set_self(struct km_sync *sync, const struct km_member_id *id,
                      const char *address, uint64_t seq)
{
    struct km_list *node;
    struct km_list *tmp;
    sync->has_lived_before |= !km_member_id_is_none(&sync->self) &&
                              !km_member_id_equal(&sync->self, id);
    sync->self = *id;
    (void)snprintf(sync->address, sizeof sync->address, "%s", address);
    if (!KM_SYNC_KEEPS(KM_SYNC_R12_FIRST)) {
        seq = 0;
    }
    seq = begin_life(sync, km_sync_origin_number(id), seq);
    km_sync_acks_renew(sync, km_sync_origin_number(id));
    km_sync_in_end_all(sync, KAMA_ERR_NOT_MEMBER, "this node has a new id");
    each_out(sync, km_sync_out_stop);
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        km_sync_out_rebase(
            &KM_CONTAINER_OF(node, struct km_sync_member, node)->out, seq);
    }
    km_sync_members_follow(sync);
}

static void replace_view(struct km_view **at, struct km_view *view)
{
    struct km_view *old = *at;
    *at = km_view_ref(view);
    km_view_unref(old);
}

void km_sync_notice(struct km_sync *sync, struct km_view *view)
{
    km_sync_origins_notice(sync->origins, view->id);
    replace_view(&sync->noticed, view);
    km_sync_members_follow(sync);
    each_out(sync, km_sync_out_announce);
}

void km_sync_adopt(struct km_sync *sync, struct km_view *view)
{
    bool is_news = sync->noticed == NULL;
    replace_view(&sync->adopted, view);
    if (is_news) {
        replace_view(&sync->noticed, view);
    }
    km_sync_log_set_view(sync->log, view->id);
    km_sync_members_follow(sync);
    each_out(sync, km_sync_out_announce);
}

void km_sync_forget(struct km_sync *sync)
{
    km_sync_log_invalidate(sync->log, UINT32_MAX, 0);
    sync->gates++;
}

void km_sync_grew(struct km_sync *sync)
{
    each_out(sync, km_sync_out_pump);
}

static void say_hello_again(struct km_sync *sync)
{
    each_out(sync, km_sync_out_stop);
    km_sync_members_follow(sync);
}

void km_sync_regrouped(struct km_sync *sync)
{
    say_hello_again(sync);
}

/* R15. Nothing is sent before both sides have said again how far they are. */
void km_sync_woke(struct km_sync *sync)
{
    say_hello_again(sync);
}

/* -- R11 ------------------------------------------------------------------------------------ */

static void end_goodbye(struct km_sync *sync)
{
    sync->stage = KM_SYNC_HAS_LEFT;
    km_sync_disarm(sync, &sync->goodbye);
    sync->events->said_goodbye(sync->owner);
}

static void on_goodbye(struct km_timer *timer)
{
    end_goodbye(KM_CONTAINER_OF(timer, struct km_sync, goodbye));
}

/* Returns whether a stream stands that has not been ended behind the goodbye. */
static bool is_awaited(const struct km_sync_out *out)
{
    return out->state == KM_SYNC_OUT_HELLO || out->state == KM_SYNC_OUT_LIVE ||
           (out->state == KM_SYNC_OUT_OVER && out->use != NULL);
}

void km_sync_check_goodbye(struct km_sync *sync)
{
    struct km_list *node;
    struct km_list *tmp;
    if (sync->stage != KM_SYNC_LEAVES || sync->is_closed) {
        return;
    }
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        if (is_awaited(
                &KM_CONTAINER_OF(node, struct km_sync_member, node)->out)) {
            return;
        }
    }
    end_goodbye(sync);
}

void km_sync_say_goodbye(struct km_sync *sync, km_ns until)
{
    if (sync->stage != KM_SYNC_STAYS || sync->is_closed) {
        return;
    }
    sync->stage = KM_SYNC_LEAVES;
    km_sync_arm(sync, &sync->goodbye, until);
    each_out(sync, km_sync_out_pump);
    km_sync_check_goodbye(sync);
}

/* -- for people ------------------------------------------------------------------------------- */

static struct km_sync_member_info info_of(const struct km_sync_member *member,
                                          uint64_t seq)
{
    const struct km_sync_out *out = &member->out;
    km_ns now = km_sync_now(member->sync);
    enum km_sync_peer_state state = km_sync_peer_state_of(out, seq);
    return (struct km_sync_member_info){
        .id = member->id,
        .address = member->address,
        .state = state,
        .up = out->state == KM_SYNC_OUT_LIVE,
        .applied = member->applied,
        .acked = out->acked,
        .queue = seq > out->acked ? seq - out->acked : 0,
        .lag = km_sync_out_lag(out, seq),
        .sent = out->sent,
        .received = member->received,
        .duplicates = member->duplicates,
        .gaps_sent = out->gaps,
        .gaps_received = member->gaps,
        .is_known = member->is_known,
        .gap_age = member->gaps > 0 ? now - member->gap_at : 0,
        .bytes_sent = member->bytes_sent,
        .bytes_received = member->bytes_received,
        .differences = member->differences,
        .difference_count = member->difference_count,
        .quarantined = now < member->quarantined_until,
        .unsynced = state == KM_SYNC_PEER_UNSYNCED};
}

void km_sync_visit(struct km_sync *sync,
                   void (*cb)(void *arg,
                              const struct km_sync_member_info *info),
                   void *arg)
{
    struct km_sync_log_state log;
    struct km_list *node;
    struct km_list *tmp;
    km_sync_log_get(sync->log, &log);
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        const struct km_sync_member_info info = info_of(
            KM_CONTAINER_OF(node, struct km_sync_member, node), log.seq);
        cb(arg, &info);
    }
}

static size_t check_member(const struct km_sync_member *member)
{
    const struct km_sync_out *out = &member->out;
    KM_ASSERT(member->in == NULL || member->in->member == member);
    KM_ASSERT(member->is_known || member->applied == 0);
    KM_ASSERT(out->acked < out->next);
    KM_ASSERT(out->pin == NULL || out->state == KM_SYNC_OUT_LIVE);
    KM_ASSERT(out->state != KM_SYNC_OUT_DOWN || out->use == NULL);
    return out->pin != NULL;
}

void km_sync_check(const struct km_sync *sync)
{
    struct km_list *node;
    struct km_list *tmp;
    size_t bytes = 0;
    size_t refs = 0;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        refs +=
            check_member(KM_CONTAINER_OF(node, struct km_sync_member, node));
    }
    KM_LIST_FOREACH(node, tmp, &sync->pins) {
        const struct km_sync_pin *pin =
            KM_CONTAINER_OF(node, struct km_sync_pin, node);
        bytes += kama_value_bytes(pin->value).len;
        refs -= pin->refs;
    }
    KM_LIST_FOREACH(node, tmp, &sync->ins) {
        bytes += KM_CONTAINER_OF(node, struct km_sync_in, node)->chunk.charged;
    }
    KM_ASSERT(refs == 0);
    KM_ASSERT(bytes == sync->large_bytes && bytes <= KM_SYNC_LARGE_BYTES);
    km_sync_acks_check(sync);
    km_sync_log_check(sync->log);
}
