/* SPDX-License-Identifier: MIT */
/* Everything but open and close runs on the loop, so that nothing needs a lock. The
 * thread that closes the port waits until no answer is still to come. */
#include "admin/admin.h"

#include "admin/host.h"
#include "admin/later.h"
#include "admin/route.h"
#include "admin/session.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "net/acceptor.h"
#include "net/conn.h"

#include <unistd.h>

/* Shown in the name of the thread, beside those of the node: kama-loop-999. */
#define LOOP_INDEX 999

/* How long an answer that is under way may take when the port closes. */
#define CLOSE_MS 200

struct km_admin {
    kama_allocator mem;
    struct km_admin_options options;
    struct km_admin_handler handler;
    struct km_loop *loop;
    struct km_acceptor *acceptor;
    struct km_timer tick;
    struct km_mail close_mail;
    struct km_list connections; /* of connection.node */
    size_t unread_bytes;        /* of answers */
    struct km_admin_laters laters;
    bool closing;
    struct km_event idle; /* it closes, and no answer is to come */
};

struct connection {
    struct km_list node;
    struct km_admin *admin;
    struct km_conn_owner owner;
    struct km_conn *conn;
    struct km_session *session;
};

/* -- requests ------------------------------------------------------------------- */

static void refuse_host(struct km_admin_reply *reply)
{
    km_admin_reply_error(reply, KAMA_ERR_PERMISSION, 403,
                         "the header Host names neither an address nor "
                         "localhost; --admin-host permits a name");
}

static void answer(void *arg, const struct km_admin_request *request,
                   struct km_admin_reply *reply)
{
    struct km_admin *admin = arg;
    const struct km_admin_options *options = &admin->options;
    const struct km_admin_context context = {
        .source = &options->source,
        .query = km_admin_request_query(request),
        .accept = kama_bytes_make(request->accept, request->accept_len),
        .now = km_loop_now(admin->loop),
        .laters = admin->closing ? NULL : &admin->laters,
    };
    kama_bytes host = kama_bytes_make(request->host, request->host_len);
    km_last_error_clear();
    if (request->hosts > 0 &&
        !km_admin_host_is_allowed(host, options->hosts, options->host_count)) {
        refuse_host(reply);
        return;
    }
    km_admin_route_answer(km_admin_route_find(km_admin_request_path(request)),
                          &context, reply);
}

static bool hold(void *arg, size_t bytes)
{
    struct km_admin *admin = arg;
    if (admin->unread_bytes + bytes > KM_ADMIN_UNREAD_BYTES_MAX) {
        return false;
    }
    admin->unread_bytes += bytes;
    return true;
}

static void release(void *arg, size_t bytes)
{
    struct km_admin *admin = arg;
    KM_ASSERT(admin->unread_bytes >= bytes);
    admin->unread_bytes -= bytes;
}

/* -- connections ----------------------------------------------------------------- */

static void on_closed(struct km_conn_owner *owner, struct km_conn *conn,
                      kama_status why)
{
    struct connection *c = KM_CONTAINER_OF(owner, struct connection, owner);
    struct km_admin *admin = c->admin;
    (void)conn;
    (void)why;
    km_list_remove(&c->node);
    km_mem_free(&admin->mem, c);
    km_acceptor_count_closed(admin->acceptor, 0);
}

static void discard(struct km_admin *admin, struct km_session *session,
                    struct connection *c)
{
    if (session != NULL) {
        session->ops->close(session);
    }
    km_mem_free(&admin->mem, c);
    km_acceptor_count_closed(admin->acceptor, 0);
}

/* Closes the connection that has waited for a request for longest. Without it,
 * clients that say nothing would keep probes out. Returns false if all are busy. */
static bool make_place(struct km_admin *admin)
{
    struct connection *longest = NULL;
    km_ns since = KM_NS_NEVER;
    struct km_list *link;
    struct km_list *next;
    KM_LIST_FOREACH(link, next, &admin->connections) {
        struct connection *c = KM_CONTAINER_OF(link, struct connection, node);
        km_ns idle = km_admin_session_idle_since(c->session);
        if (idle < since) {
            since = idle;
            longest = c;
        }
    }
    if (longest != NULL) {
        km_conn_close(longest->conn, 0);
    }
    return longest != NULL;
}

static void on_connection(void *arg, unsigned loop_index, int fd,
                          enum km_acceptor_place place)
{
    struct km_admin *admin = arg;
    struct connection *c = km_mem_zalloc(&admin->mem, 1, sizeof *c);
    struct km_session *session = km_admin_session_new(
        &admin->mem, &admin->handler, km_loop_now(admin->loop));
    bool has_place = place == KM_ACCEPTOR_ORDINARY || make_place(admin);
    (void)loop_index;
    if (c == NULL || session == NULL || admin->closing || !has_place) {
        close(fd);
        discard(admin, session, c);
        return;
    }
    c->admin = admin;
    c->owner.on_closed = on_closed;
    c->session = session;
    if (km_conn_open(admin->loop, fd, session, &c->owner, &c->conn) !=
        KAMA_OK) {
        discard(admin, session, c);
        return;
    }
    km_list_push_back(&admin->connections, &c->node);
}

static void on_count(void *arg)
{
    (void)arg; /* nobody counts the connections of this port */
}

/* -- answers that come later -------------------------------------------------------- */

static void look_idle(struct km_admin *admin)
{
    if (admin->closing && admin->laters.count == 0) {
        km_event_set(&admin->idle);
    }
}

static void wake(struct km_admin *admin, const struct km_session *session)
{
    struct km_list *link;
    struct km_list *next;
    KM_LIST_FOREACH(link, next, &admin->connections) {
        struct connection *c = KM_CONTAINER_OF(link, struct connection, node);
        if (c->session == session) {
            km_conn_wake(c->conn);
            return;
        }
    }
}

static void on_later(struct km_mail *mail)
{
    struct km_admin_later *later =
        KM_CONTAINER_OF(mail, struct km_admin_later, mail);
    struct km_admin *admin =
        KM_CONTAINER_OF(later->laters, struct km_admin, laters);
    struct km_session *session = later->session;
    if (session != NULL) {
        km_admin_session_finish(session, km_loop_now(admin->loop));
        wake(admin, session);
    } else {
        later->finish(later, NULL);
    }
    admin->laters.count--;
    look_idle(admin);
}

/* -- the clock -------------------------------------------------------------------- */

static void on_tick(struct km_timer *timer)
{
    struct km_admin *admin = KM_CONTAINER_OF(timer, struct km_admin, tick);
    const struct km_admin_source *source = &admin->options.source;
    km_ns now = km_loop_now(admin->loop);
    source->ops->ask_loops(source->arg, now);
    km_loop_timer_arm(admin->loop, timer,
                      km_ns_after_ms(now, KM_ADMIN_TICK_MS));
}

/* -- life ------------------------------------------------------------------------- */

static void close_here(struct km_mail *mail)
{
    struct km_admin *admin = KM_CONTAINER_OF(mail, struct km_admin, close_mail);
    struct km_list *link;
    struct km_list *next;
    admin->closing = true;
    km_acceptor_close(admin->acceptor);
    km_loop_timer_disarm(admin->loop, &admin->tick);
    KM_LIST_FOREACH(link, next, &admin->connections) {
        struct connection *c = KM_CONTAINER_OF(link, struct connection, node);
        km_conn_close(c->conn, CLOSE_MS);
    }
    look_idle(admin);
}

static kama_status check_hosts(const struct km_admin_options *options)
{
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < options->host_count && status == KAMA_OK; i++) {
        status = km_admin_host_check(options->hosts[i]);
    }
    return status;
}

static kama_status make_acceptor(struct km_admin *admin)
{
    const struct km_acceptor_options options = {
        .mem = &admin->mem,
        .loops = &admin->loop,
        .loop_count = 1,
        .max_connections = KM_ADMIN_CONNECTIONS_MAX,
        .reserved_connections = KM_ADMIN_CONNECTIONS_RESERVED,
        .on_connection = on_connection,
        .on_accepted = on_count,
        .on_refused = on_count,
        .arg = admin,
    };
    kama_status status = km_acceptor_new(&options, &admin->acceptor);
    return status == KAMA_OK
               ? km_acceptor_listen(admin->acceptor, admin->options.address)
               : status;
}

static void free_admin(struct km_admin *admin)
{
    kama_allocator mem = admin->mem;
    km_event_fini(&admin->idle);
    km_loop_free(admin->loop);
    km_acceptor_free(admin->acceptor);
    km_mem_free(&mem, admin);
}

/* Ends a port whose loop runs. */
static void end(struct km_admin *admin)
{
    admin->close_mail.run = close_here;
    km_loop_post(admin->loop, &admin->close_mail);
    (void)km_event_wait(&admin->idle, KM_NS_NEVER);
    km_loop_stop(admin->loop);
    km_loop_join(admin->loop);
    KM_ASSERT(km_list_empty(&admin->connections) && admin->unread_bytes == 0);
    free_admin(admin);
}

static struct km_admin *new_admin(const struct km_admin_options *options)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_admin *admin = km_mem_zalloc(mem, 1, sizeof *admin);
    if (admin == NULL || !km_event_init(&admin->idle)) {
        km_mem_free(mem, admin);
        return NULL;
    }
    admin->mem = *mem;
    admin->options = *options;
    admin->handler = (struct km_admin_handler){
        .answer = answer, .hold = hold, .release = release, .arg = admin};
    admin->tick.fire = on_tick;
    km_list_init(&admin->connections);
    return admin;
}

/* The loop does not run yet, so that nothing has to be handed to it. */
static kama_status start(struct km_admin *admin)
{
    kama_status status = km_loop_new(&admin->mem, admin->options.clock,
                                     LOOP_INDEX, &admin->loop);
    admin->laters =
        (struct km_admin_laters){.loop = admin->loop, .run = on_later};
    if (status == KAMA_OK) {
        status = make_acceptor(admin);
    }
    if (status == KAMA_OK) {
        km_loop_timer_arm(admin->loop, &admin->tick, km_loop_now(admin->loop));
        status = km_loop_start(admin->loop);
    }
    return status;
}

/* The loop does not run, so that the thread that ends it may act for it. */
static void undo_start(struct km_admin *admin)
{
    if (admin->acceptor != NULL) {
        km_acceptor_close(admin->acceptor);
        km_loop_timer_disarm(admin->loop, &admin->tick);
    }
    free_admin(admin);
}

kama_status km_admin_open(const struct km_admin_options *options,
                          struct km_admin **ret_admin)
{
    kama_status status = check_hosts(options);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_admin *admin = new_admin(options);
    if (admin == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the admin port");
    }
    status = start(admin);
    if (status != KAMA_OK) {
        undo_start(admin);
        return status;
    }
    *ret_admin = admin;
    return KAMA_OK;
}

const char *km_admin_listens_at(const struct km_admin *admin)
{
    return km_acceptor_address(admin->acceptor);
}

void km_admin_close(struct km_admin *admin)
{
    if (admin != NULL) {
        end(admin);
    }
}
