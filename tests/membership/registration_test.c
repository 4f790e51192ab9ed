/* SPDX-License-Identifier: MIT */
/*
 * The record of a node: registration, the cases of an address that has a record
 * already, the lease, leaving and closing. docs/CLUSTER.md 2 and 3 have the
 * rules. Everything runs in a virtual world.
 */
#include "sim/member.h"

#include "membership/record.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S KM_NS_PER_S
#define MS KM_NS_PER_MS
#define ADDRESS "10.0.0.1:8001"
#define FOLDER "/kamacache/v1/kama-cache/"
#define KEY FOLDER "members/" ADDRESS
#define OTHER_ID "ffffffffffffffffffffffffffffffff"

struct fixture {
    struct sim_world world;
    struct sim_registry registry;
    struct sim_member node;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    sim_world_init(&f.world, 1);
    sim_registry_init(&f.registry, &f.world);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    sim_member_fini(&f->node);
    sim_registry_fini(&f->registry);
    sim_world_fini(&f->world);
    return 0;
}

static void start_with(struct fixture *f, const struct sim_member_plan *plan)
{
    assert_true(sim_member_start(&f->node, &f->world, &f->registry, plan));
}

static void start(struct fixture *f)
{
    start_with(f, &(struct sim_member_plan){.address = ADDRESS});
}

static void run_for(struct fixture *f, km_ns span)
{
    sim_run_for(&f->world, span);
}

static const struct sim_key *own_key(const struct fixture *f)
{
    return sim_registry_find(&f->registry, KEY);
}

/* Reads the record that stands at the address. */
static const struct km_record *own_record(const struct fixture *f)
{
    static struct km_record record;
    const struct sim_key *key = own_key(f);
    assert_non_null(key);
    assert_int_equal(
        km_record_parse(kama_bytes_make(key->value, key->value_len),
                        KM_LIT(ADDRESS), UINT64_MAX / 2, &record),
        KAMA_OK);
    return &record;
}

static void expect_record(const struct fixture *f, enum km_member_state state)
{
    const struct km_record *record = own_record(f);
    assert_true(km_member_id_equal(&record->member.id, &f->node.id));
    assert_int_equal(record->member.state, state);
}

/* Puts a record of somebody else at the address. */
static void put_other(struct fixture *f, int64_t lease)
{
    sim_registry_put(&f->registry, KEY,
                     KM_LIT("{\"cluster\":\"default\",\"nonce\":\"" OTHER_ID
                            "\",\"id\":\"" OTHER_ID "\",\"addr\":\"" ADDRESS
                            "\",\"state\":\"active\",\"weight\":1}"),
                     lease);
}

/* -- registering ----------------------------------------------------------- */

static const struct sim_key *sister_key(struct fixture *f)
{
    return sim_registry_find(&f->registry, "/services/kama-cache/" ADDRESS);
}

static void test_one_step_writes_record_and_joins(void **state)
{
    struct fixture *f = *state;
    start_with(f, &(struct sim_member_plan){.address = ADDRESS,
                                            .stays_joining = true});
    run_for(f, S);
    const struct sim_key *key = own_key(f);
    const struct sim_key *joins =
        sim_registry_find(&f->registry, FOLDER "joins");
    const struct sim_key *stamp =
        sim_registry_find(&f->registry, FOLDER "registry");
    assert_null(sister_key(f)); /* a node that joins is not ready for calls */
    assert_non_null(joins);
    assert_non_null(stamp);
    expect_record(f, KM_MEMBER_JOINING);
    assert_int_equal(joins->mod_revision, key->mod_revision);
    assert_int_equal(joins->version, 1);
    assert_int_equal(joins->lease, 0);
    assert_int_equal(key->lease, km_membership_lease_id(f->node.membership));
    assert_int_equal(stamp->value_len, 32);
    assert_int_equal(stamp->lease, 0);
    assert_true(stamp->mod_revision < key->mod_revision);
}

static void expect_sister_key(struct fixture *f)
{
    const struct sim_key *key = own_key(f);
    assert_non_null(sister_key(f));
    assert_string_equal(sister_key(f)->value, ADDRESS);
    assert_int_equal(sister_key(f)->mod_revision, key->mod_revision);
    assert_int_equal(sister_key(f)->lease, key->lease);
}

/* Clients of other implementations call each node that has a sister key. */
static void test_only_an_active_node_has_a_sister_key(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    expect_record(f, KM_MEMBER_ACTIVE);
    expect_sister_key(f);
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->node.membership));
    assert_null(sister_key(f));
    run_for(f, S);
    expect_record(f, KM_MEMBER_ACTIVE); /* at once, without joining */
    expect_sister_key(f);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    expect_record(f, KM_MEMBER_LEAVING);
    assert_null(sister_key(f));
}

static void test_the_first_view_has_this_node_in_it(void **state)
{
    struct fixture *f = *state;
    start_with(f, &(struct sim_member_plan){.address = ADDRESS,
                                            .stays_joining = true});
    run_for(f, S);
    assert_int_equal(f->node.views, 1);
    assert_true(sim_member_sees(&f->node, 1));
    assert_int_equal(f->node.view->members[0].state, KM_MEMBER_JOINING);
    km_membership_activate(f->node.membership);
    run_for(f, S);
    assert_int_equal(f->node.activated, 1);
    assert_int_equal(f->node.views, 2);
    assert_int_equal(f->node.view->members[0].state, KM_MEMBER_ACTIVE);
    expect_record(f, KM_MEMBER_ACTIVE);
}

/* The record is replaced without asking who listens there, because the members
 * as of the first claim are not known. */
static void test_a_claim_whose_answer_was_lost_is_made_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    while (f->node.client.requests[SIM_CLAIM] == 0) {
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    f->node.client.lose_answer = 1000;
    run_for(f, 500 * MS);
    f->node.client.lose_answer = 0;
    assert_int_equal(f->node.registered, 0);
    run_for(f, 5 * S);
    assert_int_equal(f->node.registered, 1);
    assert_int_equal(f->node.probes, 0);
    assert_int_equal(f->node.client.requests[SIM_CLAIM], 3);
    assert_int_equal(sim_registry_find(&f->registry, FOLDER "joins")->version,
                     2);
    expect_record(f, KM_MEMBER_ACTIVE);
}

#define OTHER_KEY FOLDER "members/10.0.0.2:8001"

/* A member is removed right behind the claim; the answer of the claim may come
 * before or behind the news of that. */
static void removed_behind_the_claim(uint64_t seed, bool with_watch)
{
    struct fixture f;
    memset(&f, 0, sizeof f);
    sim_world_init(&f.world, seed);
    sim_registry_init(&f.registry, &f.world);
    sim_registry_put(&f.registry, OTHER_KEY,
                     KM_LIT("{\"cluster\":\"default\",\"nonce\":\"" OTHER_ID
                            "\",\"id\":\"" OTHER_ID
                            "\",\"addr\":\"10.0.0.2:8001\""
                            ",\"state\":\"active\",\"weight\":1}"),
                     0);
    start(&f);
    f.node.client.delay_min = MS;
    f.node.client.delay_max = 100 * MS;
    f.node.client.drops_changes = !with_watch;
    while (own_key(&f) == NULL) {
        assert_true(sim_step(&f.world, KM_NS_NEVER));
    }
    sim_registry_delete(&f.registry, OTHER_KEY);
    if (!with_watch) {
        km_membership_refresh(f.node.membership);
    }
    while (f.node.views == 0) {
        assert_true(sim_step(&f.world, KM_NS_NEVER));
    }
    assert_int_equal(f.node.first_view_count, 2);
    run_for(&f, 5 * S);
    assert_int_equal(f.node.view->count, 1);
    assert_int_equal(f.node.forgets, 0);
    sim_member_fini(&f.node);
    sim_registry_fini(&f.registry);
    sim_world_fini(&f.world);
}

static void test_the_first_view_has_the_members_as_of_the_claim(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        removed_behind_the_claim(seed, true);
        removed_behind_the_claim(seed, false);
    }
}

static void test_a_stamp_that_is_there_is_kept(void **state)
{
    struct fixture *f = *state;
    sim_registry_put(&f->registry, FOLDER "registry", KM_LIT("abc"), 0);
    start(f);
    run_for(f, S);
    assert_int_equal(f->node.registered, 1);
    assert_string_equal(
        sim_registry_find(&f->registry, FOLDER "registry")->value, "abc");
}

static void test_the_address_of_the_connection_is_advertised(void **state)
{
    struct fixture *f = *state;
    start_with(
        f, &(struct sim_member_plan){.address = NULL, .admin = "0.0.0.0:9001"});
    run_for(f, S);
    assert_int_equal(f->node.registered, 1);
    assert_string_equal(km_membership_address(f->node.membership),
                        "10.9.9.9:8001");
    assert_non_null(strstr(
        sim_registry_find(&f->registry, FOLDER "members/10.9.9.9:8001")->value,
        "\"admin\":\"10.9.9.9:9001\""));
}

/* The waits are 75 to 100 percent of 100 ms x 1.6 and so on, up to 3 s. */
static void test_a_registry_that_is_down_is_asked_with_growing_waits(
    void **state)
{
    struct fixture *f = *state;
    sim_registry_stop(&f->registry);
    start(f);
    run_for(f, 60 * S);
    assert_in_range(f->node.client.requests[SIM_STAMP], 20, 40);
    assert_int_equal(f->node.logs, 1);
    sim_registry_start(&f->registry);
    run_for(f, 4 * S);
    assert_int_equal(f->node.registered, 1);
}

static void test_a_wrong_password_fails_the_start(void **state)
{
    struct fixture *f = *state;
    start(f);
    f->node.client.refuses = KAMA_ERR_UNAUTHENTICATED;
    run_for(f, S);
    assert_int_equal(f->node.failed, 1);
    assert_int_equal(f->node.failed_status, KAMA_ERR_UNAUTHENTICATED);
}

/* -- an address that has a record ------------------------------------------ */

static void test_a_record_of_a_dead_holder_is_replaced_at_once(void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 10000));
    start(f);
    run_for(f, 100 * MS);
    assert_int_equal(f->node.probes, 1);
    assert_int_equal(f->node.registered, 1);
    expect_record(f, KM_MEMBER_ACTIVE);
}

static void test_a_record_that_changes_meanwhile_is_looked_at_again(
    void **state)
{
    struct fixture *f = *state;
    int64_t lease = sim_registry_grant(&f->registry, 10000);
    put_other(f, lease);
    start(f);
    f->node.answers_probes = false;
    run_for(f, S);
    assert_int_equal(f->node.probes, 1);
    put_other(f, lease); /* with another mod_revision */
    f->node.answers_probes = true;
    km_membership_probed(f->node.membership, KM_PROBE_SELF, NULL);
    run_for(f, 3 * MS);
    assert_int_equal(f->node.probes, 2);
    assert_int_equal(f->node.registered, 0);
    run_for(f, S);
    assert_int_equal(f->node.registered, 1);
}

static void test_an_address_at_which_another_process_listens_is_in_use(
    void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 1000000));
    start(f);
    f->node.probe_answer = KM_PROBE_ANOTHER;
    run_for(f, 60 * S);
    assert_int_equal(f->node.failed, 1);
    assert_int_equal(f->node.failed_status, KAMA_ERR_ADDR_IN_USE);
    assert_non_null(
        strstr(f->node.failed_text, ADDRESS " is in use by " OTHER_ID));
    assert_int_equal(f->node.registered, 0);
}

static void test_a_held_address_is_awaited_while_nobody_answers(void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 7000));
    start(f);
    f->node.probe_answer = KM_PROBE_NOBODY;
    run_for(f, S);
    assert_int_equal(f->node.registered, 0);
    km_ns left = f->node.waiting_until - f->world.now;
    assert_in_range(left, 7 * S, 9 * S);
    run_for(f, 8 * S);
    assert_int_equal(f->node.registered, 1);
    assert_int_equal(f->node.failed, 0);
}

static void test_the_wait_ends_when_the_record_is_deleted(void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 1000000));
    start(f);
    f->node.probe_answer = KM_PROBE_NOBODY;
    run_for(f, 5 * S);
    assert_int_equal(f->node.registered, 0);
    sim_registry_delete(&f->registry, KEY);
    run_for(f, 100 * MS);
    assert_int_equal(f->node.registered, 1);
}

static void test_a_record_that_is_prolonged_for_ever_fails_the_start(
    void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 5000));
    start(f);
    f->node.probe_answer = KM_PROBE_NOBODY;
    for (int i = 0; i < 60; i++) {
        f->registry.leases[0].ends_at = f->world.now + 5 * S;
        run_for(f, S);
    }
    assert_int_equal(f->node.failed, 1);
    assert_non_null(strstr(f->node.failed_text, OTHER_ID));
    assert_int_equal(f->node.probes, KM_MEMBERSHIP_WAIT_ROUNDS_MAX + 1);
}

static void test_a_record_without_a_lease_is_replaced(void **state)
{
    struct fixture *f = *state;
    sim_registry_put(&f->registry, KEY, KM_LIT("junk"), 0);
    start(f);
    f->node.probe_answer = KM_PROBE_NOBODY;
    run_for(f, S);
    assert_int_equal(f->node.registered, 1);
}

static void test_a_probe_without_an_answer_counts_as_nobody(void **state)
{
    struct fixture *f = *state;
    put_other(f, sim_registry_grant(&f->registry, 6000));
    start(f);
    f->node.answers_probes = false;
    run_for(f, KM_MEMBERSHIP_PROBE_MS * MS + S);
    assert_int_not_equal(f->node.waiting_until, 0);
    run_for(f, 3 * S);
    assert_int_equal(f->node.registered, 1);
}

/* -- the lease ------------------------------------------------------------- */

static void test_a_lease_is_kept_every_third_of_its_time(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    int64_t created = own_key(f)->create_revision;
    run_for(f, 60 * S);
    assert_int_equal(own_key(f)->create_revision, created);
    assert_in_range(f->node.client.requests[SIM_KEEP_ALIVE], 17, 19);
    assert_int_equal(f->node.lease_events, 1);
    assert_int_equal(f->node.lease, KM_LEASE_HELD);
    assert_in_range(f->node.kept, 17, 20); /* with the one that granted it */
    assert_int_equal(f->node.kept_ttl_ms, KM_MEMBERSHIP_LEASE_MS_DEFAULT);
    km_ns kept_at = f->node.kept_sent_at;
    run_for(f, 10 * S);
    assert_true(f->node.kept_sent_at > kept_at);
}

static void test_slow_answers_do_not_end_a_lease(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    int64_t created = own_key(f)->create_revision;
    f->node.client.delay_min = f->node.client.delay_max = 1500 * MS;
    run_for(f, 60 * S);
    assert_int_equal(own_key(f)->create_revision, created);
    assert_int_equal(f->node.registered, 1);
    assert_int_equal(f->node.lease_events, 1);
}

/* The time counts from the sending of the last answered keepalive. */
static void test_a_lease_that_may_have_expired_is_doubtful(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    int64_t created = own_key(f)->create_revision;
    unsigned kept = f->node.client.requests[SIM_KEEP_ALIVE];
    while (f->node.client.requests[SIM_KEEP_ALIVE] == kept) {
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    km_ns sent = f->world.now;
    run_for(f, 10 * MS);
    sim_registry_stop(&f->registry);
    run_for(f, sent + 10 * S - f->world.now - 1);
    assert_int_equal(f->node.lease, KM_LEASE_HELD);
    run_for(f, 2);
    assert_int_equal(f->node.lease, KM_LEASE_DOUBTFUL);
    run_for(f, 20 * S);
    assert_int_equal(f->node.lease, KM_LEASE_DOUBTFUL);
    assert_true(sim_member_sees(&f->node, 1));
    sim_registry_start(&f->registry);
    run_for(f, 5 * S);
    assert_int_equal(f->node.lease, KM_LEASE_HELD);
    assert_int_equal(f->node.registered, 1);
    assert_int_equal(own_key(f)->create_revision, created);
}

static void test_time_in_a_suspended_machine_counts(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    sim_client_cut(&f->node.client);
    f->node.clock.suspended += 15 * S;
    run_for(f, 4 * S);
    assert_int_equal(f->node.lease, KM_LEASE_DOUBTFUL);
}

/* After a lost lease the node was away: it has a new id, and is at once
 * active. */
static void test_a_lost_lease_leads_to_a_new_id(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    struct km_member_id id = f->node.id;
    sim_client_cut(&f->node.client);
    run_for(f, 15 * S);
    assert_null(own_key(f));
    assert_int_equal(f->node.registered, 1);
    sim_client_mend(&f->node.client);
    run_for(f, 5 * S);
    assert_int_equal(f->node.registered, 2);
    assert_false(km_member_id_equal(&f->node.id, &id));
    expect_record(f, KM_MEMBER_ACTIVE);
    assert_int_equal(own_key(f)->version, 1);
    assert_int_equal(f->node.activated, 1);
    assert_int_equal(f->node.lease, KM_LEASE_HELD);
    assert_true(sim_member_sees(&f->node, 1));
}

/* The record of the new life says how the one before has ended. */
static void test_a_new_life_names_the_one_before(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    struct km_member_id first = f->node.id;
    assert_true(km_member_id_is_none(&own_record(f)->member.prev.id));
    assert_int_equal(f->node.lives, 0);
    f->node.life = (struct km_member_goodbye){
        .final_seq = 7, .clock = 8, .originated = true};
    sim_registry_delete(&f->registry, KEY);
    run_for(f, S);
    struct km_member_goodbye prev = own_record(f)->member.prev;
    assert_int_equal(f->node.lives, 1);
    assert_true(km_member_id_equal(&prev.id, &first));
    assert_int_equal(prev.final_seq, 7);
    assert_int_equal(prev.clock, 8);
    assert_true(prev.originated);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    expect_record(f, KM_MEMBER_LEAVING);
    assert_true(km_member_id_equal(&own_record(f)->member.prev.id, &first));
}

/* The node has not been told that the first claim has succeeded. The life before is
 * the one that it knows of, and it is asked again how that has ended. */
static void test_each_claim_asks_for_the_life_before(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    struct km_member_id first = f->node.id;
    sim_registry_delete(&f->registry, KEY);
    while (f->node.lives == 0) {
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    f->node.client.lose_answer = 1000;
    f->node.life.final_seq = 9;
    run_for(f, 500 * MS);
    f->node.client.lose_answer = 0;
    run_for(f, 5 * S);
    assert_int_equal(f->node.registered, 2);
    assert_int_equal(f->node.lives, 3); /* lost, found, replaced */
    assert_true(km_member_id_equal(&own_record(f)->member.prev.id, &first));
    assert_int_equal(own_record(f)->member.prev.final_seq, 9);
}

static void test_a_joining_node_joins_again_after_a_lost_lease(void **state)
{
    struct fixture *f = *state;
    start_with(f, &(struct sim_member_plan){.address = ADDRESS,
                                            .stays_joining = true});
    run_for(f, S);
    sim_client_cut(&f->node.client);
    run_for(f, 15 * S);
    sim_client_mend(&f->node.client);
    run_for(f, 5 * S);
    assert_int_equal(f->node.registered, 2);
    expect_record(f, KM_MEMBER_JOINING);
}

static void test_a_lease_that_is_revoked_by_hand_leads_to_a_new_id(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->node.membership));
    run_for(f, S);
    assert_int_equal(f->node.registered, 2);
    expect_record(f, KM_MEMBER_ACTIVE);
}

/* The living lease is revoked first: it must not keep anything. */
static void test_a_record_that_is_deleted_by_hand_is_written_anew(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    struct km_member_id id = f->node.id;
    sim_registry_delete(&f->registry, KEY);
    run_for(f, S);
    assert_int_equal(f->node.registered, 2);
    assert_false(km_member_id_equal(&f->node.id, &id));
    assert_int_equal(f->registry.lease_count, 1);
    expect_record(f, KM_MEMBER_ACTIVE);
}

static void test_a_record_that_is_overwritten_by_hand_is_written_anew(
    void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    sim_registry_put(&f->registry, KEY, KM_LIT("junk"), 0);
    run_for(f, S);
    assert_int_equal(f->node.registered, 2);
    expect_record(f, KM_MEMBER_ACTIVE);
}

/* The watch is silent, so that only the next list tells it. */
static void test_a_list_finds_that_the_own_record_is_gone(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    f->node.client.drops_changes = true;
    sim_registry_delete(&f->registry, KEY);
    run_for(f, 20 * S);
    assert_int_equal(f->node.registered, 1);
    run_for(f, 11 * S);
    assert_int_equal(f->node.registered, 2);
}

static void test_who_is_told_gone_looks_at_once(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, 2 * S);
    f->node.client.drops_changes = true;
    sim_registry_delete(&f->registry, KEY);
    km_membership_told_gone(f->node.membership);
    run_for(f, 2 * S);
    assert_int_equal(f->node.registered, 2);
}

/* Another process has taken the address of a node that was cut off. The node
 * goes on trying, because it serves. */
static void test_a_running_node_whose_address_is_taken_goes_on(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    f->node.probe_answer = KM_PROBE_ANOTHER;
    put_other(f, sim_registry_grant(&f->registry, 20000));
    run_for(f, 10 * S);
    assert_int_equal(f->node.failed, 0);
    assert_int_equal(f->node.registered, 1);
    assert_non_null(strstr(f->node.log_text, "in use by " OTHER_ID));
    run_for(f, 20 * S);
    assert_int_equal(f->node.registered, 2);
}

/* -- activating, leaving, closing ------------------------------------------ */

static void test_an_update_is_repeated_until_it_is_answered(void **state)
{
    struct fixture *f = *state;
    start_with(f, &(struct sim_member_plan){.address = ADDRESS,
                                            .stays_joining = true});
    run_for(f, S);
    f->node.client.lose_answer = 1000;
    km_membership_activate(f->node.membership);
    km_membership_activate(f->node.membership);
    run_for(f, S);
    assert_int_equal(f->node.activated, 0);
    f->node.client.lose_answer = 0;
    run_for(f, 5 * S);
    assert_int_equal(f->node.activated, 1);
    expect_record(f, KM_MEMBER_ACTIVE);
}

static void test_a_node_that_leaves_says_so(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    assert_int_equal(f->node.leaving, 0);
    run_for(f, 100 * MS);
    assert_int_equal(f->node.leaving, 1);
    expect_record(f, KM_MEMBER_LEAVING);
    run_for(f, 30 * S);
    assert_int_equal(f->node.leaving, 1);
    expect_record(f, KM_MEMBER_LEAVING);
}

static void test_leaving_takes_at_most_two_seconds(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    f->node.client.lose_request = 1000;
    km_membership_leave(f->node.membership);
    run_for(f, 1900 * MS);
    assert_int_equal(f->node.leaving, 0);
    run_for(f, 200 * MS);
    assert_int_equal(f->node.leaving, 1);
}

static void test_a_node_that_was_never_registered_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    sim_registry_stop(&f->registry);
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    assert_int_equal(f->node.leaving, 0);
    run_for(f, 1);
    assert_int_equal(f->node.leaving, 1);
    sim_registry_start(&f->registry);
    run_for(f, 10 * S);
    assert_int_equal(f->node.registered, 0);
    assert_null(own_key(f));
}

static void test_a_node_that_leaves_does_not_register_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->node.membership));
    run_for(f, 10 * S);
    assert_int_equal(f->node.registered, 1);
    assert_null(own_key(f));
}

static void test_closing_revokes_the_lease(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    sim_member_close(&f->node);
    assert_int_equal(f->node.closed, 0);
    run_for(f, 100 * MS);
    assert_int_equal(f->node.closed, 1);
    assert_null(own_key(f));
    assert_int_equal(f->registry.lease_count, 0);
}

/* Runs the world until the own record is gone, and returns what it said last. */
static struct km_member last_words(struct fixture *f)
{
    struct km_member said = {0};
    while (own_key(f) != NULL) {
        said = own_record(f)->member;
        assert_true(sim_step(&f->world, KM_NS_NEVER));
    }
    return said;
}

static void test_a_goodbye_stands_in_the_record(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_set_goodbye(f->node.membership, 1, 1); /* it does not leave */
    km_membership_leave(f->node.membership);
    run_for(f, S);
    assert_int_equal(own_record(f)->member.clock, 0);
    km_membership_set_goodbye(f->node.membership, 12, 34);
    run_for(f, S);
    expect_record(f, KM_MEMBER_LEAVING);
    assert_int_equal(own_record(f)->member.final_seq, 12);
    assert_int_equal(own_record(f)->member.clock, 34);
    int64_t revision = own_key(f)->mod_revision;
    run_for(f, 10 * S);
    assert_int_equal(own_key(f)->mod_revision, revision);
    km_membership_set_goodbye(f->node.membership, 0, 0);
    run_for(f, S);
    assert_int_equal(own_record(f)->member.clock, 1);
    assert_int_equal(f->node.leaving, 1);
}

/* Closing waits for it, also if the record that says `leaving` is not written
 * yet. */
static void test_closing_writes_the_goodbye_before_it_revokes(void **state)
{
    struct fixture *f = *state;
    for (int early = 0; early <= 1; early++) {
        start(f);
        run_for(f, S);
        km_membership_leave(f->node.membership);
        run_for(f, early ? 0 : S);
        km_membership_set_goodbye(f->node.membership, 12, 34);
        sim_member_close(&f->node);
        struct km_member said = last_words(f);
        assert_int_equal(said.state, KM_MEMBER_LEAVING);
        assert_int_equal(said.final_seq, 12);
        run_for(f, 100 * MS);
        assert_int_equal(f->node.closed, 1);
        assert_int_equal(f->registry.lease_count, 0);
        sim_member_fini(&f->node);
    }
}

/* The lease is revoked all the same, and within the same second. */
static void test_closing_waits_half_a_second_for_the_goodbye(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    f->node.client.delay_min = 400 * MS; /* each way */
    f->node.client.delay_max = 400 * MS;
    km_membership_set_goodbye(f->node.membership, 12, 34);
    sim_member_close(&f->node);
    run_for(f, 700 * MS);
    assert_int_equal(own_record(f)->member.final_seq, 12);
    assert_int_equal(f->node.closed, 0);
    run_for(f, 250 * MS);
    assert_null(own_key(f));
    run_for(f, 150 * MS);
    assert_int_equal(f->node.closed, 1);
}

/* A request that fails costs the goodbye, but not the revocation. */
static void test_closing_does_not_repeat_a_goodbye(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    f->node.client.refuses = KAMA_ERR_UNREACHABLE;
    km_membership_set_goodbye(f->node.membership, 12, 34);
    run_for(f, 50 * MS);
    f->node.client.refuses = KAMA_OK;
    run_for(f, 5 * S);
    assert_int_equal(own_record(f)->member.final_seq,
                     12); /* that was tried again */
    f->node.client.refuses = KAMA_ERR_UNREACHABLE;
    km_membership_set_goodbye(f->node.membership, 13, 35);
    unsigned updates = f->node.client.requests[SIM_UPDATE];
    sim_member_close(&f->node);
    run_for(f, S + 100 * MS);
    assert_int_equal(f->node.closed, 1);
    assert_int_equal(f->node.client.requests[SIM_UPDATE], updates);
}

static void test_a_node_without_a_record_writes_no_goodbye(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    km_membership_leave(f->node.membership);
    run_for(f, S);
    sim_registry_revoke(&f->registry,
                        km_membership_lease_id(f->node.membership));
    run_for(f, 5 * S);
    unsigned updates = f->node.client.requests[SIM_UPDATE];
    km_membership_set_goodbye(f->node.membership, 12, 34);
    sim_member_close(&f->node);
    run_for(f, S);
    assert_int_equal(f->node.closed, 1);
    assert_int_equal(f->node.client.requests[SIM_UPDATE], updates);
}

static void test_closing_takes_at_most_one_second(void **state)
{
    struct fixture *f = *state;
    start(f);
    run_for(f, S);
    f->node.client.lose_request = 1000;
    sim_member_close(&f->node);
    run_for(f, 900 * MS);
    assert_int_equal(f->node.closed, 0);
    run_for(f, 200 * MS);
    assert_int_equal(f->node.closed, 1);
}

/* Whatever the machine waits for, it can be closed: after each step of a start
 * with a held address. */
static void test_closing_works_in_every_state(void **state)
{
    struct fixture *f = *state;
    for (int steps = 0; steps < 60; steps++) {
        put_other(f, sim_registry_grant(&f->registry, 2000));
        start(f);
        f->node.probe_answer = steps % 2 == 0 ? KM_PROBE_NOBODY : KM_PROBE_SELF;
        for (int i = 0; i < steps; i++) {
            assert_true(sim_step(&f->world, KM_NS_NEVER));
        }
        if (steps % 3 == 0) {
            km_membership_leave(f->node.membership);
            km_membership_set_goodbye(f->node.membership, 1, 1);
        }
        sim_member_close(&f->node);
        run_for(f, 5 * S);
        assert_int_equal(f->node.closed, 1);
        sim_member_fini(&f->node);
    }
}

/* -- clusters and options -------------------------------------------------- */

/* Puts the record of a node whose cluster and protocol are these. */
static void put_node(struct fixture *f, const char *address,
                     const char *cluster, const char *proto)
{
    char key[128];
    char value[512];
    (void)snprintf(key, sizeof key, FOLDER "members/%s", address);
    (void)snprintf(value, sizeof value,
                   "{\"cluster\":\"%s\",\"nonce\":\"" OTHER_ID
                   "\",\"id\":\"" OTHER_ID
                   "\",\"addr\":\"%s\",\"state\":\"active\",\"weight\":1,"
                   "\"proto\":%s,\"version\":\"0.2.0\"}",
                   cluster, address, proto);
    sim_registry_put(&f->registry, key, KAMA_STR(value), 0);
}

static void put_foreign(struct fixture *f, const char *address)
{
    put_node(f, address, "blue", "[2,2]");
}

/* A node of 0.2 has no streams. One of this version does not start beside it, and says why. */
static void test_a_cluster_of_an_older_protocol_is_refused(void **state)
{
    struct fixture *f = *state;
    put_node(f, "10.0.0.7:8001", "default", "[1,1]");
    start(f);
    run_for(f, 5 * S);
    assert_int_equal(f->node.failed, 1);
    assert_string_equal(
        f->node.failed_text,
        "the member 10.0.0.7:8001 of version \"0.2.0\" speaks the versions 1 "
        "to "
        "1 of the protocol between nodes, and this node 2 to 2; stop all nodes "
        "of the other version before this one starts");
    assert_null(own_key(f));
}

/* One that comes later is no member, so that it owns nothing; nor is the record that a
 * node of 0.2 has left at the own address a reason not to start. */
static void test_nodes_of_an_older_protocol_are_no_members(void **state)
{
    struct fixture *f = *state;
    struct km_membership_stats stats;
    put_node(f, ADDRESS, "default", "[1,1]");
    start(f);
    run_for(f, S);
    assert_int_equal(f->node.failed, 0);
    sim_registry_delete(&f->registry, FOLDER "members/" ADDRESS);
    run_for(f, 20 * S);
    put_node(f, "10.0.0.7:8001", "default", "[1,1]");
    run_for(f, 10 * S);
    km_membership_stats_get(f->node.membership, &stats);
    assert_int_equal(stats.junk_records, 0);
    assert_int_equal(stats.foreign_records, 2);
    assert_true(sim_member_sees(&f->node, 1));
    assert_int_equal(f->node.failed, 0);
}

static void test_a_service_of_another_cluster_only_is_refused(void **state)
{
    struct fixture *f = *state;
    put_foreign(f, "10.0.0.7:8001");
    start(f);
    run_for(f, 5 * S);
    assert_int_equal(f->node.failed, 1);
    assert_non_null(strstr(f->node.failed_text, "\"blue\""));
    assert_non_null(strstr(f->node.failed_text, "\"default\""));
    assert_null(own_key(f));
}

static void test_records_of_another_cluster_are_counted(void **state)
{
    struct fixture *f = *state;
    struct km_membership_stats stats;
    start(f);
    run_for(f, S);
    put_foreign(f, "10.0.0.7:8001");
    run_for(f, 100 * S);
    km_membership_stats_get(f->node.membership, &stats);
    assert_int_equal(stats.foreign_records, 1);
    assert_int_equal(stats.junk_records, 0);
    assert_true(sim_member_sees(&f->node, 1));
    assert_int_equal(f->node.failed, 0);
}

static void expect_refused(const struct km_membership_options *options)
{
    struct km_membership *m = NULL;
    assert_int_equal(km_membership_new(options, &m), KAMA_ERR_INVALID);
    assert_null(m);
}

static void test_options_outside_their_limits_are_refused(void **state)
{
    (void)state;
    char long_text[400];
    const char *labels[KM_MEMBER_LABELS_MAX + 1];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (size_t i = 0; i <= KM_MEMBER_LABELS_MAX; i++) {
        labels[i] = "a";
    }
    const struct km_membership_options good = {.cluster = "c",
                                               .service = "s",
                                               .address = ADDRESS,
                                               .labels = labels,
                                               .label_count =
                                                   KM_MEMBER_LABELS_MAX,
                                               .weight = KM_MEMBER_WEIGHT_MAX};
    struct km_membership *m = NULL;
    assert_int_equal(km_membership_new(&good, &m), KAMA_OK);
    km_membership_free(m);
    struct km_membership_options o = good;
    o.weight = KM_MEMBER_WEIGHT_MAX + 1;
    expect_refused(&o);
    o.weight = 0;
    expect_refused(&o);
    o = good;
    o.label_count = KM_MEMBER_LABELS_MAX + 1;
    expect_refused(&o);
    o = good;
    labels[0] = long_text + sizeof long_text - 1 - KM_MEMBER_LABEL_BYTES_MAX;
    assert_int_equal(km_membership_new(&o, &m), KAMA_OK);
    km_membership_free(m);
    labels[0]--;
    expect_refused(&o);
    labels[0] = "a";
    o.service = "a/b";
    expect_refused(&o);
    o.service = "";
    expect_refused(&o);
    o = good;
    o.cluster = long_text + sizeof long_text - 1 - KM_CLUSTER_NAME_BYTES_MAX;
    assert_int_equal(km_membership_new(&o, &m), KAMA_OK);
    km_membership_free(m);
    o.cluster--;
    expect_refused(&o);
    o = good;
    o.address = "0.0.0.0:1";
    expect_refused(&o);
    o = good;
    o.admin = long_text;
    expect_refused(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_step_writes_record_and_joins),
        TEST(test_only_an_active_node_has_a_sister_key),
        TEST(test_the_first_view_has_this_node_in_it),
        TEST(test_a_claim_whose_answer_was_lost_is_made_again),
        cmocka_unit_test(test_the_first_view_has_the_members_as_of_the_claim),
        TEST(test_a_stamp_that_is_there_is_kept),
        TEST(test_the_address_of_the_connection_is_advertised),
        TEST(test_a_registry_that_is_down_is_asked_with_growing_waits),
        TEST(test_a_wrong_password_fails_the_start),
        TEST(test_a_record_of_a_dead_holder_is_replaced_at_once),
        TEST(test_a_record_that_changes_meanwhile_is_looked_at_again),
        TEST(test_an_address_at_which_another_process_listens_is_in_use),
        TEST(test_a_held_address_is_awaited_while_nobody_answers),
        TEST(test_the_wait_ends_when_the_record_is_deleted),
        TEST(test_a_record_that_is_prolonged_for_ever_fails_the_start),
        TEST(test_a_record_without_a_lease_is_replaced),
        TEST(test_a_probe_without_an_answer_counts_as_nobody),
        TEST(test_a_lease_is_kept_every_third_of_its_time),
        TEST(test_slow_answers_do_not_end_a_lease),
        TEST(test_a_lease_that_may_have_expired_is_doubtful),
        TEST(test_time_in_a_suspended_machine_counts),
        TEST(test_a_lost_lease_leads_to_a_new_id),
        TEST(test_a_new_life_names_the_one_before),
        TEST(test_each_claim_asks_for_the_life_before),
        TEST(test_a_joining_node_joins_again_after_a_lost_lease),
        TEST(test_a_lease_that_is_revoked_by_hand_leads_to_a_new_id),
        TEST(test_a_record_that_is_deleted_by_hand_is_written_anew),
        TEST(test_a_record_that_is_overwritten_by_hand_is_written_anew),
        TEST(test_a_list_finds_that_the_own_record_is_gone),
        TEST(test_who_is_told_gone_looks_at_once),
        TEST(test_a_running_node_whose_address_is_taken_goes_on),
        TEST(test_an_update_is_repeated_until_it_is_answered),
        TEST(test_a_node_that_leaves_says_so),
        TEST(test_leaving_takes_at_most_two_seconds),
        TEST(test_a_node_that_was_never_registered_leaves_at_once),
        TEST(test_a_node_that_leaves_does_not_register_again),
        TEST(test_closing_revokes_the_lease),
        TEST(test_a_goodbye_stands_in_the_record),
        TEST(test_closing_writes_the_goodbye_before_it_revokes),
        TEST(test_closing_waits_half_a_second_for_the_goodbye),
        TEST(test_closing_does_not_repeat_a_goodbye),
        TEST(test_a_node_without_a_record_writes_no_goodbye),
        TEST(test_closing_takes_at_most_one_second),
        TEST(test_closing_works_in_every_state),
        TEST(test_a_service_of_another_cluster_only_is_refused),
        TEST(test_records_of_another_cluster_are_counted),
        TEST(test_a_cluster_of_an_older_protocol_is_refused),
        TEST(test_nodes_of_an_older_protocol_are_no_members),
        cmocka_unit_test(test_options_outside_their_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
