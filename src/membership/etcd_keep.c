/* SPDX-License-Identifier: MIT */
/* A beat that is sent again counts from its last sending, because only that one
 * is answered. */
#include "membership/etcd_keep.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "membership/etcd_answer.h"
#include "membership/etcd_call.h"
#include "membership/etcd_encode.h"
#include "membership/etcd_line.h"
#include "membership/etcd_login.h"

#include <stdio.h>

static struct km_etcd_beat *beat_at(struct km_etcd_keep *keep, unsigned i)
{
    KM_ASSERT(i < keep->count);
    return &keep->beats[(keep->first + i) % KM_ETCD_BEATS_MAX];
}

static struct km_etcd_beat pop_beat(struct km_etcd_keep *keep)
{
    struct km_etcd_beat beat = *beat_at(keep, 0);
    keep->first = (keep->first + 1) % KM_ETCD_BEATS_MAX;
    keep->count--;
    return beat;
}

static void arm(struct km_etcd_keep *keep)
{
    if (keep->count > 0 && keep->job.state == KM_ETCD_JOB_CALLING) {
        km_loop_timer_arm(keep->etcd->loop, &keep->timer,
                          beat_at(keep, 0)->deadline);
    } else {
        km_loop_timer_disarm(keep->etcd->loop, &keep->timer);
    }
}

/* -- sending ------------------------------------------------------------- */

static void stamp_beat(struct km_etcd_keep *keep, struct km_etcd_beat *beat)
{
    struct km_etcd *etcd = keep->etcd;
    beat->sent_at = km_clock_boot();
    beat->deadline = km_ns_after_ms(km_clock_mono(etcd->clock),
                                    km_etcd_line_patience_ms(&etcd->main));
}

static kama_status encode_beat(struct km_etcd_keep *keep,
                               struct km_etcd_beat *beat, struct km_buf *out)
{
    stamp_beat(keep, beat);
    return km_etcd_encode_lease(out, beat->lease);
}

/* Sends the beat on the open stream. A call that has ended already will say
 * so, and the beat is sent again then. */
static kama_status send_beat(struct km_etcd_keep *keep,
                             struct km_etcd_beat *beat)
{
    struct km_buf message;
    km_buf_init(&message, keep->etcd->mem, SIZE_MAX);
    kama_status status = encode_beat(keep, beat, &message);
    if (status == KAMA_OK) {
        status = km_etcd_call_send(keep->job.call, km_buf_bytes(&message));
    }
    km_buf_fini(&message);
    return status == KAMA_ERR_CLOSED ? KAMA_OK : status;
}

static void send_or_fail(struct km_etcd_keep *keep, unsigned i)
{
    kama_status status = send_beat(keep, beat_at(keep, i));
    if (status != KAMA_OK) {
        km_etcd_call_fail(keep->job.call, status, kama_strerror(status));
    }
}

/* -- answers ------------------------------------------------------------- */

static kama_status on_message(void *arg, kama_bytes message)
{
    static const struct km_registry_result ok = {KAMA_OK, ""};
    struct km_etcd_keep *keep = arg;
    struct km_etcd *etcd = keep->etcd;
    int64_t ttl_ms;
    if (keep->count == 0) {
        return km_fail(KAMA_ERR_PROTOCOL,
                       "an answer to a keepalive that was not sent");
    }
    kama_status status =
        km_etcd_answer_lease(message, beat_at(keep, 0)->lease, &ttl_ms);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_etcd_beat beat = pop_beat(keep);
    keep->job.tries = 0;
    keep->job.lost_once = false;
    keep->job.logged_in_again = false;
    arm(keep);
    etcd->events->kept(etcd->owner, &ok, ttl_ms > 0 ? ttl_ms : 0, beat.sent_at);
    return KAMA_OK;
}

/* A stream that ends while nothing waits for it is opened by the next beat. */
static void on_end(void *arg, struct km_etcd_failure *failure)
{
    struct km_etcd_keep *keep = arg;
    enum km_etcd_job_next next =
        km_etcd_job_after(keep->etcd, &keep->job, failure);
    arm(keep);
    if (keep->count == 0) {
        return;
    }
    if (next == KM_ETCD_JOB_AGAIN) {
        km_etcd_keep_run(keep);
    } else {
        km_etcd_job_fail(keep->etcd, &keep->job, failure);
    }
}

static const struct km_etcd_call_ops keep_ops = {on_message, on_end};

static void on_overdue(struct km_timer *timer)
{
    struct km_etcd_keep *keep =
        KM_CONTAINER_OF(timer, struct km_etcd_keep, timer);
    char text[80];
    if (keep->job.state == KM_ETCD_JOB_CALLING) {
        (void)snprintf(text, sizeof text,
                       "no answer to a keepalive within %lld ms",
                       (long long)km_etcd_line_patience_ms(&keep->etcd->main));
        km_etcd_call_fail(keep->job.call, KAMA_ERR_TIMEOUT, text);
    }
}

/* -- the stream ---------------------------------------------------------- */

/* The first beat opens the stream, because a call begins with a message. */
static kama_status open_stream(struct km_etcd_keep *keep)
{
    struct km_etcd *etcd = keep->etcd;
    struct km_buf message;
    km_buf_init(&message, etcd->mem, SIZE_MAX);
    kama_status status = encode_beat(keep, beat_at(keep, 0), &message);
    if (status == KAMA_OK) {
        status = km_etcd_call_new(
            &etcd->main, "/etcdserverpb.Lease/LeaseKeepAlive", KM_ETCD_STREAM,
            km_buf_bytes(&message), &keep_ops, keep, &keep->job.call);
    }
    km_buf_fini(&message);
    return status;
}

void km_etcd_keep_run(struct km_etcd_keep *keep)
{
    struct km_etcd *etcd = keep->etcd;
    if (km_etcd_login_wait(etcd)) {
        keep->job.state = KM_ETCD_JOB_WAITING;
        return;
    }
    keep->job.state = KM_ETCD_JOB_IDLE;
    keep->job.token_generation = etcd->login.generation;
    kama_status status = open_stream(keep);
    if (status != KAMA_OK) {
        km_etcd_job_fail_here(etcd, &keep->job, status);
        return;
    }
    keep->job.state = KM_ETCD_JOB_CALLING;
    for (unsigned i = 1; i < keep->count; i++) {
        send_or_fail(keep, i);
    }
    arm(keep);
}

void km_etcd_keep_add(struct km_etcd_keep *keep, int64_t lease)
{
    KM_ASSERT(!keep->etcd->closing && keep->etcd->events != NULL);
    KM_ASSERT(keep->count < KM_ETCD_BEATS_MAX);
    keep->count++;
    *beat_at(keep, keep->count - 1) = (struct km_etcd_beat){.lease = lease};
    switch (keep->job.state) {
    case KM_ETCD_JOB_IDLE:
        km_etcd_job_begin(keep->etcd, &keep->job);
        km_etcd_keep_run(keep);
        return;
    case KM_ETCD_JOB_CALLING:
        if (keep->count == 1) {
            keep->job.begun_at = km_loop_now(keep->etcd->loop);
        }
        send_or_fail(keep, keep->count - 1);
        arm(keep);
        return;
    case KM_ETCD_JOB_WAITING:
    case KM_ETCD_JOB_FAILED: /* it fails with the others */
        return;
    }
}

/* An event may add beats, which are not part of the failure. */
void km_etcd_keep_tell(struct km_etcd_keep *keep)
{
    KM_ASSERT(keep->job.state == KM_ETCD_JOB_FAILED);
    struct km_etcd *etcd = keep->etcd;
    struct km_etcd_failure failure = keep->job.failure;
    const struct km_registry_result result = {failure.status, failure.text};
    struct km_etcd_beat failed[KM_ETCD_BEATS_MAX];
    unsigned count = 0;
    while (keep->count > 0) {
        failed[count++] = pop_beat(keep);
    }
    keep->job.state = KM_ETCD_JOB_IDLE;
    km_etcd_note_outage(etcd, &failure);
    for (unsigned i = 0; i < count && !etcd->closing; i++) {
        etcd->events->kept(etcd->owner, &result, 0, failed[i].sent_at);
    }
}

void km_etcd_keep_init(struct km_etcd *etcd)
{
    etcd->keep.etcd = etcd;
    etcd->keep.timer.fire = on_overdue;
}

void km_etcd_keep_fini(struct km_etcd *etcd)
{
    km_etcd_job_drop(&etcd->keep.job);
    etcd->keep.count = 0;
    km_loop_timer_disarm(etcd->loop, &etcd->keep.timer);
}
