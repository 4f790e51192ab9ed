/* SPDX-License-Identifier: MIT */
/* The limits of the machine, read from files that the test writes below a folder of
 * its own: both versions of control groups, limits that are none, and nonsense. */
#include "base/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024u * 1024)

static char root[] = "/tmp/kama-host-XXXXXX";

/* Writes a file below the root, and the folders that it needs. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct km_host host(void)
{
    struct km_host found;
    km_host_read_at(root, &found);
    return found;
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/kama-host-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

/* Without any file nothing is known, except the limit of the process. */
static void test_nothing(void **state)
{
    (void)state;
    assert_int_equal(host().memory_limit_bytes, 0);
    assert_int_equal(host().overcommit, KM_OVERCOMMIT_UNKNOWN);
    assert_true(host().descriptors_max > 0);
}

static void test_machine(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal:        2048 kB\nMemFree:  1 kB\n"
                         "CommitLimit:     1024 kB\n");
    put("/proc/sys/vm/overcommit_memory", "2\n");
    assert_int_equal(host().memory_limit_bytes, 2 * MIB);
    assert_int_equal(host().commit_limit_bytes, MIB);
    assert_int_equal(host().overcommit, KM_OVERCOMMIT_NEVER);
    put("/proc/sys/vm/overcommit_memory", "nonsense\n");
    assert_int_equal(host().overcommit, KM_OVERCOMMIT_UNKNOWN);
}

/* The limit of a group holds for the groups in it; "max" is none. */
static void test_version_2(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 1048576 kB\n");
    put("/proc/self/cgroup", "0::/system.slice/kama.service\n");
    put("/sys/fs/cgroup/system.slice/kama.service/memory.max", "max\n");
    assert_int_equal(host().memory_limit_bytes, 1024u * MIB);
    put("/sys/fs/cgroup/system.slice/memory.max", "67108864\n");
    assert_int_equal(host().memory_limit_bytes, 64 * MIB);
    put("/sys/fs/cgroup/system.slice/kama.service/memory.max", "33554432\n");
    assert_int_equal(host().memory_limit_bytes, 32 * MIB);
}

/* In a container the own group is the root. */
static void test_version_2_in_a_container(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 1048576 kB\n");
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    assert_int_equal(host().memory_limit_bytes, MIB);
}

/* Without a limit, version 1 has a number that is larger than every machine. */
static void test_version_1(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 1048576 kB\n");
    put("/proc/self/cgroup", "12:cpu,cpuacct:/a\n4:memory:/docker/x\n0::/\n");
    put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
        "9223372036854771712\n");
    assert_int_equal(host().memory_limit_bytes, 1024u * MIB);
    put("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "2097152\n");
    assert_int_equal(host().memory_limit_bytes, 2 * MIB);
}

static void test_nonsense(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "::\n\n:\nabc\n7:memoryx:/a\n0::\n");
    put("/sys/fs/cgroup/memory.max", "-\n");
    assert_int_equal(host().memory_limit_bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),   TEST(test_machine),
        TEST(test_version_2), TEST(test_version_2_in_a_container),
        TEST(test_version_1), TEST(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
