/* SPDX-License-Identifier: MIT */
/*
 * The resident bytes per item beyond its payload: for items of 16 + 100 bytes
 * that were just set, and after every key was overwritten twice in random order
 * with sizes that differ by up to 50 %.
 *
 *   memory_bench [ITEMS]
 */
#include "base/assert.h"

#include <kamacache/kamacache.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_BYTES 16
#define VALUE_BYTES 100

static double resident(void)
{
    unsigned long total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    KM_ASSERT(f != NULL);
    KM_ASSERT(fscanf(f, "%lu %lu", &total, &pages) == 2);
    (void)fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void set(kama_group *group, unsigned i, size_t value_bytes)
{
    uint8_t key[KEY_BYTES] = {0}, value[VALUE_BYTES * 2] = {0};
    memcpy(key, &i, sizeof i);
    kama_status st = kama_set(group, KAMA_BYTES(key, sizeof key),
                              KAMA_BYTES(value, value_bytes), NULL);
    KM_ASSERT(st == KAMA_OK);
}

static void report(kama_group *group, const char *what, double base)
{
    kama_group_stats s;
    kama_group_stats_get(group, &s);
    double n = (double)s.entries;
    double payload = (double)s.value_bytes / n;
    printf("%s: %.0f items, payload %.1f B, over it: resident %.1f B, "
           "accounted %.1f B\n",
           what, n, payload, (resident() - base) / n - payload,
           (double)s.bytes / n - payload);
}

int main(int argc, char **argv)
{
    unsigned items = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    kama_group_options options;
    kama_group *group;
    kama_group_options_init(&options);
    options.max_bytes = (uint64_t)items * 400 + (64u << 20);
    double base = resident();
    kama_status st = kama_group_new(&options, &group);
    KM_ASSERT(st == KAMA_OK);
    for (unsigned i = 0; i < items; i++) {
        set(group, i, VALUE_BYTES);
    }
    report(group, "set once", base);
    uint64_t r = 88172645463325252u;
    for (unsigned i = 0; i < items * 2; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        set(group, (unsigned)((uint64_t)i * 7919 % items),
            VALUE_BYTES / 2 + (r >> 33) % (VALUE_BYTES + 1));
    }
    report(group, "overwritten twice", base);
    kama_group_free(group);
    return 0;
}
