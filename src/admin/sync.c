/* SPDX-License-Identifier: MIT */
#include "admin/sync.h"

#include "admin/json.h"

json_t *km_admin_sync_stream(const kama_member *member)
{
    struct km_admin_json json;
    if (member->sync_state[0] == '\0') {
        return json_null();
    }
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "state", member->sync_state);
    km_admin_json_bool(&json, "up", member->sync_up);
    km_admin_json_bool(&json, "unsynced", member->unsynced);
    km_admin_json_bool(&json, "quarantined", member->quarantined);
    km_admin_json_uint(&json, "differing", member->sync_differing);
    km_admin_json_uint(&json, "lag_ns", member->sync_lag_ns);
    km_admin_json_uint(&json, "lag_entries", member->sync_queue);
    km_admin_json_uint(&json, "acked", member->sync_acked);
    km_admin_json_uint(&json, "applied", member->sync_applied);
    km_admin_json_uint(&json, "sent", member->sync_sent);
    km_admin_json_uint(&json, "received", member->sync_received);
    km_admin_json_uint(&json, "duplicates", member->sync_duplicates);
    km_admin_json_uint(&json, "bytes_sent", member->sync_bytes_sent);
    km_admin_json_uint(&json, "bytes_received", member->sync_bytes_received);
    km_admin_json_uint(&json, "gaps", member->sync_gaps_received);
    km_admin_json_uint(&json, "gaps_sent", member->sync_gaps_sent);
    km_admin_json_uint(&json, "gap_age_ms", member->sync_gap_age_ms);
    return km_admin_json_end(&json);
}

/* -- the answer ------------------------------------------------------------ */

/* null: the node has no log, because it is in no cluster. */
static json_t *log_json(const struct km_admin_log *log)
{
    struct km_admin_json json;
    if (!log->exists) {
        return json_null();
    }
    km_admin_json_begin(&json);
    km_admin_json_uint(&json, "seq", log->seq);
    km_admin_json_uint(&json, "entries", log->entries);
    km_admin_json_uint(&json, "bytes", log->bytes);
    km_admin_json_uint(&json, "age_ns", log->oldest_ns);
    return km_admin_json_end(&json);
}

struct listing {
    struct km_admin_json json;
    json_t *members;
};

static void on_view(void *arg, const struct km_admin_view *view)
{
    struct listing *listing = arg;
    km_admin_json_view(&listing->json, "view_id", view->view_id);
}

/* The node itself has no streams, and is left out. */
static void on_member(void *arg, const kama_member *member)
{
    struct listing *listing = arg;
    struct km_admin_json json;
    if (member->sync_state[0] == '\0') {
        return;
    }
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "address", member->address);
    km_admin_json_id(&json, "id", member->id, sizeof member->id);
    km_admin_json_set(&json, "stream", km_admin_sync_stream(member));
    if (json_array_append_new(listing->members, km_admin_json_end(&json)) !=
        0) {
        listing->json.failed = true;
    }
}

void km_admin_sync(const struct km_admin_context *context,
                   struct km_admin_reply *reply)
{
    const struct km_admin_source *source = context->source;
    struct listing listing = {.members = json_array()};
    const struct km_admin_visitor visitor = {
        .view = on_view, .member = on_member, .arg = &listing};
    struct km_admin_log log;
    source->ops->log(source->arg, &log);
    km_admin_json_begin(&listing.json);
    km_admin_json_set(&listing.json, "log", log_json(&log));
    source->ops->members(source->arg, &visitor);
    km_admin_json_set(&listing.json, "members", listing.members);
    km_admin_reply_json(reply, km_admin_json_end(&listing.json));
}
