/* SPDX-License-Identifier: MIT */
#include "sync/course.h"

#include "base/bytes.h"
#include "base/log.h"
#include "sync/pin.h"
#include "sync/sender.h"
#include "sync/strategies.h"

#define PART_BYTES (KM_SYNC_FRAME_BYTES / 2)

static struct km_sync *sync_of(const struct km_sync_out *out)
{
    return out->member->sync;
}

/* -- gaps -------------------------------------------------------------------------- */

/* R3. The member is told which groups may be stale, and that it has everything up to seq
 * from now on. */
static bool send_gap(struct km_sync_out *out, const struct km_msg_sync_gap *gap,
                     uint32_t groups, uint64_t applied)
{
    struct km_sync *sync = sync_of(out);
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_sync_put_gap(&sync->head, gap, sync->log, groups, applied) !=
        KAMA_OK) {
        km_sync_out_hang_up(out);
        return false;
    }
    out->next = gap->seq + 1;
    out->clock = gap->clock;
    out->before_gap = km_sync_out_is_gapped(out) ? out->before_gap : out->acked;
    out->gap = gap->seq;
    out->acked = gap->seq;
    out->gaps++;
    km_sync_say(sync, KM_LOG_INFO, out->member->address,
                "%s was not told of mutations, and drops what may be stale",
                out->member->address);
    return km_sync_out_send_head(out);
}

/* R3, known id: the ring is too short for the member. */
static bool send_lost(struct km_sync_out *out,
                      const struct km_sync_log_state *log, uint64_t applied)
{
    const struct km_msg_sync_gap gap = {.seq = log->oldest - 1,
                                        .clock = log->lost};
    if (!KM_SYNC_KEEPS(KM_SYNC_R3_GAP)) {
        out->next = log->oldest;
        return true;
    }
    return send_gap(out, &gap, log->groups, applied);
}

/* R3, any other first contact: an old ring must not be told to a younger node, which may
 * have received newer values from others, and never the deletions in between. A life that
 * has no mutation has the clock of the life before. */
static bool send_first_gap(struct km_sync_out *out,
                           const struct km_sync_log_state *log)
{
    const struct km_msg_sync_gap gap = {.seq = log->seq,
                                        .clock = log->seq > 0 ? log->newest
                                                              : log->hlc,
                                        .all_groups = true};
    if (!KM_SYNC_KEEPS(KM_SYNC_R3_FIRST_GAP)) {
        out->next = log->oldest;
        return true;
    }
    return send_gap(out, &gap, log->groups, 0);
}

/* R3. Finds the position of the stream. A life that has no mutation yet begins with the
 * first one; but behind another life (R12) that tells nothing of the mutations of that
 * one which the member lacks. */
bool km_sync_course_position(struct km_sync_out *out,
                             const struct km_msg_sync_welcome *welcome)
{
    struct km_sync_log_state log;
    if (!km_sync_get_log(sync_of(out), &log) ||
        (welcome->knows && welcome->applied > log.seq)) {
        km_sync_out_hang_up(out);
        return false;
    }
    out->clock = 0;
    out->confirmed = welcome->knows ? welcome->applied : 0;
    bool has_missed_nothing =
        log.seq == 0 &&
        (!sync_of(out)->has_lived_before || !KM_SYNC_KEEPS(KM_SYNC_R12_FIRST));
    if (!welcome->knows && !has_missed_nothing) {
        return send_first_gap(out, &log);
    }
    out->acked = out->confirmed;
    out->next = out->acked + 1;
    return out->next >= log.oldest || send_lost(out, &log, out->acked);
}

/* -- heartbeats -------------------------------------------------------------------- */

/* R2. "You were sent every mutation of mine up to this clock." While something waits, that
 * is the clock of the last record that was sent. Otherwise it is the clock of this node:
 * a mutation that begins later has a larger one. For the same reason it names the view of
 * this node only if nothing waits: records of an older view may follow (R4). */
void km_sync_course_heartbeat(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    out->beat = km_sync_now(sync);
    if (!km_sync_get_log(sync, &log)) {
        return;
    }
    bool waits = out->next <= log.seq && KM_SYNC_KEEPS(KM_SYNC_R2_HEARTBEAT);
    struct km_msg_sync_heartbeat heartbeat = {
        .seq = out->next - 1, .clock = waits ? out->clock : log.hlc};
    if (!waits && sync->adopted != NULL) {
        heartbeat.view_id = sync->adopted->id;
        heartbeat.stable = km_sync_origins_stable(sync->origins);
    }
    (void)km_sync_out_send_field(out, KM_SYNC_FIELD_HEARTBEAT,
                                 &km_msg_sync_heartbeat_pb, &heartbeat);
}

/* -- frames ------------------------------------------------------------------------ */

static const struct km_sync_group *group_of(struct km_sync *sync,
                                            uint32_t number)
{
    struct km_sync_group *group = &sync->groups[number];
    if (group->name == NULL) {
        group->name = km_sync_log_name(sync->log, number);
    }
    if (group->group == NULL) {
        group->group =
            sync->events->group(sync->owner, kama_bytes_str(group->name));
    }
    return group;
}

/* Returns the rest of the time of an EXPIRE. The version that it gives an entry may be
 * an older one here already, so that the store does not know its time any more. */
static int64_t left_of(const struct km_sync *sync, km_ns expires_at)
{
    km_ns now = km_sync_now(sync);
    if (expires_at == 0) {
        return KAMA_TTL_FOREVER;
    }
    return expires_at > now + KM_NS_PER_MS
               ? (int64_t)((expires_at - now) / KM_NS_PER_MS)
               : 1;
}

/* R17. Returns whether the value goes to the member: others, and those that have another
 * strategy, hear the version of the SET, as a Drop, so that they do not keep an older
 * value. */
static bool gets_value(const struct km_sync_out *out, kama_group *group,
                       const struct km_sync_mutation *m)
{
    const struct km_sync *sync = sync_of(out);
    return !km_sync_strategies_differ(out->member, m->number) &&
           (sync->events->gets_value == NULL ||
            sync->events->gets_value(sync->owner, group, m->key,
                                     &out->member->id));
}

/* R2. Reads the value of a SET, and the rest of its time. If the entry is gone or has
 * another version, the record is a Drop: it removes what is older, as the set would have,
 * and a newer one has a record of its own. */
static kama_value *complete(const struct km_sync_out *out,
                            struct km_sync_mutation *m, uint64_t origin)
{
    struct km_sync *sync = sync_of(out);
    if (m->kind != KM_SYNC_SET) {
        return NULL;
    }
    struct km_version version = {.hlc = m->hlc, .origin = origin};
    kama_group *group = group_of(sync, m->number)->group;
    kama_value *value =
        group != NULL && gets_value(out, group, m)
            ? km_group_value_of(group, m->key, version, &m->ttl_ms)
            : NULL;
    if (value == NULL) {
        m->kind = KM_SYNC_DROP;
    } else {
        m->value = kama_value_bytes(value);
    }
    return value;
}

static struct km_sync_mutation mutation_of(struct km_sync *sync,
                                           const struct km_sync_entry *entry)
{
    return (struct km_sync_mutation){
        .seq = entry->seq,
        .hlc = entry->hlc,
        .view_id = entry->view_id,
        .base = entry->base,
        .kind = entry->kind,
        .number = entry->number,
        .name = group_of(sync, entry->number)->name,
        .key = kama_bytes_make(sync->keys.data + entry->key_at, entry->key_len),
        .ttl_ms = left_of(sync, entry->expires_at)};
}

/* The mutation with this clock was sent. */
static void note_sent(struct km_sync_out *out, uint64_t clock)
{
    if (out->acked + 1 == out->next && out->pin == NULL) {
        out->heard =
            km_sync_now(sync_of(out)); /* an answer is owed from now on */
    }
    out->next++;
    out->clock = clock;
    out->sent++;
}

/* Begins to send a value in chunks. Returns false if it has to be a Drop. */
static bool begin_chunks(struct km_sync_out *out,
                         const struct km_sync_mutation *m, kama_value *value)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_pin *pin = km_sync_pin_take(sync, m->seq, value);
    if (pin == NULL) {
        return false;
    }
    if (km_sync_put_first_chunk(&sync->head, &out->named, m,
                                kama_bytes_make(m->value.data, PART_BYTES)) !=
        KAMA_OK) {
        km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
        km_sync_pin_give(sync, pin);
        return false;
    }
    if (out->acked + 1 == out->next) {
        out->heard = km_sync_now(sync);
    }
    out->pin = pin;
    out->pin_at = PART_BYTES;
    out->pin_clock = m->hlc;
    return true;
}

/* Sends the next chunk. The mutation counts as sent with the last one. */
static bool send_chunk(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    kama_bytes value = kama_value_bytes(out->pin->value);
    size_t left = value.len - out->pin_at;
    size_t len = left < PART_BYTES ? left : PART_BYTES;
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_sync_put_chunk(
            &sync->head,
            kama_bytes_make((const uint8_t *)value.data + out->pin_at, len)) !=
        KAMA_OK) {
        km_sync_out_hang_up(out);
        return false;
    }
    out->pin_at += len;
    if (len == left) {
        note_sent(out, out->pin_clock);
        km_sync_pin_give(sync, out->pin);
        out->pin = NULL;
    }
    return km_sync_out_send_head(out);
}

/* The fate of a record that was to be put into a frame. */
enum put { PUT, FULL, CHUNKS, FAILED };

static enum put put_record(struct km_sync_out *out, struct km_sync_frame *frame,
                           const struct km_sync_entry *entry, uint64_t origin)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_mutation m = mutation_of(sync, entry);
    kama_value *value = complete(out, &m, origin);
    enum put put = PUT;
    if (km_sync_is_large(&m)) {
        put = frame->count > 0               ? FULL
              : begin_chunks(out, &m, value) ? CHUNKS
                                             : PUT;
        m.kind = KM_SYNC_DROP;
        m.value = kama_bytes_make(NULL, 0);
    }
    if (put == PUT) {
        kama_status st = km_sync_frame_add(frame, &out->named, &m);
        put = st == KAMA_OK ? PUT : st == KAMA_ERR_TOO_LARGE ? FULL : FAILED;
    }
    kama_value_unref(value);
    return put;
}

/* Builds a frame of n records, or the first chunk of a large value. */
static bool build_frame(struct km_sync_out *out, size_t n, uint64_t origin)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_frame frame;
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    km_sync_frame_begin(&frame, &sync->head);
    for (size_t i = 0; i < n; i++) {
        enum put put = put_record(out, &frame, &sync->entries[i], origin);
        if (put == FAILED) {
            km_sync_out_hang_up(out);
            return false;
        }
        if (put != PUT) {
            break;
        }
        note_sent(out, sync->entries[i].hlc);
    }
    out->beat = km_sync_now(sync);
    return true;
}

/* Sends the next message of the log. Returns false if there is none, or the stream has
 * ended. */
static bool send_records(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_buf_reset(&sync->keys, KM_SYNC_FRAME_BYTES);
    size_t n = km_sync_log_read(sync->log, out->next, sync->entries,
                                KM_SYNC_READ, &sync->keys);
    if (!km_sync_get_log(sync, &log)) {
        return false; /* the records may be of the other life */
    }
    if (n > 0) {
        return build_frame(out, n, log.origin) && km_sync_out_send_head(out);
    }
    return out->next < log.oldest && send_lost(out, &log, out->next - 1);
}

bool km_sync_course_next(struct km_sync_out *out)
{
    return out->pin != NULL ? send_chunk(out) : send_records(out);
}
