/* SPDX-License-Identifier: MIT */
/* The public functions that show the cluster. The answers of services/cluster.h
 * are put into the public structures, and handed to the application through the
 * frames of base/boundary.h. */
#include "base/boundary.h"
#include "base/bytes.h"
#include "base/status.h"
#include "group/checks.h"
#include "group/group.h"
#include "node/node.h"
#include "node/node_member.h"
#include "services/cluster.h"

static kama_status check_callback(const char *function, bool given)
{
    return given ? KAMA_OK
                 : km_fail(KAMA_ERR_INVALID, "%s: no callback was given",
                           function);
}

/* -- members ------------------------------------------------------------- */

struct member_call {
    kama_member_fn fn;
    void *arg;
};

static KM_BOUNDARY_FUNCTION void call_member(const struct member_call *call,
                                             const kama_member *member)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of kama_node_members", NULL, no_key);
    call->fn(call->arg, member);
    KM_BOUNDARY_END();
}

static void tell_members(void *arg, const struct km_cluster_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        kama_member member;
        km_node_member_show(&view->members[i], &member);
        call_member(arg, &member);
    }
}

kama_status kama_node_members(kama_node *node, kama_member_fn fn, void *arg)
{
    struct member_call call = {.fn = fn, .arg = arg};
    kama_status status = check_callback("kama_node_members", fn != NULL);
    if (status == KAMA_OK) {
        km_cluster_view(&node->services, tell_members, &call);
    }
    return status;
}

/* -- the owner of a key -------------------------------------------------- */

struct owner_call {
    kama_owner_fn fn;
    void *arg;
};

static KM_BOUNDARY_FUNCTION void call_owner(const struct owner_call *call,
                                            const kama_owner *owner)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of kama_node_owner", NULL, no_key);
    call->fn(call->arg, owner);
    KM_BOUNDARY_END();
}

static void tell_owner(void *arg, const struct km_cluster_owner_info *info)
{
    kama_owner owner;
    km_node_owner_show(info, &owner);
    call_owner(arg, &owner);
}

kama_status kama_node_owner(kama_node *node, const char *group, kama_bytes key,
                            kama_owner_fn fn, void *arg)
{
    struct owner_call call = {.fn = fn, .arg = arg};
    kama_status status =
        check_callback("kama_node_owner", fn != NULL && group != NULL);
    if (status == KAMA_OK) {
        status = km_group_check_key(key);
    }
    if (status != KAMA_OK) {
        return status;
    }
    if (km_registry_find(&node->registry, KAMA_STR(group)) == NULL) {
        char shown[80];
        return km_fail(KAMA_ERR_NO_GROUP,
                       "there is no group \"%s\" on this node",
                       km_bytes_quote(KAMA_STR(group), shown, sizeof shown));
    }
    km_cluster_owner(&node->services, group, key, tell_owner, &call);
    return KAMA_OK;
}

/* -- the node ------------------------------------------------------------ */

struct info_call {
    kama_node *node;
    kama_node_info_fn fn;
    void *arg;
};

static KM_BOUNDARY_FUNCTION void call_info(const struct info_call *call,
                                           const kama_node_info *info)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of kama_node_describe", NULL, no_key);
    call->fn(call->arg, info);
    KM_BOUNDARY_END();
}

static void tell_info(void *arg, const struct km_cluster_node *node)
{
    const struct info_call *call = arg;
    kama_node_info info;
    km_node_info_show(node, &call->node->services, &info);
    call_info(call, &info);
}

kama_status kama_node_describe(kama_node *node, kama_node_info_fn fn, void *arg)
{
    struct info_call call = {.node = node, .fn = fn, .arg = arg};
    kama_status status = check_callback("kama_node_describe", fn != NULL);
    if (status == KAMA_OK) {
        km_cluster_node(&node->services, tell_info, &call);
    }
    return status;
}

kama_status kama_node_wait_ready(kama_node *node, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "kama_node_wait_ready: timeout_ms: %lld is negative",
                       (long long)timeout_ms);
    }
    if (km_pool_is_forked(node->pool)) {
        return km_fail(KAMA_ERR_STATE,
                       "the node belongs to the parent process; a forked "
                       "child makes one of its own");
    }
    if (km_node_is_own_thread(node)) {
        return km_fail(KAMA_ERR_WOULD_DEADLOCK,
                       "kama_node_wait_ready was called on a thread of the "
                       "node, for which it would have to wait");
    }
    km_ns now = km_clock_mono(node->clock);
    return km_cluster_wait_ready(&node->services,
                                 km_ns_after_ms(now, timeout_ms));
}
