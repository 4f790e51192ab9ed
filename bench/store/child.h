/* SPDX-License-Identifier: MIT */
/*
 * A measurement in a process of its own, so that memory begins clean, and the
 * memory that a process has.
 *
 *     bench_child(run_memory, &shape);
 *
 * Threads: the process must have one thread when it makes a child. Errors: the
 * result says whether the child ended by returning.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs fn(arg) in a child and waits for it. Returns whether it returned. */
bool bench_child(void (*fn)(void *arg), void *arg);

/* Returns memory that is zero, and that later children share with this
 * process. */
void *bench_shared_new(size_t bytes);
void bench_shared_free(void *memory, size_t bytes);

/* Returns the anonymous memory that this process has resident (RssAnon). It does
 * not count pages of files and those that are shared with other processes. */
uint64_t bench_rss(void);
/* Returns how much of the memory lies in huge pages (AnonHugePages). */
uint64_t bench_rss_huge(void);
