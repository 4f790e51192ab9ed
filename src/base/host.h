/* SPDX-License-Identifier: MIT */
/*
 * The limits that the machine and its administrator set to this process.
 *
 *     struct km_host host;
 *     km_host_read(&host);
 *     if (host.memory_limit_bytes != 0) ...
 *
 * A limit of memory is the smallest one of the control groups that the process is
 * in, of version 1 or 2, and the memory of the machine:
 *
 *     /proc/self/cgroup   0::/a/b  -->  /sys/fs/cgroup/a/b/memory.max, a/, ./
 *                         4:memory:/a  -->  .../memory/a/memory.limit_in_bytes, ...
 *
 * Cost: a few small files of the kernel. Threads: any thread. Errors: none; what
 * cannot be read is 0. Ownership: none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values of vm.overcommit_memory. */
enum km_overcommit {
    KM_OVERCOMMIT_UNKNOWN,
    KM_OVERCOMMIT_GUESS,
    KM_OVERCOMMIT_ALWAYS,
    KM_OVERCOMMIT_NEVER /* all processes together get commit_limit_bytes */
};

struct km_host {
    uint64_t descriptors_max; /* 0: no limit, or it is not known */
    uint64_t memory_limit_bytes;
    enum km_overcommit overcommit;
    uint64_t commit_limit_bytes;
};

void km_host_read(struct km_host *ret_host);

/* Reads the beginning of a small file of the kernel as a text that ends with a NUL.
 * Returns false if it cannot be read or is empty. */
bool km_host_read_file(const char *path, char *text, size_t cap);

/* Does the same with the files below root instead of "/"; for tests. */
void km_host_read_at(const char *root, struct km_host *ret_host);
