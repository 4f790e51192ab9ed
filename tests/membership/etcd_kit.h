/* SPDX-License-Identifier: MIT */
/*
 * The fixture of the tests of the registry in etcd: a loop with a registry, and
 * an owner that counts the events and keeps the last one of each kind.
 *
 *     registry_begin(&r, "127.0.0.1:2379", NULL, NULL);
 *     ask_grant(&r, 10000);
 *     wait_for(&r, GRANTED, 1);
 *     ... r.seen[GRANTED].status ...
 *     registry_end(&r);
 */
#pragma once

#include "membership/etcd.h"
#include "net/net_kit.h"

enum event {
    STAMPED,
    GRANTED,
    KEPT,
    REVOKED,
    LEFT,
    CLAIMED,
    UPDATED,
    REMOVED,
    LISTED,
    CHANGED,
    WATCH_ENDED,
    CONNECTED,
    DISCONNECTED,
    CLOSED,
    EVENTS
};

/* The last event of a kind; the loop writes it before it hits the latch. */
struct seen {
    struct latch latch;
    kama_status status;
    char text[300];
    int64_t lease, ttl_ms, revision, compact_revision;
    km_ns sent_at;
    enum km_registry_verdict verdict;
    size_t count;
    char records[4096]; /* "key=value " or "key! " of each */
};

struct registry {
    struct km_loop *loop;
    struct km_etcd *etcd;
    struct seen seen[EVENTS];
    unsigned steps; /* changes, for each_revision_comes_whole */
    char history[8192];
    enum event close_in; /* closes the registry inside this event */
    bool close_armed;
    bool closing;
};

/* -- the owner ------------------------------------------------------------ */

static inline void note(struct registry *r, enum event event)
{
    KM_ASSERT(latch_count(&r->seen[CLOSED].latch) == 0);
    KM_ASSERT(!r->closing || event == CLOSED);
    if (r->close_armed && r->close_in == event) {
        r->closing = true;
        km_etcd_ops.close(r->etcd);
    }
    latch_hit(&r->seen[event].latch);
}

static inline struct seen *note_result(struct registry *r, enum event event,
                                       const struct km_registry_result *result)
{
    struct seen *seen = &r->seen[event];
    seen->status = result->status;
    (void)snprintf(seen->text, sizeof seen->text, "%s", result->text);
    KM_ASSERT(result->status == KAMA_OK || result->text[0] != '\0');
    return seen;
}

static inline void note_records(struct seen *seen,
                                const struct km_registry_record *records,
                                size_t count)
{
    size_t len = 0;
    seen->count = count;
    seen->records[0] = '\0';
    for (size_t i = 0; i < count && len + 200 < sizeof seen->records; i++) {
        const struct km_registry_record *record = &records[i];
        len += (size_t)snprintf(
            seen->records + len, sizeof seen->records - len,
            record->deleted ? "%.*s! " : "%.*s=%.*s ", (int)record->key.len,
            (const char *)record->key.data, (int)(record->value.len & 63),
            (const char *)record->value.data);
    }
}

static inline void on_stamped(void *owner,
                              const struct km_registry_result *result)
{
    (void)note_result(owner, STAMPED, result);
    note(owner, STAMPED);
}

static inline void on_granted(void *owner,
                              const struct km_registry_result *result,
                              int64_t lease, int64_t ttl_ms)
{
    struct seen *seen = note_result(owner, GRANTED, result);
    seen->lease = lease;
    seen->ttl_ms = ttl_ms;
    note(owner, GRANTED);
}

static inline void on_kept(void *owner, const struct km_registry_result *result,
                           int64_t ttl_ms, km_ns sent_at)
{
    struct seen *seen = note_result(owner, KEPT, result);
    seen->ttl_ms = ttl_ms;
    seen->sent_at = sent_at;
    note(owner, KEPT);
}

static inline void on_revoked(void *owner,
                              const struct km_registry_result *result)
{
    (void)note_result(owner, REVOKED, result);
    note(owner, REVOKED);
}

static inline void on_left(void *owner, const struct km_registry_result *result,
                           int64_t ttl_ms)
{
    note_result(owner, LEFT, result)->ttl_ms = ttl_ms;
    note(owner, LEFT);
}

static inline void on_claimed(void *owner,
                              const struct km_registry_result *result,
                              enum km_registry_verdict verdict,
                              const struct km_registry_record *records,
                              size_t count, int64_t revision)
{
    struct seen *seen = note_result(owner, CLAIMED, result);
    seen->verdict = verdict;
    note_records(seen, records, count);
    seen->revision = count == 1 ? records[0].mod_revision : revision;
    seen->lease = count == 1 ? records[0].lease : 0;
    note(owner, CLAIMED);
}

static inline void on_updated(void *owner,
                              const struct km_registry_result *result,
                              enum km_registry_verdict verdict)
{
    note_result(owner, UPDATED, result)->verdict = verdict;
    note(owner, UPDATED);
}

static inline void on_removed(void *owner,
                              const struct km_registry_result *result)
{
    (void)note_result(owner, REMOVED, result);
    note(owner, REMOVED);
}

static inline void on_listed(void *owner,
                             const struct km_registry_result *result,
                             const struct km_registry_record *records,
                             size_t count, int64_t revision)
{
    struct seen *seen = note_result(owner, LISTED, result);
    note_records(seen, records, count);
    seen->revision = revision;
    note(owner, LISTED);
}

static inline void on_changed(void *owner, int64_t revision,
                              const struct km_registry_record *records,
                              size_t count)
{
    struct registry *r = owner;
    struct seen *seen = &r->seen[CHANGED];
    KM_ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) {
        KM_ASSERT(records[i].mod_revision == revision);
    }
    note_records(seen, records, count);
    seen->revision = revision;
    r->steps++;
    size_t len = strlen(r->history);
    (void)snprintf(r->history + len, sizeof r->history - len, "%s| ",
                   seen->records);
    note(owner, CHANGED);
}

static inline void on_watch_ended(void *owner,
                                  const struct km_registry_result *result,
                                  int64_t compact_revision)
{
    note_result(owner, WATCH_ENDED, result)->compact_revision =
        compact_revision;
    note(owner, WATCH_ENDED);
}

static inline void on_connected(void *owner, const char *endpoint,
                                const char *local)
{
    struct registry *r = owner;
    (void)snprintf(r->seen[CONNECTED].text, sizeof r->seen[CONNECTED].text,
                   "%s from %s", endpoint, local);
    note(owner, CONNECTED);
}

static inline void on_disconnected(void *owner, const char *text)
{
    struct registry *r = owner;
    (void)snprintf(r->seen[DISCONNECTED].text,
                   sizeof r->seen[DISCONNECTED].text, "%s", text);
    note(owner, DISCONNECTED);
}

static inline void on_closed(void *owner)
{
    note(owner, CLOSED);
}

static const struct km_registry_events owner_events = {
    .stamped = on_stamped,
    .granted = on_granted,
    .kept = on_kept,
    .revoked = on_revoked,
    .left = on_left,
    .claimed = on_claimed,
    .updated = on_updated,
    .removed = on_removed,
    .listed = on_listed,
    .changed = on_changed,
    .watch_ended = on_watch_ended,
    .connected = on_connected,
    .disconnected = on_disconnected,
    .closed = on_closed,
};

/* -- life ----------------------------------------------------------------- */

static inline kama_status registry_try(struct registry *r,
                                       const struct km_etcd_options *options)
{
    memset(r, 0, sizeof *r);
    kama_status status = km_loop_new(options->mem, NULL, 0, &r->loop);
    if (status != KAMA_OK) {
        return status;
    }
    status = km_etcd_new(r->loop, options, &r->etcd);
    if (status != KAMA_OK) {
        km_loop_free(r->loop);
        return status;
    }
    for (int i = 0; i < EVENTS; i++) {
        latch_init(&r->seen[i].latch);
    }
    km_etcd_bind(r->etcd, &owner_events, r);
    assert_int_equal(km_loop_start(r->loop), KAMA_OK);
    return KAMA_OK;
}

static inline void registry_begin(struct registry *r, const char *endpoints,
                                  const char *user, const char *password)
{
    const struct km_etcd_options options = {
        .endpoints = endpoints, .user = user, .password = password};
    assert_int_equal(registry_try(r, &options), KAMA_OK);
}

static inline void registry_close(void *arg)
{
    struct registry *r = arg;
    if (!r->closing) {
        r->closing = true;
        km_etcd_ops.close(r->etcd);
    }
}

static inline void wait_for(struct registry *r, enum event event, unsigned n)
{
    latch_wait(&r->seen[event].latch, n);
}

static inline unsigned count_of(struct registry *r, enum event event)
{
    return latch_count(&r->seen[event].latch);
}

static inline void registry_end(struct registry *r)
{
    on_loop(r->loop, registry_close, r);
    wait_for(r, CLOSED, 1);
    loop_end(r->loop);
    assert_int_equal(count_of(r, CLOSED), 1);
    for (int i = 0; i < EVENTS; i++) {
        latch_fini(&r->seen[i].latch);
    }
}

/* -- requests ------------------------------------------------------------- */

struct ask {
    struct registry *r;
    enum event event;
    const char *key, *value, *sister;
    int64_t number; /* a lease, a revision or a time */
    struct km_registry_claim claim;
    unsigned before; /* how often the event had come before the request */
};

static inline void ask_run(void *arg)
{
    struct ask *ask = arg;
    struct km_etcd *etcd = ask->r->etcd;
    const struct km_registry_ops *ops = &km_etcd_ops;
    kama_bytes key = kama_bytes_str(ask->key != NULL ? ask->key : "");
    kama_bytes sister = kama_bytes_str(ask->sister != NULL ? ask->sister : "");
    kama_bytes value = kama_bytes_str(ask->value != NULL ? ask->value : "");
    ask->before = count_of(ask->r, ask->event);
    switch (ask->event) {
    case STAMPED:
        ops->stamp(etcd, key, value);
        break;
    case GRANTED:
        ops->grant(etcd, ask->number);
        break;
    case KEPT:
        ops->keep_alive(etcd, ask->number);
        break;
    case REVOKED:
        ops->revoke(etcd, ask->number);
        break;
    case LEFT:
        ops->time_left(etcd, ask->number);
        break;
    case CLAIMED:
        ops->claim(etcd, &ask->claim);
        break;
    case UPDATED:
        ops->update(etcd, &(struct km_registry_update){
                              .member_key = key,
                              .member_value = value,
                              .sister_key = kama_bytes_str("/services/t/a:1"),
                              .sister_value = sister,
                              .lease = ask->number});
        break;
    case REMOVED:
        ops->remove(etcd, key, ask->number);
        break;
    case LISTED:
        ops->list(etcd, key);
        break;
    case CHANGED:
        ops->watch(etcd, key, ask->number);
        break;
    default:
        ops->unwatch(etcd);
        break;
    }
    KM_ASSERT(ask->before == count_of(ask->r, ask->event));
}

/* Makes a request, and returns how often its event had come before. */
static inline unsigned ask(struct registry *r, struct ask ask)
{
    ask.r = r;
    on_loop(r->loop, ask_run, &ask);
    return ask.before;
}

/* Makes a request and waits for its event. */
static inline struct seen *get(struct registry *r, struct ask request)
{
    enum event event = request.event;
    unsigned before = ask(r, request);
    wait_for(r, event, before + 1);
    return &r->seen[event];
}

/* The same; it must succeed. */
static inline struct seen *get_ok(struct registry *r, struct ask request)
{
    struct seen *seen = get(r, request);
    if (seen->status != KAMA_OK) {
        fail_msg("event %d: %s, \"%s\"", (int)request.event,
                 kama_status_name(seen->status), seen->text);
    }
    return seen;
}

static inline struct ask make_ask(enum event event, const char *key,
                                  const char *value, int64_t number)
{
    return (struct ask){
        .event = event, .key = key, .value = value, .number = number};
}

/* The claim of a member at PREFIX. */
#define PREFIX "/kamacache/v1/t/"

static inline struct ask claim_of(int64_t lease, const char *value,
                                  int64_t expected)
{
    return (struct ask){
        .event = CLAIMED,
        .claim = {.member_key = kama_bytes_str(PREFIX "members/a:1"),
                  .member_value = kama_bytes_str(value),
                  .sister_key = kama_bytes_str("/services/t/a:1"),
                  .sister_value = kama_bytes_str("a:1"),
                  .joins_key = kama_bytes_str(PREFIX "joins"),
                  .prefix = kama_bytes_str(PREFIX),
                  .lease = lease,
                  .expected_mod_revision = expected}};
}

static inline int64_t grant(struct registry *r, int64_t ttl_ms)
{
    return get_ok(r, make_ask(GRANTED, NULL, NULL, ttl_ms))->lease;
}
