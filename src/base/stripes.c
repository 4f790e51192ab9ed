/* SPDX-License-Identifier: MIT */
/* A stripe is complete when it is published, and it is published once. If two
 * threads make the same stripe, the second one frees its own and uses the first. */
#include "base/stripes.h"

#include "base/thread.h"

void km_stripes_init(struct km_stripes *stripes, const kama_allocator *mem)
{
    stripes->mem = mem;
    km_histogram_init(&stripes->first);
    for (unsigned i = 0; i < KM_STRIPES - 1; i++) {
        atomic_init(&stripes->more[i], NULL);
    }
}

void km_stripes_fini(struct km_stripes *stripes)
{
    for (unsigned i = 0; i < KM_STRIPES - 1; i++) {
        km_mem_free(stripes->mem, atomic_load(&stripes->more[i]));
    }
}

/* Makes the stripe at this place, unless another thread has just made it. Returns
 * NULL without memory. */
static struct km_histogram *make(struct km_stripes *stripes,
                                 _Atomic(struct km_histogram *) *place)
{
    struct km_histogram *made = km_mem_alloc(stripes->mem, sizeof *made);
    struct km_histogram *found = NULL;
    if (made == NULL) {
        return NULL;
    }
    km_histogram_init(made);
    if (!atomic_compare_exchange_strong(place, &found, made)) {
        km_mem_free(stripes->mem, made);
        return found;
    }
    return made;
}

/* Returns the stripe of the calling thread's cell, or the first one if there is no
 * memory for it. */
static struct km_histogram *own_stripe(struct km_stripes *stripes)
{
    unsigned i = km_thread_cell() % KM_STRIPES;
    if (i == 0) {
        return &stripes->first;
    }
    _Atomic(struct km_histogram *) *place = &stripes->more[i - 1];
    struct km_histogram *own =
        atomic_load_explicit(place, memory_order_acquire);
    if (own == NULL) {
        own = make(stripes, place);
    }
    return own != NULL ? own : &stripes->first;
}

void km_stripes_record(struct km_stripes *stripes, uint64_t ns)
{
    km_histogram_record(own_stripe(stripes), ns);
}

void km_stripes_read(const struct km_stripes *stripes,
                     struct km_histogram *ret_sum)
{
    km_histogram_init(ret_sum);
    km_histogram_add(ret_sum, &stripes->first);
    for (unsigned i = 0; i < KM_STRIPES - 1; i++) {
        const struct km_histogram *stripe =
            atomic_load_explicit(&stripes->more[i], memory_order_acquire);
        if (stripe != NULL) {
            km_histogram_add(ret_sum, stripe);
        }
    }
}
