/* SPDX-License-Identifier: MIT */
/*
 * The answers of one MGet: their order, keys that follow others, and the limit
 * of the message.
 */
#include "base/assert.h"
#include "helpers/failmalloc.h"
#include "services/mget_answers.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* A group to take values from. */
static kama_group *open_group(const kama_allocator *mem)
{
    kama_group_options options;
    kama_group *group = NULL;
    kama_group_options_init(&options);
    options.allocator = mem;
    return kama_group_new(&options, &group) == KAMA_OK ? group : NULL;
}

static kama_value *make_value(kama_group *group, const char *text)
{
    kama_value *value = NULL;
    kama_bytes key = KAMA_STR("k");
    return kama_set(group, key, kama_bytes_str(text), NULL) == KAMA_OK &&
                   kama_try_get(group, key, &value) == KAMA_OK
               ? value
               : NULL;
}

static char *text_of(const char *text)
{
    return km_mem_strdup(km_mem_default(), text);
}

/* The items as they are sent: "STATUS:value:message " each. */
static void expect(struct km_mget_answers *answers, const char *expected)
{
    struct km_buf buf;
    struct km_msg_mget_response response;
    struct km_msg_mget_item item;
    kama_bytes element;
    char all[512] = "";
    size_t len = 0;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_mget_answers_write(answers, &buf), KAMA_OK);
    assert_true(buf.len <= answers->bytes_max);
    assert_int_equal(
        km_pb_decode(&km_msg_mget_response_pb, km_buf_bytes(&buf), &response),
        KAMA_OK);
    while (km_pb_next(&response.items, &element)) {
        assert_int_equal(km_pb_decode(&km_msg_mget_item_pb, element, &item),
                         KAMA_OK);
        len += (size_t)snprintf(
            all + len, sizeof all - len, "%d:%.*s:%.*s ", item.status,
            (int)item.value.len, (const char *)item.value.data,
            (int)item.message.len, (const char *)item.message.data);
    }
    assert_string_equal(all, expected);
    km_buf_fini(&buf);
}

/* Keys 1 and 3 follow key 0 before it is answered, key 4 afterwards. */
static void test_followers_get_the_answer(void **state)
{
    struct km_mget_answers a;
    kama_group *group = open_group(NULL);
    (void)state;
    assert_int_equal(km_mget_answers_init(&a, km_mem_default(), 7, 4096),
                     KAMA_OK);
    km_mget_answers_follow(&a, 0, 1);
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 2, KM_SOURCE_LOCAL, KAMA_MISS, NULL, NULL);
    km_mget_answers_check(&a);
    km_mget_answers_follow(&a, 0, 3);
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 0, KM_SOURCE_LOADER, KAMA_OK,
                        make_value(group, "v"), NULL);
    km_mget_answers_check(&a);
    km_mget_answers_follow(&a, 0, 4);
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 5, KM_SOURCE_LOADER, KAMA_ERR_LOADER, NULL,
                        text_of("no luck"));
    km_mget_answers_check(&a);
    km_mget_answers_follow(&a, 5, 6);
    km_mget_answers_check(&a);
    expect(&a, "0:v: 0:v: 1:: 0:v: 0:v: -10::no luck -10::no luck ");
    km_mget_answers_fini(&a);
    kama_group_free(group);
}

/* Bytes for the four items, one value of 10 bytes and one of the sentences. */
static void test_what_does_not_fit_is_left_out(void **state)
{
    struct km_mget_answers a;
    kama_group *group = open_group(NULL);
    (void)state;
    assert_int_equal(km_mget_answers_init(&a, km_mem_default(), 4,
                                          4 * 16 + (64 + 10) + (3 + 30)),
                     KAMA_OK);
    km_mget_answers_put(&a, 0, KM_SOURCE_LOCAL, KAMA_OK,
                        make_value(group, "0123456789"), NULL);
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 1, KM_SOURCE_LOCAL, KAMA_OK, make_value(group, ""),
                        NULL);
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 2, KM_SOURCE_LOADER, KAMA_ERR_TIMEOUT, NULL,
                        text_of("a sentence of thirty letters.."));
    km_mget_answers_check(&a);
    km_mget_answers_put(&a, 3, KM_SOURCE_LOADER, KAMA_ERR_TIMEOUT, NULL,
                        text_of("x"));
    km_mget_answers_check(&a);
    expect(&a, "0:0123456789: -2:: -8::a sentence of thirty letters.. -8:: ");
    km_mget_answers_fini(&a);
    kama_group_free(group);
}

/* An MGet that is called off gives back the answers that have arrived. */
static kama_status call_off(const kama_allocator *mem, void *arg)
{
    struct km_mget_answers a;
    kama_group *group = open_group(mem);
    (void)arg;
    if (group == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    kama_value *value = make_value(group, "v");
    kama_status st = value != NULL ? km_mget_answers_init(&a, mem, 3, 4096)
                                   : KAMA_ERR_NO_MEMORY;
    if (st == KAMA_OK) {
        km_mget_answers_follow(&a, 0, 2);
        km_mget_answers_check(&a);
        km_mget_answers_put(&a, 0, KM_SOURCE_LOADER, KAMA_OK,
                            kama_value_ref(value), NULL);
        km_mget_answers_check(&a);
        km_mget_answers_put(&a, 1, KM_SOURCE_LOADER, KAMA_ERR_LOADER, NULL,
                            km_mem_strdup(mem, "why"));
        km_mget_answers_check(&a);
        km_mget_answers_fini(&a);
    }
    kama_value_unref(value);
    kama_group_free(group);
    return st;
}

static void test_everything_is_given_back(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(call_off, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_followers_get_the_answer),
        cmocka_unit_test(test_what_does_not_fit_is_left_out),
        cmocka_unit_test(test_everything_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
