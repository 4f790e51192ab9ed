/* SPDX-License-Identifier: MIT */
/*
 * The life of a channel. Closing it only begins its end: the links go first,
 * one after the other, and the turn that finds none left frees the channel.
 */
#include "rpc/channel.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "net/address.h"
#include "rpc/channel_call_life.h"

#define CONNECT_TIMEOUT_MS 5000
#define BACKOFF_MS_MIN 100
#define BACKOFF_MS_MAX 3000
#define KEEPALIVE_TIMEOUT_MS 2000
#define H2_CACHE_BYTES (64u << 10)

/* Headers of requests refer to both texts, which is why they live as long as
 * the channel. */
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

static int64_t or_default(int64_t ms, int64_t default_ms)
{
    return ms > 0 ? ms : default_ms;
}

static void init_times(struct km_channel *channel,
                       const struct km_channel_options *options)
{
    channel->connect_timeout_ms =
        or_default(options->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    channel->backoff_ms_min =
        or_default(options->backoff_ms_min, BACKOFF_MS_MIN);
    channel->backoff_ms_max =
        or_default(options->backoff_ms_max, BACKOFF_MS_MAX);
    if (channel->backoff_ms_max < channel->backoff_ms_min) {
        channel->backoff_ms_max = channel->backoff_ms_min;
    }
    channel->keepalive_ms = or_default(options->keepalive_ms, 0);
    channel->keepalive_timeout_ms =
        or_default(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS);
    channel->keepalive = options->keepalive;
}

static void init_fields(struct km_channel *channel, struct km_loop *loop,
                        const struct km_channel_options *options)
{
    channel->clock =
        options->clock != NULL ? options->clock : km_clock_system();
    channel->loop = loop;
    channel->ops = options->ops;
    channel->arg = options->arg;
    channel->max_message_bytes = options->max_message_bytes != 0
                                     ? options->max_message_bytes
                                     : KM_RPC_MESSAGE_BYTES_MIN;
    init_times(channel, options);
    km_channel_turn_init(channel);
}

static kama_status init_cache(struct km_channel *channel,
                              struct km_h2_loop_cache *loop_cache)
{
    channel->cache = loop_cache;
    if (loop_cache != NULL) {
        return KAMA_OK;
    }
    kama_status status =
        km_h2_loop_cache_new(channel->mem, H2_CACHE_BYTES, &channel->own_cache);
    channel->cache = channel->own_cache;
    return status;
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
        status = init_cache(channel, options->loop_cache);
    }
    if (status != KAMA_OK) {
        km_channel_free(channel);
        return status;
    }
    *ret_channel = channel;
    return KAMA_OK;
}

/* Each call leaves its list when it ends; the turn delivers its on_end. */
static void cancel_all(struct km_list *calls)
{
    struct km_list *node;
    while ((node = km_list_first(calls)) != NULL) {
        km_channel_call_end(KM_CONTAINER_OF(node, struct km_channel_call, node),
                            KAMA_ERR_CANCELLED, KM_CHANNEL_NO_CODE,
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

const char *km_channel_local_address(const struct km_channel *channel)
{
    return channel->link != NULL &&
                   channel->link->state == KM_CHANNEL_LINK_READY
               ? channel->local_address
               : NULL;
}
