/* SPDX-License-Identifier: MIT */
/* The descriptors that the build embeds: which names are found in which file. */
#include "services/descriptors.h"

#include "helpers/failmalloc.h"
#include "wire/msg/msg.h"

#include <string.h>

#define V1 "kama/v1/kama.proto"
#define V2 "kama/v2/cache.proto"

/* The name of the file that defines the symbol; "" if there is none. */
static kama_bytes file_of(const char *symbol)
{
    kama_bytes bytes;
    struct km_msg_desc_file file;
    if (!km_descriptors_find_symbol(kama_bytes_str(symbol), &bytes)) {
        return kama_bytes_make("", 0);
    }
    assert_int_equal(km_pb_decode(&km_msg_desc_file_pb, bytes, &file), KAMA_OK);
    return file.name;
}

static void expect(const char *symbol, const char *name)
{
    kama_bytes found = file_of(symbol);
    if (!km_bytes_eq(found, kama_bytes_str(name))) {
        fail_msg("%s is in \"%.*s\"", symbol, (int)found.len,
                 (const char *)found.data);
    }
}

/* Everything that has a full name is found in the file that defines it. */
static void test_a_symbol_is_found_in_its_file(void **state)
{
    (void)state;
    expect("kama.v1.KamaCacheService", V1);
    expect("kama.v1.KamaCacheService.Get", V1);
    expect("kama.v2.Cache", V2);
    expect("kama.v2.Cache.MGet", V2);
    expect("kama.v2.GetResponse", V2);
    expect("kama.v2.GetResponse.found", V2);
    expect("kama.v2.Source", V2);
    expect("kama.v2.Source.SOURCE_LOADER", V2);
}

/* A name that is only the beginning of a symbol, or goes on behind one, is
 * none. */
static void test_another_name_is_not_found(void **state)
{
    (void)state;
    expect("", "");
    expect("kama", "");
    expect("kama.v2", "");
    expect("kama.v2.", "");
    expect("kama.v2.Cach", "");
    expect("kama.v2.Cache.", "");
    expect("kama.v2.Cache.Nothing", "");
    expect("kama.v2.Cache.MGet.x", "");
    expect("kama.v1.Cache", "");
}

/* A file is found by its whole name, and the list holds each file that can be
 * found. */
static void test_a_file_is_found_by_its_name(void **state)
{
    (void)state;
    kama_bytes bytes;
    struct km_msg_desc_file file;
    struct km_pb_list files = km_descriptors_files();
    assert_true(files.count >= 4);
    while (km_pb_next(&files, &bytes)) {
        kama_bytes found;
        assert_int_equal(km_pb_decode(&km_msg_desc_file_pb, bytes, &file),
                         KAMA_OK);
        assert_true(km_descriptors_find_name(file.name, &found));
        assert_ptr_equal(found.data, bytes.data);
    }
    assert_false(km_descriptors_find_name(KAMA_STR("cache.proto"), &bytes));
    assert_false(km_descriptors_find_name(KAMA_STR(""), &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_symbol_is_found_in_its_file),
        cmocka_unit_test(test_another_name_is_not_found),
        cmocka_unit_test(test_a_file_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
