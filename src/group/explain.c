/* SPDX-License-Identifier: MIT */
/* The rules themselves are not repeated here: the place of a load and the answer
 * without a loader come from the functions that a get asks. */
#include "group/explain.h"

#include "base/text.h"
#include "group/checks.h"
#include "group/get_place.h"
#include "group/peek_op.h"
#include "group/sync_apply.h"

static void say(struct km_explain *e, const char *sentence)
{
    (void)km_text_printf(e->reason, sizeof e->reason, "%s", sentence);
}

/* A group that is not synchronized gives no stamps, also to values that were set. */
static enum km_explain_kind kind_of(const kama_group *group,
                                    struct km_version stamp)
{
    if (!km_group_is_synced(group)) {
        return KM_EXPLAIN_UNKNOWN;
    }
    return km_version_is_set(stamp) ? KM_EXPLAIN_EXPLICIT : KM_EXPLAIN_FILLED;
}

/* Describes the entry in memory. Returns whether it answers a get. */
static bool explain_memory(kama_group *group, kama_bytes key, uint64_t hash,
                           struct km_explain *e)
{
    struct km_store_look look;
    km_store_look(group->store, hash, key, &look);
    e->presence = look.presence;
    e->why = look.why;
    e->version = look.version;
    if (look.presence != KM_STORE_VALUE && look.presence != KM_STORE_NEGATIVE) {
        return false;
    }
    e->value_bytes = look.value_bytes;
    e->stamp = look.stamp;
    e->kind = kind_of(group, look.stamp);
    e->ttl_ms = km_peek_left_ms(group, look.expires_at);
    e->get =
        look.presence == KM_STORE_VALUE ? KM_EXPLAIN_HIT : KM_EXPLAIN_NEGATIVE;
    return true;
}

/* Writes which load runs. Returns whether a get would join it. */
static bool explain_load(kama_group *group, kama_bytes key, uint64_t hash,
                         const struct km_owner_answer *owner,
                         struct km_explain *e)
{
    struct km_flight_look look;
    const struct km_load_key wanted = {.key = key,
                                       .now = km_group_now(group),
                                       .origin = KAMA_ORIGIN_CLIENT,
                                       .purpose =
                                           km_get_purpose(group, key, owner)};
    km_flight_look(&group->flight, hash, &wanted, &look);
    e->loading = look.works;
    e->waiters = look.waiters;
    if (look.works && !look.joinable) {
        say(e, "the load that runs is too old to be joined");
    }
    return look.joinable;
}

/* Why a load on this node is not the usual one; NULL: it is. */
static const char *why_here(const kama_group *group, kama_bytes key,
                            const struct km_owner_answer *owner)
{
    if (km_group_is_synced(group) && !km_group_keeps_fills(group, key)) {
        return "the value is not kept, because other nodes hold the key, and "
               "its owner does not answer this node";
    }
    if (km_group_is_synced(group) && owner->place != KM_OWNER_NOBODY) {
        return owner->place == KM_OWNER_PEER
                   ? "the owner of the key does not answer this node"
                   : NULL;
    }
    switch (owner->place) {
    case KM_OWNER_HERE:
        break;
    case KM_OWNER_HERE_UNSETTLED:
        return "the value is not kept, because another node may still act as "
               "the owner of the key";
    case KM_OWNER_PEER:
        return "the value is not kept, because the owner does not answer this "
               "node";
    case KM_OWNER_NOBODY:
        return owner->text;
    }
    return NULL;
}

/* Describes a get that neither memory nor the owner answers. */
static void explain_here(kama_group *group, kama_bytes key,
                         const struct km_owner_answer *owner,
                         struct km_explain *e)
{
    const struct km_get_op op = {.group = group, .origin = KAMA_ORIGIN_CLIENT};
    const char *why = why_here(group, key, owner);
    if (group->config.loader != NULL) {
        e->get = KM_EXPLAIN_LOAD;
    } else if (owner->place == KM_OWNER_PEER) {
        e->get = KM_EXPLAIN_REFUSE;
        e->get_status = KAMA_ERR_PEER;
        why = "the owner does not answer this node, which has no loader";
    } else {
        kama_status st = km_get_without_loader(&op, key, owner);
        e->get = st == KAMA_MISS ? KM_EXPLAIN_MISS : KM_EXPLAIN_REFUSE;
        e->get_status = st == KAMA_MISS ? KAMA_OK : st;
        why = st == KAMA_MISS ? NULL : why;
    }
    if (why != NULL) {
        say(e, why);
    }
}

/* Describes a get that asks a node. Returns false if that one does not answer. */
static bool explain_fill(const kama_group *group, const struct km_peer *peer,
                         const char *why, struct km_explain *e)
{
    const struct km_owner *source = &group->owner;
    if (!source->ops->answers(source->arg, peer)) {
        return false;
    }
    e->get = KM_EXPLAIN_FILL;
    (void)km_text_printf(e->peer, sizeof e->peer, "%s",
                         source->ops->address(source->arg, peer));
    say(e, why);
    return true;
}

/* R8. Describes a get whose owner does not answer, on a node without a loader. */
static bool explain_next(kama_group *group, kama_bytes key,
                         const struct km_owner_answer *owner,
                         struct km_explain *e)
{
    struct km_peer *next =
        group->config.loader == NULL && km_group_is_synced(group)
            ? km_get_find_next(group, key, owner->peer)
            : NULL;
    if (next == NULL) {
        return false;
    }
    bool asks = explain_fill(group, next,
                             "the owner of the key does not answer this node; "
                             "if this one does not have it, the get fails",
                             e);
    group->owner.ops->release(group->owner.arg, next);
    return asks;
}

/* Describes a get that asks another node first. Returns false if there is none. The owner
 * itself may do so (R9): its peer is filled in. */
static bool explain_peer(kama_group *group, kama_bytes key,
                         struct km_owner_answer *owner, struct km_explain *e)
{
    const struct km_get_op op = {.group = group, .origin = KAMA_ORIGIN_CLIENT};
    km_get_find_earlier(&op, key, owner);
    switch (km_get_place(&op, NULL, owner)) {
    case KM_LOAD_AT_PEER:
        return explain_fill(group, owner->peer, "", e) ||
               explain_next(group, key, owner, e);
    case KM_LOAD_AT_EARLIER:
        return explain_fill(group, owner->peer,
                            group->config.loader != NULL
                                ? "it has owned the key until lately; if it "
                                  "does not have it, the key is loaded here"
                                : "it may have the key; if not, there is no "
                                  "value and no loader",
                            e);
    default:
        return false;
    }
}

/* Describes a get that memory does not answer. */
static void explain_miss(kama_group *group, kama_bytes key, uint64_t hash,
                         struct km_owner_answer *owner, struct km_explain *e)
{
    if (explain_load(group, key, hash, owner, e)) {
        e->get = KM_EXPLAIN_JOIN;
    } else if (!explain_peer(group, key, owner, e)) {
        explain_here(group, key, owner, e);
    }
}

kama_status km_group_explain(kama_group *group, kama_bytes key,
                             struct km_explain *ret_explain)
{
    struct km_owner_answer owner;
    kama_status st = km_group_check_key(key);
    if (st != KAMA_OK) {
        return st;
    }
    *ret_explain = (struct km_explain){.get_status = KAMA_OK};
    uint64_t hash = km_store_hash(group->store, key);
    bool answered = explain_memory(group, key, hash, ret_explain);
    km_group_ask(group, key, &owner);
    if (answered) {
        (void)explain_load(group, key, hash, &owner, ret_explain);
        ret_explain->reason[0] = '\0';
    } else {
        explain_miss(group, key, hash, &owner, ret_explain);
    }
    if (owner.peer != NULL) {
        group->owner.ops->release(group->owner.arg, owner.peer);
    }
    return KAMA_OK;
}
