/* SPDX-License-Identifier: MIT */
/* The sentence of a deferred load that failed reaches its callers. */
#include "group/group_fixture.h"

/* How the loader of these tests finishes. */
struct finish {
    const char *sentence; /* NULL: the loader gives no sentence */
    kama_status status;
    kama_bytes value;
};

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    const struct finish *finish = arg;
    kama_deferred *deferred = kama_load_defer(out);
    (void)req;
    assert_non_null(deferred);
    if (finish->sentence != NULL) {
        kama_load_error(deferred, "what is said last counts");
        kama_load_error(deferred, finish->sentence);
    }
    kama_load_finish(deferred, finish->status, finish->value, NULL);
    return KAMA_DEFERRED;
}

/* Gets a key with that loader, and copies the sentence that the caller gets. */
static kama_status get(struct finish finish, char sentence[256])
{
    struct fixture *f = fixture_new();
    kama_value *value = NULL;
    f->options.loader = load;
    f->options.loader_arg = &finish;
    f->options.loader_free = NULL;
    fixture_open(f);
    kama_status st = kama_get(f->group, KAMA_STR("k"), NULL, &value);
    kama_last_error(sentence, 256);
    kama_value_unref(value);
    kama_group_free(f->group);
    assert_int_equal(atomic_load(&f->probe.live_blocks), 0);
    test_free(f);
    return st;
}

static void test_sentence_reaches_the_caller(void **state)
{
    char sentence[256];
    struct finish finish = {.sentence = "the queue is down",
                            .status = KAMA_ERR_LOADER};
    (void)state;
    assert_int_equal(get(finish, sentence), KAMA_ERR_LOADER);
    assert_non_null(strstr(sentence, "the queue is down"));
    finish.status = KAMA_ERR_INVALID;
    assert_int_equal(get(finish, sentence), KAMA_ERR_INVALID);
    assert_non_null(strstr(sentence, "the queue is down"));
    finish.sentence = NULL;
    finish.status = KAMA_ERR_LOADER;
    assert_int_equal(get(finish, sentence), KAMA_ERR_LOADER);
    assert_non_null(strstr(sentence, "gave no reason"));
}

/* Bytes that do not belong into a message are escaped, and a long one is cut. */
static void test_sentence_is_one_line(void **state)
{
    char sentence[256];
    char text[1000];
    struct finish finish = {.sentence = "two\nlines",
                            .status = KAMA_ERR_LOADER};
    (void)state;
    assert_int_equal(get(finish, sentence), KAMA_ERR_LOADER);
    assert_non_null(strstr(sentence, "two\\nlines"));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    finish.sentence = text;
    assert_int_equal(get(finish, sentence), KAMA_ERR_LOADER);
    assert_int_equal(strspn(sentence, "x"), 255);
}

/* The sentence is used only if the loader itself returns the error. */
static void test_sentence_of_an_answer_does_not_count(void **state)
{
    static char large[2 << 20];
    char sentence[256];
    struct finish finish = {.sentence = "the queue is down",
                            .status = KAMA_OK,
                            .value = KAMA_STR("v")};
    (void)state;
    assert_int_equal(get(finish, sentence), KAMA_OK);
    finish.status = KAMA_MISS;
    assert_int_equal(get(finish, sentence), KAMA_MISS);
    finish.status = KAMA_OK;
    finish.value = KAMA_BYTES(large, sizeof large);
    assert_int_equal(get(finish, sentence), KAMA_ERR_TOO_LARGE);
    assert_non_null(strstr(sentence, "max_value_bytes"));
    assert_null(strstr(sentence, "queue"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence_reaches_the_caller),
        cmocka_unit_test(test_sentence_is_one_line),
        cmocka_unit_test(test_sentence_of_an_answer_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
