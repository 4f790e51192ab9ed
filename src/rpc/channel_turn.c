/* SPDX-License-Identifier: MIT */
/*
 * The end of a channel's turn: results are delivered, calls get streams, and
 * an attempt to connect begins. One timer serves both the attempt that is due
 * next and the time limit of the one that runs, because there is never more
 * than one of the two.
 */
#include "rpc/channel_turn.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/text.h"
#include "rpc/channel_call_life.h"

void km_channel_wake(struct km_channel *channel)
{
    km_loop_at_end_of_turn(channel->loop, &channel->turn);
}

/* -- attempts ------------------------------------------------------------ */

static uint64_t next_random(struct km_channel *channel)
{
    channel->random ^= channel->random << 13;
    channel->random ^= channel->random >> 7;
    channel->random ^= channel->random << 17;
    return channel->random;
}

/* +-20 % of the backoff. */
static km_ns jittered(struct km_channel *channel)
{
    uint64_t ns = (uint64_t)channel->backoff_ms * KM_NS_PER_MS;
    return ns * 4 / 5 + next_random(channel) % (ns * 2 / 5);
}

/* The calls are ended from the front, and each one leaves the list. */
void km_channel_failed(struct km_channel *channel, kama_status status,
                       const char *sentence)
{
    KM_ASSERT(status != KAMA_OK);
    channel->failure = status;
    (void)km_text_printf(channel->sentence, sizeof channel->sentence, "%s",
                         sentence);
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &channel->waiting) {
        struct km_channel_call *call =
            KM_CONTAINER_OF(node, struct km_channel_call, node);
        if (!call->wait_for_ready) {
            km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, sentence);
        }
    }
    km_channel_wake(channel);
}

void km_channel_ready(struct km_channel *channel, const char *local_address)
{
    KM_ASSERT(!channel->closing);
    channel->failure = KAMA_OK;
    channel->news |= KM_CHANNEL_NEWS_CONNECTED;
    (void)km_text_printf(channel->local_address, sizeof channel->local_address,
                         "%s", local_address);
    channel->backoff_ms = channel->backoff_ms_min;
    channel->next_attempt_at = channel->attempt_at + jittered(channel);
    km_loop_timer_disarm(channel->loop, &channel->timer);
    km_channel_wake(channel);
}

void km_channel_lost(struct km_channel *channel, kama_status why,
                     const char *text)
{
    channel->news |= KM_CHANNEL_NEWS_LOST;
    channel->lost_why = why;
    (void)km_text_printf(channel->lost_text, sizeof channel->lost_text, "%s",
                         text);
}

void km_channel_reconnect_now(struct km_channel *channel)
{
    if (channel->link == NULL && !channel->closing) {
        channel->backoff_ms = channel->backoff_ms_min;
        channel->next_attempt_at = 0;
        km_channel_wake(channel);
    }
}

static void begin_attempt(struct km_channel *channel, km_ns now)
{
    channel->attempt_at = now;
    channel->next_attempt_at = now + jittered(channel);
    channel->backoff_ms = channel->backoff_ms * 8 / 5;
    if (channel->backoff_ms > channel->backoff_ms_max) {
        channel->backoff_ms = channel->backoff_ms_max;
    }
    kama_status status = km_channel_link_open(channel);
    if (status != KAMA_OK) {
        km_channel_failed(channel, status, kama_strerror(status));
        return;
    }
    km_loop_timer_arm(channel->loop, &channel->timer,
                      km_ns_after_ms(now, channel->connect_timeout_ms));
}

/* An attempt begins now, or the timer brings the next turn when it may. */
static void connect_or_wait(struct km_channel *channel)
{
    km_ns now = km_loop_now(channel->loop);
    if (now >= channel->next_attempt_at) {
        begin_attempt(channel, now);
    } else {
        km_loop_timer_arm(channel->loop, &channel->timer,
                          channel->next_attempt_at);
    }
}

static void on_timer(struct km_timer *timer)
{
    struct km_channel *channel =
        KM_CONTAINER_OF(timer, struct km_channel, timer);
    if (channel->link != NULL) {
        km_channel_link_time_out(channel->link);
    }
    km_channel_wake(channel);
}

/* -- the end of a turn --------------------------------------------------- */

/* The owner may close the channel in each of the two. */
static void tell_news(struct km_channel *channel)
{
    const struct km_channel_ops *ops = channel->ops;
    unsigned news = channel->news;
    channel->news = 0;
    if (ops == NULL) {
        return;
    }
    if ((news & KM_CHANNEL_NEWS_CONNECTED) != 0 && !channel->closing &&
        ops->on_connected != NULL) {
        ops->on_connected(channel->arg, channel->local_address);
    }
    if ((news & KM_CHANNEL_NEWS_LOST) != 0 && !channel->closing &&
        ops->on_disconnected != NULL) {
        ops->on_disconnected(channel->arg, channel->lost_why,
                             channel->lost_text);
    }
}

static struct km_channel_call *first_of(struct km_list *head)
{
    struct km_list *node = km_list_first(head);
    return node != NULL ? KM_CONTAINER_OF(node, struct km_channel_call, node)
                        : NULL;
}

/* Calls that end while on_end runs are delivered in the loop's next turn.
 * Callers that call again at once, and are refused at once, would otherwise
 * keep this turn from ending. */
static void deliver_ended(struct km_channel *channel)
{
    struct km_list due;
    struct km_channel_call *call;
    if (channel->again_posted) {
        return;
    }
    km_list_init(&due);
    km_list_splice(&due, &channel->ended);
    while ((call = first_of(&due)) != NULL) {
        km_channel_call_deliver(call);
    }
    if (!km_list_empty(&channel->ended)) {
        channel->again_posted = true;
        km_loop_post(channel->loop, &channel->again);
    }
}

static void on_again(struct km_mail *mail)
{
    struct km_channel *channel =
        KM_CONTAINER_OF(mail, struct km_channel, again);
    channel->again_posted = false;
    km_channel_wake(channel);
}

/* In the order in which the calls were made, as far as the server permits. */
static void start_waiting(struct km_channel *channel)
{
    struct km_channel_call *call;
    while (channel->link != NULL && km_channel_link_accepts(channel->link) &&
           (call = first_of(&channel->waiting)) != NULL) {
        km_channel_call_start(call, channel->link);
    }
}

void km_channel_free(struct km_channel *channel)
{
    KM_ASSERT(km_list_empty(&channel->links));
    KM_ASSERT(km_list_empty(&channel->waiting));
    KM_ASSERT(km_list_empty(&channel->ended));
    void (*on_freed)(void *arg) = channel->on_freed;
    void *arg = channel->on_freed_arg;
    km_loop_timer_disarm(channel->loop, &channel->timer);
    km_h2_loop_cache_free(channel->own_cache);
    km_mem_free(channel->mem, channel->address);
    km_mem_free(channel->mem, channel->user_agent);
    km_mem_free(channel->mem, channel);
    if (on_freed != NULL) {
        on_freed(arg);
    }
}

static void on_turn(struct km_mail *mail)
{
    struct km_channel *channel = KM_CONTAINER_OF(mail, struct km_channel, turn);
    tell_news(channel);
    deliver_ended(channel);
    if (channel->closing) {
        if (km_list_empty(&channel->links) && !channel->again_posted &&
            channel->turn.next == NULL) {
            km_channel_free(channel);
        }
        return;
    }
    start_waiting(channel);
    if (channel->link == NULL && !km_list_empty(&channel->waiting)) {
        connect_or_wait(channel);
    }
}

/* -- the beginning ------------------------------------------------------- */

void km_channel_turn_init(struct km_channel *channel)
{
    channel->turn.run = on_turn;
    channel->again.run = on_again;
    channel->timer.fire = on_timer;
    km_list_init(&channel->waiting);
    km_list_init(&channel->ended);
    km_list_init(&channel->links);
    channel->backoff_ms = channel->backoff_ms_min;
    channel->random = km_hash_random_seed() | 1;
}
