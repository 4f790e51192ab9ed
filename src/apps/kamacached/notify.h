/* SPDX-License-Identifier: MIT */
/*
 * Telling the service manager about the state of the daemon.
 *
 *     notify_send("READY=1");
 *
 * A message is one datagram to the socket that $NOTIFY_SOCKET names. This is
 * what sd_notify of systemd does, without needing its library. Without the
 * variable nothing is sent.
 *
 * Cost: three system calls. Threads: any. Errors: none; a message that cannot
 * be sent is lost.
 */
#pragma once

/* Sends a state, "READY=1" or "STOPPING=1". */
void notify_send(const char *state);
