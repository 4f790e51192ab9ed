/* SPDX-License-Identifier: MIT */
#include "services/traceparent.h"

#include "rpc/server_call.h"

#include <string.h>

#define TRACEPARENT "traceparent"

const char *const km_service_traceparent_metadata[] = {TRACEPARENT, NULL};

void km_service_traceparent_copy(kama_bytes bytes,
                                 char ret_text[KM_TRACEPARENT_BYTES])
{
    ret_text[0] = '\0';
    if (bytes.len > 0 && bytes.len < KM_TRACEPARENT_BYTES &&
        memchr(bytes.data, '\0', bytes.len) == NULL) {
        memcpy(ret_text, bytes.data, bytes.len);
        ret_text[bytes.len] = '\0';
    }
}

void km_service_traceparent_read(const struct km_server_call *call,
                                 char ret_text[KM_TRACEPARENT_BYTES])
{
    km_service_traceparent_copy(km_server_call_metadata(call, TRACEPARENT),
                                ret_text);
}
