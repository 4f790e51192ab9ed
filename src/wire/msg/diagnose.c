/* SPDX-License-Identifier: MIT */
#include "wire/msg/diagnose.h"

KM_PB_DEFINE(km_msg_explain_request, km_msg_explain_request_pb,
             KM_MSG_EXPLAIN_REQUEST)
KM_PB_DEFINE(km_msg_key_record, km_msg_key_record_pb, KM_MSG_KEY_RECORD)
KM_PB_DEFINE(km_msg_copy, km_msg_copy_pb, KM_MSG_COPY)
KM_PB_DEFINE(km_msg_explain_response, km_msg_explain_response_pb,
             KM_MSG_EXPLAIN_RESPONSE)
KM_PB_DEFINE(km_msg_doctor_check, km_msg_doctor_check_pb, KM_MSG_DOCTOR_CHECK)
KM_PB_DEFINE(km_msg_host_facts, km_msg_host_facts_pb, KM_MSG_HOST_FACTS)
KM_PB_DEFINE(km_msg_registry_facts, km_msg_registry_facts_pb,
             KM_MSG_REGISTRY_FACTS)
KM_PB_DEFINE(km_msg_doctor_response, km_msg_doctor_response_pb,
             KM_MSG_DOCTOR_RESPONSE)
