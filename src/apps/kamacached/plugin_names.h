/* SPDX-License-Identifier: MIT */
/*
 * The names of the loader plug-ins that are there, for a message about one
 * that is not: "there are exec, http, sqlite; did you mean http?"
 *
 *     struct plugin_names names;
 *     plugin_names_init(&names);
 *     plugin_names_add(&names, folder);        once per folder
 *     plugin_names_tell(&names, "htpp", text, sizeof text);
 *
 * Cost: one reading of each folder. At most PLUGIN_NAMES_MAX names are kept,
 * in the structure itself.
 * Thread-safety: setup. Errors: none; a folder that cannot be read has no
 * plug-ins.
 */
#pragma once

#include "plugin.h"

#define PLUGIN_NAMES_MAX 64

struct plugin_names {
    char names[PLUGIN_NAMES_MAX][PLUGIN_NAME_BYTES_MAX + 1]; /* sorted */
    size_t count;
};

void plugin_names_init(struct plugin_names *names);

/* Adds NAME of each NAME.so in folder that is not there yet. */
void plugin_names_add(struct plugin_names *names, const char *folder);

/* Writes which plug-ins there are, and the one whose name is nearest to
 * wanted, into text, cut at cap. */
void plugin_names_tell(const struct plugin_names *names, const char *wanted,
                       char *text, size_t cap);
