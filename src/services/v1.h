/* SPDX-License-Identifier: MIT */
/*
 * kama.v1.KamaCacheService, the small service that other implementations of the
 * system speak as well: Get, Set and Delete of one key.
 *
 * It differs from kama.v2 in its answers. A Get of a key that does not exist
 * ends with the error NOT_FOUND, Set answers with an empty message, and Delete
 * says whether it has removed anything. A key may be any bytes, although the
 * .proto file declares a string.
 *
 * Each function is the on_message of the method that it is named after: it
 * decodes the message and finishes the call, now or later. Get has the state
 * struct km_service_get and also needs the handlers of services/get.h.
 *
 * Threads: loop thread.
 * Errors: as kama_get, kama_set and kama_del, and KAMA_ERR_MALFORMED and
 * KAMA_ERR_NO_GROUP.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;

/* on_message of the methods; message: borrowed until return. */
void km_service_v1_get(struct km_server_call *call, kama_bytes message);
void km_service_v1_set(struct km_server_call *call, kama_bytes message);
void km_service_v1_delete(struct km_server_call *call, kama_bytes message);
