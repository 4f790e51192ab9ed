/* SPDX-License-Identifier: MIT */
/* The registry finds the groups of a node by their names. */
#include "group/registry.h"

#include "base/status.h"
#include "group/group.h"
#include "helpers/failmalloc.h"

#include <pthread.h>
#include <stdio.h>

static kama_group *make_group(const kama_allocator *mem, const char *name)
{
    kama_group_options options;
    kama_group *group = NULL;
    struct km_group_env env = {0};
    kama_group_options_init(&options);
    options.name = name;
    options.max_bytes = KM_GROUP_BYTES_MIN;
    options.allocator = mem;
    return km_group_new(&options, &env, &group) == KAMA_OK ? group : NULL;
}

static void add(struct km_registry *registry, const char *name)
{
    kama_group *group = make_group(NULL, name);
    assert_non_null(group);
    km_registry_add(registry, group);
}

/* Names are bytes: a prefix of a name is another name, and so is the empty one. */
static void test_find(void **state)
{
    (void)state;
    struct km_registry registry;
    assert_int_equal(km_registry_init(&registry, km_mem_default()), KAMA_OK);
    km_registry_check(&registry);
    assert_null(km_registry_find(&registry, KAMA_STR("users")));
    add(&registry, "users");
    km_registry_check(&registry);
    add(&registry, "user");
    km_registry_check(&registry);
    kama_group *users = km_registry_find(&registry, KAMA_STR("users"));
    assert_ptr_equal(users, km_registry_at(&registry, 0));
    assert_ptr_equal(km_registry_find(&registry, KAMA_STR("user")),
                     km_registry_at(&registry, 1));
    assert_null(km_registry_find(&registry, KAMA_STR("use")));
    assert_null(km_registry_find(&registry, KAMA_STR("")));
    assert_null(km_registry_find(&registry, KAMA_BYTES("users\0", 6)));
    assert_int_equal(km_registry_count(&registry), 2);
    km_registry_fini(&registry);
}

static void name_of(unsigned i, char name[16])
{
    snprintf(name, 16, "group-%u", i % 10000);
}

/* With as many groups as there may be, each is found, and they keep the order
 * in which they were added. */
static void test_full(void **state)
{
    (void)state;
    char name[16];
    struct km_registry registry;
    assert_int_equal(km_registry_init(&registry, km_mem_default()), KAMA_OK);
    for (unsigned i = 0; i < KM_GROUPS_MAX; i++) {
        name_of(i, name);
        add(&registry, name);
        km_registry_check(&registry);
    }
    assert_int_equal(km_registry_count(&registry), KM_GROUPS_MAX);
    for (unsigned i = 0; i < KM_GROUPS_MAX; i++) {
        name_of(i, name);
        assert_ptr_equal(km_registry_find(&registry, KAMA_STR(name)),
                         km_registry_at(&registry, i));
    }
    assert_null(km_registry_find(&registry, KAMA_STR("group-1024")));
    km_registry_fini(&registry);
}

#define ADDED 200

/* While groups are added, every group that is counted is found. */
static void *read_all(void *arg)
{
    const struct km_registry *registry = arg;
    unsigned count = 0;
    while (count < ADDED) {
        char name[16];
        count = km_registry_count(registry);
        for (unsigned i = 0; i < count; i++) {
            name_of(i, name);
            kama_group *group = km_registry_find(registry, KAMA_STR(name));
            if (group == NULL || group != km_registry_at(registry, i) ||
                strcmp(kama_group_name(group), name) != 0) {
                return "a group was not found";
            }
        }
    }
    return NULL;
}

/* Readers take no lock while groups are added. */
static void test_concurrent(void **state)
{
    (void)state;
    pthread_t reader;
    struct km_registry registry;
    void *result = NULL;
    assert_int_equal(km_registry_init(&registry, km_mem_default()), KAMA_OK);
    assert_int_equal(pthread_create(&reader, NULL, read_all, &registry), 0);
    for (unsigned i = 0; i < ADDED; i++) {
        char name[16];
        name_of(i, name);
        add(&registry, name);
    }
    assert_int_equal(pthread_join(reader, &result), 0);
    assert_null(result);
    km_registry_check(&registry);
    km_registry_fini(&registry);
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct km_registry registry;
    kama_status status = km_registry_init(&registry, mem);
    if (status != KAMA_OK) {
        return status;
    }
    kama_group *group = make_group(mem, "users");
    if (group != NULL) {
        km_registry_add(&registry, group);
    }
    km_registry_fini(&registry);
    return group != NULL ? KAMA_OK : KAMA_ERR_NO_MEMORY;
}

/* No memory is left behind, whichever allocation fails. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
