/* SPDX-License-Identifier: MIT */
/* Where the value of an answer came from: the numbers of kama.v2.Source that this
 * version uses. */
#pragma once

#include "group/get_op.h"

enum km_source {
    KM_SOURCE_NONE = 0,   /* there is no answer yet */
    KM_SOURCE_LOCAL = 1,  /* from the memory of this node */
    KM_SOURCE_PEER = 2,   /* from the owner of the key */
    KM_SOURCE_LOADER = 3, /* from a load that this node has made */
};

/* Returns the source of the answer of a get that has ended. */
static inline enum km_source km_source_of(const struct km_get_op *op)
{
    switch (op->source) {
    case KM_GET_FROM_MEMORY:
        return KM_SOURCE_LOCAL;
    case KM_GET_FROM_PEER:
        return KM_SOURCE_PEER;
    case KM_GET_FROM_LOADER:
        break;
    }
    return KM_SOURCE_LOADER;
}
