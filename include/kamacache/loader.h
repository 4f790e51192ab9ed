/* SPDX-License-Identifier: MIT */
/*
 * Loader plug-ins: shared objects that teach the daemon where values come from.
 *
 * A group of kamacached names its loader in the option `loader`:
 *
 *     kamacached --group 'users:loader="mydb:host=10.0.0.7"'
 *                                      ^^^^ ^^^^^^^^^^^^^
 *                                      NAME CONFIG
 *
 * The daemon opens NAME.so, which it finds on the loader path, asks it for its
 * table with kama_loader_plugin, and calls `open` with CONFIG. From then on
 * each load of the group is a call of `load`, with the contract of
 * kama_loader_fn in kamacache/kamacache.h. A small plug-in:
 *
 *     static const kama_loader_host *host;
 *
 *     static kama_status open_db(const kama_loader_host *h,
 *                                const kama_loader_config *config, char *error,
 *                                size_t cap, void **ret_loader)
 *     {
 *         host = h;
 *         *ret_loader = db_connect(config->config);
 *         if (*ret_loader == NULL) {
 *             snprintf(error, cap, "cannot connect to %s", config->config);
 *             return KAMA_ERR_UNREACHABLE;
 *         }
 *         return KAMA_OK;
 *     }
 *
 *     static kama_status load_row(void *db, const kama_load *req, kama_sink
 *     *out)
 *     {
 *         const char *row = db_find(db, req->key.data, req->key.len);
 *         return row == NULL ? KAMA_MISS
 *                            : host->sink_set(out, KAMA_STR(row), NULL);
 *     }
 *
 *     static const kama_loader_plugin_info info = {
 *         sizeof info, KAMA_LOADER_ABI_VERSION, "mydb", "1.0",
 *         "mydb:host=ADDRESS", open_db, load_row, db_close};
 *
 *     const kama_loader_plugin_info *kama_loader_plugin(void)
 *     {
 *         return &info;
 *     }
 *
 * docs/LOADERS.md explains how to build and to test one.
 *
 * Linking     A plug-in links nothing of KamaCache. It calls the functions of
 *             the host through the table that `open` receives. It exports one
 *             symbol, kama_loader_plugin. The daemon never unloads a plug-in.
 * Threads     `open` and `close` are called while the daemon starts and after
 *             the last load. `load` is called on the threads of the daemon's
 *             pool, many at a time, at most the loader_concurrency of the
 *             group. `open` is called once for each group that names the
 *             plug-in.
 * Deadlines   A loader must keep to the deadline of its load. A loader that
 *             runs on after it keeps a thread of the pool busy, and its result
 *             is dropped.
 * Exceptions  `load` and `close` must return normally (see "Callbacks" in
 *             kamacache/kamacache.h). An exception that would leave them ends
 *             the daemon with a sentence.
 * Versions    KAMA_LOADER_ABI_VERSION changes when older plug-ins can no longer
 *             work. The tables grow at their end, and struct_size says how far:
 *             look at it before you use a member that is newer than 0.1.
 */
#ifndef KAMACACHE_LOADER_H
#define KAMACACHE_LOADER_H

#include <kamacache/kamacache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this contract. A plug-in with another one is refused. */
#define KAMA_LOADER_ABI_VERSION 1u

/* The functions of the host that a plug-in may call. The table is static, so a
 * plug-in may keep the pointer. */
typedef struct kama_loader_host {
    uint32_t struct_size;
    uint32_t abi_version;
    /* These do what kama_sink_set, kama_sink_error, kama_load_defer and
     * kama_load_finish do. */
    kama_status (*sink_set)(kama_sink *out, kama_bytes value,
                            const kama_sink_options *options);
    void (*sink_error)(kama_sink *out, const char *sentence);
    kama_deferred *(*load_defer)(kama_sink *out);
    void (*load_finish)(kama_deferred *deferred, kama_status status,
                        kama_bytes value, const kama_sink_options *options);
    /* Writes one line into the log of the host. `level` is 0 for debug, 1 for
     * info, 2 for warn, 3 for error; `loader` is the name of the plug-in. */
    void (*log)(int level, const char *loader, const char *message);
    /* Does what kama_sink_absent does. Since 0.2: a plug-in that also works
     * with 0.1 must look at struct_size before it calls this. */
    kama_status (*sink_absent)(kama_sink *out,
                               const kama_sink_options *options);
    /* As kama_load_error. Since 0.2, like sink_absent. */
    void (*load_error)(kama_deferred *deferred, const char *sentence);
} kama_loader_host;

/* How a loader is opened. The strings are valid until `open` returns. */
typedef struct kama_loader_config {
    uint32_t struct_size;
    /* How many loads may run at a time. */
    uint32_t concurrency;
    /* The text behind "NAME:" in the option, terminated by a NUL. */
    const char *config;
    /* The name of the group. */
    const char *group;
    /* How long one load may take, in milliseconds. */
    int64_t timeout_ms;
    /* How many bytes a result may have; larger ones are refused. */
    uint64_t max_value_bytes;
} kama_loader_config;

/* The table of a plug-in, which is static. */
typedef struct kama_loader_plugin_info {
    uint32_t struct_size;
    /* KAMA_LOADER_ABI_VERSION. */
    uint32_t abi_version;
    /* The name and the version of the plug-in, for people. */
    const char *name;
    const char *version;
    /* A few lines that explain CONFIG. */
    const char *help;
    /* Makes a loader for one group: checks the configuration, and connects as
     * far as that is cheap. On failure it writes a sentence of at most `cap`
     * bytes into `error` and returns an error; the daemon does not start
     * then. */
    kama_status (*open)(const kama_loader_host *host,
                        const kama_loader_config *config, char *error,
                        size_t cap, void **ret_loader);
    /* Loads one key: a kama_loader_fn whose first argument is the loader that
     * `open` made. */
    kama_status (*load)(void *loader, const kama_load *req, kama_sink *out);
    /* Frees a loader. It is called once, after the last load has returned. */
    void (*close)(void *loader);
} kama_loader_plugin_info;

/* Returns the table of the plug-in. This is the one symbol that a plug-in
 * exports. */
KAMA_API const kama_loader_plugin_info *kama_loader_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
