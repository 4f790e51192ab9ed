/* SPDX-License-Identifier: MIT */
/*
 * A load's clock, its result and its error sentence.
 *
 * The host gives a load a number of milliseconds, and the call turns that into
 * a time on the monotonic clock, because a load has many steps.
 */
#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { SENTENCE_BYTES = 256 };

enum { KEY_BYTES = 65 }; /* a quoted key in a sentence, with its NUL */

int64_t km_load_call_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void km_load_call_init(struct km_load_call *call, const kama_loader_host *host,
                       const kama_load *req, kama_sink *out)
{
    call->host = host;
    call->req = req;
    call->out = out;
    call->deadline_ms = km_load_call_now_ms() + req->deadline_ms;
}

/* A deadline that has passed leaves 0 and no negative time, which libraries
 * often take for "no limit". */
int64_t km_load_call_left_ms(const struct km_load_call *call)
{
    int64_t left_ms = call->deadline_ms - km_load_call_now_ms();
    return left_ms > 0 ? left_ms : 0;
}

kama_status km_load_call_set(const struct km_load_call *call, kama_bytes value,
                             const kama_sink_options *options)
{
    if (value.len == 0) {
        value.data = ""; /* an empty blob has no memory; hosts get a pointer */
    }
    return call->host->sink_set(call->out, value, options);
}

kama_status km_load_call_absent(const struct km_load_call *call,
                                const kama_sink_options *options)
{
    return call->host->sink_absent(call->out, options);
}

kama_status km_load_call_fail(const struct km_load_call *call,
                              kama_status status, const char *format, ...)
{
    char sentence[SENTENCE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    call->host->sink_error(call->out, sentence);
    return status;
}

/* Nothing was asked, so that this is an error of the caller and not of the
 * origin. */
kama_status km_load_call_refuse_key(const struct km_load_call *call,
                                    const char *why)
{
    char key[KEY_BYTES];
    km_quote(key, sizeof key, call->req->key);
    return km_load_call_fail(call, KAMA_ERR_INVALID,
                             "the key \"%s\" is refused: %s", key, why);
}

kama_status km_load_call_timeout(const struct km_load_call *call,
                                 const char *origin)
{
    return km_load_call_fail(call, KAMA_ERR_TIMEOUT,
                             "%s gave no answer within %lld ms", origin,
                             (long long)call->req->deadline_ms);
}

kama_status km_load_call_too_large(const struct km_load_call *call,
                                   uint64_t max_value_bytes)
{
    return km_load_call_fail(call, KAMA_ERR_TOO_LARGE,
                             "the value is larger than max_value_bytes, %llu",
                             (unsigned long long)max_value_bytes);
}

kama_status km_open_fail(char *error, size_t cap, kama_status status,
                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, cap, format, args);
    va_end(args);
    return status;
}

kama_status km_open_check(const kama_loader_host *host,
                          const kama_loader_config *config, char *error,
                          size_t cap)
{
    if (host->abi_version != KAMA_LOADER_ABI_VERSION) {
        return km_open_fail(error, cap, KAMA_ERR_UNSUPPORTED,
                            "the plug-in needs loader ABI %u, the host has %u",
                            KAMA_LOADER_ABI_VERSION, host->abi_version);
    }
    if (host->struct_size < sizeof *host ||
        config->struct_size < sizeof *config) {
        return km_open_fail(error, cap, KAMA_ERR_UNSUPPORTED,
                            "the program is older than this plug-in (%s) and "
                            "lacks functions that it needs",
                            KAMA_VERSION_STRING);
    }
    return KAMA_OK;
}

void km_quote(char *text, size_t cap, kama_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes.data;
    size_t used = 0;
    for (size_t i = 0; i < bytes.len && used + 4 < cap; i++) {
        if (in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\') {
            text[used++] = (char)in[i];
            continue;
        }
        text[used++] = '\\';
        text[used++] = 'x';
        text[used++] = digits[in[i] >> 4];
        text[used++] = digits[in[i] & 15];
    }
    text[used] = '\0';
}
