/* SPDX-License-Identifier: MIT */
/* The functions that the host offers to plug-ins, opening a shared object, and
 * opening the loader of one group. */
#include "plugin.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

#include <dlfcn.h>
#include <stdio.h>

/* -- the host ------------------------------------------------------------ */

/* Logs a line for a plug-in. A level that is out of range becomes the nearest
 * one. */
static void write_log(int level, const char *loader, const char *message)
{
    static struct km_log_site site;
    int known = level < KM_LOG_DEBUG   ? KM_LOG_DEBUG
                : level > KM_LOG_ERROR ? KM_LOG_ERROR
                                       : level;
    KM_LOG_AT(&site, (enum km_log_level)known, "loader", message,
              km_f_str("loader", loader));
}

static const kama_loader_host host = {
    .struct_size = sizeof host,
    .abi_version = KAMA_LOADER_ABI_VERSION,
    .sink_set = kama_sink_set,
    .sink_error = kama_sink_error,
    .load_defer = kama_load_defer,
    .load_finish = kama_load_finish,
    .log = write_log,
    .sink_absent = kama_sink_absent,
    .load_error = kama_load_error,
};

/* -- the shared object --------------------------------------------------- */

typedef const kama_loader_plugin_info *(*describe_fn)(void);

/* Returns the text of dlerror without the path that it may begin with. */
static const char *dl_reason(const char *path)
{
    const char *text = dlerror();
    size_t n = strlen(path);
    if (text == NULL) {
        return "unknown error";
    }
    return strncmp(text, path, n) == 0 && text[n] == ':' ? text + n + 2 : text;
}

/* Refuses a description that is incomplete or made for another ABI. */
static kama_status check_info(const kama_loader_plugin_info *info,
                              const char *path)
{
    if (info == NULL || info->struct_size < sizeof *info ||
        info->open == NULL || info->load == NULL || info->close == NULL) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "%s: its description (kama_loader_plugin_info) is not "
                       "complete",
                       path);
    }
    if (info->abi_version != KAMA_LOADER_ABI_VERSION) {
        return km_fail(
            KAMA_ERR_UNSUPPORTED,
            "%s: it was made for loader ABI %u, and this program has "
            "ABI %u",
            path, info->abi_version, KAMA_LOADER_ABI_VERSION);
    }
    return KAMA_OK;
}

/* Opens a shared object and reads its description. RTLD_LOCAL keeps the symbols
 * of plug-ins apart, and RTLD_NODELETE keeps the object loaded for ever. */
static kama_status open_object(const char *path,
                               const kama_loader_plugin_info **ret_info)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (object == NULL) {
        return km_fail(KAMA_ERR_IO, "%s: %s", path, dl_reason(path));
    }
    describe_fn describe;
    void *symbol = dlsym(object, "kama_loader_plugin");
    if (symbol == NULL) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "%s: not a loader plug-in, because it has no function "
                       "kama_loader_plugin",
                       path);
    }
    memcpy(&describe, &symbol, sizeof describe);
    const kama_loader_plugin_info *info = describe();
    kama_status status = check_info(info, path);
    if (status == KAMA_OK) {
        *ret_info = info;
    }
    return status;
}

/* -- the loader of a group ----------------------------------------------- */

/* Splits NAME:CONFIG. */
static kama_status split(const char *loader,
                         char ret_name[PLUGIN_NAME_BYTES_MAX + 1],
                         const char **ret_config)
{
    size_t n = strcspn(loader, ":");
    size_t known = strspn(loader, PLUGIN_NAME_CHARS);
    if (n == 0 || n > PLUGIN_NAME_BYTES_MAX || known < n) {
        char shown[64];
        return km_fail(KAMA_ERR_INVALID,
                       "\"%s\" is not NAME:CONFIG, as sqlite:... is",
                       km_bytes_quote(KAMA_STR(loader), shown, sizeof shown));
    }
    memcpy(ret_name, loader, n);
    ret_name[n] = '\0';
    *ret_config = loader[n] == ':' ? loader + n + 1 : "";
    return KAMA_OK;
}

/* Returns the largest value of a group, as the group will compute it. */
static uint64_t max_value_bytes(const kama_group_options *options)
{
    uint64_t part = options->max_bytes / KM_GROUP_VALUES_MIN;
    if (options->max_value_bytes != 0) {
        return options->max_value_bytes;
    }
    return part < KM_VALUE_BYTES_DEFAULT ? part : KM_VALUE_BYTES_DEFAULT;
}

/* Lets the plug-in open the loader of a group. The sentence of a refusal comes
 * from the plug-in. */
static kama_status open_loader(struct group_spec *spec,
                               const kama_loader_plugin_info *info,
                               const char *config_text)
{
    char sentence[KM_ERROR_BYTES_MAX] = "";
    void *loader = NULL;
    kama_loader_config config = {
        .struct_size = sizeof config,
        .concurrency = spec->options.loader_concurrency,
        .config = config_text,
        .group = spec->name,
        .timeout_ms = spec->options.loader_timeout_ms,
        .max_value_bytes = max_value_bytes(&spec->options),
    };
    kama_status status =
        info->open(&host, &config, sentence, sizeof sentence, &loader);
    if (status != KAMA_OK) {
        return km_fail(status, "%s",
                       sentence[0] != '\0' ? sentence : kama_strerror(status));
    }
    spec->options.loader = info->load;
    spec->options.loader_arg = loader;
    spec->options.loader_free = info->close;
    return KAMA_OK;
}

kama_status plugin_open(struct group_spec *spec, const struct loader_path *path,
                        struct plugin *ret_plugin)
{
    char name[PLUGIN_NAME_BYTES_MAX + 1] = "";
    char file[PATH_MAX];
    const char *config = NULL;
    struct plugin plugin = {.info = NULL};
    kama_status status = split(spec->loader, name, &config);
    if (status == KAMA_OK) {
        status = loader_path_find(path, name, file, &plugin.folder);
    }
    if (status == KAMA_OK) {
        status = open_object(file, &plugin.info);
    }
    if (status == KAMA_OK) {
        status = open_loader(spec, plugin.info, config);
    }
    if (status != KAMA_OK) {
        return km_fail(status, "group %.*s: loader%s%s: %s",
                       KM_TEXT_UP_TO(64, spec->name),
                       name[0] != '\0' ? " " : "", name, km_last_error());
    }
    *ret_plugin = plugin;
    return KAMA_OK;
}
