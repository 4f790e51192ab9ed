/* SPDX-License-Identifier: MIT */
#include "services/parked.h"

#include "base/container.h"
#include "base/mem.h"
#include "base/status.h"

static void on_mail(struct km_mail *mail)
{
    struct km_service_parked *parked =
        KM_CONTAINER_OF(mail, struct km_service_parked, mail);
    struct km_server_call *call = km_server_call_of_state(parked);
    parked->reply(call, parked->status, parked->text);
    km_mem_free(parked->env->mem, parked->text);
    km_server_call_release(call);
}

void km_service_parked_init(struct km_server_call *call,
                            km_service_answer_fn reply)
{
    struct km_service_parked *parked = km_server_call_state(call);
    parked->env = km_service_env_of(call);
    parked->reply = reply;
    parked->mail.run = on_mail;
}

void km_service_parked_go_on(struct km_server_call *call, kama_status status)
{
    struct km_service_parked *parked = km_server_call_state(call);
    if (status == KAMA_DEFERRED) {
        km_service_env_park(parked->env);
        km_server_call_hold(call);
        return;
    }
    const char *text = (int)status < 0 ? km_last_error() : "";
    parked->reply(call, status, text[0] != '\0' ? text : NULL);
}

/* As soon as the mail is posted, the loop may run it and free the call. */
void km_service_parked_end(struct km_service_parked *parked, kama_status status,
                           const char *sentence)
{
    struct km_service_env *env = parked->env;
    struct km_loop *loop = km_server_call_loop(km_server_call_of_state(parked));
    parked->status = status;
    if ((int)status < 0 && sentence[0] != '\0') {
        parked->text = km_mem_strdup(env->mem, sentence);
    }
    km_loop_post(loop, &parked->mail);
    km_service_env_unpark(env);
}
