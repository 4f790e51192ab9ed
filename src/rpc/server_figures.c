/* SPDX-License-Identifier: MIT */
/* A row is written by the thread of its loop alone, so that loading and storing is
 * enough to add; a reader sees each number whole. The last row is made with the
 * table, so that there is always one that can count. */
#include "rpc/server_figures.h"

#include "base/assert.h"
#include "base/status.h"
#include "rpc/server_call_life.h"

kama_status km_server_figures_init(struct km_server_figures_table *table,
                                   const kama_allocator *mem,
                                   size_t method_count)
{
    size_t count = method_count + 1;
    struct km_server_figures *last = km_mem_zalloc(mem, 1, sizeof *last);
    table->rows = km_mem_zalloc(mem, count, sizeof *table->rows);
    if (last == NULL || table->rows == NULL) {
        km_mem_free(mem, last);
        km_mem_free(mem, (void *)table->rows);
        *table = (struct km_server_figures_table){0};
        return KAMA_ERR_NO_MEMORY;
    }
    table->count = count;
    atomic_init(&table->rows[method_count], last);
    return KAMA_OK;
}

void km_server_figures_fini(struct km_server_figures_table *table,
                            const kama_allocator *mem)
{
    for (size_t i = 0; i < table->count; i++) {
        km_mem_free(mem, atomic_load(&table->rows[i]));
    }
    km_mem_free(mem, (void *)table->rows);
    *table = (struct km_server_figures_table){0};
}

/* Returns the row of a call's method; the last one is for calls without a method. */
static size_t row_of(const struct km_server_call *call)
{
    const struct km_server_options *options =
        &call->server_loop->server->options;
    return call->method != NULL ? (size_t)(call->method - options->methods)
                                : options->method_count;
}

/* Returns the figures of a row, which are made now if there are none; without memory
 * for them those of the last row. */
static struct km_server_figures *figures_of(struct km_server_loop *server_loop,
                                            size_t row)
{
    struct km_server_figures_table *table = &server_loop->figures;
    KM_ASSERT(row < table->count);
    struct km_server_figures *figures =
        atomic_load_explicit(&table->rows[row], memory_order_relaxed);
    if (KM_UNLIKELY(figures == NULL)) {
        figures = km_mem_zalloc(server_loop->server->mem, 1, sizeof *figures);
        atomic_store_explicit(&table->rows[row], figures, memory_order_release);
    }
    return figures != NULL
               ? figures
               : atomic_load_explicit(&table->rows[table->count - 1],
                                      memory_order_relaxed);
}

void km_server_figures_count(const struct km_server_call *call,
                             kama_status status)
{
    struct km_server_loop *server_loop = call->server_loop;
    struct km_server_figures *figures = figures_of(server_loop, row_of(call));
    km_ns now = km_clock_mono(server_loop->server->options.clock);
    _Atomic uint64_t *code = &figures->codes[km_status_grpc(status)];
    atomic_store_explicit(code,
                          atomic_load_explicit(code, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    km_histogram_record(&figures->times,
                        now > call->begun_at ? now - call->begun_at : 0);
}

size_t km_server_figures_rows(const struct km_server *server)
{
    return server->options.method_count + 1;
}

static void add(struct km_server_figures_sum *sum,
                const struct km_server_figures *figures)
{
    for (unsigned code = 0; code < KM_STATUS_GRPC_CODES; code++) {
        sum->codes[code] +=
            atomic_load_explicit(&figures->codes[code], memory_order_relaxed);
    }
    km_histogram_add(&sum->times, &figures->times);
}

bool km_server_figures_read(const struct km_server *server, size_t row,
                            struct km_server_figures_sum *ret_sum)
{
    memset(ret_sum->codes, 0, sizeof ret_sum->codes);
    km_histogram_init(&ret_sum->times);
    ret_sum->method = row < server->options.method_count
                          ? &server->options.methods[row]
                          : NULL;
    for (unsigned i = 0; i < server->options.loop_count; i++) {
        struct km_server_figures_table *table =
            &server->server_loops[i].figures;
        const struct km_server_figures *figures =
            atomic_load_explicit(&table->rows[row], memory_order_acquire);
        if (figures != NULL) {
            add(ret_sum, figures);
        }
    }
    return km_histogram_count(&ret_sum->times) > 0;
}
