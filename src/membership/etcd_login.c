/* SPDX-License-Identifier: MIT */
/* The jobs that wait are found by their states. */
#include "membership/etcd_login.h"

#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "membership/etcd_answer.h"
#include "membership/etcd_keep.h"
#include "membership/etcd_request.h"
#include "membership/etcd_watch.h"

#include <string.h>

/* -- the texts ----------------------------------------------------------- */

static void forget(const struct km_etcd *etcd, char **secret)
{
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        km_mem_free(etcd->mem, *secret);
        *secret = NULL;
    }
}

kama_status km_etcd_login_init(struct km_etcd *etcd, const char *user,
                               const char *password)
{
    struct km_etcd_login *login = &etcd->login;
    if (user == NULL) {
        return KAMA_OK;
    }
    login->state = KM_ETCD_LOGIN_NEEDED;
    login->user = km_mem_strdup(etcd->mem, user);
    login->password =
        km_mem_strdup(etcd->mem, password != NULL ? password : "");
    return login->user != NULL && login->password != NULL ? KAMA_OK
                                                          : KAMA_ERR_NO_MEMORY;
}

void km_etcd_login_fini(struct km_etcd *etcd)
{
    km_mem_free(etcd->mem, etcd->login.user);
    forget(etcd, &etcd->login.password);
    forget(etcd, &etcd->login.token);
    etcd->login = (struct km_etcd_login){0};
}

/* -- jobs that wait ------------------------------------------------------ */

static void go_on(struct km_etcd *etcd)
{
    for (int kind = 0; kind < KM_ETCD_LOG_IN; kind++) {
        if (etcd->requests[kind].job.state == KM_ETCD_JOB_WAITING) {
            km_etcd_request_run(&etcd->requests[kind]);
        }
    }
    if (etcd->keep.job.state == KM_ETCD_JOB_WAITING) {
        km_etcd_keep_run(&etcd->keep);
    }
    if (etcd->watcher.job.state == KM_ETCD_JOB_WAITING) {
        km_etcd_watch_run(&etcd->watcher);
    }
}

static void fail_waiting(struct km_etcd *etcd, struct km_etcd_job *job,
                         const struct km_etcd_failure *failure)
{
    if (job->state == KM_ETCD_JOB_WAITING) {
        km_etcd_job_fail(etcd, job, failure);
    }
}

/* -- the token ----------------------------------------------------------- */

bool km_etcd_login_wait(struct km_etcd *etcd)
{
    if (etcd->login.state != KM_ETCD_LOGIN_NEEDED) {
        return false;
    }
    if (etcd->requests[KM_ETCD_LOG_IN].job.state == KM_ETCD_JOB_IDLE) {
        km_etcd_request_log_in(etcd);
    }
    return true;
}

static void change(struct km_etcd *etcd, enum km_etcd_login_state state)
{
    if (state != KM_ETCD_LOGIN_DONE) {
        forget(etcd, &etcd->login.token);
    }
    etcd->login.state = state;
    etcd->login.generation++;
}

void km_etcd_login_drop(struct km_etcd *etcd, unsigned generation)
{
    if (etcd->login.generation == generation) {
        change(etcd, KM_ETCD_LOGIN_NEEDED);
    }
}

kama_status km_etcd_login_answer(struct km_etcd *etcd, kama_bytes answer)
{
    kama_bytes token;
    kama_status status = km_etcd_answer_login(answer, &token);
    if (status != KAMA_OK) {
        return status;
    }
    char *copy = km_mem_strndup(etcd->mem, token.data, token.len);
    if (copy == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a token");
    }
    forget(etcd, &etcd->login.token);
    etcd->login.token = copy;
    change(etcd, KM_ETCD_LOGIN_DONE);
    return KAMA_OK;
}

void km_etcd_login_done(struct km_etcd *etcd)
{
    go_on(etcd);
}

/* A refusal of the user is not the refusal of a token: the sentence says which
 * user it is. */
static struct km_etcd_failure refusal(const struct km_etcd *etcd,
                                      const struct km_etcd_failure *failure)
{
    struct km_etcd_failure named = *failure;
    named.verdict = KM_ETCD_FINAL;
    named.status = KAMA_ERR_UNAUTHENTICATED;
    (void)km_text_printf(named.text, sizeof named.text,
                         "%s (user \"%.*s\"; check its password)",
                         failure->text, KM_TEXT_UP_TO(64, etcd->login.user));
    return named;
}

void km_etcd_login_failed(struct km_etcd *etcd,
                          const struct km_etcd_failure *failure)
{
    struct km_etcd_failure told = *failure;
    if (failure->verdict == KM_ETCD_AUTH_OFF) {
        change(etcd, KM_ETCD_LOGIN_NONE);
        go_on(etcd);
        return;
    }
    if (failure->verdict == KM_ETCD_LOGIN) {
        told = refusal(etcd, failure);
    }
    for (int kind = 0; kind < KM_ETCD_LOG_IN; kind++) {
        fail_waiting(etcd, &etcd->requests[kind].job, &told);
    }
    fail_waiting(etcd, &etcd->keep.job, &told);
    fail_waiting(etcd, &etcd->watcher.job, &told);
}
