/* SPDX-License-Identifier: MIT */
/*
 * Unary calls over a channel to a server on the same loop, over a socket: the
 * processor time of both sides together. The server's part is the same in each
 * line, so that a change of the channel shows as a difference.
 */
#include "base/clock.h"
#include "base/event.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"
#include "rpc/server.h"
#include "rpc/server_call.h"
#include "rpc/server_method.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLS 200000
#define REQUEST_BYTES 32

struct run {
    struct km_loop *loop;
    struct km_channel *channel;
    struct km_mail begin;
    struct km_mail end;
    struct km_event done;
    struct km_event freed;
    unsigned at_a_time;
    unsigned started;
    unsigned ended;
};

static void need(kama_status status)
{
    if (status != KAMA_OK) {
        (void)fprintf(stderr, "%s\n", kama_strerror(status));
        exit(1);
    }
}

static void on_echo(struct km_server_call *call, kama_bytes message)
{
    km_server_call_reply(call, message, NULL);
}

static void on_message(void *arg, kama_bytes message)
{
    (void)arg;
    (void)message;
}

static void start_call(struct run *run);

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct run *run = arg;
    need(result->status);
    if (++run->ended == CALLS) {
        km_event_set(&run->done);
    } else if (run->started < CALLS) {
        start_call(run);
    }
}

static const struct km_channel_call_ops call_ops = {.on_message = on_message,
                                                    .on_end = on_end};

static void start_call(struct run *run)
{
    static const char request[REQUEST_BYTES];
    const struct km_channel_call_options options = {
        .path = "/bench/Echo",
        .deadline = km_ns_after_ms(km_loop_now(run->loop), 10000),
        .wait_for_ready = true,
        .unary = true};
    struct km_channel_call *call;
    run->started++;
    need(km_channel_call_new(run->channel, &options, &call_ops, run, &call));
    need(km_channel_call_send(call, kama_bytes_make(request, sizeof request)));
    km_channel_call_half_close(call);
}

static void on_begin(struct km_mail *mail)
{
    struct run *run =
        (struct run *)(void *)((char *)mail - offsetof(struct run, begin));
    for (unsigned i = 0; i < run->at_a_time; i++) {
        start_call(run);
    }
}

static void on_freed(void *arg)
{
    km_event_set(arg);
}

static void on_close(struct km_mail *mail)
{
    struct run *run =
        (struct run *)(void *)((char *)mail - offsetof(struct run, end));
    km_channel_close(run->channel, on_freed, &run->freed);
}

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(struct km_loop *loop, const char *address,
                    unsigned at_a_time)
{
    struct run run = {.loop = loop, .at_a_time = at_a_time};
    const struct km_channel_options options = {.address = address};
    if (!km_event_init(&run.done) || !km_event_init(&run.freed)) {
        need(KAMA_ERR_NO_MEMORY);
    }
    run.begin.run = on_begin;
    run.end.run = on_close;
    need(km_channel_new(loop, &options, &run.channel));
    double before = cpu_ns();
    km_loop_post(loop, &run.begin);
    (void)km_event_wait(&run.done, KM_NS_NEVER);
    printf("unary call over a channel, %3u at a time, both sides  %5.0f ns\n",
           at_a_time, (cpu_ns() - before) / CALLS);
    km_loop_post(loop, &run.end);
    (void)km_event_wait(&run.freed, KM_NS_NEVER);
    km_event_fini(&run.freed);
    km_event_fini(&run.done);
}

static void on_drained(void *arg, unsigned cut)
{
    (void)cut;
    km_event_set(arg);
}

int main(void)
{
    static const struct km_server_method methods[] = {
        {.path = "/bench/Echo", .kind = KM_RPC_UNARY, .on_message = on_echo}};
    struct km_loop *loop;
    struct km_server *server;
    struct km_event drained;
    need(km_loop_new(NULL, NULL, 0, &loop));
    need(km_loop_start(loop));
    const struct km_server_options options = {.clock = km_clock_system(),
                                              .loops = &loop,
                                              .loop_count = 1,
                                              .methods = methods,
                                              .method_count = 1};
    need(km_server_new(&options, &server));
    need(km_server_listen(server, "127.0.0.1:0"));
    measure(loop, km_server_address(server), 1);
    measure(loop, km_server_address(server), 32);
    measure(loop, km_server_address(server), 128);
    if (!km_event_init(&drained)) {
        need(KAMA_ERR_NO_MEMORY);
    }
    km_server_drain(server, 1000, on_drained, &drained);
    (void)km_event_wait(&drained, KM_NS_NEVER);
    km_event_fini(&drained);
    km_loop_stop(loop);
    km_loop_join(loop);
    km_server_free(server);
    km_loop_free(loop);
    return 0;
}
