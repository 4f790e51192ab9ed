/* SPDX-License-Identifier: MIT */
/*
 * Pages: where the memory of a store comes from, by runs of whole pages.
 *
 *     void *run = km_pages_alloc(pages, 65536);
 *     km_pages_free(pages, run, 65536);
 *
 * Pages are taken from the system in ranges of 4 MiB, which are never unmapped while
 * the pages live. So a thread that still reads a run that was freed sees zeros or
 * foreign bytes, and no fault:
 *
 *     range   | run | run | free, warm | run | free, cold | ...
 *
 * A free page is warm while it is resident, and is used again first. When more than
 * a share of max_bytes is warm, the next run that is freed goes back to the system
 * (MADV_DONTNEED). Warm pages count as used.
 *
 * A range may consist of two pages of 2 MiB, which the processor finds sooner. Such a
 * page is resident as a whole, so that only runs which fill ranges without holes have
 * them: the segments and lines of a store, but not its blocks. The first write to such a
 * page makes 2 MiB resident, which takes some 250 microseconds, and milliseconds in a
 * virtual machine whose host has none ready. So a range can also be advised when it
 * is full, and the kernel gathers its pages in the background. Otherwise ranges are told
 * to have small pages, whatever the system does by itself.
 *
 * A run of more than 2 MiB is a mapping of its own, and is unmapped when it is freed; or
 * later in parts, because unmapping 64 MiB takes some milliseconds.
 * With an allocator of the application, every run comes from that, and a thread
 * must not read a run that was freed.
 *
 * Cost: a search in one bit map of 128 bytes. Threads: any. Errors: NULL without
 * memory. Ownership: the pages belong to an account (store/account.h).
 */
#pragma once

#include "base/sync.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>

struct km_page_range;
struct km_leaving_run;
struct km_account;

#define KM_PAGE_BYTES 4096u

/* Which pages of the system a store wants. */
enum km_huge_pages {
    KM_HUGE_PAGES_AUTO, /* 2 MiB for a store of at least KM_HUGE_BYTES_MIN */
    KM_HUGE_PAGES_ON,
    KM_HUGE_PAGES_OFF
};

/* When a range gets pages of 2 MiB. */
enum km_pages_huge {
    KM_PAGES_SMALL,        /* never */
    KM_PAGES_HUGE_IF_FULL, /* when it is full, until a part is given back */
    KM_PAGES_HUGE_AT_ONCE  /* when a page is written for the first time */
};

#define KM_HUGE_BYTES_MIN (UINT64_C(64) << 20)

struct km_pages {
    struct km_account *account;
    struct km_mutex lock; /* protects everything below */
    struct km_page_range **ranges;
    uint32_t *slots;   /* a hash table of the bases: number + 1; 0: free */
    uint16_t *longest; /* of each range, not less than its longest free run */
    uint32_t count;
    uint32_t cap;
    struct km_leaving_run *leaving; /* mappings that are unmapped in parts */
    atomic_bool has_leaving;
    uint64_t warm;      /* pages */
    bool store_is_gone; /* then no page stays warm */
    enum km_pages_huge huge;
    bool is_own; /* pages come from the system, not from an allocator */
    bool
        are_read_late; /* free pages may be read, so that they are not poisoned */
};

/* The readers of a run that was freed. */
enum km_pages_use {
    KM_PAGES_READ_LATE, /* threads that look without a lock, and find out */
    KM_PAGES_PRIVATE    /* nobody: AddressSanitizer reports it */
};

/* Makes pages without a range. Returns false if the system has no resources. */
bool km_pages_init(struct km_pages *pages, struct km_account *account,
                   enum km_pages_use use);
/* Lets the ranges that are mapped from now on have pages of 2 MiB, if the system has
 * any. */
void km_pages_want_huge(struct km_pages *pages, enum km_pages_huge huge);
/* Unmaps the ranges, of which no run is in use. */
void km_pages_fini(struct km_pages *pages);

/* Returns a run of at least n bytes, whose contents are undefined, and charges it to
 * the account. It is aligned to a page, or to 16 bytes with an allocator. NULL
 * without memory. */
void *km_pages_alloc(struct km_pages *pages, size_t n);

/* Gives a run back, which was taken with the same n, and discharges it. */
void km_pages_free(struct km_pages *pages, void *run, size_t n);

/* Gives the memory of a run back and discharges it, but keeps its addresses from being
 * used for something else. Only for pages that are the store's own. */
void km_pages_rest(struct km_pages *pages, void *run, size_t n);
/* Charges a run that rests, for use again. Its contents are undefined. */
void km_pages_wake(struct km_pages *pages, size_t n);

/* Does the same, but of a large mapping it unmaps a part only; km_pages_leave does the
 * rest, which stays charged until then. */
void km_pages_free_slowly(struct km_pages *pages, void *run, size_t n);

/* Returns whether there are runs of which parts are left to be unmapped. */
static inline bool km_pages_has_leaving(const struct km_pages *pages)
{
    return atomic_load_explicit(&pages->has_leaving, memory_order_relaxed);
}

/* Unmaps a part of such a run: one MiB. Does nothing if there is none. */
void km_pages_leave(struct km_pages *pages);

/* Gives all warm pages back to the system, and keeps none from now on if the store
 * is gone. */
void km_pages_trim(struct km_pages *pages, bool store_is_gone);

/* The bytes that are charged beside the runs in use. */
struct km_pages_rest {
    uint64_t warm_bytes;    /* free pages that are resident */
    uint64_t head_bytes;    /* of the ranges */
    uint64_t leaving_bytes; /* of mappings that are unmapped in parts */
};

/* Tells what is charged beside the runs that are in use. */
void km_pages_rest_get(struct km_pages *pages, struct km_pages_rest *ret_rest);

/* Returns how many bytes are charged for a run of n bytes. */
size_t km_pages_bytes(const struct km_pages *pages, size_t n);
