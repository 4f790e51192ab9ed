/* SPDX-License-Identifier: MIT */
/*
 * Where loader plug-ins are: the folders of --loader-path, in their order, and
 * behind them the built-in one, which always stays.
 *
 *     --loader-path /srv/loaders:/opt/kamacache
 *
 *     sqlite  ->  /srv/loaders/sqlite.so            there is none
 *                 /opt/kamacache/sqlite.so          there is none
 *                 <built-in folder>/sqlite.so       this one
 *
 * The first file of that name counts, even if it cannot be loaded: a plug-in of
 * one's own is never replaced silently by another one.
 * Thread-safety: setup. Cost: one look per folder.
 */
#pragma once

#include "base/bytes.h"

#include <limits.h>

/* More folders than anybody has, and a bound for the sentence that names
 * them. */
#define LOADER_FOLDERS_MAX 16

struct loader_path {
    char *text; /* owned; what the folders of the list point into */
    const char *folders[LOADER_FOLDERS_MAX + 1];
    size_t count;
    char built_in[PATH_MAX];
};

/* Writes the built-in folder: beside the program, as in a build and wherever an
 * installation was moved to; else where it was to be installed. */
void loader_path_built_in(char folder[PATH_MAX]);

/* Takes list, DIR[:DIR], apart; NULL and "" name no folder. Ends with
 * loader_path_fini.
 * Errors: KAMA_ERR_INVALID (an empty name, which other programs take for the
 * current folder; too many), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status loader_path_init(struct loader_path *ret_path,
                                            const char *list);
void loader_path_fini(struct loader_path *path);

/* Finds NAME.so and writes its path into ret_file; *ret_folder is the folder, a
 * view of path.
 * Errors: KAMA_ERR_INVALID, with a sentence that names the folders. */
KAMA_NODISCARD kama_status loader_path_find(const struct loader_path *path,
                                            const char *name,
                                            char ret_file[PATH_MAX],
                                            const char **ret_folder);
