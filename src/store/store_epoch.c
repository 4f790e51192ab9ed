/* SPDX-License-Identifier: MIT */
#include "store/store_epoch.h"

#include "store/store_internal.h"

#include <sched.h>

void km_store_invalidate_begin(struct km_store *store)
{
    uint64_t epoch = atomic_load(&store->epoch);
    for (;;) {
        if ((epoch & 1) != 0) {
            (void)sched_yield();
            epoch = atomic_load(&store->epoch);
        } else if (atomic_compare_exchange_weak(&store->epoch, &epoch,
                                                epoch + 1)) {
            return;
        }
    }
}

void km_store_invalidate_end(struct km_store *store, uint64_t hlc)
{
    KM_ASSERT((atomic_load(&store->epoch) & 1) != 0);
    if (store->floors != NULL) {
        km_floors_raise_all(store->floors, hlc);
    }
    (void)atomic_fetch_add(&store->epoch, 1);
}

void km_store_invalidate(struct km_store *store, uint64_t hlc)
{
    km_store_invalidate_begin(store);
    km_store_invalidate_end(store, hlc);
}
