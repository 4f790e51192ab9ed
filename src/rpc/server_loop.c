/* SPDX-License-Identifier: MIT */
/*
 * The calls that a loop keeps for reuse, and the end of its turns. Memory of a
 * call goes back to the loop that it came from, so that no lock is needed.
 */
#include "rpc/server_loop.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"

/* Calls that were answered within the turn need no timer; the others do. The
 * timers come last, because calls that are resumed may be answered now. */
static void on_turn_end(struct km_mail *mail)
{
    struct km_server_loop *server_loop =
        KM_CONTAINER_OF(mail, struct km_server_loop, turn);
    struct km_list *node;
    km_server_pause_end_turn(server_loop);
    while ((node = km_list_pop_front(&server_loop->unarmed)) != NULL) {
        struct km_server_call *call =
            KM_CONTAINER_OF(node, struct km_server_call, unarmed);
        km_loop_timer_arm(server_loop->loop, &call->timer, call->deadline);
    }
}

void km_server_loop_arm_later(struct km_server_loop *server_loop,
                              struct km_server_call *call)
{
    km_list_remove(&call->unarmed);
    km_list_push_back(&server_loop->unarmed, &call->unarmed);
    km_loop_at_end_of_turn(server_loop->loop, &server_loop->turn);
}

void km_server_loop_fill_budget(struct km_server_loop *server_loop)
{
    km_grpc_budget_fill(&server_loop->decode_budget,
                        km_loop_now(server_loop->loop));
}

/* The call that was put back last is the likeliest to be in the processor's
 * cache. */
struct km_server_call *km_server_loop_take_call(
    struct km_server_loop *server_loop)
{
    struct km_server_call *call = server_loop->spare_calls;
    if (call == NULL) {
        return km_mem_alloc(server_loop->server->mem,
                            server_loop->server->call_bytes);
    }
    KM_ASSERT(server_loop->spare_call_count > 0);
    server_loop->spare_calls = call->next_spare;
    server_loop->spare_call_count--;
    return call;
}

void km_server_loop_put_call(struct km_server_loop *server_loop,
                             struct km_server_call *call)
{
    KM_ASSERT(call->server_loop == server_loop);
    if (server_loop->spare_call_count >= KM_RPC_CALLS_SPARE_MAX) {
        km_mem_free(server_loop->server->mem, call);
        return;
    }
    call->next_spare = server_loop->spare_calls;
    server_loop->spare_calls = call;
    server_loop->spare_call_count++;
}

/* The loop may run already: nothing is posted or armed here. */
kama_status km_server_loop_init(struct km_server_loop *server_loop,
                                struct km_server *server, unsigned loop_index)
{
    server_loop->server = server;
    server_loop->loop = server->options.loops[loop_index];
    server_loop->loop_index = loop_index;
    server_loop->turn.run = on_turn_end;
    km_list_init(&server_loop->conns);
    km_list_init(&server_loop->unarmed);
    km_list_init(&server_loop->resumed);
    kama_status st = km_server_figures_init(&server_loop->figures, server->mem,
                                            server->options.method_count);
    return st != KAMA_OK
               ? st
               : km_h2_loop_cache_new(server->mem, KM_RPC_H2_CACHE_BYTES,
                                      &server_loop->cache);
}

void km_server_loop_fini(struct km_server_loop *server_loop)
{
    if (server_loop->server == NULL) {
        return;
    }
    KM_ASSERT(km_list_empty(&server_loop->conns));
    KM_ASSERT(km_list_empty(&server_loop->unarmed));
    KM_ASSERT(km_list_empty(&server_loop->resumed));
    KM_ASSERT(server_loop->held_bytes == 0);
    while (server_loop->spare_calls != NULL) {
        struct km_server_call *call = server_loop->spare_calls;
        server_loop->spare_calls = call->next_spare;
        server_loop->spare_call_count--;
        km_mem_free(server_loop->server->mem, call);
    }
    KM_ASSERT(server_loop->spare_call_count == 0);
    km_h2_loop_cache_free(server_loop->cache);
    km_server_figures_fini(&server_loop->figures, server_loop->server->mem);
}
