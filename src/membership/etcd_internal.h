/* SPDX-License-Identifier: MIT */
/*
 * The inside of a registry in etcd. Each part has a file of its own:
 *
 *     line      a connection, which moves from endpoint to endpoint
 *     call      one attempt: a call on a line
 *     request   a unary request, made of attempts
 *     keep      the stream of keepalives
 *     watch     the watch
 *     login     the token of the user
 *
 * A request, the keepalives and the watch are jobs, which go the same way:
 *
 *     IDLE -> CALLING -> IDLE            answered, or failed for good
 *      |       |   ^
 *      |       v   |   another attempt
 *      +----> WAITING                    until there is a token
 *      |       |
 *      |       v
 *      +----> FAILED -> IDLE             the failure is told by the mail, so
 *                                        that no event comes from inside a
 *                                        request
 *
 * Closing drops all jobs and closes the lines. The mail that finds no channel
 * left frees the registry, and then tells its owner.
 *
 * Threads: the loop. Ownership: the registry owns all parts. Errors: end as
 * events. Cost: see etcd.h.
 */
#pragma once

#include "base/buf.h"
#include "base/timer.h"
#include "membership/etcd.h"
#include "membership/etcd_endpoints.h"
#include "membership/etcd_failure.h"
#include "net/loop.h"

struct km_channel;
struct km_etcd_call;

#define KM_ETCD_MAGIC 0x64637465u

/* -- lines --------------------------------------------------------------- */

struct km_etcd_line {
    struct km_etcd *etcd;
    struct km_channel *channel; /* NULL: none yet */
    unsigned endpoint;          /* the index of the current one */
    unsigned generation;        /* counts the moves */
    unsigned silences; /* moves because of silence, since an answer came
                                 * soon */
    bool connected;    /* the channel was connected at least once */
};

/* -- jobs ---------------------------------------------------------------- */

enum km_etcd_job_state {
    KM_ETCD_JOB_IDLE,
    KM_ETCD_JOB_WAITING,
    KM_ETCD_JOB_CALLING,
    KM_ETCD_JOB_FAILED
};

/* The part that a request, the keepalives and the watch have in common. */
struct km_etcd_job {
    enum km_etcd_job_state state;
    struct km_etcd_call *call;      /* CALLING */
    unsigned tries;                 /* attempts that have failed */
    km_ns begun_at;                 /* monotonic */
    bool lost_once;                 /* a lost connection was forgiven */
    bool logged_in_again;           /* a token that was refused was replaced */
    unsigned token_generation;      /* of the token that the call carries */
    struct km_etcd_failure failure; /* FAILED */
};

/* The unary requests. */
enum km_etcd_kind {
    KM_ETCD_STAMP,
    KM_ETCD_GRANT,
    KM_ETCD_REVOKE,
    KM_ETCD_TIME_LEFT,
    KM_ETCD_CLAIM,
    KM_ETCD_UPDATE,
    KM_ETCD_REMOVE,
    KM_ETCD_LIST,
    KM_ETCD_LOG_IN,
    KM_ETCD_KINDS
};

struct km_etcd_request {
    struct km_etcd_job job;
    struct km_etcd *etcd;
    enum km_etcd_kind kind;
    struct km_buf message; /* the request */
    struct km_buf prefix;  /* of a LIST */
    int64_t lease;         /* of a TIME_LEFT */
};

/* -- keepalives ---------------------------------------------------------- */

struct km_etcd_beat {
    int64_t lease;
    km_ns sent_at;  /* of the clock that runs on in a suspended machine */
    km_ns deadline; /* monotonic */
};

/* The first `count` beats from `first` on, around the end of the array, are not
 * answered yet. */
struct km_etcd_keep {
    struct km_etcd_job job;
    struct km_etcd *etcd;
    struct km_timer timer; /* armed for the first beat's deadline */
    struct km_etcd_beat beats[KM_ETCD_BEATS_MAX];
    unsigned first;
    unsigned count;
};

/* -- the watch ----------------------------------------------------------- */

struct km_etcd_watcher {
    struct km_etcd_job job;
    struct km_etcd *etcd;
    struct km_timer timer; /* armed until etcd says that it watches */
    struct km_buf prefix;
    struct km_buf message;    /* the request */
    struct km_buf fragments;  /* events of an answer that is not whole yet */
    int64_t compact_revision; /* of a FAILED job */
    unsigned generation;      /* counts the requests of the owner */
    bool created;
};

/* -- users --------------------------------------------------------------- */

enum km_etcd_login_state {
    KM_ETCD_LOGIN_NONE,   /* there is no user, or etcd does not ask for one */
    KM_ETCD_LOGIN_NEEDED, /* a token must be fetched */
    KM_ETCD_LOGIN_DONE    /* there is a token */
};

struct km_etcd_login {
    enum km_etcd_login_state state;
    char *user; /* NULL: none */
    char *password;
    char *token;
    unsigned generation; /* counts the changes */
};

/* -- the whole ----------------------------------------------------------- */

struct km_etcd {
    uint32_t magic;
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *loop;
    const struct km_registry_events *events;
    void *owner;
    int64_t request_timeout_ms;
    int64_t connect_timeout_ms;
    struct km_etcd_endpoints endpoints;
    struct km_etcd_line main;
    struct km_etcd_line side; /* of the watch */
    struct km_etcd_login login;
    struct km_etcd_request requests[KM_ETCD_KINDS];
    struct km_etcd_keep keep;
    struct km_etcd_watcher watcher;
    struct km_mail mail;
    bool mailed;       /* the mail is on its way */
    bool closing;      /* close was called */
    bool reachable;    /* `connected` was the last news of the two */
    unsigned channels; /* that are not freed */
};

/* Makes the mail run soon. */
void km_etcd_wake(struct km_etcd *etcd);

/* Says that the registry is out of reach, if that is news. */
void km_etcd_note_outage(struct km_etcd *etcd,
                         const struct km_etcd_failure *failure);

/* -- jobs (etcd_job.c) --------------------------------------------------- */

/* Begins a job, which was idle. */
void km_etcd_job_begin(struct km_etcd *etcd, struct km_etcd_job *job);

/* The next step of a job whose call has failed. */
enum km_etcd_job_next {
    KM_ETCD_JOB_AGAIN, /* another attempt is due */
    KM_ETCD_JOB_GIVE_UP
};

/* Decides it; a refused token is dropped for that. May make the failure's
 * sentence clearer. */
enum km_etcd_job_next km_etcd_job_after(struct km_etcd *etcd,
                                        struct km_etcd_job *job,
                                        struct km_etcd_failure *failure);

/* Makes a job FAILED; the mail tells of it. */
void km_etcd_job_fail(struct km_etcd *etcd, struct km_etcd_job *job,
                      const struct km_etcd_failure *failure);
/* The same for an error of this side. */
void km_etcd_job_fail_here(struct km_etcd *etcd, struct km_etcd_job *job,
                           kama_status status);
/* Ends a job without a word. */
void km_etcd_job_drop(struct km_etcd_job *job);
