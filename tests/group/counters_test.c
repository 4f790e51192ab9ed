/* SPDX-License-Identifier: MIT */
/*
 * The table of counters beside what is written by hand: the comments of
 * kama_group_stats in the public header, and the fields of GroupStats in the
 * proto with their comments. The compiler compares the members themselves.
 */
#include "group/group_fixture.h"

#include "group/counters.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES (1u << 18)

struct row {
    const char *name;
    enum km_metric_kind kind;
    const char *unit;
    const char *sentence;
};

static const struct row rows[] = {
#define ROW(member, source, kind, unit, metric, sentence)                      \
    {#member, kind, unit, sentence},
    KM_GROUP_COUNTER_MAP(ROW, ROW, ROW)
#undef ROW
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* Fields of the proto that belong to a later version. */
static const char *const later[] = {"stale_served"};

/* Reads the part of a file from the text `begin` to the text `end`, which the
 * caller frees. */
static char *read_part(const char *path, const char *begin, const char *end)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", getenv("KAMA_SOURCE_DIR"), path);
    FILE *file = fopen(full, "r");
    assert_non_null(file);
    char *text = calloc(1, TEXT_BYTES);
    assert_non_null(text);
    assert_true(fread(text, 1, TEXT_BYTES - 1, file) < TEXT_BYTES - 1);
    (void)fclose(file);
    char *from = strstr(text, begin);
    assert_non_null(from);
    from += strlen(begin);
    char *to = strstr(from, end);
    assert_non_null(to);
    *to = '\0';
    memmove(text, from, (size_t)(to - from) + 1);
    return text;
}

/* Copies the words of the comment in from..to, without its marks, with one
 * blank between two words. */
static void copy_words(const char *from, const char *to, char *words,
                       size_t cap)
{
    size_t n = 0;
    for (; from < to && n + 2 < cap; from++) {
        if (*from == '*' || *from == '/' || isspace((unsigned char)*from)) {
            if (n > 0 && words[n - 1] != ' ') {
                words[n++] = ' ';
            }
        } else {
            words[n++] = *from;
        }
    }
    words[n] = '\0';
}

/* The comment above a declaration begins with the sentence of the row. What
 * follows the sentence may add something that is true for this interface alone,
 * so the full stop does not count. */
static void expect_sentence(const char *text, const char *declaration,
                            const struct row *row)
{
    char words[1024];
    const char *at = strstr(text, declaration);
    if (at == NULL) {
        fail_msg("there is no \"%s\"", declaration);
    }
    const char *from = at;
    while (from > text && from[-1] != ';') {
        from--;
    }
    copy_words(from, at, words, sizeof words);
    if (strncmp(words, row->sentence, strlen(row->sentence) - 1) != 0) {
        fail_msg("\"%s\" is explained by \"%s\"; its row in counters.h says "
                 "\"%s\"",
                 row->name, words, row->sentence);
    }
}

static void test_header_has_the_sentences(void **state)
{
    (void)state;
    char declaration[64];
    char *text =
        read_part("include/kamacache/kamacache.h",
                  "typedef struct kama_group_stats {", "} kama_group_stats;");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        (void)snprintf(declaration, sizeof declaration, "uint64_t %s;",
                       rows[i].name);
        expect_sentence(text, declaration, &rows[i]);
    }
    free(text);
}

static void test_proto_has_the_sentences(void **state)
{
    (void)state;
    char declaration[64];
    char *text =
        read_part("proto/kama/v2/cache.proto", "message GroupStats {", "\n}");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        (void)snprintf(declaration, sizeof declaration,
                       "uint64 %s = ", rows[i].name);
        expect_sentence(text, declaration, &rows[i]);
    }
    free(text);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strcmp(later[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A number in GroupStats is the counter of a row, or comes with the cluster. */
static void test_proto_has_no_other_counters(void **state)
{
    (void)state;
    char name[64];
    size_t count = 0;
    char *text =
        read_part("proto/kama/v2/cache.proto", "message GroupStats {", "\n}");
    for (const char *at = strstr(text, "uint64 "); at != NULL;
         at = strstr(at + 1, "uint64 ")) {
        assert_int_equal(sscanf(at, "uint64 %63s =", name), 1);
        if (!is_known(name)) {
            fail_msg("%s has no row in counters.h", name);
        }
        count++;
    }
    assert_int_equal(count, ROW_COUNT + sizeof later / sizeof later[0]);
    free(text);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

/* A name says its unit, and a sentence ends with a full stop. */
static void test_names_say_the_unit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *unit = ends_with(rows[i].name, "bytes") ? "bytes"
                           : ends_with(rows[i].name, "_ns") ? "ns"
                                                            : "";
        assert_string_equal(rows[i].unit, unit);
        assert_true(ends_with(rows[i].sentence, "."));
    }
}

/* Only the rows that are called gauges fall when a group is cleared. */
static void test_counters_do_not_fall(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_group_stats before;
    kama_group_stats after;
    (void)state;
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    kama_group_stats_get(f->group, &before);
    assert_int_equal(before.sets, 1);
    assert_int_equal(before.entries, 1);
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    kama_group_stats_get(f->group, &after);
#define CHECK(member, source, kind, unit, metric, sentence)                    \
    assert_true((kind) == KM_METRIC_GAUGE || after.member >= before.member);
    KM_GROUP_COUNTER_MAP(CHECK, CHECK, CHECK)
#undef CHECK
    assert_int_equal(after.entries, 0);
    assert_int_equal(after.clears, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_has_the_sentences),
        cmocka_unit_test(test_proto_has_the_sentences),
        cmocka_unit_test(test_proto_has_no_other_counters),
        cmocka_unit_test(test_names_say_the_unit),
        cmocka_unit_test(test_counters_do_not_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
