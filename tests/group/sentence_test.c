/* SPDX-License-Identifier: MIT */
/*
 * The sentences of errors. Each names the group and the quoted key, and tells what
 * the loader or the call did.
 */
#include "group/group_fixture.h"

/* Asserts that a get of key fails with status, and with this last error. */
static void expect(struct fixture *f, kama_bytes key, kama_status status,
                   const char *sentence)
{
    kama_value *value;
    char said[KM_ERROR_BYTES_MAX];
    assert_int_equal(kama_get(f->group, key, NULL, &value), status);
    kama_last_error(said, sizeof said);
    assert_string_equal(said, sentence);
}

/* Every answer of a loader that gives no sentence has a sentence of ours. */
static void test_what_the_loader_returned(void **state)
{
    static const struct {
        kama_status returned;
        kama_status answered;
        const char *sentence;
    } cases[] = {
        {KAMA_ERR_LOADER, KAMA_ERR_LOADER,
         "group test: the loader returned KAMA_ERR_LOADER and gave no reason "
         "(key \"tom\")"},
        {KAMA_ERR_INVALID, KAMA_ERR_INVALID,
         "group test: the loader returned KAMA_ERR_INVALID and gave no reason "
         "(key \"tom\")"},
        {KAMA_ERR_TIMEOUT, KAMA_ERR_TIMEOUT,
         "group test: the loader returned KAMA_ERR_TIMEOUT and gave no reason "
         "(key \"tom\")"},
        {KAMA_ERR_REENTRANT, KAMA_ERR_LOADER,
         "group test: the loader was called from inside its own load "
         "(key \"tom\")"},
        {KAMA_DEFERRED, KAMA_ERR_LOADER,
         "group test: the loader returned KAMA_DEFERRED without "
         "kama_load_defer (key \"tom\")"},
        {KAMA_WOULD_LOAD, KAMA_ERR_LOADER,
         "group test: the loader returned KAMA_WOULD_LOAD, which is no answer "
         "(key \"tom\")"},
        {(kama_status)-4711, KAMA_ERR_LOADER,
         "group test: the loader returned -4711, which is no kama_status "
         "(key \"tom\")"}};
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_store(&f->script.status, cases[i].returned);
        expect(f, KAMA_STR("tom"), cases[i].answered, cases[i].sentence);
    }
    fixture_free(f);
}

/* KAMA_OK without a value has a sentence, and so has a value that was refused. */
static void test_loaders_without_a_value(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.max_value_bytes = 4;
    fixture_open(f);
    expect(f, KAMA_STR("tom"), KAMA_ERR_TOO_LARGE,
           "group test: the loader's answer was refused: value: 12 bytes, "
           "max_value_bytes is 4 (key \"tom\")");
    f->script.no_set = true;
    expect(f, KAMA_STR("tom"), KAMA_ERR_LOADER,
           "group test: the loader returned KAMA_OK without a value "
           "(key \"tom\")");
    f->script.sentence = "the table is empty";
    expect(f, KAMA_STR("tom"), KAMA_ERR_LOADER, "the table is empty");
    fixture_free(f);
}

/* Long names and keys are shortened, but no character of the name is cut in two;
 * odd bytes of the key are quoted. */
static void test_name_and_key_are_shown(void **state)
{
    struct fixture *f = fixture_new();
    char name[KM_GROUP_NAME_BYTES_MAX + 1];
    char key[KM_KEY_BYTES_MAX];
    char expected[KM_ERROR_BYTES_MAX];
    char shown[64] = "";
    (void)state;
    for (int i = 0; i + 1 < KM_GROUP_NAME_BYTES_MAX; i += 2) {
        memcpy(name + i, "\xc3\xa4", 3);
    }
    for (int i = 0; i < 30; i++) {
        memcpy(shown + 2 * i, "\xc3\xa4", 3);
    }
    f->options.name = name;
    f->script.no_set = true;
    fixture_open(f);
    (void)snprintf(expected, sizeof expected,
                   "group %s...: the loader returned KAMA_OK without a value "
                   "(key \"a\\x00\\n\\\"\")",
                   shown);
    expect(f, KAMA_BYTES("a\0\n\"", 4), KAMA_ERR_LOADER, expected);
    memset(key, 'k', sizeof key);
    (void)snprintf(expected, sizeof expected,
                   "group %s...: the loader returned KAMA_OK without a value "
                   "(key \"%.44s...\")",
                   shown, key);
    expect(f, KAMA_BYTES(key, sizeof key), KAMA_ERR_LOADER, expected);
    fixture_free(f);
}

/* A loader asks for its own key, and returns the error that it gets. */
static struct fixture *own_key;
static char inner[KM_ERROR_BYTES_MAX];

static kama_status load_own_key(void *arg, const kama_load *req, kama_sink *out)
{
    kama_value *value;
    (void)arg;
    (void)out;
    kama_status st = kama_get(own_key->group, req->key, NULL, &value);
    kama_last_error(inner, sizeof inner);
    return st;
}

static void test_called_from_inside_its_own_load(void **state)
{
    struct fixture *f = fixture_new();
    const char *sentence = "group test: the loader was called from inside its "
                           "own load (key \"tom\")";
    (void)state;
    own_key = f;
    f->options.loader = load_own_key;
    f->options.loader_free = NULL;
    fixture_open(f);
    expect(f, KAMA_STR("tom"), KAMA_ERR_LOADER, sentence);
    assert_string_equal(inner, sentence);
    atomic_store(&f->script.frees, 1);
    fixture_free(f);
}

/* The sentence names the caller's deadline, or the time of the loader. */
static void test_deadlines_are_named(void **state)
{
    struct fixture *f = fixture_new();
    struct caller leader, hasty, patient;
    (void)state;
    f->options.loader_timeout_ms = 1500;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "tom", 0);
    gate_await(&f->script.gate, 1);
    caller_start(&hasty, f->group, "tom", 7);
    caller_start(&patient, f->group, "tom", 60000);
    assert_int_equal(caller_join(&hasty), KAMA_ERR_TIMEOUT);
    assert_string_equal(hasty.sentence,
                        "group test: no answer within the caller's deadline "
                        "of 7 ms (key \"tom\")");
    assert_int_equal(caller_join(&patient), KAMA_ERR_TIMEOUT);
    assert_string_equal(patient.sentence,
                        "group test: the loader did not answer within its "
                        "time of 1500 ms (key \"tom\")");
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_ERR_TIMEOUT);
    assert_string_equal(leader.sentence, patient.sentence);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_loader_returned),
        cmocka_unit_test(test_loaders_without_a_value),
        cmocka_unit_test(test_name_and_key_are_shown),
        cmocka_unit_test(test_called_from_inside_its_own_load),
        cmocka_unit_test(test_deadlines_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
