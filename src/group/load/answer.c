/* SPDX-License-Identifier: MIT */
/*
 * A loader's answer is checked in this order: an answer after the load's deadline
 * is a timeout, whatever it says; a status that a loader must not return becomes
 * KAMA_ERR_LOADER; and an error without a sentence of the loader's own gets one
 * that says what the loader did.
 */
#include "group/load/answer.h"

#include "base/assert.h"
#include "base/status.h"
#include "group/sentence.h"
#include "group/trace.h"

#include <inttypes.h>

/* Returns the status that callers get for a loader's answer. */
static kama_status map_status(kama_status status, const kama_value *item)
{
    switch (status) {
    case KAMA_OK:
        return item != NULL ? KAMA_OK : KAMA_ERR_LOADER;
    case KAMA_MISS:
    case KAMA_ERR_INVALID:
    case KAMA_ERR_TIMEOUT:
    case KAMA_ERR_TOO_LARGE:
    case KAMA_ERR_NO_MEMORY:
    case KAMA_ERR_OVERLOADED:
    case KAMA_ERR_CANCELLED:
        return status;
    default:
        return KAMA_ERR_LOADER;
    }
}

/* Returns whether the number is a status of this version. */
static bool is_known(kama_status status)
{
    return strcmp(kama_status_name(status), "KAMA_ERR_UNKNOWN") != 0;
}

/* Writes a sentence about an answer that callers receive as an error. */
static void describe(const struct km_load *load, kama_status returned,
                     char ret_sentence[KM_ERROR_BYTES_MAX])
{
    const kama_group *group = load->group;
    kama_bytes key = km_load_key_bytes(load);
    const char *name = kama_status_name(returned);
    if (returned == KAMA_ERR_REENTRANT) {
        km_group_sentence(group, key, ret_sentence,
                          "the loader was called from inside its own load");
    } else if (returned == KAMA_OK) {
        km_group_sentence(group, key, ret_sentence,
                          "the loader returned KAMA_OK without a value");
    } else if (returned == KAMA_DEFERRED) {
        km_group_sentence(
            group, key, ret_sentence,
            "the loader returned KAMA_DEFERRED without kama_load_defer");
    } else if (!is_known(returned)) {
        km_group_sentence(group, key, ret_sentence,
                          "the loader returned %d, which is no kama_status",
                          (int)returned);
    } else if ((int)returned > 0) {
        km_group_sentence(group, key, ret_sentence,
                          "the loader returned %s, which is no answer", name);
    } else {
        km_group_sentence(group, key, ret_sentence,
                          "the loader returned %s and gave no reason", name);
    }
}

void km_load_describe_refusal(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX])
{
    km_group_sentence(load->group, km_load_key_bytes(load), ret_sentence,
                      "the loader's answer was refused: %s", km_last_error());
}

void km_load_describe_timeout(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX])
{
    const kama_group *group = load->group;
    const struct km_group_config *config = &group->config;
    kama_bytes key = km_load_key_bytes(load);
    if (atomic_load(&load->started_at) != 0) {
        km_group_sentence(group, key, ret_sentence,
                          "the loader did not answer within its time of "
                          "%" PRId64 " ms",
                          config->loader_timeout_ms);
    } else {
        km_group_sentence(group, key, ret_sentence,
                          "the load did not begin within %" PRId64
                          " ms; %u others may run at a time",
                          config->loader_timeout_ms, km_group_loads_max(group));
    }
}

kama_value *km_load_absence(struct km_load *load,
                            const struct km_load_keep *keep)
{
    int64_t ttl_ms = load->group->config.negative_ttl_ms;
    if (ttl_ms == 0 || (keep->flags & KAMA_NO_STORE) != 0 ||
        load->fill.purpose != KM_FILL_TO_KEEP) {
        return NULL;
    }
    if (keep->absent_ttl_ms > 0 && keep->absent_ttl_ms < ttl_ms) {
        ttl_ms = keep->absent_ttl_ms;
    }
    struct km_item_spec spec = {
        .key = kama_bytes_make(load->key, load->key_len),
        .negative = true,
        .expires_at = km_ns_after_ms(km_group_now(load->group), ttl_ms)};
    return km_store_item_now(load->group->store, &spec);
}

/* Returns the item that the store shall keep, as a view: the value, the item that
 * says "does not exist", or NULL. */
static kama_value *kept(const struct km_load *load,
                        const struct km_load_outcome *outcome,
                        kama_value *negative, const struct km_load_keep *keep)
{
    if (load->fill.purpose != KM_FILL_TO_KEEP) {
        return NULL;
    }
    if (negative != NULL) {
        return negative;
    }
    return (keep->flags & KAMA_NO_STORE) != 0 ? NULL : outcome->value;
}

void km_load_complete(struct km_load *load, const struct km_load_answer *answer)
{
    kama_group *group = load->group;
    KM_ASSERT(answer->sentence != NULL);
    char own[KM_ERROR_BYTES_MAX];
    km_ns now = km_group_now(group);
    struct km_load_outcome o = {.now = now, .sentence = answer->sentence};
    bool late = now >= km_load_late_at(load);
    o.status =
        late ? KAMA_ERR_TIMEOUT : map_status(answer->status, answer->item);
    if (!late && (int)o.status < 0 && now >= load->loader_deadline) {
        o.verdict = KM_LOAD_LEADER_LATE;
    }
    if (late) {
        km_load_describe_timeout(load, own);
        o.sentence = own;
    } else if ((int)o.status < 0 && answer->sentence[0] == '\0') {
        describe(load, answer->status, own);
        o.sentence = own;
    }
    o.value = o.status == KAMA_OK ? answer->item : NULL;
    kama_value *negative =
        o.status == KAMA_MISS ? km_load_absence(load, &answer->keep) : NULL;
    o.stored = kept(load, &o, negative, &answer->keep);
    if (!km_load_end(load, &o)) {
        km_trace_load_late(load, answer->status);
    }
    kama_value_unref(negative);
    kama_value_unref(answer->item);
}
