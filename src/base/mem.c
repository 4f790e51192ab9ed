/* SPDX-License-Identifier: MIT */
/*
 * The default allocator, allocators of applications, copies of strings, and the
 * allocator that tests count with.
 *
 * The default allocator is recognised by its function, and malloc is then
 * called directly: an indirect call and a boundary would cost more than the
 * rest.
 */
#include "base/mem.h"

#include "base/boundary.h"

#include <stdint.h>
#include <stdlib.h>

static void *default_alloc(void *arg, size_t size)
{
    (void)arg;
    return malloc(size);
}

static void *default_resize(void *arg, void *p, size_t size)
{
    (void)arg;
    return realloc(p, size);
}

static void default_release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static const kama_allocator default_allocator = {
    .alloc = default_alloc,
    .resize = default_resize,
    .release = default_release,
};

/* Returns whether malloc can be called directly. */
static bool is_default(const kama_allocator *a)
{
    return a->alloc == default_alloc;
}

/* -- allocators of applications ------------------------------------------ */

static const kama_bytes no_key = {NULL, 0};

/* Calls the allocator of an application inside a boundary, as the next two
 * functions do. */
static KM_BOUNDARY_FUNCTION void *call_alloc(const kama_allocator *a,
                                             size_t size)
{
    KM_BOUNDARY_BEGIN("alloc of the allocator", NULL, no_key);
    void *p = a->alloc(a->arg, size);
    KM_BOUNDARY_END();
    return p;
}

static KM_BOUNDARY_FUNCTION void *call_resize(const kama_allocator *a, void *p,
                                              size_t size)
{
    KM_BOUNDARY_BEGIN("resize of the allocator", NULL, no_key);
    void *moved = a->resize(a->arg, p, size);
    KM_BOUNDARY_END();
    return moved;
}

static KM_BOUNDARY_FUNCTION void call_release(const kama_allocator *a, void *p)
{
    KM_BOUNDARY_BEGIN("release of the allocator", NULL, no_key);
    a->release(a->arg, p);
    KM_BOUNDARY_END();
}

/* -- any allocator ------------------------------------------------------- */

void *km_mem_alloc(const kama_allocator *a, size_t size)
{
    return is_default(a) ? malloc(size) : call_alloc(a, size);
}

void *km_mem_resize(const kama_allocator *a, void *p, size_t size)
{
    return is_default(a) ? realloc(p, size) : call_resize(a, p, size);
}

void km_mem_free(const kama_allocator *a, void *p)
{
    if (p == NULL) {
        return;
    }
    if (is_default(a)) {
        free(p);
    } else {
        call_release(a, p);
    }
}

const kama_allocator *km_mem_default(void)
{
    return &default_allocator;
}

const kama_allocator *km_mem_or_default(const kama_allocator *a)
{
    return a != NULL ? a : &default_allocator;
}

/* memset and not calloc, because kama_allocator has no such function. */
void *km_mem_zalloc(const kama_allocator *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    void *p = km_mem_alloc(a, total);
    if (p != NULL) {
        memset(p, 0, total);
    }
    return p;
}

void *km_mem_zalloc_aligned(const kama_allocator *a, size_t size, size_t align,
                            void **ret_block)
{
    *ret_block = km_mem_zalloc(a, 1, size + align);
    if (*ret_block == NULL) {
        return NULL;
    }
    uintptr_t behind = (uintptr_t)*ret_block + align - 1;
    return (void *)(behind - behind % align);
}

char *km_mem_strndup(const kama_allocator *a, const char *s, size_t n)
{
    if (n == SIZE_MAX) {
        return NULL;
    }
    char *copy = km_mem_alloc(a, n + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (n > 0) {
        memcpy(copy, s, n);
    }
    copy[n] = '\0';
    return copy;
}

char *km_mem_strdup(const kama_allocator *a, const char *s)
{
    return km_mem_strndup(a, s, strlen(s));
}

/* -- the probe ----------------------------------------------------------- */

/* Counts an allocation and returns whether it has to fail. */
static bool probe_fails(struct km_mem_probe *probe)
{
    long long n = atomic_fetch_add(&probe->allocs, 1) + 1;
    long long fail_at = atomic_load(&probe->fail_at);
    if (fail_at == 0) {
        return false;
    }
    return n == fail_at || (n > fail_at && atomic_load(&probe->sticky));
}

static void *probe_alloc(void *arg, size_t size)
{
    struct km_mem_probe *probe = arg;
    void *p = probe_fails(probe) ? NULL : malloc(size);
    if (p != NULL) {
        atomic_fetch_add(&probe->live_blocks, 1);
    }
    return p;
}

/* A resize of NULL is an allocation, and any other one keeps the number of
 * blocks. */
static void *probe_resize(void *arg, void *p, size_t size)
{
    struct km_mem_probe *probe = arg;
    void *moved = probe_fails(probe) ? NULL : realloc(p, size);
    if (moved != NULL && p == NULL) {
        atomic_fetch_add(&probe->live_blocks, 1);
    }
    return moved;
}

static void probe_release(void *arg, void *p)
{
    struct km_mem_probe *probe = arg;
    atomic_fetch_sub(&probe->live_blocks, 1);
    free(p);
}

void km_mem_probe_init(struct km_mem_probe *probe)
{
    probe->allocator = (kama_allocator){
        .alloc = probe_alloc,
        .resize = probe_resize,
        .release = probe_release,
        .arg = probe,
    };
    atomic_init(&probe->live_blocks, 0);
    atomic_init(&probe->allocs, 0);
    atomic_init(&probe->fail_at, 0);
    atomic_init(&probe->sticky, false);
}
