/* SPDX-License-Identifier: MIT */
/*
 * The public functions that a loader calls: it sets a value or says that there is
 * none, gives a sentence about an error, and defers its answer.
 *
 * A value is copied into an item when it is set, and the item goes to the store
 * as it is. A call that is refused is remembered in the sink, because a loader may
 * ignore the error of the call and still return KAMA_OK.
 */
#include "group/load/answer.h"

#include "base/assert.h"
#include "base/status.h"
#include "base/struct.h"

#include <inttypes.h>

static kama_status read_options(const kama_sink_options *options,
                                kama_sink_options *ret_options)
{
    *ret_options = (kama_sink_options){.struct_size = sizeof *ret_options};
    if (options == NULL) {
        return KAMA_OK;
    }
    kama_status st = km_struct_read(ret_options, sizeof *ret_options, options,
                                    "sink options");
    if (st == KAMA_OK && (ret_options->flags & ~(uint32_t)KAMA_NO_STORE) != 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "sink options: flags %u: one is not known",
                       ret_options->flags);
    }
    return st;
}

/* Makes the item of a value, and writes how long it may be kept. The value is copied.
 * Errors: KAMA_ERR_TOO_LARGE, KAMA_ERR_INVALID, KAMA_ERR_OVERLOADED,
 * KAMA_ERR_NO_MEMORY. */
static kama_status make_item(struct km_load *load, kama_bytes value,
                             const kama_sink_options *options,
                             struct km_load_keep *ret_keep,
                             kama_value **ret_item)
{
    kama_group *group = load->group;
    kama_sink_options own;
    struct km_item_spec spec = {
        .key = kama_bytes_make(load->key, load->key_len), .value = value};
    kama_status st = read_options(options, &own);
    if (st == KAMA_OK) {
        st = km_group_check_value(group, value);
    }
    if (st == KAMA_OK) {
        spec.version = own.version;
        st = km_group_expiry(group, own.ttl_ms, load->call.hash,
                             &spec.expires_at);
    }
    if (st != KAMA_OK) {
        return st;
    }
    st = km_store_may_hold(group->store, value.len);
    if (st != KAMA_OK) {
        return st;
    }
    kama_value *item = km_store_item_new(group->store, &spec);
    if (item == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a value");
    }
    *ret_keep = (struct km_load_keep){.flags = own.flags};
    *ret_item = item;
    return KAMA_OK;
}

static kama_status read_absence(const kama_sink_options *options,
                                struct km_load_keep *ret_keep)
{
    kama_sink_options own;
    kama_status st = read_options(options, &own);
    if (st == KAMA_OK && own.ttl_ms < KAMA_TTL_FOREVER) {
        st =
            km_fail(KAMA_ERR_INVALID,
                    "ttl_ms: %" PRId64 " is neither > 0, 0 nor -1", own.ttl_ms);
    }
    if (st == KAMA_OK) {
        *ret_keep = (struct km_load_keep){.flags = own.flags,
                                          .absent_ttl_ms = own.ttl_ms};
    }
    return st;
}

/* Options that are wrong are a mistake of the loader. They must not reach the
 * callers as KAMA_ERR_INVALID, which would say that the loader refuses the key. */
static kama_status blame_loader(kama_status st)
{
    return st == KAMA_ERR_INVALID ? KAMA_ERR_LOADER : st;
}

/* Keeps the reason for which a call of the loader was refused, in case the loader
 * ignores the error. Returns st. */
static kama_status remember_failure(kama_sink *out, kama_status st)
{
    out->failed = blame_loader(st);
    km_load_describe_refusal(out->load, out->sentence);
    return st;
}

kama_status kama_sink_set(kama_sink *out, kama_bytes value,
                          const kama_sink_options *options)
{
    kama_value *item;
    kama_status st = make_item(out->load, value, options, &out->keep, &item);
    if (st != KAMA_OK) {
        return remember_failure(out, st);
    }
    kama_value_unref(out->item);
    out->item = item;
    out->failed = KAMA_OK;
    return KAMA_OK;
}

kama_status kama_sink_absent(kama_sink *out, const kama_sink_options *options)
{
    kama_status st = read_absence(options, &out->keep);
    if (st != KAMA_OK) {
        return remember_failure(out, st);
    }
    kama_value_unref(out->item);
    out->item = NULL;
    out->failed = KAMA_OK;
    return KAMA_MISS;
}

static void keep_sentence(const char *sentence, char kept[KM_ERROR_BYTES_MAX])
{
    size_t n = strnlen(sentence, KM_ERROR_BYTES_MAX);
    (void)km_text_clean(kama_bytes_make(sentence, n), kept, KM_ERROR_BYTES_MAX);
}

void kama_sink_error(kama_sink *out, const char *sentence)
{
    keep_sentence(sentence, out->sentence);
}

kama_deferred *kama_load_defer(kama_sink *out)
{
    struct km_load *load = out->load;
    KM_ASSERT(out == &load->sink);
    if (!load->was_deferred) {
        load->was_deferred = true;
        km_group_ref(load->group);
        km_load_ref(load);
    }
    return &load->deferred;
}

/* The sentence does not go into the sink's buffer, because the thread of the
 * loader may be inside kama_sink_error at the same time. */
void kama_load_error(kama_deferred *deferred, const char *sentence)
{
    keep_sentence(sentence, deferred->sentence);
}

void kama_load_finish(kama_deferred *deferred, kama_status status,
                      kama_bytes value, const kama_sink_options *options)
{
    struct km_load *load = deferred->load;
    kama_group *group = load->group;
    KM_ASSERT(load->was_deferred && deferred == &load->deferred);
    struct km_load_answer answer = {.status = status,
                                    .sentence = deferred->sentence};
    if (km_gate_enter(&group->gate)) {
        kama_status st = KAMA_OK;
        if (status == KAMA_OK) {
            st = make_item(load, value, options, &answer.keep, &answer.item);
        } else if (status == KAMA_MISS) {
            st = read_absence(options, &answer.keep);
        }
        if (st != KAMA_OK) {
            answer.status = blame_loader(st);
            km_load_describe_refusal(load, deferred->sentence);
        }
        km_load_complete(load, &answer);
        km_gate_leave(&group->gate);
    }
    km_load_unref(load);
}
