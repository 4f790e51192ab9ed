/* SPDX-License-Identifier: MIT */
/*
 * Loader plug-ins as the daemon opens them: <folder>/NAME.so, found by the
 * NAME of a group's loader. A shared object is opened once and never closed.
 *
 * Thread-safety: setup. Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED (made
 * for another ABI), KAMA_ERR_IO, KAMA_ERR_LOADER, or what the plug-in says;
 * the sentence names file and plug-in.
 */
#pragma once

#include "group_spec.h"

#include <kamacache/loader.h>

#define PLUGIN_NAME_BYTES_MAX 63

/* Where plug-ins are: dir, or for NULL ../lib/kamacache/loaders beside the
 * program if that exists, else where they are installed. */
void plugin_folder(const char *dir, char *ret_folder, size_t cap);

/* Opens the loader that spec names and sets loader, loader_arg and
 * loader_free of its options. *ret_info: static. */
KAMA_NODISCARD kama_status
plugin_open(struct group_spec *spec, const char *folder,
            const kama_loader_plugin_info **ret_info);
