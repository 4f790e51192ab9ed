/* SPDX-License-Identifier: MIT */
/*
 * Common parts of the tests of the http plug-in: the origin http_origin.py as
 * a process, and plug-ins that ask it.
 *
 * Threads: one.
 */
#pragma once

#include "helpers/plugin_host.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static pid_t server;
static int server_input;
static int port;
static char config_text[256];

static inline int read_port(int fd)
{
    char line[16] = "";
    size_t len = 0;
    while (len < sizeof line - 1 && read(fd, line + len, 1) == 1 &&
           line[len] != '\n') {
        len++;
    }
    return atoi(line);
}

/* Starts http_origin.py, which ends when its standard input is closed. */
static inline int start_server(void **state)
{
    (void)state;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    const char *tree = getenv("KAMA_SOURCE_DIR");
    char file[4096];
    snprintf(file, sizeof file, "%s/tests/loaders/http_origin.py",
             tree != NULL ? tree : ".");
    char *arguments[] = {"/usr/bin/python3", file, NULL};
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(
        posix_spawn(&server, arguments[0], &actions, NULL, arguments, environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    server_input = in[1];
    port = read_port(out[0]);
    close(out[0]);
    assert_true(port > 0);
    return 0;
}

static inline int stop_server(void **state)
{
    (void)state;
    close(server_input);
    int status = -1;
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
    return 0;
}

static inline const char *config(const char *path)
{
    snprintf(config_text, sizeof config_text, "http://127.0.0.1:%d%s", port,
             path);
    return config_text;
}

static inline void open_path(struct host_plugin *plugin, const char *path)
{
    host_open(plugin, "http", config(path), NULL);
    if (plugin->status != KAMA_OK) {
        fail_msg("%s", plugin->error);
    }
}

static inline int ask_number(const struct host_plugin *plugin, const char *key)
{
    struct host_result result;
    host_load(plugin, kama_bytes_str(key), 20000, &result);
    assert_int_equal(result.status, KAMA_OK);
    int number = atoi(result.value);
    host_result_fini(&result);
    return number;
}
