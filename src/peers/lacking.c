/* SPDX-License-Identifier: MIT */
#include "peers/lacking.h"

#include "base/limits.h"

void km_lacking_init(struct km_lacking *lacking, struct km_mutex *lock)
{
    lacking->lock = lock;
    atomic_init(&lacking->until, 0);
}

/* The needs of the slots of one member differ. If each took the place of the one before,
 * a fill with a smaller need would wait again, and take the place in its turn. */
void km_lacking_note(struct km_lacking *lacking, const struct km_lack *lack,
                     km_ns now)
{
    km_mutex_lock(lacking->lock);
    if (now >= atomic_load(&lacking->until) ||
        !km_lack_covers(&lacking->lack, &lack->id, lack->clock)) {
        lacking->lack = *lack;
    }
    atomic_store(&lacking->until, km_ns_after_ms(now, KM_PEERS_LACKING_MS));
    km_mutex_unlock(lacking->lock);
}

void km_lacking_end(struct km_lacking *lacking)
{
    km_mutex_lock(lacking->lock);
    atomic_store(&lacking->until, 0);
    km_mutex_unlock(lacking->lock);
}

bool km_lacking_get(struct km_lacking *lacking, km_ns now,
                    struct km_lack *ret_lack)
{
    km_mutex_lock(lacking->lock);
    bool is_there = now < atomic_load(&lacking->until);
    if (is_there) {
        *ret_lack = lacking->lack;
    } else {
        atomic_store(&lacking->until, 0);
    }
    km_mutex_unlock(lacking->lock);
    return is_there;
}

bool km_lack_covers(const struct km_lack *lack, const struct km_member_id *id,
                    uint64_t clock)
{
    return km_member_id_equal(&lack->id, id) && clock >= lack->clock;
}
