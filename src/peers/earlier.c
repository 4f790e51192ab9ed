/* SPDX-License-Identifier: MIT */
/* Tables in the order of their age, so that those whose time is over are at the
 * end. */
#include "peers/earlier.h"

#include "base/assert.h"
#include "peers/state.h"

static void drop_last(struct km_earlier *earlier)
{
    KM_ASSERT(earlier->count > 0);
    km_peers_table_unref(earlier->tables[--earlier->count].table);
}

void km_earlier_push(struct km_earlier *earlier, struct km_peers_table *table,
                     km_ns now)
{
    if (earlier->count == KM_PEERS_EARLIER_MAX) {
        drop_last(earlier);
    }
    memmove(&earlier->tables[1], &earlier->tables[0],
            earlier->count * sizeof earlier->tables[0]);
    earlier->tables[0].table = km_peers_table_ref(table);
    earlier->tables[0].until = km_ns_after_ms(now, KM_PEERS_EARLIER_MS);
    earlier->count++;
}

void km_earlier_copy(struct km_earlier *to, const struct km_earlier *from)
{
    *to = *from;
    for (unsigned i = 0; i < to->count; i++) {
        (void)km_peers_table_ref(to->tables[i].table);
    }
}

bool km_earlier_expire(struct km_earlier *earlier, km_ns now)
{
    unsigned before = earlier->count;
    while (earlier->count > 0 &&
           earlier->tables[earlier->count - 1].until <= now) {
        drop_last(earlier);
    }
    return earlier->count != before;
}

void km_earlier_clear(struct km_earlier *earlier)
{
    while (earlier->count > 0) {
        drop_last(earlier);
    }
}

/* The newest table in which this node did not own the slot, and whose owner can be
 * asked, is the right one: what that owner lacks, older ones can only have by chance. */
struct km_peer *km_earlier_find(const struct km_earlier *earlier, uint32_t slot)
{
    for (unsigned i = 0; i < earlier->count; i++) {
        const struct km_peers_table *table = earlier->tables[i].table;
        struct km_peer *peer =
            table->owners[km_placement_owner(table->placement, slot)];
        if (peer != NULL && km_peer_is_open(peer)) {
            return peer;
        }
    }
    return NULL;
}
