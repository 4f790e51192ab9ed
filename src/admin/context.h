/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a function that answers a request, beside the reply. A request
 * has a row in the table of routes (route.h), which names the function.
 *
 * Threads: that of the admin port. Errors: an answer is an error itself.
 * Ownership: everything is borrowed until the function returns. Cost: none.
 */
#pragma once

#include "admin/later.h"
#include "admin/reply.h"
#include "admin/source.h"

struct km_admin_context {
    const struct km_admin_source *source;
    kama_bytes query;  /* of the request; checked against the row */
    kama_bytes accept; /* the header Accept, or nothing */
    km_ns now;
    struct km_admin_laters *laters; /* for an answer that comes later; NULL: the
                                     * port closes */
};

typedef void (*km_admin_answer_fn)(const struct km_admin_context *context,
                                   struct km_admin_reply *reply);
