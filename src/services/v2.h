/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache, the methods for one key: Get, Set, Delete, Ttl and Touch; and
 * Ping. Methods with many keys are in many.h and mget.h, Clear in clear.h,
 * streams in scan.h, figures in stats.h.
 *
 * A Get of a key that does not exist succeeds and says `found: false`. Wishes
 * that belong to a later version (a condition of a Delete, an acknowledgement by
 * other nodes) are refused and never ignored, because the client relies on
 * them.
 *
 * Each function is the on_message of the method that it is named after: it
 * decodes the message and finishes the call, now or later. Get has the state
 * struct km_service_get and also needs the handlers of services/get.h; the
 * others, but Ping, have the states of services/one_key.h.
 *
 * Threads: loop thread.
 * Errors: as the kama_ function of the same name, and KAMA_ERR_MALFORMED,
 * KAMA_ERR_NO_GROUP and KAMA_ERR_UNSUPPORTED.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;

/* on_message of the methods for one key; message: borrowed until return. */
void km_service_v2_get(struct km_server_call *call, kama_bytes message);
void km_service_v2_set(struct km_server_call *call, kama_bytes message);
void km_service_v2_delete(struct km_server_call *call, kama_bytes message);
void km_service_v2_ttl(struct km_server_call *call, kama_bytes message);
void km_service_v2_touch(struct km_server_call *call, kama_bytes message);

/* Removes every entry of the group. */

/* Sends the payload back, with the node's name, version, address and uptime. */
void km_service_v2_ping(struct km_server_call *call, kama_bytes message);
