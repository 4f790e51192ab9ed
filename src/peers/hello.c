/* SPDX-License-Identifier: MIT */
/*
 * Hello to the other members, on lane 0: once a second to each of them, and at
 * once when a view was adopted. The answers say which view they have adopted,
 * and whether they are the members that the view names.
 *
 * A peer has two Hellos at most under way. When one is to be sent and both are,
 * it is sent as soon as one of them has ended, which takes 1.5 s at most.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/text.h"
#include "peers/state.h"
#include "wire/msg/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH "/kama.peer.v1.Peer/Hello"
#define TEXT_BYTES 256

static void say_hello(struct km_peer *peer);

/* -- announcements --------------------------------------------------------- */

void km_peer_heard(struct km_peer *peer, uint64_t view_id,
                   enum km_standing standing)
{
    struct km_peers *peers = peer->peers;
    if (peer->place == KM_PEER_OUT || standing == KM_STANDING_NONE) {
        return;
    }
    km_turn_heard(peers->turn, &peer->id, view_id, standing);
    if (standing == KM_STANDING_BEHIND || peer->place == KM_PEER_PARTING ||
        km_peers_knows_view(peers, view_id)) {
        peer->unknown_since = 0;
    } else {
        if (peer->unknown_since == 0) {
            peer->unknown_since = km_peers_now(peers);
        }
        peer->unknown_view_id = view_id;
    }
    km_peers_check_unknown(peers);
    km_peers_look_again(peers);
}

/* A view that the member has named, and that is not known here, is not forgotten
 * with its silence: the member may call this node silent as well, and act without
 * it. */
static void turn_silent(struct km_peer *peer)
{
    km_turn_silent(peer->peers->turn, &peer->id);
    km_peers_check_unknown(peer->peers);
    km_peers_look_again(peer->peers);
}

/* -- answers --------------------------------------------------------------- */

enum km_standing km_peers_standing_of(int32_t number)
{
    switch (number) {
    case KM_MSG_PEER_STANDING_MEMBER:
        return KM_STANDING_MEMBER;
    case KM_MSG_PEER_STANDING_BEHIND:
        return KM_STANDING_BEHIND;
    case KM_MSG_PEER_STANDING_TURNING:
        return KM_STANDING_TURNING;
    default:
        return KM_STANDING_NONE;
    }
}

static bool is_id(kama_bytes bytes, const struct km_member_id *id)
{
    return km_bytes_eq(bytes, kama_bytes_make(id->bytes, sizeof id->bytes));
}

/* Returns by how much the clocks differ, if the answer came soon enough to tell
 * it, else 0. */
static uint64_t clock_difference(uint64_t here,
                                 const struct km_msg_peer_hello_response *r,
                                 km_ns round)
{
    if (round >= KM_PEERS_ROUND_MS * KM_NS_PER_MS) {
        return 0;
    }
    return here > r->wall_ms ? here - r->wall_ms : r->wall_ms - here;
}

/* Returns whether the peer is of this cluster, and can be worked with.
 * Otherwise writes a sentence. */
static bool is_acceptable(const struct km_peer *peer,
                          const struct km_msg_peer_hello_response *r,
                          char text[TEXT_BYTES])
{
    const struct km_peers *peers = peer->peers;
    if (!km_bytes_eq(r->cluster, KAMA_STR(peers->cluster)) ||
        !km_bytes_eq(r->service, KAMA_STR(peers->service))) {
        (void)km_text_printf(
            text, TEXT_BYTES,
            "%s answers as cluster \"%.*s\", service \"%.*s\"; this node is of "
            "cluster \"%s\", service \"%s\"",
            peer->address, (int)(r->cluster.len < 64 ? r->cluster.len : 64),
            (const char *)r->cluster.data,
            (int)(r->service.len < 64 ? r->service.len : 64),
            (const char *)r->service.data, peers->cluster, peers->service);
        return false;
    }
    if (!km_member_is_spoken(r->proto_min, r->proto_max)) {
        (void)km_text_printf(text, TEXT_BYTES,
                             "%s speaks the versions %" PRIu32 " to %" PRIu32
                             " of the protocol between nodes; this node speaks "
                             "%d to %d",
                             peer->address, r->proto_min, r->proto_max,
                             KM_MEMBER_PROTO_MIN, KM_MEMBER_PROTO_MAX);
        return false;
    }
    return true;
}

/* Whether the clocks can be worked with. Otherwise writes a sentence. */
static bool clock_is_acceptable(struct km_peer *peer,
                                const struct km_msg_peer_hello_response *r,
                                km_ns round, char text[TEXT_BYTES])
{
    const struct km_transport *t = &peer->peers->transport;
    uint64_t here = t->ops->wall_ms(t->arg);
    uint64_t difference = clock_difference(here, r, round);
    bool differs = difference > KM_PEERS_CLOCK_MS;
    atomic_store(&peer->clock_differs, differs);
    if (differs) {
        (void)km_text_printf(text, TEXT_BYTES,
                             "the clock of %s is %" PRIu64
                             " s %s that of this node (%" PRIu64 " and %" PRIu64
                             " ms since 1970); set them right, they may differ "
                             "by %d s",
                             peer->address, (difference + 500) / 1000,
                             r->wall_ms > here ? "ahead of" : "behind",
                             r->wall_ms, here, KM_PEERS_CLOCK_MS / 1000);
    }
    return !differs;
}

/* Another member answers at the address: the one that the view names does not
 * run there any more. */
static void refuse_other(struct km_peer *peer,
                         const struct km_msg_peer_hello_response *r)
{
    char text[TEXT_BYTES];
    char expected[KM_MEMBER_ID_TEXT_BYTES];
    char found[KM_MEMBER_ID_TEXT_BYTES] = "no member";
    struct km_member_id id;
    if (r->id.len == sizeof id.bytes) {
        memcpy(id.bytes, r->id.data, sizeof id.bytes);
        (void)km_member_id_format(&id, found);
    }
    (void)km_text_printf(
        text, sizeof text,
        "%s answers as %s, and the view expects the member %s there",
        peer->address, found, km_member_id_format(&peer->id, expected));
    km_peer_set_state(peer, KM_PEER_REFUSED, text);
}

/* Takes it that this node was given up. A member that it was before it has
 * registered again may well be gone: that says nothing about the new one. */
static void take_gone(const struct km_peer_hello *hello,
                      const struct km_msg_peer_hello_response *r)
{
    struct km_peers *peers = hello->peer->peers;
    if (km_bytes_eq(r->cluster, KAMA_STR(peers->cluster)) &&
        km_member_id_equal(&hello->self, &peers->self)) {
        km_peers_given_up(peers, hello->peer->address);
    }
}

/* Returns whether the process at the address has only just written the record
 * that the view has, and waits for the registry's answer: it does not know its id
 * yet, and says Hello itself when it does. Its second such answer is a refusal. */
static bool may_be_starting(struct km_peer *peer,
                            const struct km_msg_peer_hello_response *r)
{
    bool is_first = !peer->had_no_id && r->id.len == 0 &&
                    atomic_load(&peer->state) == KM_PEER_UNKNOWN;
    peer->had_no_id = true;
    return is_first;
}

static void take_answer(struct km_peer_hello *hello,
                        const struct km_msg_peer_hello_response *r)
{
    struct km_peer *peer = hello->peer;
    km_ns round = km_peers_now(peer->peers) - hello->sent_at;
    char text[TEXT_BYTES];
    if (hello->sent_at > peer->answered_at) {
        peer->answered_at = hello->sent_at;
    }
    atomic_store(&peer->latency, round > 0 ? round : 1);
    if (!is_id(r->id, &peer->id)) {
        if (!may_be_starting(peer, r)) {
            refuse_other(peer, r);
        }
        turn_silent(peer);
        return;
    }
    if (is_acceptable(peer, r, text) &&
        clock_is_acceptable(peer, r, round, text)) {
        (void)km_text_printf(text, sizeof text, "%s answers", peer->address);
        km_peer_set_state(peer, KM_PEER_UP, text);
    } else {
        km_peer_set_state(peer, KM_PEER_REFUSED, text);
    }
    if (r->welcome == KM_MSG_PEER_WELCOME_GONE) {
        take_gone(hello, r);
    }
    km_peer_heard(peer, r->view_id, km_peers_standing_of(r->standing));
}

static void on_message(struct km_link_call *call, kama_bytes message)
{
    struct km_peer_hello *hello =
        KM_CONTAINER_OF(call, struct km_peer_hello, link);
    struct km_msg_peer_hello_response response;
    if (hello->peer->place == KM_PEER_OUT || hello->answered ||
        km_pb_decode(&km_msg_peer_hello_response_pb, message, &response) !=
            KAMA_OK) {
        return;
    }
    hello->answered = true;
    take_answer(hello, &response);
}

/* -- ends ------------------------------------------------------------------ */

/* Returns whether a Hello without an answer lets the turn go on. A Hello of
 * before the adoption says nothing: the next one, which names the new view, may
 * have arrived just now, and the member needs its time to be behind. */
static bool ends_waiting(const struct km_peer *peer, enum km_link_end end,
                         km_ns sent_at)
{
    return end != KM_LINK_LATE || sent_at >= peer->peers->adopted_at;
}

/* A Hello was not answered. Returns whether to ask once more at once, because
 * the connection was lost and a new one can perhaps be made. */
static bool not_answered(struct km_peer *peer, enum km_link_end end,
                         km_ns sent_at, const char *why)
{
    char text[TEXT_BYTES];
    if (peer->answered_at > sent_at) {
        return false;
    }
    if (end == KM_LINK_LOST && !peer->was_lost) {
        peer->was_lost = true;
        return true;
    }
    (void)km_text_printf(
        text, sizeof text, "%s does not answer: %s", peer->address,
        end == KM_LINK_LATE ? "no Hello was answered for 1.5 s" : why);
    km_peer_set_state(peer, KM_PEER_UNREACHABLE, text);
    if (ends_waiting(peer, end, sent_at)) {
        turn_silent(peer);
    }
    return false;
}

/* A member that was removed is left alone when the turn does not wait for it any
 * more. For a new node it is not enough that the member is behind. */
static void part_if_over(struct km_peer *peer)
{
    if (peer->place == KM_PEER_PARTING &&
        !km_turn_waits_for(peer->peers->turn, &peer->id)) {
        km_peer_part(peer);
    }
}

static void on_end(struct km_link_call *call, enum km_link_end end,
                   kama_status status, const char *text)
{
    struct km_peer_hello *hello =
        KM_CONTAINER_OF(call, struct km_peer_hello, link);
    struct km_peer *peer = hello->peer;
    km_ns sent_at = hello->sent_at;
    (void)status;
    hello->sent_at = 0;
    if (peer->place != KM_PEER_OUT) {
        bool again = peer->hello_again;
        if (hello->answered) {
            peer->was_lost = false;
        } else if (not_answered(peer, end, sent_at, text)) {
            again = true;
        }
        peer->hello_again = false;
        if (!again) {
            part_if_over(peer);
        } else if (peer->place != KM_PEER_OUT) {
            say_hello(peer);
        }
    }
    km_peer_unref(peer);
}

/* -- sending --------------------------------------------------------------- */

static void fill_request(struct km_peer *peer,
                         struct km_msg_peer_hello_request *request)
{
    struct km_peers *peers = peer->peers;
    const struct km_transport *t = &peers->transport;
    const struct km_peers_state *state = km_peers_own(peers);
    *request = (struct km_msg_peer_hello_request){
        .address = kama_bytes_make(peers->address, strlen(peers->address)),
        .expected_id = kama_bytes_make(peer->id.bytes, sizeof peer->id.bytes),
        .standing = (int32_t)atomic_load(&state->announced),
        .proto_min = KM_MEMBER_PROTO_MIN,
        .proto_max = KM_MEMBER_PROTO_MAX,
        .wall_ms = t->ops->wall_ms(t->arg)};
    km_peers_fill_sender(peers, state, &request->sender);
}

/* Without memory, the next Hello is sent a second later. */
static void send(struct km_peer *peer, struct km_peer_hello *hello)
{
    struct km_peers *peers = peer->peers;
    const struct km_transport *t = &peers->transport;
    struct km_msg_peer_hello_request request;
    struct km_buf buf;
    if (peer->lanes[0].link == NULL &&
        t->ops->open(t->arg, 0, peer->address, &peer->lanes[0].link) !=
            KAMA_OK) {
        peer->lanes[0].link = NULL;
        return;
    }
    fill_request(peer, &request);
    km_buf_init(&buf, peers->mem, SIZE_MAX);
    if (km_pb_append(&buf, &km_msg_peer_hello_request_pb, &request) ==
        KAMA_OK) {
        km_ns now = km_peers_now(peers);
        hello->peer = km_peer_ref(peer);
        hello->sent_at = now > 0 ? now : 1;
        hello->self = km_peers_own(peers)->self;
        hello->answered = false;
        hello->link = (struct km_link_call){
            .path = PATH,
            .deadline = km_ns_after_ms(now, KM_PEERS_SILENT_MS),
            .head = km_buf_bytes(&buf),
            .on_message = on_message,
            .on_end = on_end};
        t->ops->call(peer->lanes[0].link, &hello->link);
    }
    km_buf_fini(&buf);
}

/* Sends a Hello, now or when one of the two that are under way has ended. */
static void say_hello(struct km_peer *peer)
{
    for (unsigned i = 0; i < 2; i++) {
        if (peer->hellos[i].sent_at == 0) {
            send(peer, &peer->hellos[i]);
            return;
        }
    }
    peer->hello_again = true;
}

/* A peer that does not answer has one Hello under way, and not two. */
static void on_time(struct km_timer *timer)
{
    struct km_peer *peer = KM_CONTAINER_OF(timer, struct km_peer, timer);
    km_peers_arm(peer->peers, 0, timer,
                 km_ns_after_ms(km_peers_now(peer->peers), KM_PEERS_HELLO_MS));
    if (peer->hellos[0].sent_at == 0 && peer->hellos[1].sent_at == 0) {
        say_hello(peer);
    }
}

void km_peer_hello(struct km_peer *peer)
{
    struct km_peers *peers = peer->peers;
    if (atomic_load(&peers->closing)) {
        return;
    }
    if (peer->place == KM_PEER_OUT) {
        peer->place = KM_PEER_IN;
    }
    peer->timer.fire = on_time;
    km_peers_arm(peers, 0, &peer->timer,
                 km_ns_after_ms(km_peers_now(peers), KM_PEERS_HELLO_MS));
    say_hello(peer);
}

void km_peer_hello_end(struct km_peer *peer)
{
    struct km_link *link = peer->lanes[0].link;
    km_peers_disarm(peer->peers, 0, &peer->timer);
    peer->lanes[0].link = NULL;
    if (link != NULL) {
        peer->peers->transport.ops->close(link);
    }
}
