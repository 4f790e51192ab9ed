/* SPDX-License-Identifier: MIT */
/*
 * etcd tells some kinds of errors only by their sentences; the codes below are
 * those of gRPC. "etcdserver: revision of auth store is old", "etcdserver: user
 * name is empty" and "etcdserver: authentication failed, ..." all are
 * INVALID_ARGUMENT.
 */
#include "membership/etcd_failure.h"

#include "base/text.h"
#include "rpc/channel_call.h"

#include <string.h>

enum {
    CODE_INVALID_ARGUMENT = 3,
    CODE_NOT_FOUND = 5,
    CODE_FAILED_PRECONDITION = 9
};

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void judge_code(struct km_etcd_failure *failure,
                       const struct km_channel_result *result)
{
    bool auth = has(result->text, "auth");
    if (result->grpc_code == CODE_INVALID_ARGUMENT &&
        (auth || has(result->text, "user name is empty"))) {
        failure->verdict = KM_ETCD_LOGIN;
        failure->status = KAMA_ERR_UNAUTHENTICATED;
    } else if (result->grpc_code == CODE_NOT_FOUND) {
        failure->verdict = KM_ETCD_NO_LEASE;
        failure->status = KAMA_ERR_STATE;
    } else if (result->grpc_code == CODE_FAILED_PRECONDITION && auth) {
        failure->verdict = KM_ETCD_AUTH_OFF;
    } else if (result->status == KAMA_ERR_INVALID ||
               result->status == KAMA_ERR_STATE) {
        failure->verdict = KM_ETCD_FINAL;
    } else {
        failure->verdict = KM_ETCD_ELSEWHERE;
        failure->status = KAMA_ERR_UNREACHABLE;
    }
}

static void judge_status(struct km_etcd_failure *failure,
                         const struct km_channel_result *result)
{
    switch (result->status) {
    case KAMA_ERR_TIMEOUT:
    case KAMA_ERR_PROTOCOL:
    case KAMA_ERR_MALFORMED:
        failure->verdict = KM_ETCD_ELSEWHERE;
        return;
    case KAMA_ERR_UNREACHABLE:
        failure->verdict = KM_ETCD_ELSEWHERE;
        return;
    case KAMA_ERR_UNSUPPORTED: /* a server that is not etcd */
    case KAMA_ERR_INTERNAL:
        failure->verdict = KM_ETCD_ELSEWHERE;
        failure->status = KAMA_ERR_PROTOCOL;
        return;
    case KAMA_ERR_DISCONNECTED:
    case KAMA_ERR_CANCELLED:
        failure->verdict = KM_ETCD_LOST;
        failure->status = KAMA_ERR_UNREACHABLE;
        return;
    case KAMA_ERR_UNAUTHENTICATED:
        failure->verdict = KM_ETCD_LOGIN;
        return;
    case KAMA_ERR_PERMISSION:
    case KAMA_ERR_NO_MEMORY:
    case KAMA_ERR_TOO_LARGE:
        failure->verdict = KM_ETCD_FINAL;
        return;
    default:
        judge_code(failure, result);
        return;
    }
}

/* The sentence of an attempt to connect names the address already. */
static void write_text(struct km_etcd_failure *failure, const char *endpoint,
                       const char *text)
{
    static const char attempt[] = "cannot connect to ";
    if (strncmp(text, attempt, strlen(attempt)) == 0) {
        text += strlen(attempt);
    }
    bool named = strncmp(text, endpoint, strlen(endpoint)) == 0;
    const char *hint =
        failure->status == KAMA_ERR_UNREACHABLE && has(text, "refused")
            ? "; is etcd running?"
            : "";
    (void)km_text_printf(failure->text, sizeof failure->text, "%s%s%s%s",
                         named ? "" : endpoint, named ? "" : ": ", text, hint);
}

void km_etcd_failure_judge(struct km_etcd_failure *failure,
                           const char *endpoint,
                           const struct km_channel_result *result)
{
    if (result->status == KAMA_OK) {
        failure->verdict = KM_ETCD_LOST;
        failure->status = KAMA_ERR_UNREACHABLE;
        write_text(failure, endpoint, "etcd has ended the stream");
        return;
    }
    failure->status = result->status;
    judge_status(failure, result);
    write_text(failure, endpoint, result->text);
}

void km_etcd_failure_make(struct km_etcd_failure *failure, const char *endpoint,
                          kama_status status, const char *text)
{
    const struct km_channel_result result = {.status = status, .text = text};
    km_etcd_failure_judge(failure, endpoint, &result);
}
