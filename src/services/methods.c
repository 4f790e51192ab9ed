/* SPDX-License-Identifier: MIT */
/* Rows are in the order of the .proto files. The server finds them with a hash
 * of the path, so their number and order cost nothing. */
#include "services/methods.h"

#include "services/clear.h"
#include "services/doctor.h"
#include "services/explain.h"
#include "services/get.h"
#include "services/health.h"
#include "services/hot_keys.h"
#include "services/many.h"
#include "services/members.h"
#include "services/mget.h"
#include "services/one_key.h"
#include "services/peer_fill.h"
#include "services/peer_sync.h"
#include "services/reflection.h"
#include "services/resize.h"
#include "services/scan.h"
#include "services/stats.h"
#include "services/traceparent.h"
#include "services/v1.h"
#include "services/v2.h"
#include "services/watch_group.h"

#include <stddef.h>

#define V1 "/kama.v1.KamaCacheService/"
#define V2 "/kama.v2.Cache/"
#define PEER "/kama.peer.v1.Peer/"
#define HEALTH "/grpc.health.v1.Health/"
#define REFLECT "/grpc.reflection.v1.ServerReflection/"
#define REFLECT_ALPHA "/grpc.reflection.v1alpha.ServerReflection/"

/* One row each for methods that share handlers. UNARY replies in on_message. */
#define UNARY(method, handler)                                                 \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY, .on_message = handler            \
    }
/* Gets one key, and may be parked (get.h). */
#define GET(method, handler)                                                   \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .metadata = km_service_traceparent_metadata,                           \
        .state_bytes = sizeof(struct km_service_get), .on_message = handler,   \
        .on_writable = km_service_get_writable,                                \
        .on_cancel = km_service_get_cancelled                                  \
    }
/* Changes one key, or looks at it; may be parked (one_key.h). */
#define MUTATE(method, handler)                                                \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_mutate),                       \
        .zeroed_bytes = offsetof(struct km_service_mutate, op),                \
        .on_message = handler                                                  \
    }
#define PEEK(method, handler)                                                  \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_peek), .on_message = handler   \
    }
/* Has a large answer and waits for room for it (stats.h). */
#define LARGE(method, handler, writable)                                       \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_stats), .on_message = handler, \
        .on_writable = writable                                                \
    }
/* Has many keys and takes more than one turn of the loop (many.h). */
#define MANY(method, handler)                                                  \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_many_state),                   \
        .on_message = handler, .on_writable = km_service_many_writable,        \
        .on_cancel = km_service_many_cancelled                                 \
    }
/* Belongs to the other nodes of a cluster (peer.h). */
#define PEERS(method, rpc_kind, state, handler)                                \
    {                                                                          \
        .path = method, .kind = rpc_kind, .audience = KM_SERVER_FOR_PEERS,     \
        .state_bytes = sizeof(struct state), .on_message = handler,            \
        .on_writable = km_service_peer_writable,                               \
        .on_cancel = km_service_peer_cancelled                                 \
    }
/* The stream of reflection; both of its versions have the same messages. */
#define REFLECTION(method)                                                     \
    {                                                                          \
        .path = method, .kind = KM_RPC_BIDI_STREAM,                            \
        .state_bytes = sizeof(struct km_service_reflect),                      \
        .on_message = km_service_reflect,                                      \
        .on_half_close = km_service_reflect_half_closed,                       \
        .on_cancel = km_long_call_cancelled                                    \
    }

/* Is declared in the .proto file and belongs to a later version. */
#define LATER(method)                                                          \
    {                                                                          \
        .path = method                                                         \
    }

/* A client may call any of these paths with any bytes as the message. */
const struct km_server_method km_service_methods[] = {
    GET(V1 "Get", km_service_v1_get),
    MUTATE(V1 "Set", km_service_v1_set),
    MUTATE(V1 "Delete", km_service_v1_delete),
    GET(V2 "Get", km_service_v2_get),
    MUTATE(V2 "Set", km_service_v2_set),
    MUTATE(V2 "Delete", km_service_v2_delete),
    PEEK(V2 "Ttl", km_service_v2_ttl),
    MUTATE(V2 "Touch", km_service_v2_touch),
    MANY(V2 "Exists", km_service_v2_exists),
    MANY(V2 "MSet", km_service_v2_mset),
    MANY(V2 "MDelete", km_service_v2_mdelete),
    {.path = V2 "Clear",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_clear),
     .on_message = km_service_v2_clear},
    {.path = V2 "Resize",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_resize),
     .on_message = km_service_v2_resize},
    UNARY(V2 "Ping", km_service_v2_ping),
    LARGE(V2 "Stats", km_service_v2_stats, km_service_stats_writable),
    LARGE(V2 "Groups", km_service_v2_groups, km_service_groups_writable),
    {.path = V2 "MGet",
     .kind = KM_RPC_UNARY,
     .metadata = km_service_traceparent_metadata,
     .state_bytes = sizeof(struct km_service_mget_state),
     .on_message = km_service_v2_mget,
     .on_writable = km_service_mget_writable,
     .on_cancel = km_service_mget_cancelled},
    {.path = V2 "Scan",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct km_service_scan_state),
     .on_message = km_service_v2_scan,
     .on_writable = km_service_scan_writable,
     .on_cancel = km_service_scan_cancelled},
    {.path = V2 "MGetStream",
     .kind = KM_RPC_SERVER_STREAM,
     .metadata = km_service_traceparent_metadata,
     .state_bytes = sizeof(struct km_service_mget_state),
     .on_message = km_service_v2_mget_stream,
     .on_writable = km_service_mget_writable,
     .on_cancel = km_service_mget_cancelled},
    UNARY(V2 "Node", km_service_v2_node),
    {.path = V2 "Members",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_members),
     .on_message = km_service_v2_members,
     .on_writable = km_service_members_writable},
    {.path = V2 "WatchMembers",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct km_service_watch_members),
     .on_message = km_service_v2_watch_members,
     .on_writable = km_service_watch_members_writable,
     .on_cancel = km_long_call_cancelled},
    UNARY(V2 "Owner", km_service_v2_owner),
    {.path = V2 "Explain",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_explain),
     .on_message = km_service_v2_explain},
    {.path = V2 "HotKeys",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_hot_keys),
     .on_message = km_service_v2_hot_keys,
     .on_writable = km_service_hot_keys_writable,
     .on_cancel = km_service_hot_keys_cancelled},
    LARGE(V2 "Doctor", km_service_v2_doctor, km_service_doctor_writable),
    LATER(V2 "Monitor"),
    {.path = V2 "Watch",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct km_service_watch_group),
     .on_message = km_service_v2_watch,
     .on_writable = km_service_watch_group_writable,
     .on_cancel = km_service_watch_group_cancelled},
    PEERS(PEER "Hello", KM_RPC_UNARY, km_peer_method_state,
          km_service_peer_hello),
    PEERS(PEER "Fill", KM_RPC_UNARY, km_peer_fill_state, km_service_peer_fill),
    PEERS(PEER "FillMany", KM_RPC_SERVER_STREAM, km_peer_method_state,
          km_service_peer_fill_many),
    PEERS(PEER "Peek", KM_RPC_UNARY, km_peer_method_state,
          km_service_peer_peek),
    PEERS(PEER "Mutate", KM_RPC_UNARY, km_peer_method_state,
          km_service_peer_mutate),
    {.path = PEER "Sync",
     .kind = KM_RPC_BIDI_STREAM,
     .audience = KM_SERVER_FOR_PEERS,
     .state_bytes = sizeof(struct km_service_peer_sync),
     .on_message = km_service_peer_sync,
     .on_half_close = km_service_peer_sync_half_closed,
     .on_cancel = km_service_peer_sync_cancelled},
    {.path = HEALTH "Check",
     .kind = KM_RPC_UNARY,
     .audience = KM_SERVER_FOR_PROBES,
     .on_message = km_service_health_check},
    {.path = HEALTH "Watch",
     .kind = KM_RPC_SERVER_STREAM,
     .audience = KM_SERVER_FOR_PROBES,
     .state_bytes = sizeof(struct km_service_watch),
     .on_message = km_service_health_watch,
     .on_writable = km_service_watch_writable,
     .on_cancel = km_long_call_cancelled},
    REFLECTION(REFLECT "ServerReflectionInfo"),
    REFLECTION(REFLECT_ALPHA "ServerReflectionInfo"),
};
const size_t km_service_method_count =
    sizeof km_service_methods / sizeof km_service_methods[0];
