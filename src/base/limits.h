/* SPDX-License-Identifier: MIT */
/*
 * The limits of the whole project: every maximum, default and period, with its
 * unit in its name and its reason beside it.
 *
 * A limit that users can reach has a test at the limit and one past it.
 * Sentences about a limit take the number from here, so that they stay true:
 *
 *     "more than " KM_TEXT_OF(KM_GROUPS_MAX) " groups"
 *
 * Names say the unit (BYTES, MS, PER_S) and the kind:
 *
 *     _MIN, _MAX     what is refused below and above
 *     _DEFAULT       what an option is without a setting
 *     _PER_TURN      how much one turn of an event loop does for one connection
 *                    before the others have their turn
 */
#pragma once

/* The number of a limit as a string literal, for sentences that name it. The
 * limit must be a plain number. */
#define KM_TEXT_OF(number) KM_TEXT_OF_(number)
#define KM_TEXT_OF_(number) #number

/* -- keys, values and groups ---------------------------------------------- */
#define KM_KEY_BYTES_MIN 1
#define KM_KEY_BYTES_MAX 4096 /* keys are copied into frames and log lines */
#define KM_VALUE_BYTES_DEFAULT (1u << 20)
#define KM_VALUE_BYTES_LOCAL_MAX (64u << 20) /* a group without peers */
/* A group whose values travel between nodes: one value must not hold up the
 * others on a connection for long. */
#define KM_VALUE_BYTES_CLUSTER_MAX (16u << 20)
#define KM_FILL_EXTRA_MS 500 /* a fill at the owner outlasts the load there */
#define KM_VIEW_WAIT_MS 2000 /* of a mutation, for a newer view */
/* Changes of a group that wait for other nodes, with their keys and values: the
 * requests that brought them do not count as held any more. */
#define KM_MUTATE_PARKED_BYTES_MAX (256u << 20)
#define KM_TRACEPARENT_BYTES 56 /* 55 bytes, as the W3C has them, and a NUL */
#define KM_GROUP_BYTES_DEFAULT (64u << 20)
#define KM_GROUP_BYTES_MIN (64u << 10) /* index and queues have a base cost */
/* More than any machine has, and little enough for sums of all groups. */
#define KM_GROUP_BYTES_MAX (UINT64_C(1) << 46)
#define KM_GROUP_VALUES_MIN 4 /* max_bytes >= 4 x max_value_bytes */
#define KM_GROUP_NAME_BYTES_MAX 255
#define KM_GROUPS_MAX 1024
/* sync=shard:R and sync=peers:...: R, the addresses, and the length of their list. */
#define KM_STRATEGY_COPIES_MAX 16
#define KM_STRATEGY_PEERS_MAX 16
#define KM_STRATEGY_TARGETS_BYTES_MAX 1023
#define KM_METRIC_GROUPS_MAX 64 /* names of groups in the text of metrics */
#define KM_METRIC_PEERS_MAX 64  /* and addresses of members */
#define KM_MGET_KEYS_MAX 65536
#define KM_GLOB_BYTES_MAX 1024
#define KM_TTL_JITTER_PERCENT_MAX 50
/* A longer time to live counts as for ever, so that sums cannot overflow. */
#define KM_TTL_MS_MAX (100LL * 365 * 24 * 3600 * 1000)

/* -- flights and loads --------------------------------------------------- */
#define KM_FLIGHT_WAITERS_MAX 65536 /* per key; bounds a stampede's memory */
#define KM_LOADER_TIMEOUT_MS_DEFAULT 5000
#define KM_LOADER_TIMEOUT_MS_MAX (3600LL * 1000)
#define KM_LOADER_CONCURRENCY_DEFAULT 64
#define KM_LOADER_CONCURRENCY_MAX 1024
#define KM_LOADER_QUEUE_MAX 65536 /* loads waiting for a slot, per group */
#define KM_ASYNC_THREADS_DEFAULT 2
#define KM_ASYNC_THREADS_MAX 256
#define KM_SCAN_ENTRIES_PER_CALL 1024
#define KM_SCAN_COMPARED_PER_CALL (1u << 20) /* bytes of globs and keys */

/* -- hot keys (group/hot_keys.h) ------------------------------------------ */
#define KM_HOT_KEYS_SHOWN_DEFAULT 20
#define KM_HOT_KEYS_SHOWN_MAX 1024 /* of hot keys, and of largest entries */
#define KM_HOT_KEYS_MESSAGE_BYTES (3u << 20) /* clients expect at most 4 MiB */
#define KM_HOT_KEYS_COUNTERS_MIN 32
#define KM_HOT_KEYS_COUNTERS_MAX 1024 /* of a group of 64 MiB or more */
#define KM_HOT_KEYS_BYTES_PER_COUNTER (64u << 10) /* of max_bytes */
#define KM_HOT_KEYS_HALF_LIFE_MS 30000
#define KM_HOT_KEYS_SLICE_MS 100
#define KM_HOT_KEYS_SAMPLES 256 /* of a cell in a slice, at the same period */
#define KM_HOT_KEYS_PERIOD_MAX 1024

/* -- the last error, log ------------------------------------------------- */
#define KM_ERROR_BYTES_MAX 256
#define KM_EVENT_BYTES_MAX 512 /* an error sentence with its group and key */
#define KM_LOG_LINE_BYTES_MAX 4096
#define KM_LOG_RING_LINES 1024

/* -- sockets ------------------------------------------------------------- */
#define KM_NET_READ_BYTES_PER_TURN (64u << 10)
#define KM_NET_ACCEPTS_PER_TURN 16
/* A connection is closed when a write has made no progress for this long. */
#define KM_NET_WRITE_STALL_MS 10000
#define KM_NET_DRAIN_GAP_MS 100 /* between the first two steps of a drain */
/* A connection that was used within this time may be missed by its client. */
#define KM_NET_DRAIN_USED_MS 1000
/* A loop that has not answered a mail for this long stands still. */
#define KM_NET_PULSE_LATE_MS 2000

/* -- HTTP/2 and gRPC ------------------------------------------------------- */

/* The rates lie above what honest clients were measured to send. A connection
 * that exceeds one is closed. */
#define KM_H2_HEADER_LIST_BYTES_MAX 8192
#define KM_H2_STREAMS_MAX 1000
#define KM_H2_WINDOW_BYTES (1u << 20)          /* connection, receiving */
#define KM_H2_STREAM_WINDOW_BYTES (256u << 10) /* stream, receiving */
/* Reading stops while this much waits to be written. */
#define KM_H2_OUTBOUND_BYTES_MAX (1u << 20)
#define KM_H2_OUTBOUND_FRAMES_MAX (2 * KM_H2_STREAMS_MAX)
/* A connection is closed when the peer keeps its windows shut for this long. */
#define KM_H2_WRITE_STALL_MS 10000
#define KM_H2_PREFACE_MS 10000 /* until the preface and SETTINGS have arrived */
#define KM_H2_RESET_BURST 2000
#define KM_H2_RESET_PER_S 500
/* A peer resets the calls of thousands of clients over one connection. */
#define KM_H2_PEER_RESET_BURST 5000
#define KM_H2_PEER_RESET_PER_S 1000
#define KM_H2_RESET_SENT_PER_10S 200 /* resets of ours for errors of a peer */
/* One PING per HEADERS or DATA frame is free, because grpc-go sends up to 3,221
 * of those a second. These limit the PINGs beyond that. */
#define KM_H2_PING_BURST 200
#define KM_H2_PING_PER_S 100
#define KM_H2_SETTINGS_PER_S 50
#define KM_H2_PRIORITY_PER_S 100 /* beyond one per request */
/* A peer may send so many WINDOW_UPDATEs for each frame of ours and for each
 * HEADERS of its own, which may wait for its answer, and beyond those so many a
 * second. */
#define KM_H2_WINDOW_UPDATES_PER_FRAME 10
#define KM_H2_WINDOW_UPDATES_PER_HEADERS 4
#define KM_H2_WINDOW_UPDATE_PER_S 1000
#define KM_H2_CREDIT_MAX 100000        /* free frames that can be saved up */
#define KM_H2_EMPTY_DATA_PER_STREAM 10 /* in a row, without END_STREAM */
/* So much of a request is still read, and for so long, after it was answered,
 * before its stream is reset with NO_ERROR. */
#define KM_H2_LINGER_BYTES (1u << 20)
#define KM_H2_LINGER_MS 1000
/* The largest message is max_value_bytes and this slack, but at least the
 * minimum. */
#define KM_RPC_MESSAGE_BYTES_MIN (4u << 20)
#define KM_RPC_MESSAGE_SLACK_BYTES (64u << 10)
/* Each byte of a compressed message pays for so many decoded bytes. Source code,
 * logs and varied JSON were measured to shrink to between a tenth and a third,
 * and rows of JSON that differ in one number to a 29th. */
#define KM_GRPC_DECODED_PER_BYTE 32
/* Messages that decode to more take the rest from a budget of their loop, which
 * refills by so much a second (zlib needs a twentieth of a processor for it) and
 * holds so much: a few messages of the usual largest size. */
#define KM_GRPC_DECODED_MIB_PER_S 64
#define KM_GRPC_DECODED_BURST_MIB 16
/* Messages that have arrived in part. Beyond the first number the windows of
 * the connection stay closed; beyond the second one messages are refused. */
#define KM_RPC_HELD_BYTES_CONN (8u << 20)
#define KM_RPC_HELD_BYTES_LOOP (256u << 20)
/* When the one stream that may go on gets no byte for this long, all of them may:
 * a proxy may need the others' windows to send it. */
#define KM_RPC_STALL_MS 200
/* So much of a refused message is read, and its end is awaited for so long,
 * before the refusal is sent. */
#define KM_RPC_REFUSED_BYTES_MAX (64u << 10)
#define KM_RPC_REFUSED_WAIT_MS 100
/* A client's call takes no further message while so much of its request waits
 * to be sent. Callers that ask for room are stopped much earlier. */
#define KM_RPC_CALL_QUEUED_BYTES_MAX (4u << 20)
/* When a peer's connection is silent for so long, a PING is sent, and without
 * an answer in time the peer counts as frozen: after 3 s at the latest. */
#define KM_RPC_PEER_PING_MS 1000
#define KM_RPC_PEER_PING_TIMEOUT_MS 2000
/* etcd ends connections that send PINGs more often than every 5 s. */
#define KM_RPC_ETCD_PING_MS 6000
#define KM_RPC_ETCD_PING_TIMEOUT_MS 4000
/* Metadata that a call keeps for its handler. Tokens of people have up to 2 KB. */
#define KM_RPC_METADATA_BYTES_MAX 4096
/* Connections beyond max_connections that only peers may keep: three for each
 * other node of a cluster of 33, were all of them locked out at a time. */
#define KM_RPC_PEER_CONNECTIONS_MAX 96
/* One of these connections shows within this time that it is a peer's. */
#define KM_RPC_PEER_CALL_MS 2000
#define KM_RPC_CALLS_SPARE_MAX 512         /* free calls that a loop keeps */
#define KM_RPC_H2_CACHE_BYTES (512u << 10) /* free blocks that a loop keeps */
/* A client's reset counts as fair from this long before our deadline on, or
 * from the last quarter of the timeout on: the client's clock has started
 * earlier. */
#define KM_RPC_RESET_EARLY_MS 10
#define KM_GRPC_TIMEOUT_MS_MAX (24LL * 3600 * 1000)

/* -- services ------------------------------------------------------------ */
#define KM_PING_PAYLOAD_BYTES_MAX 1024
/* A longer value without a version is hashed only for a client that asks. */
#define KM_ETAG_UNASKED_BYTES_MAX 4096
#define KM_MGET_PARALLEL 64 /* keys of one MGet that wait for loads */
/* The same in a cluster, so that each owner gets its keys in one request. */
#define KM_MGET_PARALLEL_OWNERS 1024
/* The keys of all MGets that a node runs at a time; each takes 24 to 88
 * bytes. */
#define KM_MGET_KEYS_NODE (4u << 20)
#define KM_MGET_KEYS_PER_TURN 1024 /* of one MGet */
#define KM_MANY_PARALLEL 256 /* elements of one MSet that other nodes have */
#define KM_SCAN_MESSAGE_BYTES (32u << 10) /* of one ScanResponse */

/* -- peers --------------------------------------------------------------- */
#define KM_PEERS_HELLO_MS 1000
#define KM_PEERS_SILENT_MS 1500 /* without an answer to a Hello: unreachable */
#define KM_PEERS_CLOCK_MS 60000 /* wall clocks that are further apart */
#define KM_PEERS_ROUND_MS 1000  /* a longer round trip does not tell the time */
#define KM_PEERS_STRANGER_MS 3000 /* an unknown node that says nothing more */
#define KM_PEERS_TICK_MS 250      /* what has failed is tried again */
/* A node that was told a view and cannot learn it must be behind before the
 * other one calls it silent and acts without it. The other one counts
 * KM_PEERS_SILENT_MS from the moment in which it has sent its Hello. This node
 * counts from the moment in which the Hello has arrived, which may have taken
 * KM_PEERS_WAY_MS, and looks with each tick. In this time the registry is asked
 * twice. */
#define KM_PEERS_LEARN_MS 1000 /* not to learn a view for so long: behind */
#define KM_PEERS_WAY_MS 200
#define KM_PEERS_ASK_MS 500 /* between two questions to the registry */
_Static_assert(KM_PEERS_WAY_MS + KM_PEERS_LEARN_MS + KM_PEERS_TICK_MS <
                   KM_PEERS_SILENT_MS,
               "a node is behind before others call it silent");
_Static_assert(2 * KM_PEERS_ASK_MS <= KM_PEERS_LEARN_MS,
               "a node asks twice before it is behind");
#define KM_PEERS_REST_FACTOR 4 /* between two builds, of the time of one, */
#define KM_PEERS_REST_MS 500   /* but no longer than this */
#define KM_PEERS_PASSED_MAX 8  /* views that no memory has let the turn learn */
#define KM_PEERS_AGAIN_MS 50   /* before the second try of a refused call */
#define KM_PEERS_LACKING_MS 500 /* what a peer lacks is not waited for again */
/* R9: for so long, an owner that misses asks the one before; so many placements, of
 * 0.5 MiB, are kept for that. */
#define KM_PEERS_EARLIER_MS 60000
#define KM_EARLIER_WAIT_MS 100 /* for its answer */
#define KM_PEERS_EARLIER_MAX 4
#define KM_PEERS_RANKS_ASKED                                                   \
    4 /* of a slot, for a node that answers: the owner, and those behind it */
#define KM_PEERS_VIEWS_KEPT                                                    \
    256 /* ids of views, and of members that have gone */
#define KM_PEERS_GONE_KEPT 1024
#define KM_PEERS_BATCH_KEYS 1024 /* of one message */
#define KM_PEERS_UNSYNCED_MAX 64 /* late nodes that one mutation names */
#define KM_PEERS_BATCH_BYTES (256u << 10) /* of its keys, or of its values */
#define KM_PEERS_NEEDS_MAX 4096           /* of a fill */
#define KM_PEERS_HEAD_KEPT_BYTES 4096u    /* a lane keeps for messages */
/* The versions of the protocol between nodes. 1 is that of 0.2, whose nodes have no streams
 * of mutations: nobody can tell them of a change. */
#define KM_MEMBER_PROTO_MIN 2
#define KM_MEMBER_PROTO_MAX 2

/* -- streams of mutations ------------------------------------------------ */
#define KM_SYNC_RING_BYTES (4u << 20) /* of the log, and */
#define KM_SYNC_RING_MS 60000         /* how long a mutation stays in it */
#define KM_SYNC_FEED_BYTES                                                     \
    (1u << 20)                     /* of the mutations that are watched, and */
#define KM_SYNC_FEED_KEPT_MS 60000 /* how long they are kept unwatched */
#define KM_SYNC_FRAME_BYTES                                                    \
    (64u << 10) /* of one message; larger values in parts */
#define KM_SYNC_QUEUED_BYTES                                                   \
    (256u << 10) /* that wait at either end of a stream */
#define KM_SYNC_LARGE_BYTES                                                    \
    (64u << 20) /* values that are sent or received in parts */
#define KM_SYNC_HEARTBEAT_MS 500
#define KM_SYNC_ACK_MS 10 /* acknowledgements that come together are one */
#define KM_SYNC_SILENT_MS 1500
#define KM_SYNC_LAGGING_MS 500 /* a member that acknowledges later is shown */
#define KM_SYNC_HELLO_MS 1000  /* before a stream is begun again */
#define KM_SYNC_CLOCK_MS 60000 /* a clock that is further ahead is refused */
#define KM_SYNC_QUARANTINE_MS 60000 /* and so is its node, for so long */
#define KM_UNSYNCED_MS_DEFAULT 2000 /* without an acknowledgement */
#define KM_UNSYNCED_MS_MAX 3600000
#define KM_SYNC_TIMEOUT_MS KM_UNSYNCED_MS_DEFAULT
#define KM_FENCE_WAIT_MS 50 /* for what a fill needs */
#define KM_FENCE_WAIT_MS_MAX 10000
#define KM_SYNC_GONE_KEPT 256   /* ids of members that have left */
#define KM_SYNC_VIEWS_KEPT 256  /* ids of views that were adopted */
#define KM_SYNC_PROTO 1         /* the version of the messages */
#define KM_SYNC_GROUPS_MAX 4096 /* numbers of groups in one stream */
/* So much of the strategy of a group on another node is shown. */
#define KM_SYNC_STRATEGY_BYTES 96

/* -- nodes --------------------------------------------------------------- */
#define KM_NODE_THREADS_MAX 64
/* A node that stops answers peeks of the new owners for so long, and until nobody has
 * asked for so long. */
#define KM_NODE_LINGER_MS 1000
#define KM_NODE_LINGER_QUIET_MS 500
#define KM_NODE_CONNECTIONS_DEFAULT 10000
/* Descriptors that are not for connections of the data port. Half of them are for
 * those of the admin port, which must not take any from clients. */
#define KM_NODE_FD_RESERVE 128
/* A node in a cluster keeps more: for the connections that only peers may keep,
 * for its own to so many peers (one for each loop, one for Hello and one for the stream
 * of mutations), and for those to etcd, two of which can be on their way out. */
#define KM_NODE_FD_PEERS (KM_RPC_PEER_CONNECTIONS_MAX / 3)
#define KM_NODE_FD_ETCD 4
/* Warnings about loads, per group; after these there is one a second. */
#define KM_LOAD_WARNINGS_BURST 5u
#define KM_POOL_THREADS_MAX 1024

/* -- admin port -------------------------------------------------------------- */
#define KM_ADMIN_CONNECTIONS_MAX 64
#define KM_ADMIN_CONNECTIONS_RESERVED 8 /* while idle ones are being closed */
#define KM_ADMIN_PORT_DISTANCE 1000 /* from the data port, without --admin */
/* The request line and the headers of a request. */
#define KM_ADMIN_HEAD_BYTES_MAX 8192
#define KM_ADMIN_HEADERS_MAX 64
#define KM_ADMIN_HOST_BYTES_MAX 255
#define KM_ADMIN_HOSTS_MAX 64    /* names that --admin-host gives */
#define KM_ADMIN_REQUEST_MS 5000 /* from the first byte to the last one */
#define KM_ADMIN_IDLE_MS 30000   /* between two requests */
#define KM_ADMIN_ANSWER_MS 30000 /* until an answer was read */
#define KM_ADMIN_TICK_MS 1000    /* between two questions to a loop */
/* One answer, and the answers of all connections that were not read yet. */
#define KM_ADMIN_ANSWER_BYTES_MAX (8u << 20)
#define KM_ADMIN_UNREAD_BYTES_MAX (32u << 20)
/* The list of keys: entries, bytes of keys, calls of kama_scan, and how long it goes
 * on to call, so that probes of health are not late because of globs. */
#define KM_ADMIN_KEYS_DEFAULT 100
#define KM_ADMIN_KEYS_MAX 1000
#define KM_ADMIN_KEYS_BYTES_MAX (1u << 20)
#define KM_ADMIN_SCANS_MAX 64
#define KM_ADMIN_SCAN_MS 20

/* -- members of a cluster --------------------------------------------------- */
#define KM_MEMBER_WEIGHT_MAX 16
#define KM_MEMBER_LABELS_MAX 16
#define KM_MEMBER_LABEL_BYTES_MAX 63
#define KM_MEMBER_VERSION_BYTES_MAX 63
#define KM_CLUSTER_NAME_BYTES_MAX 255 /* also of a service */
/* The start and the stop of a node in a cluster. */
#define KM_CLUSTER_PEERS_WAIT_MS 2000 /* a peer that is silent delays no more */
#define KM_CLUSTER_PROBE_MS 1000      /* who answers at an address */
#define KM_CLUSTER_DIAL_AGAIN_MS 200  /* until the next dial-back */
#define KM_CLUSTER_DIAL_MS 2500  /* then nobody answers at the own address */
#define KM_CLUSTER_LEAVE_MS 2000 /* others take the keys over */

/* -- membership -------------------------------------------------------------- */
/* A longer record is junk, and is not parsed. */
#define KM_MEMBERSHIP_RECORD_BYTES_MAX 8192
/* The parser of JSON recurses; a record has two levels. */
#define KM_MEMBERSHIP_RECORD_DEPTH_MAX 8
/* A clock in a record that is further ahead of the own one makes it junk. */
#define KM_MEMBERSHIP_CLOCK_MS 60000
#define KM_MEMBERSHIP_MEMBERS_MAX 4096 /* the others are ignored, as junk is */
#define KM_MEMBERSHIP_LEASE_MS_DEFAULT 10000
#define KM_MEMBERSHIP_KEPT_PENDING_MAX 4 /* keepalives without an answer */
#define KM_MEMBERSHIP_BACKOFF_MS_MIN 100
#define KM_MEMBERSHIP_BACKOFF_MS_MAX 3000
/* The registry is read so often, because a watch can lose events (etcd 17529). */
#define KM_MEMBERSHIP_RECONCILE_MS 30000
#define KM_MEMBERSHIP_REFRESH_MS                                               \
    KM_PEERS_ASK_MS /* between two reads that others ask for */
/* More than half of a larger view that goes within this time is held. */
#define KM_MEMBERSHIP_MASS_MS 1000
#define KM_MEMBERSHIP_MASS_VIEW_MIN 3
/* A record that is gone without a goodbye counts for so long, because the others
 * of a mass leave follow within it. Leases expire about ten seconds late anyway. */
#define KM_MEMBERSHIP_MISSING_MS 100
#define KM_MEMBERSHIP_PROBE_MS 5000 /* until a probe counts as "nobody" */
#define KM_MEMBERSHIP_WAIT_SLACK_MS 2000
/* How often a start waits for a record that is always prolonged. */
#define KM_MEMBERSHIP_WAIT_ROUNDS_MAX 3
#define KM_MEMBERSHIP_LEAVE_MS 2000
#define KM_MEMBERSHIP_REVOKE_MS 1000
#define KM_MEMBERSHIP_GOODBYE_MS 500 /* so much of it waits for the goodbye */
_Static_assert(KM_MEMBERSHIP_GOODBYE_MS < KM_MEMBERSHIP_REVOKE_MS,
               "the lease is revoked after the goodbye");
#define KM_MEMBERSHIP_JUNK_LOG_MS 60000 /* between two lines about junk */
/* -- etcd ---------------------------------------------------------------- */
#define KM_ETCD_ENDPOINTS_MAX 16
/* The largest answer, and the most records of one. A prefix that holds more than
 * a cluster can ever have is somebody's mistake, and must not cost the node its
 * memory. The records take 21 MiB. */
#define KM_ETCD_ANSWER_BYTES_MAX (64u << 20)
#define KM_ETCD_RECORDS_MAX 262144
#define KM_ETCD_TTL_S_MAX (100LL * 365 * 24 * 3600) /* what is believed */
#define KM_ETCD_TOKEN_BYTES_MAX 4096                /* it travels as metadata */
#define KM_ETCD_LEASE_TTL_MS_DEFAULT 10000
#define KM_ETCD_BEATS_MAX 64 /* keepalives of a lease without an answer */
/* etcd ends connections that send a PING more often than every 5 s. */
#define KM_ETCD_PING_AFTER_MS 5500
#define KM_ETCD_PING_TIMEOUT_MS 3000
/* If there are several endpoints, one that is silent for so long is left. When all
 * of them were left for that, they are only slow, and each gets its full time. */
#define KM_ETCD_SILENT_MS 2500
