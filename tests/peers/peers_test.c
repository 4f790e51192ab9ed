/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240 */
/*
 * Several real struct km_peers on a virtual network (sim/net.h): views that turn
 * over, Hello, who is behind or given up, and all outcomes of fills, mutations,
 * peeks and Clears. What an owner answers to them is a script.
 */
#include "group/unsynced.h"
#include "peers/peers.h"
#include "peers/survey.h"

#include "base/limits.h"
#include "base/status.h"
#include "helpers/failmalloc.h"
#include "peers/holders.h"
#include "peers/peer.h"
#include "peers/state.h"
#include "sim/net.h"
#include "wire/msg/peer.h"

#include <stdio.h>
#include <string.h>

#define MS KM_NS_PER_MS
#define NODES 3

/* -- a cluster ------------------------------------------------------------- */

struct cluster;

struct node {
    struct cluster *cluster;
    unsigned index;
    struct km_transport transport;
    struct km_peers *peers;
    struct km_member member;
    uint64_t adoption; /* the last one that was adopted */
    unsigned adopted, lost, unknown, gone, settled, closed;
    char text[256]; /* of the last change of a peer */
    enum km_peer_state state;
    bool sweeps; /* groups are swept at once */
    bool reads;  /* the registry can be read */
    km_ns asked_at;
};

/* What owners answer. */
struct script {
    int32_t outcome;
    kama_status status;      /* of each request */
    kama_status call_status; /* of the whole call */
    unsigned refuse;         /* so many calls are refused with NOT_MEMBER */
    km_ns after;
    bool never;
    bool only_first; /* only the first of several keys is answered */
    kama_bytes late; /* the encoded `unsynced` of each mutation */
    struct km_member_id lacks_id; /* what BEHIND names, up to a clock */
    uint64_t lacks;               /* 0: nothing */
};

struct cluster {
    struct sim_world world;
    struct sim_net net;
    struct node nodes[NODES];
    struct script script;
    unsigned fills, many, peeks, mutates, keys;
    unsigned peeking;                 /* of fills and many, those that peek */
    struct km_msg_peer_mutation last; /* that has come; without its bytes */
    unsigned
        old; /* the bits of the nodes that speak version 1 of the protocol */
    km_ns hello_after;      /* the answer to a Hello takes so long */
    unsigned hellos[NODES]; /* that each node has said */
    kama_status failed;     /* in a failmalloc scenario */
    unsigned needs;         /* of the last fill that has come */
    uint64_t need_clocks[4];
    unsigned marked; /* the bits of those that are not waited for */
};

static const char *const addresses[] = {"a:1", "b:1", "c:1"};

static void on_adopted(void *owner, uint64_t adoption, struct km_view *view,
                       const struct km_slot_map *lost)
{
    struct node *node = owner;
    KM_ASSERT(view != NULL && adoption == node->adoption + 1);
    node->adoption = adoption;
    node->adopted++;
    node->lost += lost != NULL;
    if (node->sweeps) {
        km_peers_swept(node->peers, adoption);
    }
}

static void on_peer(void *owner, const char *address,
                    const struct km_member_id *id, enum km_peer_state state,
                    const char *text)
{
    struct node *node = owner;
    (void)address;
    (void)id;
    node->state = state;
    (void)snprintf(node->text, sizeof node->text, "%s", text);
}

static void on_read(void *a, void *b)
{
    struct node *node = a;
    (void)b;
    if (node->peers != NULL && node->reads && node->closed == 0) {
        km_peers_read(node->peers, node->asked_at);
    }
}

static void on_unknown(void *owner)
{
    struct node *node = owner;
    node->unknown++;
    node->asked_at = node->cluster->world.now;
    sim_at(&node->cluster->net, node->cluster->world.now + 2 * MS, on_read,
           node, NULL);
}

static void on_gone(void *owner, const char *address)
{
    (void)address;
    ((struct node *)owner)->gone++;
}

static void on_settled(void *owner)
{
    ((struct node *)owner)->settled++;
}

static void on_closed(void *owner)
{
    ((struct node *)owner)->closed++;
}

static const struct km_peers_events events = {.adopted = on_adopted,
                                              .peer = on_peer,
                                              .unknown_view = on_unknown,
                                              .told_gone = on_gone,
                                              .settled = on_settled,
                                              .closed = on_closed};

static struct km_member_id id_of(unsigned n)
{
    struct km_member_id id = {{0}};
    id.bytes[0] = (uint8_t)(n + 1);
    return id;
}

/* -- the scripted service -------------------------------------------------- */

static void add_message(struct sim_answer *answer,
                        const struct km_pb_message *table, const void *message)
{
    struct km_buf *buf = &answer->messages[answer->count++];
    KM_ASSERT(answer->count <= SIM_MESSAGES);
    km_buf_init(buf, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_pb_append(buf, table, message) == KAMA_OK);
}

static struct km_msg_peer_fill_response fill_answer(const struct script *script,
                                                    kama_bytes key)
{
    return (struct km_msg_peer_fill_response){
        .outcome = script->outcome,
        .status = script->status,
        .message = script->status < 0 ? KM_LIT("the loader said no")
                                      : kama_bytes_make(NULL, 0),
        .ttl_ms = 7,
        .version = 9,
        .etag_key = 66,
        .view_id = 55,
        .current = true,
        .clock = 44,
        .origin = 33,
        .lacking = {.member_id = kama_bytes_make(
                        script->lacks_id.bytes,
                        script->lacks > 0 ? KM_MEMBER_ID_BYTES : 0),
                    .clock = script->lacks},
        .value = key};
}

/* Notes what a fill needs: of node b, and of the one behind it. */
static void note_needs(struct cluster *cluster, struct km_pb_list needs)
{
    struct km_msg_peer_need need;
    kama_bytes element;
    cluster->needs = 0;
    cluster->marked = 0;
    while (km_pb_next(&needs, &element)) {
        struct km_member_id want = id_of(1 + cluster->needs);
        KM_ASSERT(km_pb_decode(&km_msg_peer_need_pb, element, &need) ==
                  KAMA_OK);
        KM_ASSERT(km_bytes_eq(need.member_id,
                              kama_bytes_make(want.bytes, sizeof want.bytes)));
        KM_ASSERT(cluster->needs < 4);
        cluster->marked |= (unsigned)need.at_once << cluster->needs;
        cluster->need_clocks[cluster->needs++] = need.clock;
    }
}

static void serve_fill_many(struct cluster *cluster, kama_bytes message,
                            struct sim_answer *answer)
{
    struct km_msg_peer_fill_many_request request;
    kama_bytes key;
    uint32_t index = 0;
    KM_ASSERT(km_pb_decode(&km_msg_peer_fill_many_request_pb, message,
                           &request) == KAMA_OK);
    note_needs(cluster, request.needs);
    cluster->peeking += request.peek;
    while (km_pb_next(&request.keys, &key)) {
        cluster->keys++;
        struct km_msg_peer_fill_many_response one = {
            .index = index++, .answer = fill_answer(&cluster->script, key)};
        if (one.index == 0 || !cluster->script.only_first) {
            add_message(answer, &km_msg_peer_fill_many_response_pb, &one);
        }
    }
}

static void serve_fill(struct cluster *cluster, kama_bytes message,
                       struct sim_answer *answer)
{
    struct km_msg_peer_fill_request request;
    KM_ASSERT(km_pb_decode(&km_msg_peer_fill_request_pb, message, &request) ==
              KAMA_OK);
    note_needs(cluster, request.needs);
    cluster->peeking += request.peek;
    struct km_msg_peer_fill_response one =
        fill_answer(&cluster->script, request.key);
    add_message(answer, &km_msg_peer_fill_response_pb, &one);
}

static void add_items(struct sim_answer *answer, struct km_pb_list *requests,
                      struct cluster *cluster, bool peek)
{
    const struct script *script = &cluster->script;
    struct km_buf *buf = &answer->messages[answer->count++];
    kama_bytes element;
    km_buf_init(buf, km_mem_default(), SIZE_MAX);
    while (km_pb_next(requests, &element)) {
        struct km_msg_peer_peek_item item = {
            .outcome = script->outcome, .status = script->status, .ttl_ms = 7};
        struct km_msg_peer_mutate_result result = {.outcome = script->outcome,
                                                   .status = script->status,
                                                   .etag_key = 55};
        if (script->late.len > 0) {
            KM_ASSERT(km_pb_decode(&km_msg_peer_mutate_result_pb, script->late,
                                   &result) == KAMA_OK);
            result.outcome = script->outcome;
            result.status = script->status;
        }
        KM_ASSERT(peek || km_pb_decode(&km_msg_peer_mutation_pb, element,
                                       &cluster->last) == KAMA_OK);
        KM_ASSERT(km_pb_append_element(buf, KM_MSG_PEER_ITEMS,
                                       peek ? &km_msg_peer_peek_item_pb
                                            : &km_msg_peer_mutate_result_pb,
                                       peek
                                           ? (const void *)&item
                                           : (const void *)&result) == KAMA_OK);
    }
}

static bool is_old(const struct cluster *cluster, kama_bytes id)
{
    bool old = false;
    for (unsigned i = 0; i < NODES; i++) {
        const struct km_member *m = &cluster->nodes[i].member;
        old |=
            (cluster->old >> i & 1) != 0 &&
            km_bytes_eq(id, kama_bytes_make(m->id.bytes, sizeof m->id.bytes));
    }
    return old;
}

/* Lets an old node say which version it speaks. */
static void make_old(struct km_buf *answer)
{
    struct km_msg_peer_hello_response response;
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_pb_decode(&km_msg_peer_hello_response_pb, km_buf_bytes(answer),
                           &response) == KAMA_OK);
    response.proto_min = 1;
    response.proto_max = 1;
    KM_ASSERT(km_pb_append(&buf, &km_msg_peer_hello_response_pb, &response) ==
              KAMA_OK);
    km_buf_fini(answer);
    *answer = buf;
}

static void serve_hello(struct node *node, kama_bytes message,
                        struct sim_answer *answer)
{
    struct km_msg_peer_hello_request request;
    struct km_buf *buf = &answer->messages[0];
    KM_ASSERT(km_pb_decode(&km_msg_peer_hello_request_pb, message, &request) ==
              KAMA_OK);
    if (is_old(node->cluster, request.sender.id)) {
        request.proto_min = 1;
        request.proto_max = 1;
    }
    km_buf_init(buf, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_peers_hello(node->peers, &request, buf) == KAMA_OK);
    if ((node->cluster->old >> node->index & 1) != 0) {
        make_old(buf);
    }
    answer->count = 1;
    answer->after = node->cluster->hello_after;
    for (unsigned i = 0; i < NODES; i++) {
        const struct km_member *m = &node->cluster->nodes[i].member;
        if (km_bytes_eq(request.sender.id,
                        kama_bytes_make(m->id.bytes, sizeof m->id.bytes))) {
            node->cluster->hellos[i]++;
        }
    }
}

static void serve_call(struct cluster *cluster, const char *path,
                       kama_bytes message, struct sim_answer *answer)
{
    struct km_msg_peer_mutate_request request;
    answer->after = cluster->script.after;
    answer->never = cluster->script.never;
    answer->status = cluster->script.call_status;
    if (answer->status != KAMA_OK) {
        answer->text = "refused";
    } else if (cluster->script.refuse > 0) {
        cluster->script.refuse--;
        answer->status = KAMA_ERR_NOT_MEMBER;
        answer->text = "not known here";
    } else if (strstr(path, "Explain") != NULL) {
        struct km_buf *buf = &answer->messages[answer->count++];
        km_buf_init(buf, km_mem_default(), SIZE_MAX);
        KM_ASSERT(km_buf_append(buf, message.data, message.len) == KAMA_OK);
    } else if (strstr(path, "FillMany") != NULL) {
        cluster->many++;
        serve_fill_many(cluster, message, answer);
    } else if (strstr(path, "Fill") != NULL) {
        cluster->fills++;
        serve_fill(cluster, message, answer);
    } else {
        bool peek = strstr(path, "Peek") != NULL;
        cluster->peeks += peek;
        cluster->mutates += !peek;
        KM_ASSERT(km_pb_decode(&km_msg_peer_mutate_request_pb, message,
                               &request) == KAMA_OK);
        add_items(answer, &request.mutations, cluster, peek);
    }
}

static void serve(struct sim_net *net, struct sim_node *to, const char *path,
                  kama_bytes message, struct sim_answer *answer)
{
    struct cluster *cluster = net->arg;
    if (strstr(path, "Hello") != NULL) {
        serve_hello(&cluster->nodes[to->index], message, answer);
        return;
    }
    serve_call(cluster, path, message, answer);
}

/* -- life ------------------------------------------------------------------ */

/* Every fill needs two members up to its floor, of which the second knows one more. */
static void needs(void *arg, uint64_t floor, const struct km_member_id *to,
                  void (*cb)(void *cb_arg, const struct km_member_id *id,
                             uint64_t clock),
                  void *cb_arg)
{
    const struct node *node = arg;
    struct km_member_id ids[] = {id_of(1), id_of(2)};
    assert_int_not_equal(floor, 0);
    assert_false(km_member_id_equal(to, &node->member.id));
    cb(cb_arg, &ids[0], floor);
    cb(cb_arg, &ids[1], floor + 1);
}

static const struct km_peers_fence_ops fence = {.needs = needs};

static kama_status node_open(struct cluster *cluster, unsigned i,
                             const kama_allocator *mem)
{
    struct node *node = &cluster->nodes[i];
    node->cluster = cluster;
    node->index = i;
    node->sweeps = true;
    node->reads = true;
    node->member = (struct km_member){.id = id_of(i),
                                      .address = addresses[i],
                                      .admin = "",
                                      .version = "",
                                      .state = KM_MEMBER_ACTIVE,
                                      .weight = 1};
    sim_net_node(&cluster->net, i, addresses[i], &node->transport);
    struct km_peers_options options = {.mem = mem,
                                       .transport = node->transport,
                                       .events = &events,
                                       .owner = node,
                                       .cluster = "test",
                                       .service = "svc",
                                       .nonce = id_of(100 + i),
                                       .fence = &fence,
                                       .fence_arg = node};
    kama_status st = km_peers_new(&options, &node->peers);
    if (st == KAMA_OK) {
        km_peers_set_self(node->peers, &node->member.id, addresses[i]);
        km_peers_set_mutable(node->peers, KAMA_OK);
    }
    return st;
}

static void cluster_open(struct cluster *cluster, unsigned count)
{
    memset(cluster, 0, sizeof *cluster);
    sim_world_init(&cluster->world, 1);
    sim_net_init(&cluster->net, &cluster->world, km_mem_default());
    cluster->net.serve = serve;
    cluster->net.arg = cluster;
    cluster->script.outcome = KM_MSG_PEER_ANSWERED;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(node_open(cluster, i, km_mem_default()), KAMA_OK);
    }
}

static void cluster_close(struct cluster *cluster)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (cluster->nodes[i].peers != NULL) {
            cluster->net.nodes[i].health = SIM_DOWN;
            km_peers_close(cluster->nodes[i].peers);
        }
    }
    sim_net_run(&cluster->net, 5 * KM_NS_PER_S);
    for (unsigned i = 0; i < NODES; i++) {
        if (cluster->nodes[i].peers != NULL) {
            assert_int_equal(cluster->nodes[i].closed, 1);
            km_peers_free(cluster->nodes[i].peers);
        }
    }
    sim_net_fini(&cluster->net);
    sim_world_fini(&cluster->world);
}

/* Makes a view of the nodes whose bits are set in `mask`. */
static struct km_view *view_of(struct cluster *cluster, unsigned mask)
{
    struct km_member members[NODES];
    size_t count = 0;
    struct km_view *view;
    for (unsigned i = 0; i < NODES; i++) {
        if ((mask >> i & 1) != 0) {
            members[count++] = cluster->nodes[i].member;
        }
    }
    assert_int_equal(km_view_new(km_mem_default(), members, count, &view),
                     KAMA_OK);
    return view;
}

static void notice(struct cluster *cluster, unsigned node, unsigned mask)
{
    struct km_view *view = view_of(cluster, mask);
    km_peers_notice(cluster->nodes[node].peers, view);
    km_view_unref(view);
}

static void notice_all(struct cluster *cluster, unsigned mask)
{
    for (unsigned i = 0; i < NODES; i++) {
        if ((mask >> i & 1) != 0) {
            notice(cluster, i, mask);
        }
    }
    sim_net_run(&cluster->net, 100 * MS);
}

static struct km_owner_answer ask(struct node *node, uint32_t slot)
{
    struct km_owner_answer answer;
    km_peers_owner_ops.ask(node->peers, slot, &answer);
    if (answer.peer != NULL) {
        km_peers_owner_ops.release(node->peers, answer.peer);
    }
    return answer;
}

static unsigned count_places(struct node *node, enum km_owner_place place)
{
    unsigned count = 0;
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += 64) {
        count += ask(node, slot).place == place;
    }
    return count;
}

static void get_routing(void *arg, const struct km_peers_routing *routing)
{
    *(struct km_peers_routing *)arg = *routing;
}

static struct km_peers_routing routing_of(struct node *node)
{
    struct km_peers_routing routing;
    km_peers_routing(node->peers, get_routing, &routing);
    return routing;
}

/* -- fills ----------------------------------------------------------------- */

struct fill {
    struct km_owner_fill fill;
    char key[16];
    unsigned done;
    enum km_owner_outcome outcome;
    kama_status status;
    char text[256];
    char value[32];
    uint64_t etag_key;
    struct km_version stamp;
    uint64_t view_id;
    bool current;
    km_ns at;
    struct sim_net *net;
};

static void fill_done(struct km_owner_fill *f, const struct km_owner_reply *r)
{
    struct fill *fill = KM_CONTAINER_OF(f, struct fill, fill);
    fill->done++;
    fill->outcome = r->outcome;
    fill->status = r->status;
    fill->etag_key = r->etag_key;
    fill->stamp = r->stamp;
    fill->view_id = r->view_id;
    fill->current = r->current;
    fill->at = sim_net_now(fill->net);
    (void)snprintf(fill->text, sizeof fill->text, "%s", r->text);
    (void)snprintf(fill->value, sizeof fill->value, "%.*s", (int)r->value.len,
                   r->value.len > 0 ? (const char *)r->value.data : "");
}

/* Prepares a fill of a key that node `from` finds at a peer. */
static void fill_make(struct cluster *cluster, unsigned from, struct fill *fill,
                      unsigned n, struct km_list *list)
{
    struct km_owner_answer answer;
    memset(fill, 0, sizeof *fill);
    fill->net = &cluster->net;
    do {
        (void)snprintf(fill->key, sizeof fill->key, "k%u", n);
        n += 1000;
        uint32_t slot = km_owner_slot(km_owner_seed("g"), KAMA_STR(fill->key));
        km_peers_owner_ops.ask(cluster->nodes[from].peers, slot, &answer);
    } while (answer.place == KM_OWNER_HERE ||
             answer.place == KM_OWNER_HERE_UNSETTLED);
    assert_int_equal(answer.place, KM_OWNER_PEER);
    fill->fill =
        (struct km_owner_fill){.peer = answer.peer,
                               .group = "g",
                               .key = KAMA_STR(fill->key),
                               .deadline = cluster->world.now + 4000 * MS,
                               .done = fill_done};
    km_list_push_back(list, &fill->fill.node);
}

static void fill_one(struct cluster *cluster, unsigned from, struct fill *fill)
{
    struct km_list list;
    km_list_init(&list);
    fill_make(cluster, from, fill, 0, &list);
    km_peers_owner_ops.fill(cluster->nodes[from].peers, &list);
    assert_int_equal(fill->done, 0);
}

/* -- earlier owners -------------------------------------------------------- */

/* Gives a peer back, and returns the number of its node; -1: there is none. */
static int take_number(struct node *node, struct km_peer *peer)
{
    int found = -1;
    for (int i = 0; peer != NULL && i < NODES; i++) {
        found = strcmp(peer->address, addresses[i]) == 0 ? i : found;
    }
    if (peer != NULL) {
        assert_true(found >= 0);
        km_peers_owner_ops.release(node->peers, peer);
    }
    return found;
}

/* Returns the number of the node that a node finds as the owner of a slot before it, or
 * -1. */
static int earlier_of(struct node *node, uint32_t slot)
{
    return take_number(node, km_peers_owner_ops.earlier(node->peers, slot));
}

static int next_of(struct node *node, uint32_t slot, const struct km_peer *but)
{
    return take_number(node, km_peers_owner_ops.next(node->peers, slot, but));
}

static bool owns(struct node *node, uint32_t slot)
{
    return ask(node, slot).place == KM_OWNER_HERE;
}

#define STEP 997 /* between the slots that are looked at */

/* -- tests: views ---------------------------------------------------------- */

/* A node that joins finds the owners of before for a minute, and nobody for a slot that
 * has not moved. */
static void test_earlier_owners(void **state)
{
    struct cluster c;
    unsigned moved = 0;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[2].member.state = KM_MEMBER_JOINING;
    notice_all(&c, 7);
    static bool was_a[KM_OWNER_SLOTS / STEP + 1];
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        was_a[slot / STEP] = owns(&c.nodes[0], slot);
        assert_int_equal(earlier_of(&c.nodes[0], slot), -1);
    }
    c.nodes[2].member.state = KM_MEMBER_ACTIVE;
    notice_all(&c, 7);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        if (owns(&c.nodes[2], slot)) {
            moved++;
            assert_int_equal(earlier_of(&c.nodes[2], slot),
                             was_a[slot / STEP] ? 0 : 1);
        } else if (owns(&c.nodes[0], slot)) {
            assert_int_equal(earlier_of(&c.nodes[0], slot), -1);
        }
    }
    assert_true(moved > 50);
    sim_net_run(&c.net, (KM_PEERS_EARLIER_MS - 1000) * MS);
    uint32_t slot = 0;
    while (!owns(&c.nodes[2], slot)) {
        slot++;
    }
    assert_true(earlier_of(&c.nodes[2], slot) >= 0);
    sim_net_run(&c.net, 1500 * MS);
    assert_int_equal(earlier_of(&c.nodes[2], slot), -1);
    for (unsigned i = 0; i < NODES; i++) { /* and the tables are gone */
        assert_int_equal(km_peers_own(c.nodes[i].peers)->earlier.count, 0);
    }
    cluster_close(&c);
}

/* A member that leaves answers until it has left; then an older owner is found, if
 * there is one. */
static void test_earlier_owners_that_leave(void **state)
{
    struct cluster c;
    uint32_t slot = 0;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    static bool was_c[KM_OWNER_SLOTS];
    for (slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        was_c[slot] = owns(&c.nodes[2], slot);
    }
    c.nodes[2].member.state = KM_MEMBER_LEAVING;
    notice_all(&c, 7);
    for (slot = 0; !was_c[slot] || !owns(&c.nodes[1], slot); slot++) {
    }
    assert_int_equal(earlier_of(&c.nodes[1], slot), 2);
    c.nodes[1].member.state = KM_MEMBER_LEAVING;
    notice_all(
        &c, 7); /* all slots are A's; B has owned this one, and before that C */
    assert_true(owns(&c.nodes[0], slot));
    assert_int_equal(earlier_of(&c.nodes[0], slot), 1);
    notice(&c, 0, 5);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(earlier_of(&c.nodes[0], slot), 2);
    notice(&c, 0, 1);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(earlier_of(&c.nodes[0], slot), -1);
    cluster_close(&c);
}

/* Views that come and go all the time do not cost more and more memory, and views with
 * the same placement cost none. */
static void test_earlier_owners_are_bounded(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    for (unsigned i = 0; i < 2 * KM_PEERS_EARLIER_MAX; i++) {
        notice(&c, 0, i % 2 == 0 ? 7 : 3);
        sim_net_run(&c.net, 1000 * MS);
        unsigned most =
            i + 1 < KM_PEERS_EARLIER_MAX ? i + 1 : KM_PEERS_EARLIER_MAX;
        assert_int_equal(km_peers_own(c.nodes[0].peers)->earlier.count, most);
    }
    sim_net_run(&c.net, (KM_PEERS_EARLIER_MS + 1000) * MS);
    c.nodes[2].member.state = KM_MEMBER_JOINING;
    notice(&c, 0, 7); /* it owns nothing yet */
    sim_net_run(&c.net, 1000 * MS);
    assert_int_equal(km_peers_own(c.nodes[0].peers)->earlier.count, 0);
    cluster_close(&c);
}

/* The node that ranks next is another one than this and than the one that was asked, and
 * it answers. When the owner goes, it is the owner. */
static void test_next_ranked(void **state)
{
    struct cluster c;
    uint32_t slot = 0;
    (void)state;
    cluster_open(&c, 3);
    assert_int_equal(next_of(&c.nodes[0], 0, NULL), -1);
    notice_all(&c, 7);
    static int8_t next[KM_OWNER_SLOTS / STEP + 1];
    for (slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        struct km_owner_answer answer = ask(&c.nodes[0], slot);
        next[slot / STEP] = -1;
        if (answer.place == KM_OWNER_HERE) {
            next[slot / STEP] = (int8_t)next_of(&c.nodes[0], slot, NULL);
            assert_in_range(next[slot / STEP], 1, 2);
            continue;
        }
        struct km_peer *owner = NULL;
        km_peers_owner_ops.ask(c.nodes[0].peers, slot, &answer);
        owner = answer.peer;
        int first = next_of(&c.nodes[0], slot, NULL);
        assert_int_equal(next_of(&c.nodes[0], slot, owner), 3 - first);
        assert_int_equal(take_number(&c.nodes[0], owner), first);
    }
    c.nodes[0].member.state = KM_MEMBER_LEAVING;
    notice_all(&c, 7);
    for (slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        int is = next[slot / STEP];
        assert_true(is < 0 || owns(&c.nodes[is], slot));
    }
    c.net.nodes[2].health = SIM_DOWN;
    sim_net_run(&c.net, 5000 * MS);
    for (slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        assert_int_equal(next_of(&c.nodes[1], slot, NULL), -1);
    }
    cluster_close(&c);
}

static struct km_holders_cache caches[NODES];

/* Returns which nodes hold a slot, as bits, in the eyes of a node. */
static unsigned holders(struct node *node, const char *text, uint32_t slot)
{
    struct km_strategy strategy;
    unsigned found = 0;
    assert_int_equal(km_strategy_parse(text, &strategy), KAMA_OK);
    for (unsigned i = 0; i < NODES; i++) {
        struct km_member_id id = node->cluster->nodes[i].member.id;
        assert_int_equal(km_peers_holds_cached(node->peers, &strategy, slot,
                                               &id, &caches[node->index]),
                         km_peers_holds(node->peers, &strategy, slot, &id));
        found |=
            km_peers_holds(node->peers, &strategy, slot, &id) ? 1u << i : 0;
    }
    assert_true(km_peers_holds(node->peers, &strategy, slot, NULL) ==
                ((found >> node->index & 1) != 0));
    return found;
}

static unsigned owner_bit(struct cluster *c, uint32_t slot)
{
    return owns(&c->nodes[0], slot) ? 1 : owns(&c->nodes[1], slot) ? 2 : 4;
}

/* R17. All nodes say the same, and it is what the strategies say. */
static void test_holders(void **state)
{
    static const char *const labels[] = {"ssd", "eu"};
    struct cluster c;
    (void)state;
    memset(caches, 0, sizeof caches);
    cluster_open(&c, 3);
    c.nodes[1].member.labels = labels;
    c.nodes[1].member.label_count = 2;
    assert_int_equal(holders(&c.nodes[0], "broadcast", 5), 0);
    notice_all(&c, 7);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        struct node *node = &c.nodes[slot % NODES];
        unsigned owner = owner_bit(&c, slot);
        unsigned two = holders(&c.nodes[0], "shard:2", slot);
        assert_int_equal(holders(node, "broadcast", slot), 7);
        assert_int_equal(holders(node, "invalidate", slot), owner);
        assert_int_equal(holders(node, "shard:1", slot), owner);
        assert_int_equal(holders(node, "shard:2", slot), two);
        assert_int_equal(two & owner, owner);
        assert_int_equal(__builtin_popcount(two), 2);
        assert_int_equal(holders(node, "shard:3", slot), 7);
        assert_int_equal(holders(node, "shard:16", slot), 7);
        assert_int_equal(holders(node, "peers:eu", slot), owner | 2);
        assert_int_equal(holders(node, "peers:us", slot), owner);
        assert_int_equal(holders(node, "peers:a:1+c:1", slot), owner | 5);
        assert_int_equal(holders(node, "owner", slot), owner);
    }
    /* What was remembered of the view before is forgotten. */
    c.nodes[0].member.weight = 8;
    notice_all(&c, 7);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        unsigned two = holders(&c.nodes[0], "shard:2", slot);
        assert_int_equal(__builtin_popcount(two), 2);
    }
    cluster_close(&c);
}

/* A member that is not active holds what it is named for, and nothing by its rank; as
 * long as nobody is active, all hold everything. */
static void test_holders_that_are_not_active(void **state)
{
    struct cluster c;
    (void)state;
    memset(caches, 0, sizeof caches);
    cluster_open(&c, 3);
    for (unsigned i = 0; i < NODES; i++) {
        c.nodes[i].member.state = KM_MEMBER_JOINING;
    }
    notice_all(&c, 7);
    assert_int_equal(holders(&c.nodes[1], "shard:1", 5), 7);
    c.nodes[0].member.state = KM_MEMBER_ACTIVE;
    c.nodes[2].member.state = KM_MEMBER_LEAVING;
    notice_all(&c, 7);
    assert_int_equal(holders(&c.nodes[1], "shard:2", 5), 1);
    assert_int_equal(holders(&c.nodes[1], "invalidate", 5), 1);
    assert_int_equal(holders(&c.nodes[1], "peers:c:1", 5), 5);
    assert_int_equal(holders(&c.nodes[1], "broadcast", 5), 7);
    notice(&c, 1, 3); /* C has left */
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(holders(&c.nodes[1], "peers:c:1", 5), 1);
    cluster_close(&c);
}

/* Returns how many slots a node has not held for a minute, of those that are looked at,
 * and whether they are the right ones. */
static unsigned unheld(struct node *node, const char *text)
{
    static struct km_slot_map map;
    struct km_strategy strategy;
    unsigned found = 0;
    memset(&map, 0, sizeof map);
    assert_int_equal(km_strategy_parse(text, &strategy), KAMA_OK);
    uint64_t adoption;
    bool any = km_peers_find_unheld(node->peers, &strategy, &map, &adoption);
    assert_true(adoption == km_peers_adoption(node->peers));
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += STEP) {
        bool has = km_slot_map_has(&map, slot);
        assert_false(has && km_peers_holds(node->peers, &strategy, slot, NULL));
        found += has;
    }
    assert_true(any || found == 0);
    return found;
}

/* What a node has held until a moment ago is forgotten a minute later. */
static void test_slots_that_are_not_held(void **state)
{
    struct cluster c;
    unsigned all = KM_OWNER_SLOTS / STEP + 1;
    (void)state;
    cluster_open(&c, 3);
    assert_int_equal(unheld(&c.nodes[0], "shard:1"), 0);
    notice_all(&c, 3);
    unsigned other = unheld(&c.nodes[0], "shard:1");
    assert_true(other > all / 3 && other < all * 2 / 3);
    assert_int_equal(unheld(&c.nodes[0], "shard:2"), 0);
    assert_int_equal(unheld(&c.nodes[0], "broadcast"), 0);
    uint64_t before = km_peers_adoption(c.nodes[0].peers);
    notice_all(&c, 7);
    assert_true(km_peers_adoption(c.nodes[0].peers) > before);
    assert_int_equal(unheld(&c.nodes[0], "shard:1"), other);
    assert_int_equal(unheld(&c.nodes[0], "shard:2"), 0);
    sim_net_run(&c.net, (KM_PEERS_EARLIER_MS - 1000) * MS);
    assert_int_equal(unheld(&c.nodes[0], "shard:1"), other);
    sim_net_run(&c.net, 2000 * MS);
    assert_true(unheld(&c.nodes[0], "shard:1") > other);
    unsigned third = unheld(&c.nodes[0], "shard:2");
    assert_true(third > all / 4 && third < all / 2);
    cluster_close(&c);
}

/* Nodes that have adopted the same view agree on all owners, and are settled. */
static void test_agree(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    assert_int_equal(ask(&c.nodes[0], 5).place, KM_OWNER_NOBODY);
    assert_int_equal(ask(&c.nodes[0], 5).refusal, KAMA_ERR_NOT_READY);
    assert_int_equal(ask(&c.nodes[0], 5).hope, KM_OWNER_HOPEFUL);
    notice_all(&c, 7);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += 997) {
        unsigned here = 0;
        for (unsigned i = 0; i < NODES; i++) {
            here += ask(&c.nodes[i], slot).place == KM_OWNER_HERE;
        }
        assert_int_equal(here, 1);
    }
    for (unsigned i = 0; i < NODES; i++) {
        assert_true(routing_of(&c.nodes[i]).settled);
        assert_int_equal(c.nodes[i].adoption, 1);
        assert_int_equal(c.nodes[i].state, KM_PEER_UP);
    }
    cluster_close(&c);
}

/* A node that has gained slots is unsettled in them until the others have
 * announced the view; the node that has lost them hides them. */
static void test_turn(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    notice(&c, 2, 7);
    notice(&c, 0, 7);
    sim_net_run(&c.net, 100 * MS);
    assert_false(routing_of(&c.nodes[2]).settled);
    assert_int_equal(count_places(&c.nodes[2], KM_OWNER_HERE), 0);
    assert_true(count_places(&c.nodes[2], KM_OWNER_HERE_UNSETTLED) > 500);
    assert_int_equal(c.nodes[0].lost, 1);
    notice(&c, 1, 7);
    sim_net_run(&c.net, 100 * MS);
    assert_true(routing_of(&c.nodes[2]).settled);
    assert_int_equal(count_places(&c.nodes[2], KM_OWNER_HERE_UNSETTLED), 0);
    cluster_close(&c);
}

/* A slot that comes back before the groups were swept is not settled, although
 * all members have announced the view. */
static void test_hidden(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[0].sweeps = false;
    notice_all(&c, 3);
    notice_all(&c, 7);
    notice_all(&c, 3);
    sim_net_run(&c.net, 5000 * MS);
    assert_true(routing_of(&c.nodes[0]).settled);
    assert_true(count_places(&c.nodes[0], KM_OWNER_HERE_UNSETTLED) > 100);
    km_peers_swept(c.nodes[0].peers, c.nodes[0].adoption - 1);
    assert_true(count_places(&c.nodes[0], KM_OWNER_HERE_UNSETTLED) > 100);
    km_peers_swept(c.nodes[0].peers, c.nodes[0].adoption);
    assert_int_equal(count_places(&c.nodes[0], KM_OWNER_HERE_UNSETTLED), 0);
    cluster_close(&c);
}

/* A newer view replaces one that waits while another one is built, and the one
 * that was passed over is known nevertheless. */
static void test_replaced(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.net.compute = 50 * MS;
    struct km_view *passed = view_of(&c, 3);
    notice(&c, 0, 1);
    notice(&c, 0, 3);
    notice(&c, 0, 7);
    sim_net_run(&c.net, 60 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).view->count, 1);
    assert_true(km_peers_knows_view(c.nodes[0].peers, passed->id));
    assert_false(km_peers_has_adopted(c.nodes[0].peers, passed->id));
    /* The rest after a build of 50 ms is 200 ms. */
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(c.nodes[0].adopted, 1);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(c.nodes[0].adopted, 2);
    assert_int_equal(routing_of(&c.nodes[0]).view->count, 3);
    assert_true(km_peers_has_adopted(c.nodes[0].peers, passed->id));
    assert_false(km_peers_knows_view(c.nodes[0].peers, passed->id + 1));
    km_view_unref(passed);
    cluster_close(&c);
}

/* Who acts by a view that this node has noticed, and not adopted, is ahead of it,
 * also if the node has adopted the same view before. */
static void test_noticed_is_not_adopted(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    struct km_view *both = view_of(&c, 3);
    struct km_peers *peers = c.nodes[0].peers;
    c.net.compute = 5 * MS;
    notice(&c, 0, 3);
    assert_true(km_peers_knows_view(peers, both->id));
    assert_false(km_peers_has_adopted(peers, both->id));
    sim_net_run(&c.net, 1000 * MS);
    assert_true(km_peers_has_adopted(peers, both->id));
    notice(&c, 0, 7);
    sim_net_run(&c.net, 1000 * MS);
    assert_true(km_peers_has_adopted(peers, both->id));
    notice(&c, 0, 3);
    assert_false(km_peers_has_adopted(peers, both->id));
    sim_net_run(&c.net, 1000 * MS);
    assert_true(km_peers_has_adopted(peers, both->id));
    km_view_unref(both);
    cluster_close(&c);
}

/* A view with the same active members is adopted at once. */
static void test_at_once(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[2].member.state = KM_MEMBER_JOINING;
    notice_all(&c, 3);
    notice(&c, 0, 7);
    assert_int_equal(c.nodes[0].adopted, 2);
    assert_int_equal(routing_of(&c.nodes[0]).view->count, 3);
    cluster_close(&c);
}

/* Two nodes that begin together own nothing before one of them is active:
 * otherwise both would take changes of the same key. */
static void test_nodes_that_join_own_nothing(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    for (unsigned i = 0; i < 2; i++) {
        c.nodes[i].member.state = KM_MEMBER_JOINING;
    }
    notice_all(&c, 3);
    for (unsigned i = 0; i < 2; i++) {
        struct km_owner_answer answer = ask(&c.nodes[i], 5);
        assert_int_equal(answer.place, KM_OWNER_NOBODY);
        assert_int_equal(answer.refusal, KAMA_ERR_NOT_READY);
        assert_int_equal(answer.hope, KM_OWNER_HOPEFUL);
    }
    c.nodes[1].member.state = KM_MEMBER_ACTIVE;
    notice_all(&c, 3);
    assert_int_equal(ask(&c.nodes[1], 5).place, KM_OWNER_HERE);
    c.nodes[1].member.state = KM_MEMBER_LEAVING;
    notice_all(&c, 3);
    assert_int_equal(ask(&c.nodes[1], 5).place, KM_OWNER_HERE);
    cluster_close(&c);
}

/* A node that hears of a view which it cannot learn reads the registry, and is
 * behind after a second; then it owns nothing until it has learned the view. */
static void test_behind(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.nodes[0].reads = false;
    c.nodes[2].member.weight = 2;
    notice(&c, 1, 7);
    notice(&c, 2, 7);
    sim_net_run(&c.net, 500 * MS);
    assert_true(c.nodes[0].unknown > 0);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    assert_false(routing_of(&c.nodes[1]).settled);
    sim_net_run(&c.net, 2500 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    assert_int_equal(ask(&c.nodes[0], 1).place, KM_OWNER_NOBODY);
    assert_int_equal(ask(&c.nodes[0], 1).refusal, KAMA_ERR_TRY_AGAIN);
    assert_true(routing_of(&c.nodes[1]).settled);
    assert_true(c.nodes[0].unknown <= 7);
    notice(&c, 0, 7);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    assert_int_not_equal(ask(&c.nodes[0], 1).place, KM_OWNER_NOBODY);
    cluster_close(&c);
}

/* The answers of node 0 are lost from some time before the others adopt a view
 * on, of which it hears and which it cannot learn: it is behind before they call
 * it silent and act without it. */
static void one_way(km_ns phase, km_ns before)
{
    struct cluster c;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.nodes[0].reads = false;
    c.nodes[2].member.weight = 2;
    sim_net_run(&c.net, phase);
    c.net.blocked[0][1] = true;
    c.net.blocked[0][2] = true;
    sim_net_run(&c.net, before);
    notice(&c, 1, 7);
    notice(&c, 2, 7);
    sim_net_run(&c.net, 50 * MS);
    assert_false(routing_of(&c.nodes[1]).settled);
    for (unsigned i = 0; i < 400 && !routing_of(&c.nodes[1]).settled; i++) {
        sim_net_run(&c.net, 10 * MS);
    }
    assert_true(routing_of(&c.nodes[1]).settled);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    cluster_close(&c);
}

static void test_behind_before_others_call_it_silent(void **state)
{
    (void)state;
    for (km_ns phase = 0; phase < 1000 * MS; phase += 190 * MS) {
        for (km_ns before = 0; before < 1400 * MS; before += 100 * MS) {
            one_way(phase, before);
        }
    }
}

/* A node that is behind does not go back to its view when the member that was
 * ahead says nothing more: it has to read the registry. */
static void test_behind_until_the_registry_was_read(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.nodes[0].reads = false;
    c.nodes[2].member.weight = 2;
    notice(&c, 1, 7);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    c.net.nodes[1].health = SIM_SILENT;
    sim_net_run(&c.net, 5000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    c.nodes[0].reads = true;
    sim_net_run(&c.net, 1500 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    cluster_close(&c);
}

/* The view of a node that this one does not know yet counts as well; but not
 * for longer than that node goes on. */
static void test_stranger(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    c.nodes[0].reads = false;
    notice(&c, 2, 7);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    c.net.nodes[2].health = SIM_SILENT;
    sim_net_run(&c.net, 4000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    cluster_close(&c);
}

/* A node of an older protocol is in no view of this one, whatever it has adopted: its Hello
 * says nothing. */
static void test_a_stranger_of_an_older_protocol(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.old = 1u << 2;
    notice_all(&c, 3);
    sim_net_run(&c.net, 100 * MS);
    c.nodes[0].reads = false;
    notice(&c, 2, 7);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    cluster_close(&c);
}

/* A node that has read the registry after it has heard of an unknown view is
 * not behind: the other one is. */
static void test_other_is_behind(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    c.nodes[1].reads = false;
    notice(&c, 2, 7);
    sim_net_run(&c.net, 4000 * MS);
    assert_int_equal(routing_of(&c.nodes[2]).standing, KM_STANDING_MEMBER);
    assert_int_equal(routing_of(&c.nodes[1]).standing, KM_STANDING_BEHIND);
    cluster_close(&c);
}

/* A member that was removed is told so by the answer to its Hello. It is behind
 * until it has a new id. */
static void test_gone(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[2].reads = false;
    notice_all(&c, 7);
    notice(&c, 0, 3);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 100 * MS);
    assert_false(routing_of(&c.nodes[0]).settled);
    sim_net_run(&c.net, 2500 * MS);
    assert_int_equal(c.nodes[2].gone, 1);
    assert_int_equal(routing_of(&c.nodes[2]).standing, KM_STANDING_BEHIND);
    assert_int_equal(ask(&c.nodes[2], 1).place, KM_OWNER_NOBODY);
    assert_true(routing_of(&c.nodes[0]).settled);
    c.nodes[2].reads = true;
    c.nodes[2].member.id = id_of(9);
    km_peers_set_self(c.nodes[2].peers, &c.nodes[2].member.id, addresses[2]);
    notice_all(&c, 7);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[2]).standing, KM_STANDING_MEMBER);
    for (unsigned i = 0; i < NODES; i++) {
        assert_true(routing_of(&c.nodes[i]).settled);
    }
    cluster_close(&c);
}

/* The schedule of peers/turn.h: a new member hears from an old one that somebody
 * who was removed may still act by an older view, and waits until he was told. */
static void test_new_member_waits_for_a_removed_one(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[0].reads = false;
    notice(&c, 0, 3);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 1500 * MS);
    assert_true(routing_of(&c.nodes[0]).settled);
    assert_true(routing_of(&c.nodes[1]).settled);
    notice(&c, 1, 2);
    sim_net_run(&c.net, 20 * MS);
    notice(&c, 1, 6);
    notice(&c, 2, 6);
    sim_net_run(&c.net, 60 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_MEMBER);
    assert_true(c.nodes[1].adopted >= 3);
    assert_int_equal(c.nodes[2].adopted, 1);
    assert_false(routing_of(&c.nodes[1]).settled);
    assert_false(routing_of(&c.nodes[2]).settled);
    km_ns until = c.world.now + 5000 * MS;
    while (!routing_of(&c.nodes[1]).settled && c.world.now < until) {
        assert_false(routing_of(&c.nodes[2]).settled);
        sim_net_run(&c.net, 5 * MS);
    }
    assert_int_equal(c.nodes[0].gone, 1);
    assert_true(routing_of(&c.nodes[1]).settled);
    /* The new one hears at once that the turn is over, and not with the next
     * Hello. */
    sim_net_run(&c.net, 10 * MS);
    assert_true(routing_of(&c.nodes[2]).settled);
    cluster_close(&c);
}

/* A new node goes on to say Hello to a removed member that is behind, because
 * this does not count for it, and is settled when that member is another one. */
static void test_new_node_and_a_removed_member_that_is_behind(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice(&c, 0, 5);
    sim_net_run(&c.net, 20 * MS);
    km_peers_set_behind(c.nodes[0].peers);
    notice(&c, 2, 5);
    sim_net_run(&c.net, 20 * MS);
    notice(&c, 2, 4);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    assert_false(routing_of(&c.nodes[2]).settled);
    c.nodes[0].member.id = id_of(9);
    km_peers_set_self(c.nodes[0].peers, &c.nodes[0].member.id, addresses[0]);
    sim_net_run(&c.net, 1100 * MS);
    assert_true(routing_of(&c.nodes[2]).settled);
    cluster_close(&c);
}

/* "Gone" is said about the id that the Hello had. When it arrives after the node
 * has registered again, it is not about the new one. */
static void test_gone_is_about_the_old_id(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.hello_after = 300 * MS;
    notice(&c, 0, 3);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 10 * MS);
    for (unsigned said = c.hellos[2]; c.hellos[2] == said;) {
        sim_net_run(&c.net, 10 * MS);
    }
    c.nodes[2].member.id = id_of(9);
    km_peers_set_self(c.nodes[2].peers, &c.nodes[2].member.id, addresses[2]);
    notice_all(&c, 7);
    sim_net_run(&c.net, 5000 * MS);
    assert_int_equal(c.nodes[2].gone, 0);
    assert_int_equal(routing_of(&c.nodes[2]).standing, KM_STANDING_MEMBER);
    for (unsigned i = 0; i < NODES; i++) {
        assert_true(routing_of(&c.nodes[i]).settled);
    }
    cluster_close(&c);
}

/* The members of a view that was passed over are waited for, because they may
 * act by it. */
static void test_members_of_a_view_that_was_passed_over(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    c.nodes[0].reads = false;
    notice(&c, 0, 1);
    sim_net_run(&c.net, 50 * MS);
    notice(&c, 1, 2);
    notice(&c, 1, 3);
    notice(&c, 1, 2);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(routing_of(&c.nodes[1]).view->count, 1);
    assert_false(routing_of(&c.nodes[1]).settled);
    notice(&c, 0, 3); /* it says Hello, and is told that it was removed */
    sim_net_run(&c.net, 50 * MS);
    assert_int_equal(c.nodes[0].gone, 1);
    assert_int_equal(routing_of(&c.nodes[0]).standing, KM_STANDING_BEHIND);
    sim_net_run(&c.net, 1100 * MS);
    assert_true(routing_of(&c.nodes[1]).settled);
    cluster_close(&c);
}

/* A member says "gone" because it is behind itself: the registry knows better. */
static void test_gone_by_mistake(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    sim_net_run(&c.net, 1500 * MS);
    notice(&c, 0, 1);
    sim_net_run(&c.net, 1100 * MS);
    assert_true(c.nodes[1].gone >= 1);
    notice(&c, 0, 3);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(routing_of(&c.nodes[1]).standing, KM_STANDING_MEMBER);
    assert_true(routing_of(&c.nodes[0]).settled);
    assert_true(routing_of(&c.nodes[1]).settled);
    cluster_close(&c);
}

/* A member of a view that was passed over says "gone" before this node has adopted
 * any view: the first one finds it behind. */
static void test_gone_before_the_first_view(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice(&c, 0, 3);
    sim_net_run(&c.net, 50 * MS);
    notice(&c, 0, 1); /* it knows that the node 1 has gone */
    sim_net_run(&c.net, 50 * MS);
    c.net.compute = 1000 * MS;
    c.nodes[1].reads = false;
    for (unsigned i = 0; i <= KM_PEERS_PASSED_MAX; i++) {
        notice(&c, 1, 7);
        notice(&c, 1, 3);
    }
    sim_net_run(&c.net, 900 * MS);
    assert_int_equal(c.nodes[1].gone, 1);
    assert_int_equal(c.nodes[1].adopted, 0);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(c.nodes[1].adopted, 1);
    assert_int_equal(routing_of(&c.nodes[1]).standing, KM_STANDING_BEHIND);
    c.nodes[1].reads = true;
    notice(&c, 0, 3);
    sim_net_run(&c.net, 6000 * MS);
    assert_int_equal(routing_of(&c.nodes[1]).standing, KM_STANDING_MEMBER);
    cluster_close(&c);
}

/* The answer to a Hello that this node has said under its id before is about that
 * one. */
static void test_gone_with_the_id_before(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    sim_net_run(&c.net, 1500 * MS);
    c.nodes[1].reads = false;
    c.net.delay = 100 * MS;
    notice(&c, 0, 1);
    sim_net_run(&c.net, 50 * MS);
    notice(&c, 1, 3); /* it says Hello */
    sim_net_run(&c.net, 150 * MS);
    c.nodes[1].member.id = id_of(9);
    km_peers_set_self(c.nodes[1].peers, &c.nodes[1].member.id, addresses[1]);
    notice_all(&c, 3);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(c.nodes[1].gone, 0);
    assert_int_equal(routing_of(&c.nodes[1]).standing, KM_STANDING_MEMBER);
    assert_true(routing_of(&c.nodes[0]).settled);
    cluster_close(&c);
}

/* Of two Hellos to a removed member the first one is lost and the second one is
 * answered: it is still waited for, and so it is asked again. */
static void test_removed_and_one_hello_lost(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    sim_net_run(&c.net, 1500 * MS);
    c.nodes[1].reads = false;
    c.net.nodes[1].health = SIM_SILENT;
    km_peer_suspect(km_peers_own(c.nodes[0].peers)->table->members[1]);
    sim_net_run(&c.net, 5 * MS);
    c.net.nodes[1].health = SIM_UP;
    notice(&c, 0, 1);
    sim_net_run(&c.net, 6000 * MS);
    assert_int_equal(c.nodes[1].gone, 1);
    assert_true(routing_of(&c.nodes[0]).settled);
    cluster_close(&c);
}

/* A member that was removed and does not answer is not waited for. */
static void test_removed_and_silent(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.net.nodes[2].health = SIM_SILENT;
    notice(&c, 0, 3);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 3000 * MS);
    assert_true(routing_of(&c.nodes[0]).settled);
    cluster_close(&c);
}

/* -- tests: Hello ---------------------------------------------------------- */

/* A peer that is silent for 1.5 s is unreachable, is not waited for, ends what
 * waits for it, and is up again when it answers. */
static void test_unreachable(void **state)
{
    struct cluster c;
    struct fill fill;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.net.nodes[1].health = SIM_SILENT;
    km_ns began = c.world.now;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_UNREACHABLE);
    assert_int_equal(fill.done, 1);
    assert_int_equal(fill.outcome, KM_OWNER_LOST);
    assert_true(fill.at - began <= 2600 * MS);
    assert_non_null(strstr(fill.text, "b:1"));
    /* The next one fails at once. */
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 1);
    assert_int_equal(fill.done, 1);
    assert_int_equal(fill.outcome, KM_OWNER_UNREACHABLE);
    c.net.nodes[1].health = SIM_UP;
    sim_net_run(&c.net, 2600 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_UP);
    cluster_close(&c);
}

/* A peer whose connection breaks, and to which no new one can be made, is
 * unreachable at once. */
static void test_down(void **state)
{
    struct cluster c;
    struct fill fill;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.never = true;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    c.net.nodes[1].health = SIM_DOWN;
    sim_net_cut(&c.net, addresses[1]);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.done, 1);
    assert_int_equal(fill.outcome, KM_OWNER_LOST);
    assert_int_equal(c.nodes[0].state, KM_PEER_UNREACHABLE);
    cluster_close(&c);
}

/* Another member at the address of a peer, or a clock that differs by more than
 * a minute, is refused with a sentence. */
static void test_refused(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    c.net.nodes[1].clock_skew_ms = 61000;
    notice_all(&c, 3);
    assert_int_equal(c.nodes[0].state, KM_PEER_REFUSED);
    assert_non_null(strstr(c.nodes[0].text, "the clock of b:1 is 61 s ahead"));
    c.net.nodes[1].clock_skew_ms = 59000;
    sim_net_run(&c.net, 1100 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_UP);
    struct km_member_id other = id_of(50);
    km_peers_set_self(c.nodes[1].peers, &other, addresses[1]);
    sim_net_run(&c.net, 1100 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_REFUSED);
    assert_non_null(strstr(c.nodes[0].text, "the view expects the member"));
    cluster_close(&c);
}

/* A node of 0.2 and one of this version refuse each other; here the view has both. */
static void test_another_protocol_is_refused(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    c.old = 1u << 1;
    notice_all(&c, 3);
    assert_int_equal(c.nodes[0].state, KM_PEER_REFUSED);
    assert_string_equal(
        c.nodes[0].text,
        "b:1 speaks the versions 1 to 1 of the protocol between "
        "nodes; this node speaks 2 to 2");
    cluster_close(&c);
}

/* Nodes that start together see records of each other before each of them has the
 * registry's answer. That is no refusal; the peer is up as soon as it knows its id
 * and says Hello. If it goes on like that, it is another process. */
static void test_a_peer_that_is_registering(void **state)
{
    struct cluster c;
    struct km_member_id none = {{0}};
    struct km_member_id id = id_of(1);
    (void)state;
    cluster_open(&c, 2);
    km_peers_set_self(c.nodes[1].peers, &none, addresses[1]);
    notice(&c, 0, 3);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_UNKNOWN);
    km_peers_set_self(c.nodes[1].peers, &id, addresses[1]);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_UP);
    cluster_close(&c);
    cluster_open(&c, 2);
    km_peers_set_self(c.nodes[1].peers, &none, addresses[1]);
    notice(&c, 0, 3);
    sim_net_run(&c.net, 1200 * MS);
    assert_int_equal(c.nodes[0].state, KM_PEER_REFUSED);
    assert_non_null(strstr(c.nodes[0].text, "answers as no member"));
    cluster_close(&c);
}

struct probed {
    struct km_peers_probe probe;
    unsigned done;
    kama_status status;
    struct km_member_id id;
    struct km_member_id nonce;
};

static void on_probed(struct km_peers_probe *probe, kama_status status,
                      const char *text, const struct km_member_id *id,
                      const struct km_member_id *nonce, const char *cluster)
{
    struct probed *p = KM_CONTAINER_OF(probe, struct probed, probe);
    (void)text;
    p->done++;
    p->status = status;
    if (status == KAMA_OK) {
        assert_string_equal(cluster, "test");
        p->id = *id;
        p->nonce = *nonce;
    }
}

/* A probe tells who answers at an address, or that nobody does. */
static void test_probe(void **state)
{
    struct cluster c;
    struct probed p = {.probe = {.done = on_probed}};
    struct km_member_id id = id_of(1);
    struct km_member_id nonce = id_of(101);
    (void)state;
    cluster_open(&c, 2);
    km_peers_probe(c.nodes[0].peers, addresses[1], c.world.now + 2000 * MS,
                   &p.probe);
    assert_int_equal(p.done, 0);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(p.status, KAMA_OK);
    assert_true(km_member_id_equal(&p.id, &id));
    assert_true(km_member_id_equal(&p.nonce, &nonce));
    km_peers_probe(c.nodes[0].peers, "nobody:1", c.world.now + 2000 * MS,
                   &p.probe);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(p.done, 2);
    assert_int_not_equal(p.status, KAMA_OK);
    cluster_close(&c);
}

/* Only members of this cluster and service are admitted. */
static void test_admit(void **state)
{
    struct cluster c;
    struct km_member_id member = id_of(1);
    struct km_member_id stranger = id_of(77);
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    struct km_peers_sender sender = {
        .cluster = KM_LIT("test"),
        .service = KM_LIT("svc"),
        .id = kama_bytes_make(member.bytes, sizeof member.bytes)};
    assert_int_equal(km_peers_admit(c.nodes[0].peers, &sender), KAMA_OK);
    sender.id = kama_bytes_make(stranger.bytes, sizeof stranger.bytes);
    unsigned before = c.nodes[0].unknown;
    assert_int_equal(km_peers_admit(c.nodes[0].peers, &sender),
                     KAMA_ERR_NOT_MEMBER);
    sim_net_run(&c.net, MS);
    assert_int_equal(c.nodes[0].unknown, before + 1);
    sender.id = KM_LIT("short");
    assert_int_equal(km_peers_admit(c.nodes[0].peers, &sender),
                     KAMA_ERR_NOT_MEMBER);
    sender.cluster = KM_LIT("other");
    assert_int_equal(km_peers_admit(c.nodes[0].peers, &sender),
                     KAMA_ERR_NOT_MEMBER);
    cluster_close(&c);
}

/* -- tests: requests ------------------------------------------------------- */

/* Codes of gRPC. */
enum {
    CODE_OK = 0,
    CODE_DEADLINE_EXCEEDED = 4,
    CODE_NOT_FOUND = 5,
    CODE_FAILED_PRECONDITION = 9,
    CODE_UNAVAILABLE = 14
};

static void get_info(void *arg, const struct km_peer_info *info)
{
    *(struct km_peer_info *)arg = *info;
}

/* One fill is a Fill; several of one list are one FillMany, and each gets its
 * own answer. */
static void test_fill(void **state)
{
    struct cluster c;
    struct fill fill;
    struct fill many[9];
    struct km_list list;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.done, 1);
    assert_int_equal(fill.outcome, KM_OWNER_ANSWERED);
    assert_int_equal(fill.status, KAMA_OK);
    assert_string_equal(fill.value, fill.key);
    assert_int_equal(fill.etag_key, 66);
    assert_int_equal(c.fills, 1);
    km_list_init(&list);
    for (unsigned i = 0; i < 9; i++) {
        fill_make(&c, 0, &many[i], i + 1, &list);
    }
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    assert_true(km_list_empty(&list));
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.many, 1);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(many[i].done, 1);
        assert_string_equal(many[i].value, many[i].key);
        assert_int_equal(many[i].etag_key, 66);
    }
    struct km_peer_info info;
    km_peers_visit(c.nodes[0].peers, get_info, &info);
    assert_string_equal(info.address, addresses[1]);
    assert_int_equal(info.state, KM_PEER_UP);
    assert_int_equal(info.fills, 10);
    assert_int_equal(info.fills_failed, 0);
    assert_true(info.latency > 0);
    assert_int_equal(info.fill_codes[CODE_OK], 10);
    assert_int_equal(km_histogram_count(info.times), 2); /* two calls */
    cluster_close(&c);
}

/* R8: a fill says what its answer must include, several of them together what the one
 * with the largest floor needs; and the answer says what may be kept of it. */
static void test_fill_needs(void **state)
{
    struct cluster c;
    struct fill fill;
    struct fill many[3];
    struct km_list list;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.done, 1);
    assert_int_equal(c.needs, 0);
    assert_true(fill.current);
    assert_int_equal(fill.view_id, 55);
    assert_int_equal(fill.stamp.hlc, 44);
    assert_int_equal(fill.stamp.origin, 33);
    km_list_init(&list);
    fill_make(&c, 0, &fill, 0, &list);
    fill.fill.floor = 8;
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.needs, 2);
    assert_int_equal(c.need_clocks[0], 8);
    assert_int_equal(c.need_clocks[1], 9);
    for (unsigned i = 0; i < 3; i++) {
        fill_make(&c, 0, &many[i], i, &list);
        many[i].fill.floor = i == 1 ? 12 : i;
    }
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.many, 1);
    assert_int_equal(c.needs, 2);
    assert_int_equal(c.need_clocks[0], 12);
    assert_int_equal(many[2].done, 1);
    cluster_close(&c);
}

/* Sends a fill whose needs of nodes b and c are these clocks, the second one 1 more.
 * Returns which of them were marked: 1 the first one, 2 the second one. */
static unsigned marks_of(struct cluster *c, uint64_t floor)
{
    struct fill fill;
    struct km_list list;
    km_list_init(&list);
    fill_make(c, 0, &fill, 0, &list);
    fill.fill.floor = floor;
    km_peers_owner_ops.fill(c->nodes[0].peers, &list);
    sim_net_run(&c->net, 10 * MS);
    assert_int_equal(fill.done, 1);
    assert_int_equal(c->needs, 2);
    return c->marked;
}

/* Lets the owner be behind from now on, and name what it lacks. */
static void lack(struct cluster *c, unsigned node, uint64_t clock)
{
    c->script.outcome = KM_MSG_PEER_BEHIND;
    c->script.lacks_id = id_of(node);
    c->script.lacks = clock;
}

/* R8: a need that the owner has named is marked for half a second, and so are larger ones
 * of the same member, so that the owner waits once and not for each fill. */
static void test_what_the_owner_lacks(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    assert_int_equal(marks_of(&c, 8), 0);
    lack(&c, 2, 9);
    assert_int_equal(marks_of(&c, 8), 0);
    assert_int_equal(marks_of(&c, 8), 2);
    lack(&c, 2, 21); /* it lacks 9 as well */
    assert_int_equal(marks_of(&c, 20), 2);
    assert_int_equal(marks_of(&c, 8), 2);
    assert_int_equal(marks_of(&c, 7), 0);
    lack(&c, 1, 5); /* takes the place of the other one */
    assert_int_equal(marks_of(&c, 7), 0);
    assert_int_equal(marks_of(&c, 20), 1);
    assert_int_equal(marks_of(&c, 4), 0);
    cluster_close(&c);
}

/* It ends when the owner has answered a fill that had the mark, and otherwise half a
 * second after the owner has said it last. */
static void test_the_owner_catches_up(void **state)
{
    struct cluster c;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    lack(&c, 2, 9);
    assert_int_equal(marks_of(&c, 8), 0);
    c.script.outcome = KM_MSG_PEER_ANSWERED;
    assert_int_equal(marks_of(&c, 7), 0);
    assert_int_equal(marks_of(&c, 8), 2);
    assert_int_equal(marks_of(&c, 8), 0);
    lack(&c, 2, 9);
    assert_int_equal(marks_of(&c, 8), 0);
    sim_net_run(&c.net, 400 * MS);
    assert_int_equal(marks_of(&c, 8), 2);
    sim_net_run(&c.net, 400 * MS);
    assert_int_equal(marks_of(&c, 8), 2);
    sim_net_run(&c.net, 500 * MS);
    assert_int_equal(marks_of(&c, 8), 0);
    c.script.lacks = 0; /* the owner lacks the view */
    sim_net_run(&c.net, 500 * MS);
    assert_int_equal(marks_of(&c, 8), 0);
    assert_int_equal(marks_of(&c, 8), 0);
    cluster_close(&c);
}

/* R9: a fill that peeks says so, travels with others that do, and is not sent on to the
 * owner. */
static void test_fills_that_peek(void **state)
{
    struct cluster c;
    struct fill fills[4];
    struct km_list list;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    km_list_init(&list);
    for (unsigned i = 0; i < 4; i++) {
        fill_make(&c, 0, &fills[i], i, &list);
        fills[i].fill.effort = i < 3 ? KM_FILL_PEEKS : KM_FILL_LOADS;
    }
    c.script.status = KAMA_WOULD_LOAD;
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.many, 1);
    assert_int_equal(c.fills, 1);
    assert_int_equal(c.peeking, 1); /* of the two calls */
    assert_int_equal(fills[0].status, KAMA_WOULD_LOAD);
    fill_make(&c, 0, &fills[0], 0, &list);
    fills[0].fill.effort = KM_FILL_PEEKS;
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.peeking, 2);
    cluster_close(&c);
}

/* The node that is asked is not the owner in the view of the one that asks. */
static void test_a_peek_is_not_sent_on(void **state)
{
    struct cluster c;
    struct fill fill;
    struct km_list list;
    uint32_t slot = 0;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.script.outcome = KM_MSG_PEER_NOT_OWNER;
    for (int effort = KM_FILL_LOADS; effort <= KM_FILL_PEEKS; effort++) {
        struct km_owner_answer other;
        km_list_init(&list);
        fill_make(&c, 0, &fill, 0, &list);
        fill.fill.effort = (enum km_fill_effort)effort;
        do {
            km_peers_owner_ops.ask(c.nodes[0].peers, slot++, &other);
            if (other.peer == fill.fill.peer) {
                km_peers_owner_ops.release(c.nodes[0].peers, other.peer);
            }
        } while (other.peer == NULL || other.peer == fill.fill.peer);
        km_peers_owner_ops.release(c.nodes[0].peers, fill.fill.peer);
        fill.fill.peer = other.peer;
        unsigned before = c.fills;
        km_peers_owner_ops.fill(c.nodes[0].peers, &list);
        sim_net_run(&c.net, 10 * MS);
        assert_int_equal(c.fills - before, effort == KM_FILL_LOADS ? 2 : 1);
        assert_int_equal(fill.outcome, KM_OWNER_NOT_OWNER);
    }
    cluster_close(&c);
}

/* A miss and an error of the loader come back as they are. */
static void test_fill_typed(void **state)
{
    struct cluster c;
    struct fill fill;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.status = KAMA_ERR_LOADER;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.outcome, KM_OWNER_ANSWERED);
    assert_int_equal(fill.status, KAMA_ERR_LOADER);
    assert_string_equal(fill.text, "the loader said no");
    c.script.status = KAMA_MISS;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.status, KAMA_MISS);
    struct km_peer_info info;
    km_peers_visit(c.nodes[0].peers, get_info, &info);
    assert_int_equal(info.fill_codes[km_status_grpc(KAMA_ERR_LOADER)], 1);
    assert_int_equal(info.fill_codes[CODE_NOT_FOUND], 1);
    assert_int_equal(info.fills, 2);
    cluster_close(&c);
}

/* A message has at most KM_PEERS_BATCH_KEYS keys. */
static void test_fill_bounded(void **state)
{
    enum { KEYS = KM_PEERS_BATCH_KEYS + 10 };
    struct cluster c;
    struct km_list list;
    static struct fill many[KEYS];
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.never = true;
    km_list_init(&list);
    for (unsigned i = 0; i < KEYS; i++) {
        fill_make(&c, 0, &many[i], i, &list);
    }
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    unsigned calls = c.net.calls;
    c.script.refuse = 100; /* the script has no room for so many messages */
    sim_net_run(&c.net, 20 * MS);
    assert_int_equal(c.net.calls - calls, 2);
    c.script.never = false;
    sim_net_run(&c.net, 6000 * MS);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(many[i].done, 1);
    }
    cluster_close(&c);
}

/* A key without an answer when the stream ends is lost; the others are not. */
static void test_fill_incomplete(void **state)
{
    struct cluster c;
    struct fill many[3];
    struct km_list list;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.only_first = true;
    km_list_init(&list);
    for (unsigned i = 0; i < 3; i++) {
        fill_make(&c, 0, &many[i], i, &list);
    }
    km_peers_owner_ops.fill(c.nodes[0].peers, &list);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(many[0].outcome, KM_OWNER_ANSWERED);
    assert_int_equal(many[1].outcome, KM_OWNER_LOST);
    assert_int_equal(many[2].outcome, KM_OWNER_LOST);
    cluster_close(&c);
}

/* A peer that does not know this node yet is asked once more after 50 ms; then
 * the fill is BEHIND. */
static void test_not_member(void **state)
{
    struct cluster c;
    struct fill fill;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.refuse = 1;
    km_ns began = c.world.now;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(fill.outcome, KM_OWNER_ANSWERED);
    assert_true(fill.at - began >= 50 * MS);
    c.script.refuse = 5;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 200 * MS);
    assert_int_equal(fill.done, 1);
    assert_int_equal(fill.outcome, KM_OWNER_BEHIND);
    assert_int_equal(c.script.refuse, 3);
    struct km_peer_info info;
    km_peers_visit(c.nodes[0].peers, get_info, &info);
    assert_int_equal(info.fill_codes[CODE_FAILED_PRECONDITION], 1);
    assert_int_equal(info.fill_codes[CODE_OK], 1);
    assert_int_equal(km_histogram_count(info.times), 4); /* two calls each */
    cluster_close(&c);
}

/* NOT_OWNER is handed on if this node has no other owner, and goes to the new
 * owner once if it has. */
static void test_not_owner(void **state)
{
    struct cluster c;
    struct fill fill;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.script.outcome = KM_MSG_PEER_NOT_OWNER;
    fill_one(&c, 0, &fill);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(fill.outcome, KM_OWNER_NOT_OWNER);
    assert_int_equal(c.fills, 1);
    fill_one(&c, 0, &fill);
    struct km_peer *before = fill.fill.peer;
    c.script.after = 50 * MS;
    /* The owner leaves the view while it answers. */
    unsigned owner = strcmp(before->address, addresses[1]) == 0 ? 1 : 2;
    c.nodes[owner].member.state = KM_MEMBER_LEAVING;
    notice_all(&c, 7);
    assert_int_equal(fill.done, 0);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(fill.done, 1);
    assert_true(c.fills <= 3);
    cluster_close(&c);
}

struct mutation {
    struct km_owner_mutation mutation;
    unsigned done;
    enum km_owner_outcome outcome;
    kama_status status;
    uint64_t etag_key;
    size_t late;
    char first_late[KAMA_ADDRESS_BYTES];
    char text[256];
};

static void mutation_done(struct km_owner_mutation *m,
                          const struct km_owner_reply *r)
{
    struct mutation *mutation = KM_CONTAINER_OF(m, struct mutation, mutation);
    mutation->done++;
    mutation->outcome = r->outcome;
    mutation->status = r->status;
    mutation->etag_key = r->etag_key;
    mutation->late = km_unsynced_count(r->unsynced);
    if (mutation->late > 0) {
        (void)snprintf(mutation->first_late, sizeof mutation->first_late, "%s",
                       km_unsynced_at(r->unsynced, 0));
    }
    (void)snprintf(mutation->text, sizeof mutation->text, "%s", r->text);
}

static void mutate_all(struct cluster *c, struct mutation *m, unsigned count,
                       size_t value_bytes,
                       const struct km_put_condition *condition)
{
    static char bytes[KM_PEERS_BATCH_BYTES];
    struct km_list list;
    struct fill key;
    struct km_list unused;
    km_list_init(&list);
    km_list_init(&unused);
    fill_make(c, 0, &key, 0, &unused);
    for (unsigned i = 0; i < count; i++) {
        m[i] = (struct mutation){0};
        m[i].mutation = (struct km_owner_mutation){
            .peer = i == 0 ? key.fill.peer : km_peer_ref(key.fill.peer),
            .group = "g",
            .kind = value_bytes > 0 ? KM_MUTATION_SET : KM_MUTATION_DELETE,
            .key = KM_LIT("key"),
            .value = kama_bytes_make(bytes, value_bytes),
            .condition = *condition,
            .deadline = c->world.now + 2000 * MS,
            .done = mutation_done};
        km_list_push_back(&list, &m[i].mutation.node);
    }
    km_peers_owner_ops.mutate(c->nodes[0].peers, &list);
}

static void mutate(struct cluster *c, struct mutation *m, unsigned count,
                   size_t value_bytes)
{
    const struct km_put_condition always = {.kind = KM_PUT_ALWAYS};
    mutate_all(c, m, count, value_bytes, &always);
}

static void mutate_if(struct cluster *c, struct mutation *m, size_t value_bytes,
                      struct km_put_condition condition)
{
    mutate_all(c, m, 1, value_bytes, &condition);
}

/* Mutations travel together up to 256 KiB, and one that was sent and not
 * answered may have been applied. */
static void test_mutate(void **state)
{
    struct cluster c;
    struct mutation m[4];
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    mutate(&c, m, 4, 0);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.mutates, 1);
    assert_int_equal(m[3].outcome, KM_OWNER_ANSWERED);
    mutate(&c, m, 4, 100u << 10);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.mutates, 3);
    mutate(&c, m, 2, KM_PEERS_BATCH_BYTES);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.mutates, 5);
    c.script.never = true;
    mutate(&c, m, 1, 0);
    sim_net_run(&c.net, 2500 * MS);
    assert_int_equal(m[0].done, 1);
    assert_int_equal(m[0].outcome, KM_OWNER_LOST);
    assert_non_null(strstr(m[0].text, "b:1"));
    c.net.nodes[1].health = SIM_DOWN;
    mutate(&c, m, 1, 0);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(m[0].outcome, KM_OWNER_UNREACHABLE);
    struct km_peer_info info;
    km_peers_visit(c.nodes[0].peers, get_info, &info);
    assert_int_equal(info.mutation_codes[CODE_OK], 10);
    assert_int_equal(info.mutation_codes[CODE_DEADLINE_EXCEEDED], 1);
    assert_int_equal(info.mutation_codes[CODE_UNAVAILABLE], 1);
    assert_int_equal(info.mutations, 12);
    assert_int_equal(info.mutations_failed, 2);
    /* The call that was never answered took its 2 s. */
    assert_true(km_histogram_sum_ns(info.times) >= 2000 * MS);
    cluster_close(&c);
}

/* A mutation does not wait for others that have more time, if the owner does not answer. */
static void test_mutate_with_less_time(void **state)
{
    const km_ns times[] = {2000 * MS, 2010 * MS, 50 * MS};
    struct cluster c;
    struct mutation m[3];
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.never = true;
    mutate(&c, m, 3, 0);
    for (unsigned i = 0; i < 3; i++) {
        m[i].mutation.deadline = c.world.now + times[i];
    }
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.mutates, 2);
    sim_net_run(&c.net, 60 * MS);
    assert_int_equal(m[2].done, 1);
    assert_int_equal(m[2].outcome, KM_OWNER_LOST);
    assert_int_equal(m[0].done + m[1].done, 0);
    sim_net_run(&c.net, 2500 * MS);
    assert_int_equal(m[0].done + m[1].done, 2);
    cluster_close(&c);
}

/* A set with a condition has a kind of its own on the wire. That the condition was
 * not fulfilled is an answer, and nothing is sent again. */
static void test_mutate_with_a_condition(void **state)
{
    struct cluster c;
    struct mutation m;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    mutate(&c, &m, 1, 10);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(c.last.kind, KM_MSG_PEER_SET);
    assert_int_equal(c.last.condition, KM_PUT_ALWAYS);
    assert_int_equal(m.etag_key, 55);
    c.script.status = KAMA_ERR_TRY_AGAIN;
    mutate_if(&c, &m, 10,
              (struct km_put_condition){KM_PUT_IF_MATCH, UINT64_MAX});
    sim_net_run(&c.net, 10000 * MS);
    assert_int_equal(c.last.kind, KM_MSG_PEER_SET_IF);
    assert_int_equal(c.last.condition, KM_PUT_IF_MATCH);
    assert_true(c.last.if_etag == UINT64_MAX);
    assert_int_equal(m.done, 1);
    assert_int_equal(m.outcome, KM_OWNER_ANSWERED);
    assert_int_equal(m.status, KAMA_ERR_TRY_AGAIN);
    assert_int_equal(c.mutates, 2);
    cluster_close(&c);
}

/* The owner names the nodes that are late. What is no address, or too much, is left out. */
static void test_mutate_unsynced(void **state)
{
    static const char listed[] = "\x3a\x03"
                                 "h:1"
                                 "\x3a\x00\x3a\x03"
                                 "h\n2"
                                 "\x3a\x03"
                                 "h:1";
    static char many[4 * 5000];
    struct cluster c;
    struct mutation m[2];
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.status = KAMA_UNSYNCED;
    c.script.late = kama_bytes_make(listed, sizeof listed - 1);
    mutate(&c, m, 2, 10);
    sim_net_run(&c.net, 10 * MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(m[i].outcome, KM_OWNER_ANSWERED);
        assert_int_equal(m[i].status, KAMA_UNSYNCED);
        assert_int_equal(m[i].late, 2);
        assert_string_equal(m[i].first_late, "h:1");
    }
    for (unsigned i = 0; i < 5000; i++) {
        const char one[4] = {0x3a, 2, (char)('0' + i / 70),
                             (char)('0' + i % 70)};
        memcpy(many + 4 * i, one, sizeof one);
    }
    c.script.late = kama_bytes_make(many, sizeof many);
    mutate(&c, m, 1, 10);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(m[0].late, KM_PEERS_UNSYNCED_MAX);
    for (unsigned i = 0; i < KM_PEERS_UNSYNCED_MAX; i++) {
        memcpy(many + 4 * i, i % 2 == 0 ? "\x3a\x02h1" : "\x3a\x02\x3a\x00", 4);
    }
    mutate(&c, m, 1, 10); /* the same ones and no addresses count as well */
    sim_net_run(&c.net, 10 * MS);
    assert_in_range(m[0].late, 1, 2);
    c.script.late.len = 0;
    mutate(&c, m, 1, 10);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(m[0].late, 0);
    cluster_close(&c);
}

/* An answer with a status that no mutation has is an error. Above all, it is not one that says
 * that the answer comes later. */
static void test_mutate_with_a_status_that_is_none(void **state)
{
    static const int rows[] = {KAMA_WOULD_LOAD, KAMA_DEFERRED,
                               KAMA_UNSYNCED + 1, -1000};
    struct cluster c;
    struct mutation m;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        c.script.status = (kama_status)rows[i];
        mutate(&c, &m, 1, 10);
        sim_net_run(&c.net, 10 * MS);
        assert_int_equal(m.outcome, KM_OWNER_ANSWERED);
        assert_int_equal(m.status, KAMA_ERR_INTERNAL);
    }
    cluster_close(&c);
}

/* A call that the peer refuses as a whole was certainly not carried out; one
 * that it cut off may have been. */
static void test_mutate_refused(void **state)
{
    static const struct {
        kama_status status;
        enum km_owner_outcome outcome;
    } rows[] = {{KAMA_ERR_NO_GROUP, KM_OWNER_ANSWERED},
                {KAMA_ERR_UNSUPPORTED, KM_OWNER_UNREACHABLE},
                {KAMA_ERR_CLOSED, KM_OWNER_LOST},
                {KAMA_ERR_TIMEOUT, KM_OWNER_LOST}};
    struct cluster c;
    struct mutation m;
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        c.script.call_status = rows[i].status;
        mutate(&c, &m, 1, 0);
        sim_net_run(&c.net, 100 * MS);
        assert_int_equal(m.done, 1);
        assert_int_equal(m.outcome, rows[i].outcome);
        struct km_peer_info info;
        km_peers_visit(c.nodes[0].peers, get_info, &info);
        assert_int_equal(info.mutations, i + 1);
        assert_true(info.mutation_codes[km_status_grpc(rows[i].status)] > 0);
    }
    cluster_close(&c);
}

struct clear {
    struct km_owner_clear clear;
    unsigned done;
    kama_status status;
    size_t missed;
    char first[64];
};

static void clear_done(struct km_owner_clear *cl, kama_status status,
                       const char *text, const char *const *unreached,
                       size_t count)
{
    struct clear *clear = KM_CONTAINER_OF(cl, struct clear, clear);
    (void)text;
    clear->done++;
    clear->status = status;
    clear->missed = count;
    if (count > 0) {
        (void)snprintf(clear->first, sizeof clear->first, "%s", unreached[0]);
    }
}

static void clear_all(struct cluster *c, struct clear *clear)
{
    *clear = (struct clear){.clear = {.group = "g",
                                      .deadline = c->world.now + 2000 * MS,
                                      .done = clear_done}};
    km_peers_owner_ops.clear(c->nodes[0].peers, &clear->clear);
    assert_int_equal(clear->done, 0);
}

/* A Clear reaches all other members, also those of a newer view, and says which
 * it did not reach. */
static void test_clear(void **state)
{
    struct cluster c;
    struct clear clear;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    clear_all(&c, &clear);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(clear.status, KAMA_OK);
    assert_int_equal(c.mutates, 1);
    c.script.after = 200 * MS;
    clear_all(&c, &clear);
    notice_all(&c, 7);
    sim_net_run(&c.net, 1000 * MS);
    assert_int_equal(clear.done, 1);
    assert_int_equal(c.mutates, 3);
    c.net.nodes[2].health = SIM_SILENT;
    clear_all(&c, &clear);
    sim_net_run(&c.net, 3000 * MS);
    assert_int_equal(clear.done, 1);
    assert_int_equal(clear.status, KAMA_UNSYNCED);
    assert_int_equal(clear.missed, 1);
    assert_string_equal(clear.first, addresses[2]);
    cluster_close(&c);
}

/* A node that cannot know all members does not say that a Clear has reached them:
 * one that is no member yet, one that is behind, and one that has lost the
 * cluster. */
static void test_clear_without_knowing_all_members(void **state)
{
    struct cluster c;
    struct clear clear;
    (void)state;
    cluster_open(&c, 3);
    clear_all(&c, &clear);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(clear.status, KAMA_ERR_NOT_READY);
    notice_all(&c, 7);
    clear_all(&c, &clear);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(clear.status, KAMA_OK);
    km_peers_set_behind(c.nodes[0].peers);
    clear_all(&c, &clear);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(clear.status, KAMA_ERR_TRY_AGAIN);
    km_peers_set_mutable(c.nodes[0].peers, KAMA_ERR_NOT_READY);
    clear_all(&c, &clear);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(clear.status, KAMA_ERR_NOT_READY);
    assert_int_equal(c.mutates, 6); /* those that it knows are cleared */
    cluster_close(&c);
}

struct survey {
    struct km_peers_survey survey;
    unsigned done;
    unsigned answers;
    unsigned echoes;
    kama_status status; /* of the last answer that is no echo */
    char text[KM_ERROR_BYTES_MAX];
    char address[64];
};

static void take_answer(struct km_peers_survey *s,
                        const struct km_member *member,
                        const struct km_owner_reply *reply)
{
    struct survey *survey = KM_CONTAINER_OF(s, struct survey, survey);
    survey->answers++;
    if (reply->outcome == KM_OWNER_ANSWERED && reply->status == KAMA_OK) {
        assert_true(km_bytes_eq(reply->value, KAMA_STR("what?")));
        survey->echoes++;
        return;
    }
    survey->status = reply->status;
    (void)snprintf(survey->text, sizeof survey->text, "%s", reply->text);
    (void)snprintf(survey->address, sizeof survey->address, "%s",
                   member->address);
}

static void survey_done(struct km_peers_survey *s, kama_status status)
{
    struct survey *survey = KM_CONTAINER_OF(s, struct survey, survey);
    assert_int_equal(status, KAMA_OK);
    survey->done++;
}

static void survey_all(struct cluster *c, struct survey *survey)
{
    *survey = (struct survey){.survey = {.path = "/kama.v2.Cache/Explain",
                                         .message = KAMA_STR("what?"),
                                         .deadline = c->world.now + 2000 * MS,
                                         .answer = take_answer,
                                         .done = survey_done}};
    km_peers_survey(c->nodes[0].peers, &survey->survey);
    assert_int_equal(survey->done, 0);
}

static void expect_no_requests(void *arg, const struct km_peer_info *info)
{
    (void)arg;
    assert_int_equal(info->fills + info->fills_failed, 0);
    assert_int_equal(info->mutations + info->mutations_failed, 0);
    assert_int_equal(km_histogram_count(info->times), 0);
}

/* A survey has one answer for each other member: a message, an error of the member
 * itself, or the reason for none. It ends at its deadline, and is no fill and no
 * mutation. */
static void test_survey(void **state)
{
    struct cluster c;
    struct survey s;
    (void)state;
    cluster_open(&c, 3);
    survey_all(&c, &s);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.answers, 0); /* it is in no view yet */
    notice_all(&c, 7);
    survey_all(&c, &s);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.echoes, 2);
    c.script.call_status = KAMA_ERR_UNSUPPORTED;
    survey_all(&c, &s);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(s.answers, 2);
    assert_int_equal(s.status, KAMA_ERR_UNSUPPORTED);
    assert_string_equal(s.text, "refused");
    c.script.call_status = KAMA_OK;
    c.net.nodes[2].health = SIM_SILENT;
    survey_all(&c, &s);
    sim_net_run(&c.net, 2001 * MS);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.echoes, 1);
    assert_int_equal(s.answers, 2);
    assert_string_equal(s.address, addresses[2]);
    assert_true(strlen(s.text) > 0);
    km_peers_visit(c.nodes[0].peers, expect_no_requests, NULL);
    cluster_close(&c);
}

/* A survey that is under way when the node stops ends. */
static void test_survey_and_close(void **state)
{
    struct cluster c;
    struct survey s;
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 7);
    c.script.after = 1000 * MS;
    survey_all(&c, &s);
    sim_net_run(&c.net, 10 * MS);
    assert_int_equal(s.done, 0);
    cluster_close(&c);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.answers, 2);
}

struct waiter {
    struct km_owner_wait wait;
    unsigned done;
};

static void on_changed(struct km_owner_wait *wait)
{
    KM_CONTAINER_OF(wait, struct waiter, wait)->done++;
}

/* A wait ends with the next change, at its time, or at once if the answers have
 * changed already. */
static void test_wait(void **state)
{
    struct cluster c;
    struct waiter w[3];
    (void)state;
    cluster_open(&c, 3);
    notice_all(&c, 3);
    uint64_t change = ask(&c.nodes[0], 0).change;
    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct waiter){
            .wait = {.change = i == 0 ? change - 1 : change,
                     .until = c.world.now + (i == 1 ? 20 : 2000) * MS,
                     .changed = on_changed}};
        km_peers_owner_ops.wait(c.nodes[0].peers, &w[i].wait);
    }
    assert_int_equal(w[0].done, 0);
    sim_net_run(&c.net, MS);
    assert_int_equal(w[0].done, 1);
    sim_net_run(&c.net, 30 * MS);
    assert_int_equal(w[1].done, 1);
    assert_int_equal(w[2].done, 0);
    notice(&c, 0, 7);
    sim_net_run(&c.net, 100 * MS);
    assert_int_equal(w[2].done, 1);
    cluster_close(&c);
}

/* Closing ends everything that waits. */
static void test_close(void **state)
{
    struct cluster c;
    struct fill fill;
    struct waiter w = {.wait = {.changed = on_changed}};
    (void)state;
    cluster_open(&c, 2);
    notice_all(&c, 3);
    c.script.never = true;
    fill_one(&c, 0, &fill);
    w.wait.change = ask(&c.nodes[0], 0).change;
    w.wait.until = c.world.now + 100000 * MS;
    km_peers_owner_ops.wait(c.nodes[0].peers, &w.wait);
    sim_net_run(&c.net, 10 * MS);
    cluster_close(&c);
    assert_int_equal(fill.done, 1);
    assert_int_equal(w.done, 1);
}

/* 10,000 views come and go, each with another member, without growth. */
static void test_no_growth(void **state)
{
    struct cluster c;
    struct km_mem_probe probe;
    long long settled_blocks = 0;
    (void)state;
    memset(&c, 0, sizeof c);
    km_mem_probe_init(&probe);
    sim_world_init(&c.world, 1);
    sim_net_init(&c.net, &c.world, &probe.allocator);
    c.net.serve = serve;
    c.net.arg = &c;
    assert_int_equal(node_open(&c, 0, &probe.allocator), KAMA_OK);
    notice_all(&c, 1);
    c.nodes[1].member = c.nodes[0].member;
    c.nodes[1].member.address = "gone:1";
    c.nodes[1].member.state = KM_MEMBER_JOINING;
    for (unsigned i = 0; i < 10000; i++) {
        c.nodes[1].member.id = id_of(2);
        memcpy(c.nodes[1].member.id.bytes + 4, &i, sizeof i);
        notice(&c, 0, i % 2 == 0 ? 3 : 1);
        sim_net_run(&c.net, 2 * MS);
        if (i == 1000) {
            settled_blocks = atomic_load(&probe.live_blocks);
        }
    }
    assert_int_equal(c.nodes[0].adopted, 10001);
    assert_true(atomic_load(&probe.live_blocks) <= settled_blocks + 4);
    cluster_close(&c);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

/* Each allocation fails in turn: the node keeps the view that it has, tries
 * again, and ends up with the new one. */
static kama_status scenario(const kama_allocator *mem, void *arg)
{
    struct cluster c;
    struct fill fill = {.done = 0};
    (void)arg;
    memset(&c, 0, sizeof c);
    sim_world_init(&c.world, 1);
    sim_net_init(&c.net, &c.world, mem);
    c.net.serve = serve;
    c.net.arg = &c;
    c.script.outcome = KM_MSG_PEER_ANSWERED;
    kama_status st = node_open(&c, 0, mem);
    if (st != KAMA_OK) {
        return st;
    }
    assert_int_equal(node_open(&c, 1, km_mem_default()), KAMA_OK);
    notice(&c, 0, 3);
    notice(&c, 1, 3);
    sim_net_run(&c.net, 3000 * MS);
    if (routing_of(&c.nodes[0]).view != NULL &&
        ask(&c.nodes[0], 1).place != KM_OWNER_NOBODY) {
        fill_one(&c, 0, &fill);
        sim_net_run(&c.net, 100 * MS);
        assert_int_equal(fill.done, 1);
    } else {
        st = KAMA_ERR_NO_MEMORY;
    }
    cluster_close(&c);
    return st;
}

static void test_failmalloc(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holders),
        cmocka_unit_test(test_holders_that_are_not_active),
        cmocka_unit_test(test_slots_that_are_not_held),
        cmocka_unit_test(test_agree),
        cmocka_unit_test(test_earlier_owners),
        cmocka_unit_test(test_earlier_owners_that_leave),
        cmocka_unit_test(test_earlier_owners_are_bounded),
        cmocka_unit_test(test_next_ranked),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_noticed_is_not_adopted),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_nodes_that_join_own_nothing),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_behind_before_others_call_it_silent),
        cmocka_unit_test(test_behind_until_the_registry_was_read),
        cmocka_unit_test(test_stranger),
        cmocka_unit_test(test_a_stranger_of_an_older_protocol),
        cmocka_unit_test(test_other_is_behind),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_new_member_waits_for_a_removed_one),
        cmocka_unit_test(test_new_node_and_a_removed_member_that_is_behind),
        cmocka_unit_test(test_gone_is_about_the_old_id),
        cmocka_unit_test(test_members_of_a_view_that_was_passed_over),
        cmocka_unit_test(test_gone_by_mistake),
        cmocka_unit_test(test_gone_before_the_first_view),
        cmocka_unit_test(test_gone_with_the_id_before),
        cmocka_unit_test(test_removed_and_one_hello_lost),
        cmocka_unit_test(test_removed_and_silent),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_another_protocol_is_refused),
        cmocka_unit_test(test_a_peer_that_is_registering),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_admit),
        cmocka_unit_test(test_fill_needs),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_what_the_owner_lacks),
        cmocka_unit_test(test_the_owner_catches_up),
        cmocka_unit_test(test_fills_that_peek),
        cmocka_unit_test(test_a_peek_is_not_sent_on),
        cmocka_unit_test(test_fill_typed),
        cmocka_unit_test(test_fill_bounded),
        cmocka_unit_test(test_fill_incomplete),
        cmocka_unit_test(test_not_member),
        cmocka_unit_test(test_not_owner),
        cmocka_unit_test(test_mutate),
        cmocka_unit_test(test_mutate_with_less_time),
        cmocka_unit_test(test_mutate_with_a_condition),
        cmocka_unit_test(test_mutate_unsynced),
        cmocka_unit_test(test_mutate_with_a_status_that_is_none),
        cmocka_unit_test(test_mutate_refused),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_clear_without_knowing_all_members),
        cmocka_unit_test(test_survey),
        cmocka_unit_test(test_survey_and_close),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_no_growth),
        cmocka_unit_test(test_failmalloc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
