/* SPDX-License-Identifier: MIT */
/*
 * Rules of the store and of its loads that a test can break, to see that they are needed.
 *
 *     if (KM_STORE_KEEPS(KM_STORE_R4_FLOOR)) { ... the rule ... }
 *
 * In the product each rule is kept: the question is a constant. The tests compile some
 * folders once more with KAMA_BREAKABLE, and set bits of km_store_broken.
 *
 * Threads: a test sets the bits before it begins. Errors: none. Ownership: nothing.
 * Cost: none in the product.
 */
#pragma once

#include <stdbool.h>

enum km_store_rule {
    KM_STORE_R4_FLOOR = 1 << 0,  /* a deletion raises the floor */
    KM_STORE_R4_DETACH = 1 << 1, /* nobody joins a load that was overtaken */
    KM_STORE_R5_FLOOR = 1 << 2,  /* forgetting an entry raises the floor */
    KM_STORE_TOKEN = 1 << 3      /* R7, R8: what was overtaken is not kept */
};

#ifdef KAMA_BREAKABLE
extern unsigned km_store_broken;
#define KM_STORE_KEEPS(rule) ((km_store_broken & (unsigned)(rule)) == 0)
#else
#define KM_STORE_KEEPS(rule) true
#endif
