/* SPDX-License-Identifier: MIT */
/*
 * One question to all other members of the view at the same time, for example
 * what each of them knows about a key.
 *
 *     survey.path = "/kama.v2.Cache/Explain";
 *     survey.message = request;                  the same for each member
 *     survey.answer = take_answer;               once for each other member
 *     survey.done = finish;                      once, after the last answer
 *     km_peers_survey(peers, &survey);
 *
 * The calls travel on the links that fills use, each alone, and are never
 * repeated. The members are those of the view that is adopted when the survey
 * begins. All callbacks run on one lane, one after the other.
 *
 * Threads: km_peers_survey any thread. Errors: the outcome of each answer, and
 * KAMA_ERR_NO_MEMORY for the whole. Ownership: the survey, its path and its message
 * are the caller's memory until done has run. Cost: a call for each member.
 */
#pragma once

#include "group/owner.h"
#include "view/view.h"

struct km_peers;

struct km_peers_survey {
    const char *path;
    kama_bytes message;
    km_ns deadline;
    /* reply->outcome is ANSWERED if the member has answered or refused: `status`
     * and `text` say what, and `value` is the message of the answer. Otherwise
     * `text` says why there is none. Everything is borrowed until return. */
    void (*answer)(struct km_peers_survey *survey,
                   const struct km_member *member,
                   const struct km_owner_reply *reply);
    void (*done)(struct km_peers_survey *survey, kama_status status);
    void *use[5];
};

void km_peers_survey(struct km_peers *peers, struct km_peers_survey *survey);
