/* SPDX-License-Identifier: MIT */
/*
 * Pages: runs are aligned and apart from each other, what is freed is resident no more
 * but for a warm rest, and a large mapping can be freed in parts.
 */
#include "store/account.h"
#include "store/fake_clock.h"
#include "store/resident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)
#define BASE_BYTES 1000u

static struct km_account *account_new(struct fake_clock *clock)
{
    fake_clock_init(clock);
    struct km_account *account =
        km_account_new(km_mem_default(), &clock->clock, 64 * MIB, BASE_BYTES);
    assert_non_null(account);
    return account;
}

/* The last bytes free the account. */
static void account_free(struct km_account *account)
{
    km_pages_trim(&account->pages, true);
    km_pages_trim(&account->blocks, true);
    assert_int_equal(km_account_used(account), BASE_BYTES);
    km_account_discharge(account, BASE_BYTES);
}

/* Runs of all sizes can be written, keep what was written, and are charged by the
 * page. */
static void test_runs(void **state)
{
    enum { RUNS = 400 };
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    struct km_pages *pages = &account->blocks;
    static uint8_t *runs[RUNS];
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        uint64_t before = km_account_used(account);
        for (unsigned i = 0; i < RUNS; i++) {
            size_t n = (size_t)(i * 7919u % 300000u) + 1;
            runs[i] = km_pages_alloc(pages, n);
            assert_non_null(runs[i]);
            assert_int_equal((uintptr_t)runs[i] % KM_PAGE_BYTES, 0);
            memset(runs[i], (int)i, n);
        }
        assert_true(km_account_used(account) > before + 50 * MIB);
        for (unsigned i = 0; i < RUNS; i++) {
            size_t n = (size_t)(i * 7919u % 300000u) + 1;
            assert_int_equal(runs[i][0], (uint8_t)i);
            assert_int_equal(runs[i][n - 1], (uint8_t)i);
            km_pages_free(pages, runs[i], n);
        }
    }
    account_free(account);
}

/* What is freed is given back to the system, but for the warm pages, which are still
 * charged; a trim gives these back, too. */
static void test_resident(void **state)
{
    enum { RUNS = 100 };
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    uint8_t *runs[RUNS];
    (void)state;
    size_t before = resident();
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i] = km_pages_alloc(&account->pages, MIB / 2);
        assert_non_null(runs[i]);
        memset(runs[i], 1, MIB / 2);
    }
    assert_true(resident() >= before + RUNS * MIB / 2);
    for (unsigned i = 0; i < RUNS; i++) {
        km_pages_free(&account->pages, runs[i], MIB / 2);
    }
    assert_true(resident_at_most(before + 3 * MIB));
    assert_in_range(account->pages.warm, 1, MIB / KM_PAGE_BYTES);
    km_pages_trim(&account->pages, false);
    assert_int_equal(account->pages.warm, 0);
    account_free(account);
}

/* Returns the value of a line of the kernel's account of this process, in bytes. */
static size_t mapped(const char *name)
{
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            (void)sscanf(line + strlen(name), "%zu", &kib);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib * 1024;
}

/* Returns whether the system has huge pages for those who ask. */
static bool system_has_huge_pages(void)
{
    char text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file != NULL) {
        (void)!fgets(text, sizeof text, file);
        (void)fclose(file);
    }
    return strstr(text, "[madvise]") != NULL ||
           strstr(text, "[always]") != NULL;
}

/* Ranges of the store have huge pages only if they were asked for. What is freed is
 * resident no more, also if it is a part of a huge page. */
static void test_huge(void **state)
{
    enum { RUNS = 64 };
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    void *runs[RUNS];
    (void)state;
    if (!system_has_huge_pages()) {
        account_free(account);
        skip();
    }
    km_pages_want_huge(&account->pages, KM_PAGES_HUGE_AT_ONCE);
    size_t before = mapped("AnonHugePages:");
    size_t resident_before = resident();
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i] = km_pages_alloc(&account->blocks, MIB / 2);
        memset(runs[i], 1, MIB / 2);
    }
    assert_int_equal(mapped("AnonHugePages:"), before);
    for (unsigned i = 0; i < RUNS; i++) {
        km_pages_free(&account->blocks, runs[i], MIB / 2);
        runs[i] = km_pages_alloc(&account->pages, MIB / 2);
        memset(runs[i], 1, MIB / 2);
    }
    assert_true(mapped("AnonHugePages:") >= before + RUNS * MIB / 4);
    assert_true(resident_at_most(resident_before + RUNS * MIB / 2 + 8 * MIB));
    for (unsigned i = 0; i < RUNS; i += 2) {
        km_pages_free(&account->pages, runs[i], MIB / 2);
    }
    assert_true(resident_at_most(resident_before + RUNS * MIB / 4 + 8 * MIB));
    for (unsigned i = 1; i < RUNS; i += 2) {
        km_pages_free(&account->pages, runs[i], MIB / 2);
    }
    account_free(account);
}

/* Returns whether the mapping of an address is advised to have huge pages. */
static bool is_advised(const void *address)
{
    char line[512];
    bool inside = false;
    bool advised = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = from <= (uintptr_t)address && (uintptr_t)address < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            advised = strstr(line, " hg") != NULL;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return advised;
}

/* A full range is advised, until a part of it is given back. */
static void test_huge_if_full(void **state)
{
    enum { RUNS = 8 };
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    struct km_pages *pages = &account->pages;
    void *runs[RUNS];
    (void)state;
    if (!system_has_huge_pages()) {
        account_free(account);
        skip();
    }
    km_pages_want_huge(pages, KM_PAGES_HUGE_IF_FULL);
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i] = km_pages_alloc(pages, MIB / 2);
        assert_non_null(runs[i]);
        assert_int_equal(is_advised(runs[0]), i == RUNS - 1);
    }
    km_pages_free(pages, runs[0], MIB / 2); /* it is warm */
    runs[0] = km_pages_alloc(pages, MIB / 2);
    assert_true(is_advised(runs[0]));
    for (unsigned i = 0; i < RUNS; i++) {
        km_pages_free(pages, runs[i], MIB / 2);
    }
    assert_false(is_advised(runs[0]));
    account_free(account);
}

/* A mapping that is freed slowly is charged until its last part is gone. */
static void test_large_in_parts(void **state)
{
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    struct km_pages *pages = &account->blocks;
    uint64_t before = km_account_used(account);
    (void)state;
    void *first = km_pages_alloc(pages, 5 * MIB + 1);
    void *second = km_pages_alloc(pages, 3 * MIB);
    assert_true(first != NULL && second != NULL);
    km_pages_free_slowly(pages, first, 5 * MIB + 1);
    km_pages_free_slowly(pages, second, 3 * MIB);
    unsigned parts = 0;
    for (uint64_t used = km_account_used(account); km_pages_has_leaving(pages);
         parts++) {
        km_pages_leave(pages);
        assert_true(km_account_used(account) + MIB >= used);
        used = km_account_used(account);
    }
    assert_in_range(parts, 7, 8);
    assert_int_equal(km_account_used(account), before);
    km_pages_leave(pages);
    account_free(account);
}

/* The rest of such a mapping ends with the store. */
static void test_large_at_the_end(void **state)
{
    struct fake_clock clock;
    struct km_account *account = account_new(&clock);
    (void)state;
    void *run = km_pages_alloc(&account->blocks, 64 * MIB);
    assert_non_null(run);
    km_pages_free_slowly(&account->blocks, run, 64 * MIB);
    account_free(account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_resident),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_huge_if_full),
        cmocka_unit_test(test_large_in_parts),
        cmocka_unit_test(test_large_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
