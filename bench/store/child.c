/* SPDX-License-Identifier: MIT */
#include "child.h"

#include "base/assert.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool bench_child(void (*fn)(void *arg), void *arg)
{
    int status = 0;
    (void)fflush(stdout);
    pid_t parent = getpid();
    pid_t child = fork();
    KM_ASSERT(child >= 0);
    if (child == 0) {
        /* A benchmark that is interrupted leaves nothing running. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            fn(arg);
        }
        (void)fflush(stdout);
        _exit(0);
    }
    while (waitpid(child, &status, 0) != child) {
    }
    return status == 0;
}

void *bench_shared_new(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    KM_ASSERT(memory != MAP_FAILED);
    return memory;
}

void bench_shared_free(void *memory, size_t bytes)
{
    (void)munmap(memory, bytes);
}

/* Returns the number of KiB behind `name` in a file of /proc, in bytes. */
static uint64_t read_kib(const char *path, const char *name)
{
    char line[256];
    unsigned long long kib = 0;
    size_t len = strlen(name);
    FILE *f = fopen(path, "r");
    KM_ASSERT(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            kib = strtoull(line + len + 1, NULL, 10);
        }
    }
    (void)fclose(f);
    return kib * 1024;
}

uint64_t bench_rss(void)
{
    return read_kib("/proc/self/status", "RssAnon");
}

uint64_t bench_rss_huge(void)
{
    return read_kib("/proc/self/smaps_rollup", "AnonHugePages");
}
