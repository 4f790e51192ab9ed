/* SPDX-License-Identifier: MIT */
/*
 * The allocator that nghttp2 uses for one connection. It takes blocks from the
 * loop's cache.
 *
 * After the first failure the connection is lost (KM_H2_NO_MEMORY), because
 * nghttp2's structures may then hold pointers to memory that its own unwinding
 * has freed; ng_mem.c says more.
 *
 * Threads: the loop's thread.
 */
#pragma once

#include "wire/h2/h2_impl.h"

/* Returns the functions to make h2's nghttp2 session with. */
nghttp2_mem km_h2_ng_mem(struct km_h2 *h2);

/* Frees the blocks in quarantine, after h2's session was deleted. */
void km_h2_ng_mem_flush(struct km_h2 *h2);
