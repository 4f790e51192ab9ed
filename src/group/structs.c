/* SPDX-License-Identifier: MIT */
/* The defaults of the public structs of a group. */
#include "base/limits.h"
#include "base/struct.h"

void kama_ctx_init_sized(kama_ctx *ctx, size_t struct_size)
{
    const kama_ctx defaults = {.struct_size = 0};
    km_struct_init(ctx, struct_size, &defaults, sizeof defaults);
}

void kama_sink_options_init_sized(kama_sink_options *options,
                                  size_t struct_size)
{
    const kama_sink_options defaults = {.struct_size = 0};
    km_struct_init(options, struct_size, &defaults, sizeof defaults);
}

void kama_set_options_init_sized(kama_set_options *options, size_t struct_size)
{
    const kama_set_options defaults = {.struct_size = 0};
    km_struct_init(options, struct_size, &defaults, sizeof defaults);
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
    km_struct_init(options, struct_size, &defaults, sizeof defaults);
}
