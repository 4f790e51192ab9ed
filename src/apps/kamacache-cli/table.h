/* SPDX-License-Identifier: MIT */
/*
 * A table for people, whose columns are as wide as their widest cell.
 *
 *     struct cli_table table;
 *     cli_table_init(&table, 2, "lr");
 *     cli_table_text(&table, "ADDR");
 *     cli_table_text(&table, "LATENCY");
 *     for (...) {
 *         cli_table_quoted(&table, address);
 *         cli_table_text(&table, "%.3fms", ms);
 *     }
 *     code = cli_table_print(&table);
 *
 *     ADDR            LATENCY
 *     127.0.0.1:8001        -
 *     127.0.0.1:8002  0.212ms
 *
 * Cells are added from left to right and line by line. Nothing is padded behind the
 * last column.
 *
 * Threads: the main thread. Cost: a copy of each cell. Errors: a cell for which
 * there is no memory makes the printing fail. Ownership: texts are copied.
 */
#pragma once

#include "cli.h"

struct cli_table {
    size_t columns;
    const char *sides; /* 'l' or 'r' for each column */
    char **cells;      /* owned */
    size_t count;
    size_t cap;
    bool failed;
};

/* sides: borrowed until the table is printed. */
void cli_table_init(struct cli_table *table, size_t columns, const char *sides);

/* Add one cell: a text that is safe for a terminal, or bytes of the network, which
 * are quoted if necessary. */
void cli_table_text(struct cli_table *table, const char *fmt, ...)
    KAMA_PRINTF(2, 3);
void cli_table_quoted(struct cli_table *table, kama_bytes bytes);

/* Prints the table, or a sentence if memory was short, and frees it. */
enum cli_exit cli_table_print(struct cli_table *table);

/* Frees the table without printing it. */
void cli_table_fini(struct cli_table *table);
