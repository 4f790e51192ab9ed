/* SPDX-License-Identifier: MIT */
/*
 * A host for loader plug-ins under test. It opens NAME.so of the build, hands it a
 * table of functions that capture the answer of a load, and checks that nothing is
 * left behind. Threads: any thread may call host_load; one thread calls the rest.
 */
#pragma once

#include <kamacache/loader.h>
#include <stdbool.h>

/* A plug-in that is open, or the reason why not. */
struct host_plugin {
    const kama_loader_plugin_info *info;
    kama_loader_config config;
    void *loader;       /* NULL when status is not KAMA_OK */
    kama_status status; /* of open */
    char error[256];    /* of open */
};

/* The answer of one load. */
struct host_result {
    kama_status status;
    char *value; /* owned; NULL when none was set */
    size_t value_len;
    int64_t ttl_ms; /* of the value, or of the absence */
    uint32_t flags; /* of kama_sink_options */
    char sentence[256];
    int64_t took_ms;
};

/* Called around every call of open and load, when set. */
extern void (*host_around_call)(bool begins);

/* Opens the plug-in of that name with 16 loads at a time, a timeout of 5 s
 * and values up to 1 MiB; change: NULL, or sets other things before. */
void host_open(struct host_plugin *plugin, const char *name,
               const char *config_text,
               void (*change)(kama_loader_config *config));

/* Closes it when it is open. */
void host_close(struct host_plugin *plugin);

/* Runs one load. The result is freed with host_result_fini. */
void host_load(const struct host_plugin *plugin, kama_bytes key,
               int64_t deadline_ms, struct host_result *ret_result);

/* Frees the value. */
void host_result_fini(struct host_result *result);

/* Open descriptors of this process. */
int host_count_descriptors(void);

/* Whether this process has any child, dead or alive. */
bool host_has_children(void);

/* cmocka checks, with everything that was said in the message: a load of key
 * gives this value; it gives this status and a sentence that contains text
 * (NULL: any). */
void host_expect_value(const struct host_plugin *plugin, kama_bytes key,
                       kama_bytes value, int64_t ttl_ms);
void host_expect_status(const struct host_plugin *plugin, kama_bytes key,
                        kama_status status, const char *text);

/* cmocka check: open refuses the configuration with a sentence that contains
 * text. */
void host_expect_refused(const char *name, const char *config_text,
                         const char *text);
