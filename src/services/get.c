/* SPDX-License-Identifier: MIT */
/* A get may end on another thread before km_group_get_start has returned
 * KAMA_DEFERRED. That is harmless: the thread only writes the result and posts
 * a mail, and mails run after the handler has returned to the loop. */
#include "services/get.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "services/service.h"

/* Runs on the loop of the call. If the call has ended meanwhile, nobody can be
 * answered, and only memory and the hold are given back. */
static void on_answer(struct km_mail *mail)
{
    struct km_service_get *get =
        KM_CONTAINER_OF(mail, struct km_service_get, mail);
    struct km_server_call *call = km_server_call_of_state(get);
    struct km_get_result result = {.status = get->status,
                                   .value = get->value,
                                   .text = get->text,
                                   .source = km_source_of(&get->op)};
    KM_ASSERT(get->state == KM_SERVICE_GET_PARKED);
    get->state = KM_SERVICE_GET_IDLE;
    if (!km_server_call_ended(call)) {
        get->reply(call, &result);
    }
    kama_value_unref(get->value);
    km_mem_free(get->env->mem, get->text);
    km_server_call_release(call);
}

/* Runs on a pool thread. As soon as the mail is posted, the loop may run it and
 * free the call, so nothing of the call's state is used after that. The park
 * may not even be counted yet (env.c). */
static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct km_service_get *get = KM_CONTAINER_OF(op, struct km_service_get, op);
    struct km_service_env *env = get->env;
    struct km_loop *loop = km_server_call_loop(km_server_call_of_state(get));
    get->status = status;
    get->value = value;
    if (status < 0 && sentence[0] != '\0') {
        get->text = km_mem_strdup(env->mem, sentence);
    }
    get->mail.run = on_answer;
    km_loop_post(loop, &get->mail);
    km_service_env_unpark(env);
}

/* The get waits for room no more. Returns its key, owned. */
static char *take_key(struct km_service_get *get)
{
    char *key = get->key;
    KM_ASSERT(get->state == KM_SERVICE_GET_WAITS_FOR_ROOM && key != NULL);
    get->key = NULL;
    get->state = KM_SERVICE_GET_IDLE;
    return key;
}

void km_service_get_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_get *get = km_server_call_state(call);
    if (get->state == KM_SERVICE_GET_WAITS_FOR_ROOM) {
        km_mem_free(get->env->mem, take_key(get));
    } else if (get->state == KM_SERVICE_GET_PARKED &&
               km_get_op_cancel(&get->op)) {
        get->state = KM_SERVICE_GET_IDLE;
        km_service_env_unpark(get->env);
        km_server_call_release(call);
    }
}

/* The hold keeps the state, into which the pool thread writes, until the mail
 * has run. */
static void park(struct km_service_get *get, struct km_server_call *call)
{
    get->state = KM_SERVICE_GET_PARKED;
    km_service_env_park(get->env);
    km_server_call_hold(call);
}

/* Answers a get that has ended at once. value: taken. */
static void answer(struct km_server_call *call, kama_status status,
                   kama_value *value, km_service_reply_fn reply)
{
    struct km_get_result result = {
        .status = status, .value = value, .source = KM_SOURCE_LOCAL};
    if (status < 0) {
        km_service_fail(call, status);
        return;
    }
    reply(call, &result);
    kama_value_unref(value);
}

/* Asks the group for the key. A load may take the time that the client gave to
 * the call, and no longer. */
static void begin(struct km_server_call *call, kama_bytes key)
{
    struct km_service_get *get = km_server_call_state(call);
    kama_value *value = NULL;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = get->flags;
    ctx.deadline_ms = km_server_call_deadline_ms(call);
    ctx.traceparent = km_service_traceparent(get->traceparent);
    get->op.done = on_done;
    km_last_error_clear();
    kama_status st = km_get_op_start(get->group, &get->op, key, &ctx, &value);
    if (st == KAMA_DEFERRED) {
        park(get, call);
        return;
    }
    answer(call, st, value, get->reply);
}

static void wait_for_room(struct km_server_call *call, kama_bytes key)
{
    struct km_service_get *get = km_server_call_state(call);
    get->key = km_mem_alloc(get->env->mem, key.len);
    if (get->key == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    memcpy(get->key, key.data, key.len);
    get->key_bytes = key.len;
    get->state = KM_SERVICE_GET_WAITS_FOR_ROOM;
}

void km_service_get_writable(struct km_server_call *call)
{
    struct km_service_get *get = km_server_call_state(call);
    if (get->state != KM_SERVICE_GET_WAITS_FOR_ROOM ||
        !km_server_call_writable(call)) {
        return;
    }
    char *key = take_key(get);
    begin(call, kama_bytes_make(key, get->key_bytes));
    km_mem_free(get->env->mem, key);
}

/* A key whose length is not permitted does not wait for room: kama_get refuses
 * it at once, and it is not copied. */
void km_service_get_start(struct km_server_call *call, kama_group *group,
                          kama_bytes key, uint32_t flags,
                          km_service_reply_fn reply)
{
    struct km_service_get *get = km_server_call_state(call);
    KM_ASSERT(get->state == KM_SERVICE_GET_IDLE && get->reply == NULL);
    get->env = km_service_env_of(call);
    get->group = group;
    get->flags = flags;
    get->reply = reply;
    km_service_traceparent_read(call, get->traceparent);
    if (key.len == 0 || key.len > KM_KEY_BYTES_MAX ||
        km_server_call_writable(call)) {
        begin(call, key);
    } else {
        wait_for_room(call, key);
    }
}
