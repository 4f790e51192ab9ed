/* SPDX-License-Identifier: MIT */
/*
 * Text to socket addresses and back. "localhost" is answered here, without the
 * resolver, so that a machine without a hosts file can still test itself.
 */
#include "net/address.h"

#include "base/status.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* 30 s of silence and three probes find a vanished peer within a minute; bytes
 * that it does not acknowledge find it after 30 s. */
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
#define UNACKED_MS 30000

/* Keeps the sentence with the address in quotes, cut where it is very long. */
static kama_status invalid(const char *text, const char *why)
{
    return km_fail(KAMA_ERR_INVALID, "address \"%.*s\": %s",
                   KM_TEXT_UP_TO(100, text), why);
}

/* Names of services are not ports here: a typing error would become a question
 * to the resolver. */
static bool port_ok(const char *port)
{
    size_t len = strlen(port);
    if (len == 0 || len > 5 || strspn(port, "0123456789") != len) {
        return false;
    }
    unsigned number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number * 10 + (unsigned)(port[i] - '0');
    }
    return number <= 65535;
}

kama_status km_address_split(const char *text, struct km_address *ret_address)
{
    const char *colon = strrchr(text, ':');
    if (strstr(text, "://") != NULL) {
        return invalid(text, "it must be host:port, without scheme");
    }
    if (colon == NULL || !port_ok(colon + 1)) {
        return invalid(text, "it must end in :PORT, 0 to 65535");
    }
    const char *host = text;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed) {
        host++;
        len -= 2;
    }
    if (memchr(host, '[', len) != NULL || memchr(host, ']', len) != NULL ||
        (!bracketed && memchr(host, ':', len) != NULL)) {
        return invalid(text, "IPv6 is written as [ADDRESS]:PORT");
    }
    if (len >= KM_ADDRESS_HOST_BYTES || (bracketed && len == 0)) {
        return invalid(text, "the host is empty, or too long for a name");
    }
    if (len == 1 && host[0] == '*') { /* libc would take it for loopback */
        len = 0;
    }
    *ret_address = (struct km_address){.host = ""};
    memcpy(ret_address->host, host, len);
    memcpy(ret_address->port, colon + 1, strlen(colon + 1));
    return KAMA_OK;
}

/* -- sockaddr ------------------------------------------------------------ */

static struct sockaddr_storage make_v4(in_addr_t addr, in_port_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    in->sin_family = AF_INET;
    in->sin_port = port;
    in->sin_addr.s_addr = addr;
    return storage;
}

static struct sockaddr_storage make_v6(const struct in6_addr *addr,
                                       in_port_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port;
    in6->sin6_addr = *addr;
    return storage;
}

/* Asks libc, which answers numeric hosts itself. Returns how many addresses it
 * wrote; other families than IPv4 and IPv6 are passed over. */
static size_t resolve(const struct km_address *address, int flags,
                      struct sockaddr_storage *addrs, size_t cap)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list;
    if (getaddrinfo(address->host, address->port, &hints, &list) != 0) {
        return 0;
    }
    size_t n = 0;
    for (struct addrinfo *i = list; i != NULL && n < cap; i = i->ai_next) {
        if (i->ai_family == AF_INET || i->ai_family == AF_INET6) {
            addrs[n] = (struct sockaddr_storage){0};
            memcpy(&addrs[n++], i->ai_addr, i->ai_addrlen);
        }
    }
    freeaddrinfo(list);
    return n;
}

/* -- wildcards ------------------------------------------------------------- */

bool km_address_is_wildcard(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 ||
           strcmp(host, "::") == 0;
}

void km_address_at_host(const char *address, const char *host, char *text,
                        size_t cap)
{
    struct km_address own;
    const char *format = strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s";
    bool is_named = km_address_split(address, &own) == KAMA_OK &&
                    km_address_is_wildcard(own.host);
    if (!is_named ||
        (size_t)snprintf(text, cap, format, host, own.port) >= cap) {
        (void)snprintf(text, cap, "%s", address);
    }
}

size_t km_address_numeric(const struct km_address *address,
                          struct sockaddr_storage *addrs, size_t cap)
{
    in_port_t port = htons((in_port_t)strtoul(address->port, NULL, 10));
    size_t n = 0;
    if (address->host[0] == '\0' && cap > 0) {
        addrs[n++] = make_v6(&in6addr_any, port);
    } else if (strcmp(address->host, "localhost") == 0) {
        if (n < cap) {
            addrs[n++] = make_v4(htonl(INADDR_LOOPBACK), port);
        }
        if (n < cap) {
            addrs[n++] = make_v6(&in6addr_loopback, port);
        }
    } else {
        n = resolve(address, AI_NUMERICHOST, addrs, cap);
    }
    return n;
}

kama_status km_address_parse(const char *text,
                             struct sockaddr_storage *ret_addr)
{
    struct km_address address;
    kama_status status = km_address_split(text, &address);
    if (status != KAMA_OK) {
        return status;
    }
    struct sockaddr_storage addr;
    if (km_address_numeric(&address, &addr, 1) == 0 &&
        resolve(&address, 0, &addr, 1) == 0) {
        return invalid(text, "no such host");
    }
    *ret_addr = addr;
    return KAMA_OK;
}

bool km_address_is_loopback(const struct sockaddr_storage *addr)
{
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (addr->ss_family == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)addr)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
    }
    return false;
}

socklen_t km_address_len(const struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                      : sizeof(struct sockaddr_in6);
}

/* A socket that takes both families shows IPv4 addresses as ::ffff:a.b.c.d. */
static const char *format_v6(const struct sockaddr_in6 *in6, char *text)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port = ntohs(in6->sin6_port);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
    int family = mapped ? AF_INET : AF_INET6;
    (void)inet_ntop(family, &in6->sin6_addr.s6_addr[mapped ? 12 : 0], host,
                    sizeof host);
    (void)snprintf(text, KM_ADDRESS_TEXT_BYTES, mapped ? "%s:%u" : "[%s]:%u",
                   host, port);
    return text;
}

const char *km_address_format(const struct sockaddr_storage *addr,
                              char text[KM_ADDRESS_TEXT_BYTES])
{
    if (addr->ss_family == AF_INET6) {
        return format_v6((const struct sockaddr_in6 *)addr, text);
    }
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        char host[INET_ADDRSTRLEN];
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(text, KM_ADDRESS_TEXT_BYTES, "%s:%u", host,
                       ntohs(in->sin_port));
        return text;
    }
    return strcpy(text, "?");
}

/* A kernel that does not know an option leaves the socket usable without it. */
static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

void km_address_tune(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
}

bool km_address_is_confirmed(int fd)
{
    int unconfirmed = 0;
    return ioctl(fd, SIOCOUTQ, &unconfirmed) == 0 && unconfirmed == 0;
}
