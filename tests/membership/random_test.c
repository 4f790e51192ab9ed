/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=300 */
/*
 * Several memberships on one virtual registry, and faults by seed. After the
 * faults have stopped, all memberships that live have the same view, which is
 * exactly what is registered, within 30 s of virtual time; a watch that was
 * silent is repaired by the next list, behind which one hold may follow.
 *
 *     KAMA_SEED=7 build/tests/membership_random      one seed
 *     KAMA_SEEDS=2000 build/tests/membership_random  so many
 *     KAMA_SIM_LOG=1                                 and all lines of the log
 */
#include "sim/member.h"

#include "membership/record.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 5
#define SEEDS_DEFAULT 200

struct slot {
    struct sim_member *member; /* NULL: nobody lives here */
    char address[32];
};

struct run {
    uint64_t seed;
    struct sim_world world;
    struct sim_registry registry;
    struct slot slots[SLOTS];
    struct sim_member *dead[512];
    size_t dead_count;
    bool was_silent; /* a watch has lost changes */
};

static void start(struct run *run, struct slot *slot)
{
    slot->member = calloc(1, sizeof *slot->member);
    assert_non_null(slot->member);
    const struct sim_member_plan plan = {
        .address = slot->address,
        .origin = sim_between(&run->world, 0, 1000 * KM_NS_PER_S)};
    assert_true(
        sim_member_start(slot->member, &run->world, &run->registry, &plan));
    slot->member->client.delay_max =
        sim_between(&run->world, 1, 200) * KM_NS_PER_MS;
}

static void bury(struct run *run, struct slot *slot)
{
    assert_true(run->dead_count < sizeof run->dead / sizeof run->dead[0]);
    run->dead[run->dead_count++] = slot->member;
    slot->member = NULL;
}

/* What can happen to a node. */
static void disturb_node(struct run *run, struct slot *slot)
{
    struct sim_member *m = slot->member;
    struct sim_client *c = &m->client;
    switch (sim_between(&run->world, 0, 9)) {
    case 0:
        sim_member_kill(m);
        bury(run, slot);
        break;
    case 1:
        km_membership_leave(m->membership);
        sim_run_for(&run->world, sim_between(&run->world, 0, 3) * KM_NS_PER_S);
        sim_member_close(m);
        bury(run, slot);
        break;
    case 2:
        sim_client_cut(c);
        break;
    case 3:
        sim_client_mend(c);
        break;
    case 4:
        sim_client_break(c);
        break;
    case 5:
        c->drops_changes = true;
        run->was_silent = true;
        break;
    case 6:
        c->lose_request = (unsigned)sim_between(&run->world, 0, 300);
        c->lose_answer = (unsigned)sim_between(&run->world, 0, 300);
        break;
    case 7:
        m->clock.suspended += 15 * KM_NS_PER_S;
        break;
    case 8:
        km_membership_told_gone(m->membership);
        break;
    default:
        km_membership_refresh(m->membership);
        break;
    }
}

/* What can happen to the registry. */
static void disturb_registry(struct run *run, const struct slot *slot)
{
    char key[128];
    (void)snprintf(key, sizeof key, "/kamacache/v1/kama-cache/members/%s",
                   slot->address);
    struct sim_registry *r = &run->registry;
    switch (sim_between(&run->world, 0, 8)) {
    case 0:
        sim_registry_stop(r);
        break;
    case 1:
    case 2:
        sim_registry_start(r);
        break;
    case 3:
        sim_registry_wipe(r);
        break;
    case 4:
        sim_registry_compact(r);
        break;
    case 5:
        sim_registry_delete(r, key);
        break;
    case 6:
        sim_registry_put(r, key, KM_LIT("{\"junk\":1}"), 0);
        break;
    case 7:
        if (r->lease_count > 0) {
            sim_registry_revoke(
                r, r->leases[sim_random(&run->world) % r->lease_count].id);
        }
        break;
    default:
        sim_registry_delete(r, sim_chance(&run->world, 500)
                                   ? "/kamacache/v1/kama-cache/joins"
                                   : "/kamacache/v1/kama-cache/registry");
        break;
    }
}

static void disturb(struct run *run)
{
    struct slot *slot = &run->slots[sim_random(&run->world) % SLOTS];
    if (sim_chance(&run->world, 300)) {
        disturb_registry(run, slot);
    } else if (slot->member != NULL) {
        disturb_node(run, slot);
    } else {
        start(run, slot);
    }
}

static void heal(struct run *run)
{
    if (run->registry.is_down) {
        sim_registry_start(&run->registry);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (run->slots[i].member != NULL) {
            struct sim_client *c = &run->slots[i].member->client;
            c->is_cut = false;
            c->drops_changes = false;
            c->lose_request = 0;
            c->lose_answer = 0;
        }
    }
}

/* Returns whether the view has exactly the members that are registered. */
static bool view_is_registered(const struct run *run,
                               const struct km_view *view)
{
    static struct km_record record;
    kama_bytes prefix = KM_LIT("/kamacache/v1/kama-cache/members/");
    size_t count = 0;
    for (size_t i = 0; i < run->registry.keys.count; i++) {
        const struct sim_key *key = &run->registry.keys.items[i];
        if (!km_bytes_starts(KAMA_STR(key->key), prefix) ||
            km_record_parse(kama_bytes_make(key->value, key->value_len),
                            km_bytes_skip(KAMA_STR(key->key), prefix.len),
                            UINT64_MAX / 2, &record) != KAMA_OK) {
            continue;
        }
        const struct km_member *m = km_view_find_id(view, &record.member.id);
        if (m == NULL || m->state != record.member.state) {
            return false;
        }
        count++;
    }
    return count == view->count;
}

static bool is_settled(const struct run *run)
{
    for (size_t i = 0; i < SLOTS; i++) {
        const struct sim_member *m = run->slots[i].member;
        if (m == NULL) {
            continue;
        }
        const struct km_member *self =
            m->view != NULL ? km_view_find_id(m->view, &m->id) : NULL;
        if (self == NULL || self->state != KM_MEMBER_ACTIVE ||
            m->lease != KM_LEASE_HELD || !view_is_registered(run, m->view)) {
            return false;
        }
    }
    return true;
}

/* Returns the virtual milliseconds until everybody agrees. */
static uint64_t await_agreement(struct run *run)
{
    uint64_t limit_ms = run->was_silent ? 45000 : 30000;
    uint64_t ms = 0;
    while (!is_settled(run) && ms <= limit_ms) {
        sim_run_for(&run->world, 10 * KM_NS_PER_MS);
        ms += 10;
    }
    if (ms > limit_ms) {
        fail_msg("KAMA_SEED=%llu: no agreement after %llu ms",
                 (unsigned long long)run->seed, (unsigned long long)ms);
    }
    return ms;
}

static void check_members(const struct run *run)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (run->slots[i].member != NULL && run->slots[i].member->failed != 0) {
            fail_msg("KAMA_SEED=%llu: failed: %s",
                     (unsigned long long)run->seed,
                     run->slots[i].member->failed_text);
        }
    }
}

static void end(struct run *run)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (run->slots[i].member != NULL) {
            bury(run, &run->slots[i]);
        }
    }
    for (size_t i = 0; i < run->dead_count; i++) {
        sim_member_close(run->dead[i]);
    }
    for (size_t i = 0; i < run->dead_count; i++) {
        sim_member_fini(run->dead[i]);
        free(run->dead[i]);
    }
    sim_registry_fini(&run->registry);
    sim_world_fini(&run->world);
}

static uint64_t run_seed(uint64_t seed)
{
    static struct run run;
    run = (struct run){.seed = seed};
    sim_world_init(&run.world, seed);
    sim_registry_init(&run.registry, &run.world);
    for (size_t i = 0; i < SLOTS; i++) {
        (void)snprintf(run.slots[i].address, sizeof run.slots[i].address,
                       "10.0.0.%zu:8001", i + 1);
    }
    uint64_t disturbances = sim_between(&run.world, 5, 60);
    for (uint64_t i = 0; i < disturbances; i++) {
        disturb(&run);
        sim_run_for(&run.world,
                    sim_between(&run.world, 0, 4000) * KM_NS_PER_MS);
    }
    heal(&run);
    uint64_t ms = await_agreement(&run);
    check_members(&run);
    end(&run);
    return ms;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void test_all_agree_soon_after_the_faults_have_stopped(void **state)
{
    (void)state;
    uint64_t first = setting("KAMA_SEED", 1);
    uint64_t count =
        getenv("KAMA_SEED") != NULL ? 1 : setting("KAMA_SEEDS", SEEDS_DEFAULT);
    uint64_t longest = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint64_t ms = run_seed(seed);
        longest = ms > longest ? ms : longest;
    }
    print_message("%llu seeds; the longest way to agreement took %llu ms\n",
                  (unsigned long long)count, (unsigned long long)longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_agree_soon_after_the_faults_have_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
