/* SPDX-License-Identifier: MIT */
/*
 * Loader plug-ins: shared objects that the daemon opens, named in a group's
 * `loader` option as NAME:CONFIG, found as <loader path>/NAME.so.
 *
 * A plug-in links nothing of KamaCache: what it needs of the host comes in as
 * a table of functions. It exports one symbol, kama_loader_plugin, returning
 * a static description. It is never unloaded.
 *
 * Threads     open and close run at setup; load runs on the host's pool, many
 *             at a time (at most loader_concurrency of the group).
 * Deadlines   a load gets its deadline and keeps it: what still runs then
 *             holds a thread of the pool, and its result is dropped.
 * Exceptions  load and close must return normally (see Callbacks in kamacache.h):
 *             an exception that leaves them ends the daemon with a sentence.
 * Versions    abi_version changes when old plug-ins cannot work any more;
 *             tables grow at their end, struct_size tells how far.
 */
#ifndef KAMACACHE_LOADER_H
#define KAMACACHE_LOADER_H

#include <kamacache/kamacache.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KAMA_LOADER_ABI_VERSION 1u

/* What the host does for a plug-in. Static, valid for ever. */
typedef struct kama_loader_host {
    uint32_t struct_size;
    uint32_t abi_version;
    /* As kama_sink_set, kama_sink_error, kama_load_defer, kama_load_finish. */
    kama_status (*sink_set)(kama_sink *out, kama_bytes value,
                            const kama_sink_options *options);
    void (*sink_error)(kama_sink *out, const char *sentence);
    kama_deferred *(*load_defer)(kama_sink *out);
    void (*load_finish)(kama_deferred *deferred, kama_status status,
                        kama_bytes value, const kama_sink_options *options);
    /* One line in the host's log; level 0 debug, 1 info, 2 warn, 3 error. */
    void (*log)(int level, const char *loader, const char *message);
    /* As kama_sink_absent. Since 0.2: a plug-in that also works with 0.1 looks
     * at struct_size first. */
    kama_status (*sink_absent)(kama_sink *out,
                               const kama_sink_options *options);
    /* As kama_load_error. Since 0.2, like sink_absent. */
    void (*load_error)(kama_deferred *deferred, const char *sentence);
} kama_loader_host;

/* How a loader is opened. */
typedef struct kama_loader_config {
    uint32_t struct_size;
    uint32_t concurrency;     /* loads at a time */
    const char *config;       /* what follows NAME: in the option; NUL-term. */
    const char *group;        /* the group's name */
    int64_t timeout_ms;       /* of one load */
    uint64_t max_value_bytes; /* larger results are refused */
} kama_loader_config;

/* The plug-in's table. */
typedef struct kama_loader_plugin_info {
    uint32_t struct_size;
    uint32_t abi_version; /* KAMA_LOADER_ABI_VERSION */
    const char *name;
    const char *version;
    const char *help; /* what CONFIG looks like, a few lines */
    /* Checks config, connects as far as is cheap. On failure writes a
     * sentence into error (cap bytes) and returns an error. */
    kama_status (*open)(const kama_loader_host *host,
                        const kama_loader_config *config, char *error,
                        size_t cap, void **ret_loader);
    /* A kama_loader_fn; arg is what open returned. */
    kama_status (*load)(void *loader, const kama_load *req, kama_sink *out);
    /* After the last load returned. */
    void (*close)(void *loader);
} kama_loader_plugin_info;

/* The one symbol that a plug-in exports. */
KAMA_API const kama_loader_plugin_info *kama_loader_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
