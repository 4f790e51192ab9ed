/* SPDX-License-Identifier: MIT */
/* A loop answers with one store to its beat, which needs no lock: a loop never
 * waits for the thread that asks. */
#include "net/pulse.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/text.h"

bool km_pulse_init(struct km_pulse *pulse)
{
    km_list_init(&pulse->beats);
    return km_mutex_init(&pulse->lock, KM_RANK_PULSE);
}

void km_pulse_fini(struct km_pulse *pulse)
{
    KM_ASSERT(km_list_empty(&pulse->beats));
    km_mutex_fini(&pulse->lock);
}

static void on_mail(struct km_mail *mail)
{
    struct km_beat *beat = KM_CONTAINER_OF(mail, struct km_beat, mail);
    atomic_store(&beat->answered, true);
}

void km_pulse_add(struct km_pulse *pulse, struct km_beat *beat,
                  struct km_loop *loop, const char *name)
{
    KM_ASSERT(km_loop_is_started(loop));
    beat->loop = loop;
    beat->mail.run = on_mail;
    atomic_init(&beat->answered, true);
    (void)km_text_printf(beat->name, sizeof beat->name, "%s", name);
    km_mutex_lock(&pulse->lock);
    km_list_push_back(&pulse->beats, &beat->node);
    km_mutex_unlock(&pulse->lock);
}

void km_pulse_remove(struct km_pulse *pulse, struct km_beat *beat)
{
    km_mutex_lock(&pulse->lock);
    if (beat->node.next != NULL) {
        km_list_remove(&beat->node);
    }
    km_mutex_unlock(&pulse->lock);
}

void km_pulse_ask(struct km_pulse *pulse, km_ns now)
{
    struct km_list *link;
    struct km_list *next;
    km_mutex_lock(&pulse->lock);
    KM_LIST_FOREACH(link, next, &pulse->beats) {
        struct km_beat *beat = KM_CONTAINER_OF(link, struct km_beat, node);
        if (atomic_load(&beat->answered)) {
            atomic_store(&beat->answered, false);
            beat->asked_at = now;
            km_loop_post(beat->loop, &beat->mail);
        }
    }
    km_mutex_unlock(&pulse->lock);
}

/* Returns how long the loop has not answered. */
static km_ns age_of(const struct km_beat *beat, km_ns now)
{
    bool waits = !atomic_load(&beat->answered) && now > beat->asked_at;
    return waits ? now - beat->asked_at : 0;
}

size_t km_pulse_late(struct km_pulse *pulse, km_ns now, km_ns limit,
                     struct km_pulse_late *ret_late, size_t cap)
{
    struct km_list *link;
    struct km_list *next;
    size_t count = 0;
    KM_ASSERT(limit > 0);
    km_mutex_lock(&pulse->lock);
    KM_LIST_FOREACH(link, next, &pulse->beats) {
        const struct km_beat *beat =
            KM_CONTAINER_OF(link, struct km_beat, node);
        km_ns age = age_of(beat, now);
        if (age >= limit && count < cap) {
            memcpy(ret_late[count].name, beat->name, sizeof beat->name);
            ret_late[count++].age = age;
        }
    }
    km_mutex_unlock(&pulse->lock);
    return count;
}
