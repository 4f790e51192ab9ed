/* SPDX-License-Identifier: MIT */
/* Between two steps other calls of the loop have their turn. A step allocates
 * nothing but the buffer of its message, and a stream that is not read keeps
 * only the cursor. */
#include "services/scan.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/scan_cursor.h"
#include "services/service.h"
#include "wire/msg/msg.h"

/* The states are drawn in scan.h. */
enum scan_state { SCAN_STEPPING, SCAN_TURN_POSTED, SCAN_WAITS_FOR_ROOM };

struct km_service_scan {
    struct km_server_call *call; /* held in SCAN_TURN_POSTED */
    const kama_allocator *mem;
    kama_group *group;
    struct km_buf buf; /* the message that is being filled */
    kama_status status;
    uint64_t cursor;
    bool cursor_sent; /* whether the last message that was sent had one */
    uint64_t left;    /* entries; 0: the limit is reached */
    enum scan_state state;
    struct km_mail turn; /* under way in SCAN_TURN_POSTED */
    size_t glob_bytes;
    uint8_t glob[]; /* a copy: the request is gone after the first turn */
};

static void scan_free(struct km_service_scan *scan)
{
    struct km_service_scan_state *state = km_server_call_state(scan->call);
    KM_ASSERT(scan->state != SCAN_TURN_POSTED && state->scan == scan);
    km_buf_fini(&scan->buf);
    state->scan = NULL;
    km_mem_free(scan->mem, scan);
}

static int on_entry(void *arg, const kama_entry *entry)
{
    struct km_service_scan *scan = arg;
    struct km_msg_scan_entry message = {
        .key = entry->key,
        .value_bytes = entry->value_bytes,
        .version = entry->version,
        .ttl_ms = entry->ttl_ms,
    };
    scan->status = km_pb_append_element(&scan->buf, KM_MSG_SCAN_ENTRIES,
                                        &km_msg_scan_entry_pb, &message);
    if (scan->status != KAMA_OK) {
        return 1;
    }
    scan->left--;
    return scan->left == 0 || scan->buf.len >= KM_SCAN_MESSAGE_BYTES;
}

/* -- the cursor on the wire ---------------------------------------------- */

/* Adds the place where the next message begins, unless this one is the last. */
static kama_status append_cursor(struct km_service_scan *scan)
{
    uint8_t cursor[KM_SCAN_CURSOR_BYTES];
    km_scan_cursor_write(scan->group, scan->cursor, cursor);
    scan->cursor_sent = scan->cursor != 0;
    return scan->cursor_sent
               ? km_pb_append_bytes(&scan->buf, KM_MSG_SCAN_CURSOR,
                                    kama_bytes_make(cursor, sizeof cursor))
               : KAMA_OK;
}

/* -- steps --------------------------------------------------------------- */

static kama_status send_entries(struct km_service_scan *scan)
{
    kama_status st = append_cursor(scan);
    if (st == KAMA_OK) {
        st = km_server_call_send(scan->call, km_buf_bytes(&scan->buf), NULL);
        km_buf_reset(&scan->buf, 2 * KM_SCAN_MESSAGE_BYTES);
    }
    return st;
}

/* One step: visits entries and sends those that match. When the scan ends and
 * the last message had a cursor, an empty message without one follows, so that
 * the client does not go on from there. */
static kama_status step(struct km_service_scan *scan)
{
    kama_bytes glob = kama_bytes_make(scan->glob, scan->glob_bytes);
    kama_status st =
        kama_scan(scan->group, &scan->cursor, glob, on_entry, scan);
    if (st == KAMA_OK) {
        st = scan->status;
    }
    bool is_over = scan->cursor == 0 && scan->cursor_sent;
    return st == KAMA_OK && (scan->buf.len > 0 || is_over) ? send_entries(scan)
                                                           : st;
}

static void post_turn(struct km_service_scan *scan)
{
    scan->state = SCAN_TURN_POSTED;
    km_server_call_hold(scan->call);
    km_loop_post(km_server_call_loop(scan->call), &scan->turn);
}

/* A client may read nothing for a long time, and there may be many of these: a
 * scan that waits gives its buffer back. */
static void wait_for_room(struct km_service_scan *scan)
{
    scan->state = SCAN_WAITS_FOR_ROOM;
    km_buf_reset(&scan->buf, 0);
}

/* Makes the next step in a turn of its own, when there is room. */
static void go_on(struct km_service_scan *scan)
{
    KM_ASSERT(scan->state != SCAN_TURN_POSTED);
    if (km_server_call_writable(scan->call)) {
        post_turn(scan);
    } else {
        wait_for_room(scan);
    }
}

static void advance(struct km_service_scan *scan)
{
    struct km_server_call *call = scan->call;
    km_last_error_clear();
    kama_status st = step(scan);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        scan_free(scan);
    } else if (scan->cursor == 0 || scan->left == 0) {
        km_server_call_finish(call, KAMA_OK, NULL);
        scan_free(scan);
    } else {
        go_on(scan);
    }
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_scan *scan =
        KM_CONTAINER_OF(mail, struct km_service_scan, turn);
    struct km_server_call *call = scan->call;
    KM_ASSERT(scan->state == SCAN_TURN_POSTED);
    scan->state = SCAN_STEPPING;
    if (km_server_call_ended(call)) {
        scan_free(scan);
    } else if (km_server_call_writable(call)) {
        advance(scan);
    } else {
        wait_for_room(scan);
    }
    km_server_call_release(call);
}

void km_service_scan_writable(struct km_server_call *call)
{
    struct km_service_scan_state *state = km_server_call_state(call);
    if (state->scan != NULL && state->scan->state == SCAN_WAITS_FOR_ROOM) {
        go_on(state->scan);
    }
}

void km_service_scan_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_scan_state *state = km_server_call_state(call);
    if (state->scan != NULL && state->scan->state != SCAN_TURN_POSTED) {
        scan_free(state->scan);
    }
}

static struct km_service_scan *scan_new(struct km_server_call *call,
                                        kama_group *group,
                                        const struct km_msg_scan_request *r)
{
    const kama_allocator *mem = km_service_env_of(call)->mem;
    struct km_service_scan *scan =
        km_mem_zalloc(mem, 1, sizeof *scan + r->glob.len);
    if (scan == NULL) {
        return NULL;
    }
    scan->call = call;
    scan->mem = mem;
    scan->group = group;
    scan->left = r->limit != 0 ? r->limit : UINT64_MAX;
    scan->turn.run = on_turn;
    km_buf_init(&scan->buf, mem, SIZE_MAX);
    scan->glob_bytes = r->glob.len;
    if (r->glob.len > 0) {
        memcpy(scan->glob, r->glob.data, r->glob.len);
    }
    return scan;
}

void km_service_v2_scan(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_scan_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_scan_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    if (request.glob.len > KM_GLOB_BYTES_MAX) {
        (void)km_fail(KAMA_ERR_INVALID,
                      "glob: %zu bytes are more than the limit of %d",
                      request.glob.len, KM_GLOB_BYTES_MAX);
        km_service_fail(call, KAMA_ERR_INVALID);
        return;
    }
    uint64_t cursor = 0;
    kama_status st = km_scan_cursor_read(group, request.cursor, &cursor);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    struct km_service_scan *scan = scan_new(call, group, &request);
    if (scan == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    scan->cursor = cursor;
    struct km_service_scan_state *state = km_server_call_state(call);
    state->scan = scan;
    go_on(scan);
}
