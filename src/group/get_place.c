/* SPDX-License-Identifier: MIT */
/* Without a loader, a miss would be a lie unless this node owns the key: then the
 * entry was lost when the slot moved, or was never there. */
#include "group/get_place.h"

#include "group/sentence.h"

static bool is_here(const struct km_owner_answer *owner)
{
    return owner->place == KM_OWNER_HERE ||
           owner->place == KM_OWNER_HERE_UNSETTLED;
}

struct km_peer *km_get_find_next(const kama_group *group, kama_bytes key,
                                 const struct km_peer *but)
{
    const struct km_owner *owner = &group->owner;
    return km_group_is_synced(group) && owner->ops->next != NULL
               ? owner->ops->next(owner->arg, km_group_slot(group, key), but)
               : NULL;
}

static struct km_peer *find_earlier(const kama_group *group, kama_bytes key)
{
    const struct km_owner *owner = &group->owner;
    return owner->ops->earlier != NULL
               ? owner->ops->earlier(owner->arg, km_group_slot(group, key))
               : NULL;
}

void km_get_find_earlier(const struct km_get_op *op, kama_bytes key,
                         struct km_owner_answer *owner)
{
    const kama_group *group = op->group;
    if (!is_here(owner) || !km_group_is_synced(group) ||
        (op->flags & KAMA_LOCAL_ONLY) != 0) {
        return;
    }
    owner->peer = find_earlier(group, key);
    if (owner->peer == NULL && group->config.loader == NULL) {
        owner->peer = km_get_find_next(group, key, NULL);
    }
}

enum km_load_place km_get_place(const struct km_get_op *op,
                                const struct km_pool *pool,
                                const struct km_owner_answer *owner)
{
    if (owner->place == KM_OWNER_PEER && op->origin == KAMA_ORIGIN_CLIENT &&
        (op->flags & KAMA_LOCAL_ONLY) == 0) {
        return KM_LOAD_AT_PEER;
    }
    if (is_here(owner) && owner->peer != NULL) {
        return KM_LOAD_AT_EARLIER;
    }
    return pool != NULL ? KM_LOAD_ON_POOL : KM_LOAD_ON_CALLER;
}

void km_get_decide(struct km_load *load, const struct km_owner_answer *owner)
{
    load->fill.adoption = owner->adoption;
    load->fill.purpose =
        km_get_purpose(load->group, km_load_key_bytes(load), owner);
    if (km_load_asks_first(load->place)) {
        load->peer = owner->peer;
        atomic_store(&load->asks, load->place == KM_LOAD_AT_PEER
                                      ? KM_LOAD_ASKS_PEER
                                      : KM_LOAD_ASKS_EARLIER);
    }
}

kama_status km_get_without_loader(const struct km_get_op *op, kama_bytes key,
                                  const struct km_owner_answer *owner)
{
    switch (owner->place) {
    case KM_OWNER_HERE:
    case KM_OWNER_HERE_UNSETTLED:
        return KAMA_MISS;
    case KM_OWNER_PEER:
        return op->origin == KAMA_ORIGIN_CLIENT
                   ? KAMA_WOULD_LOAD
                   : km_group_fail_key(op->group, KAMA_ERR_PEER, key,
                                       "another node owns the key");
    case KM_OWNER_NOBODY:
        break;
    }
    return km_group_fail_key(op->group, KAMA_ERR_PEER, key, "%s", owner->text);
}
