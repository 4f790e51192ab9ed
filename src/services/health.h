/* SPDX-License-Identifier: MIT */
/*
 * grpc.health.v1.Health: whether the node serves.
 *
 * Three kinds of names are known: "" is the node, then each gRPC service that
 * has a row in methods.c, and the name of the node's own service. All of them
 * have one status, that of the node. Check of an unknown name fails with
 * NOT_FOUND; Watch of one says SERVICE_UNKNOWN and goes on, as the protocol
 * demands.
 *
 * A watch is a long call (long_call.h). It sends the status when it starts and
 * whenever the status has changed. When the node stops, it sends NOT_SERVING
 * and ends with UNAVAILABLE, so that it does not hold up the drain.
 *
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_MISS (NOT_FOUND) and, at the end of a watch,
 * KAMA_ERR_CLOSED.
 */
#pragma once

#include "services/long_call.h"

/* The state of a watch. */
struct km_service_watch {
    struct km_long_call long_call; /* first */
    int sent;                      /* the status that was sent last; 0: none */
    bool known; /* whether the name that it watches is known */
};

/* on_message; message: borrowed until return. */
void km_service_health_check(struct km_server_call *call, kama_bytes message);
void km_service_health_watch(struct km_server_call *call, kama_bytes message);

/* on_writable of a watch: sends a status for which there was no room before. */
void km_service_watch_writable(struct km_server_call *call);
