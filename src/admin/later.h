/* SPDX-License-Identifier: MIT */
/*
 * An answer that comes later, because other nodes have to be asked for it. The
 * function of a route starts the work, and leaves the answer to its later:
 *
 *     km_admin_later_init(&work->later, context->laters, finish);
 *     km_admin_reply_wait(reply, &work->later);
 *     ... on any thread, when the work is done:
 *     km_admin_later_done(&work->later);
 *     ... on the thread of the port: finish(&work->later, reply)
 *
 * Meanwhile the connection waits, and reads no further request. If its client goes
 * away, finish is called all the same, without a reply. The port does not close
 * before each later is finished.
 *
 * Threads: init and finish on that of the port; done on any thread, exactly once,
 * also before the function of the route has returned. Ownership: a later is part of
 * the work, which finish frees. Errors: none. Cost: one mail to the loop.
 */
#pragma once

#include "admin/reply.h"
#include "net/loop.h"

struct km_admin_later;
struct km_session;

/* Writes the answer, or does not if reply is NULL, and frees the work. */
typedef void (*km_admin_finish_fn)(struct km_admin_later *later,
                                   struct km_admin_reply *reply);

/* The port's side: the loop, and the answers that are still to come. */
struct km_admin_laters {
    struct km_loop *loop;
    void (*run)(struct km_mail *mail); /* of each later, on the loop */
    size_t count;                      /* on the loop's thread */
};

struct km_admin_later {
    struct km_mail mail;
    struct km_admin_laters *laters;
    struct km_session *session; /* that waits for it; NULL: it is gone */
    km_admin_finish_fn finish;
};

static inline void km_admin_later_init(struct km_admin_later *later,
                                       struct km_admin_laters *laters,
                                       km_admin_finish_fn finish)
{
    *later = (struct km_admin_later){
        .mail = {.run = laters->run}, .laters = laters, .finish = finish};
    laters->count++;
}

static inline void km_admin_later_done(struct km_admin_later *later)
{
    km_loop_post(later->laters->loop, &later->mail);
}
