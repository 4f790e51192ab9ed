/* SPDX-License-Identifier: MIT */
/* The peers are entered through the snapshot of the cluster, as the questions of
 * groups are, so that a survey never begins when they have closed. */
#include "node/cluster_survey.h"

#include "base/container.h"
#include "node/cluster_state.h"
#include "node/node.h"
#include "peers/survey.h"

/* In the `use` of a survey. */
struct node_survey {
    struct km_peers_survey peers;
    struct km_cluster_survey *owner;
};
_Static_assert(sizeof(struct node_survey) <=
                   sizeof(((struct km_cluster_survey *)0)->use),
               "a survey has room for that of the peers");

static void on_answer(struct km_peers_survey *peers,
                      const struct km_member *member,
                      const struct km_owner_reply *reply)
{
    const struct node_survey *survey =
        KM_CONTAINER_OF(peers, struct node_survey, peers);
    const struct km_cluster_answer answer = {
        .address = member->address,
        .id = member->id.bytes,
        .state = member->state,
        .status = reply->status,
        .text = reply->text,
        .message = reply->value,
    };
    survey->owner->answer(survey->owner, &answer);
}

static void on_done(struct km_peers_survey *peers, kama_status status)
{
    const struct node_survey *survey =
        KM_CONTAINER_OF(peers, struct node_survey, peers);
    survey->owner->done(survey->owner, status);
}

void km_node_survey(void *arg, struct km_cluster_survey *survey)
{
    struct km_cluster *self = arg;
    struct node_survey *use = (struct node_survey *)(void *)survey->use;
    struct km_snapshot_reader reader;
    *use = (struct node_survey){.peers = {.path = survey->path,
                                          .message = survey->message,
                                          .deadline = survey->deadline,
                                          .answer = on_answer,
                                          .done = on_done},
                                .owner = survey};
    const struct km_cluster *cluster =
        km_snapshot_enter(&self->node->cluster_now, &reader);
    if (cluster != NULL) {
        km_peers_survey(cluster->peers, &use->peers);
    }
    km_snapshot_leave(&reader);
    if (cluster == NULL) {
        survey->done(survey, KAMA_OK);
    }
}
