/* SPDX-License-Identifier: MIT */
/* Records with every combination of optional fields: what was written is read, and the
 * fields are where the header says. */
#include "store/record.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/stamped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define WORDS_MAX 256u

/* Which optional fields a record has. */
enum { EXPIRES = 1, VERSIONED = 2, EXPLICIT = 4, LINKED = 8, KINDS = 16 };

static const struct km_version stamp = {.hlc = 123456, .origin = 654321};

/* Makes an item with a key of key_len bytes and a value of value_len. */
static kama_value *item_new(struct km_account *account, unsigned kind,
                            size_t key_len, size_t value_len)
{
    static char key[64];
    static char value[64];
    stamped_fill(key, key_len, 1);
    stamped_fill(value, value_len, 2);
    struct km_item_spec spec = {.key = KAMA_BYTES(key, key_len),
                                .value = KAMA_BYTES(value, value_len)};
    spec.expires_at = (kind & EXPIRES) != 0 ? 77 : 0;
    spec.version = (kind & VERSIONED) != 0 ? 88 : 0;
    if ((kind & EXPLICIT) != 0) {
        spec.stamp = stamp;
    }
    account->inline_max = KM_RECORD_INLINE_MAX;
    uint64_t n = km_item_new_charge(account, &spec);
    km_account_charge(account, n);
    km_account_hold(account, (int64_t)n);
    kama_value *item = km_item_new(account, &spec, n);
    assert_non_null(item);
    return item;
}

static void assert_stamp(struct km_version got, unsigned kind)
{
    struct km_version none = {0, 0};
    assert_int_equal(
        km_version_compare(got, (kind & EXPLICIT) != 0 ? stamp : none), 0);
}

static void check_record(const km_word *record, unsigned kind, size_t key_len,
                         size_t value_len)
{
    uint64_t header = km_record_header(record);
    unsigned words = 1 + ((kind & EXPIRES) != 0) + ((kind & VERSIONED) != 0) +
                     2 * ((kind & EXPLICIT) != 0) + ((kind & LINKED) != 0);
    assert_int_equal(km_record_key_word(header), words);
    assert_int_equal(km_record_bytes(header),
                     words * 8 + (key_len + value_len + 7) / 8 * 8);
    assert_int_equal(km_record_expires_at(record),
                     (kind & EXPIRES) != 0 ? 77 : 0);
    assert_int_equal(km_record_version(record),
                     (kind & VERSIONED) != 0 ? 88 : 0);
    assert_stamp(km_record_stamp(record), kind);
    assert_true(stamped_is(km_record_key(record).data, key_len, 1));
    assert_true(stamped_is(km_record_value(record).data, value_len, 2));
}

static void check_item(const kama_value *item, unsigned kind, size_t value_len)
{
    assert_int_equal(kama_value_version(item),
                     (kind & VERSIONED) != 0 ? 88 : 0);
    assert_stamp(km_item_stamp(item), kind);
    assert_true(stamped_is(kama_value_bytes(item).data, value_len, 2));
}

static void check_kind(struct km_account *account, unsigned kind,
                       size_t key_len, size_t value_len)
{
    km_word record[WORDS_MAX] = {0};
    kama_value *item = item_new(account, kind, key_len, value_len);
    uint64_t header = km_record_header_of(item, (kind & LINKED) != 0);
    km_record_write(record, header, item);
    check_record(record, kind, key_len, value_len);
    kama_value *again = km_record_item(account, record, true);
    kama_value *until = km_record_item_until(account, record, 99);
    check_item(again, kind, value_len);
    check_item(until, kind, value_len);
    assert_int_equal(km_item_expires_at(again), (kind & EXPIRES) ? 77 : 0);
    assert_int_equal(km_item_expires_at(until), 99);
    assert_true(stamped_is(km_item_key_bytes(until).data, key_len, 1));
    assert_int_equal(km_record_etag(record, 5), km_item_etag(item, 5));
    assert_int_equal(km_record_etag(record, 5), km_item_etag(again, 5));
    kama_value_unref(until);
    kama_value_unref(again);
    kama_value_unref(item);
}

static void test_every_kind(void **state)
{
    struct km_account *account =
        km_account_new(km_mem_default(), km_clock_system(), 1u << 20, 1);
    (void)state;
    assert_non_null(account);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (size_t len = 1; len < 40; len += 3) {
            check_kind(account, kind, len, len % 7 * 5);
        }
    }
    km_account_discharge(account, 1);
}

/* The etag of an explicit value is that of its stamp, whatever its bytes and the key of
 * the node are, and another stamp has another one. */
static void test_etag_of_a_stamp(void **state)
{
    struct km_version next = {.hlc = stamp.hlc, .origin = stamp.origin + 1};
    struct km_account *account =
        km_account_new(km_mem_default(), km_clock_system(), 1u << 20, 1);
    (void)state;
    assert_non_null(account);
    kama_value *item = item_new(account, EXPLICIT | VERSIONED, 3, 3);
    assert_int_equal(km_item_etag(item, 1), km_etag_of_stamp(stamp));
    assert_int_equal(km_item_etag(item, 2), km_etag_of_stamp(stamp));
    assert_int_not_equal(km_etag_of_stamp(next), km_etag_of_stamp(stamp));
    kama_value_unref(item);
    km_account_discharge(account, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_etag_of_a_stamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
