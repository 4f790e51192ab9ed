/* SPDX-License-Identifier: MIT */
/*
 * Showing an entry to a function of the application, for all calls that show entries:
 * kama_scan and kama_group_largest.
 *
 *     stops = km_scan_show(group, "the callback of kama_scan", &entry, cb, arg);
 *
 * Threads: that of the call; no lock is held. Errors: a callback that throws or ends its
 * thread ends the process (base/boundary.h). Ownership: everything is borrowed. Cost:
 * that of the callback.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* Calls the function, under that name. Returns whether it wants no more entries. */
bool km_scan_show(const kama_group *group, const char *name,
                  const kama_entry *entry, kama_scan_cb cb, void *arg);
