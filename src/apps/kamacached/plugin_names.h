/* SPDX-License-Identifier: MIT */
/*
 * The names of the loader plug-ins that exist, for a sentence about one that
 * does not: "there are exec, http, sqlite; did you mean http?"
 *
 *     struct plugin_names names;
 *     plugin_names_init(&names);
 *     plugin_names_add(&names, folder);        once per folder
 *     plugin_names_tell(&names, "htpp", text, sizeof text);
 *
 * Cost: each folder is read once. At most PLUGIN_NAMES_MAX names are kept, in
 * the structure itself. Threads: the main thread, during the start.
 * Errors: none; a folder that cannot be read counts as one without plug-ins.
 */
#pragma once

#include "plugin.h"

#define PLUGIN_NAMES_MAX 64

struct plugin_names {
    char names[PLUGIN_NAMES_MAX][PLUGIN_NAME_BYTES_MAX + 1]; /* sorted */
    size_t count;
};

/* Makes an empty set of names. */
void plugin_names_init(struct plugin_names *names);

/* Adds NAME for each NAME.so in folder, unless it is in the set already. */
void plugin_names_add(struct plugin_names *names, const char *folder);

/* Writes into text which plug-ins exist, and the one whose name is nearest to
 * wanted. The text is cut so that it fits into cap bytes. */
void plugin_names_tell(const struct plugin_names *names, const char *wanted,
                       char *text, size_t cap);
