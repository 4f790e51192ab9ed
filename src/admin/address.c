/* SPDX-License-Identifier: MIT */
#include "admin/address.h"

#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

/* The port next to that of the data port, on the loopback. */
static kama_status beside(const char *listen,
                          char ret_text[KM_ADMIN_ADDRESS_BYTES])
{
    struct km_address address;
    kama_status status = km_address_split(listen, &address);
    if (status != KAMA_OK) {
        return km_fail(status, "listen: %s", km_last_error());
    }
    long port = strtol(address.port, NULL, 10);
    if (port > PORT_MAX - KM_ADMIN_PORT_DISTANCE) {
        return km_fail(KAMA_ERR_INVALID,
                       "listen: the admin port would be %ld + %d, which is no "
                       "port; name another one with --admin, or --admin=off",
                       port, KM_ADMIN_PORT_DISTANCE);
    }
    (void)km_text_printf(ret_text, KM_ADMIN_ADDRESS_BYTES, "127.0.0.1:%ld",
                         port == 0 ? 0 : port + KM_ADMIN_PORT_DISTANCE);
    return KAMA_OK;
}

/* Returns whether both are the same port of the same address. Port 0 is any. */
static bool is_data_port(const struct km_admin_place *place)
{
    struct km_address admin;
    struct km_address data;
    return km_address_split(place->admin, &admin) == KAMA_OK &&
           km_address_split(place->listen, &data) == KAMA_OK &&
           strcmp(admin.host, data.host) == 0 &&
           strcmp(admin.port, data.port) == 0 && strcmp(data.port, "0") != 0;
}

/* Anybody who can connect reads the keys of all groups. */
static kama_status check(const struct km_admin_place *place)
{
    struct sockaddr_storage addr;
    kama_status status = km_address_parse(place->admin, &addr);
    if (status != KAMA_OK) {
        return km_fail(status, "admin: %s", km_last_error());
    }
    if (is_data_port(place)) {
        return km_fail(KAMA_ERR_INVALID,
                       "admin: %.*s is the data port; the admin port needs one "
                       "of its own",
                       KM_TEXT_UP_TO(64, place->admin));
    }
    if (place->insecure == 0 && !km_address_is_loopback(&addr)) {
        return km_fail(KAMA_ERR_PERMISSION,
                       "admin: %.*s is reachable from other machines, and this "
                       "version neither encrypts nor asks who calls; the "
                       "option insecure permits it",
                       KM_TEXT_UP_TO(64, place->admin));
    }
    return KAMA_OK;
}

kama_status km_admin_address(const struct km_admin_place *place,
                             char ret_text[KM_ADMIN_ADDRESS_BYTES])
{
    if (place->admin == NULL || place->admin[0] == '\0') {
        return beside(place->listen, ret_text);
    }
    if (strcmp(place->admin, "off") == 0) {
        ret_text[0] = '\0';
        return KAMA_OK;
    }
    kama_status status = check(place);
    if (status == KAMA_OK) {
        (void)km_text_printf(ret_text, KM_ADMIN_ADDRESS_BYTES, "%s",
                             place->admin);
    }
    return status;
}
