/* SPDX-License-Identifier: MIT */
/* The options that leave a value to the node are completed from the machine:
 * the processors that this process may run on, and its limit of descriptors. */
#include "node/node_options.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/struct.h"
#include "base/text.h"
#include "net/address.h"
#include "node/node_event.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define START_TIMEOUT_MS 10000
#define DRAIN_TIMEOUT_MS 15000
#define TIMEOUT_MS_MAX (3600LL * 1000)

/* The defaults of kama_node_options_init. Members that are 0 here are completed
 * by km_node_config_init. */
static const kama_node_options defaults = {
    .struct_size = sizeof(kama_node_options),
    .listen = "127.0.0.1:8001",
    .service = "kama-cache",
    .start_timeout_ms = START_TIMEOUT_MS,
    .drain_timeout_ms = DRAIN_TIMEOUT_MS,
    .event_level = KM_NODE_INFO,
    .cluster = "default",
    .weight = 1,
    .require_discovery = 1,
};

void kama_node_options_init_sized(kama_node_options *options,
                                  size_t struct_size)
{
    km_struct_init(options, struct_size, &defaults, sizeof defaults);
}

/* -- defaults that depend on the machine --------------------------------- */

/* One loop per processor that this process may use; a container or taskset may
 * permit fewer than the machine has. */
static unsigned core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) {
        return 1;
    }
    unsigned n = (unsigned)CPU_COUNT(&cores);
    return n < KM_NODE_THREADS_MAX ? n : KM_NODE_THREADS_MAX;
}

/* Some descriptors are kept for files and for connections to origins, and in a
 * cluster for its other nodes and etcd. */
static unsigned descriptors_kept(const kama_node_options *options,
                                 unsigned threads)
{
    if (options->etcd == NULL || options->etcd[0] == '\0') {
        return KM_NODE_FD_RESERVE;
    }
    return KM_NODE_FD_RESERVE + KM_RPC_PEER_CONNECTIONS_MAX +
           KM_NODE_FD_PEERS * (threads + 2) + KM_NODE_FD_ETCD;
}

/* If there are few descriptors in all, connections get half of them. */
static unsigned connections_default(const kama_node_options *options,
                                    unsigned threads)
{
    struct rlimit limit;
    unsigned kept = descriptors_kept(options, threads);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= KM_NODE_CONNECTIONS_DEFAULT + kept) {
        return KM_NODE_CONNECTIONS_DEFAULT;
    }
    unsigned all = (unsigned)limit.rlim_cur;
    return all >= 2 * kept ? all - kept : all / 2 + 1;
}

/* -- checks -------------------------------------------------------------- */

/* This version encrypts nothing and knows no users, so an address that other
 * machines can reach needs the word of the operator. */
static kama_status check_listen(const kama_node_options *options)
{
    struct sockaddr_storage addr;
    if (options->listen == NULL) {
        return km_fail(
            KAMA_ERR_INVALID,
            "listen: no address was given; use one such as 127.0.0.1:8001");
    }
    kama_status status = km_address_parse(options->listen, &addr);
    if (status != KAMA_OK) {
        return km_fail(status, "listen: %s", km_last_error());
    }
    if (options->insecure == 0 && !km_address_is_loopback(&addr)) {
        return km_fail(KAMA_ERR_PERMISSION,
                       "listen: %.*s is reachable from other machines, and "
                       "this version neither encrypts nor asks who calls; the "
                       "option insecure permits it",
                       KM_TEXT_UP_TO(64, options->listen));
    }
    return KAMA_OK;
}

/* A timeout must be bounded, so that a wrong unit is noticed at the start. */
static kama_status check_timeout(const char *name, int64_t ms, int least)
{
    if (ms < least || ms > TIMEOUT_MS_MAX) {
        return km_fail(KAMA_ERR_INVALID, "%s: %lld is outside %d..%lld", name,
                       (long long)ms, least, TIMEOUT_MS_MAX);
    }
    return KAMA_OK;
}

static kama_status check_numbers(const kama_node_options *options)
{
    if (options->threads > KM_NODE_THREADS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "threads: %u are more than the limit of %d",
                       options->threads, KM_NODE_THREADS_MAX);
    }
    if (options->event_level > KM_NODE_ERROR) {
        return km_fail(KAMA_ERR_INVALID, "event_level: %u is outside %d..%d",
                       options->event_level, KM_NODE_DEBUG, KM_NODE_ERROR);
    }
    kama_status status =
        check_timeout("start_timeout_ms", options->start_timeout_ms, 1);
    return status == KAMA_OK
               ? check_timeout("drain_timeout_ms", options->drain_timeout_ms, 0)
               : status;
}

static kama_status check(const kama_node_options *options)
{
    kama_status status = check_numbers(options);
    return status == KAMA_OK ? check_listen(options) : status;
}

/* -- the copy ------------------------------------------------------------ */

/* Copies the texts into *config. On an error there is nothing to be freed. */
static kama_status copy_texts(struct km_node_config *config,
                              const kama_node_options *options,
                              const kama_allocator *mem)
{
    const char *service =
        options->service != NULL ? options->service : defaults.service;
    config->listen = km_mem_strdup(mem, options->listen);
    config->service = km_mem_strdup(mem, service);
    kama_status status =
        config->listen != NULL && config->service != NULL
            ? km_node_cluster_config_init(options, &config->cluster, mem)
            : km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    if (status != KAMA_OK) {
        km_node_config_fini(config, mem);
    }
    return status;
}

kama_status km_node_config_init(const kama_node_options *options,
                                struct km_node_config *ret_config,
                                kama_allocator *ret_mem)
{
    kama_node_options known = defaults;
    kama_status status =
        km_struct_read(&known, sizeof known, options, "kama_node_options");
    if (status == KAMA_OK) {
        status = check(&known);
    }
    if (status != KAMA_OK) {
        return status;
    }
    unsigned threads = known.threads != 0 ? known.threads : core_count();
    struct km_node_config config = {
        .threads = threads,
        .max_connections = known.max_connections != 0
                               ? known.max_connections
                               : connections_default(&known, threads),
        .start_timeout_ms = known.start_timeout_ms,
        .drain_timeout_ms = known.drain_timeout_ms,
        .event = known.event,
        .event_arg = known.event_arg,
        .event_level = (int)known.event_level,
    };
    KM_ASSERT(config.threads >= 1 && config.threads <= KM_NODE_THREADS_MAX);
    KM_ASSERT(config.max_connections >= 1);
    kama_allocator mem = *km_mem_or_default(known.allocator);
    status = copy_texts(&config, &known, &mem);
    if (status == KAMA_OK) {
        *ret_config = config;
        *ret_mem = mem;
    }
    return status;
}

void km_node_config_fini(struct km_node_config *config,
                         const kama_allocator *mem)
{
    km_node_cluster_config_fini(&config->cluster, mem);
    km_mem_free(mem, config->listen);
    km_mem_free(mem, config->service);
    config->listen = NULL;
    config->service = NULL;
}
