/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager what state the daemon is in: one datagram to the
 * socket that $NOTIFY_SOCKET names (sd_notify of systemd, without its
 * library). Nothing happens when there is none; failures are not errors.
 * Thread-safety: any thread.
 */
#pragma once

/* state: "READY=1", "STOPPING=1". */
void notify_send(const char *state);
