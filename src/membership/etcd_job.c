/* SPDX-License-Identifier: MIT */
/* The decisions that requests, keepalives and the watch have in common. */
#include "base/assert.h"
#include "base/status.h"
#include "base/text.h"
#include "membership/etcd_call.h"
#include "membership/etcd_line.h"
#include "membership/etcd_login.h"

void km_etcd_job_begin(struct km_etcd *etcd, struct km_etcd_job *job)
{
    KM_ASSERT(job->state == KM_ETCD_JOB_IDLE && job->call == NULL);
    job->begun_at = km_loop_now(etcd->loop);
    job->tries = 0;
    job->lost_once = false;
    job->logged_in_again = false;
}

/* A connection that was lost while it was idle is found out by the next call, at
 * once, which is why that is forgiven. A connection that another job has given
 * up after a long silence is not: the time for this endpoint is used up. */
static bool is_fresh(const struct km_etcd *etcd, const struct km_etcd_job *job)
{
    return km_loop_now(etcd->loop) <
           km_ns_after_ms(job->begun_at, etcd->request_timeout_ms / 2);
}

static enum km_etcd_job_next after_outage(struct km_etcd *etcd,
                                          struct km_etcd_job *job,
                                          const struct km_etcd_failure *failure)
{
    if (failure->verdict == KM_ETCD_LOST && !job->lost_once &&
        is_fresh(etcd, job)) {
        job->lost_once = true;
        return KM_ETCD_JOB_AGAIN;
    }
    job->tries++;
    return job->tries < etcd->endpoints.count ? KM_ETCD_JOB_AGAIN
                                              : KM_ETCD_JOB_GIVE_UP;
}

static enum km_etcd_job_next after_refused_token(
    struct km_etcd *etcd, struct km_etcd_job *job,
    struct km_etcd_failure *failure)
{
    failure->status = KAMA_ERR_UNAUTHENTICATED;
    if (etcd->login.user == NULL) {
        char text[KM_ERROR_BYTES_MAX];
        (void)km_text_printf(text, sizeof text,
                             "%s; etcd asks for a user: set etcd-user",
                             failure->text);
        (void)km_text_printf(failure->text, sizeof failure->text, "%s", text);
        return KM_ETCD_JOB_GIVE_UP;
    }
    if (job->logged_in_again) {
        return KM_ETCD_JOB_GIVE_UP;
    }
    job->logged_in_again = true;
    km_etcd_login_drop(etcd, job->token_generation);
    return KM_ETCD_JOB_AGAIN;
}

enum km_etcd_job_next km_etcd_job_after(struct km_etcd *etcd,
                                        struct km_etcd_job *job,
                                        struct km_etcd_failure *failure)
{
    KM_ASSERT(job->state == KM_ETCD_JOB_CALLING);
    job->call = NULL;
    job->state = KM_ETCD_JOB_IDLE;
    if (km_etcd_failure_is_outage(failure)) {
        return after_outage(etcd, job, failure);
    }
    return failure->verdict == KM_ETCD_LOGIN
               ? after_refused_token(etcd, job, failure)
               : KM_ETCD_JOB_GIVE_UP;
}

void km_etcd_job_fail(struct km_etcd *etcd, struct km_etcd_job *job,
                      const struct km_etcd_failure *failure)
{
    KM_ASSERT(job->state == KM_ETCD_JOB_IDLE ||
              job->state == KM_ETCD_JOB_WAITING);
    job->state = KM_ETCD_JOB_FAILED;
    job->failure = *failure;
    km_etcd_wake(etcd);
}

void km_etcd_job_fail_here(struct km_etcd *etcd, struct km_etcd_job *job,
                           kama_status status)
{
    struct km_etcd_failure failure;
    km_etcd_failure_make(&failure, km_etcd_line_endpoint(&etcd->main), status,
                         kama_strerror(status));
    failure.verdict = KM_ETCD_FINAL;
    failure.status = status;
    km_etcd_job_fail(etcd, job, &failure);
}

void km_etcd_job_drop(struct km_etcd_job *job)
{
    if (job->call != NULL) {
        km_etcd_call_drop(job->call);
        job->call = NULL;
    }
    job->state = KM_ETCD_JOB_IDLE;
}
