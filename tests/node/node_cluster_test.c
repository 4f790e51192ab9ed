/* SPDX-License-Identifier: MIT */
/* The public functions that show the cluster, on a node alone, which is a
 * cluster of itself. What they say of a cluster comes from the same source as
 * the answers that tests/services/members_test.c looks at. */
#include "base/status.h"
#include "helpers/failmalloc.h"
#include "node/node.h"

#include <stdio.h>

static kama_node *new_node(void)
{
    kama_node *node = NULL;
    kama_node_options options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    options.cluster = "blue";
    options.labels = "zone-a,ssd";
    options.weight = 3;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    kama_group_options group;
    kama_group_options_init(&group);
    group.name = "users";
    assert_int_equal(kama_node_add_group(node, &group, NULL), KAMA_OK);
    return node;
}

/* What a callback has received; texts are copied, because they are borrowed. */
struct seen {
    unsigned calls;
    kama_member member;
    kama_owner owner;
    kama_node_info info;
    char address[128];
    char text[128];
    char sync[16];
};

static void on_member(void *arg, const kama_member *member)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->member = *member;
    (void)snprintf(seen->address, sizeof seen->address, "%s", member->address);
    (void)snprintf(seen->text, sizeof seen->text, "%s %s %zu %s",
                   member->labels[0], member->labels[1], member->label_count,
                   member->reach);
    (void)snprintf(seen->sync, sizeof seen->sync, "%s", member->sync_state);
}

static void on_owner(void *arg, const kama_owner *owner)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->owner = *owner;
    (void)snprintf(seen->address, sizeof seen->address, "%s",
                   owner->address_count > 0 ? owner->addresses[0] : "");
}

static void on_info(void *arg, const kama_node_info *info)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->info = *info;
    (void)snprintf(seen->text, sizeof seen->text, "%s|%s|%s|%s", info->cluster,
                   info->service, info->registration,
                   info->missing_count > 0 ? info->missing[0] : "");
    (void)snprintf(seen->address, sizeof seen->address, "%s", info->advertise);
}

/* Before the start there is no member and the step `listen` is missing; while it
 * serves, the node is its only and active member; then it is leaving. */
static void test_a_node_alone_from_new_to_stopped(void **state)
{
    (void)state;
    struct seen seen = {0};
    kama_node *node = new_node();
    assert_int_equal(kama_node_members(node, on_member, &seen), KAMA_OK);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(kama_node_describe(node, on_info, &seen), KAMA_OK);
    assert_string_equal(seen.text, "blue|kama-cache|none|listen");
    assert_int_equal(seen.info.ready, 0);
    assert_int_equal(seen.info.start_ms, 0);
    assert_int_equal(kama_node_wait_ready(node, 0), KAMA_ERR_TIMEOUT);
    assert_non_null(strstr(km_last_error(), "missing: listen"));

    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_int_equal(kama_node_wait_ready(node, 0), KAMA_OK);
    seen.calls = 0;
    assert_int_equal(kama_node_members(node, on_member, &seen), KAMA_OK);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(seen.address, kama_node_address(node));
    assert_string_equal(seen.text, "zone-a ssd 2 self");
    assert_string_equal(seen.sync, "");
    assert_int_equal(seen.member.struct_size, sizeof(kama_member));
    assert_int_equal(seen.member.state, KAMA_MEMBER_ACTIVE);
    assert_int_equal(seen.member.weight, 3);
    assert_int_equal(seen.member.share_ppm, 1000000);
    assert_int_equal(seen.member.self, 1);
    assert_int_equal(kama_node_describe(node, on_info, &seen), KAMA_OK);
    assert_int_equal(seen.info.ready, 1);
    assert_int_equal(seen.info.missing_count, 0);
    assert_int_equal(seen.info.peer_count, 0);
    assert_int_equal(seen.info.group_count, 1);
    assert_true(seen.info.start_ms < 60000);
    assert_string_equal(seen.address, kama_node_address(node));
    assert_memory_equal(seen.info.id, seen.member.id, sizeof seen.info.id);

    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_int_equal(kama_node_members(node, on_member, &seen), KAMA_OK);
    assert_int_equal(seen.member.state, KAMA_MEMBER_LEAVING);
    assert_int_equal(kama_node_wait_ready(node, 1000), KAMA_ERR_CLOSED);
    kama_node_free(node);
}

/* A node alone owns every key, and says by which view. */
static void test_a_node_alone_owns_every_key(void **state)
{
    (void)state;
    struct seen seen = {0};
    kama_node *node = new_node();
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_int_equal(
        kama_node_owner(node, "users", KAMA_STR("tom"), on_owner, &seen),
        KAMA_OK);
    assert_string_equal(seen.address, kama_node_address(node));
    assert_int_equal(seen.owner.self, 1);
    assert_true(seen.owner.slot < 1u << 18);
    assert_int_equal(kama_node_describe(node, on_info, &seen), KAMA_OK);
    assert_int_equal(seen.owner.view_id, seen.info.view_id);
    assert_memory_equal(seen.owner.id, seen.info.id, sizeof seen.owner.id);
    kama_node_free(node);
}

/* Two nodes are two members: their ids and views differ. */
static void test_two_nodes_have_two_ids(void **state)
{
    (void)state;
    struct seen a = {0};
    struct seen b = {0};
    kama_node *one = new_node();
    kama_node *two = new_node();
    assert_int_equal(kama_node_start(one), KAMA_OK);
    assert_int_equal(kama_node_start(two), KAMA_OK);
    assert_int_equal(kama_node_describe(one, on_info, &a), KAMA_OK);
    assert_int_equal(kama_node_describe(two, on_info, &b), KAMA_OK);
    assert_memory_not_equal(a.info.id, b.info.id, sizeof a.info.id);
    assert_int_not_equal(a.info.view_id, b.info.view_id);
    kama_node_free(two);
    kama_node_free(one);
}

/* Wrong arguments are refused, and no callback runs. */
static void test_refuses_wrong_arguments(void **state)
{
    (void)state;
    struct seen seen = {0};
    kama_node *node = new_node();
    kama_bytes key = KAMA_STR("k");
    assert_int_equal(kama_node_members(node, NULL, NULL), KAMA_ERR_INVALID);
    assert_int_equal(kama_node_describe(node, NULL, NULL), KAMA_ERR_INVALID);
    assert_int_equal(kama_node_owner(node, "users", key, NULL, NULL),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_node_owner(node, NULL, key, on_owner, &seen),
                     KAMA_ERR_INVALID);
    assert_int_equal(
        kama_node_owner(node, "users", KAMA_STR(""), on_owner, &seen),
        KAMA_ERR_INVALID);
    assert_int_equal(kama_node_owner(node, "x\n", key, on_owner, &seen),
                     KAMA_ERR_NO_GROUP);
    assert_non_null(strstr(km_last_error(), "\"x\\n\""));
    assert_int_equal(kama_node_wait_ready(node, -1), KAMA_ERR_INVALID);
    assert_int_equal(seen.calls, 0);
    kama_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_node_alone_from_new_to_stopped),
        cmocka_unit_test(test_a_node_alone_owns_every_key),
        cmocka_unit_test(test_two_nodes_have_two_ids),
        cmocka_unit_test(test_refuses_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
