/* SPDX-License-Identifier: MIT */
/*
 * The loader path: the folders in which plug-ins are searched. They are the
 * folders of --loader-path in their order, and behind them the built-in one.
 *
 *     --loader-path /srv/loaders:/opt/kamacache
 *
 *     sqlite  ->  /srv/loaders/sqlite.so            does not exist
 *                 /opt/kamacache/sqlite.so          does not exist
 *                 <built-in folder>/sqlite.so       is taken
 *
 * The first file of that name is taken, even if it cannot be loaded. Otherwise
 * a plug-in of the user could silently be replaced by another one.
 *
 * Cost: one system call per folder. Threads: the main thread, during the start.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence.
 * Ownership: the strings belong to the loader path.
 */
#pragma once

#include "base/bytes.h"

#include <limits.h>

/* More folders than anybody needs. It bounds the sentence that names them. */
#define LOADER_FOLDERS_MAX 16

struct loader_path {
    char *text; /* owned; the folders of the list lie in it */
    const char *folders[LOADER_FOLDERS_MAX + 1];
    size_t count;
    char built_in[PATH_MAX];
};

/* Writes the built-in folder: the one beside the program, as in a build tree
 * and in an installation that was moved, or else the one that the build was
 * configured for. */
void loader_path_built_in(char folder[PATH_MAX]);

/* Takes a list, DIR[:DIR], apart. NULL and "" name no folder. The result is
 * freed by loader_path_fini.
 * Errors: KAMA_ERR_INVALID for too many folders, and for an empty name, which
 * other programs take for the current folder; KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status loader_path_init(struct loader_path *ret_path,
                                            const char *list);
/* Frees the strings. */
void loader_path_fini(struct loader_path *path);

/* Finds NAME.so and writes the path of the file into ret_file. *ret_folder is
 * its folder, a string of path. Errors: KAMA_ERR_INVALID, with a sentence that
 * names the plug-ins which exist and the folders. */
KAMA_NODISCARD kama_status loader_path_find(const struct loader_path *path,
                                            const char *name,
                                            char ret_file[PATH_MAX],
                                            const char **ret_folder);
