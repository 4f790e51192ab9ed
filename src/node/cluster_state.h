/* SPDX-License-Identifier: MIT */
/*
 * The structure of a node's cluster, for the files cluster*.c.
 *
 * Members that only the control loop touches need no lock. Members that other
 * threads read (the starting thread, the handlers that show the cluster) are under
 * `lock`, which is a leaf: nothing is called while it is held.
 *
 * Threads: as each member says. Errors: none. Ownership: see cluster.h.
 */
#pragma once

#include "base/sync.h"
#include "group/adopt.h"
#include "membership/etcd.h"
#include "membership/membership.h"
#include "net/loop.h"
#include "net/pulse.h"
#include "node/cluster.h"
#include "node/cluster_forget.h"
#include "node/cluster_life.h"
#include "node/cluster_steps.h"
#include "node/cluster_sync.h"
#include "node/transport.h"
#include "peers/peers.h"

/* How far the cluster is; under the lock.
 *
 *     OPEN --start--> STARTING --ready--> MEMBER --leave--> LEAVING --> LEFT
 *      |                 |                   |                 |          |
 *      +-----------------+------- close -----+-----------------+----------+
 *                                   v
 *                                CLOSING --> CLOSED
 */
enum km_cluster_state {
    KM_CLUSTER_OPEN,
    KM_CLUSTER_STARTING,
    KM_CLUSTER_MEMBER,
    KM_CLUSTER_LEAVING, /* the record says so, or is about to */
    KM_CLUSTER_LEFT,    /* all members that answer have taken over */
    KM_CLUSTER_CLOSING,
    KM_CLUSTER_CLOSED
};

/* Where the goodbye is, on the control loop. */
enum km_cluster_goodbye {
    KM_GOODBYE_NONE,
    KM_GOODBYE_ASKED,   /* membership writes `leaving` */
    KM_GOODBYE_WRITTEN, /* the view without this owner has to be adopted */
    KM_GOODBYE_ADOPTED  /* and to be announced by everybody */
};

struct km_cluster {
    kama_node *node;
    struct km_cluster *earlier; /* of the last start that has failed: groups may
                                 * still give back its peers; NULL: none */
    struct km_loop *control;
    struct km_beat beat; /* of the control loop */
    struct km_node_transport *transport;
    struct km_peers *peers;
    struct km_cluster_sync *sync;
    struct km_etcd *etcd; /* NULL once it has closed */
    struct km_membership *membership;
    struct km_member_id nonce; /* of this process */

    /* -- the control loop's -- */
    struct km_cluster_steps steps;
    struct km_cluster_life life;
    struct km_view *view; /* adopted last; NULL: none */
    atomic_ullong views;  /* that were adopted; any thread may read it */
    enum km_cluster_goodbye goodbye;
    enum km_membership_lease lease;
    bool is_mutable;
    struct km_peers_probe probe; /* that membership has asked for */
    bool probing;
    struct km_mail start_mail;
    struct km_mail leave_mail;
    struct km_mail close_mail;
    struct km_mail swept_mail;
    bool was_started;

    /* -- the sweep (cluster_groups.c) -- */
    struct km_job sweep_job;
    enum { KM_SWEEP_IDLE, KM_SWEEP_RUNS, KM_SWEEP_AGAIN } sweep; /* lock */
    bool ends_after_sweep; /* lock: the peers have closed during a sweep */
    uint64_t swept;        /* lock: the adoption that the sweep works for */
    struct km_cluster_forget forget; /* the control loop's */

    struct km_mutex lock;
    struct km_cond changed; /* state, failure or wait_until */
    enum km_cluster_state state;
    kama_status failure; /* of the start; KAMA_OK: none */
    char failure_text[KM_ERROR_BYTES_MAX];
    km_ns wait_until; /* the start may take until then; 0: as configured */
    bool ready;
    bool is_late;     /* the start has ended, and the node was not ready */
    unsigned missing; /* a bit for each step */
    struct km_member_id id;
    char address[KM_MEMBER_ADDRESS_BYTES]; /* advertised; "" if not known */
    int64_t lease_id;
    const char *registration;
    const char *degraded;
    bool given_up; /* a member says so, and no view was adopted since */
    bool registry_up;
    /* Of the lease: its time, when the request was sent that prolonged it last
     * (km_clock_boot; 0: never), and how long the answer took. */
    int64_t lease_ttl_ms;
    km_ns lease_kept_at;
    km_ns registry_latency;
    struct km_membership_stats seen; /* of membership, at its last event */
    uint64_t version;                /* grows with each change that is shown */
};
