/* SPDX-License-Identifier: MIT */
/* libuv numbers errors as negative errnos on Unix, with texts of its own. */
#include "net/error.h"

#include "base/status.h"

#include <uv.h>

const char *km_net_reason(int error, char text[KM_NET_REASON_BYTES])
{
    return uv_strerror_r(uv_translate_sys_error(error), text,
                         KM_NET_REASON_BYTES);
}

kama_status km_net_fail(kama_status status, const char *what, int error)
{
    char reason[KM_NET_REASON_BYTES];
    return km_fail(status, "%s: %s", what, km_net_reason(error, reason));
}
