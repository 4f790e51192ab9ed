/* SPDX-License-Identifier: MIT */
/*
 * The life of a gRPC server. It is composed of net's acceptor, which deals
 * connections out to loops, and net's drain, which ends them; the parts of
 * each loop are in server_loop.c. km_server_free accepts a half-built server,
 * so that km_server_new has one way out of every error.
 */
#include "rpc/server.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "rpc/server_call_life.h"

const struct km_metric km_server_metric_rows[KM_SERVER_M_COUNT] = {
    [KM_SERVER_M_CONNECTIONS] = {"connections", KM_METRIC_GAUGE, "",
                                 "Connections open on the data port."},
    [KM_SERVER_M_ACCEPTED] = {"connections_accepted", KM_METRIC_COUNTER, "",
                              "Connections accepted."},
    [KM_SERVER_M_REFUSED_CONNECTIONS] =
        {"connections_refused", KM_METRIC_COUNTER, "",
         "Connections closed because there were too many."},
    [KM_SERVER_M_CALLS] = {"calls", KM_METRIC_COUNTER, "", "Calls begun."},
    [KM_SERVER_M_CALLS_RUNNING] = {"calls_running", KM_METRIC_GAUGE, "",
                                   "Calls that have not ended."},
    [KM_SERVER_M_CALLS_FAILED] = {"calls_failed", KM_METRIC_COUNTER, "",
                                  "Calls that ended with another status than "
                                  "OK."},
    [KM_SERVER_M_CANCELLED] = {"calls_cancelled", KM_METRIC_COUNTER, "",
                               "Calls that the client gave up or lost."},
    [KM_SERVER_M_ABUSE_CLOSED] = {"h2_abuse_closed", KM_METRIC_COUNTER, "",
                                  "Connections closed for passing a limit of "
                                  "the protocol."},
    [KM_SERVER_M_FOREIGN] = {"foreign_requests", KM_METRIC_COUNTER, "",
                             "Connections and requests that are not gRPC."},
    [KM_SERVER_M_HELD_BYTES] = {"request_held", KM_METRIC_GAUGE, "bytes",
                                "Memory of requests that came in pieces."},
};

/* -- loops --------------------------------------------------------------- */

/* Every call has room for the largest state of a method, so that the memory of
 * any ended call serves any new one. */
static size_t call_bytes(const struct km_server_options *options)
{
    size_t state_bytes = 0;
    for (size_t i = 0; i < options->method_count; i++) {
        if (options->methods[i].state_bytes > state_bytes) {
            state_bytes = options->methods[i].state_bytes;
        }
    }
    return KM_SERVER_CALL_STATE_OFFSET + state_bytes;
}

/* On an error km_server_free finds the loops that were prepared. */
static kama_status init_server_loops(struct km_server *server)
{
    unsigned count = server->options.loop_count;
    server->server_loops =
        km_mem_zalloc(server->mem, count, sizeof *server->server_loops);
    if (server->server_loops == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        kama_status status =
            km_server_loop_init(&server->server_loops[i], server, i);
        if (status != KAMA_OK) {
            return status;
        }
    }
    return KAMA_OK;
}

/* -- accepting and draining ---------------------------------------------- */

/* Runs on the loop of the connection; the other two run on the first loop. */
static void on_connection(void *arg, unsigned loop_index, int fd,
                          enum km_acceptor_place place)
{
    struct km_server *server = arg;
    km_server_conn_open(&server->server_loops[loop_index], fd, place);
}

static void on_accepted(void *arg)
{
    struct km_server *server = arg;
    km_metric_add(server->metrics, KM_SERVER_M_ACCEPTED, 1);
    km_metric_add(server->metrics, KM_SERVER_M_CONNECTIONS, 1);
}

static void on_refused(void *arg)
{
    struct km_server *server = arg;
    km_metric_add(server->metrics, KM_SERVER_M_REFUSED_CONNECTIONS, 1);
}

static kama_status init_net(struct km_server *server)
{
    const struct km_server_options *options = &server->options;
    const struct km_acceptor_options accepting = {
        .mem = server->mem,
        .loops = options->loops,
        .loop_count = options->loop_count,
        .max_connections = options->max_connections,
        .reserved_connections = options->company == KM_SERVER_AMONG_PEERS
                                    ? KM_RPC_PEER_CONNECTIONS_MAX
                                    : 0,
        .on_connection = on_connection,
        .on_accepted = on_accepted,
        .on_refused = on_refused,
        .arg = server,
    };
    kama_status status = km_drain_init(&server->drain, server->mem,
                                       options->loops, options->loop_count);
    if (status == KAMA_OK) {
        status = km_drain_init(&server->client_drain, server->mem,
                               options->loops, options->loop_count);
    }
    return status == KAMA_OK ? km_acceptor_new(&accepting, &server->acceptor)
                             : status;
}

kama_status km_server_listen(struct km_server *server, const char *address)
{
    return km_acceptor_listen(server->acceptor, address);
}

unsigned km_server_connections_max(const struct km_server *server)
{
    return server->options.max_connections;
}

const char *km_server_address(const struct km_server *server)
{
    return km_acceptor_address(server->acceptor);
}

/* Runs on the first loop. The second step of a stop finds nothing to close, if
 * the first one has stopped to accept. */
static void stop_accepting(void *arg)
{
    struct km_server *server = arg;
    km_acceptor_close(server->acceptor);
}

void km_server_drain_clients(struct km_server *server, int64_t timeout_ms,
                             km_drained_fn done, void *arg)
{
    bool is_alone = server->options.company == KM_SERVER_ALONE;
    const struct km_drain_request request = {
        .timeout_ms = timeout_ms,
        .stop_accepting = is_alone ? stop_accepting : NULL,
        .stop_arg = server,
        .done = done,
        .done_arg = arg,
    };
    km_drain_start(&server->client_drain, &request);
}

void km_server_drain(struct km_server *server, int64_t timeout_ms,
                     km_drained_fn done, void *arg)
{
    const struct km_drain_request request = {
        .timeout_ms = timeout_ms,
        .stop_accepting = stop_accepting,
        .stop_arg = server,
        .done = done,
        .done_arg = arg,
    };
    km_drain_start(&server->drain, &request);
}

/* -- the server ---------------------------------------------------------- */

kama_status km_server_new(const struct km_server_options *options,
                          struct km_server **ret_server)
{
    KM_ASSERT(options->loop_count > 0);
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_server *server = km_mem_zalloc(mem, 1, sizeof *server);
    if (server == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    server->options = *options;
    server->mem = mem;
    server->call_bytes = call_bytes(options);
    if (options->held_bytes_max == 0) {
        server->options.held_bytes_max = KM_RPC_HELD_BYTES_LOOP;
    }
    if (options->stall_ms == 0) {
        server->options.stall_ms = KM_RPC_STALL_MS;
    }
    km_server_allow_message(server, options->max_message_bytes);
    km_server_allow_message(server, KM_RPC_MESSAGE_BYTES_MIN);
    kama_status status = km_metric_set_new(mem, km_server_metric_rows,
                                           KM_SERVER_M_COUNT, &server->metrics);
    if (status == KAMA_OK) {
        status = km_server_methods_init(&server->methods, mem, options->methods,
                                        options->method_count);
    }
    if (status == KAMA_OK) {
        status = init_server_loops(server);
    }
    if (status == KAMA_OK) {
        status = init_net(server);
    }
    if (status != KAMA_OK) {
        km_server_free(server);
        return status;
    }
    *ret_server = server;
    return KAMA_OK;
}

void km_server_free(struct km_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->server_loops != NULL) {
        for (unsigned i = 0; i < server->options.loop_count; i++) {
            km_server_loop_fini(&server->server_loops[i]);
        }
        km_mem_free(server->mem, server->server_loops);
    }
    km_acceptor_free(server->acceptor);
    km_drain_fini(&server->client_drain);
    km_drain_fini(&server->drain);
    km_server_methods_fini(&server->methods, server->mem);
    km_metric_set_free(server->metrics);
    km_mem_free(server->mem, server);
}

/* Two groups may be added at the same time, and the larger of the two limits
 * must win, whichever of them is written last. */
void km_server_allow_message(struct km_server *server, uint64_t bytes)
{
    uint64_t max = atomic_load(&server->max_message_bytes);
    while (bytes > max && !atomic_compare_exchange_weak(
                              &server->max_message_bytes, &max, bytes)) {
    }
}

struct km_metric_set *km_server_metrics(struct km_server *server)
{
    return server->metrics;
}

bool km_server_abuse(const struct km_server *server, unsigned index,
                     struct km_server_abuse *ret_abuse)
{
    if (index >= KM_H2_ABUSE_COUNT) {
        return false;
    }
    ret_abuse->reason = km_h2_abuse_name((enum km_h2_abuse)index);
    ret_abuse->closed = atomic_load(&server->abuses[index]);
    return true;
}
