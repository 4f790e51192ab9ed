/* SPDX-License-Identifier: MIT */
/*
 * Loader plug-ins as the daemon opens them: NAME.so of the loader path, found
 * by the NAME of a group's loader. A shared object is opened once and never closed.
 *
 * Thread-safety: setup. Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED (made
 * for another ABI), KAMA_ERR_IO, KAMA_ERR_LOADER, or what the plug-in says;
 * the sentence names file and plug-in.
 */
#pragma once

#include "group_spec.h"
#include "loader_path.h"

#include <kamacache/loader.h>

#define PLUGIN_NAME_BYTES_MAX 63
#define PLUGIN_NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"

/* A plug-in that a group uses. */
struct plugin {
    const kama_loader_plugin_info *info; /* static */
    const char *folder;                  /* where it is; a view of the path */
};

/* Opens the loader that spec names and sets loader, loader_arg and
 * loader_free of its options. */
KAMA_NODISCARD kama_status plugin_open(struct group_spec *spec,
                                       const struct loader_path *path,
                                       struct plugin *ret_plugin);
