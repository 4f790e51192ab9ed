/* SPDX-License-Identifier: MIT */
/* The defaults of the public structs of a group. Those of its options come from
 * the table in option_table.h. */
#include "base/struct.h"
#include "group/option_table.h"

void kama_ctx_init_sized(kama_ctx *ctx, size_t struct_size)
{
    const kama_ctx defaults = {.struct_size = 0};
    km_struct_init(ctx, struct_size, &defaults, sizeof defaults);
}

void kama_unsynced_init_sized(kama_unsynced *unsynced, size_t struct_size)
{
    const kama_unsynced defaults = {.struct_size = 0};
    km_struct_init(unsynced, struct_size, &defaults, sizeof defaults);
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
    const kama_group_options defaults = {.name = "default",
#define OPTION_DEFAULT(name, member, kind, unit, initial, shown, min, max,     \
                       since, sentence)                                        \
    .member = (initial),
                                         KM_GROUP_OPTION_MAP(OPTION_DEFAULT)
#undef OPTION_DEFAULT
    };
    km_struct_init(options, struct_size, &defaults, sizeof defaults);
}
