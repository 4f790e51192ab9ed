/* SPDX-License-Identifier: MIT */
/*
 * Finds out which protocol the other side speaks, from the first bytes of a
 * connection, which may come in pieces of any size.
 *
 *     HTTP/2    the whole client preface, "PRI * HTTP/2.0..."
 *     HTTP/1    a method and a blank, "GET "
 *     other     the first byte that fits neither
 *
 *     struct km_h2_sniff sniff = {0};
 *     switch (km_h2_sniff_feed(&sniff, &chunk)) { ... }
 *
 * The bytes that were looked at are kept in `bytes`, so that the user can hand
 * them on once the protocol is known.
 *
 * Cost: O(1) for each byte, at most 24 bytes. Threads: one owner.
 */
#pragma once

#include <kamacache/kamacache.h>

/* The length of the client preface. */
#define KM_H2_PREFACE_BYTES 24

/* The protocol of the other side. */
enum km_h2_speech {
    KM_H2_SPEECH_UNKNOWN, /* more bytes are needed */
    KM_H2_SPEECH_HTTP2,
    KM_H2_SPEECH_HTTP1,
    KM_H2_SPEECH_OTHER
};

/* The state of a connection at its beginning; zeroed at first. */
struct km_h2_sniff {
    uint8_t bytes[KM_H2_PREFACE_BYTES]; /* that were taken off the chunks */
    uint8_t count;
    uint8_t speech; /* enum km_h2_speech */
};

/* Takes bytes off the front of *chunk until the protocol is known, and returns
 * it. For HTTP/2 exactly the preface is taken. Once the protocol is known,
 * nothing more is taken. */
enum km_h2_speech km_h2_sniff_feed(struct km_h2_sniff *sniff,
                                   kama_bytes *chunk);
