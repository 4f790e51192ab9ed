/* SPDX-License-Identifier: MIT */
/*
 * Addresses of sockets: from text and to text, and the options that every TCP
 * socket of this program has.
 *
 *     "localhost:80"   --km_address_split-->    {"localhost", "80"}
 *     "[::1]:80"                                {"::1", "80"}
 *     ":80", "*:80"                             {"", "80"}: all addresses
 *     {"::1", "80"}    --km_address_numeric-->  sockaddr, without a resolver
 *     sockaddr         --km_address_format-->   "[::1]:80"
 *
 * Threads: any thread; all functions are pure, but km_address_parse may ask the
 * resolver and block. Errors: KAMA_ERR_INVALID with a sentence that names the
 * address. Ownership: nothing is allocated. Cost: O(length).
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <sys/socket.h>

#define KM_ADDRESS_HOST_BYTES 256 /* a name of 253 characters, and NUL */
#define KM_ADDRESS_PORT_BYTES 6

/* "[", 45 characters, "]:65535" and NUL, rounded up. */
#define KM_ADDRESS_TEXT_BYTES 64

/* An address in two pieces. The host "" stands for all addresses of the
 * machine, which a text may also write as "*". */
struct km_address {
    char host[KM_ADDRESS_HOST_BYTES]; /* without brackets */
    char port[KM_ADDRESS_PORT_BYTES]; /* decimal, 0..65535 */
};

/* Cuts "host:port", "[v6]:port" or ":port" into its pieces. */
KAMA_NODISCARD kama_status km_address_split(const char *text,
                                            struct km_address *ret_address);

/* Returns whether a host stands for all addresses of a machine, to which nobody
 * can connect. */
bool km_address_is_wildcard(const char *host);

/* Writes an address, with `host` in place of its own host if that is a wildcard:
 * "0.0.0.0:9001" and "10.0.0.5" make "10.0.0.5:9001". What is no address, or does
 * not fit then, is written as it is. */
void km_address_at_host(const char *address, const char *host, char *text,
                        size_t cap);

/* Writes the socket addresses that need no resolver: those of "" and
 * localhost, and a numeric one. Returns how many, at most `cap`; 0 means that
 * the host is a name. */
size_t km_address_numeric(const struct km_address *address,
                          struct sockaddr_storage *addrs, size_t cap);

/* Writes one socket address for a text. A host that is neither numeric nor
 * "localhost" is resolved, which blocks, so that this is for setup only. */
KAMA_NODISCARD kama_status km_address_parse(const char *text,
                                            struct sockaddr_storage *ret_addr);

/* Returns whether only programs on this machine can reach the address. */
bool km_address_is_loopback(const struct sockaddr_storage *addr);

/* Returns the length of the address, for bind and connect. */
socklen_t km_address_len(const struct sockaddr_storage *addr);

/* Writes "127.0.0.1:8001" or "[::1]:8001"; IPv4 inside IPv6 is written as IPv4.
 * Returns text. */
const char *km_address_format(const struct sockaddr_storage *addr,
                              char text[KM_ADDRESS_TEXT_BYTES]);

/* Sets the options of a socket: small writes are not delayed, and a peer that
 * has vanished is noticed within a minute, even on an idle connection.
 * Accepted sockets inherit them from the one that listens. */
void km_address_tune(int fd);
/* Returns whether the kernel of the other side has confirmed all bytes that were
 * written, so that a reset cannot overtake them any more. */
bool km_address_is_confirmed(int fd);
