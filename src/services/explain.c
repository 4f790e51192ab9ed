/* SPDX-License-Identifier: MIT */
/* The callbacks of the survey run one after the other, and the own row is made
 * before it begins, so that the rows need no lock. */
#include "services/explain.h"

#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "group/explain.h"
#include "services/members.h"
#include "services/service.h"
#include "wire/msg/diagnose.h"

#define PATH "/kama.v2.Cache/Explain"
/* A client that gives less time than that shall get an answer nevertheless: this
 * part of its time is left for the way back. */
#define SHARE_FOR_THE_WAY 10

/* -- versions -------------------------------------------------------------- */

/* The member whose id begins with the origin of a version. */
struct origin_question {
    kama_bytes origin;
    char *address; /* KM_MEMBER_ADDRESS_BYTES of them */
};

static void find_origin(void *arg, const struct km_cluster_view *view)
{
    const struct origin_question *question = arg;
    for (size_t i = 0; i < view->count; i++) {
        const struct km_cluster_member *m = &view->members[i];
        if (memcmp(m->id, question->origin.data, question->origin.len) == 0) {
            (void)km_text_printf(question->address, KM_MEMBER_ADDRESS_BYTES,
                                 "%s", m->address);
        }
    }
}

/* Writes the address of the origin as this node knows it, and not as a member has said
 * it, whose view may be another one. A version without an origin is none. */
static void name_origin(struct km_service_env *env,
                        struct km_msg_version *version,
                        char address[KM_MEMBER_ADDRESS_BYTES])
{
    struct origin_question question = {version->origin, address};
    address[0] = '\0';
    if (version->origin.len == KM_MSG_VERSION_ORIGIN_BYTES) {
        km_cluster_view(env, find_origin, &question);
        version->address = KAMA_STR(address);
    } else {
        *version = (struct km_msg_version){.unix_ms = 0};
    }
}

/* bytes: written, and borrowed by the message. */
static struct km_msg_version show_version(struct km_version version,
                                          uint8_t bytes[KM_VERSION_BYTES])
{
    if (!km_version_is_set(version)) {
        return (struct km_msg_version){.unix_ms = 0};
    }
    km_version_write(version, bytes);
    return (struct km_msg_version){
        .unix_ms = version.hlc >> KM_VERSION_COUNTER_BITS,
        .counter = version.hlc & ((1u << KM_VERSION_COUNTER_BITS) - 1),
        .origin = kama_bytes_make(bytes + sizeof version.hlc,
                                  KM_MSG_VERSION_ORIGIN_BYTES)};
}

/* -- rows ------------------------------------------------------------------ */

/* A copy that was encoded. */
struct row {
    struct km_list node;
    uint32_t order; /* the rank; UINT32_MAX without one */
    char address[KM_MEMBER_ADDRESS_BYTES];
    size_t bytes;
    uint8_t encoded[];
};

/* Returns the place of an address among the owners, from 1, or 0. */
static uint32_t rank_of(const struct km_explain_question *q, kama_bytes address)
{
    struct km_msg_owner_response owner;
    kama_bytes one;
    uint32_t rank = 0;
    if (km_pb_decode(&km_msg_owner_response_pb, km_buf_bytes(&q->owner),
                     &owner) != KAMA_OK) {
        return 0;
    }
    while (km_pb_next(&owner.addresses, &one)) {
        rank++;
        if (km_bytes_eq(one, address)) {
            return rank;
        }
    }
    return 0;
}

static bool is_before(const struct row *a, const struct row *b)
{
    return a->order != b->order ? a->order < b->order
                                : strcmp(a->address, b->address) < 0;
}

static void insert(struct km_explain_question *q, struct row *row)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &q->rows) {
        if (is_before(row, KM_CONTAINER_OF(node, struct row, node))) {
            km_list_insert_before(node, &row->node);
            return;
        }
    }
    km_list_push_back(&q->rows, &row->node);
}

/* Adds a copy, whose rank and the addresses in its versions are filled in. */
static void add_row(struct km_explain_question *q, struct km_msg_copy *copy)
{
    char stamp_at[KM_MEMBER_ADDRESS_BYTES];
    char record_at[KM_MEMBER_ADDRESS_BYTES];
    copy->rank = rank_of(q, copy->address);
    name_origin(q->env, &copy->stamp, stamp_at);
    name_origin(q->env, &copy->record.version, record_at);
    size_t bytes = km_pb_size(&km_msg_copy_pb, copy);
    struct row *row = km_mem_alloc(q->env->mem, sizeof *row + bytes);
    if (row == NULL) {
        q->failure = KAMA_ERR_NO_MEMORY;
        return;
    }
    row->order = copy->rank > 0 ? copy->rank : UINT32_MAX;
    row->bytes = bytes;
    (void)km_text_clean(copy->address, row->address, sizeof row->address);
    (void)km_pb_write(&km_msg_copy_pb, copy, row->encoded);
    insert(q, row);
}

/* -- the copy of this node ------------------------------------------------- */

/* This node, as the cluster shows it. */
struct self {
    char address[KM_MEMBER_ADDRESS_BYTES];
    uint8_t id[KM_MEMBER_ID_BYTES];
    uint64_t view_id;
    enum km_member_state state; /* 0: it is in no view */
};

static void read_self(void *arg, const struct km_cluster_node *node)
{
    struct self *self = arg;
    (void)km_text_printf(self->address, sizeof self->address, "%s",
                         node->advertise);
    memcpy(self->id, node->id, sizeof self->id);
    self->view_id = node->view_id;
}

static void read_state(void *arg, const struct km_cluster_view *view)
{
    struct self *self = arg;
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].self) {
            self->state = view->members[i].state;
        }
    }
}

/* The numbers of the wire. */
static int32_t action_of(enum km_explain_get get)
{
    static const int32_t numbers[] = {
        [KM_EXPLAIN_HIT] = KM_MSG_GET_HIT,
        [KM_EXPLAIN_NEGATIVE] = KM_MSG_GET_NEGATIVE,
        [KM_EXPLAIN_JOIN] = KM_MSG_GET_JOIN,
        [KM_EXPLAIN_FILL] = KM_MSG_GET_FILL,
        [KM_EXPLAIN_LOAD] = KM_MSG_GET_LOAD,
        [KM_EXPLAIN_MISS] = KM_MSG_GET_MISS,
        [KM_EXPLAIN_REFUSE] = KM_MSG_GET_REFUSE,
    };
    return numbers[get];
}

static kama_status status_of(enum km_store_presence presence)
{
    switch (presence) {
    case KM_STORE_VALUE:
        return KAMA_OK;
    case KM_STORE_NEGATIVE:
        return KAMA_MISS;
    case KM_STORE_ABSENT:
    case KM_STORE_EXPIRED:
        break;
    }
    return KAMA_WOULD_LOAD;
}

/* The numbers of the wire. */
static int32_t absence_of(const struct km_explain *e)
{
    static const int32_t numbers[KM_MISS_REASONS] = {
        [KM_MISS_ABSENT] = KM_MSG_ABSENCE_UNKNOWN,
        [KM_MISS_EXPIRED] = KM_MSG_ABSENCE_EXPIRED,
        [KM_MISS_EVICTED] = KM_MSG_ABSENCE_EVICTED,
        [KM_MISS_DELETED] = KM_MSG_ABSENCE_DELETED,
    };
    return status_of(e->presence) == KAMA_WOULD_LOAD ? numbers[e->why]
                                                     : KM_MSG_ABSENCE_UNKNOWN;
}

/* The numbers of the wire. */
static int32_t kind_of(enum km_explain_kind kind)
{
    static const int32_t numbers[] = {
        [KM_EXPLAIN_UNKNOWN] = KM_MSG_COPY_UNKNOWN,
        [KM_EXPLAIN_FILLED] = KM_MSG_COPY_FILLED,
        [KM_EXPLAIN_EXPLICIT] = KM_MSG_COPY_EXPLICIT,
    };
    return numbers[kind];
}

/* The age by the clock of the cluster, which may be ahead of that of this node. */
static uint64_t age_of(const struct km_service_env *env,
                       struct km_version stamp)
{
    uint64_t now = env->clock->wall_ms(env->clock->arg);
    uint64_t then = stamp.hlc >> KM_VERSION_COUNTER_BITS;
    if (!km_version_is_set(stamp)) {
        return 0;
    }
    return now > then ? now - then : 1;
}

static struct km_msg_key_record show_record(struct km_explain_question *q,
                                            const struct self *self,
                                            uint8_t bytes[KM_VERSION_BYTES])
{
    struct km_cluster_record record;
    km_cluster_record(q->env, kama_group_name(q->group), q->key, &record);
    struct km_msg_key_record message = {
        .operation = KAMA_STR(record.operation),
        .age_ms = record.age_ns / KM_NS_PER_MS,
        .version = show_version(record.version, bytes),
        .seq = record.seq,
    };
    if (record.seq > 0) {
        message.origin = kama_bytes_make(self->id, sizeof self->id);
    }
    return message;
}

static void add_own_row(struct km_explain_question *q,
                        const struct km_explain *e)
{
    struct self self = {.view_id = 0};
    uint8_t stamp[KM_VERSION_BYTES];
    uint8_t record[KM_VERSION_BYTES];
    km_cluster_node(q->env, read_self, &self);
    km_cluster_view(q->env, read_state, &self);
    struct km_msg_copy copy = {
        .address = KAMA_STR(self.address),
        .id = kama_bytes_make(self.id, sizeof self.id),
        .state = (int32_t)self.state,
        .view_id = self.view_id,
        .status = status_of(e->presence),
        .absence = absence_of(e),
        .kind = kind_of(e->kind),
        .version = e->version,
        .value_bytes = e->value_bytes,
        .ttl_ms = e->ttl_ms,
        .age_ms = age_of(q->env, e->stamp),
        .record = show_record(q, &self, record),
        .stamp = show_version(e->stamp, stamp),
        .get = action_of(e->get),
        .get_peer = KAMA_STR(e->peer),
        .get_status = e->get_status,
        .reason = KAMA_STR(e->reason),
        .loading = e->loading,
        .waiters = e->waiters,
    };
    add_row(q, &copy);
}

/* -- the copies of the others ---------------------------------------------- */

/* Reads the only copy in the answer of a member, and what is wrong with it. The
 * texts may be those of a program that is none of ours: they are cleaned. */
static kama_status read_copy(const struct km_cluster_answer *answer,
                             struct km_msg_copy *ret_copy,
                             const char **ret_reason)
{
    struct km_msg_explain_response response;
    kama_bytes element;
    const kama_bytes id = kama_bytes_make(answer->id, KM_MEMBER_ID_BYTES);
    if (km_pb_decode(&km_msg_explain_response_pb, answer->message, &response) !=
            KAMA_OK ||
        !km_pb_next(&response.copies, &element) ||
        km_pb_decode(&km_msg_copy_pb, element, ret_copy) != KAMA_OK) {
        *ret_reason = "its answer cannot be decoded";
        return KAMA_ERR_PROTOCOL;
    }
    if (!km_bytes_eq(ret_copy->id, id)) {
        *ret_reason = "another node answers at its address";
        return KAMA_ERR_PEER;
    }
    return KAMA_OK;
}

/* Returns whether the record is one that this program would tell. */
static bool is_sound(const struct km_msg_key_record *record)
{
    static const char *const operations[] = {"set",   "drop",  "delete",
                                             "touch", "clear", "none"};
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (km_bytes_eq(record->operation, KAMA_STR(operations[i]))) {
            return record->origin.len <= KM_MEMBER_ID_BYTES;
        }
    }
    return false;
}

static void on_answer(struct km_cluster_survey *survey,
                      const struct km_cluster_answer *answer)
{
    struct km_explain_question *q =
        KM_CONTAINER_OF(survey, struct km_explain_question, survey);
    struct km_msg_copy copy;
    char reason[KM_ERROR_BYTES_MAX];
    char peer[KM_MEMBER_ADDRESS_BYTES];
    const char *why = answer->text;
    kama_status st = answer->status;
    if (st == KAMA_OK) {
        st = read_copy(answer, &copy, &why);
    }
    if (st != KAMA_OK) {
        copy = (struct km_msg_copy){.status = st, .reason = KAMA_STR(why)};
    }
    (void)km_text_clean(copy.reason, reason, sizeof reason);
    (void)km_text_clean(copy.get_peer, peer, sizeof peer);
    copy.reason = KAMA_STR(reason);
    copy.get_peer = KAMA_STR(peer);
    if (!is_sound(&copy.record)) {
        copy.record = (struct km_msg_key_record){.age_ms = 0};
    }
    copy.address = KAMA_STR(answer->address);
    copy.id = kama_bytes_make(answer->id, KM_MEMBER_ID_BYTES);
    copy.state = (int32_t)answer->state;
    add_row(q, &copy);
}

/* -- the whole ------------------------------------------------------------- */

static kama_status write_response(struct km_explain_question *q,
                                  struct km_buf *out)
{
    struct km_list *node;
    struct km_list *tmp;
    kama_status st =
        km_pb_append_bytes(out, KM_MSG_EXPLAIN_OWNER, km_buf_bytes(&q->owner));
    KM_LIST_FOREACH(node, tmp, &q->rows) {
        const struct row *row = KM_CONTAINER_OF(node, struct row, node);
        if (st == KAMA_OK) {
            st = km_pb_append_bytes(out, KM_MSG_EXPLAIN_COPIES,
                                    kama_bytes_make(row->encoded, row->bytes));
        }
    }
    return st;
}

static void question_fini(struct km_explain_question *q)
{
    struct km_list *node;
    while ((node = km_list_pop_front(&q->rows)) != NULL) {
        km_mem_free(q->env->mem, KM_CONTAINER_OF(node, struct row, node));
    }
    km_buf_fini(&q->request);
    km_buf_fini(&q->owner);
}

static void on_done(struct km_cluster_survey *survey, kama_status status)
{
    struct km_explain_question *q =
        KM_CONTAINER_OF(survey, struct km_explain_question, survey);
    struct km_buf out;
    km_buf_init(&out, q->env->mem, SIZE_MAX);
    kama_status st = q->failure != KAMA_OK ? q->failure : status;
    if (st == KAMA_OK) {
        st = write_response(q, &out);
    }
    question_fini(q);
    q->done(q, st, km_buf_bytes(&out));
    km_buf_fini(&out);
}

static void write_owner(void *arg, const struct km_cluster_owner_info *info)
{
    struct km_explain_question *q = arg;
    q->failure = km_members_append_owner(&q->owner, info);
}

static kama_status write_request(struct km_explain_question *q)
{
    const struct km_msg_explain_request request = {
        .group = KAMA_STR(kama_group_name(q->group)),
        .key = q->key,
        .local_only = true,
    };
    return km_pb_append(&q->request, &km_msg_explain_request_pb, &request);
}

kama_status km_explain_start(struct km_explain_question *q)
{
    struct km_explain e;
    kama_status st = km_group_explain(q->group, q->key, &e);
    if (st != KAMA_OK) {
        return st;
    }
    km_list_init(&q->rows);
    km_buf_init(&q->request, q->env->mem, SIZE_MAX);
    km_buf_init(&q->owner, q->env->mem, SIZE_MAX);
    q->survey = (struct km_cluster_survey){.path = PATH,
                                           .deadline = q->until,
                                           .answer = on_answer,
                                           .done = on_done};
    km_cluster_owner(q->env, kama_group_name(q->group), q->key, write_owner, q);
    if (q->failure == KAMA_OK) {
        q->failure = write_request(q);
    }
    add_own_row(q, &e);
    q->survey.message = km_buf_bytes(&q->request);
    if (q->reach == KM_EXPLAIN_NODE || q->failure != KAMA_OK) {
        on_done(&q->survey, KAMA_OK);
    } else {
        km_cluster_survey(q->env, &q->survey);
    }
    return KAMA_OK;
}

/* -- the method ------------------------------------------------------------ */

static void reply(struct km_server_call *call, kama_status status,
                  const char *text)
{
    struct km_service_explain *state = km_server_call_state(call);
    if (status == KAMA_OK) {
        km_service_reply_buf(call, &state->answer, status);
        return;
    }
    km_server_call_finish(call, status, text);
    km_buf_fini(&state->answer);
}

static void on_explained(struct km_explain_question *question,
                         kama_status status, kama_bytes response)
{
    struct km_service_explain *state =
        KM_CONTAINER_OF(question, struct km_service_explain, question);
    kama_status st = status;
    if (st == KAMA_OK) {
        st = km_buf_append(&state->answer, response.data, response.len);
    }
    km_service_parked_end(&state->parked, st, "no memory to explain a key");
}

/* Returns for how long the others are waited for. */
static km_ns until_of(struct km_server_call *call)
{
    km_ns now = km_clock_mono(km_service_env_of(call)->clock);
    int64_t own_ms = km_server_call_deadline_ms(call);
    int64_t ms = own_ms - own_ms / SHARE_FOR_THE_WAY;
    return km_ns_after_ms(
        now, own_ms > 0 && ms < KM_EXPLAIN_MS ? ms : KM_EXPLAIN_MS);
}

void km_service_v2_explain(struct km_server_call *call, kama_bytes message)
{
    struct km_service_explain *state = km_server_call_state(call);
    struct km_msg_explain_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_explain_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_service_parked_init(call, reply);
    km_buf_init(&state->answer, state->parked.env->mem, SIZE_MAX);
    state->question = (struct km_explain_question){
        .env = state->parked.env,
        .group = group,
        .key = request.key,
        .reach = request.local_only ? KM_EXPLAIN_NODE : KM_EXPLAIN_CLUSTER,
        .until = until_of(call),
        .done = on_explained,
    };
    km_last_error_clear();
    kama_status st = km_explain_start(&state->question);
    km_service_parked_go_on(call, st == KAMA_OK ? KAMA_DEFERRED : st);
}
