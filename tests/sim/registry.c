/* SPDX-License-Identifier: MIT */
/* The data of the virtual registry: keys, changes, leases. */
#include "sim/registry_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/container.h"

#include <stdlib.h>
#include <string.h>

#define TICK (500 * KM_NS_PER_MS)

/* -- keys ------------------------------------------------------------------ */

static char *copy(kama_bytes bytes)
{
    char *to = malloc(bytes.len + 1);
    KM_ASSERT(to != NULL);
    if (bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    to[bytes.len] = '\0';
    return to;
}

static void free_key(struct sim_key *key)
{
    free(key->key);
    free(key->value);
}

static void insert_key(struct sim_keys *keys, size_t at, struct sim_key key)
{
    if (keys->count == keys->cap) {
        keys->cap = keys->cap == 0 ? 16 : 2 * keys->cap;
        keys->items = realloc(keys->items, keys->cap * sizeof *keys->items);
        KM_ASSERT(keys->items != NULL);
    }
    memmove(keys->items + at + 1, keys->items + at,
            (keys->count - at) * sizeof key);
    keys->items[at] = key;
    keys->count++;
}

static void clear_keys(struct sim_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        free_key(&keys->items[i]);
    }
    free(keys->items);
    *keys = (struct sim_keys){0};
}

static size_t place_of(const struct sim_keys *keys, const char *key)
{
    size_t place = 0;
    while (place < keys->count && strcmp(keys->items[place].key, key) < 0) {
        place++;
    }
    return place;
}

const struct sim_key *sim_registry_find(const struct sim_registry *r,
                                        const char *key)
{
    size_t place = place_of(&r->keys, key);
    return place < r->keys.count && strcmp(r->keys.items[place].key, key) == 0
               ? &r->keys.items[place]
               : NULL;
}

/* Notes a change of the present revision. */
static void note(struct sim_registry *r, const struct sim_key *key)
{
    struct sim_key change = *key;
    change.key = copy(KAMA_STR(key->key));
    change.value = copy(kama_bytes_make(key->value, key->value_len));
    insert_key(&r->changes, r->changes.count, change);
}

void sim_put(struct sim_registry *r, const char *name, kama_bytes value,
             int64_t lease)
{
    struct sim_key *key = (struct sim_key *)sim_registry_find(r, name);
    if (key == NULL) {
        size_t place = place_of(&r->keys, name);
        insert_key(&r->keys, place,
                   (struct sim_key){.key = copy(KAMA_STR(name)),
                                    .create_revision = r->revision});
        key = &r->keys.items[place];
    }
    free(key->value);
    key->value = copy(value);
    key->value_len = value.len;
    key->mod_revision = r->revision;
    key->version++;
    key->lease = lease;
    note(r, key);
}

static void delete_at(struct sim_registry *r, size_t place)
{
    struct sim_key *key = &r->keys.items[place];
    struct sim_key change = {
        .key = key->key, .mod_revision = r->revision, .deleted = true};
    note(r, &change);
    free_key(key);
    r->keys.count--;
    memmove(key, key + 1, (r->keys.count - place) * sizeof *key);
}

/* -- leases ---------------------------------------------------------------- */

struct sim_lease *sim_find_lease(struct sim_registry *r, int64_t id)
{
    for (size_t i = 0; i < r->lease_count; i++) {
        if (r->leases[i].id == id) {
            return &r->leases[i];
        }
    }
    return NULL;
}

int64_t sim_registry_grant(struct sim_registry *r, int64_t ttl_ms)
{
    KM_ASSERT(r->lease_count < sizeof r->leases / sizeof r->leases[0]);
    r->leases[r->lease_count++] =
        (struct sim_lease){.id = ++r->last_lease,
                           .ttl_ms = ttl_ms,
                           .ends_at = km_ns_after_ms(r->world->now, ttl_ms)};
    return r->last_lease;
}

/* All keys of a lease go in one revision. */
void sim_registry_revoke(struct sim_registry *r, int64_t id)
{
    struct sim_lease *lease = sim_find_lease(r, id);
    if (lease == NULL) {
        return;
    }
    *lease = r->leases[--r->lease_count];
    size_t before = r->keys.count;
    r->revision++;
    for (size_t i = r->keys.count; i > 0; i--) {
        if (r->keys.items[i - 1].lease == id) {
            delete_at(r, i - 1);
        }
    }
    if (r->keys.count == before) {
        r->revision--;
    }
    sim_tell_all(r);
}

static void on_tick(struct km_timer *timer)
{
    struct sim_registry *r = KM_CONTAINER_OF(timer, struct sim_registry, tick);
    km_timer_heap_add(&r->world->heap, timer, r->world->now + TICK);
    for (size_t i = 0; !r->is_down && i < r->lease_count;) {
        if (r->leases[i].ends_at <= r->world->now) {
            sim_registry_revoke(r, r->leases[i].id);
        } else {
            i++;
        }
    }
}

/* -- the whole ------------------------------------------------------------- */

void sim_registry_init(struct sim_registry *r, struct sim_world *world)
{
    *r = (struct sim_registry){.world = world, .revision = 1};
    r->last_lease = 0x1000;
    r->tick.fire = on_tick;
    km_timer_heap_add(&world->heap, &r->tick, world->now + TICK);
}

void sim_registry_fini(struct sim_registry *r)
{
    km_timer_heap_remove(&r->world->heap, &r->tick);
    clear_keys(&r->keys);
    clear_keys(&r->changes);
}

void sim_registry_stop(struct sim_registry *r)
{
    r->is_down = true;
    for (size_t i = 0; i < r->client_count; i++) {
        sim_client_break(r->clients[i]);
    }
}

/* An etcd that starts gives each lease its full time again. */
void sim_registry_start(struct sim_registry *r)
{
    r->is_down = false;
    for (size_t i = 0; i < r->lease_count; i++) {
        struct sim_lease *lease = &r->leases[i];
        lease->ends_at = km_ns_after_ms(r->world->now, lease->ttl_ms);
    }
}

void sim_registry_wipe(struct sim_registry *r)
{
    sim_registry_stop(r);
    clear_keys(&r->keys);
    clear_keys(&r->changes);
    r->lease_count = 0;
    r->revision = 1;
    r->compacted = 0;
    sim_registry_start(r);
}

void sim_registry_compact(struct sim_registry *r)
{
    r->compacted = r->revision;
}

void sim_registry_put(struct sim_registry *r, const char *key, kama_bytes value,
                      int64_t lease)
{
    r->revision++;
    sim_put(r, key, value, lease);
    sim_tell_all(r);
}

void sim_remove(struct sim_registry *r, const char *key)
{
    if (sim_registry_find(r, key) != NULL) {
        delete_at(r, place_of(&r->keys, key));
    }
}

void sim_registry_delete(struct sim_registry *r, const char *key)
{
    if (sim_registry_find(r, key) != NULL) {
        r->revision++;
        sim_remove(r, key);
        sim_tell_all(r);
    }
}
