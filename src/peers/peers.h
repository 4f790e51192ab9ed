/* SPDX-License-Identifier: MIT */
/*
 * The peers of a node: it routes each key by the view that it has adopted, says
 * Hello to all other members, and carries fills and mutations to the owners.
 *
 *     membership --view--> peers: build the placement, adopt, Hello to all
 *     groups     --ask, fill, mutate--> peers --> links to the owners
 *     services   --hello, admit--> peers         requests of other nodes
 *
 * It is the owner of km_owner_ops (group/owner.h).
 *
 * Threads: functions that say "lane 0" run on the control lane; the rest is for any
 * thread. Errors: as each function says. Ownership: texts are copied, views
 * are referenced, the transport and the events are borrowed until `closed`.
 * Cost: about 6 KiB for each peer, and the links.
 */
#pragma once

#include "base/buf.h"
#include "group/owner.h"
#include "peers/placement.h"
#include "peers/transport.h"
#include "peers/turn.h"

struct km_peers;

enum km_peer_state {
    KM_PEER_UNKNOWN,     /* no Hello was answered yet */
    KM_PEER_UP,          /* the last Hello was answered */
    KM_PEER_UNREACHABLE, /* silent for 1.5 s, or no connection */
    KM_PEER_REFUSED      /* it is another member than the view says, or of
                          * another cluster */
};

struct km_peers_events {
    /* Lane 0. A view is adopted, and `ask` answers by it already. It may be the
     * same view as before: when this node has become behind, or is no longer.
     * The node must call km_group_adopt for each group now, sweep each group,
     * and then call km_peers_swept. lost: the slots that are not swept yet, with
     * those of earlier adoptions; NULL if there are none. It is borrowed until
     * km_peers_swept, or until the next `adopted` has returned. */
    void (*adopted)(void *owner, uint64_t adoption, struct km_view *view,
                    const struct km_slot_map *lost);
    /* Lane 0. The state of a peer has changed; text is a sentence. */
    void (*peer)(void *owner, const char *address,
                 const struct km_member_id *id, enum km_peer_state state,
                 const char *text);
    /* Lane 0, at most twice a second. A Hello has named a view or a member that
     * is not known here: the registry must be read. */
    void (*unknown_view)(void *owner);
    /* Lane 0. A member says that this node was given up. */
    void (*told_gone)(void *owner, const char *address);
    /* Lane 0. Whether this node is settled has changed. */
    void (*settled)(void *owner);
    /* Lane 0, once, after km_peers_close. */
    void (*closed)(void *owner);
};

/* R8: what a fill needs. node/ fills the table in. */
struct km_peers_fence_ops {
    /* Calls cb for each member whose mutations up to a clock must be in the answer of the
     * member `to`, to a fill whose key's slot has this floor. Any thread; it does not
     * block. */
    void (*needs)(void *arg, uint64_t floor, const struct km_member_id *to,
                  void (*cb)(void *cb_arg, const struct km_member_id *id,
                             uint64_t clock),
                  void *cb_arg);
    /* Returns the hybrid clock of this node, which the owner of a key must be ahead of when
     * it carries a mutation out. */
    uint64_t (*clock)(void *arg);
};

struct km_peers_options {
    const kama_allocator *mem;
    struct km_transport transport;
    const struct km_peers_events *events;
    void *owner;
    const char *cluster;
    const char *service;
    struct km_member_id nonce;
    /* The number of the last adoption that the groups have seen, because they had
     * other peers before; 0: none. */
    uint64_t adoption;
    const struct km_peers_fence_ops *fence; /* NULL: no fill needs anything */
    void *fence_arg;
};

KAMA_NODISCARD kama_status km_peers_new(const struct km_peers_options *options,
                                        struct km_peers **ret_peers);
/* Lane 0. Ends all requests and waits. -> events->closed, after which no function
 * but km_peers_free may be called. */
void km_peers_close(struct km_peers *peers);
/* After `closed`, or if nothing was ever noticed. */
void km_peers_free(struct km_peers *peers);

/* The table that groups are given. */
extern const struct km_owner_ops km_peers_owner_ops;

/* -- lane 0 ---------------------------------------------------------------- */

/* The node's own id and address; before that the node has no id. */
void km_peers_set_self(struct km_peers *peers, const struct km_member_id *id,
                       const char *address);
/* A view was noticed: builds its placement, then adopts both. A newer view
 * replaces one that waits. */
void km_peers_notice(struct km_peers *peers, struct km_view *view);
/* The registry was read, by a read that began at sent_at of the transport's clock;
 * its view was noticed. So this node knows as much as the members that have named
 * an unknown view before that did, and is not behind because of them. */
void km_peers_read(struct km_peers *peers, km_ns sent_at);
/* All groups were swept after this adoption. */
void km_peers_swept(struct km_peers *peers, uint64_t adoption);
/* Until now mutations were KAMA_ERR_NOT_READY; from now on they are not. And
 * back, while the lease may have expired and no member answers. */
void km_peers_set_mutable(struct km_peers *peers, kama_status refusal);
/* This node is behind, until the next adoption: it owns nothing. */
void km_peers_set_behind(struct km_peers *peers);

/* Asks who answers at an address. done runs once. */
struct km_peers_probe {
    void (*done)(struct km_peers_probe *probe, kama_status status,
                 const char *text, const struct km_member_id *id,
                 const struct km_member_id *nonce, const char *cluster);
    void *use[40];
};
void km_peers_probe(struct km_peers *peers, const char *address, km_ns deadline,
                    struct km_peers_probe *probe);

/* -- for services/peer.c: any thread --------------------------------------- */

/* How a caller of kama.peer.v1.Peer has introduced itself. */
struct km_peers_sender {
    kama_bytes cluster;
    kama_bytes service;
    kama_bytes id;
    uint64_t view_id;
};

/* Returns whether a member has said that this node was given up, and the registry
 * has not said the opposite since. Lane 0. */
bool km_peers_is_given_up(const struct km_peers *peers);

/* Answers a Hello: appends a HelloResponse to out. The announcement of the
 * sender reaches lane 0. Errors: those of km_buf_reserve. */
struct km_msg_peer_hello_request;
KAMA_NODISCARD kama_status km_peers_hello(
    struct km_peers *peers, const struct km_msg_peer_hello_request *request,
    struct km_buf *out);
/* Returns KAMA_OK if the sender may be served: its cluster, service and id are
 * right. Otherwise fails with KAMA_ERR_NOT_MEMBER and a sentence; an unknown id
 * makes this node read the registry. */
KAMA_NODISCARD kama_status km_peers_admit(struct km_peers *peers,
                                          const struct km_peers_sender *sender);
/* Returns whether the node has noticed this view (one of the last 256). */
bool km_peers_knows_view(const struct km_peers *peers, uint64_t view_id);
/* Returns whether the node has adopted this view or one that it noticed later, so
 * that it is not behind somebody who acts by this view. */
bool km_peers_has_adopted(const struct km_peers *peers, uint64_t view_id);
/* Returns the id of the view that was adopted last; 0: none. */
uint64_t km_peers_view_id(const struct km_peers *peers);

/* -- for people ------------------------------------------------------------ */

/* The view by which a node routes, borrowed until the callback returns. */
struct km_peers_routing {
    struct km_view *view;                 /* NULL: none was adopted yet */
    const struct km_placement *placement; /* of the active members in the order
                                           * of the view; NULL: there are none */
    uint64_t adoption;
    enum km_standing standing;
    bool settled;
};
/* Calls cb once. Any thread; cb must not block. */
void km_peers_routing(struct km_peers *peers,
                      void (*cb)(void *arg,
                                 const struct km_peers_routing *routing),
                      void *arg);

struct km_peer_info {
    const char *address;
    struct km_member_id id;
    enum km_peer_state state;
    km_ns latency;      /* of the last Hello; 0: not known */
    km_ns since;        /* the state has been so since then, monotonic */
    bool clock_differs; /* it is refused for its clock */
    uint64_t fills, fills_failed, mutations, mutations_failed;
    uint64_t served; /* requests of this peer that were answered */
    /* The keys of all fills and mutations by their code of gRPC, and the times of
     * their calls, which go on while they are read; valid until cb returns. */
    const _Atomic uint64_t *fill_codes, *mutation_codes;
    const struct km_histogram *times;
};
/* Calls cb for each peer, in the order of their addresses. Any thread; cb must
 * not block. */
void km_peers_visit(struct km_peers *peers,
                    void (*cb)(void *arg, const struct km_peer_info *info),
                    void *arg);
