/* SPDX-License-Identifier: MIT */
/*
 * Addresses of sockets: text to and from, and the options that every TCP
 * socket of ours has.
 * Thread-safety: pure functions. Errors: KAMA_ERR_INVALID with a sentence.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <sys/socket.h>

#define KM_ADDRESS_HOST_BYTES 256 /* a name of 253 characters, and NUL */
#define KM_ADDRESS_PORT_BYTES 6

/* "[", 45 characters, "]:65535" and NUL, rounded up. */
#define KM_ADDRESS_TEXT_BYTES 64

/* An address in two pieces; host "" means all addresses; "*" in a text
 * is written as that. */
struct km_address {
    char host[KM_ADDRESS_HOST_BYTES]; /* without brackets */
    char port[KM_ADDRESS_PORT_BYTES]; /* decimal, 0..65535 */
};

/* Cuts "host:port", "[v6]:port" or ":port". */
KAMA_NODISCARD kama_status km_address_split(const char *text,
                                            struct km_address *ret_address);

/* The socket addresses behind it that need no resolver: all addresses, a
 * numeric one, or those of localhost. At most cap; 0: it is a name. */
size_t km_address_numeric(const struct km_address *address,
                          struct sockaddr_storage *addrs, size_t cap);

/* One socket address for "host:port", "[v6]:port" or ":port" (all addresses).
 * A host that is neither numeric nor "localhost" is resolved, which blocks: for
 * setup only. Errors: KAMA_ERR_INVALID with a sentence. */
KAMA_NODISCARD kama_status km_address_parse(const char *text,
                                            struct sockaddr_storage *ret_addr);

/* Does the address lead to this machine alone? */
bool km_address_is_loopback(const struct sockaddr_storage *addr);

/* Its length, for bind and connect. */
socklen_t km_address_len(const struct sockaddr_storage *addr);

/* "127.0.0.1:8001", "[::1]:8001"; IPv4 in IPv6 as IPv4. Returns text. */
const char *km_address_format(const struct sockaddr_storage *addr,
                              char text[KM_ADDRESS_TEXT_BYTES]);

/* No delay of small writes; a peer that is gone is noticed within a minute,
 * also when nothing is said. Accepted sockets inherit it. */
void km_address_tune(int fd);
