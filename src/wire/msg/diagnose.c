/* SPDX-License-Identifier: MIT */
#include "wire/msg/diagnose.h"

KM_PB_DEFINE(km_msg_explain_request, km_msg_explain_request_pb,
             KM_MSG_EXPLAIN_REQUEST)
KM_PB_DEFINE(km_msg_version, km_msg_version_pb, KM_MSG_VERSION)
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

/* -- words ------------------------------------------------------------------- */

#define WORD(words, number)                                                    \
    word(words, sizeof(words) / sizeof(words)[0], number)

static const char *word(const char *const *words, size_t count, int32_t number)
{
    return words[number >= 0 && (size_t)number < count ? number : 0];
}

const char *km_msg_copy_kind_name(int32_t kind)
{
    static const char *const words[] = {"unknown", "filled", "explicit"};
    return WORD(words, kind);
}

const char *km_msg_absence_name(int32_t absence)
{
    static const char *const words[] = {"unknown", "evicted", "expired",
                                        "deleted"};
    return WORD(words, absence);
}

const char *km_msg_get_action_name(int32_t action)
{
    static const char *const words[] = {
        "unknown", "hit", "negative", "join", "fill", "load", "miss", "refuse"};
    return WORD(words, action);
}
