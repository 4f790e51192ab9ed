/* SPDX-License-Identifier: MIT */
/* A sorted set of names, filled from folders, and a sentence about it. */
#include "plugin_names.h"

#include "base/limits.h"
#include "base/option.h"
#include "base/text.h"

#include <dirent.h>

void plugin_names_init(struct plugin_names *names)
{
    names->count = 0;
}

/* -- reading a folder ---------------------------------------------------- */

/* Returns the length of NAME in NAME.so, or 0 if the file is called otherwise
 * or NAME is not a name that a group could give. */
static size_t name_len(const char *file)
{
    size_t len = strspn(file, PLUGIN_NAME_CHARS);
    bool fits = len > 0 && len <= PLUGIN_NAME_BYTES_MAX;
    return fits && strcmp(file + len, ".so") == 0 ? len : 0;
}

/* Inserts a name in its place, unless it is in the set or the set is full. */
static void insert(struct plugin_names *names, const char *file, size_t len)
{
    char name[PLUGIN_NAME_BYTES_MAX + 1];
    size_t at = 0;
    int order = 1;
    memcpy(name, file, len);
    name[len] = '\0';
    while (at < names->count && (order = strcmp(name, names->names[at])) > 0) {
        at++;
    }
    if ((at < names->count && order == 0) || names->count == PLUGIN_NAMES_MAX) {
        return;
    }
    memmove(names->names[at + 1], names->names[at],
            (names->count - at) * sizeof names->names[0]);
    memcpy(names->names[at], name, len + 1);
    names->count++;
}

void plugin_names_add(struct plugin_names *names, const char *folder)
{
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        size_t len = name_len(entry->d_name);
        if (len > 0) {
            insert(names, entry->d_name, len);
        }
    }
    closedir(dir);
}

/* -- telling ------------------------------------------------------------- */

static const char *nearest_to(const struct plugin_names *names,
                              const char *wanted)
{
    struct km_option rows[PLUGIN_NAMES_MAX] = {0};
    for (size_t i = 0; i < names->count; i++) {
        rows[i].name = names->names[i];
        rows[i].kind = KM_OPTION_STRING;
    }
    return km_option_nearest(rows, names->count, KAMA_STR(wanted));
}

void plugin_names_tell(const struct plugin_names *names, const char *wanted,
                       char *text, size_t cap)
{
    if (names->count == 0) {
        (void)km_text_printf(text, cap, "there are none");
        return;
    }
    size_t len = km_text_printf(text, cap, "there are ");
    for (size_t i = 0; i < names->count; i++) {
        len += km_text_printf(text + len, cap - len, "%s%s", i > 0 ? ", " : "",
                              names->names[i]);
    }
    const char *nearest = nearest_to(names, wanted);
    if (nearest == NULL) {
        return;
    }
    /* https://... was probably meant as a configuration of the loader http. */
    bool is_url = strcmp(wanted, "https") == 0 && strcmp(nearest, "http") == 0;
    (void)km_text_printf(text + len, cap - len, "; did you mean %s%s?", nearest,
                         is_url ? ":https://..." : "");
}
