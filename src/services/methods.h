/* SPDX-License-Identifier: MIT */
/*
 * The table of the methods that a node serves: kama.v1, kama.v2, health and
 * reflection. kama_node_start gives it to the gRPC server.
 *
 * A row names the path, the kind of the call, the size of the state that the
 * server zeroes for each call, and the handlers. To add a method, declare its
 * handlers in the header of its family (v2.h, scan.h, ...) and add one row.
 * A method that the .proto files declare for a later version has a row with a
 * path only: calls of it are refused with "not in this version", while a path
 * without a row is an unknown method.
 *
 * The health service answers for each service that has a row here.
 *
 * Threads: the table is constant; any thread may read it.
 */
#pragma once

#include "rpc/server_method.h"

extern const struct km_server_method km_service_methods[];
extern const size_t km_service_method_count;
