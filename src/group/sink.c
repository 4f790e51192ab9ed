/* SPDX-License-Identifier: MIT */
/* What a loader calls: results, sentences, results that come later. */
#include "group/load.h"

#include "base/status.h"

kama_status km_load_make_item(struct km_load *load, kama_bytes value,
                              const kama_sink_options *options,
                              kama_value **ret_item)
{
    kama_group *group = load->group;
    kama_sink_options own;
    kama_sink_options_init(&own);
    kama_status st = options == NULL ? KAMA_OK
                                     : km_struct_read(&own, sizeof own, options,
                                                      "sink options");
    struct km_item_spec spec = {
        .key = kama_bytes_make(load->key, load->key_len), .value = value};
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
    kama_value *item = km_store_item_new(group->store, &spec);
    if (item == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a value");
    }
    km_item_pin(item);
    *ret_item = item;
    return KAMA_OK;
}

/* Options that are wrong are the loader's mistake, whose own
 * KAMA_ERR_INVALID would say that it refuses the key. */
static kama_status blame_loader(kama_status st)
{
    return st == KAMA_ERR_INVALID ? KAMA_ERR_LOADER : st;
}

kama_status kama_sink_set(kama_sink *out, kama_bytes value,
                          const kama_sink_options *options)
{
    kama_value *item;
    kama_status st = km_load_make_item(out->load, value, options, &item);
    if (st != KAMA_OK) {
        out->failed = blame_loader(st);
        kama_sink_error(out, km_last_error());
        return st;
    }
    kama_value_unref(out->item);
    out->item = item;
    out->failed = KAMA_OK;
    return KAMA_OK;
}

void kama_sink_error(kama_sink *out, const char *sentence)
{
    size_t n = strnlen(sentence, sizeof out->sentence - 1);
    memcpy(out->sentence, sentence, n);
    out->sentence[n] = '\0';
}

kama_deferred *kama_load_defer(kama_sink *out)
{
    struct km_load *load = out->load;
    if (!load->was_deferred) {
        load->was_deferred = true;
        km_load_ref(load);
    }
    return &load->deferred;
}

void kama_load_finish(kama_deferred *deferred, kama_status status,
                      kama_bytes value, const kama_sink_options *options)
{
    struct km_load *load = deferred->load;
    kama_group *group = load->group;
    kama_value *item = NULL;
    if (km_group_enter(group)) {
        if (status == KAMA_OK) {
            status = blame_loader(
                km_load_make_item(load, value, options, &item));
            km_load_complete(load, status, item,
                             status == KAMA_OK ? "" : km_last_error());
        } else {
            km_load_complete(load, status, NULL, "");
        }
        km_group_leave(group);
    }
    km_load_unref(load);
}
