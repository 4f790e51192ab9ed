/* SPDX-License-Identifier: MIT */
#include "services/mget_answers.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/msg/msg.h"

/* An item without its value: tag, length, and the fields at their longest. */
#define ITEM_HEAD_BYTES 64
/* An item that is only a status. */
#define ITEM_BYTES_MIN 16
/* The tag and the length of a sentence. */
#define TEXT_HEAD_BYTES 3

#define FULL "the answer has no more room; ask for this key again"

struct km_mget_answer {
    kama_value *value;
    char *text;
    uint32_t next;  /* one more than the next follower; 0: none */
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
    answers->list = NULL;
}

/* Is there room for that many bytes more? They are counted then. */
static bool take_room(struct km_mget_answers *answers, uint64_t bytes)
{
    if (answers->bytes > answers->bytes_max ||
        bytes > answers->bytes_max - answers->bytes) {
        return false;
    }
    answers->bytes += bytes;
    return true;
}

/* A copy of text, if there is room for it. */
static char *copy_text(struct km_mget_answers *answers, const char *text)
{
    size_t len = strlen(text);
    return len > 0 && take_room(answers, len + TEXT_HEAD_BYTES)
               ? km_mem_strndup(answers->mem, text, len)
               : NULL;
}

/* Answers one key. value and text are borrowed. */
static void answer_one(struct km_mget_answers *answers, uint32_t index,
                       enum km_source source, kama_status status,
                       kama_value *value, const char *text)
{
    struct km_mget_answer *answer = &answers->list[index];
    KM_ASSERT(answer->source == KM_SOURCE_NONE);
    answer->source = (uint8_t)source;
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
    answer->status = (int16_t)status;
}

void km_mget_answers_put(struct km_mget_answers *answers, uint32_t index,
                         enum km_source source, kama_status status,
                         kama_value *value, char *text)
{
    for (uint32_t i = index + 1; i != 0; i = answers->list[i - 1].next) {
        answer_one(answers, i - 1, source, status, value, text);
    }
    kama_value_unref(value);
    km_mem_free(answers->mem, text);
}

void km_mget_answers_follow(struct km_mget_answers *answers, uint32_t first,
                            uint32_t index)
{
    struct km_mget_answer *leader = &answers->list[first];
    if (leader->source == KM_SOURCE_NONE) {
        answers->list[index].next = leader->next;
        leader->next = index + 1;
        return;
    }
    answer_one(answers, index, (enum km_source)leader->source,
               (kama_status)leader->status, leader->value, leader->text);
}

static kama_status write_item(struct km_buf *buf,
                              const struct km_mget_answer *answer)
{
    KM_ASSERT(answer->source != KM_SOURCE_NONE);
    struct km_msg_mget_item item = {.status = answer->status};
    if (answer->value != NULL) {
        item.ttl_ms = kama_value_ttl_ms(answer->value);
        item.version = kama_value_version(answer->value);
        item.source = answer->source;
        item.value = kama_value_bytes(answer->value);
    }
    if (answer->text != NULL) {
        item.message = kama_bytes_str(answer->text);
    }
    return km_pb_append_element(buf, KM_MSG_MGET_ITEMS, &km_msg_mget_item_pb,
                                &item);
}

kama_status km_mget_answers_write(struct km_mget_answers *answers,
                                  struct km_buf *buf)
{
    kama_status st = km_buf_reserve(buf, (size_t)answers->bytes);
    for (uint32_t i = 0; i < answers->count && st == KAMA_OK; i++) {
        st = write_item(buf, &answers->list[i]);
        give_back(answers, &answers->list[i]);
    }
    return st;
}
