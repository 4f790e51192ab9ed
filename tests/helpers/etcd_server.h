/* SPDX-License-Identifier: MIT */
/*
 * An etcd for tests: a child process with a data directory of its own, on
 * loopback ports that were free a moment ago.
 *
 *     struct etcd_server etcd;
 *     etcd_server_init(&etcd);
 *     etcd_server_start(&etcd);            serves when this returns
 *     etcd_server_ctl(&etcd, (const char *[]){"put", "k", "v", NULL});
 *     etcd_server_kill(&etcd);             and may be started again
 *     etcd_server_fini(&etcd);
 *
 * Several servers become the members of one cluster by etcd_server_join, before
 * they are started. A failure fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct etcd_server {
    char folder[64]; /* data and log */
    char name[24];
    char address[32]; /* of clients: "127.0.0.1:PORT" */
    char peer[32];
    char cluster[256]; /* NAME=URL of each member */
    pid_t pid;         /* 0: it does not run */
};

/* Returns whether etcd is installed. */
bool etcd_is_installed(void);

/* Picks a folder and ports. */
void etcd_server_init(struct etcd_server *etcd);
/* Makes the servers members of one cluster. */
void etcd_server_join(struct etcd_server *servers, size_t count);
/* Starts the process, and waits until it answers; _begin does not wait. */
void etcd_server_start(struct etcd_server *etcd);
void etcd_server_begin(struct etcd_server *etcd);
void etcd_server_wait(struct etcd_server *etcd);
/* Returns whether the server leads its cluster. */
bool etcd_server_leads(const struct etcd_server *etcd);
/* Ends the process with SIGKILL. */
void etcd_server_kill(struct etcd_server *etcd);
/* Stops the process (SIGSTOP), and lets it go on. */
void etcd_server_freeze(struct etcd_server *etcd);
void etcd_server_thaw(struct etcd_server *etcd);
/* Deletes the data of a server that does not run. */
void etcd_server_wipe(struct etcd_server *etcd);
/* Ends the process and deletes everything. */
void etcd_server_fini(struct etcd_server *etcd);

/* Runs etcdctl with these arguments, up to NULL. Returns its exit status. */
int etcd_server_try_ctl(struct etcd_server *etcd, const char *const *arguments);
/* The same; the test fails unless it succeeds. */
void etcd_server_ctl(struct etcd_server *etcd, const char *const *arguments);
