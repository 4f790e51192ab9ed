/* SPDX-License-Identifier: MIT */
/*
 * The calls are made and ended on the loop alone; the caller sleeps until the last
 * one has ended. Then the loop closes the channels, which may have to wait for a
 * name that is still being resolved: that cannot be called off. So the end of the
 * loop is left to a thread of its own, for which the caller does not wait long:
 *
 *     caller                        reaper
 *     waits for `done`
 *     starts the reaper ----------> closes the channels, joins the loop
 *     waits for `reaped`, but not   sets `reaped`
 *     for ever
 *               the last one of the two frees the fan
 */
#include "rpc/fan.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/event.h"
#include "base/status.h"
#include "base/text.h"
#include "base/thread.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"

#include <stdatomic.h>

/* So long the end of the loop is waited for. */
#define REAP_MS 200

struct km_fan {
    struct km_fan_call *calls; /* the caller's: not after `done` */
    size_t count;
    struct km_channel **channels; /* of the calls; NULL: none */
    atomic_uint refs;             /* of the caller and of the reaper */
    size_t waiting; /* calls that have not ended, and 1 while they are made */
    km_ns deadline;
    int64_t timeout_ms;
    enum km_fan_patience patience;
    struct km_loop *loop;
    struct km_mail start_mail;
    struct km_mail close_mail;
    struct km_event done;
    struct km_event reaped;
};

void km_fan_call_init(struct km_fan_call *call, const char *address,
                      const char *path, kama_bytes message)
{
    *call = (struct km_fan_call){
        .address = address, .path = path, .message = message};
    km_buf_init(&call->reply, km_mem_default(), SIZE_MAX);
}

void km_fan_call_fini(struct km_fan_call *call)
{
    km_buf_fini(&call->reply);
}

static uint64_t wall_ms(void)
{
    return km_clock_wall_us() / 1000;
}

/* -- on the loop ----------------------------------------------------------- */

static void one_less(struct km_fan *fan)
{
    KM_ASSERT(fan->waiting > 0);
    if (--fan->waiting == 0) {
        km_event_set(&fan->done);
    }
}

static void cancel_others(struct km_fan *fan)
{
    for (size_t i = 0; i < fan->count; i++) {
        if (fan->calls[i].call != NULL) {
            km_channel_call_cancel(fan->calls[i].call);
        }
    }
}

static void end(struct km_fan_call *call, kama_status status, const char *text)
{
    call->status = status;
    call->end_ms = wall_ms();
    (void)km_text_printf(call->text, sizeof call->text, "%s", text);
}

static void on_message(void *arg, kama_bytes message)
{
    struct km_fan_call *call = arg;
    if (km_buf_append(&call->reply, message.data, message.len) != KAMA_OK) {
        km_channel_call_cancel(call->call);
    }
}

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct km_fan_call *call = arg;
    struct km_fan *fan = call->fan;
    bool succeeded = km_status_is_success(result->status);
    call->call = NULL;
    end(call, succeeded ? KAMA_OK : result->status,
        succeeded ? "" : result->text);
    if (succeeded && fan->patience == KM_FAN_FIRST) {
        cancel_others(fan);
    }
    one_less(fan);
}

static const struct km_channel_call_ops call_ops = {.on_message = on_message,
                                                    .on_end = on_end};

/* Makes one call. Errors: it was not made. */
static kama_status make_call(struct km_fan *fan, size_t index)
{
    struct km_fan_call *call = &fan->calls[index];
    const struct km_channel_options channel = {
        .mem = km_mem_default(),
        .clock = km_clock_system(),
        .address = call->address,
        .connect_timeout_ms = fan->timeout_ms,
    };
    const struct km_channel_call_options options = {
        .path = call->path, .deadline = fan->deadline, .unary = true};
    kama_status st = km_channel_new(fan->loop, &channel, &fan->channels[index]);
    if (st == KAMA_OK) {
        st = km_channel_call_new(fan->channels[index], &options, &call_ops,
                                 call, &call->call);
    }
    if (st != KAMA_OK) {
        return st;
    }
    fan->waiting++;
    if (km_channel_call_send(call->call, call->message) == KAMA_OK) {
        km_channel_call_half_close(call->call);
    } else {
        km_channel_call_cancel(call->call);
    }
    return KAMA_OK;
}

static void start(struct km_mail *mail)
{
    struct km_fan *fan = KM_CONTAINER_OF(mail, struct km_fan, start_mail);
    for (size_t i = 0; i < fan->count; i++) {
        struct km_fan_call *call = &fan->calls[i];
        call->begin_ms = wall_ms();
        km_last_error_clear();
        kama_status st = make_call(fan, i);
        if (st != KAMA_OK) {
            end(call, st,
                km_last_error()[0] != '\0' ? km_last_error()
                                           : kama_strerror(st));
        }
    }
    one_less(fan);
}

static void close_channels(struct km_mail *mail)
{
    struct km_fan *fan = KM_CONTAINER_OF(mail, struct km_fan, close_mail);
    for (size_t i = 0; i < fan->count; i++) {
        if (fan->channels[i] != NULL) {
            km_channel_close(fan->channels[i], NULL, NULL);
        }
    }
}

/* -- life ------------------------------------------------------------------ */

static void fan_unref(struct km_fan *fan)
{
    if (fan != NULL && atomic_fetch_sub(&fan->refs, 1) == 1) {
        km_event_fini(&fan->done);
        km_event_fini(&fan->reaped);
        km_loop_free(fan->loop);
        km_mem_free(km_mem_default(), fan->channels);
        km_mem_free(km_mem_default(), fan);
    }
}

/* Makes the two events of a fan. */
static bool make_events(struct km_fan *fan)
{
    if (!km_event_init(&fan->done)) {
        return false;
    }
    if (!km_event_init(&fan->reaped)) {
        km_event_fini(&fan->done);
        return false;
    }
    return true;
}

/* Makes a fan without a loop, and with one reference. */
static struct km_fan *fan_new(struct km_fan_call *calls, size_t count)
{
    const kama_allocator *mem = km_mem_default();
    struct km_fan *fan = km_mem_zalloc(mem, 1, sizeof *fan);
    if (fan == NULL) {
        return NULL;
    }
    fan->calls = calls;
    fan->count = count;
    fan->waiting = 1;
    fan->start_mail.run = start;
    fan->close_mail.run = close_channels;
    atomic_init(&fan->refs, 1);
    fan->channels = km_mem_zalloc(mem, count + 1, sizeof *fan->channels);
    if (fan->channels == NULL || !make_events(fan)) {
        km_mem_free(mem, fan->channels);
        km_mem_free(mem, fan);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        calls[i].fan = fan;
    }
    return fan;
}

/* -- the end of the loop --------------------------------------------------- */

static void *reap(void *arg)
{
    struct km_fan *fan = arg;
    km_loop_post(fan->loop, &fan->close_mail);
    km_loop_stop(fan->loop);
    km_loop_join(fan->loop);
    km_event_set(&fan->reaped);
    fan_unref(fan);
    return NULL;
}

/* Ends the loop, at once if there is no thread for that. */
static void end_loop(struct km_fan *fan)
{
    pthread_t reaper;
    (void)atomic_fetch_add(&fan->refs, 1);
    if (km_thread_start(&reaper, "kama-fan", reap, fan)) {
        (void)pthread_detach(reaper);
        (void)km_event_wait(&fan->reaped, REAP_MS * KM_NS_PER_MS);
    } else {
        (void)reap(fan);
    }
}

/* -- the caller's side ----------------------------------------------------- */

kama_status km_fan(struct km_fan_call *calls, size_t count, int64_t timeout_ms,
                   enum km_fan_patience patience)
{
    struct km_fan *fan = fan_new(calls, count);
    if (fan == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    fan->deadline =
        km_ns_after_ms(km_clock_mono(km_clock_system()), timeout_ms);
    fan->timeout_ms = timeout_ms;
    fan->patience = patience;
    kama_status st =
        km_loop_new(km_mem_default(), km_clock_system(), 0, &fan->loop);
    if (st == KAMA_OK) {
        st = km_loop_start(fan->loop);
    }
    if (st == KAMA_OK) {
        km_loop_post(fan->loop, &fan->start_mail);
        (void)km_event_wait(&fan->done, KM_NS_NEVER);
        end_loop(fan);
    }
    fan_unref(fan);
    return st;
}
