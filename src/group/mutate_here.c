/* SPDX-License-Identifier: MIT */
#include "group/mutate_here.h"

#include "group/group_internal.h"
#include "store/store_touch.h"

static void count_done(const struct km_mutate_op *op, kama_status status)
{
    if (op->from == KM_MUTATE_FOR_PEER) {
        km_group_count(op->group, KM_GROUP_MUTATIONS_SERVED);
    } else if (op->kind == KM_MUTATION_SET && status == KAMA_OK) {
        km_group_count(op->group, KM_GROUP_SETS);
    }
}

void km_mutate_name(struct km_mutate_op *op, uint64_t etag_key)
{
    op->etag_key = etag_key;
    if (op->ret_etag != NULL) {
        *op->ret_etag = etag_key != 0 ? km_item_etag(op->item, etag_key) : 0;
    }
}

/* Stores the item, of which the op keeps a reference until the store has it: the
 * store drops an item that it refuses, and the op's key is in the item. */
static kama_status put(struct km_mutate_op *op, uint64_t adoption)
{
    kama_value *item = kama_value_ref(op->item);
    kama_status st = km_store_put_if(op->group->store, adoption, op->hash, item,
                                     &op->condition);
    if (st == KAMA_OK) {
        km_mutate_name(op, km_item_etag_key(op->item));
        kama_value_unref(op->item);
        op->item = NULL;
    }
    return st;
}

static kama_status touch(struct km_mutate_op *op, uint64_t adoption)
{
    km_ns expires_at = 0;
    kama_status st =
        km_group_expiry(op->group, op->ttl_ms, op->hash, &expires_at);
    return st != KAMA_OK ? st
                         : km_store_touch(op->group->store, adoption, op->hash,
                                          op->key, expires_at);
}

kama_status km_mutate_here(struct km_mutate_op *op, uint64_t adoption)
{
    kama_status st = KAMA_ERR_INTERNAL;
    switch (op->kind) {
    case KM_MUTATION_SET:
        st = put(op, adoption);
        break;
    case KM_MUTATION_DELETE:
        st = km_store_del(op->group->store, adoption, op->hash, op->key);
        break;
    case KM_MUTATION_EXPIRE:
        st = touch(op, adoption);
        break;
    }
    if (st != KAMA_ERR_TRY_AGAIN) {
        count_done(op, st);
    }
    return st;
}
