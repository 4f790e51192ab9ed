/* SPDX-License-Identifier: MIT */
/*
 * A load call: one load of a plug-in with its clock and its answers, and the
 * sentences that the plug-ins of this tree have in common.
 *
 *     static kama_status load(void *arg, const kama_load *req, kama_sink *out)
 *     {
 *         struct km_load_call call;
 *         km_load_call_init(&call, loader->host, req, out);
 *         ...
 *         if (km_load_call_left_ms(&call) == 0) {
 *             return km_load_call_timeout(&call, "the origin");
 *         }
 *         return km_load_call_set(&call, value, NULL);
 *     }
 *
 * The plug-ins link nothing of KamaCache: they call the host through a table of
 * functions, and this folder is compiled into each of them.
 *
 * Cost: starting a call reads the clock. Threads: a load call belongs to the
 * thread that runs the load. Errors: a function that ends a load returns the
 * status which the load has to return.
 * Ownership: everything is borrowed until the load ends.
 */
#pragma once

#include <kamacache/loader.h>

/* One load: the request, the sink for its result, and its deadline. */
struct km_load_call {
    const kama_loader_host *host;
    const kama_load *req;
    kama_sink *out;
    int64_t deadline_ms; /* on the clock of km_load_call_now_ms */
};

/* Returns the milliseconds of the monotonic clock. */
int64_t km_load_call_now_ms(void);

/* Starts the clock of a load. Everything is borrowed until the load ends. */
void km_load_call_init(struct km_load_call *call, const kama_loader_host *host,
                       const kama_load *req, kama_sink *out);

/* Returns the milliseconds until the deadline, or 0 if it has passed. */
int64_t km_load_call_left_ms(const struct km_load_call *call);

/* Gives the host the value. options may be NULL. Returns the status that the
 * load has to return. */
kama_status km_load_call_set(const struct km_load_call *call, kama_bytes value,
                             const kama_sink_options *options);

/* Tells the host that the key does not exist, and by the options for how long
 * this may be kept. Returns the status that the load has to return. */
kama_status km_load_call_absent(const struct km_load_call *call,
                                const kama_sink_options *options);

/* Gives the host the sentence about an error, which is cut at 255 bytes.
 * Returns status. */
kama_status km_load_call_fail(const struct km_load_call *call,
                              kama_status status, const char *format, ...)
    KAMA_PRINTF(3, 4);

/* Fails with KAMA_ERR_INVALID. The sentence quotes the key, cut at 64 bytes,
 * and says why the loader does not ask its origin for it. */
kama_status km_load_call_refuse_key(const struct km_load_call *call,
                                    const char *why);

/* Fails with KAMA_ERR_TIMEOUT. The sentence names the origin that was too
 * slow. */
kama_status km_load_call_timeout(const struct km_load_call *call,
                                 const char *origin);

/* Fails with KAMA_ERR_TOO_LARGE. The sentence names the limit. */
kama_status km_load_call_too_large(const struct km_load_call *call,
                                   uint64_t max_value_bytes);

/* Writes the sentence with which `open` refuses its configuration into error,
 * which has cap bytes. Returns status. */
kama_status km_open_fail(char *error, size_t cap, kama_status status,
                         const char *format, ...) KAMA_PRINTF(4, 5);

/* Checks that the host has this version of the ABI and all the functions that
 * kamacache/loader.h declares. Errors: KAMA_ERR_UNSUPPORTED with a sentence. */
kama_status km_open_check(const kama_loader_host *host,
                          const kama_loader_config *config, char *error,
                          size_t cap);

/* Writes bytes into text for people: printable ASCII stays, and a backslash and
 * everything else becomes \xNN. The text is NUL-terminated, and cut if it does
 * not fit into cap bytes. */
void km_quote(char *text, size_t cap, kama_bytes bytes);
