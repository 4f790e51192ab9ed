/* SPDX-License-Identifier: MIT */
#include "admin/host.h"

#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"

#include <stdio.h>
#include <strings.h>

/* Cuts the header into host and port; a port is made up if there is none. Returns
 * false for anything else. */
static bool split(kama_bytes host, struct km_address *ret_address)
{
    char text[KM_ADMIN_HOST_BYTES_MAX + 4];
    const char *p = host.data;
    if (host.len == 0 || host.len > KM_ADMIN_HOST_BYTES_MAX ||
        memchr(p, '\0', host.len) != NULL) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%.*s", (int)host.len, p);
    const char *bracket = strrchr(text, ']');
    const char *colon = strrchr(text, ':');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    if (!has_port) {
        (void)snprintf(text + host.len, sizeof text - host.len, ":80");
    }
    return km_address_split(text, ret_address) == KAMA_OK;
}

bool km_admin_host_is_allowed(kama_bytes host, const char *const *names,
                              size_t count)
{
    struct km_address address;
    struct sockaddr_storage addrs[2];
    if (!split(host, &address) || address.host[0] == '\0') {
        return false;
    }
    if (strcasecmp(address.host, "localhost") == 0) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(address.host, names[i]) == 0) {
            return true;
        }
    }
    return km_address_numeric(&address, addrs, 2) > 0;
}

kama_status km_admin_host_check(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t len = strlen(name);
    if (len == 0 || len > KM_ADMIN_HOST_BYTES_MAX - 6 ||
        strspn(name, good) != len) {
        return km_fail(KAMA_ERR_INVALID,
                       "admin_host: \"%.*s\" is no name of a host; write it "
                       "without scheme and port",
                       KM_TEXT_UP_TO(64, name));
    }
    return KAMA_OK;
}
