/* SPDX-License-Identifier: MIT */
/* A membership in the virtual world. */
#include "sim/member.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_view(void *owner, struct km_view *view)
{
    struct sim_member *m = owner;
    km_view_check(view);
    km_view_unref(m->view);
    m->view = km_view_ref(view);
    if (m->views++ == 0) {
        m->first_view_count = view->count;
    }
}

static void on_goodbye(void *owner, struct km_view *view)
{
    struct sim_member *m = owner;
    KM_ASSERT(m->view->id == view->id);
    km_view_unref(m->view);
    m->view = km_view_ref(view);
    m->goodbyes++;
}

static void on_registered(void *owner, const struct km_member_id *id,
                          unsigned registrations)
{
    struct sim_member *m = owner;
    m->id = *id;
    m->registered++;
    KM_ASSERT(registrations == m->registered);
    if (!m->plan.stays_joining) {
        km_membership_activate(m->membership);
    }
}

static void on_life(void *owner, struct km_member_goodbye *ret_prev)
{
    struct sim_member *m = owner;
    KM_ASSERT(ret_prev->clock == 0 && ret_prev->final_seq == 0);
    m->life.id = ret_prev->id;
    *ret_prev = m->life;
    m->lives++;
}

static void on_activated(void *owner)
{
    ((struct sim_member *)owner)->activated++;
}

static void on_leaving(void *owner)
{
    ((struct sim_member *)owner)->leaving++;
}

static void on_forget(void *owner, const char *why)
{
    struct sim_member *m = owner;
    KM_ASSERT(why != NULL);
    m->forgets++;
}

static void on_lease(void *owner, enum km_membership_lease lease)
{
    struct sim_member *m = owner;
    KM_ASSERT(lease != m->lease);
    m->lease = lease;
    m->lease_events++;
}

static void on_failed(void *owner, kama_status status, const char *text)
{
    struct sim_member *m = owner;
    m->failed++;
    m->failed_status = status;
    (void)snprintf(m->failed_text, sizeof m->failed_text, "%s", text);
}

struct probe {
    struct sim_member *member;
};

static void answer_probe(void *arg)
{
    struct probe *probe = arg;
    struct sim_member *m = probe->member;
    free(probe);
    if (m->membership != NULL) {
        km_membership_probed(m->membership, m->probe_answer, NULL);
    }
}

static void on_probe(void *owner, const char *address)
{
    struct sim_member *m = owner;
    m->probes++;
    KM_ASSERT(strcmp(address, km_membership_address(m->membership)) == 0);
    if (m->answers_probes) {
        struct probe *probe = malloc(sizeof *probe);
        KM_ASSERT(probe != NULL);
        probe->member = m;
        sim_post(m->world, 5 * KM_NS_PER_MS, answer_probe, probe);
    }
}

static void on_kept(void *owner, int64_t ttl_ms, km_ns sent_at)
{
    struct sim_member *m = owner;
    m->kept++;
    m->kept_ttl_ms = ttl_ms;
    m->kept_sent_at = sent_at;
}

static void on_waiting(void *owner, km_ns until)
{
    ((struct sim_member *)owner)->waiting_until = until;
}

static void on_log(void *owner, int level, const char *name, const char *text)
{
    struct sim_member *m = owner;
    m->logs++;
    m->junk_logs += strcmp(name, "junk") == 0;
    if (level >= 2) {
        (void)snprintf(m->log_text, sizeof m->log_text, "%s", text);
    }
    if (getenv("KAMA_SIM_LOG") != NULL) {
        printf("%10.3f %s %d %s: %s\n", (double)m->world->now / 1e9 - 3600,
               m->plan.address != NULL ? m->plan.address : "-", level, name,
               text);
    }
}

static void on_closed(void *owner)
{
    ((struct sim_member *)owner)->closed++;
}

static const struct km_membership_events events = {.view = on_view,
                                                   .goodbye = on_goodbye,
                                                   .registered = on_registered,
                                                   .life = on_life,
                                                   .activated = on_activated,
                                                   .leaving = on_leaving,
                                                   .forget = on_forget,
                                                   .lease = on_lease,
                                                   .kept = on_kept,
                                                   .failed = on_failed,
                                                   .probe = on_probe,
                                                   .waiting = on_waiting,
                                                   .log = on_log,
                                                   .closed = on_closed};

bool sim_member_start(struct sim_member *m, struct sim_world *world,
                      struct sim_registry *registry,
                      const struct sim_member_plan *plan)
{
    static const char *const labels[] = {"zone-a"};
    *m = (struct sim_member){.world = world, .plan = *plan};
    m->probe_answer = KM_PROBE_SELF;
    m->answers_probes = true;
    m->clock = (struct sim_clock){.world = world, .origin = plan->origin};
    struct km_membership_options o = {
        .mem = plan->mem,
        .registry_ops = &sim_client_ops,
        .registry = &m->client,
        .events = &events,
        .owner = m,
        .cluster = plan->cluster != NULL ? plan->cluster : "default",
        .service = plan->service != NULL ? plan->service : "kama-cache",
        .address = plan->address,
        .port = 8001,
        .admin = plan->admin,
        .labels = labels,
        .label_count = 1,
        .weight = 1,
    };
    sim_clock_env(&m->clock, &o.env);
    o.env.random(o.env.arg, &m->nonce, sizeof m->nonce);
    o.nonce = m->nonce;
    if (km_membership_new(&o, &m->membership) != KAMA_OK) {
        return false;
    }
    sim_client_init(&m->client, registry, &m->clock,
                    &km_membership_registry_events, m->membership);
    km_membership_start(m->membership);
    return true;
}

void sim_member_close(struct sim_member *m)
{
    km_membership_close(m->membership);
}

void sim_member_kill(struct sim_member *m)
{
    sim_client_cut(&m->client);
    sim_member_close(m);
}

static void forget_client(struct sim_member *m)
{
    struct sim_registry *r = m->client.registry;
    for (size_t i = 0; i < r->client_count; i++) {
        if (r->clients[i] == &m->client) {
            r->clients[i] = r->clients[--r->client_count];
        }
    }
}

/* Answers that are under way still find the client in the member's memory. */
void sim_member_fini(struct sim_member *m)
{
    if (m->membership == NULL) {
        return;
    }
    sim_member_close(m);
    for (int i = 0; i < 10000 && m->closed == 0; i++) {
        sim_run_for(m->world, 10 * KM_NS_PER_MS);
    }
    KM_ASSERT(m->closed == 1);
    sim_run_for(m->world, 10 * KM_NS_PER_S);
    km_membership_free(m->membership);
    m->membership = NULL;
    km_view_unref(m->view);
    m->view = NULL;
    forget_client(m);
}

bool sim_member_sees(const struct sim_member *m, size_t count)
{
    return m->view != NULL && m->view->count == count &&
           km_view_find_id(m->view, &m->id) != NULL;
}

const char *sim_member_key(const struct sim_member *m)
{
    static char key[600];
    (void)snprintf(key, sizeof key, "/kamacache/v1/%s/members/%s",
                   m->plan.service != NULL ? m->plan.service : "kama-cache",
                   km_membership_address(m->membership));
    return key;
}
