/* SPDX-License-Identifier: MIT */
#include "services/many_items.h"

#include "base/container.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#define VARINT_BYTES_MAX 10

/* -- mutations ------------------------------------------------------------- */

static void on_mutated(struct km_mutate_op *op, kama_status status,
                       const char *sentence)
{
    struct km_many_slot *slot =
        KM_CONTAINER_OF(op, struct km_many_slot, op.mutate);
    slot->unsynced = km_unsynced_ref(op->unsynced);
    slot->done(slot, status, sentence);
}

static kama_status mutate(struct km_many_slot *slot, struct km_many_turn *turn,
                          struct km_mutate_order *order)
{
    order->from = KM_MUTATE_FOR_CALLER;
    order->patience = KM_MUTATE_PARKS;
    order->answers = KM_MUTATE_ANSWERS_CLIENT;
    order->ctx = turn->ctx;
    order->sends = &turn->sends;
    slot->op.mutate.done = on_mutated;
    return km_mutate_op_start(turn->group, &slot->op.mutate, order);
}

/* A valid element can still fail, for lack of memory or because its owner cannot
 * be reached. The status answers the element, and the others go on. It is
 * negative then, which as a varint takes the most bytes. */
static kama_status status_number(kama_status status, uint64_t *ret_number)
{
    *ret_number = (uint64_t)(int64_t)status;
    return KAMA_OK;
}

/* -- MSet ------------------------------------------------------------------ */

/* Returns false if the element is no message of an entry. */
static bool read_entry(kama_bytes element, kama_set_item *ret_item)
{
    struct km_msg_mset_entry entry;
    if (km_pb_decode(&km_msg_mset_entry_pb, element, &entry) != KAMA_OK) {
        return false;
    }
    *ret_item = (kama_set_item){entry.key, entry.value, entry.ttl_ms};
    return true;
}

static kama_status check_entry(const kama_group *group, kama_bytes element)
{
    kama_set_item item;
    return read_entry(element, &item)
               ? km_group_check_item(group, &item)
               : km_fail(KAMA_ERR_MALFORMED,
                         "the bytes are not an encoded entry");
}

static kama_status set_entry(struct km_many_slot *slot,
                             struct km_many_turn *turn, kama_bytes element)
{
    kama_set_item item;
    if (!read_entry(element, &item)) {
        return KAMA_ERR_MALFORMED;
    }
    struct km_mutate_order order = {.kind = KM_MUTATION_SET,
                                    .key = item.key,
                                    .value = item.value,
                                    .ttl_ms = item.ttl_ms};
    return mutate(slot, turn, &order);
}

const struct km_many_ops km_many_mset_ops = {"entries", check_entry, set_entry,
                                             status_number, VARINT_BYTES_MAX};

/* -- MDelete --------------------------------------------------------------- */

static kama_status check_key(const kama_group *group, kama_bytes key)
{
    (void)group;
    return km_group_check_key(key);
}

static kama_status delete_key(struct km_many_slot *slot,
                              struct km_many_turn *turn, kama_bytes key)
{
    struct km_mutate_order order = {.kind = KM_MUTATION_DELETE, .key = key};
    return mutate(slot, turn, &order);
}

const struct km_many_ops km_many_mdelete_ops = {
    "keys", check_key, delete_key, status_number, VARINT_BYTES_MAX};

/* -- Exists ---------------------------------------------------------------- */

static void on_peeked(struct km_peek_op *op, kama_status status, int64_t ttl_ms,
                      const char *sentence)
{
    struct km_many_slot *slot =
        KM_CONTAINER_OF(op, struct km_many_slot, op.peek);
    (void)ttl_ms;
    slot->done(slot, status, sentence);
}

static kama_status look_for(struct km_many_slot *slot,
                            struct km_many_turn *turn, kama_bytes key)
{
    int64_t ttl_ms;
    slot->op.peek.done = on_peeked;
    return km_peek_op_start(turn->group, &slot->op.peek, KM_MUTATE_PARKS, key,
                            turn->ctx, &ttl_ms);
}

/* A bool cannot say that the owner was not asked, so the call fails. */
static kama_status found_number(kama_status status, uint64_t *ret_number)
{
    *ret_number = status == KAMA_OK;
    return (int)status < 0 ? status : KAMA_OK;
}

const struct km_many_ops km_many_exists_ops = {"keys", check_key, look_for,
                                               found_number, 1};
