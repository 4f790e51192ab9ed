/* SPDX-License-Identifier: MIT */
/*
 * The gRPC server's life, and how connections are dealt out: loop 0 accepts,
 * the loop with the fewest gets the descriptor by mail.
 */
#include "rpc/server_internal.h"

#include "base/container.h"
#include "base/status.h"
#include "base/sync.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

const struct km_metric km_rpc_metrics[KM_RPC_M_COUNT] = {
    [KM_RPC_M_CONNECTIONS] = {"connections", KM_METRIC_GAUGE, "",
                              "Connections open on the data port."},
    [KM_RPC_M_ACCEPTED] = {"connections_accepted", KM_METRIC_COUNTER, "",
                           "Connections accepted."},
    [KM_RPC_M_REFUSED_CONNECTIONS] =
        {"connections_refused", KM_METRIC_COUNTER, "",
         "Connections closed at once: there were too many."},
    [KM_RPC_M_CALLS] = {"calls", KM_METRIC_COUNTER, "", "Calls begun."},
    [KM_RPC_M_CALLS_RUNNING] = {"calls_running", KM_METRIC_GAUGE, "",
                                "Calls that have not ended."},
    [KM_RPC_M_CALLS_FAILED] = {"calls_failed", KM_METRIC_COUNTER, "",
                               "Calls that ended with another status than "
                               "OK."},
    [KM_RPC_M_CANCELLED] = {"calls_cancelled", KM_METRIC_COUNTER, "",
                            "Calls that the client gave up or lost."},
    [KM_RPC_M_ABUSE_CLOSED] = {"h2_abuse_closed", KM_METRIC_COUNTER, "",
                               "Connections closed for passing a limit of "
                               "the protocol."},
    [KM_RPC_M_FOREIGN] = {"foreign_requests", KM_METRIC_COUNTER, "",
                          "Connections and requests that are not gRPC."},
    [KM_RPC_M_HELD_BYTES] = {"request_held", KM_METRIC_GAUGE, "bytes",
                             "Memory of requests that came in pieces."},
};

/* -- life ---------------------------------------------------------------- */

static size_t call_bytes(const struct km_rpc_server_options *options)
{
    size_t state_bytes = 0;
    for (size_t i = 0; i < options->method_count; i++) {
        if (options->methods[i].state_bytes > state_bytes) {
            state_bytes = options->methods[i].state_bytes;
        }
    }
    return KM_RPC_STATE_OFFSET + state_bytes;
}

static void fini_home(struct km_rpc_home *home)
{
    const kama_allocator *mem = home->server->mem;
    KM_ASSERT(km_list_empty(&home->conns));
    while (home->spare_calls != NULL) {
        struct km_rpc_call *call = home->spare_calls;
        home->spare_calls = call->next_spare;
        km_mem_free(mem, call);
    }
    km_h2_shared_free(home->shared);
}

static kama_status init_home(struct km_rpc_home *home,
                             struct km_rpc_server *server, struct km_loop *loop)
{
    home->server = server;
    home->loop = loop;
    km_list_init(&home->conns);
    km_list_init(&home->unarmed);
    return km_h2_shared_new(server->mem, KM_RPC_H2_CACHE_BYTES, &home->shared);
}

static kama_status init_homes(struct km_rpc_server *server)
{
    unsigned count = server->options.loop_count;
    server->homes = km_mem_zalloc(server->mem, count, sizeof *server->homes);
    if (server->homes == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        kama_status status =
            init_home(&server->homes[i], server, server->options.loops[i]);
        if (status != KAMA_OK) {
            return status;
        }
    }
    return KAMA_OK;
}

kama_status km_rpc_server_new(const struct km_rpc_server_options *options,
                              struct km_rpc_server **ret_server)
{
    KM_ASSERT(options->loop_count > 0);
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_rpc_server *server = km_mem_zalloc(mem, 1, sizeof *server);
    if (server == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    server->options = *options;
    server->mem = mem;
    server->call_bytes = call_bytes(options);
    if (options->held_bytes_max == 0) {
        server->options.held_bytes_max = KM_RPC_HELD_BYTES_LOOP;
    }
    km_rpc_server_allow_message(server, options->max_message_bytes);
    km_rpc_server_allow_message(server, KM_RPC_MESSAGE_BYTES_MIN);
    kama_status status = km_metric_set_new(mem, km_rpc_metrics, KM_RPC_M_COUNT,
                                           &server->metrics);
    if (status == KAMA_OK) {
        status = km_rpc_methods_init(&server->methods, mem, options->methods,
                                     options->method_count);
    }
    if (status == KAMA_OK) {
        status = init_homes(server);
    }
    if (status != KAMA_OK) {
        km_rpc_server_free(server);
        return status;
    }
    *ret_server = server;
    return KAMA_OK;
}

void km_rpc_server_free(struct km_rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->homes != NULL) {
        for (unsigned i = 0; i < server->options.loop_count; i++) {
            if (server->homes[i].server != NULL) {
                fini_home(&server->homes[i]);
            }
        }
        km_mem_free(server->mem, server->homes);
    }
    km_rpc_methods_fini(&server->methods, server->mem);
    km_metric_set_free(server->metrics);
    km_mem_free(server->mem, server);
}

void km_rpc_server_allow_message(struct km_rpc_server *server, uint64_t bytes)
{
    uint64_t max = atomic_load(&server->max_message_bytes);
    while (bytes > max && !atomic_compare_exchange_weak(
                              &server->max_message_bytes, &max, bytes)) {
    }
}

struct km_metric_set *km_rpc_server_metrics(struct km_rpc_server *server)
{
    return server->metrics;
}

/* -- dealing out --------------------------------------------------------- */

struct handover {
    struct km_mail mail;
    struct km_rpc_home *home;
    int fd;
};

static void on_handover(struct km_mail *mail)
{
    struct handover *handover = KM_CONTAINER_OF(mail, struct handover, mail);
    struct km_rpc_home *home = handover->home;
    int fd = handover->fd;
    km_mem_free(home->server->mem, handover);
    km_rpc_conn_adopt(home, fd);
}

static struct km_rpc_home *least_loaded(struct km_rpc_server *server)
{
    struct km_rpc_home *best = &server->homes[0];
    unsigned least = atomic_load(&best->connections);
    for (unsigned i = 1; i < server->options.loop_count; i++) {
        unsigned n = atomic_load(&server->homes[i].connections);
        if (n < least) {
            least = n;
            best = &server->homes[i];
        }
    }
    return best;
}

static bool count_in(struct km_rpc_server *server)
{
    unsigned max = server->options.max_connections;
    if (max > 0 && atomic_load(&server->connections) >= max) {
        km_rpc_count(server, KM_RPC_M_REFUSED_CONNECTIONS);
        return false;
    }
    atomic_fetch_add(&server->connections, 1);
    km_rpc_count(server, KM_RPC_M_ACCEPTED);
    km_rpc_count(server, KM_RPC_M_CONNECTIONS);
    return true;
}

static void on_accept(void *arg, int fd)
{
    struct km_rpc_server *server = arg;
    if (!count_in(server)) {
        close(fd);
        return;
    }
    struct km_rpc_home *home = least_loaded(server);
    atomic_fetch_add(&home->connections, 1);
    struct handover *handover = NULL;
    if (home != &server->homes[0]) {
        handover = km_mem_alloc(server->mem, sizeof *handover);
    }
    if (handover == NULL) {
        /* Without memory for the mail it stays here. */
        atomic_fetch_sub(&home->connections, 1);
        atomic_fetch_add(&server->homes[0].connections, 1);
        km_rpc_conn_adopt(&server->homes[0], fd);
        return;
    }
    handover->mail.run = on_handover;
    handover->home = home;
    handover->fd = fd;
    km_loop_post(home->loop, &handover->mail);
}

/* -- listening ----------------------------------------------------------- */

static kama_status listen_here(struct km_rpc_server *server,
                               const char *address)
{
    kama_status status = km_listener_open(server->homes[0].loop, address,
                                          on_accept, server, &server->listener);
    if (status == KAMA_OK) {
        snprintf(server->address, sizeof server->address, "%s",
                 km_listener_address(server->listener));
    }
    return status;
}

/* Setup waits while loop 0 opens the socket. */
struct listen_request {
    struct km_mail mail;
    struct km_rpc_server *server;
    const char *address;
    struct km_mutex mutex;
    struct km_cond cond;
    bool done;
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_listen(struct km_mail *mail)
{
    struct listen_request *request =
        KM_CONTAINER_OF(mail, struct listen_request, mail);
    kama_status status = listen_here(request->server, request->address);
    km_mutex_lock(&request->mutex);
    request->status = status;
    (void)km_text_printf(request->sentence, sizeof request->sentence, "%s",
                         km_last_error());
    request->done = true;
    km_cond_signal(&request->cond);
    km_mutex_unlock(&request->mutex);
}

static kama_status wait_listening(struct listen_request *request)
{
    km_mutex_lock(&request->mutex);
    while (!request->done) {
        km_cond_wait(&request->cond, &request->mutex);
    }
    km_mutex_unlock(&request->mutex);
    return request->status == KAMA_OK
               ? KAMA_OK
               : km_fail(request->status, "%s", request->sentence);
}

static kama_status listen_there(struct km_rpc_server *server,
                                const char *address)
{
    struct listen_request request = {
        .mail = {.run = on_listen}, .server = server, .address = address};
    if (!km_mutex_init(&request.mutex, KM_RANK_WAITER)) {
        return KAMA_ERR_THREADS;
    }
    if (!km_cond_init(&request.cond)) {
        km_mutex_fini(&request.mutex);
        return KAMA_ERR_THREADS;
    }
    km_loop_post(server->homes[0].loop, &request.mail);
    kama_status status = wait_listening(&request);
    km_cond_fini(&request.cond);
    km_mutex_fini(&request.mutex);
    return status;
}

kama_status km_rpc_server_listen(struct km_rpc_server *server,
                                 const char *address)
{
    struct km_loop *loop = server->homes[0].loop;
    return !km_loop_is_started(loop) || km_loop_is_inside(loop)
               ? listen_here(server, address)
               : listen_there(server, address);
}

const char *km_rpc_server_address(const struct km_rpc_server *server)
{
    return server->address[0] != '\0' ? server->address : NULL;
}
