/* SPDX-License-Identifier: MIT */
#include "services/waiting_call.h"

#include "base/assert.h"
#include "base/container.h"
#include "services/service.h"

#include <string.h>

static void arm(struct km_waiting_call *waiting, int64_t pause_ms)
{
    struct km_loop *loop = km_server_call_loop(waiting->call);
    km_loop_timer_arm(loop, &waiting->timer,
                      km_ns_after_ms(km_loop_now(loop), pause_ms));
}

static void on_time(struct km_timer *timer)
{
    struct km_waiting_call *waiting =
        KM_CONTAINER_OF(timer, struct km_waiting_call, timer);
    int64_t pause_ms = waiting->look(
        waiting->call, kama_bytes_make(waiting->copy, waiting->bytes));
    if (pause_ms > 0) {
        arm(waiting, pause_ms);
    } else {
        km_waiting_call_end(waiting);
    }
}

/* A message may be empty, and the copy says whether the call waits. */
bool km_waiting_call_start(struct km_waiting_call *waiting,
                           struct km_server_call *call, kama_bytes message,
                           int64_t pause_ms, km_waiting_call_look look)
{
    KM_ASSERT(!km_waiting_call_waits(waiting) && pause_ms > 0);
    waiting->copy = km_mem_alloc(km_service_env_of(call)->mem, message.len + 1);
    if (waiting->copy == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return false;
    }
    if (message.len > 0) {
        memcpy(waiting->copy, message.data, message.len);
    }
    waiting->bytes = message.len;
    waiting->call = call;
    waiting->look = look;
    waiting->timer.fire = on_time;
    km_server_call_hold(call);
    arm(waiting, pause_ms);
    return true;
}

void km_waiting_call_end(struct km_waiting_call *waiting)
{
    struct km_server_call *call = waiting->call;
    KM_ASSERT(km_waiting_call_waits(waiting));
    km_loop_timer_disarm(km_server_call_loop(call), &waiting->timer);
    km_mem_free(km_service_env_of(call)->mem, waiting->copy);
    waiting->copy = NULL;
    km_server_call_release(call);
}
