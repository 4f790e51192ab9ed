/* SPDX-License-Identifier: MIT */
/* The size of the message is counted with each answer, from the longest that
 * its item can be, and never measured: an answer that fits stays. */
#include "services/mget_answers.h"

#include "base/assert.h"
#include "base/limits.h"
#include "rpc/server_call.h"
#include "services/condition.h"
#include "wire/msg/msg.h"

/* The longest that an item without its value can be: tag, length, fields. */
#define ITEM_HEAD_BYTES 64
/* The longest that an item can be which is only a status. Every key has so many
 * bytes from the beginning. */
#define ITEM_BYTES_MIN 16
/* The tag and the length of a sentence. */
#define TEXT_HEAD_BYTES 3

/* The longest that a message of a stream can be without its value. */
#define STREAM_HEAD_BYTES (128 + KM_ERROR_BYTES_MAX)

#define FULL "the answer has no more room; ask for this key again"

struct km_mget_answer {
    kama_value *value;
    char *text;
    uint32_t next;  /* the index of the next follower plus 1; 0: none */
    int16_t status; /* a kama_status of a request: above -1000 */
    uint8_t source; /* an enum km_source; KM_SOURCE_NONE: not answered */
};

_Static_assert(sizeof(struct km_mget_answer) == 24, "24 bytes per key");

kama_status km_mget_answers_init(struct km_mget_answers *answers,
                                 const kama_allocator *mem, uint32_t count,
                                 uint64_t bytes_max)
{
    *answers = (struct km_mget_answers){
        .mem = mem,
        .list =
            km_mem_zalloc(mem, count > 0 ? count : 1, sizeof *answers->list),
        .count = count,
        .bytes = (uint64_t)count * ITEM_BYTES_MIN,
        .bytes_max = bytes_max,
    };
    return answers->list != NULL ? KAMA_OK : KAMA_ERR_NO_MEMORY;
}

kama_status km_mget_answers_init_stream(struct km_mget_answers *answers,
                                        const kama_allocator *mem,
                                        uint32_t count)
{
    kama_status st = km_mget_answers_init(answers, mem, count, UINT64_MAX);
    if (st == KAMA_OK) {
        answers->order =
            km_mem_zalloc(mem, count > 0 ? count : 1, sizeof *answers->order);
    }
    if (st == KAMA_OK && answers->order == NULL) {
        km_mget_answers_fini(answers);
        st = KAMA_ERR_NO_MEMORY;
    }
    return st;
}

/* An answer holds one reference to its value: memory that the group counts as
 * pinned until the message is written. */
static void give_back(const struct km_mget_answers *answers,
                      struct km_mget_answer *answer)
{
    kama_value_unref(answer->value);
    km_mem_free(answers->mem, answer->text);
    answer->value = NULL;
    answer->text = NULL;
}

void km_mget_answers_fini(struct km_mget_answers *answers)
{
    for (uint32_t i = 0; answers->list != NULL && i < answers->count; i++) {
        give_back(answers, &answers->list[i]);
    }
    km_mem_free(answers->mem, answers->list);
    km_mem_free(answers->mem, answers->order);
    answers->list = NULL;
    answers->order = NULL;
}

/* Counts so many bytes more. Returns false, and counts nothing, if they do not
 * fit into the message. */
static bool take_room(struct km_mget_answers *answers, uint64_t bytes)
{
    if (answers->bytes > answers->bytes_max ||
        bytes > answers->bytes_max - answers->bytes) {
        return false;
    }
    answers->bytes += bytes;
    return true;
}

/* Returns a copy of the text, owned, or NULL if there is no room for it. */
static char *copy_text(struct km_mget_answers *answers, const char *text)
{
    size_t len = strlen(text);
    return len > 0 && take_room(answers, len + TEXT_HEAD_BYTES)
               ? km_mem_strndup(answers->mem, text, len)
               : NULL;
}

/* Answers one key. value, text: borrowed. */
static void answer_one(struct km_mget_answers *answers, uint32_t index,
                       enum km_source source, kama_status status,
                       kama_value *value, const char *text)
{
    struct km_mget_answer *answer = &answers->list[index];
    KM_ASSERT(answer->source == KM_SOURCE_NONE);
    answer->source = (uint8_t)source;
    if (answers->order != NULL) {
        answers->order[answers->answered++] = index;
    }
    if (status == KAMA_OK) {
        if (take_room(answers, kama_value_bytes(value).len + ITEM_HEAD_BYTES)) {
            answer->value = kama_value_ref(value);
        } else {
            status = KAMA_ERR_TOO_LARGE;
            text = FULL;
        }
    }
    if ((int)status < 0 && text != NULL) {
        answer->text = copy_text(answers, text);
    }
    KM_ASSERT((int16_t)status == (int)status);
    answer->status = (int16_t)status;
}

void km_mget_answers_put(struct km_mget_answers *answers, uint32_t index,
                         enum km_source source, kama_status status,
                         kama_value *value, char *text)
{
    KM_ASSERT(index < answers->count);
    KM_ASSERT((status == KAMA_OK) == (value != NULL));
    for (uint32_t i = index + 1; i != 0; i = answers->list[i - 1].next) {
        answer_one(answers, i - 1, source, status, value, text);
    }
    kama_value_unref(value);
    km_mem_free(answers->mem, text);
}

enum km_get_source km_mget_answers_source(const struct km_mget_answers *answers,
                                          uint32_t index)
{
    return answers->list[index].source == KM_SOURCE_PEER ? KM_GET_FROM_PEER
                                                         : KM_GET_FROM_LOADER;
}

uint32_t km_mget_answers_followers(const struct km_mget_answers *answers,
                                   uint32_t index)
{
    uint32_t n = 0;
    for (uint32_t i = answers->list[index].next; i != 0;
         i = answers->list[i - 1].next) {
        n++;
    }
    return n;
}

void km_mget_answers_follow(struct km_mget_answers *answers, uint32_t first,
                            uint32_t index)
{
    struct km_mget_answer *leader = &answers->list[first];
    KM_ASSERT(first < index && index < answers->count);
    if (leader->source == KM_SOURCE_NONE) {
        answers->list[index].next = leader->next;
        leader->next = index + 1;
        return;
    }
    answer_one(answers, index, (enum km_source)leader->source,
               (kama_status)leader->status, leader->value, leader->text);
}

/* A miss and an error have neither value nor source, only their status. etag: the
 * place for the bytes of the item's etag. */
static struct km_msg_mget_item make_item(
    const struct km_mget_answers *answers, uint32_t index,
    uint8_t etag[static KM_SERVICE_ETAG_BYTES])
{
    const struct km_mget_answer *answer = &answers->list[index];
    KM_ASSERT(answer->source != KM_SOURCE_NONE);
    struct km_msg_mget_item item = {.status = answer->status};
    if (answer->value != NULL) {
        item.ttl_ms = kama_value_ttl_ms(answer->value);
        item.version = kama_value_version(answer->value);
        item.source = answer->source;
        item.etag =
            km_service_etag_of(answer->value, answers->want_etags, etag);
        item.value = kama_value_bytes(answer->value);
    }
    if (answer->text != NULL) {
        item.message = kama_bytes_str(answer->text);
    }
    return item;
}

kama_status km_mget_answers_write(struct km_mget_answers *answers,
                                  struct km_buf *buf)
{
    kama_status st = km_buf_reserve(buf, (size_t)answers->bytes);
    for (uint32_t i = 0; i < answers->count && st == KAMA_OK; i++) {
        uint8_t etag[KM_SERVICE_ETAG_BYTES];
        struct km_msg_mget_item item = make_item(answers, i, etag);
        st = km_pb_append_element(buf, KM_MSG_MGET_ITEMS, &km_msg_mget_item_pb,
                                  &item);
        give_back(answers, &answers->list[i]);
    }
    return st;
}

bool km_mget_answers_has(const struct km_mget_answers *answers, uint32_t index)
{
    KM_ASSERT(index < answers->count);
    return answers->list[index].source != KM_SOURCE_NONE;
}

/* Writes the message of a key up to its value, whose bytes are sent from the
 * item: index, item { status, ..., prefix of the value }. Returns its end. */
static uint8_t *write_head(uint32_t index, struct km_msg_mget_item item,
                           uint8_t head[static STREAM_HEAD_BYTES])
{
    size_t value_len = item.value.len;
    const struct km_msg_mget_stream_response message = {.index = index};
    item.value = kama_bytes_make(NULL, 0);
    size_t fields = km_pb_size(&km_msg_mget_item_pb, &item);
    size_t len =
        fields + km_pb_prefix_size(KM_MSG_VALUE, value_len) + value_len;
    KM_ASSERT(fields + 4 * KM_PB_PREFIX_BYTES_MAX <= STREAM_HEAD_BYTES);
    uint8_t *end = km_pb_write(&km_msg_mget_stream_response_pb, &message, head);
    end = km_pb_write_prefix(end, KM_MSG_MGET_STREAM_ITEM, len);
    end = km_pb_write(&km_msg_mget_item_pb, &item, end);
    return km_pb_write_prefix(end, KM_MSG_VALUE, value_len);
}

kama_status km_mget_answers_send(struct km_mget_answers *answers,
                                 struct km_server_call *call)
{
    uint8_t head[STREAM_HEAD_BYTES];
    kama_status st = KAMA_OK;
    KM_ASSERT(answers->order != NULL);
    while (answers->sent < answers->answered && st == KAMA_OK &&
           km_server_call_writable(call)) {
        uint32_t index = answers->order[answers->sent++];
        struct km_mget_answer *answer = &answers->list[index];
        uint8_t etag[KM_SERVICE_ETAG_BYTES];
        struct km_msg_mget_item item = make_item(answers, index, etag);
        uint8_t *end = write_head(index, item, head);
        st = km_server_call_send(call,
                                 kama_bytes_make(head, (size_t)(end - head)),
                                 item.value.len > 0 ? answer->value : NULL);
        give_back(answers, answer);
    }
    return st;
}

/* An open answer has no value, no sentence and no status. */
static void check_open(const struct km_mget_answers *answers, uint32_t index)
{
    const struct km_mget_answer *answer = &answers->list[index];
    KM_ASSERT(answer->value == NULL && answer->text == NULL);
    KM_ASSERT(answer->status == 0);
    uint32_t length = 0;
    for (uint32_t i = answer->next; i != 0; i = answers->list[i - 1].next) {
        KM_ASSERT(i <= answers->count && i - 1 != index);
        KM_ASSERT(answers->list[i - 1].source == KM_SOURCE_NONE);
        KM_ASSERT(++length < answers->count);
    }
}

/* Returns how many bytes an answered key has taken beyond ITEM_BYTES_MIN. */
static uint64_t check_answered(const struct km_mget_answer *answer)
{
    uint64_t bytes = 0;
    KM_ASSERT(answer->value == NULL || answer->status == KAMA_OK);
    KM_ASSERT(answer->text == NULL || answer->status < 0);
    if (answer->value != NULL) {
        bytes += kama_value_bytes(answer->value).len + ITEM_HEAD_BYTES;
    }
    if (answer->text != NULL) {
        bytes += strlen(answer->text) + TEXT_HEAD_BYTES;
    }
    return bytes;
}

void km_mget_answers_check(const struct km_mget_answers *answers)
{
    uint64_t bytes = (uint64_t)answers->count * ITEM_BYTES_MIN;
    for (uint32_t i = 0; i < answers->count; i++) {
        if (answers->list[i].source == KM_SOURCE_NONE) {
            check_open(answers, i);
        } else {
            bytes += check_answered(&answers->list[i]);
        }
    }
    KM_ASSERT(answers->list != NULL && bytes <= answers->bytes);
    KM_ASSERT(answers->sent <= answers->answered);
    KM_ASSERT(answers->answered <= answers->count);
}
