/* SPDX-License-Identifier: MIT */
/*
 * The table of the options of a group.
 *
 * One row makes: the default (kama_group_options_init, structs.c), the parser
 * (kama_group_options_set, options.c), the check of the range when a group is
 * made (km_group_options_check, options.c), and the line in `kamacached --help`,
 * in the manual page and in the completion. The public struct
 * kama_group_options and docs/OPTIONS.md are written by hand. A row without its
 * member does not compile, and neither does a member without its row;
 * tests/node/options_document_test.c compares the document, and
 * tests/group/options_test.c the defaults and both ends of each range.
 *
 * The columns, for example of loader_timeout:
 *
 *     name      "loader_timeout"              what people write
 *     member    loader_timeout_ms             of kama_group_options
 *     kind      KM_OPTION_DURATION            how the text is read (option.h)
 *     unit      "TIME"                        how --help calls the value
 *     initial   KM_LOADER_TIMEOUT_MS_DEFAULT  the default, as the member has it
 *     shown     "5s"                          the default, as people read it;
 *                                             NULL if the sentence explains it
 *     min, max  1, KM_LOADER_TIMEOUT_MS_MAX   the range, in the member's unit; a
 *                                             max of 0 means no upper bound
 *     since     "0.1.0"                       the version that brought it
 *     sentence  "How long one load may take."
 *
 * A member that has its default is always accepted: max_value_bytes may be 0,
 * which is outside its range and means that it follows from max_bytes.
 *
 * Threads, cost, errors: there is no code here.
 */
#pragma once

#include "base/limits.h"
#include "base/option.h"

/* X(name, member, kind, unit, initial, shown, min, max, since, sentence) */
#define KM_GROUP_OPTION_MAP(X)                                                 \
    X("max_bytes", max_bytes, KM_OPTION_BYTES, "SIZE", KM_GROUP_BYTES_DEFAULT, \
      "64m", KM_GROUP_BYTES_MIN, KM_GROUP_BYTES_MAX, "0.1.0",                  \
      "How much memory the group may use.")                                    \
    X("max_value_bytes", max_value_bytes, KM_OPTION_BYTES, "SIZE", 0, NULL, 1, \
      KM_VALUE_BYTES_LOCAL_MAX, "0.1.0",                                       \
      "How large a value may be. Without it: 1m or a quarter of max_bytes, "   \
      "whichever is less.")                                                    \
    X("ttl", ttl_ms, KM_OPTION_TTL, "TIME", 0, "forever", 0, 0, "0.1.0",       \
      "How long entries live.")                                                \
    X("negative_ttl", negative_ttl_ms, KM_OPTION_TTL, "TIME", 0, "0", 0, 0,    \
      "0.1.0",                                                                 \
      "How long the group remembers that a key does not exist. 0 is not at "   \
      "all.")                                                                  \
    X("ttl_jitter", ttl_jitter, KM_OPTION_UINT, "PERCENT", 0, "0", 0,          \
      KM_TTL_JITTER_PERCENT_MAX, "0.1.0",                                      \
      "By how much at most a ttl is shortened at random.")                     \
    X("policy", policy, KM_OPTION_STRING, "NAME", "s3fifo+", "s3fifo+", 0, 0,  \
      "0.1.0",                                                                 \
      "The order in which entries are evicted: s3fifo+, s3fifo or "            \
      "lru.")                                                                  \
    X("loader_timeout", loader_timeout_ms, KM_OPTION_DURATION, "TIME",         \
      KM_LOADER_TIMEOUT_MS_DEFAULT, "5s", 1, KM_LOADER_TIMEOUT_MS_MAX,         \
      "0.1.0", "How long one load may take.")                                  \
    X("loader_concurrency", loader_concurrency, KM_OPTION_UINT, "N",           \
      KM_LOADER_CONCURRENCY_DEFAULT, "64", 1, KM_LOADER_CONCURRENCY_MAX,       \
      "0.1.0", "How many loads run at a time.")                                \
    X("async_threads", async_threads, KM_OPTION_UINT, "N",                     \
      KM_ASYNC_THREADS_DEFAULT, "2", 1, KM_ASYNC_THREADS_MAX, "0.1.0",         \
      "How many threads a group without a node starts at its first "           \
      "asynchronous call. A node uses its own pool instead.")                  \
    X("sync", sync, KM_OPTION_STRING, "NAME", "broadcast", "broadcast", 0, 0,  \
      "0.2.0",                                                                 \
      "Which nodes of a cluster keep a value: broadcast (every node), "        \
      "invalidate (the owner of the key, and nodes that have set or fetched "  \
      "it), shard:R (R nodes for each key, 1 to 16), peers:LABEL or "          \
      "peers:ADDR+ADDR (the nodes with a label or at addresses, and the "      \
      "owner), owner (one node, which all others ask) or local (each node, "   \
      "by "                                                                    \
      "itself). With the first four, all nodes hear of each change.")          \
    X("sync_timeout", sync_timeout_ms, KM_OPTION_DURATION, "TIME",             \
      KM_UNSYNCED_MS_DEFAULT, "2s", 1, KM_UNSYNCED_MS_MAX, "0.3.0",            \
      "How long a change may wait for the answer of a node that hears of it "  \
      "before that node is reported as unsynced (by the least of all "         \
      "groups), "                                                              \
      "and its caller is answered.")                                           \
    X("fence_wait", fence_wait_ms, KM_OPTION_DURATION, "TIME",                 \
      KM_FENCE_WAIT_MS, "50ms", 0, KM_FENCE_WAIT_MS_MAX, "0.3.0",              \
      "How long the owner of a key waits for changes that the asking node "    \
      "knows already. Then that node loads the key.")                          \
    X("sync_ack", sync_ack, KM_OPTION_STRING, "WHEN", "async", "async", 0, 0,  \
      "0.3.0",                                                                 \
      "When a change that all nodes hear of is answered: async (at once), "    \
      "one (when another node has applied it) or all (when all have), but "    \
      "after sync_timeout in any case. Without effect with sync=owner and "    \
      "sync=local.")                                                           \
    X("huge_pages", huge_pages, KM_OPTION_STRING, "WHEN", "auto", "auto", 0,   \
      0, "0.2.0",                                                              \
      "Pages of 2 MiB, with which a large group is faster: on, off, or auto "  \
      "(from 64m on, gathered in the background).")

/* Names that belong to a later version, and that this one refuses: X(name) */
#define KM_GROUP_OPTION_LATER_MAP(X)                                           \
    X("stale_while_revalidate")                                                \
    X("stale_if_error")                                                        \
    X("refresh_ahead")                                                         \
    X("max_staleness")                                                         \
    X("on_unclean_leave")                                                      \
    X("crash_refresh")                                                         \
    X("hot_copies")                                                            \
    X("breaker")
