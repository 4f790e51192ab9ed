/* SPDX-License-Identifier: MIT */
/* The tables of etcd.h. The struct of each is declared there, by the same
 * rows. */
#include "wire/msg/etcd.h"

KM_PB_DEFINE(km_etcd_header, km_etcd_header_pb, KM_ETCD_HEADER)
KM_PB_DEFINE(km_etcd_key_value, km_etcd_key_value_pb, KM_ETCD_KEY_VALUE)
KM_PB_DEFINE(km_etcd_range, km_etcd_range_pb, KM_ETCD_RANGE)
KM_PB_DEFINE(km_etcd_range_answer, km_etcd_range_answer_pb,
             KM_ETCD_RANGE_ANSWER)
KM_PB_DEFINE(km_etcd_put, km_etcd_put_pb, KM_ETCD_PUT)
KM_PB_DEFINE(km_etcd_delete, km_etcd_delete_pb, KM_ETCD_DELETE)
KM_PB_DEFINE(km_etcd_step, km_etcd_step_pb, KM_ETCD_STEP)
KM_PB_DEFINE(km_etcd_step_answer, km_etcd_step_answer_pb, KM_ETCD_STEP_ANSWER)
KM_PB_DEFINE(km_etcd_compare, km_etcd_compare_pb, KM_ETCD_COMPARE)
KM_PB_DEFINE(km_etcd_txn, km_etcd_txn_pb, KM_ETCD_TXN)
KM_PB_DEFINE(km_etcd_txn_answer, km_etcd_txn_answer_pb, KM_ETCD_TXN_ANSWER)
KM_PB_DEFINE(km_etcd_watch_create, km_etcd_watch_create_pb,
             KM_ETCD_WATCH_CREATE)
KM_PB_DEFINE(km_etcd_watch, km_etcd_watch_pb, KM_ETCD_WATCH)
KM_PB_DEFINE(km_etcd_watch_answer, km_etcd_watch_answer_pb,
             KM_ETCD_WATCH_ANSWER)
KM_PB_DEFINE(km_etcd_event, km_etcd_event_pb, KM_ETCD_EVENT)
KM_PB_DEFINE(km_etcd_lease_grant, km_etcd_lease_grant_pb, KM_ETCD_LEASE_GRANT)
KM_PB_DEFINE(km_etcd_lease_answer, km_etcd_lease_answer_pb,
             KM_ETCD_LEASE_ANSWER)
KM_PB_DEFINE(km_etcd_lease, km_etcd_lease_pb, KM_ETCD_LEASE)
KM_PB_DEFINE(km_etcd_authenticate, km_etcd_authenticate_pb,
             KM_ETCD_AUTHENTICATE)
KM_PB_DEFINE(km_etcd_authenticate_answer, km_etcd_authenticate_answer_pb,
             KM_ETCD_AUTHENTICATE_ANSWER)
