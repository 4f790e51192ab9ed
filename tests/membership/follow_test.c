/* SPDX-License-Identifier: MIT */
/*
 * Following the members: views, junk, watches that lie, registries that lose
 * their data, mass leaves. docs/CLUSTER.md 2 has the rules. Everything runs in
 * a virtual world.
 */
#include "sim/member.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S KM_NS_PER_S
#define MS KM_NS_PER_MS
#define FOLDER "/kamacache/v1/kama-cache/"
#define NODES 5
#define LEASE_S 10

struct fixture {
    struct sim_world world;
    struct sim_registry registry;
    struct sim_member nodes[NODES + 1];
    char addresses[NODES + 1][32];
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    sim_world_init(&f.world, 7);
    sim_registry_init(&f.registry, &f.world);
    for (size_t i = 0; i <= NODES; i++) {
        (void)snprintf(f.addresses[i], sizeof f.addresses[i], "10.0.0.%zu:8001",
                       i + 1);
    }
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i <= NODES; i++) {
        sim_member_fini(&f->nodes[i]);
    }
    sim_registry_fini(&f->registry);
    sim_world_fini(&f->world);
    return 0;
}

static struct sim_member *start(struct fixture *f, size_t i)
{
    struct sim_member *node = &f->nodes[i];
    sim_member_fini(node);
    const struct sim_member_plan plan = {.address = f->addresses[i],
                                         .origin = i * 1000 * S};
    assert_true(sim_member_start(node, &f->world, &f->registry, &plan));
    return node;
}

static void start_all(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)start(f, i);
    }
    sim_run_for(&f->world, 2 * S);
    for (size_t i = 0; i < count; i++) {
        assert_true(sim_member_sees(&f->nodes[i], count));
    }
}

static void run_for(struct fixture *f, km_ns span)
{
    sim_run_for(&f->world, span);
}

static struct km_membership_stats stats_of(const struct sim_member *node)
{
    struct km_membership_stats stats;
    km_membership_stats_get(node->membership, &stats);
    return stats;
}

static void put_member(struct fixture *f, const char *address, unsigned id)
{
    char key[128];
    char value[512];
    (void)snprintf(key, sizeof key, FOLDER "members/%s", address);
    (void)snprintf(value, sizeof value,
                   "{\"cluster\":\"default\",\"nonce\":\"%032x\",\"id\":"
                   "\"%032x\",\"addr\":\"%s\",\"state\":\"active\","
                   "\"weight\":1}",
                   id, id, address);
    sim_registry_put(&f->registry, key, KAMA_STR(value), 0);
}

/* -- views ----------------------------------------------------------------- */

static void test_all_members_have_the_same_view(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    for (size_t i = 1; i < NODES; i++) {
        assert_true(f->nodes[i].view->id == f->nodes[0].view->id);
        assert_int_equal(f->nodes[i].forgets, 0);
    }
    assert_int_equal(km_view_active_count(f->nodes[0].view), NODES);
}

/* Otherwise a node that is still in the first of three views would seem to have
 * adopted the last one. */
static void test_the_id_of_a_view_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    uint64_t before = f->nodes[0].view->id;
    (void)start(f, 2);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    sim_member_close(&f->nodes[2]);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_true(f->nodes[0].view->id != before);
    assert_true(f->nodes[0].view->id == f->nodes[1].view->id);
}

static void test_a_member_that_leaves_is_seen_leaving_and_goes(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    struct km_member_id id = f->nodes[2].id;
    km_membership_leave(f->nodes[2].membership);
    run_for(f, 100 * MS);
    assert_int_equal(km_view_find_id(f->nodes[0].view, &id)->state,
                     KM_MEMBER_LEAVING);
    sim_member_close(&f->nodes[2]);
    run_for(f, 100 * MS);
    assert_true(sim_member_sees(&f->nodes[0], 2));
}

/* Its place in the view stays, and so does the id of the view. */
static void test_a_goodbye_is_told_with_the_same_view(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    km_membership_leave(f->nodes[1].membership);
    run_for(f, S);
    struct sim_member *node = &f->nodes[0];
    uint64_t id = node->view->id;
    unsigned views = node->views;
    assert_int_equal(node->goodbyes, 0);
    km_membership_set_goodbye(f->nodes[1].membership, 12, 34);
    run_for(f, S);
    assert_int_equal(node->goodbyes, 1);
    assert_int_equal(node->views, views);
    assert_true(node->view->id == id);
    const struct km_member *leaver =
        km_view_find_id(node->view, &f->nodes[1].id);
    assert_int_equal(leaver->final_seq, 12);
    assert_int_equal(leaver->clock, 34);
    run_for(f, 2 * KM_MEMBERSHIP_RECONCILE_MS * MS);
    assert_int_equal(node->goodbyes, 1); /* it is read again, and not told */
}

/* A node that reads late finds everything at once. */
static void test_a_goodbye_that_comes_with_a_change_is_in_its_view(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    struct sim_member *node = &f->nodes[0];
    sim_client_cut(&node->client);
    km_membership_leave(f->nodes[1].membership);
    run_for(f, S);
    km_membership_set_goodbye(f->nodes[1].membership, 12, 34);
    run_for(f, S);
    sim_client_mend(&node->client);
    run_for(f, 5 * S);
    assert_int_equal(node->goodbyes, 0);
    const struct km_member *leaver =
        km_view_find_id(node->view, &f->nodes[1].id);
    assert_int_equal(leaver->state, KM_MEMBER_LEAVING);
    assert_int_equal(leaver->final_seq, 12);
}

static void test_a_killed_member_goes_when_its_lease_ends(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    sim_member_kill(&f->nodes[2]);
    run_for(f, 6 * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    run_for(f, (LEASE_S + 2 - 6) * S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_true(sim_member_sees(&f->nodes[1], 2));
}

/* A name that begins with the other one's name is another service. */
static void test_a_service_whose_name_is_a_prefix_sees_only_its_own(
    void **state)
{
    struct fixture *f = *state;
    static const char *const services[] = {"kama", "kama-cache",
                                           "kama-cache-staging"};
    for (size_t i = 0; i < 3; i++) {
        const struct sim_member_plan plan = {.address = f->addresses[i],
                                             .service = services[i]};
        assert_true(
            sim_member_start(&f->nodes[i], &f->world, &f->registry, &plan));
    }
    run_for(f, 70 * S);
    for (size_t i = 0; i < 3; i++) {
        assert_true(sim_member_sees(&f->nodes[i], 1));
        assert_int_equal(stats_of(&f->nodes[i]).junk_records, 0);
        assert_int_equal(f->nodes[i].forgets, 0);
    }
}

/* -- junk ------------------------------------------------------------------ */

static void test_junk_is_counted_once_and_logged_once_a_minute(void **state)
{
    struct fixture *f = *state;
    static char large[20000];
    memset(large, 'x', sizeof large);
    start_all(f, 2);
    sim_registry_put(&f->registry, FOLDER "members/", KM_LIT("{}"), 0);
    sim_registry_put(&f->registry, FOLDER "members/x", KM_LIT("{\"a\":"), 0);
    sim_registry_put(&f->registry, FOLDER "members/\xff\x01", KM_LIT("\0\0"),
                     0);
    sim_registry_put(&f->registry, FOLDER "members/y",
                     kama_bytes_make(large, sizeof large), 0);
    sim_registry_put(&f->registry, FOLDER "unknown", KM_LIT("1"), 0);
    sim_registry_put(&f->registry, FOLDER "members", KM_LIT("1"), 0);
    put_member(f, "NOT-CANONICAL:1", 9);
    run_for(f, 40 * S); /* with a list */
    assert_int_equal(stats_of(&f->nodes[0]).junk_records, 5);
    assert_int_equal(f->nodes[0].junk_logs, 1);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_int_equal(f->nodes[0].registered, 1);
    run_for(f, 30 * S);
    sim_registry_put(&f->registry, FOLDER "members/z", KM_LIT("{}"), 0);
    run_for(f, S);
    assert_int_equal(stats_of(&f->nodes[0]).junk_records, 6);
    assert_int_equal(f->nodes[0].junk_logs, 2);
}

/* A node that starts now cannot know what stood there before: all must see the
 * same. */
static void test_a_record_that_becomes_junk_is_no_member(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    put_member(f, "10.0.1.1:8001", 1);
    put_member(f, "10.0.1.2:8001", 2);
    put_member(f, "10.0.1.3:8001", 3);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 5));
    sim_registry_put(&f->registry, FOLDER "members/10.0.1.1:8001",
                     KM_LIT("junk"), 0);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 4));
    (void)start(f, 2);
    run_for(f, S);
    assert_true(f->nodes[2].view->id == f->nodes[0].view->id);
}

static void test_members_beyond_the_limit_are_ignored(void **state)
{
    struct fixture *f = *state;
    char address[32];
    for (unsigned i = 0; i < KM_MEMBERSHIP_MEMBERS_MAX - 1; i++) {
        (void)snprintf(address, sizeof address, "m%05u:1", i);
        put_member(f, address, i + 1);
    }
    struct sim_member *node = start(f, 0);
    run_for(f, S);
    assert_int_equal(node->view->count, KM_MEMBERSHIP_MEMBERS_MAX);
    assert_int_equal(stats_of(node).junk_records, 0);
    put_member(f, "n:1", 9999);
    run_for(f, S);
    assert_int_equal(node->view->count, KM_MEMBERSHIP_MEMBERS_MAX);
    assert_int_equal(stats_of(node).junk_records, 1);
    assert_int_equal(node->junk_logs, 1);
    /* A node whose own address comes last is in its view nevertheless. */
    struct sim_member *late = start(f, 1);
    run_for(f, S);
    assert_non_null(late->view);
    assert_non_null(km_view_find_id(late->view, &late->id));
}

/* -- lists and watches ----------------------------------------------------- */

static void test_a_silent_watch_is_repaired_by_the_next_list(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    f->nodes[0].client.drops_changes = true;
    uint64_t watches = stats_of(&f->nodes[0]).watches;
    (void)start(f, 2);
    run_for(f, 20 * S);
    assert_true(sim_member_sees(&f->nodes[1], 3));
    assert_true(sim_member_sees(&f->nodes[0], 2));
    run_for(f, 11 * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(stats_of(&f->nodes[0]).watches, watches + 1);
}

static void test_a_quiet_cluster_is_read_every_30_seconds(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    uint64_t lists = stats_of(&f->nodes[0]).lists;
    uint64_t watches = stats_of(&f->nodes[0]).watches;
    run_for(f, 300 * S);
    assert_in_range(stats_of(&f->nodes[0]).lists - lists, 9, 10);
    assert_int_equal(stats_of(&f->nodes[0]).watches, watches);
    assert_int_equal(f->nodes[0].registered, 1);
}

static void test_a_new_watch_begins_with_a_list(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    uint64_t lists = stats_of(&f->nodes[0]).lists;
    uint64_t watches = stats_of(&f->nodes[0]).watches;
    sim_client_break(&f->nodes[0].client);
    run_for(f, S);
    assert_int_equal(stats_of(&f->nodes[0]).lists, lists + 1);
    assert_int_equal(stats_of(&f->nodes[0]).watches, watches + 1);
}

static void test_a_compaction_while_cut_off_loses_no_member(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    sim_client_cut(&f->nodes[0].client);
    (void)start(f, 2);
    run_for(f, 3 * S);
    for (int i = 0; i < 1000; i++) {
        sim_registry_put(&f->registry, "/elsewhere", KM_LIT("1"), 0);
    }
    sim_registry_compact(&f->registry);
    sim_client_mend(&f->nodes[0].client);
    run_for(f, 4 * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(f->nodes[0].registered, 1);
    assert_int_equal(f->nodes[0].forgets, 0);
}

/* The registry forgets what the watch was to begin with. */
static void test_a_watch_whose_beginning_was_compacted_begins_with_a_list(
    void **state)
{
    struct fixture *f = *state;
    struct sim_member *node = start(f, 0);
    while (node->client.requests[SIM_WATCH] == 0) {
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    put_member(f, "10.0.1.1:8001", 1);
    sim_registry_compact(&f->registry);
    run_for(f, 3 * S);
    assert_true(sim_member_sees(node, 2));
    assert_true(node->client.requests[SIM_WATCH] >= 2);
}

static void test_changes_at_or_below_the_last_revision_are_ignored(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    unsigned views = f->nodes[0].views;
    const struct km_registry_record old = {
        .key = KM_LIT(FOLDER "members/10.0.0.3:8001"), .deleted = true};
    km_membership_registry_events.changed(f->nodes[0].membership,
                                          f->registry.revision, &old, 1);
    km_membership_registry_events.changed(f->nodes[0].membership, 2, &old, 1);
    run_for(f, S);
    assert_int_equal(f->nodes[0].views, views);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    km_membership_registry_events.changed(f->nodes[0].membership,
                                          f->registry.revision + 1, &old, 1);
    run_for(f, 2 * KM_MEMBERSHIP_MISSING_MS * MS);
    assert_true(sim_member_sees(&f->nodes[0], 2));
}

/* The watch has overtaken the list, which would take the new member away. */
static void test_a_list_that_is_older_than_the_watch_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct sim_member *node = start(f, 0);
    run_for(f, 2 * S);
    unsigned lists = node->client.requests[SIM_LIST];
    km_membership_refresh(node->membership);
    while (node->client.requests[SIM_LIST] == lists) {
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    node->client.delay_min = node->client.delay_max = 500 * MS;
    run_for(f, 2 * MS); /* the list is read, and its answer is slow */
    node->client.delay_min = node->client.delay_max = MS;
    put_member(f, "10.0.1.1:8001", 1);
    run_for(f, 10 * MS);
    unsigned views = node->views;
    assert_true(sim_member_sees(node, 2));
    run_for(f, S);
    assert_true(sim_member_sees(node, 2));
    assert_int_equal(node->views, views);
    assert_int_equal(node->client.requests[SIM_LIST], lists + 2);
}

static void test_a_list_is_asked_for_at_most_twice_a_second(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    run_for(f, S);
    uint64_t lists = stats_of(&f->nodes[0]).lists;
    for (int i = 0; i < 1000; i++) {
        km_membership_refresh(f->nodes[0].membership);
        run_for(f, 10 * MS);
    }
    assert_in_range(stats_of(&f->nodes[0]).lists - lists, 19, 21);
}

static void test_a_refresh_finds_what_the_watch_has_not_said(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    f->nodes[0].client.drops_changes = true;
    (void)start(f, 2);
    run_for(f, 2 * S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    km_membership_refresh(f->nodes[0].membership);
    run_for(f, 100 * MS);
    assert_true(sim_member_sees(&f->nodes[0], 3));
}

/* -- lives that went by ---------------------------------------------------- */

static void test_a_life_that_went_by_unseen_clears_the_groups(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    f->nodes[0].client.drops_changes = true;
    (void)start(f, 2);
    run_for(f, 2 * S);
    sim_member_fini(&f->nodes[2]); /* within the time of one list */
    f->nodes[0].client.drops_changes = false;
    km_membership_refresh(f->nodes[0].membership);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_int_equal(f->nodes[0].forgets, 1);
    assert_int_equal(f->nodes[1].forgets, 0);
}

static void test_a_life_that_was_seen_clears_nothing(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    for (int i = 0; i < 3; i++) {
        (void)start(f, 2);
        run_for(f, 2 * S);
        sim_member_fini(&f->nodes[2]);
    }
    run_for(f, 40 * S);
    assert_int_equal(f->nodes[0].forgets, 0);
    assert_int_equal(f->nodes[1].forgets, 0);
}

/* The address is the same, but the life between the two was not seen. */
static void test_two_lives_at_one_address_clear_the_groups(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    f->nodes[0].client.drops_changes = true;
    for (int i = 0; i < 2; i++) {
        (void)start(f, 2); /* the member that was there is closed before */
        run_for(f, S);
    }
    run_for(f, 40 * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(f->nodes[0].forgets, 1);
    assert_int_equal(f->nodes[1].forgets, 0);
}

/* -- holds ----------------------------------------------------------------- */

/* Returns the number of members of the smallest view of a node within a
 * span. */
static size_t smallest_view(struct fixture *f, const struct sim_member *node,
                            km_ns span)
{
    km_ns until = f->world.now + span;
    size_t smallest = node->view->count;
    while (sim_step(&f->world, until)) {
        smallest = node->view->count < smallest ? node->view->count : smallest;
    }
    f->world.now = until;
    return smallest;
}

static void test_a_wiped_registry_takes_nobody_out_of_the_view(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    sim_registry_wipe(&f->registry);
    assert_int_equal(smallest_view(f, &f->nodes[0], 30 * S), NODES);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(f->nodes[i].registered, 2);
        assert_int_equal(f->nodes[i].forgets, 0);
        assert_true(f->nodes[i].view->id == f->nodes[0].view->id);
    }
    assert_int_equal(stats_of(&f->nodes[0]).held, 0);
}

/* Each new view of a node has all addresses of the one before, and an id that is new
 * there names the id that it replaces (R10, R12). */
static void expect_direct(const struct km_view *before,
                          const struct km_view *after)
{
    assert_int_equal(before->count, after->count);
    for (size_t i = 0; i < before->count; i++) {
        const struct km_member *old = &before->members[i];
        const struct km_member *now = &after->members[i];
        assert_string_equal(old->address, now->address);
        if (!km_member_id_equal(&old->id, &now->id)) {
            assert_true(km_member_id_equal(&now->prev.id, &old->id));
            assert_int_equal(now->prev.final_seq, 7);
            assert_int_equal(now->state, KM_MEMBER_ACTIVE);
        }
    }
}

/* Runs the world, and looks at all views of the first `count` nodes. */
static void run_direct(struct fixture *f, size_t count, km_ns span)
{
    km_ns until = f->world.now + span;
    struct km_view *before[NODES];
    for (size_t i = 0; i < count; i++) {
        before[i] = km_view_ref(f->nodes[i].view);
        f->nodes[i].life.final_seq = 7;
    }
    while (sim_step(&f->world, until)) {
        for (size_t i = 0; i < count; i++) {
            if (before[i] != f->nodes[i].view) {
                expect_direct(before[i], f->nodes[i].view);
                km_view_unref(before[i]);
                before[i] = km_view_ref(f->nodes[i].view);
            }
        }
    }
    f->world.now = until;
    for (size_t i = 0; i < count; i++) {
        km_view_unref(before[i]);
        assert_true(sim_member_sees(&f->nodes[i], count));
    }
}

/* A record that was deleted by hand, or whose lease was revoked: the node is back
 * before it is missed. */
static void test_a_new_life_replaces_the_old_one_in_one_step(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    sim_registry_delete(&f->registry, FOLDER "members/10.0.0.2:8001");
    run_direct(f, 3, 5 * S);
    assert_int_equal(f->nodes[1].registered, 2);
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->nodes[2].membership));
    run_direct(f, 3, 5 * S);
    assert_int_equal(f->nodes[2].registered, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f->nodes[i].forgets, 0);
    }
}

/* The records come back one by one while the addresses are held. */
static void test_after_a_wipe_new_lives_replace_the_old_ones(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    sim_registry_wipe(&f->registry);
    run_direct(f, NODES, 30 * S);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(f->nodes[i].registered, 2);
        assert_int_equal(f->nodes[i].forgets, 0);
    }
    assert_int_equal(stats_of(&f->nodes[0]).held, 0);
}

/* A cluster of two has no MISSING entries, and yet nobody goes. */
static void test_after_a_wipe_two_members_replace_their_lives(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    sim_registry_wipe(&f->registry);
    run_direct(f, 2, 30 * S);
    assert_int_equal(f->nodes[0].registered, 2);
    assert_int_equal(f->nodes[1].registered, 2);
}

static void test_after_a_wipe_a_dead_member_is_held_for_one_lease(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    sim_member_kill(&f->nodes[2]);
    sim_registry_wipe(&f->registry);
    run_for(f, (LEASE_S - 1) * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(stats_of(&f->nodes[0]).held, 1);
    run_for(f, 3 * S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_int_equal(stats_of(&f->nodes[0]).held, 0);
}

/* The new registry has as many revisions as the old one had: only the value of
 * `registry` tells that it is another one. */
static void test_another_stamp_means_that_the_data_is_lost(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    sim_registry_put(&f->registry, FOLDER "registry", KM_LIT("another"), 0);
    sim_registry_delete(&f->registry, FOLDER "members/10.0.0.3:8001");
    f->nodes[2].answers_probes = false;
    f->nodes[2].client.lose_request = 1000;
    run_for(f, 2 * S);
    assert_non_null(strstr(f->nodes[0].log_text, "lost its data"));
}

static void test_a_stamp_that_was_deleted_is_written_again(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    sim_registry_delete(&f->registry, FOLDER "registry");
    run_for(f, 2 * S);
    assert_non_null(sim_registry_find(&f->registry, FOLDER "registry"));
    run_for(f, 60 * S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(f->nodes[0].registered, 1);
}

static void test_a_revision_below_the_last_means_that_the_data_is_lost(
    void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    f->registry.revision = 3; /* as if an old copy was restored */
    sim_registry_delete(&f->registry, FOLDER "members/10.0.0.3:8001");
    f->nodes[2].client.lose_request = 1000;
    km_membership_refresh(f->nodes[0].membership);
    run_for(f, S);
    assert_true(sim_member_sees(&f->nodes[0], 3));
    assert_int_equal(stats_of(&f->nodes[0]).held, 1);
}

static void test_a_mass_leave_is_held_for_one_lease(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    for (size_t i = 1; i < 4; i++) {
        f->nodes[i].client.lose_request = 1000; /* they do not come back */
        sim_registry_revoke(&f->registry,
                            km_membership_lease_id(f->nodes[i].membership));
        run_for(f, 10 * MS);
    }
    run_for(f, (LEASE_S - 1) * S);
    assert_true(sim_member_sees(&f->nodes[0], NODES));
    assert_int_equal(stats_of(&f->nodes[0]).held, 3);
    run_for(f, 2 * S);
    assert_true(sim_member_sees(&f->nodes[0], 2));
    assert_int_equal(stats_of(&f->nodes[0]).held, 0);
}

static void revoke_and_silence(struct fixture *f, size_t i)
{
    f->nodes[i].client.lose_request = 1000;
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->nodes[i].membership));
}

/* The records go one after the other, and the first address does not leave the
 * view and come back. A single member that dies goes a little later. */
static void test_a_mass_leave_does_not_flap(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    uint64_t id = f->nodes[0].view->id;
    for (size_t i = 1; i < 4; i++) {
        revoke_and_silence(f, i);
        run_for(f, 30 * MS);
        assert_true(f->nodes[0].view->id == id);
    }
    run_for(f, S);
    assert_true(f->nodes[0].view->id == id);
    assert_int_equal(stats_of(&f->nodes[0]).held, 3);
}

/* The view says which members are held, when they come back into it. */
static void test_a_held_member_that_comes_back_is_marked(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    for (size_t i = 1; i < 4; i++) {
        revoke_and_silence(f, i);
        run_for(f, 2 * KM_MEMBERSHIP_MISSING_MS * MS);
    }
    assert_true(sim_member_sees(&f->nodes[0], NODES));
    const struct km_member *first =
        km_view_find_address(f->nodes[0].view, KAMA_STR(f->addresses[1]));
    assert_non_null(first);
    assert_true(first->held);
    assert_false(f->nodes[0].view->members[0].held);
}

static void test_half_of_a_view_is_no_mass_leave(void **state)
{
    struct fixture *f = *state;
    start_all(f, 4);
    revoke_and_silence(f, 2);
    revoke_and_silence(f, 3);
    run_for(f, 200 * MS);
    assert_true(sim_member_sees(&f->nodes[0], 2));
}

static void test_a_view_of_two_has_no_mass_leave(void **state)
{
    struct fixture *f = *state;
    start_all(f, 2);
    revoke_and_silence(f, 1);
    revoke_and_silence(f, 0);
    run_for(f, 100 * MS);
    assert_int_equal(f->nodes[0].view->count, 0);
    assert_int_equal(stats_of(&f->nodes[0]).held, 0);
}

static void test_members_that_go_one_after_the_other_are_no_mass_leave(
    void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    for (size_t i = 1; i < 4; i++) {
        revoke_and_silence(f, i);
        run_for(f, 1100 * MS);
        assert_int_equal(f->nodes[0].view->count, NODES - i);
    }
}

static void test_members_that_say_goodbye_are_never_held(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    for (size_t i = 1; i < NODES; i++) {
        km_membership_leave(f->nodes[i].membership);
    }
    run_for(f, S);
    for (size_t i = 1; i < NODES; i++) {
        sim_member_close(&f->nodes[i]);
    }
    run_for(f, 100 * MS);
    assert_true(sim_member_sees(&f->nodes[0], 1));
}

static void test_a_new_id_replaces_a_held_address_at_once(void **state)
{
    struct fixture *f = *state;
    start_all(f, NODES);
    struct km_member_id id = f->nodes[1].id;
    for (size_t i = 1; i < 4; i++) {
        revoke_and_silence(f, i);
    }
    run_for(f, S);
    assert_int_equal(stats_of(&f->nodes[0]).held, 3);
    put_member(f, f->addresses[1], 77);
    run_for(f, 10 * MS);
    assert_true(sim_member_sees(&f->nodes[0], NODES));
    assert_int_equal(stats_of(&f->nodes[0]).held, 2);
    assert_null(km_view_find_id(f->nodes[0].view, &id));
}

/* -- outages --------------------------------------------------------------- */

static void test_an_outage_keeps_the_last_view(void **state)
{
    struct fixture *f = *state;
    start_all(f, 3);
    uint64_t id = f->nodes[0].view->id;
    sim_registry_stop(&f->registry);
    run_for(f, 300 * S);
    sim_registry_start(&f->registry);
    assert_true(f->nodes[0].view->id == id);
    run_for(f, 30 * S);
    for (size_t i = 0; i < 3; i++) {
        assert_true(f->nodes[i].view->id == id);
        assert_int_equal(f->nodes[i].registered, 1);
        assert_int_equal(f->nodes[i].lease, KM_LEASE_HELD);
        assert_int_equal(f->nodes[i].forgets, 0);
    }
}

/* -- memory ---------------------------------------------------------------- */

/* Lets allocation n fail, and all that follow it within 10 s if that is sticky.
 * Returns whether the allocation was reached. */
static bool survive(struct fixture *f, long long n, bool sticky)
{
    struct km_mem_probe probe;
    struct sim_member *node = &f->nodes[0];
    km_mem_probe_init(&probe);
    probe.fail_at = n;
    probe.sticky = sticky;
    const struct sim_member_plan plan = {.address = f->addresses[0],
                                         .mem = &probe.allocator};
    if (!sim_member_start(node, &f->world, &f->registry, &plan)) {
        assert_int_equal(atomic_load(&probe.live_blocks), 0);
        return true;
    }
    run_for(f, 5 * S);
    put_member(f, "10.0.1.1:8001", (unsigned)n);
    sim_registry_put(&f->registry, FOLDER "members/x", KM_LIT("junk"), 0);
    run_for(f, 5 * S);
    bool reached = atomic_load(&probe.allocs) >= n;
    atomic_store(&probe.fail_at, 0);
    atomic_store(&probe.sticky, false);
    sim_registry_delete(&f->registry, FOLDER "members/10.0.1.1:8001");
    sim_registry_delete(&f->registry, FOLDER "members/10.0.0.1:8001");
    run_for(f, 35 * S);
    assert_true(sim_member_sees(node, 2));
    const struct km_view *other = f->nodes[1].view;
    assert_true(node->view->id == other->id);
    assert_int_equal(node->failed, 0);
    sim_member_fini(node);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
    return reached;
}

static void test_each_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    (void)start(f, 1);
    run_for(f, S);
    for (int sticky = 0; sticky <= 1; sticky++) {
        long long n = 1;
        while (survive(f, n, sticky == 1)) {
            n++;
        }
        assert_true(n > 20);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_members_have_the_same_view),
        TEST(test_the_id_of_a_view_does_not_come_back),
        TEST(test_a_member_that_leaves_is_seen_leaving_and_goes),
        TEST(test_a_goodbye_is_told_with_the_same_view),
        TEST(test_a_goodbye_that_comes_with_a_change_is_in_its_view),
        TEST(test_a_killed_member_goes_when_its_lease_ends),
        TEST(test_a_service_whose_name_is_a_prefix_sees_only_its_own),
        TEST(test_junk_is_counted_once_and_logged_once_a_minute),
        TEST(test_a_record_that_becomes_junk_is_no_member),
        TEST(test_members_beyond_the_limit_are_ignored),
        TEST(test_a_silent_watch_is_repaired_by_the_next_list),
        TEST(test_a_quiet_cluster_is_read_every_30_seconds),
        TEST(test_a_new_watch_begins_with_a_list),
        TEST(test_a_compaction_while_cut_off_loses_no_member),
        TEST(test_a_watch_whose_beginning_was_compacted_begins_with_a_list),
        TEST(test_changes_at_or_below_the_last_revision_are_ignored),
        TEST(test_a_list_that_is_older_than_the_watch_is_read_again),
        TEST(test_a_list_is_asked_for_at_most_twice_a_second),
        TEST(test_a_refresh_finds_what_the_watch_has_not_said),
        TEST(test_a_life_that_went_by_unseen_clears_the_groups),
        TEST(test_a_life_that_was_seen_clears_nothing),
        TEST(test_two_lives_at_one_address_clear_the_groups),
        TEST(test_a_wiped_registry_takes_nobody_out_of_the_view),
        TEST(test_a_new_life_replaces_the_old_one_in_one_step),
        TEST(test_after_a_wipe_new_lives_replace_the_old_ones),
        TEST(test_after_a_wipe_two_members_replace_their_lives),
        TEST(test_after_a_wipe_a_dead_member_is_held_for_one_lease),
        TEST(test_another_stamp_means_that_the_data_is_lost),
        TEST(test_a_stamp_that_was_deleted_is_written_again),
        TEST(test_a_revision_below_the_last_means_that_the_data_is_lost),
        TEST(test_a_mass_leave_is_held_for_one_lease),
        TEST(test_a_mass_leave_does_not_flap),
        TEST(test_a_held_member_that_comes_back_is_marked),
        TEST(test_half_of_a_view_is_no_mass_leave),
        TEST(test_a_view_of_two_has_no_mass_leave),
        TEST(test_members_that_go_one_after_the_other_are_no_mass_leave),
        TEST(test_members_that_say_goodbye_are_never_held),
        TEST(test_a_new_id_replaces_a_held_address_at_once),
        TEST(test_an_outage_keeps_the_last_view),
        TEST(test_each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
