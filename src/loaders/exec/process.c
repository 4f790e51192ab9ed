/* SPDX-License-Identifier: MIT */
/*
 * posix_spawn, three pipes and one poll loop.
 *
 * The input is written into its pipe before the program starts, and then the
 * writing end is closed: a pipe holds a whole key, so that nothing has to be
 * written later and no SIGPIPE can come. The loop notices the end of the
 * program by a pidfd and not by the end of its output, because a grandchild may
 * hold the output open. On kernels without pidfds it looks every 10 ms.
 */
#include "process.h"

#include "../common/call.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_BYTES = 16384, LOOK_MS = 10 };
enum { IN, OUT, ERR, STREAMS };

/* The descriptors of a run, each -1 if it is not open. */
struct run {
    struct km_process *process;
    int theirs[STREAMS]; /* the program's ends of the pipes */
    int ours[STREAMS];   /* our ends */
    pid_t pid;
    int pidfd;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void close_all(int *fds)
{
    for (int i = 0; i < STREAMS; i++) {
        close_fd(&fds[i]);
    }
}

/* -- start -------------------------------------------------------------- */

/* Moves fd above the three standard descriptors, so that setting those up in
 * the child cannot overwrite it. Returns false if there is no descriptor
 * left. */
static bool lift(int *fd)
{
    if (*fd > STDERR_FILENO) {
        return true;
    }
    int higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0) {
        return false;
    }
    close(*fd);
    *fd = higher;
    return true;
}

/* Opens the pipe of one stream; our end does not block. */
static bool open_pipe(struct run *run, int stream)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    run->theirs[stream] = ends[stream == IN ? 0 : 1];
    run->ours[stream] = ends[stream == IN ? 1 : 0];
    return lift(&run->theirs[stream]) && lift(&run->ours[stream]) &&
           fcntl(run->ours[stream], F_SETFL, O_NONBLOCK) == 0;
}

static bool open_pipes(struct run *run)
{
    for (int i = 0; i < STREAMS; i++) {
        if (!open_pipe(run, i)) {
            return false;
        }
    }
    return true;
}

/* Writes the whole input while we still hold the reading end ourselves. */
static bool write_input(struct run *run)
{
    kama_bytes input = run->process->input;
    ssize_t written = write(run->ours[IN], input.data, input.len);
    if (written >= 0 && (size_t)written < input.len) {
        errno = E2BIG;
        return false;
    }
    close_fd(&run->ours[IN]);
    return written >= 0;
}

/* Makes the pipes the standard descriptors of the child, and closes all
 * others. */
static int fill_actions(const struct run *run,
                        posix_spawn_file_actions_t *actions)
{
    for (int i = 0; i < STREAMS; i++) {
        int error =
            posix_spawn_file_actions_adddup2(actions, run->theirs[i], i);
        if (error != 0) {
            return error;
        }
    }
    return posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

/* Gives the child a process group of its own and default signal handling. No
 * signal is blocked: the threads of the pool block signals, and the child would
 * inherit that. */
static int fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                    POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK);
}

static int spawn_with(struct run *run,
                      const posix_spawn_file_actions_t *actions)
{
    char **arguments = run->process->arguments;
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        return error;
    }
    error = fill_attributes(&attributes);
    if (error == 0) {
        error = posix_spawn(&run->pid, arguments[0], actions, &attributes,
                            arguments, environ);
    }
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int spawn(struct run *run)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = fill_actions(run, &actions);
    if (error == 0) {
        error = spawn_with(run, &actions);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Starts the program. Returns 0, or an errno if nothing runs. */
static int start(struct run *run)
{
    if (!open_pipes(run) || !write_input(run)) {
        return errno;
    }
    int error = spawn(run);
    close_all(run->theirs);
    if (error == 0) {
        run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    }
    return error;
}

/* -- run ---------------------------------------------------------------- */

/* Keeps the beginning of standard error. The rest is read and dropped, so that
 * the program does not block. */
static void keep_complaint(struct km_process *process, const char *data,
                           size_t len)
{
    size_t room = sizeof process->complaint - process->complaint_len;
    size_t kept = len < room ? len : room;
    memcpy(process->complaint + process->complaint_len, data, kept);
    process->complaint_len += kept;
}

static enum km_blob_result keep(struct run *run, int stream, const char *data,
                                size_t len)
{
    if (stream == OUT) {
        return km_blob_add(&run->process->output, data, len);
    }
    keep_complaint(run->process, data, len);
    return KM_BLOB_OK;
}

/* Reads the bytes that are there, at most until the deadline, because a program
 * may write for ever. Returns false if the output does not fit; `end` is set
 * then. */
static bool drain(struct run *run, int stream)
{
    char data[READ_BYTES];
    while (run->ours[stream] >= 0) {
        ssize_t len = read(run->ours[stream], data, sizeof data);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0 && errno == EAGAIN) {
            break;
        }
        if (len <= 0) {
            close_fd(&run->ours[stream]);
            break;
        }
        enum km_blob_result result = keep(run, stream, data, (size_t)len);
        if (result != KM_BLOB_OK) {
            run->process->end = result == KM_BLOB_FULL ? KM_PROCESS_OUTPUT_FULL
                                                       : KM_PROCESS_NO_MEMORY;
            return false;
        }
        if (km_load_call_now_ms() >= run->process->deadline_ms) {
            break;
        }
    }
    return true;
}

/* Returns whether the program has exited. It stays a zombie, so that its
 * process id cannot be reused before the group was killed. */
static bool has_exited(const struct run *run)
{
    siginfo_t info = {0};
    int result =
        waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return (result == 0 && info.si_pid == run->pid) ||
           (result != 0 && errno == ECHILD);
}

/* Waits for output, for the end of the program, or for the deadline. */
static void wait_for_news(const struct run *run, int64_t left_ms)
{
    struct pollfd fds[] = {
        {.fd = run->ours[OUT], .events = POLLIN},
        {.fd = run->ours[ERR], .events = POLLIN},
        {.fd = run->pidfd, .events = POLLIN},
    };
    int64_t timeout_ms = left_ms;
    if (run->pidfd < 0 && timeout_ms > LOOK_MS) {
        timeout_ms = LOOK_MS;
    }
    poll(fds, sizeof fds / sizeof fds[0],
         timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX);
}

/* Reads until the program has exited and its output was read to the end, or
 * until it has to be killed. It looks for the exit before it reads, so that
 * everything which was written before the exit is read. */
static void watch(struct run *run)
{
    struct km_process *process = run->process;
    for (;;) {
        bool exited = has_exited(run);
        if (!drain(run, OUT) || !drain(run, ERR)) {
            return;
        }
        int64_t left_ms = process->deadline_ms - km_load_call_now_ms();
        if (left_ms <= 0) {
            process->end = KM_PROCESS_OVERDUE;
            return;
        }
        if (exited) {
            process->end = KM_PROCESS_EXITED;
            return;
        }
        wait_for_news(run, left_ms);
    }
}

/* Kills the rest of the group while its number still belongs to us, and then
 * collects the program. */
static void finish(struct run *run)
{
    struct km_process *process = run->process;
    int status = 0;
    kill(-run->pid, SIGKILL);
    if (process->end != KM_PROCESS_EXITED) {
        kill(run->pid, SIGKILL);
    }
    pid_t collected;
    do {
        collected = waitpid(run->pid, &status, 0);
    } while (collected < 0 && errno == EINTR);
    if (process->end != KM_PROCESS_EXITED) {
        return;
    }
    if (collected < 0) {
        process->end = KM_PROCESS_LOST;
    } else if (WIFSIGNALED(status)) {
        process->end = KM_PROCESS_SIGNALLED;
        process->code = WTERMSIG(status);
    } else {
        process->code = WEXITSTATUS(status);
    }
}

void km_process_run(struct km_process *process)
{
    struct run run = {
        .process = process,
        .theirs = {-1, -1, -1},
        .ours = {-1, -1, -1},
        .pidfd = -1,
    };
    process->complaint_len = 0;
    process->code = 0;
    process->error = start(&run);
    if (process->error != 0) {
        process->end = KM_PROCESS_NOT_STARTED;
    } else {
        watch(&run);
        finish(&run);
    }
    close_fd(&run.pidfd);
    close_all(run.theirs);
    close_all(run.ours);
}
