/* SPDX-License-Identifier: MIT */
/*
 * Public structs that grow. A program brings the size that it was built with:
 * what we read beyond it is our default, what we write ends there. A program
 * that is newer than the library may only leave at zero what we do not know.
 */
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

/* Writes the first size bytes of from, with its size in front. */
static void init_sized(void *to, size_t to_size, const void *from,
                       size_t from_size)
{
    uint32_t struct_size = (uint32_t)to_size;
    memset(to, 0, to_size);
    memcpy(to, from, to_size < from_size ? to_size : from_size);
    memcpy(to, &struct_size, sizeof struct_size);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

kama_status km_struct_read(void *to, size_t size, const void *from,
                           const char *what)
{
    uint32_t struct_size;
    memcpy(&struct_size, from, sizeof struct_size);
    if (struct_size < sizeof struct_size || struct_size > 65536) {
        return km_fail(KAMA_ERR_INVALID, "%s: were not initialised", what);
    }
    if (struct_size > size &&
        !is_zero((const uint8_t *)from + size, struct_size - size)) {
        return km_fail(KAMA_ERR_INVALID,
                       "%s: use a field that this version does not know", what);
    }
    memcpy(to, from, struct_size < size ? struct_size : size);
    uint32_t own_size = (uint32_t)size;
    memcpy(to, &own_size, sizeof own_size);
    return KAMA_OK;
}

void kama_ctx_init_sized(kama_ctx *ctx, size_t struct_size)
{
    const kama_ctx defaults = {.struct_size = 0};
    init_sized(ctx, struct_size, &defaults, sizeof defaults);
}

void kama_sink_options_init_sized(kama_sink_options *options,
                                  size_t struct_size)
{
    const kama_sink_options defaults = {.struct_size = 0};
    init_sized(options, struct_size, &defaults, sizeof defaults);
}

void kama_set_options_init_sized(kama_set_options *options, size_t struct_size)
{
    const kama_set_options defaults = {.struct_size = 0};
    init_sized(options, struct_size, &defaults, sizeof defaults);
}

void kama_group_options_init_sized(kama_group_options *options,
                                   size_t struct_size)
{
    const kama_group_options defaults = {
        .name = "default",
        .max_bytes = KM_GROUP_BYTES_DEFAULT,
        .loader_timeout_ms = KM_LOADER_TIMEOUT_MS_DEFAULT,
        .loader_concurrency = KM_LOADER_CONCURRENCY_DEFAULT,
        .async_threads = KM_ASYNC_THREADS_DEFAULT,
        .policy = "s3fifo"};
    init_sized(options, struct_size, &defaults, sizeof defaults);
}
