/* SPDX-License-Identifier: MIT */
/*
 * Every maximum, with its unit and its reason. A row has a test at the limit
 * and one past it.
 */
#pragma once

/* A limit's number as a string literal, for sentences that name it. */
#define KM_TEXT_OF(number) KM_TEXT_OF_(number)
#define KM_TEXT_OF_(number) #number

/* -- keys, values, groups: what users see ------------------------------ */
#define KM_KEY_BYTES_MIN 1
#define KM_KEY_BYTES_MAX 4096 /* a key is copied into logs and frames */
#define KM_VALUE_BYTES_DEFAULT (1u << 20)
#define KM_VALUE_BYTES_LOCAL_MAX (64u << 20) /* a group without peers */
#define KM_GROUP_BYTES_DEFAULT (64u << 20)
#define KM_GROUP_BYTES_MIN (64u << 10) /* index and queues have a base cost */
#define KM_GROUP_VALUES_MIN 4          /* max_bytes >= 4 x max_value_bytes */
#define KM_GROUP_NAME_BYTES_MAX 255
#define KM_GROUPS_MAX 1024
#define KM_MGET_KEYS_MAX 65536
#define KM_GLOB_BYTES_MAX 1024
#define KM_TTL_JITTER_PERCENT_MAX 50
#define KM_TTL_MS_MAX (100LL * 365 * 24 * 3600 * 1000) /* longer: for ever */

/* -- flights and loads --------------------------------------------------- */
#define KM_FLIGHT_WAITERS_MAX 65536 /* per key; bounds memory of a stampede */
#define KM_LOADER_TIMEOUT_MS_DEFAULT 5000
#define KM_LOADER_TIMEOUT_MS_MAX (3600LL * 1000)
#define KM_LOADER_CONCURRENCY_DEFAULT 64
#define KM_LOADER_CONCURRENCY_MAX 1024
#define KM_LOADER_QUEUE_MAX 65536 /* loads waiting for a slot, per group */
#define KM_ASYNC_THREADS_DEFAULT 2
#define KM_ASYNC_THREADS_MAX 256
#define KM_SCAN_ENTRIES_PER_CALL 1024
#define KM_SCAN_COMPARED_PER_CALL (1u << 20) /* bytes of globs and keys */

/* -- the last error, log ------------------------------------------------- */
#define KM_ERROR_BYTES_MAX 256
#define KM_EVENT_BYTES_MAX 512 /* an error with its group and key around it */
#define KM_LOG_LINE_BYTES_MAX 4096
#define KM_LOG_RING_LINES 1024

/* -- sockets ------------------------------------------------------------- */
#define KM_NET_READ_BYTES_PER_TURN (64u << 10)
#define KM_NET_ACCEPTS_PER_TURN 16
#define KM_NET_WRITE_STALL_MS 10000 /* a write without progress: closed */
#define KM_NET_DRAIN_GAP_MS 100     /* between the first two steps of a drain */

/* -- HTTP/2 and gRPC: above what honest clients were measured to send ---- */
#define KM_H2_HEADER_LIST_BYTES_MAX 8192
#define KM_H2_STREAMS_MAX 1000
#define KM_H2_WINDOW_BYTES (1u << 20)          /* connection, receiving */
#define KM_H2_STREAM_WINDOW_BYTES (256u << 10) /* stream, receiving */
#define KM_H2_OUTBOUND_BYTES_MAX (1u << 20)    /* then reading stops */
#define KM_H2_OUTBOUND_FRAMES_MAX (2 * KM_H2_STREAMS_MAX) /* likewise */
#define KM_H2_WRITE_STALL_MS 10000 /* behind closed windows: closed */
#define KM_H2_PREFACE_MS 10000     /* preface and SETTINGS in */
#define KM_H2_RESET_BURST 2000
#define KM_H2_RESET_PER_S 500
#define KM_H2_RESET_SENT_PER_10S 200 /* for errors of the other side */
#define KM_H2_PING_BURST 200         /* beyond one per HEADERS or DATA frame: */
#define KM_H2_PING_PER_S 100 /* grpc-go sends up to 3,221 a second of those */
#define KM_H2_SETTINGS_PER_S 50
#define KM_H2_PRIORITY_PER_S 100          /* beyond one per request */
#define KM_H2_WINDOW_UPDATE_PER_S 1000    /* beyond those per frame */
#define KM_H2_WINDOW_UPDATES_PER_FRAME 10 /* that we sent */
#define KM_H2_CREDIT_MAX 100000           /* frames paid for in advance */
#define KM_H2_EMPTY_DATA_PER_STREAM 10    /* in a row, without END_STREAM */
#define KM_H2_LINGER_BYTES (1u << 20) /* read of a request after its answer, */
#define KM_H2_LINGER_MS 1000          /* before it is reset (NO_ERROR) */
#define KM_RPC_MESSAGE_BYTES_MIN (4u << 20)    /* cap: at least this */
#define KM_RPC_MESSAGE_SLACK_BYTES (64u << 10) /* over max_value_bytes */
#define KM_RPC_HELD_BYTES_CONN (8u << 20) /* messages in pieces; then windows */
#define KM_RPC_HELD_BYTES_LOOP (256u << 20) /* stay closed; then refused */
#define KM_RPC_STALL_MS 200 /* without a byte of the one that may go on */
#define KM_RPC_REFUSED_BYTES_MAX (64u << 10) /* read before a refusal is */
#define KM_RPC_REFUSED_WAIT_MS 100 /* sent; how long it waits for the end */
#define KM_RPC_CALLS_SPARE_MAX 512 /* per loop */
#define KM_RPC_H2_CACHE_BYTES (512u << 10) /* free blocks, per loop */
#define KM_RPC_RESET_EARLY_MS 10 /* at least; or a quarter of the timeout */
#define KM_GRPC_TIMEOUT_MS_MAX (24LL * 3600 * 1000)

/* -- services ------------------------------------------------------------ */
#define KM_PING_PAYLOAD_BYTES_MAX 1024
#define KM_MGET_PARALLEL 64          /* keys of one MGet that wait for loads */
#define KM_MGET_KEYS_NODE (4u << 20) /* of all MGets that run; 24..88 B each */
#define KM_MGET_KEYS_PER_TURN 1024   /* of one MGet, then others have a turn */
#define KM_SCAN_MESSAGE_BYTES (32u << 10) /* then a ScanResponse is sent */

/* -- nodes --------------------------------------------------------------- */
#define KM_NODE_THREADS_MAX 64
#define KM_NODE_CONNECTIONS_DEFAULT 10000
#define KM_NODE_FD_RESERVE 64
#define KM_LOAD_WARNINGS_BURST 5u /* per group; then one a second */
#define KM_POOL_THREADS_MAX 1024
