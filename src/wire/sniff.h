/* SPDX-License-Identifier: MIT */
/*
 * What does the other side speak? Told from the first bytes of a connection,
 * in any pieces: HTTP/2 (the whole client preface), HTTP/1 (a method and a
 * blank), or something else.
 * Thread-safety: one owner.
 */
#pragma once

#include <kamacache/kamacache.h>

#define KM_H2_PREFACE_BYTES 24

enum km_h2_speech {
    KM_H2_SPEECH_UNKNOWN, /* not enough bytes yet */
    KM_H2_SPEECH_HTTP2,
    KM_H2_SPEECH_HTTP1,
    KM_H2_SPEECH_OTHER
};

struct km_h2_sniff {
    uint8_t bytes[KM_H2_PREFACE_BYTES]; /* held back until it is known */
    uint8_t count;
    uint8_t speech; /* enum km_h2_speech */
};

/* Takes bytes off *chunk until it is known (HTTP/2: exactly the preface). */
enum km_h2_speech km_h2_sniff_feed(struct km_h2_sniff *sniff,
                                   kama_bytes *chunk);
