/* SPDX-License-Identifier: MIT */
#include "services/watch_group.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"
#include "base/text.h"
#include "group/sync_apply.h"
#include "services/condition.h"
#include "services/service.h"
#include "store/item.h"
#include "wire/msg/msg.h"

#define CURSOR_BYTES 16
#define EVENTS_PER_TURN 64
/* The longest that a message can be without its key and its value. */
#define HEAD_BYTES (128 + KM_MEMBER_ADDRESS_BYTES)

struct km_service_watching {
    kama_group *group;
    struct km_feed_place place;
    bool with_values;
    bool lost;       /* a gap has to be told first */
    uint64_t origin; /* whose address is known; 0: none */
    char address[KM_MEMBER_ADDRESS_BYTES];
    struct km_feed_event event; /* the one that is sent */
    size_t glob_bytes;
    uint8_t glob[]; /* a copy: the request is gone after the first turn */
};

/* -- the cursor ------------------------------------------------------------ */

/* The bytes of a version are those of two numbers. */
static void write_cursor(const struct km_feed_place *place,
                         uint8_t cursor[CURSOR_BYTES])
{
    const struct km_version numbers = {place->feed, place->position};
    km_version_write(numbers, cursor);
}

static uint64_t read_number(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* Goes back to a cursor, or remembers that what follows it is lost. */
static void resume(const struct km_service_feed *feed,
                   struct km_service_watching *w, kama_bytes cursor)
{
    const uint8_t *bytes = cursor.data;
    uint64_t position = cursor.len > 0 ? read_number(bytes + 8) : 0;
    if (cursor.len == 0) {
        return;
    }
    w->lost = read_number(bytes) != w->place.feed ||
              !feed->ops->has(feed->arg, position);
    if (!w->lost) {
        w->place.position = position;
    }
}

/* -- an event -------------------------------------------------------------- */

static void find_address(void *arg, const struct km_cluster_view *view)
{
    struct km_service_watching *w = arg;
    for (size_t i = 0; i < view->count; i++) {
        const struct km_cluster_member *m = &view->members[i];
        if (read_number(m->id) == w->origin) {
            (void)km_text_printf(w->address, sizeof w->address, "%s",
                                 m->address);
        }
    }
}

/* Returns the address of the member with this origin, or nothing. */
static kama_bytes address_of(struct km_service_env *env,
                             struct km_service_watching *w, uint64_t origin)
{
    if (w->origin != origin || w->address[0] == '\0') {
        w->origin = origin;
        w->address[0] = '\0';
        km_cluster_view(env, find_address, w);
    }
    return KAMA_STR(w->address);
}

/* Reads the value of a SET or an EXPIRE, without which it is a DROP. Returns a
 * reference to the value that is sent, or NULL. */
static kama_value *read_value(const struct km_service_watching *w,
                              struct km_msg_watch_event *message)
{
    const struct km_feed_event *event = &w->event;
    bool is_set = message->operation == KM_MSG_OPERATION_SET;
    if (!is_set && message->operation != KM_MSG_OPERATION_EXPIRE) {
        return NULL;
    }
    kama_value *value = km_group_value_of(w->group, message->key,
                                          event->version, &message->ttl_ms);
    if (value == NULL) {
        message->operation = KM_MSG_OPERATION_DROP;
    } else if (!is_set || !w->with_values) {
        kama_value_unref(value);
        value = NULL;
    }
    return value;
}

static kama_status send_message(struct km_server_call *call,
                                const struct km_msg_watch_event *message,
                                kama_value *value)
{
    uint8_t head[HEAD_BYTES + KM_KEY_BYTES_MAX];
    size_t len = value != NULL ? kama_value_bytes(value).len : 0;
    KM_ASSERT(km_pb_size(&km_msg_watch_event_pb, message) +
                  KM_PB_PREFIX_BYTES_MAX <=
              sizeof head);
    uint8_t *end = km_pb_write(&km_msg_watch_event_pb, message, head);
    end = km_pb_write_prefix(end, KM_MSG_VALUE, len);
    return km_server_call_send(call,
                               kama_bytes_make(head, (size_t)(end - head)),
                               len > 0 ? value : NULL);
}

static kama_status send_event(struct km_server_call *call,
                              struct km_service_watching *w)
{
    const struct km_feed_event *event = &w->event;
    uint8_t cursor[CURSOR_BYTES];
    uint8_t etag[KM_SERVICE_ETAG_BYTES];
    write_cursor(&w->place, cursor);
    struct km_msg_watch_event message = {
        .cursor = kama_bytes_make(cursor, sizeof cursor),
        .operation = event->operation,
        .key = kama_bytes_make(event->key, event->key_len),
        .gap = event->operation == KM_MSG_OPERATION_UNSPECIFIED,
        .unix_ms = event->version.hlc >> KM_VERSION_COUNTER_BITS};
    if (!message.gap) {
        message.origin =
            address_of(km_service_env_of(call), w, event->version.origin);
    }
    kama_value *value = read_value(w, &message);
    if (message.operation == KM_MSG_OPERATION_SET) {
        message.etag =
            km_service_etag_write(km_etag_of_stamp(event->version), etag);
    }
    kama_status st = send_message(call, &message, value);
    kama_value_unref(value);
    return st;
}

/* Returns whether the client wants an event: all without a key, and those whose key
 * matches. */
static bool is_wanted(const struct km_service_watching *w)
{
    kama_bytes glob = kama_bytes_make(w->glob, w->glob_bytes);
    return w->event.key_len == 0 || glob.len == 0 ||
           km_bytes_glob(glob, kama_bytes_make(w->event.key, w->event.key_len));
}

/* -- the stream ------------------------------------------------------------ */

/* Takes the watch out of the call and ends it, if it has not ended. */
static void end_watching(struct km_server_call *call)
{
    struct km_service_watch_group *state = km_server_call_state(call);
    struct km_service_env *env = km_service_env_of(call);
    if (state->watching != NULL) {
        env->feed.ops->end(env->feed.arg);
        km_mem_free(env->mem, state->watching);
        state->watching = NULL;
    }
}

static void finish(struct km_server_call *call, kama_status status,
                   const char *text)
{
    end_watching(call);
    km_long_call_finish(call, status, text);
}

static kama_status send_gap(struct km_server_call *call,
                            struct km_service_watching *w)
{
    w->event.operation = KM_MSG_OPERATION_UNSPECIFIED;
    w->event.version = (struct km_version){0, 0};
    w->event.key_len = 0;
    w->lost = false;
    return send_event(call, w);
}

/* Reads and sends one event. *ret_result: whether there was one. */
static kama_status step(struct km_server_call *call,
                        struct km_service_watching *w,
                        enum km_feed_result *ret_result)
{
    const struct km_service_feed *feed = &km_service_env_of(call)->feed;
    if (w->lost) {
        *ret_result = KM_FEED_EVENT;
        return send_gap(call, w);
    }
    *ret_result = feed->ops->read(feed->arg, &w->place, &w->event);
    return *ret_result == KM_FEED_EVENT && is_wanted(w) ? send_event(call, w)
                                                        : KAMA_OK;
}

/* Sends what is there. A call that has had its turn goes on behind the others of its
 * loop. */
static void go_on(struct km_server_call *call)
{
    struct km_service_watch_group *state = km_server_call_state(call);
    enum km_feed_result result = KM_FEED_MORE;
    kama_status st = KAMA_OK;
    unsigned steps = 0;
    while (st == KAMA_OK && km_server_call_writable(call) &&
           (result == KM_FEED_EVENT || result == KM_FEED_MORE)) {
        if (steps++ == EVENTS_PER_TURN) {
            km_long_call_again(&state->long_call);
            return;
        }
        st = step(call, state->watching, &result);
    }
    if (st != KAMA_OK) {
        finish(call, st, NULL);
    } else if (result == KM_FEED_LOST) {
        finish(
            call, KAMA_ERR_OVERLOADED,
            "the client reads too slowly: mutations that it has not read are "
            "not remembered any more; watch again, and read everything again");
    }
}

static void on_change(struct km_server_call *call)
{
    struct km_service_watch_group *state = km_server_call_state(call);
    go_on(call);
    if (state->watching != NULL &&
        km_service_env_is_closing(state->long_call.env)) {
        finish(call, KAMA_ERR_CLOSED, "the node shuts down");
    }
}

void km_service_watch_group_writable(struct km_server_call *call)
{
    const struct km_service_watch_group *state = km_server_call_state(call);
    if (state->watching != NULL) {
        go_on(call);
    }
}

void km_service_watch_group_cancelled(struct km_server_call *call,
                                      kama_status why)
{
    end_watching(call);
    km_long_call_cancelled(call, why);
}

void km_service_watches_notify(struct km_service_env *env)
{
    km_long_calls_notify(env, on_change);
}

/* -- the request ----------------------------------------------------------- */

static kama_status check(const struct km_msg_watch_request *request)
{
    if (request->glob.len > KM_GLOB_BYTES_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "glob: %zu bytes are more than the limit of %d",
                       request->glob.len, KM_GLOB_BYTES_MAX);
    }
    if (request->cursor.len != 0 && request->cursor.len != CURSOR_BYTES) {
        return km_fail(KAMA_ERR_INVALID,
                       "cursor: it has %zu bytes, and the one of an event has "
                       "%d; send it back as it came",
                       request->cursor.len, CURSOR_BYTES);
    }
    return KAMA_OK;
}

static kama_status begin(struct km_service_env *env, kama_group *group,
                         const struct km_msg_watch_request *request,
                         struct km_service_watching **ret_watching)
{
    const struct km_service_feed *feed = &env->feed;
    if (feed->ops == NULL) {
        return km_fail(KAMA_ERR_STATE,
                       "group %s cannot be watched: this node is in no cluster",
                       kama_group_name(group));
    }
    struct km_service_watching *w =
        km_mem_zalloc(env->mem, 1, sizeof *w + request->glob.len);
    if (w == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a watch");
    }
    kama_status st =
        feed->ops->begin(feed->arg, kama_group_name(group), &w->place);
    if (st != KAMA_OK) {
        km_mem_free(env->mem, w);
        return st;
    }
    w->group = group;
    w->with_values = request->values;
    w->glob_bytes = request->glob.len;
    if (request->glob.len > 0) {
        memcpy(w->glob, request->glob.data, request->glob.len);
    }
    resume(feed, w, request->cursor);
    *ret_watching = w;
    return KAMA_OK;
}

void km_service_v2_watch(struct km_server_call *call, kama_bytes message)
{
    struct km_service_watch_group *state = km_server_call_state(call);
    struct km_msg_watch_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_watch_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_last_error_clear();
    kama_status st = check(&request);
    if (st == KAMA_OK) {
        st = begin(km_service_env_of(call), group, &request, &state->watching);
    }
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    km_long_call_join(call, on_change);
    on_change(call);
}
