/* SPDX-License-Identifier: MIT */
/*
 * The user's token. It is fetched (Authenticate) before the first call that
 * needs it, and again after etcd has refused it.
 *
 *     NEEDED --answer--> DONE --refused--> NEEDED
 *        |
 *        +--"authentication is not enabled"--> NONE --a user is asked for-->
 *                                                                   NEEDED
 *
 * Jobs wait for it in the state WAITING. The password is never part of a
 * sentence.
 *
 * Threads: the loop. Ownership: the texts are the registry's. Errors: fail the
 * jobs that wait. Cost: one request per token.
 */
#pragma once

#include "membership/etcd_internal.h"

/* Copies user and password. user may be NULL. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_etcd_login_init(struct km_etcd *etcd,
                                              const char *user,
                                              const char *password);
/* Frees the texts; the password and the token are overwritten before. */
void km_etcd_login_fini(struct km_etcd *etcd);

/* Returns whether a job must wait for a token, which is then being fetched. */
bool km_etcd_login_wait(struct km_etcd *etcd);
/* The token of this generation was refused: it must be fetched again. */
void km_etcd_login_drop(struct km_etcd *etcd, unsigned generation);

/* Keeps the token of an answer of Authenticate. Errors: as in etcd_answer.h. */
KAMA_NODISCARD kama_status km_etcd_login_answer(struct km_etcd *etcd,
                                                kama_bytes answer);
/* Authenticate has succeeded, and is idle: the jobs that wait go on. */
void km_etcd_login_done(struct km_etcd *etcd);
/* Authenticate has failed for good. */
void km_etcd_login_failed(struct km_etcd *etcd,
                          const struct km_etcd_failure *failure);
