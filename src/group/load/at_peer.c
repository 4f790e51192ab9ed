/* SPDX-License-Identifier: MIT */
/* The answer of the owner may come on any thread, also before the call that has
 * asked for it has returned. Everything that it needs is in the load, which
 * the runner's reference keeps. */
#include "group/load/at_peer.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "group/get_place.h"
#include "group/load/answer.h"
#include "group/load/run.h"
#include "group/sentence.h"
#include "group/sync_apply.h"
#include "group/trace.h"

/* Makes an item of the owner's answer, which says how long the value may live. */
static kama_value *item_of(struct km_load *load,
                           const struct km_owner_reply *reply)
{
    kama_group *group = load->group;
    struct km_item_spec spec = {.key = km_load_key_bytes(load),
                                .value = reply->value,
                                .version = reply->version,
                                .stamp = reply->stamp,
                                .etag_key = reply->etag_key};
    if (reply->ttl_ms != KAMA_TTL_FOREVER) {
        spec.expires_at = km_ns_after_ms(km_group_now(group),
                                         reply->ttl_ms > 0 ? reply->ttl_ms : 1);
    }
    return km_store_item_now(group->store, &spec);
}

/* Returns the status that callers get for the status of an owner: a normal
 * outcome that no get has is an error of the peer. */
static kama_status map_status(kama_status status)
{
    return status == KAMA_OK || status == KAMA_MISS || (int)status < 0
               ? status
               : KAMA_ERR_PEER;
}

/* Of a time that the owner has measured, so much is the most by which its clock may
 * have run faster than the one of this node. */
#define DRIFT_OF(ns) ((ns) / 1024)

/* Returns a time of this node at which the owner's answer was current. */
static km_ns current_at(const struct km_load *load,
                        const struct km_owner_reply *reply)
{
    km_ns current_ns = reply->current_ns - DRIFT_OF(reply->current_ns);
    return current_ns < KM_NS_NEVER - load->sent_at ? load->sent_at + current_ns
                                                    : KM_NS_NEVER;
}

/* R8, the requester: returns whether the answer may be kept, if no mutation has
 * overtaken the fill. The owner has looked at the key when it had all that this node
 * needed (FillRequest.needs). An explicit value must not be ahead of its origin's
 * stream: if that origin died now, no other node would ever hear of the value. A node that
 * does not hold the key keeps nothing (R17). The clock
 * is merged in any case, because a caller who has seen the value may set a newer one. */
static bool may_keep(const struct km_load *load,
                     const struct km_owner_reply *reply)
{
    const struct km_group_sync *sync = &load->group->sync;
    if (!km_group_is_synced(load->group)) {
        return false;
    }
    bool keeps = load->fill.purpose == KM_FILL_TO_KEEP && reply->current;
    return !km_version_is_set(reply->stamp)
               ? keeps
               : sync->ops->merge(sync->arg, reply->stamp.hlc) && keeps &&
                     sync->ops->may_keep(sync->arg, reply->stamp,
                                         reply->view_id);
}

/* Returns the item that the store shall keep of an answer, a reference, or NULL. A value
 * that is longer than this node keeps any is for the callers only. */
static kama_value *kept(struct km_load *load,
                        const struct km_owner_reply *reply,
                        const struct km_load_outcome *outcome)
{
    const struct km_load_keep keep = {
        .absent_ttl_ms = reply->ttl_ms > 0 ? reply->ttl_ms : 0};
    bool is_value = outcome->status == KAMA_OK;
    if ((int)outcome->status < 0 || !may_keep(load, reply)) {
        return NULL;
    }
    if (is_value) {
        return reply->value.len <= load->group->config.max_value_bytes
                   ? kama_value_ref(outcome->value)
                   : NULL;
    }
    return reply->ttl_ms != 0 ? km_load_absence(load, &keep) : NULL;
}

/* Ends the load with the owner's answer. */
static void complete(struct km_load *load, const struct km_owner_reply *reply)
{
    struct km_load_outcome o = {.status = map_status(reply->status),
                                .verdict = km_group_is_synced(load->group)
                                               ? KM_LOAD_FOR_ALL
                                               : KM_LOAD_FOR_EARLIER,
                                .from_owner = true,
                                .current_at = current_at(load, reply),
                                .sentence = reply->text};
    char own[KM_ERROR_BYTES_MAX];
    if (o.status == KAMA_OK) {
        o.value = item_of(load, reply);
        o.status = o.value != NULL ? KAMA_OK : KAMA_ERR_NO_MEMORY;
    }
    o.stored = kept(load, reply, &o);
    if ((int)o.status < 0 && o.sentence[0] == '\0') {
        km_group_sentence(load->group, km_load_key_bytes(load), own,
                          "the owner answered %s", kama_status_name(o.status));
        o.sentence = own;
    }
    (void)km_load_end(load, &o);
    kama_value_unref(o.stored);
    kama_value_unref(o.value);
}

/* Goes on with the loader of this node. */
static void load_here(struct km_load *load)
{
    kama_group *group = load->group;
    km_ns until =
        km_ns_after_ms(km_group_now(group), group->config.loader_timeout_ms);
    load->loader_deadline =
        until < load->call.deadline ? until : load->call.deadline;
    km_load_ref(load);
    kama_status st = km_load_start_on_pool(load, km_group_pool(group));
    if (st != KAMA_OK) {
        km_load_fail(load, st, km_last_error());
    }
}

void km_load_send_fills(kama_group *group, struct km_list *fills)
{
    if (!km_list_empty(fills)) {
        group->owner.ops->fill(group->owner.arg, fills);
    }
}

/* Sends the fill of a load, which may have ended when this returns. */
static void send_alone(struct km_load *load)
{
    kama_group *group = load->group;
    struct km_list alone;
    km_list_init(&alone);
    km_list_push_back(&alone, &load->owner_fill.node);
    group->owner.ops->fill(group->owner.arg, &alone);
}

static void fail_without_loader(struct km_load *load, const char *why)
{
    char sentence[KM_ERROR_BYTES_MAX];
    atomic_store(&load->asks, KM_LOAD_ASKS_AFTER_PEER);
    km_group_sentence(load->group, km_load_key_bytes(load), sentence,
                      "try again: this node has no loader, and %s", why);
    km_load_fail(load, KAMA_ERR_PEER, sentence);
}

/* R8: asks the node that ranks next, which may have the value in memory, with the same
 * fill. The sink has the owner's sentence meanwhile, because there is no loader that would
 * need it. Returns false if there is nobody to ask; otherwise the load may be gone. */
static bool ask_next(struct km_load *load, const struct km_owner_reply *reply)
{
    kama_group *group = load->group;
    struct km_owner_fill *fill = &load->owner_fill;
    struct km_peer *peer = km_get_find_next(group, fill->key, fill->peer);
    if (peer == NULL) {
        return false;
    }
    (void)km_text_printf(load->sink.sentence, sizeof load->sink.sentence, "%s",
                         reply->text);
    load->sent_at = km_group_now(group);
    fill->peer = peer;
    fill->effort = KM_FILL_PEEKS;
    fill->deadline = km_ns_after_ms(load->sent_at, KM_EARLIER_WAIT_MS);
    if (fill->deadline > load->call.deadline) {
        fill->deadline = load->call.deadline;
    }
    send_alone(load);
    return true;
}

/* Does without the owner, or fails if there is no loader. Returns whether another node is
 * asked. */
static bool go_on_here(struct km_load *load, const struct km_owner_reply *reply)
{
    km_trace_owner_failed(load, reply->text);
    if (load->group->config.loader != NULL) {
        atomic_store(&load->asks, KM_LOAD_ASKS_AFTER_PEER);
        load_here(load);
        return false;
    }
    if (ask_next(load, reply)) {
        return true;
    }
    fail_without_loader(load, reply->text);
    return false;
}

/* R9: returns whether the owner before had the value in memory, or remembers that there
 * is none. */
static bool has_kept(const struct km_owner_reply *reply)
{
    return reply->outcome == KM_OWNER_ANSWERED &&
           (reply->status == KAMA_OK ||
            (reply->status == KAMA_MISS && reply->ttl_ms != 0));
}

/* Does what the owner of a key does that misses. */
static void go_on_as_owner(struct km_load *load)
{
    struct km_load_outcome miss = {.status = KAMA_MISS, .sentence = ""};
    atomic_store(&load->asks, KM_LOAD_ASKS_LOADER);
    if (load->group->config.loader != NULL) {
        load_here(load);
    } else {
        (void)km_load_end(load, &miss);
    }
}

/* Returns whether another node is asked now: then the load may be gone. */
static bool take_reply(struct km_load *load, const struct km_owner_reply *reply)
{
    bool peeks = load->owner_fill.effort == KM_FILL_PEEKS;
    if (peeks ? has_kept(reply) : reply->outcome == KM_OWNER_ANSWERED) {
        complete(load, reply);
    } else if (load->place == KM_LOAD_AT_EARLIER) {
        go_on_as_owner(load);
    } else if (peeks) {
        fail_without_loader(load, load->sink.sentence);
    } else {
        return go_on_here(load, reply);
    }
    return false;
}

/* The reference and the place in the gate are the next question's, if there is one. */
static void on_filled(struct km_owner_fill *fill,
                      const struct km_owner_reply *reply)
{
    struct km_load *load = KM_CONTAINER_OF(fill, struct km_load, owner_fill);
    kama_group *group = load->group;
    KM_ASSERT(km_load_asks_first(load->place));
    if (km_flight_ended(&load->call) || !take_reply(load, reply)) {
        km_load_unref(load);
        km_gate_leave(&group->gate);
    }
}

/* Returns for how long the other node is waited for. */
static km_ns answer_by(const struct km_load *load)
{
    int64_t loader_ms = load->group->config.loader_timeout_ms;
    return load->call.deadline - (km_ns)loader_ms * KM_NS_PER_MS;
}

kama_status km_load_start_at_peer(struct km_load *load, struct km_list *fills)
{
    kama_group *group = load->group;
    KM_ASSERT(km_load_asks_first(load->place) && load->peer != NULL);
    if (!km_gate_enter(&group->gate)) {
        km_load_unref(load);
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    load->owner_fill = (struct km_owner_fill){
        .peer = load->peer,
        .group = group->name,
        .key = km_load_key_bytes(load),
        .effort =
            load->place == KM_LOAD_AT_PEER ? KM_FILL_LOADS : KM_FILL_PEEKS,
        .floor = load->fill.floor,
        .deadline = answer_by(load),
        .traceparent = load->request.traceparent,
        .done = on_filled};
    load->peer = NULL;
    load->sent_at = km_group_now(group);
    if (load->place == KM_LOAD_AT_PEER) {
        km_trace_owner_asked(load);
    }
    if (fills != NULL) {
        km_list_push_back(fills, &load->owner_fill.node);
    } else {
        send_alone(load);
    }
    return KAMA_OK;
}
