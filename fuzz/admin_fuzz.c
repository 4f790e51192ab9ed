/* SPDX-License-Identifier: MIT */
/*
 * A connection of the admin port, from its bytes to the answers of a real group. The
 * first byte says how the others are cut into pieces. Every answer must be whole,
 * and the code of the first one must not depend on the pieces.
 */
#include "admin/host.h"
#include "admin/route.h"
#include "admin/session.h"
#include "group/registry.h"

#include <kamacache/kamacache.h>

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* -- the node ------------------------------------------------------------------ */

static enum km_admin_phase phase(void *arg)
{
    (void)arg;
    return KM_ADMIN_SERVING;
}

static uint64_t uptime_ms(void *arg)
{
    (void)arg;
    return 1;
}

static void ask_loops(void *arg, km_ns now)
{
    (void)arg;
    (void)now;
}

static size_t late_loops(void *arg, km_ns now, km_ns limit,
                         struct km_pulse_late *ret_late, size_t cap)
{
    (void)arg;
    (void)now;
    (void)limit;
    (void)ret_late;
    (void)cap;
    return 0;
}

static void show_node(void *arg, kama_node_info_fn fn, void *fn_arg)
{
    const kama_node_info info = {.struct_size = sizeof info,
                                 .ready = 1,
                                 .listen = "",
                                 .advertise = "",
                                 .sync_differs = "",
                                 .cluster = "",
                                 .service = "",
                                 .etcd = "",
                                 .registration = "none",
                                 .admin = "",
                                 .degraded = ""};
    (void)arg;
    fn(fn_arg, &info);
}

static void show_members(void *arg, const struct km_admin_visitor *visitor)
{
    const struct km_admin_view view = {.cluster = "", .service = ""};
    (void)arg;
    visitor->view(visitor->arg, &view);
}

static kama_status show_owner(void *arg, const char *group, kama_bytes key,
                              kama_owner_fn fn, void *fn_arg)
{
    const kama_owner owner = {.struct_size = sizeof owner, .self = 1};
    (void)arg;
    (void)group;
    (void)key;
    fn(fn_arg, &owner);
    return KAMA_OK;
}

static kama_status append_metrics(void *arg, enum km_metric_format format,
                                  struct km_buf *out)
{
    (void)arg;
    return km_buf_append_str(out, km_metric_content_type(format));
}

static const struct km_admin_ops ops = {.phase = phase,
                                        .uptime_ms = uptime_ms,
                                        .ask_loops = ask_loops,
                                        .late_loops = late_loops,
                                        .node = show_node,
                                        .members = show_members,
                                        .owner = show_owner,
                                        .metrics = append_metrics};

static struct km_registry registry;

/* Makes the group that all inputs share. */
static void make_group(void)
{
    static const char *const keys[] = {"a", "u:1", "u:2", "\xff\x01"};
    kama_group_options options;
    kama_group *group;
    kama_group_options_init(&options);
    options.name = "g";
    if (km_registry_init(&registry, km_mem_default()) != KAMA_OK ||
        kama_group_new(&options, &group) != KAMA_OK) {
        abort();
    }
    km_registry_add(&registry, group);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (kama_set(group, KAMA_STR(keys[i]), KAMA_STR("v"), NULL) !=
            KAMA_OK) {
            abort();
        }
    }
}

/* -- the connection -------------------------------------------------------------- */

static void answer(void *arg, const struct km_admin_request *request,
                   struct km_admin_reply *reply)
{
    static const struct km_admin_source source = {&ops, NULL, &registry};
    const struct km_admin_context context = {
        .source = &source,
        .query = km_admin_request_query(request),
        .accept = kama_bytes_make(request->accept, request->accept_len)};
    (void)arg;
    (void)km_admin_host_is_allowed(
        kama_bytes_make(request->host, request->host_len), NULL, 0);
    km_admin_route_answer(km_admin_route_find(km_admin_request_path(request)),
                          &context, reply);
}

static bool hold(void *arg, size_t bytes)
{
    *(size_t *)arg += bytes;
    return true;
}

static void release(void *arg, size_t bytes)
{
    *(size_t *)arg -= bytes;
}

/* Takes one answer, if there is one. Returns its code, 0 for none. */
static int take_answer(struct km_session *session)
{
    kama_bytes piece;
    int code = 0;
    for (;;) {
        if (session->ops->take(session, &piece) != KAMA_OK) {
            abort();
        }
        if (piece.len == 0) {
            return code;
        }
        if (code == 0 && sscanf(piece.data, "HTTP/1.1 %3d", &code) != 1) {
            abort();
        }
    }
}

/* Returns the code of the first answer, 0 for none. */
static int converse(const uint8_t *data, size_t len, size_t piece)
{
    size_t unread = 0;
    const struct km_admin_handler handler = {answer, hold, release, &unread};
    struct km_session *session =
        km_admin_session_new(km_mem_default(), &handler, KM_NS_PER_S);
    int first = 0;
    while (session != NULL && len > 0 && session->ops->alive(session)) {
        size_t n = piece < len ? piece : len;
        if (session->ops->feed(session, data, n, KM_NS_PER_S) != KAMA_OK) {
            abort();
        }
        int code = take_answer(session);
        first = first == 0 ? code : first;
        data += n;
        len -= n;
    }
    if (session != NULL) {
        session->ops->eof(session);
        session->ops->close(session);
    }
    if (unread != 0) {
        abort();
    }
    return first;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (registry.entries == NULL) {
        make_group();
    }
    if (len == 0) {
        return 0;
    }
    int whole = converse(data + 1, len - 1, SIZE_MAX);
    if (converse(data + 1, len - 1, 1u + data[0]) != whole) {
        abort();
    }
    return 0;
}
