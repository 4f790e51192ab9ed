/* SPDX-License-Identifier: MIT */
/*
 * The options of hitratio, one row each. Threads: one owner, during setup.
 */
#pragma once

#include "base/option.h"

#define HR_OPTIONS(X)                                                          \
    X(trace_heading, HEADING, NULL, NULL, 0, 0, "A trace of a file")           \
    X(trace, STRING, "FILE", "", 0, 0,                                         \
      "Read the requests from FILE, or from the standard input if it is -.")   \
    X(format, STRING, "F", "lines", 0, 0,                                      \
      "The format of FILE: int32be, lines or adaptsize.")                      \
    X(zipf_heading, HEADING, NULL, NULL, 0, 0, "A generated trace")            \
    X(zipf, STRING, "THETA", "0.99", 0, 0,                                     \
      "Generate requests with this exponent of Zipf's distribution.")          \
    X(keys, UINT, "N", "20000", 1, 100000000, "The number of keys.")           \
    X(requests, UINT, "N", "400000", 1, 1000000000, "The number of requests.") \
    X(mix, STRING, "MIX", "none", 0, 0,                                        \
      "The disturbance of these requests: none, one-hit, scan, drift or "      \
      "loop.")                                                                 \
    X(span, UINT, "N", "2000", 1, 100000000,                                   \
      "The number of keys of a scan, or of the loop.")                         \
    X(sizes, BOOL, NULL, "false", 0, 0,                                        \
      "Give the keys from 64 bytes to 64 KiB.")                                \
    X(seed, UINT, "N", "1", 0, UINT64_MAX, "Another seed, another trace.")     \
    X(cache_heading, HEADING, NULL, NULL, 0, 0, "The cache")                   \
    X(objects, LIST, "N", NULL, 0, 0,                                          \
      "A cache of N keys, each of which counts as one.")                       \
    X(size, LIST, "BYTES", NULL, 0, 0, "A cache of BYTES (64k, 16m).")         \
    X(percent, LIST, "P", NULL, 0, 0,                                          \
      "A cache of P percent of all keys, or of their bytes with --sizes.")     \
    X(policy, LIST, "NAME", NULL, 0, 0,                                        \
      "A policy; the default is all. --list shows them.")                      \
    X(engine_heading, HEADING, NULL, NULL, 0, 0, "The engine")                 \
    X(shards, UINT, "N", "1", 1, 4096, "Divide the keys among N shards.")      \
    X(segments, UINT, "N", "64", 1, 1000000,                                   \
      "s3fifo+: segments of a shard, each of which has one stamp.")            \
    X(steps, UINT, "N", "16384", 1, 4000000000,                                \
      "s3fifo+: queue steps that one request may take.")                       \
    X(frees_segments, BOOL, NULL, "false", 0, 0,                               \
      "s3fifo+: make room by a whole segment.")                                \
    X(live_heading, HEADING, NULL, NULL, 0, 0, "A group")                      \
    X(live, BOOL, NULL, "false", 0, 0,                                         \
      "Run the requests through a group of each --size as well, and "          \
      "simulate a cache of as many keys as the group keeps.")                  \
    X(value, UINT, "BYTES", "1000", 1, 1048576,                                \
      "The length of each value in such a group.")                             \
    X(output_heading, HEADING, NULL, NULL, 0, 0, "Output")                     \
    X(json, BOOL, NULL, "false", 0, 0, "Print JSON.")                          \
    X(list, BOOL, NULL, "false", 0, 0, "List the policies.")                   \
    X(help, BOOL, NULL, "false", 0, 0, "Print this text.")

struct hr_options {
    HR_OPTIONS(KM_OPTION_FIELD)
};
