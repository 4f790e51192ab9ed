/* SPDX-License-Identifier: MIT */
/* The calls of a lane: how requests get into them, and how they end. */
#include "peers/requests.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"

#include <string.h>

/* Why calls to a peer are cut off, or fail at once. */
#define SILENT "it does not answer any more"

static void on_end(struct km_link_call *link, enum km_link_end end,
                   kama_status status, const char *text);

/* -- one call -------------------------------------------------------------- */

static struct km_peers_call *call_new(struct km_peer_lane *on,
                                      enum km_peers_kind kind)
{
    struct km_peers *peers = on->peer->peers;
    struct km_peers_call *call = km_mem_zalloc(peers->mem, 1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    km_list_init(&call->node);
    call->on = on;
    call->kind = kind;
    call->requests = call->one;
    call->cap = 1;
    (void)km_peer_ref(on->peer);
    return call;
}

static void **allocated_requests(struct km_peers_call *call)
{
    return call->requests == call->one ? NULL : call->requests;
}

static void call_free(struct km_peers_call *call)
{
    struct km_peer *peer = call->on->peer;
    const kama_allocator *mem = peer->peers->mem;
    KM_ASSERT(call->left == 0);
    km_list_remove(&call->node);
    km_mem_free(mem, allocated_requests(call));
    km_mem_free(mem, call);
    km_peer_unref(peer);
}

/* Adds a request. Returns false if there is no memory for it. */
static bool call_add(struct km_peers_call *call, void *request, size_t bytes)
{
    if (call->count == call->cap) {
        size_t cap = 8 * call->cap;
        void **old = allocated_requests(call);
        void **larger = km_mem_resize(call->on->peer->peers->mem, old,
                                      cap * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        if (old == NULL) {
            larger[0] = call->one[0];
        }
        call->requests = larger;
        call->cap = cap;
    }
    call->requests[call->count++] = request;
    call->left++;
    call->bytes += bytes;
    return true;
}

/* -- starting -------------------------------------------------------------- */

static km_ns deadline_of(const struct km_peers_call *call)
{
    km_ns latest = 0;
    for (size_t i = 0; i < call->count; i++) {
        km_ns one = km_peers_request_of(call->kind, call->requests[i]).deadline;
        latest = one > latest ? one : latest;
    }
    return latest;
}

static const char *traceparent_of(const struct km_peers_call *call)
{
    return km_peers_request_of(call->kind, call->requests[0]).traceparent;
}

static void on_message(struct km_link_call *link, kama_bytes message)
{
    km_peers_decode(KM_CONTAINER_OF(link, struct km_peers_call, link), message);
}

static bool open_link(struct km_peer_lane *on)
{
    const struct km_transport *t = &on->peer->peers->transport;
    return on->link != NULL ||
           t->ops->open(t->arg, on->index, on->peer->address, &on->link) ==
               KAMA_OK;
}

static void call_fail(struct km_peers_call *call, enum km_owner_outcome outcome,
                      const char *why)
{
    km_peers_end_all(call, outcome, KAMA_ERR_PEER, why);
    call_free(call);
}

/* Hands the call over to the transport, which copies the head. */
static void call_run(struct km_peers_call *call)
{
    struct km_peer_lane *on = call->on;
    const struct km_transport *t = &on->peer->peers->transport;
    struct km_buf *head = &on->peer->peers->lanes[on->index].head;
    kama_value *body = NULL;
    if (!km_peer_is_open(on->peer)) {
        call_fail(call, KM_OWNER_UNREACHABLE, SILENT);
        return;
    }
    km_buf_reset(head, KM_PEERS_HEAD_KEPT_BYTES);
    if (km_peers_encode(call, head, &body) != KAMA_OK || !open_link(on)) {
        call_fail(call, KM_OWNER_UNREACHABLE, "out of memory");
        return;
    }
    call->stage = KM_PEERS_CALL_RUNNING;
    call->began_at = km_peers_now(on->peer->peers);
    call->link = (struct km_link_call){.path = km_peers_path(call),
                                       .deadline = deadline_of(call),
                                       .head = km_buf_bytes(head),
                                       .body = body,
                                       .traceparent = traceparent_of(call),
                                       .on_message = on_message,
                                       .on_end = on_end};
    km_list_push_back(&on->calls, &call->node);
    t->ops->call(on->link, &call->link);
}

/* -- ends ------------------------------------------------------------------ */

/* Nothing was carried out, because the peer does not know this node yet. Tries
 * once more a little later, when the peer has read the registry. */
static void on_rested(struct km_timer *timer)
{
    struct km_peers_call *call =
        KM_CONTAINER_OF(timer, struct km_peers_call, timer);
    km_list_remove(&call->node);
    call_run(call);
}

static void rest(struct km_peers_call *call)
{
    struct km_peers *peers = call->on->peer->peers;
    call->stage = KM_PEERS_CALL_RESTING;
    call->tried = true;
    call->timer.fire = on_rested;
    km_peers_arm(peers, call->on->index, &call->timer,
                 km_ns_after_ms(km_peers_now(peers), KM_PEERS_AGAIN_MS));
}

/* An error of the whole call is the outcome of each of its requests: the peer
 * refuses a call before it carries anything out, but the call may also have been
 * cut off. */
static enum km_owner_outcome outcome_of(enum km_peers_kind kind,
                                        kama_status status)
{
    switch (status) {
    case KAMA_ERR_NOT_MEMBER:
        return KM_OWNER_BEHIND;
    case KAMA_ERR_UNSUPPORTED:
    case KAMA_ERR_NOT_READY:
        return KM_OWNER_UNREACHABLE;
    case KAMA_ERR_NO_GROUP:
    case KAMA_ERR_TOO_LARGE:
    case KAMA_ERR_INVALID:
    case KAMA_ERR_MALFORMED:
    case KAMA_ERR_OVERLOADED:
    case KAMA_ERR_UNAUTHENTICATED:
    case KAMA_ERR_PERMISSION:
        return KM_OWNER_ANSWERED;
    default:
        return km_peers_kind_is_mutation(kind) ? KM_OWNER_LOST
                                               : KM_OWNER_UNREACHABLE;
    }
}

/* Returns the outcome of the requests of a call that the peer has ended with an
 * error. Whatever a peer says to the question of a survey is an answer. */
static enum km_owner_outcome outcome_of_call(const struct km_peers_call *call,
                                             kama_status status)
{
    return call->kind == KM_PEERS_ASK ? KM_OWNER_ANSWERED
                                      : outcome_of(call->kind, status);
}

/* The peer has ended the call. */
static void on_answered(struct km_peers_call *call, kama_status status,
                        const char *text)
{
    bool nothing_yet = call->left == call->count;
    if (status == KAMA_ERR_NOT_MEMBER) {
        km_peer_suspect(call->on->peer);
        if (!call->tried && nothing_yet && km_peer_is_open(call->on->peer)) {
            rest(call);
            return;
        }
    }
    if (status == KAMA_OK) {
        km_peers_end_all(call, KM_OWNER_LOST, KAMA_ERR_PEER,
                         "its answer ended too early");
    } else {
        enum km_owner_outcome outcome = outcome_of_call(call, status);
        call->error = status;
        km_peers_end_all(call, outcome,
                         outcome == KM_OWNER_ANSWERED ? status : KAMA_ERR_PEER,
                         text);
    }
    call_free(call);
}

/* Each try counts. Peeks and questions are no requests of callers. */
static void record_time(struct km_peers_call *call)
{
    struct km_peer *peer = call->on->peer;
    if (call->kind == KM_PEERS_FILL || km_peers_kind_is_mutation(call->kind)) {
        km_histogram_record(&peer->times,
                            km_peers_now(peer->peers) - call->began_at);
    }
}

static void on_end(struct km_link_call *link, enum km_link_end end,
                   kama_status status, const char *text)
{
    struct km_peers_call *call =
        KM_CONTAINER_OF(link, struct km_peers_call, link);
    record_time(call);
    switch (end) {
    case KM_LINK_ANSWERED:
        on_answered(call, status, text);
        return;
    case KM_LINK_UNREACHABLE:
        km_peer_suspect(call->on->peer);
        call_fail(call, KM_OWNER_UNREACHABLE,
                  status == KAMA_ERR_CANCELLED ? SILENT : text);
        return;
    case KM_LINK_LATE:
        call->error = KAMA_ERR_TIMEOUT;
        call_fail(call, KM_OWNER_LOST, "the time of the call is over");
        return;
    case KM_LINK_LOST:
        km_peer_suspect(call->on->peer);
        call_fail(call, KM_OWNER_LOST, text);
        return;
    case KM_LINK_CANCELLED:
        call_fail(call, KM_OWNER_LOST, SILENT);
        return;
    }
    KM_ASSERT(false);
}

/* on_end of a call that is cancelled follows in another job. */
void km_peer_lane_end_calls(struct km_peer_lane *on)
{
    struct km_peers *peers = on->peer->peers;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &on->calls) {
        struct km_peers_call *call =
            KM_CONTAINER_OF(node, struct km_peers_call, node);
        if (call->stage == KM_PEERS_CALL_RUNNING) {
            peers->transport.ops->cancel(&call->link);
        } else {
            /* It ends like any other: soon, on this lane. */
            km_peers_arm(peers, on->index, &call->timer, km_peers_now(peers));
        }
    }
}

/* -- the requests of a lane ------------------------------------------------ */

/* Ends a request for which there is no memory. */
static void end_without_call(enum km_peers_kind kind, void *request)
{
    static const struct km_owner_reply reply = {.outcome = KM_OWNER_UNREACHABLE,
                                                .status = KAMA_ERR_NO_MEMORY,
                                                .text = "out of memory"};
    struct km_peer *peer = *km_peers_request_of(kind, request).peer;
    km_peers_done(kind, request, &reply);
    km_peer_unref(peer);
}

static bool same_trace(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Returns whether two requests have nearly the same time. A call lasts as long as the latest
 * of its requests, and nobody ends the others before: the caller of a mutation that has 50 ms
 * must not wait for one that has 10 s. */
static bool end_together(const struct km_peers *peers, km_ns a, km_ns b)
{
    km_ns now = km_peers_now(peers);
    km_ns early = a < b ? a : b;
    km_ns late = a < b ? b : a;
    return late - early <= (early > now ? early - now : 0) / 8;
}

/* Returns whether the request may travel in the call. */
static bool fits(const struct km_peers_call *call, enum km_peers_kind kind,
                 const struct km_peers_request *request)
{
    struct km_peers_request first =
        km_peers_request_of(call->kind, call->requests[0]);
    return call->kind == kind && first.effort == request->effort &&
           !km_peers_kind_is_alone(kind) && call->count < KM_PEERS_BATCH_KEYS &&
           call->bytes + request->bytes <= KM_PEERS_BATCH_BYTES &&
           strcmp(first.group, request->group) == 0 &&
           end_together(call->on->peer->peers, first.deadline,
                        request->deadline) &&
           same_trace(first.traceparent, request->traceparent);
}

static void start_call(struct km_peers_call *call)
{
    call->on->open = NULL;
    km_list_remove(&call->node);
    call_run(call);
}

void km_peers_start(struct km_peers_lane *lane, enum km_peers_kind kind,
                    void *request)
{
    struct km_peers_request r = km_peers_request_of(kind, request);
    struct km_peer_lane *on = &(*r.peer)->lanes[lane->index];
    if (on->open != NULL && !fits(on->open, kind, &r)) {
        start_call(on->open);
    }
    if (on->open != NULL) {
        if (call_add(on->open, request, r.bytes)) {
            return;
        }
        start_call(on->open);
    }
    struct km_peers_call *call = call_new(on, kind);
    if (call == NULL) {
        end_without_call(kind, request);
    } else if (!call_add(call, request, r.bytes)) {
        call_free(call);
        end_without_call(kind, request);
    } else {
        on->open = call;
        km_list_push_back(&lane->open, &call->node);
    }
}

void km_peers_start_open(struct km_peers_lane *lane)
{
    struct km_list *node;
    while ((node = km_list_first(&lane->open)) != NULL) {
        start_call(KM_CONTAINER_OF(node, struct km_peers_call, node));
    }
}

#define FROM(node, type) KM_CONTAINER_OF(node, struct type, node)

/* Requests that are added while this runs are taken by the next job. */
void km_peers_lane_run(struct km_lane_job *job)
{
    struct km_peers_lane *lane =
        KM_CONTAINER_OF(job, struct km_peers_lane, job);
    struct km_peers *peers = lane->peers;
    struct km_list fills;
    struct km_list mutations;
    struct km_list peeks;
    struct km_list *node;
    km_list_init(&fills);
    km_list_init(&mutations);
    km_list_init(&peeks);
    km_mutex_lock(&lane->lock);
    lane->posted = false;
    km_list_splice(&fills, &lane->fills);
    km_list_splice(&mutations, &lane->mutations);
    km_list_splice(&peeks, &lane->peeks);
    km_mutex_unlock(&lane->lock);
    while ((node = km_list_pop_front(&fills)) != NULL) {
        km_peers_start(lane, KM_PEERS_FILL, FROM(node, km_owner_fill));
    }
    while ((node = km_list_pop_front(&mutations)) != NULL) {
        km_peers_start(lane, KM_PEERS_MUTATE, FROM(node, km_owner_mutation));
    }
    while ((node = km_list_pop_front(&peeks)) != NULL) {
        km_peers_start(lane, KM_PEERS_PEEK, FROM(node, km_owner_peek));
    }
    km_peers_start_open(lane);
    km_peers_release(peers);
}

/* -- any thread ------------------------------------------------------------ */

/* Moves the requests to an inbox of a lane. The last three parameters belong
 * together: the inbox is that of the kind. */
static void push(struct km_peers *peers, enum km_peers_kind kind,
                 struct km_list *requests)
{
    unsigned index = peers->transport.ops->pick(peers->transport.arg);
    struct km_peers_lane *lane = &peers->lanes[index];
    KM_ASSERT(index > 0 && index < peers->lane_count);
    if (km_list_empty(requests)) {
        return;
    }
    km_mutex_lock(&lane->lock);
    bool posted = lane->posted;
    lane->posted = true;
    km_list_splice(kind == KM_PEERS_FILL     ? &lane->fills
                   : kind == KM_PEERS_MUTATE ? &lane->mutations
                                             : &lane->peeks,
                   requests);
    km_mutex_unlock(&lane->lock);
    if (!posted) {
        km_peers_hold(peers);
        lane->job.run = km_peers_lane_run;
        km_peers_post(peers, index, &lane->job);
    }
}

/* Whether a fill was regrouped stands in use[0]. */
void km_peers_fill(void *owner, struct km_list *fills)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, fills) {
        FROM(node, km_owner_fill)->use[0] = NULL;
    }
    push(owner, KM_PEERS_FILL, fills);
}

void km_peers_mutate(void *owner, struct km_list *mutations)
{
    push(owner, KM_PEERS_MUTATE, mutations);
}

void km_peers_peek(void *owner, struct km_list *peeks)
{
    push(owner, KM_PEERS_PEEK, peeks);
}
