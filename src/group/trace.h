/* SPDX-License-Identifier: MIT */
/*
 * Telling the observer of a group (observer.h) what happens to gets and loads.
 * Each of these does nothing when nobody follows the group.
 * Thread-safety: any thread, without a lock held. Errors: none.
 */
#pragma once

#include "group/load/load.h"

/* How a get goes on whose key was looked for in memory. */
enum km_get_step {
    KM_GET_HIT,
    KM_GET_NEGATIVE, /* known not to exist */
    KM_GET_ABSENT,   /* not there, and not to be loaded */
    KM_GET_LEADS,    /* not there: starts a load */
    KM_GET_JOINS     /* not there: waits for the load that is running */
};

void km_trace_get_slow(const kama_group *group, enum km_get_step step,
                       kama_bytes key);
static inline void km_trace_get(const kama_group *group, enum km_get_step step,
                                kama_bytes key)
{
    if (KM_UNLIKELY(group->is_traced)) {
        km_trace_get_slow(group, step, key);
    }
}

/* km_trace_get for what a look into memory has answered. */
static inline void km_trace_memory(const kama_group *group, kama_status status,
                                   kama_bytes key)
{
    if (KM_UNLIKELY(group->is_traced)) {
        km_trace_get_slow(group,
                          status == KAMA_MISS         ? KM_GET_NEGATIVE
                          : status == KAMA_WOULD_LOAD ? KM_GET_ABSENT
                                                      : KM_GET_HIT,
                          key);
    }
}

/* A get that had to wait is answered; it was started at started_at. */
void km_trace_answer_slow(const kama_group *group, kama_bytes key,
                          kama_status status, km_ns started_at);
static inline void km_trace_answer(const kama_group *group, kama_bytes key,
                                   kama_status status, km_ns started_at)
{
    if (KM_UNLIKELY(group->is_traced)) {
        km_trace_answer_slow(group, key, status, started_at);
    }
}

/* The owner of the key is about to be asked. */
void km_trace_owner_asked_slow(const struct km_load *load);
static inline void km_trace_owner_asked(const struct km_load *load)
{
    if (KM_UNLIKELY(load->group->is_traced)) {
        km_trace_owner_asked_slow(load);
    }
}

/* The owner cannot answer, and this node goes on by itself; why is a
 * sentence. */
void km_trace_owner_failed_slow(const struct km_load *load, const char *why);
static inline void km_trace_owner_failed(const struct km_load *load,
                                         const char *why)
{
    if (KM_UNLIKELY(load->group->is_traced)) {
        km_trace_owner_failed_slow(load, why);
    }
}

/* The loader is about to be called. */
void km_trace_load_start_slow(const struct km_load *load);
static inline void km_trace_load_start(const struct km_load *load)
{
    if (KM_UNLIKELY(load->group->is_traced)) {
        km_trace_load_start_slow(load);
    }
}

/* The load has ended. */
void km_trace_load_end_slow(const struct km_load *load);
static inline void km_trace_load_end(const struct km_load *load)
{
    if (KM_UNLIKELY(load->group->is_traced)) {
        km_trace_load_end_slow(load);
    }
}

/* Tells the observer of a load that has failed for its callers; every observer
 * learns of that. */
void km_tell_load_failure_slow(const struct km_load *load);
static inline void km_tell_load_failure(const struct km_load *load)
{
    if (KM_UNLIKELY((int)load->result.status < 0)) {
        km_tell_load_failure_slow(load);
    }
}

/* The loader has answered a load that had ended before. */
void km_trace_load_late_slow(const struct km_load *load, kama_status returned);
static inline void km_trace_load_late(const struct km_load *load,
                                      kama_status returned)
{
    if (KM_UNLIKELY(load->group->is_traced)) {
        km_trace_load_late_slow(load, returned);
    }
}
