/* SPDX-License-Identifier: MIT */
/*
 * The channel: when to connect, which call goes next, how it ends.
 *
 * An attempt begins when a call waits and there is no link, at the earliest
 * one backoff after the attempt before began. That also holds after attempts
 * that went well, so that a server which accepts and says GOAWAY at once is
 * not dialled in a tight loop; the backoff is the shortest then.
 */
#include "rpc/channel_internal.h"

#include "base/container.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "net/address.h"

#define BACKOFF_MS_MIN 100
#define BACKOFF_MS_MAX 3000
#define CONNECT_TIMEOUT_MS 5000
#define H2_CACHE_BYTES (64u << 10)

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

void km_channel_failed(struct km_channel *channel, kama_status status,
                       const char *sentence)
{
    channel->failing = true;
    channel->failure = status;
    (void)km_text_printf(channel->sentence, sizeof channel->sentence, "%s",
                         sentence);
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &channel->waiting) {
        struct km_channel_call *call =
            KM_CONTAINER_OF(node, struct km_channel_call, node);
        if (!call->wait_for_ready) {
            km_channel_call_end(call, status, -1, sentence);
        }
    }
    km_channel_wake(channel);
}

void km_channel_ready(struct km_channel *channel)
{
    channel->failing = false;
    channel->backoff_ms = BACKOFF_MS_MIN;
    channel->next_attempt_at = channel->attempt_at + jittered(channel);
    km_loop_timer_disarm(channel->loop, &channel->timer);
    km_channel_wake(channel);
}

static void begin_attempt(struct km_channel *channel, km_ns now)
{
    channel->attempt_at = now;
    channel->next_attempt_at = now + jittered(channel);
    channel->backoff_ms = channel->backoff_ms * 8 / 5;
    if (channel->backoff_ms > BACKOFF_MS_MAX) {
        channel->backoff_ms = BACKOFF_MS_MAX;
    }
    kama_status status = km_channel_link_open(channel);
    if (status != KAMA_OK) {
        km_channel_failed(channel, status, kama_strerror(status));
        return;
    }
    km_loop_timer_arm(channel->loop, &channel->timer,
                      km_ns_after_ms(now, channel->connect_timeout_ms));
}

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

static struct km_channel_call *first_of(struct km_list *head)
{
    struct km_list *node = km_list_first(head);
    return node != NULL ? KM_CONTAINER_OF(node, struct km_channel_call, node)
                        : NULL;
}

/* What ends while on_end runs waits for the loop's next turn: callers that call
 * again at once, and are refused at once, would keep this one for ever. */
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

static void start_waiting(struct km_channel *channel)
{
    struct km_channel_call *call;
    while (channel->link != NULL && km_channel_link_accepts(channel->link) &&
           (call = first_of(&channel->waiting)) != NULL) {
        km_channel_call_start(call, channel->link);
    }
}

static void free_channel(struct km_channel *channel)
{
    void (*on_freed)(void *arg) = channel->on_freed;
    void *arg = channel->on_freed_arg;
    km_loop_timer_disarm(channel->loop, &channel->timer);
    km_h2_loop_cache_free(channel->cache);
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
    deliver_ended(channel);
    if (channel->closing) {
        if (km_list_empty(&channel->links) && !channel->again_posted &&
            channel->turn.next == NULL) {
            free_channel(channel);
        }
        return;
    }
    start_waiting(channel);
    if (channel->link == NULL && !km_list_empty(&channel->waiting)) {
        connect_or_wait(channel);
    }
}

/* -- life ---------------------------------------------------------------- */

static kama_status copy_texts(struct km_channel *channel,
                              const struct km_channel_options *options)
{
    const char *user_agent = options->user_agent != NULL
                                 ? options->user_agent
                                 : "grpc-c-kamacache/" KAMA_VERSION_STRING;
    channel->address = km_mem_strdup(channel->mem, options->address);
    channel->user_agent = km_mem_strdup(channel->mem, user_agent);
    return channel->address != NULL && channel->user_agent != NULL
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

static void init_fields(struct km_channel *channel, struct km_loop *loop,
                        const struct km_channel_options *options)
{
    channel->clock =
        options->clock != NULL ? options->clock : km_clock_system();
    channel->loop = loop;
    channel->max_message_bytes = options->max_message_bytes != 0
                                     ? options->max_message_bytes
                                     : KM_RPC_MESSAGE_BYTES_MIN;
    channel->connect_timeout_ms = options->connect_timeout_ms > 0
                                      ? options->connect_timeout_ms
                                      : CONNECT_TIMEOUT_MS;
    channel->turn.run = on_turn;
    channel->again.run = on_again;
    channel->timer.fire = on_timer;
    km_list_init(&channel->waiting);
    km_list_init(&channel->ended);
    km_list_init(&channel->links);
    channel->backoff_ms = BACKOFF_MS_MIN;
    channel->random = km_hash_random_seed() | 1;
}

kama_status km_channel_new(struct km_loop *loop,
                           const struct km_channel_options *options,
                           struct km_channel **ret_channel)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_address address;
    kama_status status = km_address_split(options->address, &address);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_channel *channel = km_mem_zalloc(mem, 1, sizeof *channel);
    if (channel == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    channel->mem = mem;
    init_fields(channel, loop, options);
    status = copy_texts(channel, options);
    if (status == KAMA_OK) {
        status = km_h2_loop_cache_new(mem, H2_CACHE_BYTES, &channel->cache);
    }
    if (status != KAMA_OK) {
        free_channel(channel);
        return status;
    }
    *ret_channel = channel;
    return KAMA_OK;
}

static void cancel_all(struct km_list *calls)
{
    struct km_channel_call *call;
    while ((call = first_of(calls)) != NULL) {
        km_channel_call_end(call, KAMA_ERR_CANCELLED, -1,
                            "the channel was closed");
    }
}

void km_channel_close(struct km_channel *channel, void (*on_freed)(void *arg),
                      void *arg)
{
    KM_ASSERT(!channel->closing);
    channel->closing = true;
    channel->on_freed = on_freed;
    channel->on_freed_arg = arg;
    km_loop_timer_disarm(channel->loop, &channel->timer);
    cancel_all(&channel->waiting);
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &channel->links) {
        struct km_channel_link *link =
            KM_CONTAINER_OF(node, struct km_channel_link, node);
        cancel_all(&link->calls);
        km_channel_link_close(link);
    }
    km_channel_wake(channel);
}
