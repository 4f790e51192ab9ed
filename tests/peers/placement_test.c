/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread */
/*
 * Placement: every node computes the same table (golden vectors, and a plain
 * reference beside them), shares are even, and a change moves little.
 */
#include "peers/placement.h"

#include "base/hash.h"
#include "helpers/failmalloc.h"

#include <stdio.h>
#include <string.h>

#define MEMBERS_MAX 128u

/* -- members --------------------------------------------------------------- */

struct crew {
    char addresses[MEMBERS_MAX][32];
    struct km_placement_member members[MEMBERS_MAX];
    size_t count;
};

/* Fills a crew with 10.0.0.0NN:8001 of weight 1. */
static void crew_init(struct crew *crew, size_t count)
{
    crew->count = count;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(crew->addresses[i], sizeof crew->addresses[i],
                       "10.0.0.%03u:8001", (unsigned)(i % MEMBERS_MAX));
        crew->members[i].address = crew->addresses[i];
        crew->members[i].weight = 1;
    }
}

/* Takes the member at an index out. */
static void crew_remove(struct crew *crew, size_t index)
{
    crew->count--;
    for (size_t i = index; i < crew->count; i++) {
        crew->members[i] = crew->members[i + 1];
    }
}

static struct km_placement *crew_place(const struct crew *crew)
{
    struct km_placement *placement = NULL;
    assert_int_equal(km_placement_new(km_mem_default(), crew->members,
                                      crew->count, &placement),
                     KAMA_OK);
    assert_int_equal(km_placement_count(placement), crew->count);
    return placement;
}

static struct km_placement *place_many(size_t count)
{
    struct crew crew;
    crew_init(&crew, count);
    return crew_place(&crew);
}

static const char *owner_name(const struct km_placement *placement,
                              uint32_t slot)
{
    return km_placement_address(placement, km_placement_owner(placement, slot));
}

/* Returns how many slots belong to other addresses. */
static uint32_t count_moved(const struct km_placement *a,
                            const struct km_placement *b)
{
    uint32_t moved = 0;
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        moved += strcmp(owner_name(a, slot), owner_name(b, slot)) != 0;
    }
    return moved;
}

/* The table as little-endian 16-bit numbers, hashed. */
static uint64_t digest(const struct km_placement *placement)
{
    static uint8_t bytes[2 * KM_OWNER_SLOTS];
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        size_t owner = km_placement_owner(placement, slot);
        bytes[2 * slot] = (uint8_t)owner;
        bytes[2 * slot + 1] = (uint8_t)(owner >> 8);
    }
    return km_hash(kama_bytes_make(bytes, sizeof bytes), 0);
}

/* -- the same everywhere --------------------------------------------------- */

/* Whole tables. If one of these numbers changes, two versions of the program
 * disagree about who owns a key, and must not run in one cluster. */
static void test_golden_tables(void **state)
{
    static const struct {
        size_t count;
        uint64_t digest;
        uint16_t owners[4]; /* of the slots 0, 1, 1000 and the last one */
    } golden[] = {
        {1, 0xfd444a4e0c1d4c46u, {0, 0, 0, 0}},
        {3, 0xb548716387470547u, {1, 2, 1, 0}},
        {10, 0x85eef23904ee3a95u, {7, 3, 5, 7}},
        {100, 0x665ddc99293a9438u, {99, 89, 5, 49}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        const uint16_t *owners = golden[i].owners;
        struct km_placement *p = place_many(golden[i].count);
        assert_int_equal(digest(p), golden[i].digest);
        assert_int_equal(km_placement_owner(p, 0), owners[0]);
        assert_int_equal(km_placement_owner(p, 1), owners[1]);
        assert_int_equal(km_placement_owner(p, 1000), owners[2]);
        assert_int_equal(km_placement_owner(p, KM_OWNER_SLOTS - 1), owners[3]);
        km_placement_unref(p);
    }
}

/* A table with weights, and with addresses of other kinds. */
static void test_golden_weights(void **state)
{
    static const struct km_placement_member members[] = {
        {"[2001:db8::1]:8001", 3},
        {"a.example:8001", 1},
        {"b.example:18001", 10},
    };
    struct km_placement *p;
    (void)state;
    assert_int_equal(km_placement_new(km_mem_default(), members, 3, &p),
                     KAMA_OK);
    assert_int_equal(digest(p), 0x3b766cbcc566cae8u);
    km_placement_check(p);
    km_placement_unref(p);
}

/* The definition of the header, once more and without any cleverness. */
static uint64_t plain_score(const char *address, uint32_t i, uint32_t slot)
{
    uint64_t x = ((uint64_t)slot + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x = x ^ (x >> 31);
    x = (km_hash(kama_bytes_make(address, strlen(address)), i) ^ x) *
        0xd6e8feb86659fd93u;
    return (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
}

static size_t plain_owner(const struct crew *crew, const uint32_t *caps,
                          const uint32_t *shares, uint32_t slot)
{
    size_t owner = SIZE_MAX;
    uint64_t best = 0;
    for (size_t m = 0; m < crew->count; m++) {
        for (uint32_t i = 0; i < crew->members[m].weight; i++) {
            uint64_t score = plain_score(crew->members[m].address, i, slot);
            if (shares[m] < caps[m] && (owner == SIZE_MAX || score > best)) {
                owner = m;
                best = score;
            }
        }
    }
    return owner;
}

/* So many members that some reach their caps. */
#define PLAIN 100u

static void test_table_is_the_one_of_the_header(void **state)
{
    struct crew crew;
    uint32_t caps[PLAIN], shares[PLAIN] = {0};
    uint64_t sum = 0;
    unsigned full = 0;
    (void)state;
    crew_init(&crew, PLAIN);
    for (size_t m = 0; m < crew.count; m++) {
        crew.members[m].weight = m % 8 == 0 ? 2 : 1;
        sum += crew.members[m].weight;
    }
    struct km_placement *p = crew_place(&crew);
    for (size_t m = 0; m < crew.count; m++) {
        uint64_t slots = 26u * crew.members[m].weight * (uint64_t)(1u << 18);
        caps[m] = (uint32_t)(slots / (25 * sum) + (slots % (25 * sum) != 0));
        assert_int_equal(km_placement_cap(p, m), caps[m]);
    }
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        size_t owner = plain_owner(&crew, caps, shares, slot);
        shares[owner]++;
        assert_int_equal(km_placement_owner(p, slot), owner);
    }
    for (size_t m = 0; m < crew.count; m++) {
        full += shares[m] == caps[m];
    }
    assert_true(full > 0);
    km_placement_check(p);
    km_placement_unref(p);
}

/* Nodes that heard of the members in another order sort them, as a view does;
 * what is not sorted, is twice there or weighs nothing is refused. */
static void test_unsorted_members_are_refused(void **state)
{
    struct crew crew;
    struct km_placement *p = NULL;
    (void)state;
    crew_init(&crew, 3);
    crew.members[0].address = crew.addresses[1];
    crew.members[1].address = crew.addresses[0];
    assert_int_equal(km_placement_new(NULL, crew.members, 3, &p),
                     KAMA_ERR_INVALID);
    crew.members[1].address = crew.addresses[1];
    assert_int_equal(km_placement_new(NULL, crew.members, 3, &p),
                     KAMA_ERR_INVALID);
    crew_init(&crew, 3);
    crew.members[1].weight = 0;
    assert_int_equal(km_placement_new(NULL, crew.members, 3, &p),
                     KAMA_ERR_INVALID);
    assert_null(p);
}

/* The owners of slots are 16-bit numbers, and so are the ids. */
static void test_too_many_ids_are_refused(void **state)
{
    struct km_placement_member members[] = {{"a:1", 65535}, {"b:1", 1}};
    struct km_placement *p = NULL;
    (void)state;
    assert_int_equal(km_placement_new(km_mem_default(), members, 2, &p),
                     KAMA_ERR_TOO_LARGE);
    members[0].weight = UINT32_MAX;
    assert_int_equal(km_placement_new(km_mem_default(), members, 2, &p),
                     KAMA_ERR_TOO_LARGE);
    assert_null(p);
}

/* -- even shares ----------------------------------------------------------- */

static void test_fullest_share_is_near_the_mean(void **state)
{
    static const size_t counts[] = {2, 3, 10, 100};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct km_placement *p = place_many(counts[i]);
        for (size_t m = 0; m < counts[i]; m++) {
            uint64_t share = km_placement_share(p, m);
            assert_true(share * counts[i] * 1000 <=
                        (uint64_t)KM_OWNER_SLOTS * 1045);
        }
        km_placement_check(p);
        km_placement_unref(p);
    }
}

static void test_weights_get_their_share(void **state)
{
    struct crew crew;
    (void)state;
    crew_init(&crew, 10);
    for (size_t m = 0; m < 10; m++) {
        crew.members[m].weight = m == 3 ? 11 : 1;
    }
    struct km_placement *p = crew_place(&crew);
    for (size_t m = 0; m < 10; m++) {
        uint64_t fair = KM_OWNER_SLOTS * (uint64_t)crew.members[m].weight / 20;
        assert_in_range(km_placement_share(p, m), fair * 96 / 100,
                        fair * 104 / 100 + 1);
    }
    km_placement_unref(p);
}

static void test_one_member_owns_everything(void **state)
{
    (void)state;
    struct km_placement *p = place_many(1);
    assert_int_equal(km_placement_share(p, 0), KM_OWNER_SLOTS);
    assert_true(km_placement_cap(p, 0) > KM_OWNER_SLOTS);
    km_placement_unref(p);
}

static void test_no_member_owns_nothing(void **state)
{
    struct km_placement *p;
    uint16_t ranked[1];
    (void)state;
    assert_int_equal(km_placement_new(km_mem_default(), NULL, 0, &p), KAMA_OK);
    assert_int_equal(km_placement_count(p), 0);
    assert_int_equal(km_placement_rank(p, 7, ranked, 1), 0);
    km_placement_check(p);
    km_placement_unref(p);
    km_placement_unref(NULL);
}

/* -- small movement -------------------------------------------------------- */

/* At least what the new member owns must move; not more than 1.1 times that
 * does. With few members no cap is reached, and nothing else moves at all. */
static void test_join_moves_little(void **state)
{
    static const size_t counts[] = {3, 10, 100};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct km_placement *before = place_many(counts[i]);
        struct km_placement *after = place_many(counts[i] + 1);
        uint64_t least = km_placement_share(after, counts[i]);
        uint64_t moved = count_moved(before, after);
        assert_true(moved >= least);
        assert_true(counts[i] > 10 || moved == least);
        assert_true(moved * 10 <= least * 11);
        km_placement_unref(before);
        km_placement_unref(after);
    }
}

static void test_leave_moves_little(void **state)
{
    struct crew crew;
    (void)state;
    for (size_t leaver = 0; leaver < 100; leaver += 33) {
        crew_init(&crew, 100);
        struct km_placement *before = crew_place(&crew);
        uint64_t least = km_placement_share(before, leaver);
        crew_remove(&crew, leaver);
        struct km_placement *after = crew_place(&crew);
        assert_true(count_moved(before, after) * UINT64_C(10) <= least * 11);
        km_placement_unref(before);
        km_placement_unref(after);
    }
}

/* A heavier member takes slots from the others, and the others take none from
 * each other. */
static void test_weight_moves_only_to_the_heavier(void **state)
{
    struct crew crew;
    (void)state;
    crew_init(&crew, 5);
    struct km_placement *before = crew_place(&crew);
    crew.members[2].weight = 2;
    struct km_placement *after = crew_place(&crew);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        size_t owner = km_placement_owner(after, slot);
        assert_true(owner == 2 || owner == km_placement_owner(before, slot));
    }
    km_placement_unref(before);
    km_placement_unref(after);
}

/* -- who takes over -------------------------------------------------------- */

static void test_rank_begins_with_the_owner_and_names_all(void **state)
{
    uint16_t ranked[10];
    (void)state;
    struct km_placement *p = place_many(10);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot += 997) {
        unsigned seen = 0;
        assert_int_equal(km_placement_rank(p, slot, ranked, 10), 10);
        assert_int_equal(ranked[0], km_placement_owner(p, slot));
        for (size_t i = 0; i < 10; i++) {
            assert_true(ranked[i] < 10);
            seen |= 1u << ranked[i];
            assert_int_equal(km_placement_place(p, slot, ranked[i]), i);
        }
        assert_int_equal(seen, (1u << 10) - 1);
        assert_int_equal(km_placement_rank(p, slot, ranked, 0), 0);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(km_placement_find(p, km_placement_address(p, i)), i);
    }
    assert_int_equal(km_placement_find(p, ""), SIZE_MAX);
    assert_int_equal(km_placement_find(p, "zzz:1"), SIZE_MAX);
    km_placement_unref(p);
}

/* When the owner leaves, the second one takes over, except for the few slots
 * that a cap decides. */
static void test_second_takes_over(void **state)
{
    struct crew crew;
    uint16_t ranked[2];
    unsigned agreed = 0, asked = 0;
    (void)state;
    crew_init(&crew, 20);
    struct km_placement *before = crew_place(&crew);
    crew_remove(&crew, 7);
    struct km_placement *after = crew_place(&crew);
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        if (km_placement_owner(before, slot) == 7) {
            assert_int_equal(km_placement_rank(before, slot, ranked, 2), 2);
            const char *second = km_placement_address(before, ranked[1]);
            agreed += strcmp(second, owner_name(after, slot)) == 0;
            asked++;
        }
    }
    assert_int_equal(asked, km_placement_share(before, 7));
    assert_true(agreed * 100 >= asked * 98);
    km_placement_unref(before);
    km_placement_unref(after);
}

/* A member of several ids stands in the ranking once, at its best place. */
static void test_rank_of_weights(void **state)
{
    struct crew crew;
    uint16_t ranked[3];
    (void)state;
    crew_init(&crew, 3);
    crew.members[1].weight = 50;
    struct km_placement *p = crew_place(&crew);
    for (uint32_t slot = 0; slot < 1000; slot++) {
        assert_int_equal(km_placement_rank(p, slot, ranked, 3), 3);
        assert_int_equal(1u << ranked[0] | 1u << ranked[1] | 1u << ranked[2],
                         7);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(km_placement_place(p, slot, ranked[i]), i);
        }
    }
    km_placement_unref(p);
}

/* -- memory ---------------------------------------------------------------- */

static kama_status place_three(const kama_allocator *mem, void *arg)
{
    struct km_placement *p;
    kama_status status = km_placement_new(mem, arg, 3, &p);
    if (status == KAMA_OK) {
        km_placement_unref(km_placement_ref(p));
        km_placement_unref(p);
    }
    return status;
}

static void test_out_of_memory(void **state)
{
    struct crew crew;
    (void)state;
    crew_init(&crew, 3);
    assert_int_equal(km_test_fail_each(place_three, crew.members), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_tables),
        cmocka_unit_test(test_golden_weights),
        cmocka_unit_test(test_table_is_the_one_of_the_header),
        cmocka_unit_test(test_unsorted_members_are_refused),
        cmocka_unit_test(test_too_many_ids_are_refused),
        cmocka_unit_test(test_fullest_share_is_near_the_mean),
        cmocka_unit_test(test_weights_get_their_share),
        cmocka_unit_test(test_one_member_owns_everything),
        cmocka_unit_test(test_no_member_owns_nothing),
        cmocka_unit_test(test_join_moves_little),
        cmocka_unit_test(test_leave_moves_little),
        cmocka_unit_test(test_weight_moves_only_to_the_heavier),
        cmocka_unit_test(test_rank_begins_with_the_owner_and_names_all),
        cmocka_unit_test(test_second_takes_over),
        cmocka_unit_test(test_rank_of_weights),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
