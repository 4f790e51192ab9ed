/* SPDX-License-Identifier: MIT */
/*
 * The answer of a loader: the status that the callers get, the item that the store
 * keeps, and a sentence for an error about which the loader said nothing.
 *
 *     loader                callers              store
 *     KAMA_OK, a value      KAMA_OK              the value, unless NO_STORE
 *     KAMA_MISS             KAMA_MISS            "does not exist" for a while
 *     an error              that error, or       nothing
 *                           KAMA_ERR_LOADER
 *     anything too late     KAMA_ERR_TIMEOUT     nothing
 *
 *     struct km_load_answer answer = {.status = st, .item = item, .sentence = ""};
 *     km_load_complete(load, &answer);
 *
 * Cost: one allocation to remember that a key does not exist, and the steps of
 * km_load_end. Threads: any thread, without a lock held. Errors: none. Without
 * memory the callers still get their answer, and the store keeps nothing.
 * Ownership: km_load_complete takes the item and borrows the rest.
 */
#pragma once

#include "group/load/load.h"

/* The answer of a loader, from its sink or from kama_load_finish. */
struct km_load_answer {
    kama_status status;   /* as the loader returned it */
    kama_value *item;     /* the value that was set: a reference, or NULL */
    const char *sentence; /* borrowed; may be empty */
    struct km_load_keep keep;
};

/* Ends the load with the loader's answer, or drops the answer if the load has
 * ended before. Takes the item. */
void km_load_complete(struct km_load *load,
                      const struct km_load_answer *answer);

/* Makes the item that says "does not exist". Returns NULL if that shall not be
 * remembered, or without memory. */
kama_value *km_load_absence(struct km_load *load,
                            const struct km_load_keep *keep);

/* Writes the sentence of a load that did not end within loader_timeout_ms. */
void km_load_describe_timeout(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);

/* Writes the sentence of a load whose loader gave a value or options that were
 * refused. The reason is taken from the calling thread's last error. */
void km_load_describe_refusal(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);
