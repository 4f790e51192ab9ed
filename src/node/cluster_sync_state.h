/* SPDX-License-Identifier: MIT */
/*
 * The structure behind node/cluster_sync.h, for the files cluster_sync*.c.
 *
 * Threads: as each member says; the lock is a leaf. Errors: none. Ownership: see
 * cluster_sync.h.
 */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "net/loop.h"
#include "net/pulse.h"
#include "node/cluster_sync.h"
#include "peers/holders.h"
#include "view/view.h"

struct km_sync;
struct km_sync_streams;

/* A view that the sync loop does not know yet. */
struct km_sync_view_news {
    struct km_list node;
    struct km_view *view; /* a reference */
    bool adopted;         /* else noticed */
};

/* What else it does not know yet (cluster_sync_news.c). */
struct km_sync_news {
    bool has_self;
    struct km_member_id id;
    char address[KM_MEMBER_ADDRESS_BYTES];
    struct km_member_goodbye prev;
    /* References to the newest views, NULL: none; behind those that are in the list. Some
     * before them are missing, because there was no memory. */
    struct km_view *noticed;
    struct km_view *adopted;
    bool forget;    /* a life went by unseen (R10) */
    bool regrouped; /* the node has another group (R3) */
    bool refuse;
    km_ns goodbye_until; /* 0: no goodbye */
    bool close;
};

/* The streams with one member, as they are shown. */
struct km_sync_shown {
    struct km_member_id id;
    struct km_cluster_stream stream;
};

struct km_cluster_sync {
    kama_node *node;
    struct km_cluster *cluster;
    struct km_loop *loop;
    struct km_beat beat;
    struct km_sync_streams *streams;
    struct km_sync_origins *origins;
    struct km_sync *machine;
    struct km_mail news_mail;
    struct km_mail grew_mail;
    struct km_mail waits_mail;
    struct km_mail standing_mail; /* to the control loop */
    atomic_bool grew_posted;
    atomic_bool has_witnesses; /* written by the sync loop */
    /* By the control loop: do all streams stand? Written under the lock. */
    atomic_bool watched;
    _Atomic(enum km_sync_role) role;
    bool joined; /* of the thread that stops the node */

    /* -- the sync loop's -- */
    struct km_timer tick;
    km_ns looked_at; /* of the clock that goes on while the machine sleeps */
    bool has_self;
    bool closed;
    struct km_view *view; /* adopted last; NULL: none */
    struct km_holders_cache holders;

    struct km_mutex lock; /* of all members below */
    struct km_cond changed;
    struct km_sync_news news;
    struct km_list views; /* of struct km_sync_view_news, in their order */
    bool posted;          /* news_mail */
    struct km_list waits; /* of struct km_sync_wait, in their order */
    bool waits_posted;    /* waits_mail */
    bool said_goodbye;
    struct km_sync_shown *shown;
    size_t shown_count, shown_cap;
    char differs[KM_EVENT_BYTES_MAX]; /* of the first row; "": nothing */
};

/* -- cluster_sync_news.c ---------------------------------------------------- */

/* The mails of `news`, `grew` and `waits`. */
void km_cluster_sync_on_news(struct km_mail *mail);
void km_cluster_sync_on_grew(struct km_mail *mail);
void km_cluster_sync_on_waits(struct km_mail *mail);
/* R15. Looks whether the process or the machine has stood still. arg: the sync. */
void km_cluster_sync_look_clock(void *arg);
/* The goodbye is said, or there is nobody who could hear it. */
void km_cluster_sync_said_goodbye(struct km_cluster_sync *sync);
/* Gives the references of views back that nobody has taken. */
void km_cluster_sync_drop_views(struct km_cluster_sync *sync,
                                const struct km_sync_news *news,
                                struct km_list *views);

/* -- cluster_sync_shown.c --------------------------------------------------- */

/* Copies what is shown. */
void km_cluster_sync_show(struct km_cluster_sync *sync);
/* Begins to do so again and again. */
void km_cluster_sync_begin_to_show(struct km_cluster_sync *sync);
/* Tells the control loop if it waits for the streams and they stand. arg: the sync. */
void km_cluster_sync_look_standing(void *arg);
/* The mail of that. */
void km_cluster_sync_on_standing(struct km_mail *mail);
