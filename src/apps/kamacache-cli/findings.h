/* SPDX-License-Identifier: MIT */
/*
 * The findings of a doctor: they are collected one by one and printed together.
 *
 *     struct cli_findings all = {0};
 *     cli_findings_add(&all, KM_FINDING_MEMBER_CUT, KM_SEVERITY_FAIL,
 *                      &(struct cli_pair){member, other}, "it does not ...");
 *     code = cli_findings_print(&all);
 *     cli_findings_fini(&all);
 *
 * docs/DOCTOR.md explains them, services/finding.h has the table.
 *
 * Threads: the main thread. Cost: a copy of the texts. Errors: without memory a
 * finding is lost, and printing fails. Ownership: texts are copied.
 */
#pragma once

#include "cli.h"

#include "services/finding.h"

#include <jansson.h>

/* Whom a finding is about. other is NULL unless it is about two members. */
struct cli_pair {
    const char *member;
    const char *other;
};

struct cli_found {
    char *id;
    char *advice;
    char *member;
    char *other; /* NULL: none */
    char *text;
    enum km_severity severity;
};

struct cli_findings {
    struct cli_found *items;
    size_t count;
    size_t cap;
    size_t failures;
    size_t warnings;
    bool failed; /* memory was short */
};

void cli_findings_add(struct cli_findings *findings, enum km_finding finding,
                      enum km_severity severity, const struct cli_pair *about,
                      const char *fmt, ...) KAMA_PRINTF(5, 6);

/* Adds a finding that a node has made itself, with the node's own words. */
struct km_msg_doctor_check;
void cli_findings_add_check(struct cli_findings *findings, const char *member,
                            const struct km_msg_doctor_check *check);

/* Prints two lines for each finding. */
void cli_findings_print(const struct cli_findings *findings);

/* Returns the findings as a JSON array, or NULL. */
json_t *cli_findings_json(const struct cli_findings *findings);

void cli_findings_fini(struct cli_findings *findings);
