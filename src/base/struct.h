/* SPDX-License-Identifier: MIT */
/*
 * Public structs that grow. A program brings the size that it was built with,
 * as the uint32_t at the front: what we read beyond it is our default, what we
 * write ends there. A program that is newer than the library may only leave at
 * zero what we do not know.
 * Thread-safety: pure functions.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Writes the first to_size bytes of defaults (zeros behind them), with to_size
 * in front. */
void km_struct_init(void *to, size_t to_size, const void *defaults,
                    size_t defaults_size);

/* Copies a public struct of any age into one of ours that holds the defaults:
 * size bytes, of which from->struct_size are the caller's. Errors:
 * KAMA_ERR_INVALID (NULL, not initialised, or newer with something set). */
KAMA_NODISCARD kama_status km_struct_read(void *to, size_t size,
                                          const void *from, const char *what);
