/* SPDX-License-Identifier: MIT */
/* The process is started by posix_spawn, and is ended by its process id. */
#include "helpers/etcd_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define START_LIMIT_MS 60000

extern char **environ;

static const char *const programs[] = {"/usr/bin/etcd", "/usr/local/bin/etcd"};

static const char *program(void)
{
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (access(programs[i], X_OK) == 0) {
            return programs[i];
        }
    }
    return NULL;
}

bool etcd_is_installed(void)
{
    return program() != NULL;
}

/* -- ports ---------------------------------------------------------------- */

static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static int dial(const char *address)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* -- processes ------------------------------------------------------------ */

/* Starts a program whose output goes to the log. */
static pid_t spawn(const struct etcd_server *etcd, const char *const *argv)
{
    pid_t pid;
    char log[96];
    posix_spawn_file_actions_t actions;
    (void)snprintf(log, sizeof log, "%s/log", etcd->folder);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY,
                                           0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, log,
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL,
                             (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        fail_msg("%s does not start: %s", argv[0], strerror(error));
    }
    return pid;
}

static int run(const struct etcd_server *etcd, const char *const *argv)
{
    int status;
    pid_t pid = spawn(etcd, argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void url(char *to, size_t cap, const char *address)
{
    (void)snprintf(to, cap, "http://%s", address);
}

void etcd_server_begin(struct etcd_server *etcd)
{
    char data[96];
    char client[48];
    char peer[48];
    assert_int_equal(etcd->pid, 0);
    (void)snprintf(data, sizeof data, "%s/data", etcd->folder);
    url(client, sizeof client, etcd->address);
    url(peer, sizeof peer, etcd->peer);
    const char *const argv[] = {program(),     "--name",
                                etcd->name,    "--data-dir",
                                data,          "--listen-client-urls",
                                client,        "--advertise-client-urls",
                                client,        "--listen-peer-urls",
                                peer,          "--initial-advertise-peer-urls",
                                peer,          "--initial-cluster",
                                etcd->cluster, "--logger",
                                "zap",         NULL};
    etcd->pid = spawn(etcd, argv);
}

/* Returns whether the answer to a GET of the path has the text in it. */
static bool http_says(const struct etcd_server *etcd, const char *path,
                      const char *text)
{
    static char answer[1u << 20];
    char request[128];
    size_t len = 0;
    int fd = dial(etcd->address);
    if (fd < 0) {
        return false;
    }
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    ssize_t n;
    while (len < sizeof answer - 1 &&
           (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    answer[len] = '\0';
    close(fd);
    return strstr(answer, text) != NULL;
}

/* Returns whether the server has a leader and serves. */
static bool is_healthy(const struct etcd_server *etcd)
{
    return http_says(etcd, "/health", "\"true\"");
}

bool etcd_server_leads(const struct etcd_server *etcd)
{
    return http_says(etcd, "/metrics", "\netcd_server_is_leader 1");
}

void etcd_server_wait(struct etcd_server *etcd)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int ms = 0; ms < START_LIMIT_MS; ms += 10) {
        if (is_healthy(etcd)) {
            return;
        }
        if (waitpid(etcd->pid, NULL, WNOHANG) == etcd->pid) {
            fail_msg("etcd has ended; its log is %s/log", etcd->folder);
        }
        (void)nanosleep(&pause, NULL);
    }
    fail_msg("etcd does not answer; its log is %s/log", etcd->folder);
}

void etcd_server_start(struct etcd_server *etcd)
{
    etcd_server_begin(etcd);
    etcd_server_wait(etcd);
}

void etcd_server_kill(struct etcd_server *etcd)
{
    assert_true(etcd->pid > 0);
    (void)kill(etcd->pid, SIGKILL);
    assert_int_equal(waitpid(etcd->pid, NULL, 0), etcd->pid);
    etcd->pid = 0;
}

/* The signal alone does not stop the threads before kill returns. */
void etcd_server_freeze(struct etcd_server *etcd)
{
    int status;
    assert_true(etcd->pid > 0);
    assert_int_equal(kill(etcd->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(etcd->pid, &status, WUNTRACED), etcd->pid);
    assert_true(WIFSTOPPED(status));
}

void etcd_server_thaw(struct etcd_server *etcd)
{
    assert_true(etcd->pid > 0);
    assert_int_equal(kill(etcd->pid, SIGCONT), 0);
}

/* -- data ----------------------------------------------------------------- */

void etcd_server_init(struct etcd_server *etcd)
{
    *etcd = (struct etcd_server){.name = "one"};
    (void)snprintf(etcd->folder, sizeof etcd->folder, "/tmp/kama-etcd-XXXXXX");
    assert_non_null(mkdtemp(etcd->folder));
    (void)snprintf(etcd->address, sizeof etcd->address, "127.0.0.1:%u",
                   free_port());
    do {
        (void)snprintf(etcd->peer, sizeof etcd->peer, "127.0.0.1:%u",
                       free_port());
    } while (strcmp(etcd->peer, etcd->address) == 0);
    etcd_server_join(etcd, 1);
}

void etcd_server_join(struct etcd_server *servers, size_t count)
{
    char cluster[sizeof servers[0].cluster] = "";
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(servers[i].name, sizeof servers[i].name, "n%u",
                       (unsigned)i);
        len += (size_t)snprintf(cluster + len, sizeof cluster - len,
                                "%s%s=http://%s", i > 0 ? "," : "",
                                servers[i].name, servers[i].peer);
        assert_true(len < sizeof cluster);
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(servers[i].cluster, cluster, sizeof cluster);
    }
}

static void delete_path(const struct etcd_server *etcd, const char *path)
{
    const char *const argv[] = {"rm", "-rf", "--", path, NULL};
    assert_int_equal(run(etcd, argv), 0);
}

void etcd_server_wipe(struct etcd_server *etcd)
{
    char data[96];
    assert_int_equal(etcd->pid, 0);
    (void)snprintf(data, sizeof data, "%s/data", etcd->folder);
    delete_path(etcd, data);
}

void etcd_server_fini(struct etcd_server *etcd)
{
    if (etcd->pid > 0) {
        etcd_server_kill(etcd);
    }
    delete_path(etcd, etcd->folder);
    *etcd = (struct etcd_server){0};
}

/* -- etcdctl -------------------------------------------------------------- */

int etcd_server_try_ctl(struct etcd_server *etcd, const char *const *arguments)
{
    const char *argv[32] = {"env", "ETCDCTL_API=3", "etcdctl", "--endpoints",
                            etcd->address};
    size_t n = 5;
    while (*arguments != NULL) {
        assert_true(n < sizeof argv / sizeof argv[0] - 1);
        argv[n++] = *arguments++;
    }
    return run(etcd, argv);
}

void etcd_server_ctl(struct etcd_server *etcd, const char *const *arguments)
{
    if (etcd_server_try_ctl(etcd, arguments) != 0) {
        fail_msg("etcdctl %s has failed; see %s/log", arguments[0],
                 etcd->folder);
    }
}
