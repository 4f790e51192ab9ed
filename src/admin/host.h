/* SPDX-License-Identifier: MIT */
/*
 * Whether a request may name the host that its header Host names. A web page of
 * somebody else can make a browser connect to this port under a name that leads
 * here (DNS rebinding), and would read the answers. It cannot choose an address
 * instead, so that addresses and localhost are always good, and names only if
 * --admin-host has them.
 *
 *     km_admin_host_is_allowed(host, names, count)
 *
 * Threads: any thread; pure functions. Errors: none. Ownership: nothing is
 * allocated. Cost: O(names).
 */
#pragma once

#include "base/bytes.h"

/* host: the value of the header, with or without a port. names: without ports. */
bool km_admin_host_is_allowed(kama_bytes host, const char *const *names,
                              size_t count);

/* Returns KAMA_OK if the text can stand in a header Host, without a port. Errors:
 * KAMA_ERR_INVALID with a sentence. */
KAMA_NODISCARD kama_status km_admin_host_check(const char *name);
