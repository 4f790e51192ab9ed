/* SPDX-License-Identifier: MIT */
/* System calls that prepare the process, and its signals in their three
 * phases. */
#include "process.h"

#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The threads that allocate at the same time are loops and loads. Two arenas
 * keep them apart well enough, and more would hold memory that is never given
 * back. */
#define ARENAS 2
/* Larger blocks are mappings of their own, so that the memory of an evicted
 * value goes back to the system. Setting the threshold also keeps it from
 * adapting. */
#define MMAP_BYTES (256 * 1024)

/* Supervisors signal a process and then its group, as timeout of coreutils
 * does. A signal that follows the first one so soon is not a second one. */
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

/* Returns whether orphans become children of this process. */
static bool adopts_orphans(void)
{
    int is_subreaper = 0;
    return getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) == 0 &&
            is_subreaper != 0);
}

static void wanted_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    if (adopts_orphans()) {
        sigaddset(set, SIGCHLD);
    }
}

/* Resets the signals that the parent ignored or blocked. An ignored SIGCHLD,
 * for example, would lose the exit status of each program that a loader starts.
 * Handlers are not inherited, so that any handler belongs to a sanitizer and
 * stays. */
static void reset_signals(void)
{
    struct sigaction action;
    sigset_t set;
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &action) == 0 &&
            action.sa_handler == SIG_IGN) {
            (void)signal(number, SIG_DFL);
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    wanted_signals(&set);
    (void)pthread_sigmask(SIG_SETMASK, &set, NULL);
}

void process_init(void)
{
    open_standard_descriptors();
    reset_signals();
    raise_descriptor_limit();
    (void)mallopt(M_ARENA_MAX, ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * MMAP_BYTES);
}

/* -- a start that hangs -------------------------------------------------- */

/* The signal that ends the guard. It is sent to the guard's thread only, which
 * has it blocked. */
#define SIGNAL_STARTED SIGUSR1

static const char *name_of(int number)
{
    return number == SIGINT ? "SIGINT" : "SIGTERM";
}

static struct timespec left_until(km_ns deadline)
{
    km_ns now = km_clock_mono(km_clock_system());
    km_ns left = now < deadline ? deadline - now : 0;
    return (struct timespec){(time_t)(left / KM_NS_PER_S),
                             (long)(left % KM_NS_PER_S)};
}

/* Waits for one of the signals, without a deadline if the guard is patient.
 * Returns its number, or -1 after the deadline. */
static int wait_for_signal(struct process_guard *guard, const sigset_t *set,
                           km_ns deadline)
{
    for (;;) {
        struct timespec left = left_until(deadline);
        bool patient = atomic_load(&guard->is_patient);
        int number =
            patient ? sigwaitinfo(set, NULL) : sigtimedwait(set, NULL, &left);
        if (number >= 0 ||
            (errno != EINTR && !atomic_load(&guard->is_patient))) {
            return number;
        }
    }
}

static void *run_guard(void *arg)
{
    struct process_guard *guard = arg;
    sigset_t set;
    km_ns deadline =
        km_ns_after_ms(km_clock_mono(km_clock_system()), guard->timeout_ms);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGNAL_STARTED);
    int number = wait_for_signal(guard, &set, deadline);
    if (number != SIGNAL_STARTED) {
        guard->end(number > 0 ? name_of(number) : NULL, guard->timeout_ms);
    }
    return NULL;
}

void process_guard_start(struct process_guard *guard, int64_t timeout_ms,
                         void (*end)(const char *signal_name,
                                     int64_t timeout_ms))
{
    guard->timeout_ms = timeout_ms;
    atomic_init(&guard->is_patient, false);
    guard->end = end;
    guard->runs =
        km_thread_start(&guard->thread, "kama-start", run_guard, guard);
}

void process_guard_take_signals_only(struct process_guard *guard)
{
    atomic_store(&guard->is_patient, true);
}

void process_guard_end(struct process_guard *guard)
{
    if (guard->runs) {
        (void)pthread_kill(guard->thread, SIGNAL_STARTED);
        (void)pthread_join(guard->thread, NULL);
    }
    guard->runs = false;
}

/* -- the end ------------------------------------------------------------- */

/* The time of the first SIGTERM or SIGINT. */
static km_ns first_signal_at;

static void end_at_once(int number)
{
    km_ns now = km_clock_mono(km_clock_system());
    if (now - first_signal_at >= SAME_SIGNAL_MS * KM_NS_PER_MS) {
        _exit(128 + number);
    }
}

/* Lets the second signal end a drain that hangs: a handler takes it in the main
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

/* Collects the orphans that have ended. The kernel gives orphans to the main
 * thread. __WNOTHREAD leaves the children of other threads alone, because a
 * loader waits for the programs that it has started itself. */
static void collect_orphans(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WNOTHREAD | __WALL) > 0) {
    }
}

const char *process_wait(void (*hangup)(void))
{
    sigset_t set;
    int number = 0;
    wanted_signals(&set);
    while (sigwait(&set, &number) == 0 &&
           (number == SIGHUP || number == SIGCHLD)) {
        if (number == SIGHUP) {
            hangup();
        } else {
            collect_orphans();
        }
    }
    first_signal_at = km_clock_mono(km_clock_system());
    arm_second_signal();
    return name_of(number);
}
