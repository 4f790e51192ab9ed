/* SPDX-License-Identifier: MIT */
/*
 * How a call to an endpoint has failed, and the remedy that is left.
 *
 *     channel's result --km_etcd_failure_judge--> verdict, status, sentence
 *
 * The sentence names the endpoint: "127.0.0.1:2379: connection refused; is etcd
 * running?".
 *
 * Threads: pure functions. Ownership: the text is copied. Errors: none. Cost:
 * O(length of the text).
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_channel_result;

enum km_etcd_verdict {
    KM_ETCD_FINAL,     /* the answer would be the same elsewhere */
    KM_ETCD_ELSEWHERE, /* another endpoint may answer */
    KM_ETCD_LOST,      /* the same, and the connection was lost, so that this
                        * endpoint may answer as well */
    KM_ETCD_LOGIN,     /* the token is missing or not accepted */
    KM_ETCD_NO_LEASE,  /* there is no such lease */
    KM_ETCD_AUTH_OFF   /* etcd does not ask for users */
};

struct km_etcd_failure {
    enum km_etcd_verdict verdict;
    kama_status status;
    char text[KM_ERROR_BYTES_MAX];
};

/* Judges how a call to the endpoint has ended, which was not by an answer. */
void km_etcd_failure_judge(struct km_etcd_failure *failure,
                           const char *endpoint,
                           const struct km_channel_result *result);

/* Makes the failure of a call that this side has ended. */
void km_etcd_failure_make(struct km_etcd_failure *failure, const char *endpoint,
                          kama_status status, const char *text);

/* Returns whether no endpoint could be talked to. */
static inline bool km_etcd_failure_is_outage(
    const struct km_etcd_failure *failure)
{
    return failure->verdict == KM_ETCD_ELSEWHERE ||
           failure->verdict == KM_ETCD_LOST;
}
