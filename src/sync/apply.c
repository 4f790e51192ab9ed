/* SPDX-License-Identifier: MIT */
#include "sync/apply.h"

#include "base/bytes.h"

#include <string.h>

_Static_assert((int)KM_SYNC_SET == 0 && (int)KM_SYNC_DROP == 1 &&
                   (int)KM_SYNC_DELETE == 2 && (int)KM_SYNC_EXPIRE == 3 &&
                   (int)KM_SYNC_CLEAR == 4,
               "the numbers of SyncKind");

/* A message that is being carried out. */
struct applying {
    struct km_sync_in *in;
    struct km_sync_member *member;
    uint64_t clock; /* of the mutation */
    uint32_t group; /* its number on the wire */
    const char *wrong;
};

static enum km_sync_outcome wrong(struct applying *a, const char *text)
{
    a->wrong = text;
    return KM_SYNC_WRONG;
}

/* -- groups ------------------------------------------------------------------------ */

/* Returns the number of a group in the log of this node, or UINT32_MAX. */
static uint32_t find_number(struct km_sync_log *log, kama_bytes name)
{
    struct km_sync_log_state state;
    km_sync_log_get(log, &state);
    for (uint32_t i = state.groups; i-- > 0;) {
        if (km_bytes_eq(name, kama_bytes_str(km_sync_log_name(log, i)))) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Looks for the group of this node that has the name. A group may be added later. */
static void resolve(struct km_sync *sync, struct km_sync_in_group *group)
{
    if (group->name == NULL || group->group != NULL) {
        return;
    }
    kama_bytes name = kama_bytes_str(group->name);
    kama_group *found = sync->events->group(sync->owner, name);
    group->number = find_number(sync->log, name);
    if (found != NULL && km_group_is_synced(found)) {
        group->group = found;
    }
}

static bool make_room(struct km_sync_in *in, uint32_t number)
{
    if (number <= in->group_count) {
        return true;
    }
    struct km_sync_in_group *groups =
        km_mem_resize(in->sync->mem, in->groups, number * sizeof *groups);
    if (groups == NULL) {
        return false;
    }
    memset(groups + in->group_count, 0,
           (number - in->group_count) * sizeof *groups);
    in->groups = groups;
    in->group_count = number;
    return true;
}

static enum km_sync_outcome name_group(struct applying *a, kama_bytes element)
{
    struct km_sync_in *in = a->in;
    struct km_msg_sync_group named;
    if (km_pb_decode(&km_msg_sync_group_pb, element, &named) != KAMA_OK ||
        named.number == 0 || named.number > KM_SYNC_GROUPS_MAX ||
        named.name.len > KM_GROUP_NAME_BYTES_MAX) {
        return wrong(a, "the name of a group is malformed");
    }
    char *name = km_mem_strndup(in->sync->mem, named.name.data, named.name.len);
    if (name == NULL || !make_room(in, named.number)) {
        km_mem_free(in->sync->mem, name);
        return wrong(a, "no memory for the name of a group");
    }
    struct km_sync_in_group *group = &in->groups[named.number - 1];
    km_mem_free(in->sync->mem, group->name);
    *group = (struct km_sync_in_group){.name = name, .number = UINT32_MAX};
    return KM_SYNC_APPLIED;
}

static enum km_sync_outcome name_groups(struct applying *a,
                                        struct km_pb_list list)
{
    enum km_sync_outcome outcome = KM_SYNC_APPLIED;
    kama_bytes element;
    while (outcome == KM_SYNC_APPLIED && km_pb_next(&list, &element)) {
        outcome = name_group(a, element);
    }
    return outcome;
}

/* -- R4 ---------------------------------------------------------------------------- */

/* Receiving any clock. */
static bool merge(struct applying *a, uint64_t clock)
{
    struct km_sync *sync = a->in->sync;
    if (km_sync_is_ahead(sync, clock) && KM_SYNC_KEEPS(KM_SYNC_QUARANTINE)) {
        return false;
    }
    km_sync_log_merge(sync->log, clock);
    return true;
}

static int64_t ttl_of(uint64_t ttl_ms)
{
    return ttl_ms == 0 || ttl_ms > (uint64_t)KM_TTL_MS_MAX ? KAMA_TTL_FOREVER
                                                           : (int64_t)ttl_ms;
}

/* R4, the view gate. Everything was invalidated here because a member is gone, and one of
 * its deletions may have reached others and not this node. A Set that another node has
 * made before it knew of that may be one that the deletion has removed there:
 *
 *     A: sets v1            D: has v1, deletes it, A applies that, D dies    C: gets no
 *                                                                          word of D
 *     C: invalidates, because D is gone; then v1 arrives from A, and would stay
 *
 * So the Sets of a stream are Drops until something on it was made under the view that
 * this node has adopted. */
static void pass_gate(struct applying *a, uint64_t view_id)
{
    const struct km_sync *sync = a->in->sync;
    if (sync->adopted != NULL && view_id == sync->adopted->id) {
        a->member->gates = sync->gates;
    }
}

static bool is_late(const struct applying *a, enum km_sync_kind kind)
{
    return kind == KM_SYNC_SET && a->member->gates != a->in->sync->gates &&
           KM_SYNC_KEEPS(KM_SYNC_R4_VIEW_GATE);
}

static void tell_applied(const struct applying *a,
                         const struct km_msg_sync_mutation *m,
                         enum km_sync_kind kind)
{
    const struct km_sync *sync = a->in->sync;
    uint32_t number = a->in->groups[a->group - 1].number;
    if (sync->events->applied != NULL && number != UINT32_MAX) {
        const struct km_version version = {.hlc = a->clock,
                                           .origin = a->member->origin->number};
        sync->events->applied(sync->owner, number, kind, version, m->key);
    }
}

static void act(struct applying *a, const struct km_msg_sync_mutation *m,
                enum km_sync_kind kind)
{
    struct km_sync *sync = a->in->sync;
    struct km_sync_in_group *group = &a->in->groups[a->group - 1];
    resolve(sync, group);
    if (kind == KM_SYNC_CLEAR) {
        if (group->number != UINT32_MAX) {
            km_sync_log_invalidate(sync->log, group->number, a->clock);
        }
        if (group->group != NULL) {
            km_group_cleared(group->group);
        }
    } else if (group->group != NULL &&
               (kind != KM_SYNC_DROP || KM_SYNC_KEEPS(KM_SYNC_R17_DROP))) {
        const struct km_group_record record = {
            .kind =
                is_late(a, kind) ? KM_APPLY_DROP : (enum km_operation_kind)kind,
            .version = {.hlc = a->clock, .origin = a->member->origin->number},
            .base = {.hlc = m->base_clock, .origin = m->base_origin},
            .key = m->key,
            .value = m->value,
            .ttl_ms = ttl_of(m->ttl_ms)};
        (void)km_group_apply(group->group, &record);
    }
    if (group->group != NULL &&
        km_group_ack(group->group) != KM_SYNC_ACK_ASYNC) {
        a->in->answers_now = true;
    }
    tell_applied(a, m, kind);
}

/* K before the store and W behind it: a fill that begins in between asks for too much,
 * never for too little. */
static enum km_sync_outcome apply_one(struct applying *a,
                                      const struct km_msg_sync_mutation *m,
                                      enum km_sync_kind kind)
{
    struct km_sync_member *member = a->member;
    if (!merge(a, a->clock)) {
        return KM_SYNC_AHEAD;
    }
    km_sync_origin_reached(member->origin, a->clock);
    act(a, m, kind);
    km_sync_origin_applied(member->origin, a->clock);
    member->applied++;
    member->received++;
    return KM_SYNC_APPLIED;
}

/* -- mutations ------------------------------------------------------------------------ */

/* Reads a mutation behind the one before in its message. */
static enum km_sync_outcome read_mutation(struct applying *a,
                                          const struct km_msg_sync_mutation *m)
{
    const struct km_sync_in *in = a->in;
    bool is_clear = m->kind == KM_SYNC_CLEAR;
    a->group = m->group != 0 ? m->group : a->group;
    if (a->group == 0 || a->group > in->group_count ||
        in->groups[a->group - 1].name == NULL) {
        return wrong(a, "the group of a mutation was not named");
    }
    if (m->kind < 0 || m->kind > KM_SYNC_CLEAR) {
        return wrong(a, "a mutation has an unknown kind");
    }
    if (is_clear != (m->key.len == 0) || m->key.len > KM_KEY_BYTES_MAX) {
        return wrong(a, "the key of a mutation has a wrong length");
    }
    if (__builtin_add_overflow(a->clock, m->clock, &a->clock) ||
        a->clock == 0) {
        return wrong(a, "the clock of a mutation is too large");
    }
    return KM_SYNC_APPLIED;
}

/* R2. Returns whether a record with this seq is the next one. */
static bool is_next(struct applying *a, uint64_t seq)
{
    struct km_sync_member *member = a->member;
    if (seq != 0 && seq <= member->applied) {
        member->duplicates++;
    }
    if (seq == 0 ||
        (seq != member->applied + 1 && KM_SYNC_KEEPS(KM_SYNC_R2_ORDER))) {
        return false;
    }
    member->is_known = true;
    return true;
}

static enum km_sync_outcome apply_mutations(
    struct applying *a, const struct km_msg_sync_request *request)
{
    struct km_pb_list list = request->mutations;
    enum km_sync_outcome outcome = KM_SYNC_APPLIED;
    kama_bytes element;
    if (a->in->chunk.is_open || !is_next(a, request->first_seq)) {
        return wrong(a, "a mutation is not the next one");
    }
    pass_gate(a, request->view_id);
    a->clock = request->first_clock;
    while (outcome == KM_SYNC_APPLIED && km_pb_next(&list, &element)) {
        struct km_msg_sync_mutation m;
        if (km_pb_decode(&km_msg_sync_mutation_pb, element, &m) != KAMA_OK) {
            return wrong(a, "a mutation is malformed");
        }
        outcome = read_mutation(a, &m);
        if (outcome == KM_SYNC_APPLIED) {
            outcome = apply_one(a, &m, (enum km_sync_kind)m.kind);
        }
    }
    return outcome;
}

/* -- large values --------------------------------------------------------------------- */

void km_sync_chunk_drop(struct km_sync_in *in)
{
    in->sync->large_bytes -= in->chunk.charged;
    in->chunk.charged = 0;
    in->chunk.is_open = false;
    km_buf_reset(&in->chunk.bytes, 0);
}

/* Takes memory for the value of the first chunk. Without it, and if too much is on its way
 * already, the chunks are counted, and the mutation becomes a Drop. */
static bool reserve_value(struct km_sync_in *in, uint64_t bytes)
{
    struct km_sync *sync = in->sync;
    if (bytes > KM_SYNC_LARGE_BYTES ||
        sync->large_bytes + bytes > KM_SYNC_LARGE_BYTES ||
        km_buf_reserve(&in->chunk.bytes, (size_t)bytes) != KAMA_OK) {
        return false;
    }
    in->chunk.charged = (size_t)bytes;
    sync->large_bytes += (size_t)bytes;
    return true;
}

static enum km_sync_outcome open_chunk(
    struct applying *a, const struct km_msg_sync_request *request,
    const struct km_msg_sync_chunk *first)
{
    struct km_sync_in_chunk *chunk = &a->in->chunk;
    pass_gate(a, request->view_id);
    a->clock = request->first_clock;
    enum km_sync_outcome outcome = read_mutation(a, &first->mutation);
    if (outcome != KM_SYNC_APPLIED) {
        return outcome;
    }
    if (!is_next(a, request->first_seq) ||
        first->mutation.kind != KM_SYNC_SET) {
        return wrong(a, "a value in parts is not the next mutation");
    }
    km_buf_reset(&chunk->bytes, 0);
    if (km_buf_append(&chunk->bytes, first->mutation.key.data,
                      first->mutation.key.len) != KAMA_OK) {
        return wrong(a, "no memory for a key");
    }
    chunk->is_kept = reserve_value(a->in, first->value_bytes);
    chunk->is_open = true;
    chunk->mutation = first->mutation;
    chunk->group = a->group;
    chunk->clock = a->clock;
    chunk->value_bytes = first->value_bytes;
    chunk->arrived = 0;
    return KM_SYNC_APPLIED;
}

/* Applies the mutation with the last chunk. */
static enum km_sync_outcome close_chunk(struct applying *a)
{
    struct km_sync_in_chunk *chunk = &a->in->chunk;
    struct km_msg_sync_mutation m = chunk->mutation;
    kama_bytes bytes = km_buf_bytes(&chunk->bytes);
    m.value = km_bytes_skip(bytes, m.key.len);
    m.key = kama_bytes_make(bytes.data, m.key.len);
    a->clock = chunk->clock;
    a->group = chunk->group;
    enum km_sync_outcome outcome =
        apply_one(a, &m, chunk->is_kept ? KM_SYNC_SET : KM_SYNC_DROP);
    km_sync_chunk_drop(a->in);
    return outcome;
}

static enum km_sync_outcome apply_chunk(
    struct applying *a, const struct km_msg_sync_request *request)
{
    struct km_sync_in_chunk *chunk = &a->in->chunk;
    struct km_msg_sync_chunk part;
    enum km_sync_outcome outcome = KM_SYNC_APPLIED;
    if (km_pb_decode(&km_msg_sync_chunk_pb, request->chunk, &part) != KAMA_OK) {
        return wrong(a, "a part of a value is malformed");
    }
    if (!chunk->is_open) {
        outcome = open_chunk(a, request, &part);
    }
    if (outcome != KM_SYNC_APPLIED) {
        return outcome;
    }
    if (part.part.len > chunk->value_bytes - chunk->arrived ||
        part.part.len == 0) {
        return wrong(a, "a part of a value has a wrong length");
    }
    chunk->arrived += part.part.len;
    if (chunk->is_kept && km_buf_append(&chunk->bytes, part.part.data,
                                        part.part.len) != KAMA_OK) {
        return wrong(a, "no memory for a part of a value");
    }
    return chunk->arrived == chunk->value_bytes ? close_chunk(a)
                                                : KM_SYNC_APPLIED;
}

/* -- gaps, heartbeats, views, goodbyes ------------------------------------------------- */

static void miss(const struct km_sync *sync, uint32_t number, uint64_t clock)
{
    km_sync_log_invalidate(sync->log, number, clock);
    if (sync->events->missed != NULL) {
        sync->events->missed(sync->owner, number);
    }
}

static void invalidate_named(struct applying *a,
                             const struct km_msg_sync_gap *gap)
{
    struct km_sync_log *log = a->in->sync->log;
    struct km_pb_list list = gap->groups;
    kama_bytes name;
    if (gap->all_groups) {
        miss(a->in->sync, UINT32_MAX, gap->clock);
    }
    while (!gap->all_groups && km_pb_next(&list, &name)) {
        uint32_t number = find_number(log, name);
        if (number != UINT32_MAX) {
            miss(a->in->sync, number, gap->clock);
        }
    }
}

/* R3. The member's mutations up to seq do not come. The groups that they may have made stale
 * are invalidated. */
static enum km_sync_outcome apply_gap(struct applying *a, kama_bytes message)
{
    struct km_sync_member *member = a->member;
    struct km_msg_sync_gap gap;
    if (km_pb_decode(&km_msg_sync_gap_pb, message, &gap) != KAMA_OK ||
        a->in->chunk.is_open || gap.seq < member->applied) {
        return wrong(a, "a gap is malformed, or behind what was applied");
    }
    if (!merge(a, gap.clock)) {
        return KM_SYNC_AHEAD;
    }
    km_sync_origin_reached(member->origin, gap.clock);
    invalidate_named(a, &gap);
    km_sync_origin_applied(member->origin, gap.clock);
    member->applied = gap.seq;
    member->is_known = true;
    member->gaps++;
    member->gap_at = km_sync_now(member->sync);
    return KM_SYNC_APPLIED;
}

static enum km_sync_outcome apply_heartbeat(struct applying *a,
                                            kama_bytes message)
{
    struct km_sync_member *member = a->member;
    struct km_msg_sync_heartbeat beat;
    if (km_pb_decode(&km_msg_sync_heartbeat_pb, message, &beat) != KAMA_OK ||
        (beat.seq != member->applied && KM_SYNC_KEEPS(KM_SYNC_R2_ORDER))) {
        return wrong(a, "a heartbeat is malformed, or out of order");
    }
    if (!merge(a, beat.clock)) {
        return KM_SYNC_AHEAD;
    }
    member->is_known = true;
    pass_gate(a, beat.view_id);
    km_sync_origin_applied(member->origin, beat.clock);
    if (beat.view_id != 0) {
        km_sync_origin_set_stable(member->origin, beat.view_id, beat.stable);
    }
    return KM_SYNC_APPLIED;
}

static enum km_sync_outcome apply_view(struct applying *a, kama_bytes message)
{
    struct km_msg_sync_view view;
    if (km_pb_decode(&km_msg_sync_view_pb, message, &view) != KAMA_OK) {
        return wrong(a, "the announcement of a view is malformed");
    }
    a->member->announced = view.noticed_id;
    return KM_SYNC_APPLIED;
}

/* R11. */
static enum km_sync_outcome apply_goodbye(struct applying *a,
                                          kama_bytes message)
{
    struct km_msg_sync_bye bye;
    if (km_pb_decode(&km_msg_sync_bye_pb, message, &bye) != KAMA_OK ||
        a->in->chunk.is_open || bye.final_seq != a->member->applied) {
        return wrong(a, "a goodbye is malformed, or out of order");
    }
    if (!merge(a, bye.clock)) {
        return KM_SYNC_AHEAD;
    }
    km_sync_origin_applied(a->member->origin, bye.clock);
    a->member->said_goodbye = true;
    return KM_SYNC_GOODBYE;
}

/* Carries out the field of a message that is no mutation. */
static enum km_sync_outcome apply_other(
    struct applying *a, const struct km_msg_sync_request *request)
{
    if (request->chunk.data != NULL) {
        return apply_chunk(a, request);
    }
    if (request->gap.data != NULL) {
        return apply_gap(a, request->gap);
    }
    if (request->heartbeat.data != NULL) {
        return apply_heartbeat(a, request->heartbeat);
    }
    if (request->view.data != NULL) {
        return apply_view(a, request->view);
    }
    if (request->bye.data != NULL) {
        return apply_goodbye(a, request->bye);
    }
    return KM_SYNC_APPLIED; /* a later version says something that we do not know */
}

enum km_sync_outcome km_sync_apply(struct km_sync_in *in,
                                   const struct km_msg_sync_request *request,
                                   const char **ret_wrong)
{
    struct applying a = {.in = in, .member = in->member};
    enum km_sync_outcome outcome =
        in->state == KM_SYNC_IN_LIVE && !in->member->said_goodbye
            ? name_groups(&a, request->groups)
            : wrong(&a, "a message is out of order");
    if (outcome == KM_SYNC_APPLIED && request->mutations.count > 0) {
        outcome = apply_mutations(&a, request);
    } else if (outcome == KM_SYNC_APPLIED) {
        outcome = apply_other(&a, request);
    }
    *ret_wrong = a.wrong;
    return outcome;
}
