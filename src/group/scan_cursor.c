/* SPDX-License-Identifier: MIT */
#include "group/scan_cursor.h"

#include "base/status.h"
#include "group/group.h"

struct cursor {
    uint64_t instance;
    uint64_t place;
};

_Static_assert(sizeof(struct cursor) == KM_SCAN_CURSOR_BYTES, "no padding");

void km_scan_cursor_write(const kama_group *group, uint64_t place,
                          uint8_t ret_bytes[KM_SCAN_CURSOR_BYTES])
{
    const struct cursor cursor = {km_group_instance(group), place};
    memcpy(ret_bytes, &cursor, sizeof cursor);
}

kama_status km_scan_cursor_read(const kama_group *group, kama_bytes bytes,
                                uint64_t *ret_place)
{
    struct cursor cursor = {0};
    if (bytes.len == 0) {
        *ret_place = 0;
        return KAMA_OK;
    }
    if (bytes.len == sizeof cursor) {
        memcpy(&cursor, bytes.data, sizeof cursor);
    }
    if (cursor.instance != km_group_instance(group)) {
        return km_fail(KAMA_ERR_INVALID,
                       "the cursor is not one of this group, or the node was "
                       "restarted since; scan again without a cursor");
    }
    *ret_place = cursor.place;
    return KAMA_OK;
}
