/* SPDX-License-Identifier: MIT */
/*
 * Whether event loops still turn. A loop that a handler holds up answers nothing,
 * and nobody inside of it can say so.
 *
 *     km_pulse_add(&pulse, &beat, loop, "loop 0");
 *     km_pulse_ask(&pulse, now);          every second: a mail to each loop
 *     n = km_pulse_late(&pulse, now, 2 * KM_NS_PER_S, late, cap);
 *     km_pulse_remove(&pulse, &beat);     before the loop is joined
 *
 *     ask:   answered --mail--> asked     a loop that was asked before and has
 *                ^                |       not answered yet is not asked again:
 *                +--- the mail ---+       its age grows
 *                     has run
 *
 * Whoever asks does so from a thread that is none of the loops.
 *
 * Threads: any thread. The lock is held while mails are posted, so that no mail
 * is posted to a loop after km_pulse_remove has returned.
 * Errors: only init can fail, without resources for a lock.
 * Ownership: beats are the caller's memory. A beat that was removed may still be
 * a mail that is under way, and stays where it is until its loop was joined.
 * Cost: one mail for each loop and question.
 */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "net/loop.h"

#include <stdatomic.h>

#define KM_PULSE_NAME_BYTES 24

/* One loop that is watched. */
struct km_beat {
    struct km_list node;
    struct km_mail mail;
    struct km_loop *loop;
    char name[KM_PULSE_NAME_BYTES];
    atomic_bool answered;
    km_ns asked_at; /* under the lock of the pulse */
};

struct km_pulse {
    struct km_mutex lock;
    struct km_list beats; /* of km_beat.node */
};

/* A loop that has not answered. */
struct km_pulse_late {
    char name[KM_PULSE_NAME_BYTES];
    km_ns age; /* of the mail that it has not answered */
};

/* Makes a pulse without loops. Returns false if the system has no resources. */
bool km_pulse_init(struct km_pulse *pulse);
/* Ends a pulse from which all beats were removed. */
void km_pulse_fini(struct km_pulse *pulse);

/* Adds a loop that was started. name: copied, cut at KM_PULSE_NAME_BYTES. */
void km_pulse_add(struct km_pulse *pulse, struct km_beat *beat,
                  struct km_loop *loop, const char *name);
/* Removes a loop. Does nothing if the beat, which is zeroed then, was never
 * added, or was removed before. */
void km_pulse_remove(struct km_pulse *pulse, struct km_beat *beat);

/* Asks each loop that has answered the last question. */
void km_pulse_ask(struct km_pulse *pulse, km_ns now);

/* Writes the loops that have not answered for `limit`, at most `cap` of them.
 * Returns how many were written. */
size_t km_pulse_late(struct km_pulse *pulse, km_ns now, km_ns limit,
                     struct km_pulse_late *ret_late, size_t cap);
