/* SPDX-License-Identifier: MIT */
/*
 * Copying between public structs of different sizes. All access goes through
 * memcpy, because the struct of the program is another type than ours.
 */
#include "base/struct.h"

#include "base/status.h"

#include <stdbool.h>

void km_struct_init(void *to, size_t to_size, const void *defaults,
                    size_t defaults_size)
{
    uint32_t struct_size = (uint32_t)to_size;
    memset(to, 0, to_size);
    memcpy(to, defaults, to_size < defaults_size ? to_size : defaults_size);
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
    if (from == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s: the pointer is NULL", what);
    }
    memcpy(&struct_size, from, sizeof struct_size);
    /* A struct that was not initialised has a random size, or 0. */
    if (struct_size < sizeof struct_size || struct_size > 65536) {
        return km_fail(KAMA_ERR_INVALID,
                       "%s: not initialised; call the _init function of the "
                       "struct first",
                       what);
    }
    if (struct_size > size &&
        !is_zero((const uint8_t *)from + size, struct_size - size)) {
        return km_fail(KAMA_ERR_INVALID,
                       "%s: a member is set that this version of the library "
                       "does not know",
                       what);
    }
    memcpy(to, from, struct_size < size ? struct_size : size);
    uint32_t own_size = (uint32_t)size;
    memcpy(to, &own_size, sizeof own_size);
    return KAMA_OK;
}
