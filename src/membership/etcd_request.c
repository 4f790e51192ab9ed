/* SPDX-License-Identifier: MIT */
/* The table at the end of this file says for each kind of request where it goes,
 * how its answer is read, and which event its end is. */
#include "membership/etcd_request.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/status.h"
#include "membership/etcd_answer.h"
#include "membership/etcd_call.h"
#include "membership/etcd_encode.h"
#include "membership/etcd_login.h"

#include <string.h>

#define MESSAGE_BYTES_KEPT 4096

struct kind {
    const char *path;
    /* Reads the answer; if it can be believed, ends the request and calls its
     * event. */
    kama_status (*answer)(struct km_etcd_request *request, kama_bytes answer);
    /* Calls the event of a failure. */
    void (*failed)(struct km_etcd *etcd,
                   const struct km_registry_result *result);
};

static const struct kind kinds[KM_ETCD_KINDS];

static const struct km_registry_result ok = {KAMA_OK, ""};

/* The request is idle before its event runs, which may begin the next one. */
static void done(struct km_etcd_request *request)
{
    km_etcd_call_let_go(request->job.call);
    request->job.call = NULL;
    request->job.state = KM_ETCD_JOB_IDLE;
}

/* -- answers ------------------------------------------------------------- */

/* Reads a transaction of which only the verdict counts. */
static kama_status end_txn(struct km_etcd_request *request, kama_bytes answer,
                           enum km_registry_verdict *ret_verdict)
{
    struct km_registry_record found;
    kama_status status = km_etcd_answer_txn(answer, ret_verdict, &found);
    if (status == KAMA_OK) {
        done(request);
    }
    return status;
}

static kama_status answer_stamp(struct km_etcd_request *request,
                                kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    enum km_registry_verdict verdict;
    kama_status status = end_txn(request, answer, &verdict);
    if (status == KAMA_OK) {
        etcd->events->stamped(etcd->owner, &ok);
    }
    return status;
}

static kama_status answer_grant(struct km_etcd_request *request,
                                kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    int64_t lease;
    int64_t ttl_ms;
    kama_status status = km_etcd_answer_grant(answer, &lease, &ttl_ms);
    if (status == KAMA_OK) {
        done(request);
        etcd->events->granted(etcd->owner, &ok, lease, ttl_ms);
    }
    return status;
}

/* Says nothing but a header. */
static kama_status answer_revoke(struct km_etcd_request *request,
                                 kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    struct km_etcd_lease_answer revoked;
    if (km_pb_decode(&km_etcd_lease_answer_pb, answer, &revoked) != KAMA_OK) {
        return km_fail(KAMA_ERR_MALFORMED,
                       "the answer of LeaseRevoke cannot be decoded");
    }
    done(request);
    etcd->events->revoked(etcd->owner, &ok);
    return KAMA_OK;
}

static kama_status answer_time_left(struct km_etcd_request *request,
                                    kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    int64_t ttl_ms;
    kama_status status = km_etcd_answer_lease(answer, request->lease, &ttl_ms);
    if (status == KAMA_OK) {
        done(request);
        etcd->events->left(etcd->owner, &ok, ttl_ms);
    }
    return status;
}

static kama_status answer_claim(struct km_etcd_request *request,
                                kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    enum km_registry_verdict verdict;
    struct km_etcd_records records = {0};
    int64_t revision = 0;
    kama_status status =
        km_etcd_answer_claim(answer, etcd->mem, &verdict, &records, &revision);
    if (status == KAMA_OK) {
        done(request);
        etcd->events->claimed(etcd->owner, &ok, verdict, records.at,
                              records.count, revision);
    }
    km_etcd_records_fini(&records, etcd->mem);
    return status;
}

static kama_status answer_update(struct km_etcd_request *request,
                                 kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    enum km_registry_verdict verdict;
    kama_status status = end_txn(request, answer, &verdict);
    if (status == KAMA_OK) {
        etcd->events->updated(etcd->owner, &ok, verdict);
    }
    return status;
}

static kama_status answer_remove(struct km_etcd_request *request,
                                 kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    enum km_registry_verdict verdict;
    kama_status status = end_txn(request, answer, &verdict);
    if (status == KAMA_OK) {
        etcd->events->removed(etcd->owner, &ok);
    }
    return status;
}

static kama_status answer_list(struct km_etcd_request *request,
                               kama_bytes answer)
{
    struct km_etcd *etcd = request->etcd;
    struct km_etcd_records records = {0};
    int64_t revision = 0;
    kama_status status = km_etcd_answer_list(
        answer, km_buf_bytes(&request->prefix), etcd->mem, &records, &revision);
    if (status == KAMA_OK) {
        done(request);
        etcd->events->listed(etcd->owner, &ok, records.at, records.count,
                             revision);
    }
    km_etcd_records_fini(&records, etcd->mem);
    return status;
}

static kama_status answer_log_in(struct km_etcd_request *request,
                                 kama_bytes answer)
{
    kama_status status = km_etcd_login_answer(request->etcd, answer);
    if (status == KAMA_OK) {
        done(request);
        km_etcd_login_done(request->etcd);
    }
    return status;
}

/* -- failures ------------------------------------------------------------ */

static void stamp_failed(struct km_etcd *etcd,
                         const struct km_registry_result *result)
{
    etcd->events->stamped(etcd->owner, result);
}

static void grant_failed(struct km_etcd *etcd,
                         const struct km_registry_result *result)
{
    etcd->events->granted(etcd->owner, result, 0, 0);
}

static void revoke_failed(struct km_etcd *etcd,
                          const struct km_registry_result *result)
{
    etcd->events->revoked(etcd->owner, result);
}

static void time_left_failed(struct km_etcd *etcd,
                             const struct km_registry_result *result)
{
    etcd->events->left(etcd->owner, result, 0);
}

static void claim_failed(struct km_etcd *etcd,
                         const struct km_registry_result *result)
{
    etcd->events->claimed(etcd->owner, result, KM_REGISTRY_REFUSED, NULL, 0, 0);
}

static void update_failed(struct km_etcd *etcd,
                          const struct km_registry_result *result)
{
    etcd->events->updated(etcd->owner, result, KM_REGISTRY_REFUSED);
}

static void remove_failed(struct km_etcd *etcd,
                          const struct km_registry_result *result)
{
    etcd->events->removed(etcd->owner, result);
}

static void list_failed(struct km_etcd *etcd,
                        const struct km_registry_result *result)
{
    etcd->events->listed(etcd->owner, result, NULL, 0, 0);
}

/* Whether somebody else has revoked the lease, or it has expired: the owner has its wish. */
static bool is_wanted(const struct km_etcd_request *request)
{
    return request->kind == KM_ETCD_REVOKE &&
           request->job.failure.verdict == KM_ETCD_NO_LEASE;
}

void km_etcd_request_tell(struct km_etcd_request *request)
{
    KM_ASSERT(request->job.state == KM_ETCD_JOB_FAILED);
    struct km_etcd *etcd = request->etcd;
    struct km_etcd_failure failure = request->job.failure;
    request->job.state = KM_ETCD_JOB_IDLE;
    if (request->kind == KM_ETCD_LOG_IN) {
        km_etcd_login_failed(etcd, &failure);
        return;
    }
    bool wanted = is_wanted(request);
    const struct km_registry_result result = {failure.status, failure.text};
    km_etcd_note_outage(etcd, &failure);
    if (!etcd->closing) {
        kinds[request->kind].failed(etcd, wanted ? &ok : &result);
    }
}

/* -- attempts ------------------------------------------------------------ */

static kama_status on_message(void *arg, kama_bytes message)
{
    struct km_etcd_request *request = arg;
    KM_ASSERT(request->job.state == KM_ETCD_JOB_CALLING);
    return kinds[request->kind].answer(request, message);
}

static void on_end(void *arg, struct km_etcd_failure *failure)
{
    struct km_etcd_request *request = arg;
    struct km_etcd *etcd = request->etcd;
    if (request->kind == KM_ETCD_LOG_IN && failure->verdict == KM_ETCD_LOGIN) {
        request->job.logged_in_again = true; /* it is about the password */
    }
    if (km_etcd_job_after(etcd, &request->job, failure) == KM_ETCD_JOB_AGAIN) {
        km_etcd_request_run(request);
    } else {
        km_etcd_job_fail(etcd, &request->job, failure);
    }
}

static const struct km_etcd_call_ops request_ops = {on_message, on_end};

void km_etcd_request_run(struct km_etcd_request *request)
{
    struct km_etcd *etcd = request->etcd;
    struct km_etcd_job *job = &request->job;
    if (request->kind != KM_ETCD_LOG_IN && km_etcd_login_wait(etcd)) {
        job->state = KM_ETCD_JOB_WAITING;
        return;
    }
    job->token_generation = etcd->login.generation;
    kama_status status = km_etcd_call_new(
        &etcd->main, kinds[request->kind].path, KM_ETCD_UNARY,
        km_buf_bytes(&request->message), &request_ops, request, &job->call);
    if (status != KAMA_OK) {
        job->state = KM_ETCD_JOB_IDLE;
        km_etcd_job_fail_here(etcd, job, status);
        return;
    }
    job->state = KM_ETCD_JOB_CALLING;
}

/* -- requests ------------------------------------------------------------ */

struct km_etcd_request *km_etcd_request_begin(struct km_etcd *etcd,
                                              enum km_etcd_kind kind)
{
    struct km_etcd_request *request = &etcd->requests[kind];
    KM_ASSERT(!etcd->closing && etcd->events != NULL);
    km_etcd_job_begin(etcd, &request->job);
    km_buf_reset(&request->message, MESSAGE_BYTES_KEPT);
    return request;
}

void km_etcd_request_go(struct km_etcd_request *request, kama_status encoded)
{
    if (encoded == KAMA_OK) {
        km_etcd_request_run(request);
    } else {
        km_etcd_job_fail_here(request->etcd, &request->job, encoded);
    }
}

void km_etcd_request_log_in(struct km_etcd *etcd)
{
    struct km_etcd_request *request =
        km_etcd_request_begin(etcd, KM_ETCD_LOG_IN);
    kama_status status = km_etcd_encode_login(
        &request->message, etcd->login.user, etcd->login.password);
    km_etcd_request_go(request, status);
}

void km_etcd_requests_init(struct km_etcd *etcd)
{
    for (int kind = 0; kind < KM_ETCD_KINDS; kind++) {
        struct km_etcd_request *request = &etcd->requests[kind];
        request->etcd = etcd;
        request->kind = (enum km_etcd_kind)kind;
        km_buf_init(&request->message, etcd->mem, SIZE_MAX);
        km_buf_init(&request->prefix, etcd->mem, SIZE_MAX);
    }
}

void km_etcd_requests_fini(struct km_etcd *etcd)
{
    for (int kind = 0; kind < KM_ETCD_KINDS; kind++) {
        struct km_etcd_request *request = &etcd->requests[kind];
        km_etcd_job_drop(&request->job);
        if (kind == KM_ETCD_LOG_IN && request->message.len > 0) {
            explicit_bzero(request->message.data, request->message.len);
        }
        km_buf_fini(&request->message);
        km_buf_fini(&request->prefix);
    }
}

static const struct kind kinds[KM_ETCD_KINDS] = {
    [KM_ETCD_STAMP] = {"/etcdserverpb.KV/Txn", answer_stamp, stamp_failed},
    [KM_ETCD_GRANT] = {"/etcdserverpb.Lease/LeaseGrant", answer_grant,
                       grant_failed},
    [KM_ETCD_REVOKE] = {"/etcdserverpb.Lease/LeaseRevoke", answer_revoke,
                        revoke_failed},
    [KM_ETCD_TIME_LEFT] = {"/etcdserverpb.Lease/LeaseTimeToLive",
                           answer_time_left, time_left_failed},
    [KM_ETCD_CLAIM] = {"/etcdserverpb.KV/Txn", answer_claim, claim_failed},
    [KM_ETCD_UPDATE] = {"/etcdserverpb.KV/Txn", answer_update, update_failed},
    [KM_ETCD_REMOVE] = {"/etcdserverpb.KV/Txn", answer_remove, remove_failed},
    [KM_ETCD_LIST] = {"/etcdserverpb.KV/Range", answer_list, list_failed},
    [KM_ETCD_LOG_IN] = {"/etcdserverpb.Auth/Authenticate", answer_log_in, NULL},
};
