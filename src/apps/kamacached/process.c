/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "base/clock.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

/* Threads that allocate at the same time are loops and loads; two arenas keep
 * them apart well enough, and the memory of idle arenas is not given back. */
#define ARENAS 2
/* Larger blocks are mappings of their own, whatever came before: what an
 * evicted value leaves goes back to the system. */
#define MMAP_BYTES (256 * 1024)

/* Supervisors signal a process and then its group (timeout of coreutils does):
 * what follows the first signal so soon is not a second one. */
#define SAME_SIGNAL_MS 50

static void open_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void wanted_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void process_init(void)
{
    sigset_t set;
    open_standard_descriptors();
    wanted_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    (void)mallopt(M_ARENA_MAX, ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * MMAP_BYTES);
}

/* When the first of the deadly signals came. */
static km_ns first_signal_at;

static void end_at_once(int number)
{
    km_ns now = km_clock_mono(km_clock_system());
    if (now - first_signal_at >= SAME_SIGNAL_MS * KM_NS_PER_MS) {
        _exit(128 + number);
    }
}

/* The second signal has to end a drain that hangs: it is handled in the main
 * thread, wherever that is. */
static void arm_second_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)signal(SIGTERM, end_at_once);
    (void)signal(SIGINT, end_at_once);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

const char *process_wait(void (*hangup)(void))
{
    sigset_t set;
    int number = 0;
    wanted_signals(&set);
    while (sigwait(&set, &number) == 0 && number == SIGHUP) {
        hangup();
    }
    first_signal_at = km_clock_mono(km_clock_system());
    arm_second_signal();
    return number == SIGINT ? "SIGINT" : "SIGTERM";
}
