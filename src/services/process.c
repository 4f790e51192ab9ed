/* SPDX-License-Identifier: MIT */
/* Of /proc/self/stat only the fields behind the name of the program are read. The
 * name is in parentheses, and may have blanks and parentheses itself. */
#include "services/process.h"

#include "base/host.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The fields of the file are described in proc(5): the 20th is the number of threads,
 * the 22nd the start in ticks since the boot, then the memory follows. */
static void read_stat(struct km_process *process)
{
    char text[1024];
    unsigned long long threads;
    unsigned long long start;
    unsigned long long virtual_bytes;
    unsigned long long pages;
    if (!km_host_read_file("/proc/self/stat", text, sizeof text)) {
        return;
    }
    const char *behind_name = strrchr(text, ')');
    if (behind_name == NULL ||
        sscanf(behind_name + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %llu %*d %llu %llu %llu",
               &threads, &start, &virtual_bytes, &pages) != 4) {
        return;
    }
    process->threads = threads;
    process->boot_ns = start * (KM_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    process->virtual_bytes = virtual_bytes;
    process->resident_bytes = pages * page_bytes();
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * KM_NS_PER_S + (uint64_t)t.tv_usec * 1000;
}

/* Returns the number of open descriptors. Linux 6.2 and later say it as the size of
 * the folder; before that each of them is an entry, and so is the folder's own. */
static uint64_t count_fds(void)
{
    uint64_t count = 0;
    struct stat folder;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
        return (uint64_t)folder.st_size;
    }
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count > 0 ? count - 1 : 0;
}

void km_process_read(struct km_process *ret_process)
{
    struct rusage usage;
    struct rlimit fds;
    *ret_process = (struct km_process){.open_fds = count_fds()};
    read_stat(ret_process);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        ret_process->cpu_ns =
            timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
        ret_process->max_fds =
            fds.rlim_cur == RLIM_INFINITY ? UINT64_MAX : fds.rlim_cur;
    }
}

static uint64_t timespec_ns(struct timespec t)
{
    return (uint64_t)t.tv_sec * KM_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The time of the boot is not read from /proc/stat, which a service that sees only
 * its own processes cannot read. */
uint64_t km_process_started_ns(void)
{
    struct km_process process = {0};
    struct timespec now;
    struct timespec since_boot;
    read_stat(&process);
    if (process.boot_ns == 0 || clock_gettime(CLOCK_REALTIME, &now) != 0 ||
        clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) {
        return 0;
    }
    return timespec_ns(now) - timespec_ns(since_boot) + process.boot_ns;
}

uint64_t km_process_resident_bytes(void)
{
    struct km_process process = {0};
    read_stat(&process);
    return process.resident_bytes;
}
