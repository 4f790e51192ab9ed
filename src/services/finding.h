/* SPDX-License-Identifier: MIT */
/*
 * The findings of a doctor, one row for each: its id, its severities, its meaning,
 * and advice. docs/DOCTOR.md has the same lines
 * (tests/services/finding_document_test.c compares them).
 *
 * A node looks for the first part of the rows itself (services/doctor.c); the rest
 * follows from a comparison of the members, which kamacache-cli makes.
 *
 *     X(NAME, "id", "severities", "what it means", "what to do")
 *
 * Threads: constant. Errors: none. Cost: none. Ownership: static texts.
 */
#pragma once

#define KM_FINDING_OWN_MAP(X)                                                  \
    X(NOT_READY, "not-ready", "fail",                                          \
      "The node does not serve as a member: steps of its start are missing.",  \
      "Wait if it starts now; otherwise read its log, and the findings "       \
      "about etcd and addresses.")                                             \
    X(DEGRADED, "degraded", "warn",                                            \
      "The node serves, and something that it needs is missing.",              \
      "Look whether etcd runs and can be reached from this node.")             \
    X(REGISTRY_DOWN, "registry-down", "fail",                                  \
      "etcd does not answer the node, which keeps the last view.",             \
      "Start etcd, or repair the way to it; until then nodes cannot join "     \
      "or leave.")                                                             \
    X(REGISTRY_SLOW, "registry-slow", "warn",                                  \
      "etcd took more than 200 ms to answer the last keepalive.",              \
      "Look at the disk and the load of etcd, and at the network to it.")      \
    X(LEASE_OLD, "lease-old", "warn, fail",                                    \
      "The lease was not prolonged for two thirds of its time (warning), or "  \
      "for all of it (failure).",                                              \
      "Look whether the node is overloaded or was suspended, and whether "     \
      "etcd answers.")                                                         \
    X(DESCRIPTOR_LIMIT, "descriptor-limit", "warn",                            \
      "The node accepts more connections than it may open descriptors.",       \
      "Raise the limit of descriptors (LimitNOFILE of systemd, ulimit -n), "   \
      "or lower --max-connections.")                                           \
    X(MEMORY_LIMIT, "memory-limit", "warn, fail",                              \
      "The groups may take more than 80 % of the memory that the process may " \
      "use (warning), or all of it (failure).",                                \
      "Lower max_bytes of the groups, or raise the limit of the control "      \
      "group.")                                                                \
    X(OVERCOMMIT, "overcommit", "warn",                                        \
      "vm.overcommit_memory is 2, and the groups may take more than the "      \
      "machine commits.",                                                      \
      "Set vm.overcommit_memory to 0 or 1, raise vm.overcommit_ratio, or "     \
      "lower max_bytes.")

#define KM_FINDING_CLUSTER_MAP(X)                                              \
    X(MEMBER_SILENT, "member-silent", "fail",                                  \
      "A member does not answer within 2 s.",                                  \
      "Look whether its process runs and is not stopped, and whether the "     \
      "network reaches it.")                                                   \
    X(MEMBER_OLD, "member-old", "warn",                                        \
      "A member does not know this question, so that nothing is known of "     \
      "it.",                                                                   \
      "Update it to the version of the others.")                               \
    X(MEMBER_CUT, "member-cut", "fail",                                        \
      "A member does not reach another one.",                                  \
      "Look at firewalls and routes between the two machines; gets of the "    \
      "keys of one fail or load at the other.")                                \
    X(MEMBER_UNSYNCED, "member-unsynced", "warn",                              \
      "A member has acknowledged none of the mutations of another one "        \
      "that have waited for longer than sync_timeout (2 s).",                  \
      "Look whether the member is overloaded or stands still, and at the "     \
      "network between the two; until then its copies of what changes at "     \
      "the other one are old.")                                                \
    X(MEMBER_GAP, "member-gap", "warn",                                        \
      "In the last 10 minutes, and since the start of a member, mutations of " \
      "another one had left its log before this member had read them.",        \
      "Nothing is wrong any more: the entries that could be old were "         \
      "dropped. Look for what kept the two apart, because it costs loads.")    \
    X(CLOCK_QUARANTINED, "clock-quarantined", "fail",                          \
      "The clock in the mutations of a member is more than 60 s ahead, so "    \
      "that another one does not take them for a while.",                      \
      "Let each machine synchronise its clock, for example with chrony, "      \
      "and restart the member whose clock was ahead.")                         \
    X(ADVERTISE_OTHER, "advertise-other", "fail",                              \
      "Another node answers at the address that a member advertises.",         \
      "Give the member an --advertise that leads to it alone.")                \
    X(ADVERTISE_UNREACHABLE, "advertise-unreachable", "warn",                  \
      "Other members reach a member, but from here its address cannot be "     \
      "reached.",                                                              \
      "Ask from a machine of the cluster's network, or advertise an address "  \
      "that clients reach as well.")                                           \
    X(CLOCK_OFFSET, "clock-offset", "warn, fail",                              \
      "The clocks of two members differ by more than 1 s (warning) or 60 s "   \
      "(failure).",                                                            \
      "Let each machine synchronise its clock, for example with chrony; a "    \
      "node that is 60 s off cannot join.")                                    \
    X(VIEW_DIFFERS, "view-differs", "warn",                                    \
      "Members act by different views of the cluster.",                        \
      "Ask again in some seconds: views differ while members come and go; "    \
      "later, look at etcd and at members that are cut off.")                  \
    X(VIEW_UNSETTLED, "view-unsettled", "warn",                                \
      "A member waits until all others have adopted its view.",                \
      "Ask again in some seconds; later, look for a member that is silent.")   \
    X(GROUP_MISSING, "group-missing", "fail",                                  \
      "A group does not exist on every member.",                               \
      "Start all members with the same groups.")                               \
    X(GROUP_SYNC, "group-sync", "fail",                                        \
      "Members keep the values of a group by different strategies.",           \
      "Start all members with the same option sync of the group. Until then "  \
      "values are fetched or loaded more often than needed, and if one of "    \
      "the strategies is owner or local, members can have different values "   \
      "of a key.")                                                             \
    X(GROUP_OPTIONS, "group-options", "warn",                                  \
      "An option of a group differs between members.",                         \
      "Start all members with the same options of the group.")                 \
    X(VERSION_DIFFERS, "version-differs", "warn",                              \
      "Members run different versions.",                                       \
      "Finish the update; versions may differ for a while.")                   \
    X(LOADER_FAILED, "loader-failed", "fail",                                  \
      "The load that --probe-load asked for has failed.",                      \
      "Look at the origin of the group, and try its loader from that "         \
      "member's machine.")

#define KM_FINDING_MAP(X) KM_FINDING_OWN_MAP(X) KM_FINDING_CLUSTER_MAP(X)

#define KM_FINDING_ENUM(name, id, severities, meaning, advice)                 \
    KM_FINDING_##name,
enum km_finding { KM_FINDING_MAP(KM_FINDING_ENUM) KM_FINDING_COUNT };

enum km_severity { KM_SEVERITY_WARN, KM_SEVERITY_FAIL };
