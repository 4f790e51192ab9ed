/* SPDX-License-Identifier: MIT */
#include "store/departed.h"

#include "base/assert.h"

#define BYTES_PER_DEPARTURE 512u /* of the shard */
#define WINDOW_MIN 32u
#define WINDOW_MAX 8192u

void km_departed_init(struct km_departed *departed, struct km_account *account,
                      uint64_t shard_bytes)
{
    uint64_t window = shard_bytes / BYTES_PER_DEPARTURE;
    departed->window = window < WINDOW_MIN   ? WINDOW_MIN
                       : window > WINDOW_MAX ? WINDOW_MAX
                                             : window;
    km_ghost_init(&departed->ghosts, account);
}

void km_departed_clear(struct km_departed *departed)
{
    struct km_account *account = departed->ghosts.account;
    km_ghost_fini(&departed->ghosts);
    km_ghost_init(&departed->ghosts, account);
}

/* Returns a hash with the same line and another print for each reason. The bits are
 * the lowest ones of those that a ghost keeps. */
static uint64_t hash_for(uint64_t hash, enum km_miss why)
{
    return hash ^ (uint64_t)why << 36;
}

void km_departed_note(struct km_departed *departed, uint64_t hash,
                      enum km_miss why)
{
    KM_ASSERT(why > KM_MISS_ABSENT && why < KM_MISS_REASONS);
    km_ghost_add(&departed->ghosts, hash_for(hash, why), departed->window);
}

enum km_miss km_departed_why(const struct km_departed *departed, uint64_t hash)
{
    enum km_miss found = KM_MISS_ABSENT;
    uint64_t youngest = KM_GHOST_NONE;
    for (enum km_miss why = KM_MISS_EXPIRED; why < KM_MISS_REASONS; why++) {
        uint64_t age = km_ghost_find(&departed->ghosts, hash_for(hash, why));
        if (age < youngest) {
            youngest = age;
            found = why;
        }
    }
    return found;
}
