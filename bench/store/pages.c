/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include "base/assert.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static size_t whole_pages(size_t bytes)
{
    return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* One more page is mapped, and the parts before and behind the wanted memory are
 * unmapped again. */
void *bench_pages_map(size_t bytes, enum bench_pages pages)
{
    size_t wanted = whole_pages(bytes);
    uint8_t *all = mmap(NULL, wanted + HUGE_PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    KM_ASSERT(all != MAP_FAILED);
    size_t before = (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0) {
        (void)munmap(all, before);
    }
    if (before < HUGE_PAGE) {
        (void)munmap(all + before + wanted, HUGE_PAGE - before);
    }
    if (pages != BENCH_PAGES_DEFAULT) {
        /* A kernel without huge pages refuses, and has small ones anyway. */
        (void)madvise(all + before, wanted,
                      pages == BENCH_PAGES_HUGE ? MADV_HUGEPAGE
                                                : MADV_NOHUGEPAGE);
    }
    return all + before;
}

void bench_pages_unmap(void *memory, size_t bytes)
{
    if (memory != NULL) {
        (void)munmap(memory, whole_pages(bytes));
    }
}
