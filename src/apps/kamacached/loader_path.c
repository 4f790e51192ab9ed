/* SPDX-License-Identifier: MIT */
/* Finding the built-in folder of plug-ins, and a plug-in in the folders. */
#include "loader_path.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "kamacache_build.h"
#include "plugin_names.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- the built-in folder ------------------------------------------------- */

/* Returns whether path is a folder that exists. */
static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Writes the folder that contains the file of the program, or "" if it is not
 * known. */
static void program_folder(char *folder, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", folder, cap - 1);
    folder[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

void loader_path_built_in(char folder[PATH_MAX])
{
    static const char *const beside[] = {"../lib/kamacache/loaders",
                                         KM_BUILD_LOADER_DIR_RELATIVE};
    char program[PATH_MAX];
    program_folder(program, sizeof program);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        int n = snprintf(folder, PATH_MAX, "%s/%s", program, beside[i]);
        if (n < PATH_MAX && is_folder(folder)) {
            return;
        }
    }
    snprintf(folder, PATH_MAX, "%s", KM_BUILD_LOADER_DIR);
}

/* -- the list ------------------------------------------------------------ */

static kama_status split_list(struct loader_path *path)
{
    char *at = path->text;
    while (at != NULL) {
        char *folder = strsep(&at, ":");
        if (folder[0] == '\0') {
            return km_fail(KAMA_ERR_INVALID,
                           "a folder's name is empty; for the "
                           "current one write .");
        }
        if (path->count == LOADER_FOLDERS_MAX) {
            return km_fail(KAMA_ERR_INVALID, "more than %d folders",
                           LOADER_FOLDERS_MAX);
        }
        path->folders[path->count++] = folder;
    }
    return KAMA_OK;
}

static kama_status read_list(struct loader_path *path, const char *list)
{
    if (list == NULL || list[0] == '\0') {
        return KAMA_OK;
    }
    path->text = km_mem_strdup(km_mem_default(), list);
    if (path->text == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the list of folders");
    }
    return split_list(path);
}

kama_status loader_path_init(struct loader_path *ret_path, const char *list)
{
    memset(ret_path, 0, sizeof *ret_path);
    kama_status status = read_list(ret_path, list);
    if (status != KAMA_OK) {
        loader_path_fini(ret_path);
        return status;
    }
    loader_path_built_in(ret_path->built_in);
    ret_path->folders[ret_path->count++] = ret_path->built_in;
    return KAMA_OK;
}

void loader_path_fini(struct loader_path *path)
{
    km_mem_free(km_mem_default(), path->text);
    memset(path, 0, sizeof *path);
}

/* -- finding ------------------------------------------------------------- */

/* Writes the folders that were searched, as far as there is room in text. */
static void tell_folders(const struct loader_path *path, char *text, size_t cap)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < path->count; i++) {
        const char *folder = path->folders[i];
        len += km_text_printf(text + len, cap - len, "%s%s%s",
                              i > 0 ? ", " : "", folder,
                              is_folder(folder) ? "" : " (no such folder)");
    }
}

/* Fails with the plug-ins that exist, and the folders that were searched. */
static kama_status refuse(const struct loader_path *path, const char *name)
{
    char known[KM_ERROR_BYTES_MAX];
    char folders[KM_ERROR_BYTES_MAX];
    struct plugin_names names;
    plugin_names_init(&names);
    for (size_t i = 0; i < path->count; i++) {
        plugin_names_add(&names, path->folders[i]);
    }
    plugin_names_tell(&names, name, known, sizeof known);
    tell_folders(path, folders, sizeof folders);
    return km_fail(KAMA_ERR_INVALID, "no such loader; %s (no %s.so in %s)",
                   known, name, folders);
}

kama_status loader_path_find(const struct loader_path *path, const char *name,
                             char ret_file[PATH_MAX], const char **ret_folder)
{
    for (size_t i = 0; i < path->count; i++) {
        int n =
            snprintf(ret_file, PATH_MAX, "%s/%s.so", path->folders[i], name);
        if (n < PATH_MAX && access(ret_file, F_OK) == 0) {
            *ret_folder = path->folders[i];
            return KAMA_OK;
        }
    }
    return refuse(path, name);
}
