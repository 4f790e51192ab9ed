/* SPDX-License-Identifier: MIT */
/*
 * Intrusive structures: a list node, a timer or a piece of mail is a member of
 * the structure that it stands for, and a callback that gets the member finds
 * the structure around it.
 *
 *     struct conn {
 *         struct km_timer timer;
 *         ...
 *     };
 *
 *     static void on_timer(struct km_timer *timer)
 *     {
 *         struct conn *conn = KM_CONTAINER_OF(timer, struct conn, timer);
 *     }
 *
 * No memory is allocated for the link, so that linking cannot fail.
 *
 * Cost: one subtraction. Threads: any. Errors: none, but a wrong `type` or
 * `member` gives a wrong pointer without a warning.
 */
#pragma once

#include <stddef.h>

/* Returns the structure of `type` whose `member` ptr points to. */
#define KM_CONTAINER_OF(ptr, type, member)                                     \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
