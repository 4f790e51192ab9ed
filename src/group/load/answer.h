/* SPDX-License-Identifier: MIT */
/*
 * What a loader's answer means for the callers and for the store, and the
 * sentence about it when the loader gave none.
 *
 *     loader                callers              store
 *     KAMA_OK, a value      KAMA_OK              the value, unless NO_STORE
 *     KAMA_MISS             KAMA_MISS            "does not exist" for a while
 *     an error              that error, or       nothing
 *                           KAMA_ERR_LOADER
 *     anything too late     KAMA_ERR_TIMEOUT     nothing
 *
 * Threads: any. Errors: none; without memory nothing is kept.
 */
#pragma once

#include "group/load/load.h"

/* What a loader said. */
struct km_load_answer {
    kama_status status;
    kama_value *item;     /* with KAMA_OK: a pinned reference; else NULL */
    const char *sentence; /* borrowed; may be empty */
    struct km_load_keep keep;
};

/* Ends the load with what the loader said. Takes the item. */
void km_load_complete(struct km_load *load,
                      const struct km_load_answer *answer);

/* Writes the sentence of a load whose time is over. */
void km_load_describe_timeout(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);

/* Writes the sentence of a load whose loader gave a value or options that were
 * refused just now; the reason is the thread's last error. */
void km_load_describe_refusal(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);
