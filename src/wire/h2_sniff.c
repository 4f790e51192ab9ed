/* SPDX-License-Identifier: MIT */
/* The first bytes of a connection, one at a time. */
#include "wire/h2_sniff.h"

#include "base/bytes.h"

static const char preface[KM_H2_PREFACE_BYTES + 1] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#define METHOD_BYTES_MIN 3
#define METHOD_BYTES_MAX 16

/* Judges bytes that are no preface: upper-case letters and a blank. */
static enum km_h2_speech judge_foreign(const struct km_h2_sniff *sniff)
{
    uint8_t last = sniff->bytes[sniff->count - 1];
    if (last >= 'A' && last <= 'Z' && sniff->count <= METHOD_BYTES_MAX) {
        return KM_H2_SPEECH_UNKNOWN;
    }
    return last == ' ' && sniff->count > METHOD_BYTES_MIN ? KM_H2_SPEECH_HTTP1
                                                          : KM_H2_SPEECH_OTHER;
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
    while (sniff->speech == KM_H2_SPEECH_UNKNOWN && chunk->len > 0) {
        sniff->bytes[sniff->count++] = *(const uint8_t *)chunk->data;
        *chunk = km_bytes_skip(*chunk, 1);
        sniff->speech = (uint8_t)judge(sniff);
    }
    return sniff->speech;
}
