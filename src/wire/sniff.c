/* SPDX-License-Identifier: MIT */
/* Each byte is compared with the preface, then with the methods of HTTP/1. */
#include "wire/sniff.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

static const char preface[KM_H2_PREFACE_BYTES + 1] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* The methods of RFC 9110, and PATCH. */
static const char *const methods[] = {"GET ",     "HEAD ",  "POST ",
                                      "PUT ",     "PATCH ", "DELETE ",
                                      "OPTIONS ", "TRACE ", "CONNECT "};

/* The bytes are not the preface. Are they the beginning of a request line? */
static enum km_h2_speech judge_foreign(const struct km_h2_sniff *sniff)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t len = strlen(methods[i]);
        if (sniff->count > len ||
            memcmp(sniff->bytes, methods[i], sniff->count) != 0) {
            continue;
        }
        return sniff->count == len ? KM_H2_SPEECH_HTTP1 : KM_H2_SPEECH_UNKNOWN;
    }
    return KM_H2_SPEECH_OTHER;
}

static enum km_h2_speech judge(const struct km_h2_sniff *sniff)
{
    if (memcmp(sniff->bytes, preface, sniff->count) != 0) {
        return judge_foreign(sniff);
    }
    return sniff->count == KM_H2_PREFACE_BYTES ? KM_H2_SPEECH_HTTP2
                                               : KM_H2_SPEECH_UNKNOWN;
}

enum km_h2_speech km_h2_sniff_feed(struct km_h2_sniff *sniff, kama_bytes *chunk)
{
    KM_ASSERT(sniff->count <= KM_H2_PREFACE_BYTES);
    while (sniff->speech == KM_H2_SPEECH_UNKNOWN && chunk->len > 0) {
        sniff->bytes[sniff->count++] = *(const uint8_t *)chunk->data;
        *chunk = km_bytes_skip(*chunk, 1);
        sniff->speech = (uint8_t)judge(sniff);
    }
    return sniff->speech;
}
