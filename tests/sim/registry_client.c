/* SPDX-License-Identifier: MIT */
/*
 * Requests to the virtual registry, and its answers. Both are messages, each
 * one block of memory, that the world delivers after a delay:
 *
 *     | struct message | records | their keys and values |
 */
#include "sim/registry_internal.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT (2 * KM_NS_PER_S)

struct message {
    struct sim_client *client;
    enum sim_request_kind kind;
    unsigned watch;
    int64_t lease, ttl_ms, revision;
    km_ns sent_at;
    struct km_registry_result result;
    enum km_registry_verdict verdict;
    size_t count;
    struct km_registry_record records[];
};

/* Makes a message with copies of records. */
static struct message *make(struct sim_client *client,
                            enum sim_request_kind kind,
                            const struct km_registry_record *records,
                            size_t count)
{
    size_t bytes = sizeof(struct message) + count * sizeof *records;
    for (size_t i = 0; i < count; i++) {
        bytes += records[i].key.len + records[i].value.len + 1;
    }
    struct message *m = calloc(1, bytes);
    KM_ASSERT(m != NULL);
    *m = (struct message){.client = client, .kind = kind, .count = count};
    m->result.text = "";
    char *to = (char *)(m->records + count);
    for (size_t i = 0; i < count; i++) {
        const struct km_registry_record *from = &records[i];
        m->records[i] = *from;
        if (from->key.len > 0) {
            memcpy(to, from->key.data, from->key.len);
        }
        m->records[i].key.data = to;
        to += from->key.len + 1; /* the key has a NUL behind it */
        if (from->value.len > 0) {
            memcpy(to, from->value.data, from->value.len);
        }
        m->records[i].value.data = to;
        to += from->value.len;
    }
    return m;
}

static struct km_registry_record record_of(const struct sim_key *key)
{
    return (struct km_registry_record){
        .key = KAMA_STR(key->key),
        .value = kama_bytes_make(key->value, key->deleted ? 0 : key->value_len),
        .create_revision = key->create_revision,
        .mod_revision = key->mod_revision,
        .version = key->version,
        .lease = key->lease,
        .deleted = key->deleted};
}

/* -- answers --------------------------------------------------------------- */

static void deliver_record(struct message *m)
{
    const struct km_registry_events *e = m->client->events;
    void *owner = m->client->owner;
    switch (m->kind) {
    case SIM_CLAIM:
        e->claimed(owner, &m->result, m->verdict, m->records, m->count,
                   m->revision);
        break;
    case SIM_UPDATE:
        e->updated(owner, &m->result, m->verdict);
        break;
    case SIM_LIST:
        e->listed(owner, &m->result, m->records, m->count, m->revision);
        break;
    case SIM_CHANGED:
        e->changed(owner, m->revision, m->records, m->count);
        break;
    case SIM_WATCH_ENDED:
        e->watch_ended(owner, &m->result, m->revision);
        break;
    default:
        KM_ASSERT(m->kind == SIM_REMOVE);
        e->removed(owner, &m->result);
        break;
    }
}

static void deliver_event(struct message *m)
{
    const struct km_registry_events *e = m->client->events;
    void *owner = m->client->owner;
    switch (m->kind) {
    case SIM_STAMP:
        e->stamped(owner, &m->result);
        break;
    case SIM_GRANT:
        e->granted(owner, &m->result, m->lease, m->ttl_ms);
        break;
    case SIM_KEEP_ALIVE:
        e->kept(owner, &m->result, m->ttl_ms, m->sent_at);
        break;
    case SIM_REVOKE:
        e->revoked(owner, &m->result);
        break;
    case SIM_TIME_LEFT:
        e->left(owner, &m->result, m->ttl_ms);
        break;
    default:
        deliver_record(m);
        break;
    }
}

static bool is_of_watch(enum sim_request_kind kind)
{
    return kind == SIM_CHANGED || kind == SIM_WATCH_ENDED;
}

/* Says that the connection stands, or does not any more. */
static void tell_connection(struct sim_client *c, kama_status status)
{
    bool works = status == KAMA_OK;
    if (works && !c->is_connected) {
        c->is_connected = true;
        c->events->connected(c->owner, "sim:2379", "10.9.9.9");
    } else if (c->is_connected && status == KAMA_ERR_UNREACHABLE) {
        c->is_connected = false;
        c->events->disconnected(c->owner, "sim:2379 refuses the connection");
    }
}

/* What arrives while the process stands still is delivered when it goes on, in
 * the same order. */
static void deliver(void *arg)
{
    struct message *m = arg;
    struct sim_client *c = m->client;
    km_ns now = c->registry->world->now;
    if (c->still_until > now) {
        sim_post(c->registry->world,
                 c->still_until - now + (now - c->still_since) / 1000, deliver,
                 m);
        return;
    }
    bool stale = is_of_watch(m->kind) && m->watch != c->watch;
    if (!is_of_watch(m->kind)) {
        KM_ASSERT(c->busy[m->kind] > 0);
        c->busy[m->kind]--;
    }
    if (!c->is_closed && !stale) {
        tell_connection(c, m->result.status);
        deliver_event(m);
    }
    free(m);
}

static km_ns random_delay(struct sim_client *c)
{
    return sim_between(c->registry->world, c->delay_min, c->delay_max);
}

/* Keepalives, and changes of one watch, arrive in their order. */
static km_ns in_order(struct sim_client *c, enum sim_request_kind kind,
                      km_ns delay)
{
    km_ns now = c->registry->world->now;
    km_ns *last = kind == SIM_KEEP_ALIVE ? &c->last_kept
                  : is_of_watch(kind)    ? &c->last_changed
                                         : NULL;
    if (last == NULL) {
        return delay;
    }
    *last = now + delay > *last ? now + delay : *last + 1;
    return *last - now;
}

static void answer(struct message *m, km_ns delay)
{
    sim_post(m->client->registry->world, in_order(m->client, m->kind, delay),
             deliver, m);
}

static void fail(struct message *m, kama_status status, km_ns delay)
{
    m->result = (struct km_registry_result){status, "sim:2379 does not answer"};
    m->count = 0;
    answer(m, delay);
}

/* -- watches --------------------------------------------------------------- */

static void end_watch(struct sim_client *c, int64_t compact_revision)
{
    struct message *m = make(c, SIM_WATCH_ENDED, NULL, 0);
    m->watch = c->watch;
    m->revision = compact_revision;
    m->result.status = KAMA_ERR_DISCONNECTED;
    m->result.text = "the watch has ended";
    c->is_watching = false;
    answer(m, random_delay(c));
}

/* Sends the changes of one revision that begin at `first`; returns the place
 * behind them. */
static size_t send_changes(struct sim_client *c, size_t first)
{
    const struct sim_keys *changes = &c->registry->changes;
    struct km_registry_record records[8];
    int64_t revision = changes->items[first].mod_revision;
    size_t i = first;
    while (i < changes->count && changes->items[i].mod_revision == revision) {
        KM_ASSERT(i - first < 8);
        records[i - first] = record_of(&changes->items[i]);
        i++;
    }
    if (!c->drops_changes) {
        struct message *m = make(c, SIM_CHANGED, records, i - first);
        m->watch = c->watch;
        m->revision = revision;
        answer(m, random_delay(c));
    }
    c->next_revision = revision + 1;
    return i;
}

static void tell(struct sim_client *c)
{
    const struct sim_keys *changes = &c->registry->changes;
    size_t i = changes->count;
    while (i > 0 && changes->items[i - 1].mod_revision >= c->next_revision) {
        i--;
    }
    while (c->is_watching && i < changes->count) {
        i = send_changes(c, i);
    }
}

void sim_tell_all(struct sim_registry *r)
{
    for (size_t i = 0; i < r->client_count; i++) {
        tell(r->clients[i]);
    }
}

static void begin_watch(struct message *m)
{
    struct sim_client *c = m->client;
    if (m->watch == c->watch && !c->is_closed) {
        c->is_watching = true;
        c->next_revision = m->revision;
        if (c->is_cut || c->registry->is_down) {
            end_watch(c, 0);
        } else if (m->revision <= c->registry->compacted) {
            end_watch(c, c->registry->compacted);
        } else {
            tell(c);
        }
    }
    free(m);
}

/* -- carrying requests out ------------------------------------------------- */

static const char *key_of(const struct message *m, size_t i)
{
    return m->records[i].key.data;
}

/* Makes an answer with all records of a prefix. */
static struct message *read_prefix(struct sim_registry *r,
                                   struct sim_client *client,
                                   enum sim_request_kind kind,
                                   kama_bytes prefix)
{
    struct km_registry_record *records =
        calloc(r->keys.count + 1, sizeof *records);
    size_t count = 0;
    KM_ASSERT(records != NULL);
    for (size_t i = 0; i < r->keys.count; i++) {
        if (km_bytes_starts(KAMA_STR(r->keys.items[i].key), prefix)) {
            records[count++] = record_of(&r->keys.items[i]);
        }
    }
    struct message *answer = make(client, kind, records, count);
    answer->revision = r->revision;
    free(records);
    return answer;
}

static void run_claim(struct sim_registry *r, struct message *m,
                      struct message **ret_answer)
{
    const struct sim_key *there = sim_registry_find(r, key_of(m, 0));
    int64_t is = there != NULL ? there->mod_revision : 0;
    if (is != m->revision) {
        struct km_registry_record found = {0};
        if (there != NULL) {
            found = record_of(there);
        }
        *ret_answer = make(m->client, SIM_CLAIM, &found, there != NULL);
        (*ret_answer)->verdict = KM_REGISTRY_REFUSED;
        free(m);
        return;
    }
    r->revision++;
    sim_put(r, key_of(m, 0), m->records[0].value, m->lease);
    if (m->records[1].key.len > 0) {
        sim_put(r, key_of(m, 1), m->records[1].value, m->lease);
    }
    sim_put(r, key_of(m, 2), KM_LIT("1"), 0);
    *ret_answer = read_prefix(r, m->client, SIM_CLAIM, m->records[3].key);
    (*ret_answer)->verdict = KM_REGISTRY_DONE;
    free(m);
    sim_tell_all(r);
}

static void run_update(struct sim_registry *r, struct message *m)
{
    const struct sim_key *there = sim_registry_find(r, key_of(m, 0));
    if (there == NULL || there->lease != m->lease) {
        m->verdict = KM_REGISTRY_REFUSED;
    } else {
        r->revision++;
        sim_put(r, key_of(m, 0), m->records[0].value, m->lease);
        if (m->records[1].value.len > 0) {
            sim_put(r, key_of(m, 1), m->records[1].value, m->lease);
        } else {
            sim_remove(r, key_of(m, 1));
        }
        m->verdict = KM_REGISTRY_DONE;
        sim_tell_all(r);
    }
}

static void run_list(struct sim_registry *r, struct message *m,
                     struct message **ret_answer)
{
    *ret_answer = read_prefix(r, m->client, SIM_LIST, m->records[0].key);
    free(m);
}

static void run_lease(struct sim_registry *r, struct message *m)
{
    struct sim_lease *lease = sim_find_lease(r, m->lease);
    switch (m->kind) {
    case SIM_GRANT:
        m->lease = sim_registry_grant(r, m->ttl_ms);
        break;
    case SIM_KEEP_ALIVE:
        m->ttl_ms = lease != NULL ? lease->ttl_ms : 0;
        if (lease != NULL) {
            lease->ends_at = km_ns_after_ms(r->world->now, lease->ttl_ms);
        }
        break;
    case SIM_REVOKE:
        sim_registry_revoke(r, m->lease);
        break;
    default:
        m->ttl_ms = -1;
        if (lease != NULL && lease->ends_at > r->world->now) {
            m->ttl_ms =
                (int64_t)((lease->ends_at - r->world->now) / KM_NS_PER_MS);
        }
        break;
    }
}

static struct message *run(struct sim_registry *r, struct message *m)
{
    struct message *answered = m;
    bool needs_lease = m->kind == SIM_CLAIM || m->kind == SIM_UPDATE;
    if (needs_lease && sim_find_lease(r, m->lease) == NULL) {
        m->result = (struct km_registry_result){KAMA_ERR_INVALID,
                                                "the lease is not known"};
        m->count = 0;
    } else if (m->kind == SIM_STAMP) {
        if (sim_registry_find(r, key_of(m, 0)) == NULL) {
            sim_registry_put(r, key_of(m, 0), m->records[0].value, 0);
        }
    } else if (m->kind == SIM_CLAIM) {
        run_claim(r, m, &answered);
    } else if (m->kind == SIM_UPDATE) {
        run_update(r, m);
    } else if (m->kind == SIM_LIST) {
        run_list(r, m, &answered);
    } else {
        run_lease(r, m);
    }
    return answered;
}

static void arrive(void *arg)
{
    struct message *m = arg;
    struct sim_client *c = m->client;
    if (m->kind == SIM_WATCH) {
        begin_watch(m);
    } else if (c->registry->is_down || c->is_cut) {
        fail(m, KAMA_ERR_UNREACHABLE, random_delay(c));
    } else if (c->refuses != KAMA_OK) {
        fail(m, c->refuses, random_delay(c));
    } else {
        m = run(c->registry, m);
        if (sim_chance(c->registry->world, c->lose_answer)) {
            fail(m, KAMA_ERR_TIMEOUT, TIMEOUT);
        } else {
            answer(m, random_delay(c));
        }
    }
}

static void send(struct message *m)
{
    struct sim_client *c = m->client;
    KM_ASSERT(!c->is_closed);
    c->requests[m->kind]++;
    if (m->kind != SIM_WATCH) {
        KM_ASSERT(c->busy[m->kind] == 0 || m->kind == SIM_KEEP_ALIVE);
        c->busy[m->kind]++;
        if (sim_chance(c->registry->world, c->lose_request)) {
            fail(m, KAMA_ERR_TIMEOUT, TIMEOUT);
            return;
        }
    }
    sim_post(c->registry->world, random_delay(c), arrive, m);
}

/* -- the table of functions ------------------------------------------------ */

static void stamp(void *registry, kama_bytes key, kama_bytes value)
{
    struct km_registry_record record = {.key = key, .value = value};
    send(make(registry, SIM_STAMP, &record, 1));
}

static void send_lease(void *registry, enum sim_request_kind kind,
                       int64_t lease, int64_t ttl_ms)
{
    struct sim_client *c = registry;
    struct message *m = make(c, kind, NULL, 0);
    m->lease = lease;
    m->ttl_ms = ttl_ms;
    m->sent_at =
        c->registry->world->now + c->clock->origin + c->clock->suspended;
    send(m);
}

static void grant(void *registry, int64_t ttl_ms)
{
    send_lease(registry, SIM_GRANT, 0, ttl_ms);
}

static void keep_alive(void *registry, int64_t lease)
{
    send_lease(registry, SIM_KEEP_ALIVE, lease, 0);
}

static void revoke(void *registry, int64_t lease)
{
    send_lease(registry, SIM_REVOKE, lease, 0);
}

static void time_left(void *registry, int64_t lease)
{
    send_lease(registry, SIM_TIME_LEFT, lease, 0);
}

static void claim(void *registry, const struct km_registry_claim *claim)
{
    const struct km_registry_record records[] = {
        {.key = claim->member_key, .value = claim->member_value},
        {.key = claim->sister_key, .value = claim->sister_value},
        {.key = claim->joins_key},
        {.key = claim->prefix}};
    struct message *m = make(registry, SIM_CLAIM, records, 4);
    m->lease = claim->lease;
    m->revision = claim->expected_mod_revision;
    send(m);
}

static void update(void *registry, const struct km_registry_update *update)
{
    const struct km_registry_record records[] = {
        {.key = update->member_key, .value = update->member_value},
        {.key = update->sister_key, .value = update->sister_value}};
    struct message *m = make(registry, SIM_UPDATE, records, 2);
    m->lease = update->lease;
    send(m);
}

static void remove_key(void *registry, kama_bytes key, int64_t lease)
{
    struct km_registry_record record = {.key = key};
    struct message *m = make(registry, SIM_REMOVE, &record, 1);
    m->lease = lease;
    send(m);
}

static void list(void *registry, kama_bytes prefix)
{
    struct km_registry_record record = {.key = prefix};
    send(make(registry, SIM_LIST, &record, 1));
}

static void watch(void *registry, kama_bytes prefix, int64_t from_revision)
{
    struct sim_client *c = registry;
    struct message *m = make(c, SIM_WATCH, NULL, 0);
    (void)prefix; /* the tests have one service, and membership filters */
    c->watch++;
    c->is_watching = false;
    m->watch = c->watch;
    m->revision = from_revision;
    send(m);
}

static void unwatch(void *registry)
{
    struct sim_client *c = registry;
    c->watch++;
    c->is_watching = false;
}

static void say_closed(void *arg)
{
    struct message *m = arg;
    struct sim_client *c = m->client;
    free(m);
    c->events->closed(c->owner);
}

static void close_client(void *registry)
{
    struct sim_client *c = registry;
    KM_ASSERT(!c->is_closed);
    unwatch(c);
    c->is_closed = true;
    sim_post(c->registry->world, 1, say_closed, make(c, SIM_KINDS, NULL, 0));
}

const struct km_registry_ops sim_client_ops = {.stamp = stamp,
                                               .grant = grant,
                                               .keep_alive = keep_alive,
                                               .revoke = revoke,
                                               .time_left = time_left,
                                               .claim = claim,
                                               .update = update,
                                               .remove = remove_key,
                                               .list = list,
                                               .watch = watch,
                                               .unwatch = unwatch,
                                               .close = close_client};

/* -- clients --------------------------------------------------------------- */

void sim_client_init(struct sim_client *client, struct sim_registry *registry,
                     struct sim_clock *clock,
                     const struct km_registry_events *events, void *owner)
{
    KM_ASSERT(registry->client_count < SIM_CLIENTS_MAX);
    *client = (struct sim_client){.registry = registry,
                                  .clock = clock,
                                  .events = events,
                                  .owner = owner,
                                  .delay_min = KM_NS_PER_MS,
                                  .delay_max = KM_NS_PER_MS};
    registry->clients[registry->client_count++] = client;
}

void sim_client_break(struct sim_client *c)
{
    if (c->is_watching && !c->is_closed) {
        end_watch(c, 0);
    }
}

void sim_client_cut(struct sim_client *c)
{
    c->is_cut = true;
    sim_client_break(c);
}

void sim_client_mend(struct sim_client *c)
{
    c->is_cut = false;
}
