/* SPDX-License-Identifier: MIT */
/*
 * What every loader plug-in of this tree does in the same way: one load with
 * its clock and its answers, and sentences for people.
 *
 * The plug-ins link nothing of KamaCache; this folder is compiled into each.
 * Threads: a km_load_call belongs to the thread that runs the load.
 * Errors: the functions that end a load return the status to hand on.
 */
#pragma once

#include <kamacache/loader.h>

/* One load: the request, where its result goes, and when it has to be over. */
struct km_load_call {
    const kama_loader_host *host;
    const kama_load *req;
    kama_sink *out;
    int64_t deadline_ms; /* on the clock of km_load_call_now_ms */
};

/* Milliseconds of the monotonic clock. */
int64_t km_load_call_now_ms(void);

/* Starts the clock of a load. Everything is borrowed until the load ends. */
void km_load_call_init(struct km_load_call *call, const kama_loader_host *host,
                       const kama_load *req, kama_sink *out);

/* Milliseconds until the deadline; 0 when it has passed. */
int64_t km_load_call_left_ms(const struct km_load_call *call);

/* Gives the host the value; options may be NULL. Returns what the load
 * returns. */
kama_status km_load_call_set(const struct km_load_call *call, kama_bytes value,
                             const kama_sink_options *options);

/* Tells the host that there is no such key; options say for how long that is
 * true. Returns what the load returns. */
kama_status km_load_call_absent(const struct km_load_call *call,
                                const kama_sink_options *options);

/* Gives the host the sentence behind an error, cut at 255 bytes.
 * Returns status. */
kama_status km_load_call_fail(const struct km_load_call *call,
                              kama_status status, const char *format, ...)
    KAMA_PRINTF(3, 4);

/* KAMA_ERR_INVALID with a sentence that quotes the key, cut at 64 bytes, and
 * says why the loader does not ask its origin for it. */
kama_status km_load_call_refuse_key(const struct km_load_call *call,
                                    const char *why);

/* KAMA_ERR_TIMEOUT with a sentence that names who was too slow. */
kama_status km_load_call_timeout(const struct km_load_call *call,
                                 const char *who);

/* KAMA_ERR_TOO_LARGE with a sentence that names the limit. */
kama_status km_load_call_too_large(const struct km_load_call *call,
                                   uint64_t max_value_bytes);

/* Writes the sentence with which open refuses its configuration into error
 * (cap bytes). Returns status. */
kama_status km_open_fail(char *error, size_t cap, kama_status status,
                         const char *format, ...) KAMA_PRINTF(4, 5);

/* KAMA_OK when the host speaks this version of the ABI and has all functions of
 * this header; otherwise KAMA_ERR_UNSUPPORTED and a sentence in error. */
kama_status km_open_check(const kama_loader_host *host,
                          const kama_loader_config *config, char *error,
                          size_t cap);

/* Writes bytes into text (cap bytes, NUL-terminated, cut where it is full):
 * printable ASCII as it is, everything else and \ as \xNN. */
void km_quote(char *text, size_t cap, kama_bytes bytes);
