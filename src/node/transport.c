/* SPDX-License-Identifier: MIT */
#include "node/transport.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"

#include <string.h>

/* The one build that peers/ has under way. */
struct computing {
    struct km_job job;
    struct km_mail mail;
    struct km_lane_job *work; /* NULL: none */
    struct km_lane_job *then;
    struct km_node_transport *transport;
};

struct km_node_transport {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop **loops;
    struct km_h2_loop_cache **caches;
    unsigned count;
    struct km_pool *pool;
    uint64_t max_message_bytes;
    atomic_uint next; /* for threads that are no loop */
    atomic_uint links;
    struct computing computing;
};

struct km_link {
    struct km_node_transport *transport;
    struct km_channel *channel;
    unsigned lane;
};

/* In the `use` of a call. */
struct call_use {
    struct km_channel_call *call; /* NULL: it could not be made */
    struct km_mail mail;          /* that ends such a call */
};
_Static_assert(sizeof(struct call_use) <=
                   sizeof(((struct km_link_call *)0)->use),
               "a call has room for its mail");
_Static_assert(sizeof(struct km_mail) <= sizeof(((struct km_lane_job *)0)->use),
               "a job has room for its mail");

static struct call_use *use_of(struct km_link_call *call)
{
    return (struct call_use *)(void *)call->use;
}

/* -- lanes ----------------------------------------------------------------- */

static unsigned lane_count(void *arg)
{
    return ((struct km_node_transport *)arg)->count;
}

static unsigned pick(void *arg)
{
    struct km_node_transport *t = arg;
    for (unsigned i = 1; i < t->count; i++) {
        if (km_loop_is_inside(t->loops[i])) {
            return i;
        }
    }
    return 1 + atomic_fetch_add(&t->next, 1) % (t->count - 1);
}

static void on_job(struct km_mail *mail)
{
    struct km_lane_job *job = KM_CONTAINER_OF(mail, struct km_lane_job, use);
    job->run(job);
}

static void post(void *arg, unsigned lane, struct km_lane_job *job)
{
    struct km_node_transport *t = arg;
    struct km_mail *mail = (struct km_mail *)(void *)job->use;
    mail->run = on_job;
    km_loop_post(t->loops[lane], mail);
}

static void compute_now(struct computing *c)
{
    struct km_lane_job *work = c->work;
    struct km_lane_job *then = c->then;
    work->run(work);
    c->work = NULL;
    post(c->transport, 0, then);
}

static void on_pool(struct km_job *job)
{
    compute_now(KM_CONTAINER_OF(job, struct computing, job));
}

static void on_control(struct km_mail *mail)
{
    compute_now(KM_CONTAINER_OF(mail, struct computing, mail));
}

/* Without a thread, the control loop itself computes: it is late then, but the
 * node goes on. */
static void compute(void *arg, struct km_lane_job *job,
                    struct km_lane_job *then)
{
    struct km_node_transport *t = arg;
    struct computing *c = &t->computing;
    KM_ASSERT(c->work == NULL);
    *c = (struct computing){.job = {.run = on_pool},
                            .mail = {.run = on_control},
                            .work = job,
                            .then = then,
                            .transport = t};
    if (t->pool == NULL || km_pool_submit(t->pool, &c->job) != KAMA_OK) {
        km_loop_post(t->loops[0], &c->mail);
    }
}

static km_ns now(void *arg)
{
    return km_clock_mono(((struct km_node_transport *)arg)->clock);
}

static uint64_t wall_ms(void *arg)
{
    const struct km_clock *clock = ((struct km_node_transport *)arg)->clock;
    return clock->wall_ms(clock->arg);
}

static void arm(void *arg, unsigned lane, struct km_timer *timer, km_ns at)
{
    km_loop_timer_arm(((struct km_node_transport *)arg)->loops[lane], timer,
                      at);
}

static void disarm(void *arg, unsigned lane, struct km_timer *timer)
{
    km_loop_timer_disarm(((struct km_node_transport *)arg)->loops[lane], timer);
}

/* -- links ----------------------------------------------------------------- */

static kama_status open_link(void *arg, unsigned lane, const char *address,
                             struct km_link **ret_link)
{
    struct km_node_transport *t = arg;
    struct km_link *link = km_mem_zalloc(t->mem, 1, sizeof *link);
    if (link == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    struct km_channel_options options = {
        .mem = t->mem,
        .clock = t->clock,
        .address = address,
        .max_message_bytes = t->max_message_bytes,
        .keepalive_ms = KM_RPC_PEER_PING_MS,
        .keepalive_timeout_ms = KM_RPC_PEER_PING_TIMEOUT_MS,
        .keepalive = KM_CHANNEL_KEEPALIVE_CALLS,
        .loop_cache = t->caches != NULL ? t->caches[lane] : NULL};
    kama_status st = km_channel_new(t->loops[lane], &options, &link->channel);
    if (st != KAMA_OK) {
        km_mem_free(t->mem, link);
        return st;
    }
    link->transport = t;
    link->lane = lane;
    (void)atomic_fetch_add(&t->links, 1);
    *ret_link = link;
    return KAMA_OK;
}

static void on_freed(void *arg)
{
    struct km_link *link = arg;
    struct km_node_transport *t = link->transport;
    km_mem_free(t->mem, link);
    (void)atomic_fetch_sub(&t->links, 1);
}

static void close_link(struct km_link *link)
{
    km_channel_close(link->channel, on_freed, link);
}

/* -- calls ----------------------------------------------------------------- */

static void on_message(void *arg, kama_bytes message)
{
    struct km_link_call *call = arg;
    call->on_message(call, message);
}

static enum km_link_end end_of(const struct km_channel_result *result)
{
    if (result->fate != KM_CHANNEL_FATE_MAYBE) {
        return KM_LINK_UNREACHABLE;
    }
    switch (result->status) {
    case KAMA_ERR_TIMEOUT:
        return KM_LINK_LATE;
    case KAMA_ERR_CANCELLED:
        return KM_LINK_CANCELLED;
    case KAMA_ERR_UNREACHABLE:
    case KAMA_ERR_DISCONNECTED:
    case KAMA_ERR_PROTOCOL:
        return KM_LINK_LOST;
    default:
        return KM_LINK_ANSWERED;
    }
}

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct km_link_call *call = arg;
    use_of(call)->call = NULL;
    /* Members that the peer itself did not reach do not concern its caller. */
    kama_status status =
        km_status_is_success(result->status) ? KAMA_OK : result->status;
    call->on_end(call, end_of(result), status, result->text);
}

static const struct km_channel_call_ops call_ops = {.on_message = on_message,
                                                    .on_end = on_end};

static void on_not_made(struct km_mail *mail)
{
    struct call_use *use = KM_CONTAINER_OF(mail, struct call_use, mail);
    struct km_link_call *call = KM_CONTAINER_OF(use, struct km_link_call, use);
    call->on_end(call, KM_LINK_UNREACHABLE, KAMA_ERR_NO_MEMORY,
                 "out of memory");
}

/* A message that cannot be queued ends the call before anything was sent. */
static void start_call(struct km_link *link, struct km_link_call *call)
{
    struct call_use *use = use_of(call);
    const char *const metadata[1][2] = {{"traceparent", call->traceparent}};
    struct km_channel_call_options options = {
        .path = call->path,
        .deadline = call->deadline,
        .metadata = metadata,
        .metadata_count = call->traceparent != NULL ? 1 : 0,
        .repeat = KM_CHANNEL_REPEAT_NEVER};
    *use = (struct call_use){.mail = {.run = on_not_made}};
    if (km_channel_call_new(link->channel, &options, &call_ops, call,
                            &use->call) != KAMA_OK) {
        use->call = NULL;
        km_loop_post(link->transport->loops[link->lane], &use->mail);
        return;
    }
    if (km_channel_call_send_parts(use->call, call->head, call->body) !=
        KAMA_OK) {
        km_channel_call_cancel(use->call);
        return;
    }
    km_channel_call_half_close(use->call);
}

static void cancel(struct km_link_call *call)
{
    if (use_of(call)->call != NULL) {
        km_channel_call_cancel(use_of(call)->call);
    }
}

/* -- life ------------------------------------------------------------------ */

static const struct km_transport_ops ops = {
    .lane_count = lane_count,
    .pick = pick,
    .post = post,
    .compute = compute,
    .now = now,
    .wall_ms = wall_ms,
    .arm = arm,
    .disarm = disarm,
    .open = open_link,
    .close = close_link,
    .call = start_call,
    .cancel = cancel,
};

static kama_status copy_lists(struct km_node_transport *t,
                              const struct km_node_transport_options *options)
{
    t->loops = km_mem_zalloc(t->mem, options->loop_count, sizeof *t->loops);
    t->caches = km_mem_zalloc(t->mem, options->loop_count, sizeof *t->caches);
    if (t->loops == NULL || t->caches == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < options->loop_count; i++) {
        t->loops[i] = options->loops[i];
        t->caches[i] = options->caches != NULL ? options->caches[i] : NULL;
    }
    return KAMA_OK;
}

kama_status km_node_transport_new(
    const struct km_node_transport_options *options,
    struct km_node_transport **ret_transport)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_node_transport *t = km_mem_zalloc(mem, 1, sizeof *t);
    KM_ASSERT(options->loop_count >= 2);
    if (t == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    t->mem = mem;
    t->clock = options->clock != NULL ? options->clock : km_clock_system();
    t->count = options->loop_count;
    t->pool = options->pool;
    t->max_message_bytes = options->max_message_bytes;
    if (copy_lists(t, options) != KAMA_OK) {
        km_node_transport_free(t);
        return KAMA_ERR_NO_MEMORY;
    }
    *ret_transport = t;
    return KAMA_OK;
}

void km_node_transport_free(struct km_node_transport *transport)
{
    if (transport == NULL) {
        return;
    }
    KM_ASSERT(atomic_load(&transport->links) == 0);
    km_mem_free(transport->mem, transport->loops);
    km_mem_free(transport->mem, transport->caches);
    km_mem_free(transport->mem, transport);
}

struct km_transport km_node_transport_of(struct km_node_transport *transport)
{
    return (struct km_transport){.ops = &ops, .arg = transport};
}

unsigned km_node_transport_links(const struct km_node_transport *transport)
{
    return atomic_load(&transport->links);
}
