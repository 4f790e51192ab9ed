/* SPDX-License-Identifier: MIT */
/*
 * The table of statuses as data, and the sentence of each thread's last error.
 *
 * The table is small and is searched only after an error, so it is walked from
 * its beginning.
 */
#include "base/status.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"

struct status_row {
    kama_status status;
    int grpc;
    int http;
    const char *name;
    const char *text;
};

static const struct status_row status_rows[] = {
#define STATUS_ROW(name, value, grpc, http, text)                              \
    {name, grpc, http, #name, text},
    KAMA_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

#define STATUS_COUNT (sizeof status_rows / sizeof status_rows[0])

/* The status for each gRPC code, which is the most general one that the code
 * can stand for. */
static const kama_status grpc_rows[] = {
    KAMA_OK,                  /* OK */
    KAMA_ERR_CANCELLED,       /* CANCELLED */
    KAMA_ERR_INTERNAL,        /* UNKNOWN */
    KAMA_ERR_INVALID,         /* INVALID_ARGUMENT */
    KAMA_ERR_TIMEOUT,         /* DEADLINE_EXCEEDED */
    KAMA_MISS,                /* NOT_FOUND */
    KAMA_ERR_EXISTS,          /* ALREADY_EXISTS */
    KAMA_ERR_PERMISSION,      /* PERMISSION_DENIED */
    KAMA_ERR_OVERLOADED,      /* RESOURCE_EXHAUSTED */
    KAMA_ERR_STATE,           /* FAILED_PRECONDITION */
    KAMA_ERR_TRY_AGAIN,       /* ABORTED */
    KAMA_ERR_INVALID,         /* OUT_OF_RANGE */
    KAMA_ERR_UNSUPPORTED,     /* UNIMPLEMENTED */
    KAMA_ERR_INTERNAL,        /* INTERNAL */
    KAMA_ERR_NOT_READY,       /* UNAVAILABLE */
    KAMA_ERR_INTERNAL,        /* DATA_LOSS */
    KAMA_ERR_UNAUTHENTICATED, /* UNAUTHENTICATED */
};

#define GRPC_COUNT ((int)(sizeof grpc_rows / sizeof grpc_rows[0]))

static _Thread_local char last_error[KM_ERROR_BYTES_MAX];

/* Returns the row of a status, or NULL for a number that is no status. */
static const struct status_row *find_row(kama_status status)
{
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (status_rows[i].status == status) {
            return &status_rows[i];
        }
    }
    return NULL;
}

const char *kama_strerror(kama_status status)
{
    const struct status_row *row = find_row(status);
    return row != NULL ? row->text : "unknown status";
}

const char *kama_status_name(kama_status status)
{
    const struct status_row *row = find_row(status);
    return row != NULL ? row->name : "KAMA_ERR_UNKNOWN";
}

int km_status_grpc(kama_status status)
{
    const struct status_row *row = find_row(status);
    return row != NULL ? row->grpc : km_status_grpc(KAMA_ERR_INTERNAL);
}

int km_status_http(kama_status status)
{
    const struct status_row *row = find_row(status);
    return row != NULL ? row->http : km_status_http(KAMA_ERR_INTERNAL);
}

const char *km_status_grpc_name(unsigned code)
{
    static const char *const names[KM_STATUS_GRPC_CODES] = {
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    };
    KM_ASSERT(code < KM_STATUS_GRPC_CODES);
    return names[code];
}

bool km_status_is_success(kama_status status)
{
    return km_status_grpc(status) == 0;
}

bool km_status_from_name(kama_bytes name, kama_status *ret_status)
{
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        const char *row_name = status_rows[i].name;
        if (strlen(row_name) == name.len &&
            memcmp(row_name, name.data, name.len) == 0) {
            *ret_status = status_rows[i].status;
            return true;
        }
    }
    return false;
}

kama_status km_status_from_grpc(int code)
{
    return code >= 0 && code < GRPC_COUNT ? grpc_rows[code] : KAMA_ERR_INTERNAL;
}

kama_status km_fail(kama_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(last_error, sizeof last_error, fmt, args);
    va_end(args);
    return status;
}

const char *km_last_error(void)
{
    return last_error;
}

void km_last_error_clear(void)
{
    last_error[0] = '\0';
}

void kama_last_error(char *buf, size_t cap)
{
    if (cap == 0) {
        return;
    }
    size_t len = km_text_cut(KAMA_STR(last_error), cap - 1);
    memcpy(buf, last_error, len);
    buf[len] = '\0';
}

const char *kama_version(void)
{
    return KAMA_VERSION_STRING;
}
