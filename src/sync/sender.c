/* SPDX-License-Identifier: MIT */
#include "sync/sender.h"

#include "base/bytes.h"
#include "base/container.h"
#include "base/log.h"
#include "base/status.h"
#include "sync/members.h"

#include <string.h>

#define PAUSE_MIN_MS 50
#define PART_BYTES (KM_SYNC_FRAME_BYTES / 2)
#define SILENT_NS (KM_SYNC_SILENT_MS * KM_NS_PER_MS)
#define HEARTBEAT_NS (KM_SYNC_HEARTBEAT_MS * KM_NS_PER_MS)

static void fire(struct km_timer *timer);
static void look_at_lag(struct km_sync_out *out);

static struct km_sync *sync_of(const struct km_sync_out *out)
{
    return out->member->sync;
}

void km_sync_out_init(struct km_sync_out *out, struct km_sync_member *member)
{
    struct km_sync_log_state log;
    out->member = member;
    out->timer.fire = fire;
    out->pause = PAUSE_MIN_MS * KM_NS_PER_MS;
    km_sync_log_get(sync_of(out)->log, &log);
    km_sync_out_rebase(out, log.seq);
}

void km_sync_out_rebase(struct km_sync_out *out, uint64_t seq)
{
    out->acked = seq;
    out->next = seq + 1;
}

const char *km_sync_out_state_name(const struct km_sync_out *out)
{
    switch (out->state) {
    case KM_SYNC_OUT_HELLO:
        return "hello";
    case KM_SYNC_OUT_LIVE:
        return "live";
    default:
        return "down";
    }
}

/* -- values in chunks ----------------------------------------------------------- */

static struct km_sync_pin *pin_find(const struct km_sync *sync, uint64_t seq)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->pins) {
        struct km_sync_pin *pin =
            KM_CONTAINER_OF(node, struct km_sync_pin, node);
        if (pin->seq == seq) {
            return pin;
        }
    }
    return NULL;
}

static struct km_sync_pin *pin_new(struct km_sync *sync, uint64_t seq,
                                   kama_value *value)
{
    size_t bytes = kama_value_bytes(value).len;
    struct km_sync_pin *pin = NULL;
    if (sync->large_bytes + bytes <= KM_SYNC_LARGE_BYTES) {
        pin = km_mem_zalloc(sync->mem, 1, sizeof *pin);
    }
    if (pin != NULL) {
        pin->seq = seq;
        pin->value = kama_value_ref(value);
        sync->large_bytes += bytes;
        km_list_push_back(&sync->pins, &pin->node);
    }
    return pin;
}

/* Several streams that send one value have one pin. Returns NULL if too much is pinned
 * already, or without memory; a Drop is sent then. */
static struct km_sync_pin *pin_take(struct km_sync *sync, uint64_t seq,
                                    kama_value *value)
{
    struct km_sync_pin *pin = pin_find(sync, seq);
    pin = pin != NULL ? pin : pin_new(sync, seq, value);
    if (pin != NULL) {
        pin->refs++;
    }
    return pin;
}

static void pin_give(struct km_sync *sync, struct km_sync_pin *pin)
{
    if (pin == NULL || --pin->refs > 0) {
        return;
    }
    km_list_remove(&pin->node);
    sync->large_bytes -= kama_value_bytes(pin->value).len;
    kama_value_unref(pin->value);
    km_mem_free(sync->mem, pin);
}

/* -- the life of a stream ---------------------------------------------------------- */

static void forget_stream(struct km_sync_out *out)
{
    pin_give(sync_of(out), out->pin);
    out->pin = NULL;
    out->use = NULL;
    out->state = KM_SYNC_OUT_DOWN;
    memset(&out->named, 0, sizeof out->named);
    km_sync_disarm(sync_of(out), &out->timer);
}

static void dial_later(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    look_at_lag(out);
    if (sync->stage == KM_SYNC_STAYS && !sync->is_closed) {
        km_sync_arm(sync, &out->timer, km_sync_now(sync) + out->pause);
    }
    out->pause = out->pause * 2 < KM_SYNC_HELLO_MS * KM_NS_PER_MS
                     ? out->pause * 2
                     : KM_SYNC_HELLO_MS * KM_NS_PER_MS;
    km_sync_check_goodbye(sync);
}

/* Ends the stream from this side, and begins it again after the pause. */
static void hang_up(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    void *use = out->use;
    forget_stream(out);
    sync->env.hang_up(sync->env.arg, use);
    dial_later(out);
}

void km_sync_out_stop(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    void *use = out->use;
    bool stood = out->state == KM_SYNC_OUT_HELLO ||
                 out->state == KM_SYNC_OUT_LIVE ||
                 (out->state == KM_SYNC_OUT_OVER && use != NULL);
    forget_stream(out);
    if (stood) {
        sync->env.hang_up(sync->env.arg, use);
    }
}

void km_sync_out_closed(struct km_sync_out *out, kama_status status,
                        const char *text)
{
    struct km_sync *sync = sync_of(out);
    bool is_over = out->state == KM_SYNC_OUT_OVER;
    forget_stream(out);
    if (is_over) {
        out->state = KM_SYNC_OUT_OVER;
        km_sync_check_goodbye(sync);
        return;
    }
    km_sync_say(sync, KM_LOG_DEBUG, out->member->address,
                "the stream to %s has ended: %s%s%s", out->member->address,
                kama_strerror(status), text != NULL ? ": " : "",
                text != NULL ? text : "");
    dial_later(out);
}

static bool send(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    return sync->env.send(sync->env.arg, out->use, km_buf_bytes(&sync->head),
                          NULL) == KAMA_OK;
}

/* Sends a message that has one field. Lack of memory ends the stream. */
static bool send_field(struct km_sync_out *out, uint32_t field,
                       const struct km_pb_message *table, const void *message)
{
    struct km_sync *sync = sync_of(out);
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_pb_append_element(&sync->head, field, table, message) != KAMA_OK) {
        hang_up(out);
        return false;
    }
    return send(out);
}

/* R3. The first message says who this node is, and whom it expects. */
static void say_hello(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    const struct km_msg_sync_hello hello = {
        .sender = {.cluster = kama_bytes_str(sync->cluster),
                   .service = kama_bytes_str(sync->service),
                   .id = kama_bytes_make(sync->self.bytes, KM_MEMBER_ID_BYTES),
                   .view_id = sync->adopted != NULL ? sync->adopted->id : 0},
        .expected_id =
            kama_bytes_make(out->member->id.bytes, KM_MEMBER_ID_BYTES),
        .proto_min = KM_SYNC_PROTO,
        .proto_max = KM_SYNC_PROTO,
        .wall_ms = sync->env.wall_ms(sync->env.arg),
        .clock = log.hlc};
    (void)send_field(out, KM_SYNC_FIELD_HELLO, &km_msg_sync_hello_pb, &hello);
}

void km_sync_out_start(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    if (out->state != KM_SYNC_OUT_DOWN || sync->is_closed ||
        sync->stage != KM_SYNC_STAYS || km_member_id_is_none(&sync->self)) {
        return;
    }
    km_sync_disarm(sync, &out->timer);
    if (sync->env.dial(sync->env.arg, out, out->member->address, &out->use) !=
        KAMA_OK) {
        dial_later(out);
        return;
    }
    out->state = KM_SYNC_OUT_HELLO;
    out->dialled = km_sync_now(sync);
    km_sync_arm(sync, &out->timer, out->dialled + SILENT_NS);
    say_hello(out);
}

/* -- heartbeats, views, gaps ----------------------------------------------------- */

/* R2. "You were sent every mutation of mine up to this clock." While something waits, that
 * is the clock of the last record that was sent. Otherwise it is the clock of this node:
 * a mutation that begins later has a larger one. For the same reason it names the view of
 * this node only if nothing waits: records of an older view may follow (R4). */
static void send_heartbeat(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    bool waits = out->next <= log.seq && KM_SYNC_KEEPS(KM_SYNC_R2_HEARTBEAT);
    struct km_msg_sync_heartbeat heartbeat = {
        .seq = out->next - 1, .clock = waits ? out->clock : log.hlc};
    if (!waits && sync->adopted != NULL) {
        heartbeat.view_id = sync->adopted->id;
        heartbeat.stable = km_sync_origins_stable(sync->origins);
    }
    out->beat = km_sync_now(sync);
    (void)send_field(out, KM_SYNC_FIELD_HEARTBEAT, &km_msg_sync_heartbeat_pb,
                     &heartbeat);
}

void km_sync_out_announce(struct km_sync_out *out)
{
    const struct km_view *noticed = sync_of(out)->noticed;
    if (out->state == KM_SYNC_OUT_LIVE && noticed != NULL) {
        const struct km_msg_sync_view view = {.noticed_id = noticed->id};
        (void)send_field(out, KM_SYNC_FIELD_VIEW, &km_msg_sync_view_pb, &view);
    }
}

/* R3. The member is told which groups may be stale, and that it has everything up to seq
 * from now on. */
static bool send_gap(struct km_sync_out *out, const struct km_msg_sync_gap *gap,
                     uint32_t groups, uint64_t applied)
{
    struct km_sync *sync = sync_of(out);
    km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
    if (km_sync_put_gap(&sync->head, gap, sync->log, groups, applied) !=
        KAMA_OK) {
        hang_up(out);
        return false;
    }
    out->next = gap->seq + 1;
    out->clock = gap->clock;
    out->acked = gap->seq;
    out->gaps++;
    km_sync_say(sync, KM_LOG_INFO, out->member->address,
                "%s was not told of mutations, and drops what may be stale",
                out->member->address);
    return send(out);
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
 * have received newer values from others, and never the deletions in between. */
static bool send_first_gap(struct km_sync_out *out,
                           const struct km_sync_log_state *log)
{
    const struct km_msg_sync_gap gap = {
        .seq = log->seq, .clock = log->newest, .all_groups = true};
    if (!KM_SYNC_KEEPS(KM_SYNC_R3_FIRST_GAP)) {
        out->next = log->oldest;
        return true;
    }
    return send_gap(out, &gap, log->groups, 0);
}

/* R3. Finds the position of the stream. A life that has no mutation yet begins with the
 * first one. */
static bool find_position(struct km_sync_out *out,
                          const struct km_msg_sync_welcome *welcome)
{
    struct km_sync_log_state log;
    km_sync_log_get(sync_of(out)->log, &log);
    out->clock = 0;
    if (!welcome->knows && log.seq > 0) {
        return send_first_gap(out, &log);
    }
    out->acked = welcome->knows ? welcome->applied : 0;
    out->next = out->acked + 1;
    return out->next >= log.oldest || send_lost(out, &log, out->acked);
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

/* Returns what is left of the time of an EXPIRE. The version that it gives an entry may be
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

/* R2. Reads the value of a SET, and what is left of its time. If the entry is gone or has
 * another version, the record is a Drop: it removes what is older, as the set would have,
 * and a newer one has a record of its own. */
static kama_value *complete(struct km_sync *sync, struct km_sync_mutation *m,
                            uint64_t origin)
{
    if (m->kind != KM_SYNC_SET) {
        return NULL;
    }
    struct km_version version = {.hlc = m->hlc, .origin = origin};
    kama_group *group = group_of(sync, m->number)->group;
    kama_value *value =
        group != NULL ? km_group_value_of(group, m->key, version, &m->ttl_ms)
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
    struct km_sync_pin *pin = pin_take(sync, m->seq, value);
    if (pin == NULL) {
        return false;
    }
    if (km_sync_put_first_chunk(&sync->head, &out->named, m,
                                kama_bytes_make(m->value.data, PART_BYTES)) !=
        KAMA_OK) {
        km_buf_reset(&sync->head, KM_SYNC_FRAME_BYTES);
        pin_give(sync, pin);
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
        hang_up(out);
        return false;
    }
    out->pin_at += len;
    if (len == left) {
        note_sent(out, out->pin_clock);
        pin_give(sync, out->pin);
        out->pin = NULL;
    }
    return send(out);
}

/* What became of a record that was to be put into a frame. */
enum put { PUT, FULL, CHUNKS, FAILED };

static enum put put_record(struct km_sync_out *out, struct km_sync_frame *frame,
                           const struct km_sync_entry *entry, uint64_t origin)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_mutation m = mutation_of(sync, entry);
    kama_value *value = complete(sync, &m, origin);
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
            hang_up(out);
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
    km_sync_log_get(sync->log, &log);
    if (n > 0) {
        return build_frame(out, n, log.origin) && send(out);
    }
    return out->next < log.oldest && send_lost(out, &log, out->next - 1);
}

/* -- the goodbye ------------------------------------------------------------------- */

/* R11. The last record of a stream that was flushed. The member ends the stream when it
 * has read it. */
static void send_goodbye(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    const struct km_msg_sync_bye bye = {.final_seq = log.seq, .clock = log.hlc};
    if (out->next <= log.seq) {
        return;
    }
    if (send_field(out, KM_SYNC_FIELD_BYE, &km_msg_sync_bye_pb, &bye)) {
        out->state = KM_SYNC_OUT_OVER;
        km_sync_arm(sync, &out->timer, km_sync_now(sync) + SILENT_NS);
    }
}

void km_sync_out_pump(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    bool more = true;
    while (more && out->state == KM_SYNC_OUT_LIVE &&
           sync->env.can_send(sync->env.arg, out->use)) {
        more = out->pin != NULL ? send_chunk(out) : send_records(out);
    }
    if (sync->stage == KM_SYNC_LEAVES && out->state == KM_SYNC_OUT_LIVE &&
        out->pin == NULL) {
        send_goodbye(out);
    }
}

/* -- what the member says ------------------------------------------------------------ */

/* Returns why the answer to Hello is not the one that was hoped for, or NULL. */
static const char *refuse_welcome(const struct km_sync_out *out,
                                  const struct km_msg_sync_welcome *welcome)
{
    const struct km_sync *sync = sync_of(out);
    uint64_t wall = sync->env.wall_ms(sync->env.arg);
    uint64_t apart = wall > welcome->wall_ms ? wall - welcome->wall_ms
                                             : welcome->wall_ms - wall;
    km_ns round = km_sync_now(sync) - out->dialled;
    if (welcome->welcome != KM_MSG_PEER_WELCOME_MEMBER ||
        !km_bytes_eq(welcome->id, kama_bytes_make(out->member->id.bytes,
                                                  KM_MEMBER_ID_BYTES))) {
        return "it does not know this node yet";
    }
    if ((round < KM_NS_PER_S && apart > KM_SYNC_CLOCK_MS) ||
        km_sync_is_ahead(sync, welcome->clock)) {
        return "its clock and that of this node differ by more than 60 s";
    }
    return NULL;
}

static void on_welcome(struct km_sync_out *out, kama_bytes message)
{
    struct km_sync *sync = sync_of(out);
    struct km_msg_sync_welcome welcome;
    struct km_sync_log_state log;
    const char *why =
        km_pb_decode(&km_msg_sync_welcome_pb, message, &welcome) == KAMA_OK
            ? refuse_welcome(out, &welcome)
            : "its answer is malformed";
    if (why != NULL) {
        km_sync_say(sync, KM_LOG_DEBUG, out->member->address,
                    "no mutations go to %s: %s", out->member->address, why);
        hang_up(out);
        return;
    }
    km_sync_log_get(sync->log, &log);
    if (welcome.knows && welcome.applied > log.seq) {
        hang_up(out);
        return;
    }
    out->state = KM_SYNC_OUT_LIVE;
    out->pause = PAUSE_MIN_MS * KM_NS_PER_MS;
    out->heard = km_sync_now(sync);
    km_sync_arm(sync, &out->timer, out->heard + HEARTBEAT_NS);
    if (find_position(out, &welcome)) {
        km_sync_out_announce(out);
    }
    if (out->state == KM_SYNC_OUT_LIVE) {
        send_heartbeat(out);
        km_sync_out_pump(out);
    }
}

km_ns km_sync_out_lag(const struct km_sync_out *out, uint64_t seq)
{
    struct km_sync *sync = sync_of(out);
    km_ns now = km_sync_now(sync);
    if (out->acked >= seq) {
        return 0;
    }
    km_ns since = km_sync_log_time_of(sync->log, out->acked + 1);
    if (since == 0) { /* it has left the ring */
        return KM_SYNC_RING_MS * KM_NS_PER_MS;
    }
    return since < now ? now - since : 1;
}

/* Says once that a member lags for longer than it may, and once that it does not any
 * more. */
static void look_at_lag(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    bool is_late = km_sync_out_lag(out, log.seq) > sync->timeout;
    const char *address = out->member->address;
    if (is_late && !out->is_unsynced) {
        km_sync_say(sync, KM_LOG_WARN, address,
                    "%s has not acknowledged mutations for %llu ms; it may "
                    "have older values meanwhile",
                    address,
                    (unsigned long long)(sync->timeout / KM_NS_PER_MS));
    } else if (!is_late && out->is_unsynced) {
        km_sync_say(sync, KM_LOG_INFO, address, "%s has all mutations again",
                    address);
    }
    out->is_unsynced = is_late;
}

static void on_applied(struct km_sync_out *out, uint64_t applied)
{
    if (applied >= out->next) {
        hang_up(out); /* it was not sent that yet */
        return;
    }
    out->heard = km_sync_now(sync_of(out));
    out->acked = applied > out->acked ? applied : out->acked;
    if (out->is_unsynced) {
        look_at_lag(out);
    }
}

void km_sync_out_message(struct km_sync_out *out, kama_bytes message)
{
    struct km_msg_sync_response response;
    if (km_pb_decode(&km_msg_sync_response_pb, message, &response) != KAMA_OK) {
        if (out->state != KM_SYNC_OUT_DOWN) {
            hang_up(out);
        }
        return;
    }
    switch (out->state) {
    case KM_SYNC_OUT_HELLO:
        on_welcome(out, response.welcome);
        break;
    case KM_SYNC_OUT_LIVE:
    case KM_SYNC_OUT_OVER:
        on_applied(out, response.applied);
        break;
    case KM_SYNC_OUT_DOWN:
        break;
    }
}

void km_sync_out_writable(struct km_sync_out *out)
{
    out->heard = km_sync_now(sync_of(out));
    km_sync_out_pump(out);
}

/* -- time ------------------------------------------------------------------------------ */

/* Returns whether the member owes an answer for too long. */
static bool is_silent(const struct km_sync_out *out, km_ns now)
{
    bool owes = out->acked + 1 < out->next || out->pin != NULL;
    return owes && now >= out->heard + SILENT_NS;
}

static void tick_live(struct km_sync_out *out)
{
    struct km_sync *sync = sync_of(out);
    km_ns now = km_sync_now(sync);
    look_at_lag(out);
    if (is_silent(out, now)) {
        hang_up(out);
        return;
    }
    if (now >= out->beat + HEARTBEAT_NS) {
        if (sync->env.can_send(sync->env.arg, out->use)) {
            send_heartbeat(out);
        } else {
            out->beat = now;
        }
    }
    if (out->state == KM_SYNC_OUT_LIVE) {
        km_sync_arm(sync, &out->timer, out->beat + HEARTBEAT_NS);
    }
}

static void fire(struct km_timer *timer)
{
    struct km_sync_out *out = KM_CONTAINER_OF(timer, struct km_sync_out, timer);
    switch (out->state) {
    case KM_SYNC_OUT_DOWN:
        look_at_lag(out);
        km_sync_out_start(out);
        break;
    case KM_SYNC_OUT_HELLO:
        hang_up(out);
        break;
    case KM_SYNC_OUT_LIVE:
        tick_live(out);
        break;
    case KM_SYNC_OUT_OVER: /* the member does not end the stream */
        km_sync_out_stop(out);
        km_sync_check_goodbye(out->member->sync);
        break;
    }
}
