/* SPDX-License-Identifier: MIT */
/* The owner may end the watch, begin another one or close the registry inside
 * every event. So the code after an event first asks whether the watch is still
 * the one of before (is_current). */
#include "membership/etcd_watch.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "membership/etcd_answer.h"
#include "membership/etcd_call.h"
#include "membership/etcd_encode.h"
#include "membership/etcd_line.h"
#include "membership/etcd_login.h"

#include <string.h>

#define MESSAGE_BYTES_KEPT 4096
#define REASON_BYTES_SHOWN 120

static bool is_current(const struct km_etcd_watcher *watcher,
                       unsigned generation)
{
    return !watcher->etcd->closing && watcher->generation == generation &&
           watcher->job.state == KM_ETCD_JOB_CALLING;
}

/* -- events -------------------------------------------------------------- */

/* Tells the events of one revision. The array is empty afterwards. */
static void tell_step(struct km_etcd_watcher *watcher,
                      struct km_etcd_records *step)
{
    struct km_etcd *etcd = watcher->etcd;
    size_t count = step->count;
    step->count = 0;
    if (count > 0) {
        etcd->events->changed(etcd->owner, step->at[0].mod_revision, step->at,
                              count);
    }
}

/* Adds the event to the step of its revision; a later revision ends the
 * step. */
static kama_status add_event(struct km_etcd_watcher *watcher,
                             struct km_etcd_records *step, kama_bytes bytes)
{
    unsigned generation = watcher->generation;
    struct km_registry_record record;
    kama_status status =
        km_etcd_answer_event(bytes, km_buf_bytes(&watcher->prefix), &record);
    if (status != KAMA_OK) {
        return status;
    }
    if (step->count > 0 && record.mod_revision < step->at[0].mod_revision) {
        return km_fail(KAMA_ERR_PROTOCOL, "events in the wrong order");
    }
    if (step->count > 0 && record.mod_revision > step->at[0].mod_revision) {
        tell_step(watcher, step);
        if (!is_current(watcher, generation)) {
            return KAMA_OK;
        }
    }
    return km_etcd_records_add(step, watcher->etcd->mem, &record);
}

static kama_status tell_events(struct km_etcd_watcher *watcher,
                               struct km_pb_list events)
{
    const kama_allocator *mem = watcher->etcd->mem;
    unsigned generation = watcher->generation;
    struct km_etcd_records step = {0};
    kama_bytes bytes;
    kama_status status = KAMA_OK;
    while (status == KAMA_OK && is_current(watcher, generation) &&
           km_pb_next(&events, &bytes)) {
        status = add_event(watcher, &step, bytes);
    }
    if (status == KAMA_OK && is_current(watcher, generation)) {
        tell_step(watcher, &step);
    }
    km_etcd_records_fini(&step, mem);
    return status;
}

/* -- fragments ----------------------------------------------------------- */

static kama_status keep_fragment(struct km_etcd_watcher *watcher,
                                 struct km_pb_list events)
{
    kama_bytes bytes;
    kama_status status = KAMA_OK;
    while (status == KAMA_OK && km_pb_next(&events, &bytes)) {
        status = km_pb_append_bytes(&watcher->fragments, KM_ETCD_WATCH_EVENTS,
                                    bytes);
    }
    return status == KAMA_OK
               ? KAMA_OK
               : km_fail(status, "a revision of more than %zu bytes: %s",
                         watcher->fragments.len, kama_strerror(status));
}

/* The joined events have left the watcher before they are told, because an
 * event may begin another watch. */
static kama_status tell_joined(struct km_etcd_watcher *watcher)
{
    struct km_buf joined = watcher->fragments;
    struct km_etcd_watch_answer whole;
    km_buf_init(&watcher->fragments, joined.mem, joined.max);
    kama_status status = km_etcd_answer_watch(km_buf_bytes(&joined), &whole);
    if (status == KAMA_OK) {
        status = tell_events(watcher, whole.events);
    }
    km_buf_fini(&joined);
    return status;
}

static kama_status take_events(struct km_etcd_watcher *watcher,
                               const struct km_etcd_watch_answer *answer)
{
    if (!answer->fragment && watcher->fragments.len == 0) {
        return tell_events(watcher, answer->events);
    }
    kama_status status = keep_fragment(watcher, answer->events);
    return status == KAMA_OK && !answer->fragment ? tell_joined(watcher)
                                                  : status;
}

/* -- the end ------------------------------------------------------------- */

static void disarm(struct km_etcd_watcher *watcher)
{
    km_loop_timer_disarm(watcher->etcd->loop, &watcher->timer);
}

/* etcd has ended the watch by itself, and the line is good. */
static void end_canceled(struct km_etcd_watcher *watcher,
                         const struct km_etcd_watch_answer *answer)
{
    struct km_etcd *etcd = watcher->etcd;
    const char *endpoint = km_etcd_line_endpoint(&etcd->side);
    struct km_etcd_failure failure = {.verdict = KM_ETCD_FINAL,
                                      .status = KAMA_ERR_TRY_AGAIN};
    char reason[REASON_BYTES_SHOWN];
    (void)km_text_clean(answer->cancel_reason, reason, sizeof reason);
    if (strstr(reason, "permission denied") != NULL) {
        failure.status = KAMA_ERR_PERMISSION;
    } else if (strstr(reason, "auth") != NULL) {
        failure.status = KAMA_ERR_UNAUTHENTICATED;
    }
    if (answer->compact_revision > 0) {
        watcher->compact_revision = answer->compact_revision;
        (void)km_text_printf(failure.text, sizeof failure.text,
                             "%s: the history before revision %lld is gone",
                             endpoint, (long long)answer->compact_revision);
    } else {
        (void)km_text_printf(failure.text, sizeof failure.text,
                             "%s: the watch was ended: %s", endpoint,
                             reason[0] != '\0' ? reason : "no reason given");
    }
    disarm(watcher);
    km_etcd_job_drop(&watcher->job);
    km_etcd_job_fail(etcd, &watcher->job, &failure);
}

/* The reason is "etcdserver: invalid auth token" with more around it. Some
 * versions of etcd say "permission denied" of a token that they do not know. */
static bool may_be_old_token(const struct km_etcd_watcher *watcher,
                             const struct km_etcd_watch_answer *answer)
{
    char reason[REASON_BYTES_SHOWN];
    (void)km_text_clean(answer->cancel_reason, reason, sizeof reason);
    return watcher->etcd->login.user != NULL && !watcher->job.logged_in_again &&
           answer->compact_revision == 0 &&
           (strstr(reason, "auth") != NULL ||
            strstr(reason, "permission denied") != NULL);
}

static void try_new_token(struct km_etcd_watcher *watcher)
{
    km_etcd_job_drop(&watcher->job);
    watcher->job.logged_in_again = true;
    km_etcd_login_drop(watcher->etcd, watcher->job.token_generation);
    km_etcd_watch_run(watcher);
}

/* -- answers ------------------------------------------------------------- */

static kama_status on_message(void *arg, kama_bytes message)
{
    struct km_etcd_watcher *watcher = arg;
    struct km_etcd_watch_answer answer;
    kama_status status = km_etcd_answer_watch(message, &answer);
    if (status != KAMA_OK) {
        return status;
    }
    if (answer.canceled) {
        if (may_be_old_token(watcher, &answer)) {
            try_new_token(watcher);
        } else {
            end_canceled(watcher, &answer);
        }
        return KAMA_OK;
    }
    if (answer.created) {
        watcher->created = true;
        disarm(watcher);
    }
    if (!watcher->created) {
        return km_fail(KAMA_ERR_PROTOCOL,
                       "an answer of a watch that was not created");
    }
    return take_events(watcher, &answer);
}

static void on_end(void *arg, struct km_etcd_failure *failure)
{
    struct km_etcd_watcher *watcher = arg;
    bool created = watcher->created;
    enum km_etcd_job_next next =
        km_etcd_job_after(watcher->etcd, &watcher->job, failure);
    disarm(watcher);
    if (next == KM_ETCD_JOB_AGAIN && !created) {
        km_etcd_watch_run(watcher);
    } else {
        km_etcd_job_fail(watcher->etcd, &watcher->job, failure);
    }
}

static const struct km_etcd_call_ops watch_ops = {on_message, on_end};

static void on_silence(struct km_timer *timer)
{
    struct km_etcd_watcher *watcher =
        KM_CONTAINER_OF(timer, struct km_etcd_watcher, timer);
    if (watcher->job.state == KM_ETCD_JOB_CALLING) {
        km_etcd_call_fail(watcher->job.call, KAMA_ERR_TIMEOUT,
                          "no answer to a watch in time");
    }
}

/* -- life ---------------------------------------------------------------- */

void km_etcd_watch_run(struct km_etcd_watcher *watcher)
{
    struct km_etcd *etcd = watcher->etcd;
    struct km_etcd_job *job = &watcher->job;
    if (km_etcd_login_wait(etcd)) {
        job->state = KM_ETCD_JOB_WAITING;
        return;
    }
    job->token_generation = etcd->login.generation;
    watcher->created = false;
    km_buf_reset(&watcher->fragments, 0);
    kama_status status = km_etcd_call_new(
        &etcd->side, "/etcdserverpb.Watch/Watch", KM_ETCD_STREAM,
        km_buf_bytes(&watcher->message), &watch_ops, watcher, &job->call);
    if (status != KAMA_OK) {
        job->state = KM_ETCD_JOB_IDLE;
        km_etcd_job_fail_here(etcd, job, status);
        return;
    }
    job->state = KM_ETCD_JOB_CALLING;
    km_loop_timer_arm(etcd->loop, &watcher->timer,
                      km_ns_after_ms(km_loop_now(etcd->loop),
                                     km_etcd_line_patience_ms(&etcd->side)));
}

void km_etcd_watch_drop(struct km_etcd_watcher *watcher)
{
    watcher->generation++;
    disarm(watcher);
    km_etcd_job_drop(&watcher->job);
    km_buf_reset(&watcher->fragments, 0);
    watcher->compact_revision = 0;
}

void km_etcd_watch_begin(struct km_etcd_watcher *watcher, kama_bytes prefix,
                         int64_t from_revision)
{
    struct km_etcd *etcd = watcher->etcd;
    KM_ASSERT(!etcd->closing && etcd->events != NULL);
    km_etcd_watch_drop(watcher);
    km_etcd_job_begin(etcd, &watcher->job);
    km_buf_reset(&watcher->prefix, MESSAGE_BYTES_KEPT);
    km_buf_reset(&watcher->message, MESSAGE_BYTES_KEPT);
    kama_status status =
        km_buf_append(&watcher->prefix, prefix.data, prefix.len);
    if (status == KAMA_OK) {
        status = km_etcd_encode_watch(&watcher->message, prefix, from_revision);
    }
    if (status == KAMA_OK) {
        km_etcd_watch_run(watcher);
    } else {
        km_etcd_job_fail_here(etcd, &watcher->job, status);
    }
}

void km_etcd_watch_tell(struct km_etcd_watcher *watcher)
{
    KM_ASSERT(watcher->job.state == KM_ETCD_JOB_FAILED);
    struct km_etcd *etcd = watcher->etcd;
    struct km_etcd_failure failure = watcher->job.failure;
    const struct km_registry_result result = {failure.status, failure.text};
    int64_t compact_revision = watcher->compact_revision;
    km_etcd_watch_drop(watcher);
    etcd->events->watch_ended(etcd->owner, &result, compact_revision);
}

void km_etcd_watch_init(struct km_etcd *etcd)
{
    struct km_etcd_watcher *watcher = &etcd->watcher;
    watcher->etcd = etcd;
    watcher->timer.fire = on_silence;
    km_buf_init(&watcher->prefix, etcd->mem, SIZE_MAX);
    km_buf_init(&watcher->message, etcd->mem, SIZE_MAX);
    km_buf_init(&watcher->fragments, etcd->mem, KM_ETCD_ANSWER_BYTES_MAX);
}

void km_etcd_watch_fini(struct km_etcd *etcd)
{
    km_etcd_watch_drop(&etcd->watcher);
    km_buf_fini(&etcd->watcher.prefix);
    km_buf_fini(&etcd->watcher.message);
    km_buf_fini(&etcd->watcher.fragments);
}
