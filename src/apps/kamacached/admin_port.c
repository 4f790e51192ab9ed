/* SPDX-License-Identifier: MIT */
#include "admin_port.h"

#include "admin/host.h"
#include "base/limits.h"
#include "base/status.h"
#include "node/node_admin.h"

_Static_assert(KM_ADMIN_CONNECTIONS_MAX <= KM_NODE_FD_RESERVE / 2,
               "the data port has its descriptors whoever asks this one");

static kama_status check_hosts(const struct km_option_list *names)
{
    kama_status status = KAMA_OK;
    if (names->count > KM_ADMIN_HOSTS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "admin_host: %zu names, at most %d",
                       names->count, KM_ADMIN_HOSTS_MAX);
    }
    for (size_t i = 0; i < names->count && status == KAMA_OK; i++) {
        status = km_admin_host_check(names->items[i]);
    }
    return status;
}

kama_status admin_port_init(struct admin_port *port,
                            const struct daemon_options *options)
{
    const struct km_admin_place place = {.listen = options->listen,
                                         .admin = options->admin,
                                         .insecure = options->insecure};
    port->admin = NULL;
    kama_status status = km_admin_address(&place, port->address);
    return status == KAMA_OK ? check_hosts(&options->admin_host) : status;
}

/* A port that is taken has been chosen by the daemon, more often than not. */
static kama_status fail_to_open(kama_status status)
{
    return km_fail(status,
                   "admin port: %s; %s--admin names another address, "
                   "--admin=off does without it",
                   km_last_error(),
                   status == KAMA_ERR_ADDR_IN_USE
                       ? "is another kamacached running? "
                       : "");
}

kama_status admin_port_open(struct admin_port *port,
                            const struct daemon_options *options,
                            kama_node *node)
{
    struct km_admin_options admin = {
        .address = port->address,
        .hosts = options->admin_host.items,
        .host_count = options->admin_host.count,
    };
    if (port->address[0] == '\0') {
        return KAMA_OK;
    }
    km_node_admin_source(node, &admin.source);
    kama_status status = km_admin_open(&admin, &port->admin);
    if (status != KAMA_OK) {
        return fail_to_open(status);
    }
    const char *address = km_admin_listens_at(port->admin);
    KM_LOG(KM_LOG_INFO, "kamacached", "admin port", km_f_str("addr", address));
    return km_node_admin_advertise(node, address);
}

void admin_port_close(struct admin_port *port)
{
    km_admin_close(port->admin);
    port->admin = NULL;
}
