/* SPDX-License-Identifier: MIT */
/*
 * A server that reads nothing and says at most its SETTINGS: a socket whose
 * connections are accepted by the kernel.
 *
 *     mute_bind      connections are refused
 *     mute_listen    they are accepted, and nothing is said
 *     mute_greet     SETTINGS are said, so that calls may run
 */
#pragma once

#include "net/net_kit.h"

struct mute {
    int listen_fd;
    int fd; /* -1: not greeted */
    char address[64];
};

static inline void mute_bind(struct mute *mute)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    mute->fd = -1;
    mute->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(mute->listen_fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(
        getsockname(mute->listen_fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(mute->address, sizeof mute->address, "127.0.0.1:%u",
                   ntohs(addr.sin_port));
}

static inline void mute_listen(struct mute *mute)
{
    assert_int_equal(listen(mute->listen_fd, 8), 0);
}

/* Waits for a connection. */
static inline void mute_greet(struct mute *mute)
{
    static const uint8_t settings[9] = {0, 0, 0, 4};
    mute->fd = accept(mute->listen_fd, NULL, NULL);
    assert_true(mute->fd >= 0);
    write_all(mute->fd, settings, sizeof settings);
}

static inline void mute_end(struct mute *mute)
{
    if (mute->fd >= 0) {
        close(mute->fd);
    }
    close(mute->listen_fd);
}
