/* SPDX-License-Identifier: MIT */
#include "node/sync_feed.h"

#include "base/status.h"
#include "node/node.h"
#include "services/watch_group.h"
#include "sync/feed.h"
#include "wire/msg/msg.h"

static void grew(void *arg)
{
    kama_node *node = arg;
    km_service_watches_notify(&node->services);
}

kama_status km_node_sync_feed_new(kama_node *node)
{
    const struct km_sync_feed_options options = {.mem = &node->mem,
                                                 .clock = node->clock,
                                                 .log = node->sync_log,
                                                 .grew = grew,
                                                 .arg = node};
    return km_sync_feed_new(&options, &node->sync_feed);
}

/* -- the services ------------------------------------------------------------ */

static kama_status begin(void *arg, const char *group,
                         struct km_feed_place *ret_place)
{
    kama_node *node = arg;
    uint32_t number = km_sync_log_number(node->sync_log, group);
    if (number == UINT32_MAX) {
        return km_fail(KAMA_ERR_STATE,
                       "group %s cannot be watched: its mutations do not "
                       "travel, because it does not have sync=broadcast",
                       group);
    }
    *ret_place = (struct km_feed_place){
        .feed = km_sync_feed_id(node->sync_feed), .number = number};
    return km_sync_feed_watch(node->sync_feed, &ret_place->position);
}

static void end(void *arg)
{
    km_sync_feed_unwatch(((kama_node *)arg)->sync_feed);
}

static bool has(void *arg, uint64_t position)
{
    return km_sync_feed_has(((kama_node *)arg)->sync_feed, position);
}

/* The numbers of the wire. */
static int32_t operation_of(unsigned kind)
{
    static const int32_t numbers[] = {
        [KM_SYNC_SET] = KM_MSG_OPERATION_SET,
        [KM_SYNC_DROP] = KM_MSG_OPERATION_DROP,
        [KM_SYNC_DELETE] = KM_MSG_OPERATION_DELETE,
        [KM_SYNC_EXPIRE] = KM_MSG_OPERATION_EXPIRE,
        [KM_SYNC_CLEAR] = KM_MSG_OPERATION_CLEAR,
        [KM_SYNC_FEED_GAP] = KM_MSG_OPERATION_UNSPECIFIED,
    };
    return numbers[kind];
}

static enum km_feed_result read_event(void *arg, struct km_feed_place *place,
                                      struct km_feed_event *ret_event)
{
    kama_node *node = arg;
    struct km_sync_feed_event event;
    switch (km_sync_feed_read(node->sync_feed, place->number, &place->position,
                              &event)) {
    case KM_SYNC_FEED_NONE:
        return KM_FEED_NONE;
    case KM_SYNC_FEED_MORE:
        return KM_FEED_MORE;
    case KM_SYNC_FEED_LOST:
        return KM_FEED_LOST;
    case KM_SYNC_FEED_EVENT:
        break;
    }
    ret_event->operation = operation_of(event.kind);
    ret_event->version = event.version;
    ret_event->key_len = event.key_len;
    memcpy(ret_event->key, event.key, event.key_len);
    return KM_FEED_EVENT;
}

const struct km_service_feed_ops km_node_feed_ops = {
    .begin = begin,
    .end = end,
    .has = has,
    .read = read_event,
};
