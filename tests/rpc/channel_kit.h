/* SPDX-License-Identifier: MIT */
/*
 * The fixture of the tests of the channel: a loop with a channel, calls whose
 * outcome is collected and can be waited for, and a python gRPC server.
 */
#pragma once

#include "base/buf.h"
#include "net/net_kit.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

/* -- calls ---------------------------------------------------------------- */

struct caller {
    struct km_loop *loop;
    struct km_channel *channel;
    struct latch freed;
};

/* One call: its orders, and its outcome. */
struct outcome {
    struct caller *caller;
    struct km_channel_call_options options;
    int64_t timeout_ms; /* 0: none; an hour by default */
    const char *const *requests;
    size_t request_count;
    bool keep_open;       /* no half-close after the requests */
    unsigned cancel_at;   /* cancel in this message, 1 = the first */
    const char *farewell; /* sent, and half closed, after message say_at */
    unsigned say_at;
    struct km_channel_call *call; /* the loop's */
    kama_status started;
    struct km_buf messages; /* each with '|' behind it */
    unsigned count;
    kama_status status;
    int code;
    char text[300];
    enum km_channel_fate fate;
    struct latch got; /* messages */
    struct latch done;
};

static inline void outcome_message(void *arg, kama_bytes message)
{
    struct outcome *o = arg;
    o->count++;
    KM_ASSERT(km_buf_append(&o->messages, message.data, message.len) ==
              KAMA_OK);
    KM_ASSERT(km_buf_append(&o->messages, "|", 1) == KAMA_OK);
    if (o->count == o->cancel_at) {
        km_channel_call_cancel(o->call);
    }
    if (o->count == o->say_at) {
        KM_ASSERT(km_channel_call_send(o->call, kama_bytes_str(o->farewell)) ==
                  KAMA_OK);
        km_channel_call_half_close(o->call);
    }
    latch_hit(&o->got);
}

static inline void outcome_end(void *arg,
                               const struct km_channel_result *result)
{
    struct outcome *o = arg;
    KM_ASSERT(latch_count(&o->done) == 0);
    o->status = result->status;
    o->code = result->grpc_code;
    o->fate = result->fate;
    (void)snprintf(o->text, sizeof o->text, "%s", result->text);
    o->call = NULL;
    latch_hit(&o->done);
}

static const struct km_channel_call_ops outcome_ops = {
    .on_message = outcome_message, .on_end = outcome_end};

static inline void outcome_init(struct outcome *o, struct caller *caller,
                                const char *path)
{
    *o = (struct outcome){.caller = caller, .timeout_ms = 3600 * 1000};
    o->options.path = path;
    o->options.unary = true;
    km_buf_init(&o->messages, km_mem_default(), SIZE_MAX);
    latch_init(&o->got);
    latch_init(&o->done);
}

static inline void outcome_fini(struct outcome *o)
{
    km_buf_fini(&o->messages);
    latch_fini(&o->got);
    latch_fini(&o->done);
}

/* On the loop. */
static inline void outcome_start(void *arg)
{
    struct outcome *o = arg;
    o->options.deadline =
        o->timeout_ms == 0
            ? KM_NS_NEVER
            : km_ns_after_ms(km_loop_now(o->caller->loop), o->timeout_ms);
    o->started = km_channel_call_new(o->caller->channel, &o->options,
                                     &outcome_ops, o, &o->call);
    KM_ASSERT(latch_count(&o->done) == 0);
    if (o->started != KAMA_OK) {
        return;
    }
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < o->request_count && status == KAMA_OK; i++) {
        status = km_channel_call_send(o->call, kama_bytes_str(o->requests[i]));
    }
    if (status == KAMA_ERR_NO_MEMORY) {
        km_channel_call_cancel(o->call);
    } else if (!o->keep_open) {
        km_channel_call_half_close(o->call);
        km_channel_call_half_close(o->call);
    }
    KM_ASSERT(latch_count(&o->done) == 0);
}

static inline void outcome_cancel(void *arg)
{
    struct outcome *o = arg;
    if (o->call != NULL) {
        km_channel_call_cancel(o->call);
        km_channel_call_cancel(o->call);
    }
}

static inline void outcome_launch(struct outcome *o)
{
    on_loop(o->caller->loop, outcome_start, o);
    assert_int_equal(o->started, KAMA_OK);
}

static inline void outcome_run(struct outcome *o)
{
    outcome_launch(o);
    latch_wait(&o->done, 1);
}

/* One request, one expected end. */
static inline void expect_unary(struct caller *caller, const char *path,
                                const char *request, kama_status status,
                                int code, const char *messages,
                                const char *text)
{
    struct outcome o;
    outcome_init(&o, caller, path);
    o.requests = &request;
    o.request_count = 1;
    outcome_run(&o);
    if (o.status != status || o.code != code) {
        fail_msg("%s: %s (gRPC %d), \"%s\"", path, kama_status_name(o.status),
                 o.code, o.text);
    }
    assert_int_equal(o.messages.len, strlen(messages));
    if (o.messages.len > 0) {
        assert_memory_equal(o.messages.data, messages, o.messages.len);
    }
    if (text != NULL) {
        assert_string_equal(o.text, text);
    }
    outcome_fini(&o);
}

/* -- a channel ------------------------------------------------------------ */

static inline void caller_freed(void *arg)
{
    latch_hit(arg);
}

static inline void caller_close(void *arg)
{
    struct caller *caller = arg;
    km_channel_close(caller->channel, caller_freed, &caller->freed);
}

static inline kama_status caller_try_with(
    struct caller *caller, const struct km_channel_options *options)
{
    kama_status status = km_loop_new(options->mem, NULL, 0, &caller->loop);
    if (status != KAMA_OK) {
        return status;
    }
    status = km_channel_new(caller->loop, options, &caller->channel);
    if (status != KAMA_OK) {
        km_loop_free(caller->loop);
        return status;
    }
    latch_init(&caller->freed);
    assert_int_equal(km_loop_start(caller->loop), KAMA_OK);
    return KAMA_OK;
}

static inline kama_status caller_try(struct caller *caller,
                                     const kama_allocator *mem,
                                     const char *address, uint64_t max_bytes)
{
    return caller_try_with(
        caller, &(struct km_channel_options){.mem = mem,
                                             .address = address,
                                             .max_message_bytes = max_bytes});
}

static inline void caller_begin(struct caller *caller, const char *address)
{
    assert_int_equal(caller_try(caller, NULL, address, 0), KAMA_OK);
}

static inline void caller_end(struct caller *caller)
{
    on_loop(caller->loop, caller_close, caller);
    loop_end(caller->loop);
    assert_int_equal(latch_count(&caller->freed), 1);
    latch_fini(&caller->freed);
}

/* -- a python server ------------------------------------------------------ */

struct python {
    pid_t pid;
    int in; /* its standard input: a line is an order, the end is the end */
    FILE *out;
    char address[64];
};

/* Starts tests/rpc/grpcio_server.py on port (0: any) and waits until it
 * serves; false: python has no grpc here. */
static inline bool python_start(struct python *python, unsigned port)
{
    extern char **environ;
    int in[2];
    int out[2];
    char script[512];
    char number[16];
    posix_spawn_file_actions_t actions;
    const char *source = getenv("KAMA_SOURCE_DIR");
    (void)snprintf(script, sizeof script, "%s/tests/rpc/grpcio_server.py",
                   source != NULL ? source : ".");
    (void)snprintf(number, sizeof number, "%u", port);
    char *argv[] = {"/usr/bin/python3", script, number, NULL};
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(
        posix_spawn(&python->pid, argv[0], &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    python->in = in[1];
    python->out = fdopen(out[0], "r");
    char line[32];
    if (fgets(line, sizeof line, python->out) == NULL) {
        fail_msg("%s does not start", script);
    }
    (void)snprintf(python->address, sizeof python->address, "127.0.0.1:%d",
                   atoi(line));
    return atoi(line) > 0;
}

static inline unsigned python_port(const struct python *python)
{
    return (unsigned)atoi(strrchr(python->address, ':') + 1);
}

/* Ends it: in order (GOAWAY, running calls may end), or at once. */
static inline void python_stop(struct python *python, bool kill_it)
{
    if (kill_it) {
        (void)kill(python->pid, SIGKILL);
    }
    close(python->in);
    assert_int_equal(waitpid(python->pid, NULL, 0), python->pid);
    (void)fclose(python->out);
}
