/* SPDX-License-Identifier: MIT */
/*
 * Waits until the other threads of the process sleep, before a fork. A thread
 * that sleeps for want of work holds no lock, neither of the library nor of an
 * allocator: a sanitizer's allocator, unlike that of glibc, is not made ready
 * for a fork, and a child that finds it locked waits for ever.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Returns the kernel's letter for the state of the thread, or '\0' if it has
 * ended. */
static inline char thread_state(pid_t thread)
{
    char path[64];
    char line[256];
    char state = '\0';
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return state;
    }
    if (fgets(line, sizeof line, file) != NULL) {
        const char *name_end = strrchr(line, ')');
        state = name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
    }
    (void)fclose(file);
    return state;
}

static inline bool other_threads_sleep(void)
{
    DIR *folder = opendir("/proc/self/task");
    bool asleep = folder != NULL;
    const struct dirent *entry;
    while (asleep && (entry = readdir(folder)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != gettid()) {
            char state = thread_state(thread);
            asleep = state == 'S' || state == '\0';
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return asleep;
}

/* Waits for that, 20 s at most. Returns whether it came true. */
static inline bool other_threads_await_sleep(void)
{
    const struct timespec pause = {0, 1000000};
    bool asleep = other_threads_sleep();
    for (int i = 0; i < 20000 && !asleep; i++) {
        (void)nanosleep(&pause, NULL);
        asleep = other_threads_sleep();
    }
    return asleep;
}
