/* SPDX-License-Identifier: MIT */
/* The first step is made in the handler itself: a larger bound needs no other. */
#include "services/resize.h"

#include "base/container.h"
#include "base/status.h"
#include "group/info.h"
#include "group/resize.h"
#include "services/service.h"
#include "wire/msg/msg.h"

static void reply(struct km_server_call *call)
{
    const struct km_service_resize *resize = km_server_call_state(call);
    kama_group_stats stats;
    kama_group_stats_get(resize->group, &stats);
    const struct km_msg_resize_response response = {
        .old_max_bytes = resize->old_max_bytes, .bytes = stats.bytes};
    km_service_reply_message(call, &km_msg_resize_response_pb, &response);
}

/* Makes one step, and replies or posts the mail of the next one. The caller holds
 * the call. Returns whether the mail was posted. */
static bool step(struct km_server_call *call)
{
    struct km_service_resize *resize = km_server_call_state(call);
    if (km_group_resize_step(resize->group)) {
        km_loop_post(km_server_call_loop(call), &resize->turn);
        return true;
    }
    reply(call);
    return false;
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_resize *resize =
        KM_CONTAINER_OF(mail, struct km_service_resize, turn);
    struct km_server_call *call = km_server_call_of_state(resize);
    bool is_over = km_server_call_ended(call) &&
                   km_service_env_is_closing(km_service_env_of(call));
    if (is_over || !step(call)) {
        km_server_call_release(call);
    }
}

void km_service_v2_resize(struct km_server_call *call, kama_bytes message)
{
    struct km_service_resize *resize = km_server_call_state(call);
    struct km_msg_resize_request request;
    struct km_group_info info;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_resize_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_group_info_get(group, &info);
    km_last_error_clear();
    kama_status st = km_group_resize_begin(group, request.max_bytes);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    resize->group = group;
    resize->old_max_bytes = info.max_bytes;
    resize->turn.run = on_turn;
    km_server_call_hold(call);
    if (!step(call)) {
        km_server_call_release(call);
    }
}
