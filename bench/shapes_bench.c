/* SPDX-License-Identifier: MIT */
/*
 * Compares ways to lay the small items of a cache out in memory: a log of segments, slabs,
 * and a block of malloc for each item. They are small models without locks, beside a
 * whole group. docs/ARCHITECTURE.md has the table and the conclusions.
 *
 *   shapes_bench [--items N] [--rounds N] [--quick] [--json]
 *
 * A figure is a median of the rounds; --json has the 10th and the 90th percentile as
 * well. The shapes are in bench/shapes/, and the kit is that of store_bench.
 */
#include "shapes/cases.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 1000000u
#define ITEMS_QUICK 50000u
#define ROUNDS 25u
#define ROUNDS_QUICK 3u

struct wish {
    unsigned items, rounds;
    bool quick, json;
};

static _Noreturn void usage(const char *wrong)
{
    (void)fprintf(stderr,
                  "shapes_bench: \"%s\" is not an option, or has no number "
                  "from 1 to 10000000 behind it\n"
                  "usage: shapes_bench [--items N] [--rounds N] [--quick] "
                  "[--json]\n",
                  wrong);
    exit(2);
}

static unsigned number(const char *name, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != 0 || n < 1 || n > 10000000) {
        usage(name);
    }
    return (unsigned)n;
}

/* Reads one option, and returns how many words it has. */
static int read_option(struct wish *wish, const char *name, const char *next)
{
    if (strcmp(name, "--items") == 0) {
        wish->items = number(name, next);
        return 2;
    }
    if (strcmp(name, "--rounds") == 0) {
        wish->rounds = number(name, next);
        return 2;
    }
    if (strcmp(name, "--quick") == 0) {
        wish->quick = true;
    } else if (strcmp(name, "--json") == 0) {
        wish->json = true;
    } else {
        usage(name);
    }
    return 1;
}

static struct wish read_command_line(int argc, char **argv)
{
    struct wish wish = {0};
    for (int i = 1; i < argc;) {
        i += read_option(&wish, argv[i], i + 1 < argc ? argv[i + 1] : "");
    }
    if (wish.items == 0) {
        wish.items = wish.quick ? ITEMS_QUICK : ITEMS;
    }
    if (wish.rounds == 0) {
        wish.rounds = wish.quick ? ROUNDS_QUICK : ROUNDS;
    }
    return wish;
}

int main(int argc, char **argv)
{
    struct wish wish = read_command_line(argc, argv);
    struct shape_run run = {
        .table = shape_table_new(), .items = wish.items, .rounds = wish.rounds};
    /* The thread that takes the turns uses the blocks of the one that filled. */
    (void)mallopt(M_ARENA_MAX, 1);
    shape_case_memory(&run);
    shape_case_turns(&run);
    shape_case_room(&run);
    if (wish.json) {
        shape_table_print_json(run.table, wish.items);
    } else {
        shape_table_print(run.table);
    }
    shape_table_free(run.table);
    return 0;
}
