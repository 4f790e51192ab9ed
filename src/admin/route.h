/* SPDX-License-Identifier: MIT */
/*
 * Which function answers which path. A row in the table of route.c is the whole
 * of it: the path, the parameters that it takes, the function, and the sentence
 * with which the page at `/` links it.
 *
 *     const struct km_admin_route *route = km_admin_route_find(path);
 *     km_admin_route_answer(route, &context, reply);
 *
 * Threads: that of the admin port. Ownership: rows are static. Cost: O(rows).
 * Errors: an answer is an error itself: 404 for a path without a row, 400 for
 * parameters that the row has not.
 */
#pragma once

#include "admin/context.h"

/* The parameters that the link of the page has behind the path. */
enum km_admin_link {
    KM_ADMIN_LINK_BARE,
    KM_ADMIN_LINK_GROUP,
    KM_ADMIN_LINK_KEY /* and a group */
};

struct km_admin_route {
    const char *path;
    const char *params; /* names, separated by blanks */
    enum km_admin_link link;
    const char *sentence;
    km_admin_answer_fn answer;
};

/* Returns the row of a path, or NULL. */
const struct km_admin_route *km_admin_route_find(kama_bytes path);

/* Answers by the row; NULL: there is no such path. */
void km_admin_route_answer(const struct km_admin_route *route,
                           const struct km_admin_context *context,
                           struct km_admin_reply *reply);
