/* SPDX-License-Identifier: MIT */
#include "sync/pin.h"

#include "base/container.h"

static struct km_sync_pin *find_pin(const struct km_sync *sync, uint64_t seq)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->pins) {
        struct km_sync_pin *pin =
            KM_CONTAINER_OF(node, struct km_sync_pin, node);
        if (pin->seq == seq) {
            return pin;
        }
    }
    return NULL;
}

static struct km_sync_pin *new_pin(struct km_sync *sync, uint64_t seq,
                                   kama_value *value)
{
    size_t bytes = kama_value_bytes(value).len;
    struct km_sync_pin *pin = NULL;
    if (sync->large_bytes + bytes <= KM_SYNC_LARGE_BYTES) {
        pin = km_mem_zalloc(sync->mem, 1, sizeof *pin);
    }
    if (pin != NULL) {
        pin->seq = seq;
        pin->value = kama_value_ref(value);
        sync->large_bytes += bytes;
        km_list_push_back(&sync->pins, &pin->node);
    }
    return pin;
}

struct km_sync_pin *km_sync_pin_take(struct km_sync *sync, uint64_t seq,
                                     kama_value *value)
{
    struct km_sync_pin *pin = find_pin(sync, seq);
    pin = pin != NULL ? pin : new_pin(sync, seq, value);
    if (pin != NULL) {
        pin->refs++;
    }
    return pin;
}

void km_sync_pin_give(struct km_sync *sync, struct km_sync_pin *pin)
{
    if (pin == NULL || --pin->refs > 0) {
        return;
    }
    km_list_remove(&pin->node);
    sync->large_bytes -= kama_value_bytes(pin->value).len;
    kama_value_unref(pin->value);
    km_mem_free(sync->mem, pin);
}
