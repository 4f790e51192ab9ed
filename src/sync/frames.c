/* SPDX-License-Identifier: MIT */
#include "sync/frames.h"

#include "base/bytes.h"

/* The fields in front of the first mutation, and the tag and length of a chunk. */
#define HEAD_BYTES 64
/* The rest of a mutation beside key and value, and the name of its group. */
#define SLACK_BYTES (128 + KM_GROUP_NAME_BYTES_MAX)

_Static_assert(KM_KEY_BYTES_MAX + HEAD_BYTES + SLACK_BYTES <
                   KM_SYNC_FRAME_BYTES / 2,
               "a frame has room for a key and half of its bytes");

void km_sync_frame_begin(struct km_sync_frame *frame, struct km_buf *out)
{
    *frame = (struct km_sync_frame){.out = out};
}

/* Numbers on the wire begin with 1, because 0 is an absent field. */
static uint32_t wire_number(uint32_t number)
{
    return number + 1;
}

static struct km_msg_sync_mutation message_of(const struct km_sync_mutation *m,
                                              uint64_t clock)
{
    return (struct km_msg_sync_mutation){
        .kind = (int32_t)m->kind,
        .group = wire_number(m->number),
        .key = m->key,
        .clock = clock,
        .ttl_ms = m->ttl_ms < 0 ? 0 : (uint64_t)m->ttl_ms,
        .base_clock = m->kind == KM_SYNC_EXPIRE ? m->base.hlc : 0,
        .base_origin = m->kind == KM_SYNC_EXPIRE ? m->base.origin : 0,
        .value = m->value};
}

static kama_status put_head(struct km_buf *out,
                            const struct km_sync_mutation *m)
{
    const struct km_msg_sync_request head = {
        .view_id = m->view_id, .first_seq = m->seq, .first_clock = m->hlc};
    return km_pb_append(out, &km_msg_sync_request_pb, &head);
}

/* Names the group of a mutation if the stream does not know its number yet. */
static kama_status put_name(struct km_buf *out,
                            const struct km_sync_named *named,
                            const struct km_sync_mutation *m)
{
    const struct km_msg_sync_group group = {.number = wire_number(m->number),
                                            .name = kama_bytes_str(m->name)};
    return km_sync_named_has(named, m->number)
               ? KAMA_OK
               : km_pb_append_element(out, KM_MSG_SYNC_GROUPS,
                                      &km_msg_sync_group_pb, &group);
}

static size_t rough_size(const struct km_sync_mutation *m)
{
    return m->key.len + m->value.len + SLACK_BYTES;
}

static kama_status put_mutation(struct km_sync_frame *frame,
                                const struct km_sync_named *named,
                                const struct km_sync_mutation *m)
{
    kama_status st = frame->count == 0 ? put_head(frame->out, m) : KAMA_OK;
    struct km_msg_sync_mutation message =
        message_of(m, frame->count == 0 ? 0 : m->hlc - frame->clock);
    if (frame->count > 0 && frame->number == m->number) {
        message.group = 0;
    }
    st = st == KAMA_OK ? put_name(frame->out, named, m) : st;
    return st == KAMA_OK
               ? km_pb_append_element(frame->out, KM_MSG_SYNC_MUTATIONS,
                                      &km_msg_sync_mutation_pb, &message)
               : st;
}

kama_status km_sync_frame_add(struct km_sync_frame *frame,
                              struct km_sync_named *named,
                              const struct km_sync_mutation *m)
{
    size_t before = frame->out->len;
    if (frame->count > 0 && (m->view_id != frame->view_id ||
                             before + rough_size(m) > KM_SYNC_FRAME_BYTES)) {
        return KAMA_ERR_TOO_LARGE;
    }
    kama_status st = put_mutation(frame, named, m);
    if (st != KAMA_OK) {
        frame->out->len = before;
        return st;
    }
    km_sync_named_add(named, m->number);
    frame->view_id = m->view_id;
    frame->clock = m->hlc;
    frame->number = m->number;
    frame->count++;
    return KAMA_OK;
}

/* -- chunks --------------------------------------------------------------------- */

bool km_sync_is_large(const struct km_sync_mutation *m)
{
    return HEAD_BYTES + rough_size(m) > KM_SYNC_FRAME_BYTES;
}

static kama_status put_part(struct km_buf *out,
                            const struct km_msg_sync_chunk *chunk)
{
    return km_pb_append_element(out, KM_SYNC_FIELD_CHUNK, &km_msg_sync_chunk_pb,
                                chunk);
}

kama_status km_sync_put_first_chunk(struct km_buf *out,
                                    struct km_sync_named *named,
                                    const struct km_sync_mutation *m,
                                    kama_bytes part)
{
    struct km_msg_sync_chunk chunk = {.mutation = message_of(m, 0),
                                      .value_bytes = m->value.len,
                                      .part = part};
    chunk.mutation.value = kama_bytes_make(NULL, 0);
    kama_status st = put_head(out, m);
    st = st == KAMA_OK ? put_name(out, named, m) : st;
    st = st == KAMA_OK ? put_part(out, &chunk) : st;
    if (st == KAMA_OK) {
        km_sync_named_add(named, m->number);
    }
    return st;
}

kama_status km_sync_put_chunk(struct km_buf *out, kama_bytes part)
{
    const struct km_msg_sync_chunk chunk = {.part = part};
    return put_part(out, &chunk);
}

/* -- gaps ------------------------------------------------------------------------- */

static kama_status put_lost(struct km_buf *out, struct km_sync_log *log,
                            uint32_t groups, uint64_t applied)
{
    kama_status st = KAMA_OK;
    for (uint32_t i = 0; i < groups && st == KAMA_OK; i++) {
        if (km_sync_log_lost(log, i) > applied) {
            st = km_pb_append_bytes(out, KM_SYNC_FIELD_GAP_GROUPS,
                                    kama_bytes_str(km_sync_log_name(log, i)));
        }
    }
    return st;
}

kama_status km_sync_put_gap(struct km_buf *out,
                            const struct km_msg_sync_gap *gap,
                            struct km_sync_log *log, uint32_t groups,
                            uint64_t applied)
{
    struct km_msg_sync_gap all = *gap;
    struct km_buf body;
    km_buf_init(&body, out->mem, KM_SYNC_FRAME_BYTES - HEAD_BYTES);
    kama_status st = km_pb_append(&body, &km_msg_sync_gap_pb, gap);
    if (st == KAMA_OK && !gap->all_groups) {
        st = put_lost(&body, log, groups, applied);
    }
    if (st == KAMA_ERR_TOO_LARGE) {
        all.all_groups = true;
        km_buf_reset(&body, KM_SYNC_FRAME_BYTES);
        st = km_pb_append(&body, &km_msg_sync_gap_pb, &all);
    }
    if (st == KAMA_OK) {
        st = km_pb_append_bytes(out, KM_SYNC_FIELD_GAP, km_buf_bytes(&body));
    }
    km_buf_fini(&body);
    return st;
}
