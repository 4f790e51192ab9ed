/* SPDX-License-Identifier: MIT */
#include "peers/survey.h"

#include "base/assert.h"
#include "base/container.h"
#include "peers/requests.h"

struct asking;

/* The question to one member. */
struct asked {
    struct km_peers_ask_one one;
    struct asking *asking;
    size_t index; /* of the member in the view */
};

/* A survey that is under way, on its lane. */
struct asking {
    struct km_peers_lane *lane;
    struct km_peers_survey *survey;
    struct km_peers_table *table; /* a reference */
    size_t waiting; /* answers that are not there yet, and 1 while it begins */
    struct asked members[];
};

/* In the `use` of a survey, until the lane takes it. */
struct survey_use {
    struct km_lane_job job;
    struct km_peers *peers;
    unsigned lane;
};
_Static_assert(sizeof(struct survey_use) <=
                   sizeof(((struct km_peers_survey *)0)->use),
               "a survey has room for its job");

/* One answer less to wait for. */
static void one_less(struct asking *asking)
{
    KM_ASSERT(asking->waiting > 0);
    if (--asking->waiting > 0) {
        return;
    }
    struct km_peers_survey *survey = asking->survey;
    struct km_peers_table *table = asking->table;
    struct km_peers *peers = table->peers;
    km_mem_free(peers->mem, asking);
    survey->done(survey, KAMA_OK);
    km_peers_table_unref(table);
    km_peers_release(peers);
}

static void on_done(struct km_peers_ask_one *one,
                    const struct km_owner_reply *reply)
{
    struct asked *asked = KM_CONTAINER_OF(one, struct asked, one);
    struct asking *asking = asked->asking;
    struct km_owner_reply told = *reply;
    if (reply->outcome != KM_OWNER_ANSWERED &&
        atomic_load(&one->peer->state) == KM_PEER_REFUSED) {
        told.text = "another node answers at its address, or it does not "
                    "accept this node as a member";
    }
    asking->survey->answer(asking->survey,
                           &asking->table->view->members[asked->index], &told);
    one_less(asking);
}

static void ask_member(struct asking *asking, size_t index,
                       struct km_peer *peer)
{
    struct asked *asked = &asking->members[index];
    asked->asking = asking;
    asked->index = index;
    asked->one = (struct km_peers_ask_one){.path = asking->survey->path,
                                           .message = asking->survey->message,
                                           .deadline = asking->survey->deadline,
                                           .peer = km_peer_ref(peer),
                                           .done = on_done};
    asking->waiting++;
    km_peers_start(asking->lane, KM_PEERS_ASK, &asked->one);
}

/* Returns NULL without memory. */
static struct asking *asking_new(struct km_peers *peers)
{
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    struct km_peers_table *table = km_peers_table_ref(state->table);
    km_peers_leave(&reader);
    size_t count = table->view != NULL ? table->view->count : 0;
    struct asking *asking = km_mem_zalloc(
        peers->mem, 1, sizeof *asking + count * sizeof asking->members[0]);
    if (asking == NULL) {
        km_peers_table_unref(table);
        return NULL;
    }
    asking->table = table;
    asking->waiting = 1;
    return asking;
}

static void on_lane(struct km_lane_job *job)
{
    struct survey_use use = *KM_CONTAINER_OF(job, struct survey_use, job);
    struct km_peers_survey *survey =
        KM_CONTAINER_OF(job, struct km_peers_survey, use);
    struct asking *asking = asking_new(use.peers);
    if (asking == NULL) {
        survey->done(survey, KAMA_ERR_NO_MEMORY);
        km_peers_release(use.peers);
        return;
    }
    const struct km_peers_table *table = asking->table;
    asking->survey = survey;
    asking->lane = &use.peers->lanes[use.lane];
    for (size_t i = 0; table->view != NULL && i < table->view->count; i++) {
        if (table->members[i] != NULL) {
            ask_member(asking, i, table->members[i]);
        }
    }
    km_peers_start_open(asking->lane);
    one_less(asking);
}

void km_peers_survey(struct km_peers *peers, struct km_peers_survey *survey)
{
    struct survey_use *use = (struct survey_use *)(void *)survey->use;
    unsigned lane = peers->transport.ops->pick(peers->transport.arg);
    *use = (struct survey_use){
        .job = {.run = on_lane}, .peers = peers, .lane = lane};
    km_peers_hold(peers);
    km_peers_post(peers, lane, &use->job);
}
