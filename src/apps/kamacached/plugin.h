/* SPDX-License-Identifier: MIT */
/*
 * Opening loader plug-ins. The loader of a group is written as NAME:CONFIG;
 * NAME.so is searched in the loader path, and the plug-in gets CONFIG.
 *
 *     loader="sqlite:/srv/app.db?query=..."
 *
 *     loader_path_find("sqlite")    -->  /usr/lib/kamacache/loaders/sqlite.so
 *     dlopen, kama_loader_plugin()  -->  its description
 *     info->open(config)            -->  the loader of this group
 *
 * A shared object is opened once and is never closed, because threads of the
 * plug-in could still run in it.
 *
 * Cost: that of dlopen. Threads: the main thread, during the start.
 * Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED for a plug-in that was made
 * for another ABI, KAMA_ERR_IO, or the error of the plug-in, with a sentence
 * that names the group and the plug-in. Ownership: the group owns the loader
 * and closes it.
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
    const char *folder; /* of its file; a string of the loader path */
};

/* Opens the loader that spec names, and sets the members loader, loader_arg and
 * loader_free of the group's options. */
KAMA_NODISCARD kama_status plugin_open(struct group_spec *spec,
                                       const struct loader_path *path,
                                       struct plugin *ret_plugin);
