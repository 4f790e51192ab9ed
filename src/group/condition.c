/* SPDX-License-Identifier: MIT */
#include "group/condition.h"

#include "base/status.h"

_Static_assert((int)KAMA_SET_ALWAYS == (int)KM_PUT_ALWAYS &&
                   (int)KAMA_SET_IF_ABSENT == (int)KM_PUT_IF_ABSENT &&
                   (int)KAMA_SET_IF_PRESENT == (int)KM_PUT_IF_PRESENT &&
                   (int)KAMA_SET_IF_MATCH == (int)KM_PUT_IF_MATCH,
               "the numbers of the API are those of the store");

kama_status km_condition_init(uint32_t number, uint64_t etag,
                              struct km_put_condition *ret_condition)
{
    if (number > KAMA_SET_IF_MATCH) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "condition: %u is not in this version, which has 0..%u",
                       number, (unsigned)KAMA_SET_IF_MATCH);
    }
    if (number == KAMA_SET_IF_MATCH && etag == 0) {
        return km_fail(
            KAMA_ERR_INVALID,
            "if_etag: 0 is the etag of no value; take that of the value that "
            "is to be replaced");
    }
    if (number != KAMA_SET_IF_MATCH && etag != 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "if_etag: an etag is only for the condition "
                       "KAMA_SET_IF_MATCH");
    }
    *ret_condition = (struct km_put_condition){.kind = (enum km_put_kind)number,
                                               .etag = etag};
    return KAMA_OK;
}

/* A refusal is an everyday answer, so its sentence is a short one: one that names
 * the group and quotes the key takes 2 us. */
kama_status km_condition_answer(const struct km_put_condition *condition,
                                kama_status status)
{
    if (condition->kind == KM_PUT_IF_ABSENT && status == KAMA_ERR_EXISTS) {
        return km_fail(status, "nothing was changed: the key has a value");
    }
    if (condition->kind == KM_PUT_IF_MATCH &&
        (status == KAMA_ERR_EXISTS || status == KAMA_MISS)) {
        return km_fail(KAMA_ERR_TRY_AGAIN,
                       "nothing was changed: %s; read the key again",
                       status == KAMA_MISS ? "the key has no value"
                                           : "the value has another etag");
    }
    return status;
}
