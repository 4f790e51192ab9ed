/* SPDX-License-Identifier: MIT */
/*
 * The sentences of the events. Each function tests first whether the group is
 * traced, so that a group without an observer formats nothing and does not read
 * the clock.
 */
#include "group/trace.h"

#include "base/bytes.h"
#include "base/status.h"
#include "base/text.h"
#include "group/observer.h"
#include "group/sentence.h"

#include <inttypes.h>

/* Makes an event about a key. The caller writes its message. */
static struct km_group_event about(const kama_group *group, const char *name,
                                   kama_bytes key)
{
    return (struct km_group_event){
        .name = name, .group = group->name, .key = key};
}

static void trace(const kama_group *group, struct km_group_event *event,
                  const char *message)
{
    event->message = message;
    group->observer->trace(group->observer->arg, event);
}

/* Events have nanoseconds, and their sentences microseconds. */
static uint64_t to_us(km_ns span)
{
    return span / 1000;
}

void km_trace_get_slow(const kama_group *group, enum km_get_step step,
                       kama_bytes key)
{
    static const char *const steps[] = {
        [KM_GET_HIT] = "answered from memory",
        [KM_GET_NEGATIVE] = "answered from memory: there is no such key",
        [KM_GET_ABSENT] = "not in memory, and not loaded",
        [KM_GET_LEADS] = "not in memory: starts a load",
        [KM_GET_JOINS] = "not in memory: waits for the load that is running"};
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "get", key);
    km_group_event_sentence(group, key, message, "%s", steps[step]);
    trace(group, &event, message);
}

void km_trace_answer_slow(const kama_group *group, kama_bytes key,
                          kama_status status, km_ns started_at)
{
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "get", key);
    event.status = status;
    event.took_ns = km_group_now(group) - started_at;
    km_group_event_sentence(group, key, message,
                            "answered with %s after %" PRIu64 " us",
                            kama_status_name(status), to_us(event.took_ns));
    trace(group, &event, message);
}

void km_trace_owner_asked_slow(const struct km_load *load)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "load", key);
    km_group_event_sentence(group, key, message, "%s", "the owner is asked");
    trace(group, &event, message);
}

void km_trace_owner_failed_slow(const struct km_load *load, const char *why)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "load", key);
    km_group_event_sentence(group, key, message, "the owner cannot answer: %s",
                            why);
    trace(group, &event, message);
}

void km_trace_load_start_slow(const struct km_load *load)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "load", key);
    km_group_event_sentence(group, key, message,
                            "the loader is called and has %" PRId64 " ms",
                            load->request.deadline_ms);
    trace(group, &event, message);
}

/* Returns how long the loader took, or 0 if it was not called. */
static km_ns took(const struct km_load *load)
{
    km_ns started_at = atomic_load(&load->started_at);
    return started_at == 0 ? 0 : km_group_now(load->group) - started_at;
}

/* Tells that a load has ended, and why its value is not kept if that is so. */
void km_trace_load_end_slow(const struct km_load *load)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    struct km_group_event event = about(group, "load", key);
    char message[KM_EVENT_BYTES_MAX];
    event.status = load->result.status;
    event.took_ns = took(load);
    char after[40] = "";
    if (event.took_ns > 0) { /* it is not known how long an owner took */
        (void)km_text_printf(after, sizeof after, " after %" PRIu64 " us",
                             to_us(event.took_ns));
    }
    km_group_event_sentence(
        group, key, message, "the load ended with %s%s%s",
        kama_status_name(event.status), after,
        km_fill_overtaken(&load->fill)
            ? "; it is not kept, because the key was changed meanwhile"
            : "");
    trace(group, &event, message);
}

/* A load is no failure of the origin if it was dropped because no caller waited
 * for it any more, or because the group was freed. */
static bool is_failure(const struct km_load *load)
{
    return (int)load->result.status < 0 &&
           load->result.status != KAMA_ERR_CANCELLED &&
           load->result.verdict != KM_LOAD_UNWANTED;
}

/* Returns whether the load's sentence names the group and the key. The sentence of
 * a loader does not. */
static bool names_the_group(const struct km_load *load)
{
    return km_bytes_starts(kama_bytes_str(load->sentence), KM_LIT("group "));
}

void km_tell_load_failure_slow(const struct km_load *load)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    char message[KM_EVENT_BYTES_MAX];
    if (group->observer == NULL || !is_failure(load)) {
        return;
    }
    struct km_group_event event = about(group, "load_failed", key);
    if (names_the_group(load)) {
        event.message = load->sentence;
    } else {
        km_group_event_sentence(group, key, message, "%s", load->sentence);
        event.message = message;
    }
    event.status = load->result.status;
    event.took_ns = took(load);
    group->observer->failed(group->observer->arg, &event);
}

void km_trace_load_late_slow(const struct km_load *load, kama_status returned)
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    char message[KM_EVENT_BYTES_MAX];
    struct km_group_event event = about(group, "load", key);
    event.status = returned;
    event.took_ns = took(load);
    km_group_event_sentence(group, key, message,
                            "the loader returned %s after %" PRIu64
                            " us, when the load had ended",
                            kama_status_name(returned), to_us(event.took_ns));
    trace(group, &event, message);
}
