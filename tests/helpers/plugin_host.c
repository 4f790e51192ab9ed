/* SPDX-License-Identifier: MIT */
/* The host's side of the plug-in ABI, as small as a test needs it. */
#include "helpers/plugin_host.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

enum { DEADLINE_MS = 5000 };

void (*host_around_call)(bool begins);

static void around_call(bool begins)
{
    if (host_around_call != NULL) {
        host_around_call(begins);
    }
}

/* The host's own completion of the opaque type. */
struct kama_sink {
    struct host_result *result;
    uint64_t max_value_bytes;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static kama_status sink_set(kama_sink *out, kama_bytes value,
                            const kama_sink_options *options)
{
    struct host_result *result = out->result;
    if (value.len > out->max_value_bytes) {
        return KAMA_ERR_TOO_LARGE;
    }
    if (options != NULL && options->ttl_ms < KAMA_TTL_FOREVER) {
        return KAMA_ERR_INVALID;
    }
    free(result->value);
    result->value = malloc(value.len + 1);
    if (result->value == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (value.len > 0) {
        memcpy(result->value, value.data, value.len);
    }
    result->value[value.len] = '\0';
    result->value_len = value.len;
    result->ttl_ms = options != NULL ? options->ttl_ms : 0;
    result->flags = options != NULL ? options->flags : 0;
    return KAMA_OK;
}

static kama_status sink_absent(kama_sink *out, const kama_sink_options *options)
{
    struct host_result *result = out->result;
    if (options != NULL && options->ttl_ms < KAMA_TTL_FOREVER) {
        return KAMA_ERR_INVALID;
    }
    result->ttl_ms = options != NULL ? options->ttl_ms : 0;
    result->flags = options != NULL ? options->flags : 0;
    return KAMA_MISS;
}

static void sink_error(kama_sink *out, const char *sentence)
{
    snprintf(out->result->sentence, sizeof out->result->sentence, "%s",
             sentence);
}

static kama_deferred *load_defer(kama_sink *out)
{
    (void)out;
    return NULL;
}

static void load_finish(kama_deferred *deferred, kama_status status,
                        kama_bytes value, const kama_sink_options *options)
{
    (void)deferred;
    (void)status;
    (void)value;
    (void)options;
}

static void log_line(int level, const char *loader, const char *message)
{
    fprintf(stderr, "%s: level %d: %s\n", loader, level, message);
}

static const kama_loader_host HOST = {
    .struct_size = sizeof HOST,
    .abi_version = KAMA_LOADER_ABI_VERSION,
    .sink_set = sink_set,
    .sink_error = sink_error,
    .load_defer = load_defer,
    .load_finish = load_finish,
    .log = log_line,
    .sink_absent = sink_absent,
};

/* Never closed, as in the real host. */
static const kama_loader_plugin_info *find_plugin(const char *name)
{
    const char *build = getenv("KAMA_BUILD_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/lib/kamacache/loaders/%s.so",
             build != NULL ? build : "build", name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fail_msg("%s", dlerror());
    }
    const kama_loader_plugin_info *(*describe)(void);
    void *symbol = dlsym(library, "kama_loader_plugin");
    assert_non_null(symbol);
    memcpy(&describe, &symbol, sizeof describe);
    return describe();
}

void host_open(struct host_plugin *plugin, const char *name,
               const char *config_text,
               void (*change)(kama_loader_config *config))
{
    memset(plugin, 0, sizeof *plugin);
    plugin->info = find_plugin(name);
    assert_int_equal(plugin->info->abi_version, KAMA_LOADER_ABI_VERSION);
    assert_string_equal(plugin->info->name, name);
    plugin->config = (kama_loader_config){
        .struct_size = sizeof plugin->config,
        .concurrency = 16,
        .config = config_text,
        .group = "test",
        .timeout_ms = DEADLINE_MS,
        .max_value_bytes = 1 << 20,
    };
    if (change != NULL) {
        change(&plugin->config);
    }
    around_call(true);
    plugin->status = plugin->info->open(&HOST, &plugin->config, plugin->error,
                                        sizeof plugin->error, &plugin->loader);
    around_call(false);
    /* The text may go once open has returned. */
    plugin->config.config = NULL;
}

void host_close(struct host_plugin *plugin)
{
    if (plugin->status == KAMA_OK) {
        plugin->info->close(plugin->loader);
    }
}

void host_load(const struct host_plugin *plugin, kama_bytes key,
               int64_t deadline_ms, struct host_result *ret_result)
{
    memset(ret_result, 0, sizeof *ret_result);
    struct kama_sink sink = {
        .result = ret_result,
        .max_value_bytes = plugin->config.max_value_bytes,
    };
    kama_load req = {
        .struct_size = sizeof req,
        .group = kama_bytes_str(plugin->config.group),
        .key = key,
        .deadline_ms = deadline_ms,
    };
    int64_t start_ms = now_ms();
    around_call(true);
    ret_result->status = plugin->info->load(plugin->loader, &req, &sink);
    around_call(false);
    ret_result->took_ms = now_ms() - start_ms;
}

void host_result_fini(struct host_result *result)
{
    free(result->value);
    memset(result, 0, sizeof *result);
}

int host_count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    int count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

bool host_has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
           errno != ECHILD;
}

void host_expect_value(const struct host_plugin *plugin, kama_bytes key,
                       kama_bytes value, int64_t ttl_ms)
{
    struct host_result result;
    host_load(plugin, key, DEADLINE_MS, &result);
    if (result.status != KAMA_OK || result.value == NULL) {
        fail_msg("status %d: %s", result.status, result.sentence);
    }
    assert_int_equal(result.value_len, value.len);
    assert_memory_equal(result.value, value.data, value.len);
    assert_int_equal(result.ttl_ms, ttl_ms);
    host_result_fini(&result);
}

void host_expect_status(const struct host_plugin *plugin, kama_bytes key,
                        kama_status status, const char *text)
{
    struct host_result result;
    host_load(plugin, key, DEADLINE_MS, &result);
    if (result.status != status) {
        fail_msg("status %d, not %d: %s", result.status, status,
                 result.sentence);
    }
    if (text != NULL && strstr(result.sentence, text) == NULL) {
        fail_msg("no \"%s\" in: %s", text, result.sentence);
    }
    assert_null(result.value);
    host_result_fini(&result);
}

void host_expect_refused(const char *name, const char *config_text,
                         const char *text)
{
    struct host_plugin plugin;
    host_open(&plugin, name, config_text, NULL);
    if (plugin.status >= 0) {
        fail_msg("\"%s\" was accepted", config_text);
    }
    if (strstr(plugin.error, text) == NULL) {
        fail_msg("no \"%s\" in: %s", text, plugin.error);
    }
}
