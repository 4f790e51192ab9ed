/* SPDX-License-Identifier: MIT */
/* The phase is read first: the address has been written before it left
 * STARTING, under the lock of the environment. */
#include "services/alone.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "group/owner.h"
#include "services/env.h"
#include "view/view.h"

#define PPM 1000000

void km_alone_init(struct km_alone *alone)
{
    *alone = (struct km_alone){.address = "", .cluster = "default"};
    alone->weight = 1;
    km_hash_random_fill(alone->id, sizeof alone->id);
}

static const char *advertised(const struct km_alone *alone)
{
    return alone->advertise != NULL ? alone->advertise : alone->address;
}

/* Writes the only member. Returns false if the node does not listen yet. */
static bool read_member(struct km_service_env *env,
                        struct km_cluster_member *ret_member)
{
    const struct km_alone *alone = &env->alone;
    enum km_service_phase phase = km_service_env_phase(env);
    if (phase == KM_SERVICE_STARTING) {
        return false;
    }
    *ret_member = (struct km_cluster_member){
        .address = advertised(alone),
        .admin = alone->admin != NULL ? alone->admin : "",
        .version = kama_version(),
        .state =
            phase == KM_SERVICE_SERVING ? KM_MEMBER_ACTIVE : KM_MEMBER_LEAVING,
        .labels = alone->labels,
        .label_count = alone->label_count,
        .weight = alone->weight,
        .share_ppm = PPM,
        .self = true,
        .reach = KM_CLUSTER_REACH_SELF,
        .since_ms = km_service_env_uptime_ms(env),
    };
    memcpy(ret_member->id, alone->id, sizeof alone->id);
    return true;
}

/* The member is not registered, so that there is no count of registrations. */
static uint64_t view_id_of(const struct km_cluster_member *shown)
{
    struct km_member member = {.address = shown->address,
                               .state = shown->state,
                               .weight = shown->weight};
    memcpy(member.id.bytes, shown->id, sizeof member.id.bytes);
    return km_view_id(&member, 1, 0);
}

void km_alone_view(struct km_service_env *env, km_cluster_view_fn cb, void *arg)
{
    struct km_cluster_member member;
    struct km_cluster_view view = {
        .cluster = env->alone.cluster,
        .service = env->service,
        .settled = true,
        .registry_up = true,
        .members = &member,
    };
    if (read_member(env, &member)) {
        view.count = 1;
        view.view_id = view_id_of(&member);
    }
    cb(arg, &view);
}

void km_alone_node(struct km_service_env *env, km_cluster_node_fn cb, void *arg)
{
    static const char *const listen[] = {"listen"};
    struct km_cluster_member member;
    struct km_cluster_node node = {
        .listen = "",
        .advertise = "",
        .admin = "",
        .cluster = env->alone.cluster,
        .service = env->service,
        .etcd = "",
        .registration = "none",
        .settled = true,
        .missing = listen,
        .missing_count = 1,
        .degraded = "",
        .sync_differs = "",
    };
    memcpy(node.id, env->alone.id, sizeof node.id);
    if (read_member(env, &member)) {
        node.listen = env->alone.address;
        node.advertise = member.address;
        node.admin = member.admin;
        node.view_id = view_id_of(&member);
        node.ready = member.state == KM_MEMBER_ACTIVE;
        node.missing_count = node.ready ? 0 : 1;
    }
    cb(arg, &node);
}

void km_alone_owner(struct km_service_env *env, const char *group,
                    kama_bytes key, km_cluster_owner_fn cb, void *arg)
{
    struct km_cluster_member member;
    const char *addresses[1];
    struct km_cluster_owner_info info = {
        .addresses = addresses,
        .slot = km_owner_slot(km_owner_seed(group), key),
        .self = true,
    };
    memcpy(info.owner_id, env->alone.id, sizeof info.owner_id);
    if (read_member(env, &member)) {
        addresses[0] = member.address;
        info.count = 1;
        info.view_id = view_id_of(&member);
    }
    cb(arg, &info);
}

/* The only thing that changes is the phase, which moves in one direction. */
uint64_t km_alone_version(struct km_service_env *env)
{
    return (uint64_t)km_service_env_phase(env) + 1;
}
