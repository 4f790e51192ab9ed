/* SPDX-License-Identifier: MIT */
/*
 * The bound of a store. Whoever needs memory for a value reserves it first, and
 * evicts if there is not enough. Segments and lines of the index are taken without
 * asking, because the entry that needs them is under way; the bytes by which they exceed the
 * bound are a debt, which the same call pays, or the next ones. So is the room for a value
 * for which thousands of small entries would have to leave at once.
 *
 *     used  |------------- max_bytes -------------|-- debt --|
 *
 * An eviction first takes from the shard of the key, if that has its part of the bytes,
 * and then from the shards in turn.
 */
#include "base/thread.h"
#include "store/store_internal.h"

#include <sched.h>
#include <time.h>

#define STEPS_PER_LOCK 64u /* while the lock is held once */
/* A call leaves the rest to the next ones after so many steps by the policy, but only
 * as long as the debt of all calls is small. If it is not, the next entries leave
 * without being asked for how often they were used, which is quick. For a large value
 * there are more steps by the policy. */
#define STEPS_PER_CALL 256u
#define STEPS_FOR_LARGE 16384u
#define LARGE_BYTES ((1u << 20) + (64u << 10))
#define DEBT_MAX (8u << 20)
#define DEBT_SHARE 8u /* and this part of the bound at most */
/* How often a reservation waits for values that other callers hold: it yields at
 * first, and then it sleeps for a millisecond at a time. */
#define WAITS_YIELD 100u
#define WAITS_PATIENT 200u
#define WAITS_MAX 500u

/* Returns whether a shard has nearly the average at least. If smaller shards gave up
 * entries of their own, too, their sizes would drift apart, and keys of the small ones
 * would be missed more often than those of the large ones are hit. */
static bool has_its_part(const struct km_store *store,
                         const struct km_shard *shard)
{
    uint64_t used = km_account_used(store->account);
    uint64_t held = km_account_held_roughly(store->account);
    uint64_t kept = used > held ? used - held : 0;
    return km_shard_bytes_locked(shard) >= kept / store->shard_count / 16 * 15;
}

/* Which shards an eviction may take from. A shard that was just emptied, or
 * that has few keys, keeps its entries as long as other shards have more. */
enum choice { FROM_LARGE, FROM_ANY };

/* One call that makes room. */
struct room {
    struct km_store *store;
    uint64_t bytes;     /* that are missing */
    unsigned steps;     /* that were taken */
    unsigned steps_max; /* after which the rest may be left to other calls */
    uint64_t newcomer;  /* see struct km_eviction */
};

/* Begins a call that makes room for n bytes. */
static struct room room_for(struct km_store *store, uint64_t n,
                            uint64_t newcomer)
{
    return (struct room){.store = store,
                         .steps_max = n <= LARGE_BYTES ? STEPS_PER_CALL
                                                       : STEPS_FOR_LARGE,
                         .newcomer = newcomer};
}

/* Returns how much more than the bound may be in use for a while. */
static uint64_t debt_max(const struct km_store *store)
{
    uint64_t share = km_account_max(store->account) / DEBT_SHARE;
    return share < DEBT_MAX ? share : DEBT_MAX;
}

static unsigned evict_from(struct room *room, struct km_shard *shard,
                           enum choice choice)
{
    struct km_gone gone;
    unsigned done = 0;
    const struct km_eviction eviction = {.bytes = room->bytes,
                                         .steps = STEPS_PER_LOCK,
                                         .mode = room->steps < room->steps_max
                                                     ? KM_EVICT_BY_POLICY
                                                     : KM_EVICT_AT_ONCE,
                                         .newcomer = room->newcomer};
    km_shard_lock(shard, &gone);
    if (choice == FROM_ANY || has_its_part(room->store, shard)) {
        done = km_shard_evict_locked(shard, &eviction);
    }
    km_shard_unlock(shard, &gone);
    room->steps += done;
    return done;
}

/* Evicts from the next shard after the hand: in a first round from a shard that
 * has its part, and in a second round from any. Returns the steps, or 0 if all shards
 * are empty. */
static unsigned evict_elsewhere(struct room *room)
{
    struct km_store *store = room->store;
    for (unsigned i = 0; i < store->shard_count * 2; i++) {
        unsigned hand = atomic_fetch_add_explicit(&store->evict_hand, 1,
                                                  memory_order_relaxed);
        unsigned done =
            evict_from(room, &store->shards[hand % store->shard_count],
                       i < store->shard_count ? FROM_LARGE : FROM_ANY);
        if (done > 0) {
            return done;
        }
    }
    return 0;
}

/* Evicts until n more bytes would fit. Returns false if nothing is left to evict, or
 * if the call has done enough. */
static bool make_room(struct room *room, uint64_t hash, uint64_t n)
{
    struct km_store *store = room->store;
    for (;;) {
        uint64_t used = km_account_used(store->account);
        uint64_t max = km_account_max(store->account);
        if (KM_LIKELY(used + n <= max)) {
            return true;
        }
        room->bytes = used + n - max;
        if (room->steps >= room->steps_max && room->bytes <= debt_max(store)) {
            return false;
        }
        if (evict_from(room, km_store_shard(store, hash), FROM_LARGE) == 0 &&
            evict_elsewhere(room) == 0) {
            return false;
        }
    }
}

void km_store_settle(struct km_store *store, uint64_t hash, uint64_t newcomer)
{
    if (KM_LIKELY(km_account_used(store->account) <=
                  km_account_max(store->account))) {
        return;
    }
    struct room room = room_for(store, 0, newcomer);
    if (!make_room(&room, hash, 0)) {
        km_keep_by(store->keep_at, 0);
    }
}

bool km_store_evict_some(struct km_store *store, uint64_t bytes)
{
    struct room room = room_for(store, bytes, 0);
    room.bytes = bytes;
    return evict_elsewhere(&room) > 0;
}

/* Charges n bytes if they fit into max. */
static bool try_charge(struct km_account *account, uint64_t n, uint64_t max)
{
    uint64_t used = km_account_used(account);
    while (used + n <= max) {
        if (atomic_compare_exchange_weak_explicit(
                &account->used_bytes, &used, used + n, memory_order_relaxed,
                memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* When nothing can be evicted, values outside of the store hold everything. Copies
 * that are under way will soon be in the store; values that a caller keeps will not,
 * but they never hold the last quarter. So one value after the other may exceed the
 * bound, after some patience, and in the end any. Whoever has waited in vain notes how
 * much was held then; as long as about so much is held, nobody waits again. A thread
 * that must not wait does not, and nobody waits for values that would not be enough:
 * an empty store can need more than a bound that has sunk. */
static bool reserve_anyway(struct km_store *store, uint64_t n, unsigned waits)
{
    uint64_t max = km_account_max(store->account);
    uint64_t held = km_account_held(store->account);
    uint64_t stuck =
        atomic_load_explicit(&store->stuck_held, memory_order_relaxed);
    if (waits >= WAITS_MAX) {
        atomic_store_explicit(&store->stuck_held, held, memory_order_relaxed);
    }
    if (waits >= WAITS_MAX || km_thread_is_loop() ||
        km_account_used(store->account) + n > max + held ||
        (stuck > 0 && held >= stuck / 4 * 3)) {
        km_account_charge(store->account, n);
        return true;
    }
    return waits >= WAITS_PATIENT && try_charge(store->account, n, max + n - 1);
}

static void wait_a_little(unsigned waits)
{
    const struct timespec ms = {.tv_nsec = KM_NS_PER_MS};
    if (waits < WAITS_YIELD) {
        (void)sched_yield();
    } else {
        (void)nanosleep(&ms, NULL);
    }
}

/* Makes one attempt. Returns false if everything is held. */
static bool try_reserve(struct km_store *store, uint64_t hash, uint64_t n)
{
    struct km_account *account = store->account;
    struct room room = room_for(store, n, hash);
    for (;;) {
        if (try_charge(account, n, km_account_max(account))) {
            return true;
        }
        room.steps = 0;
        if (!make_room(&room, hash, n)) {
            uint64_t max = km_account_max(account) + debt_max(store);
            if (room.steps >= room.steps_max && try_charge(account, n, max)) {
                return true;
            }
            if (room.steps == 0) {
                return false;
            }
        }
    }
}

/* Charges n bytes if they fit, mostly out of what the thread has charged in advance, so
 * that threads do not wait for each other's number. */
static bool try_charge_now(struct km_account *account, uint64_t n)
{
    uint64_t max = km_account_max(account);
    if (KM_LIKELY(km_account_take_prepaid(account, n))) {
        return true;
    }
    if (km_account_may_prepay(account, n) &&
        try_charge(account, n + (uint64_t)account->batch, max)) {
        km_account_add_prepaid(account);
        return true;
    }
    return try_charge(account, n, max);
}

void km_store_reserve(struct km_store *store, kama_bytes key, uint64_t n)
{
    struct km_account *account = store->account;
    if (KM_UNLIKELY(!try_charge_now(account, n))) {
        uint64_t hash = km_store_hash(store, key);
        for (unsigned waits = 0;
             !try_reserve(store, hash, n) && !reserve_anyway(store, n, waits);
             waits++) {
            wait_a_little(waits);
        }
    }
    km_account_hold(account, (int64_t)n);
}
