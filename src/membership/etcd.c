/* SPDX-License-Identifier: MIT */
/*
 * The life of the registry, and its table of requests. Two things never happen
 * inside a request: an event, and the end of the registry. Both are left to a
 * mail to the own loop, which runs when the caller has returned.
 */
#include "membership/etcd.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"
#include "membership/etcd_encode.h"
#include "membership/etcd_keep.h"
#include "membership/etcd_line.h"
#include "membership/etcd_login.h"
#include "membership/etcd_request.h"
#include "membership/etcd_watch.h"

#define CONNECT_TIMEOUT_MS 5000

static struct km_etcd *etcd_of(void *registry)
{
    struct km_etcd *etcd = registry;
    KM_ASSERT(etcd->magic == KM_ETCD_MAGIC);
    return etcd;
}

/* -- the mail ------------------------------------------------------------ */

void km_etcd_wake(struct km_etcd *etcd)
{
    if (!etcd->mailed) {
        etcd->mailed = true;
        km_loop_post(etcd->loop, &etcd->mail);
    }
}

void km_etcd_note_outage(struct km_etcd *etcd,
                         const struct km_etcd_failure *failure)
{
    if (etcd->reachable && km_etcd_failure_is_outage(failure)) {
        etcd->reachable = false;
        etcd->events->disconnected(etcd->owner, failure->text);
    }
}

static void tell_failures(struct km_etcd *etcd)
{
    for (int kind = 0; kind < KM_ETCD_KINDS && !etcd->closing; kind++) {
        if (etcd->requests[kind].job.state == KM_ETCD_JOB_FAILED) {
            km_etcd_request_tell(&etcd->requests[kind]);
        }
    }
    if (!etcd->closing && etcd->keep.job.state == KM_ETCD_JOB_FAILED) {
        km_etcd_keep_tell(&etcd->keep);
    }
    if (!etcd->closing && etcd->watcher.job.state == KM_ETCD_JOB_FAILED) {
        km_etcd_watch_tell(&etcd->watcher);
    }
}

static void on_mail(struct km_mail *mail)
{
    struct km_etcd *etcd = KM_CONTAINER_OF(mail, struct km_etcd, mail);
    etcd->mailed = false;
    tell_failures(etcd);
    if (etcd->closing && etcd->channels == 0 && !etcd->mailed) {
        const struct km_registry_events *events = etcd->events;
        void *owner = etcd->owner;
        km_etcd_free(etcd);
        if (events != NULL) {
            events->closed(owner);
        }
    }
}

/* -- life ---------------------------------------------------------------- */

static void init_fields(struct km_etcd *etcd, struct km_loop *loop,
                        const struct km_etcd_options *options)
{
    int64_t ttl_ms = options->lease_ttl_ms > 0 ? options->lease_ttl_ms
                                               : KM_ETCD_LEASE_TTL_MS_DEFAULT;
    etcd->magic = KM_ETCD_MAGIC;
    etcd->loop = loop;
    etcd->clock = options->clock != NULL ? options->clock : km_clock_system();
    etcd->request_timeout_ms = ttl_ms / 2;
    etcd->connect_timeout_ms = options->connect_timeout_ms > 0
                                   ? options->connect_timeout_ms
                                   : CONNECT_TIMEOUT_MS;
    etcd->mail.run = on_mail;
    etcd->main.etcd = etcd;
    etcd->side.etcd = etcd;
    km_etcd_requests_init(etcd);
    km_etcd_keep_init(etcd);
    km_etcd_watch_init(etcd);
}

kama_status km_etcd_new(struct km_loop *loop,
                        const struct km_etcd_options *options,
                        struct km_etcd **ret_etcd)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_etcd *etcd = km_mem_zalloc(mem, 1, sizeof *etcd);
    if (etcd == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    etcd->mem = mem;
    init_fields(etcd, loop, options);
    kama_status status =
        km_etcd_endpoints_init(&etcd->endpoints, mem, options->endpoints);
    if (status == KAMA_OK) {
        status = km_etcd_login_init(etcd, options->user, options->password);
    }
    if (status != KAMA_OK) {
        km_etcd_free(etcd);
        return status;
    }
    *ret_etcd = etcd;
    return KAMA_OK;
}

void km_etcd_bind(struct km_etcd *etcd, const struct km_registry_events *events,
                  void *owner)
{
    KM_ASSERT(etcd->events == NULL);
    etcd->events = events;
    etcd->owner = owner;
}

static void drop_jobs(struct km_etcd *etcd)
{
    km_etcd_requests_fini(etcd);
    km_etcd_keep_fini(etcd);
    km_etcd_watch_fini(etcd);
}

void km_etcd_free(struct km_etcd *etcd)
{
    if (etcd == NULL) {
        return;
    }
    KM_ASSERT(etcd->channels == 0 && !etcd->mailed);
    drop_jobs(etcd);
    km_etcd_login_fini(etcd);
    km_etcd_endpoints_fini(&etcd->endpoints);
    etcd->magic = 0;
    km_mem_free(etcd->mem, etcd);
}

/* -- requests ------------------------------------------------------------ */

static void stamp(void *registry, kama_bytes key, kama_bytes value)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_STAMP);
    km_etcd_request_go(request,
                       km_etcd_encode_stamp(&request->message, key, value));
}

static void grant(void *registry, int64_t ttl_ms)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_GRANT);
    km_etcd_request_go(request,
                       km_etcd_encode_grant(&request->message, ttl_ms));
}

static void keep_alive(void *registry, int64_t lease)
{
    km_etcd_keep_add(&etcd_of(registry)->keep, lease);
}

static void revoke(void *registry, int64_t lease)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_REVOKE);
    km_etcd_request_go(request, km_etcd_encode_lease(&request->message, lease));
}

static void time_left(void *registry, int64_t lease)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_TIME_LEFT);
    request->lease = lease;
    km_etcd_request_go(request, km_etcd_encode_lease(&request->message, lease));
}

static void claim(void *registry, const struct km_registry_claim *claim)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_CLAIM);
    km_etcd_request_go(request, km_etcd_encode_claim(&request->message, claim));
}

static void update(void *registry, const struct km_registry_update *update)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_UPDATE);
    km_etcd_request_go(request,
                       km_etcd_encode_update(&request->message, update));
}

static void remove_key(void *registry, kama_bytes key, int64_t lease)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_REMOVE);
    km_etcd_request_go(request,
                       km_etcd_encode_remove(&request->message, key, lease));
}

/* One record more than is accepted, so that too many are noticed. */
static void list(void *registry, kama_bytes prefix)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd_of(registry), KM_ETCD_LIST);
    km_buf_reset(&request->prefix, SIZE_MAX);
    kama_status status =
        km_buf_append(&request->prefix, prefix.data, prefix.len);
    if (status == KAMA_OK) {
        status = km_etcd_encode_list(&request->message, prefix,
                                     KM_ETCD_RECORDS_MAX + 1);
    }
    km_etcd_request_go(request, status);
}

static void watch(void *registry, kama_bytes prefix, int64_t from_revision)
{
    km_etcd_watch_begin(&etcd_of(registry)->watcher, prefix, from_revision);
}

static void unwatch(void *registry)
{
    km_etcd_watch_drop(&etcd_of(registry)->watcher);
}

static void close_registry(void *registry)
{
    struct km_etcd *etcd = etcd_of(registry);
    KM_ASSERT(!etcd->closing);
    etcd->closing = true;
    drop_jobs(etcd);
    km_etcd_line_close(&etcd->main);
    km_etcd_line_close(&etcd->side);
    km_etcd_wake(etcd);
}

const struct km_registry_ops km_etcd_ops = {
    .stamp = stamp,
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
    .close = close_registry,
};
