/* SPDX-License-Identifier: MIT */
/*
 * The structures that the files of membership share. Each part has its file:
 *
 *     membership.c     making, starting, closing; the doors to the outside
 *     registration.c   the record of this node and its states
 *     leaving.c        the goodbye, and the end of the lease
 *     claim.c          an address that has a record already
 *     lease.c          keepalives; whether the lease is held, doubtful, lost
 *     follow.c         reading and watching the members
 *     step.c           what one reading or one change says
 *     directory.c      the members that are known or held
 *     record.c         JSON
 *
 * A function that calls an event of the owner does so as its last step, because
 * the owner may call membership from inside the event.
 */
#pragma once

#include "membership/directory.h"
#include "membership/membership.h"
#include "membership/record.h"

/* "/kamacache/v1/", a name of a service, "/" and NUL; and behind it "members/"
 * and an address. */
#define KM_MEMBERSHIP_PREFIX_BYTES 272
#define KM_MEMBERSHIP_KEY_BYTES 552

/* The delay before the next attempt: 100 ms x 1.6 up to 3 s, with jitter. */
struct km_backoff {
    uint32_t delay_ms; /* 0: no attempt has failed */
};

/* docs/CLUSTER.md 2 and membership.h have the rules; this is the table.
 *
 *     state      waits for                      then
 *     IDLE       start                          STAMPING
 *     STAMPING   stamped                        READING; GRANTING if again
 *     READING    the first list                 GRANTING
 *     GRANTING   granted                        CLAIMING
 *     CLAIMING   claimed                        REGISTERED, PROBING
 *     PROBING    probed                         CLAIMING, ASKING, FAILED
 *     ASKING     left                           WAITING, CLAIMING
 *     WAITING    the end of the found record    CLAIMING
 *     REGISTERED the loss of lease or record    STAMPING, RESIGNING
 *     RESIGNING  revoked, at most 1 s           STAMPING
 *     LEAVING    close                          PARTING, REVOKING
 *     PARTING    the goodbye, at most 0.5 s     REVOKING
 *     FAILED     close                          REVOKING
 *     REVOKING   revoked, at most 1 s           CLOSING
 *     CLOSING    the registry's closed          OVER
 *
 * leave and close come in any state. */
enum km_registration_state {
    KM_REGISTRATION_IDLE,
    KM_REGISTRATION_STAMPING,
    KM_REGISTRATION_READING,
    KM_REGISTRATION_GRANTING,
    KM_REGISTRATION_CLAIMING,
    KM_REGISTRATION_PROBING,
    KM_REGISTRATION_ASKING,
    KM_REGISTRATION_WAITING,
    KM_REGISTRATION_REGISTERED,
    KM_REGISTRATION_RESIGNING,
    KM_REGISTRATION_LEAVING,
    KM_REGISTRATION_FAILED,
    KM_REGISTRATION_PARTING,
    KM_REGISTRATION_REVOKING,
    KM_REGISTRATION_CLOSING,
    KM_REGISTRATION_OVER
};

/* The goodbye in the record of a node that leaves. A request that has failed is
 * wanted again. */
enum km_parting_state {
    KM_PARTING_NONE,
    KM_PARTING_WANTED,
    KM_PARTING_SENT,
    KM_PARTING_WRITTEN
};

/* The requests of which one at most is under way. */
enum km_request_kind {
    KM_REQUEST_STAMP,
    KM_REQUEST_GRANT,
    KM_REQUEST_CLAIM,
    KM_REQUEST_UPDATE,
    KM_REQUEST_REVOKE,
    KM_REQUEST_LEFT,
    KM_REQUEST_KINDS
};

/* A request that is wanted while an older one of its kind is under way is sent
 * when that one was answered; the older answer is then dropped. */
enum km_request_state {
    KM_REQUEST_FREE,
    KM_REQUEST_SENT,
    KM_REQUEST_SENT_AND_WANTED
};

struct km_registration {
    enum km_registration_state state;
    enum km_request_state requests[KM_REQUEST_KINDS];
    unsigned registrations;
    enum km_member_state wanted;  /* state that the record shall have */
    enum km_member_state sent;    /* state in the request under way */
    enum km_member_state written; /* state in the record */
    enum km_parting_state goodbye;
    km_ns closed_by; /* of PARTING and REVOKING: when it ends in any case */
    int64_t parting_lease; /* of PARTING, whose lease is kept by nobody */
    bool was_active;
    bool said_leaving;
    bool said_unreachable;
    struct km_member_id last_id; /* of the registration before */
    int64_t expected_mod_revision;
    km_ns grant_sent_at; /* boot clock */
    /* The record that was found at the own address. */
    int64_t found_mod_revision;
    int64_t found_lease;
    char found_id[KM_MEMBER_ID_TEXT_BYTES];
    unsigned wait_rounds;
    struct km_timer timer;
    struct km_timer leave_timer;
    struct km_backoff backoff;
};

struct km_lease {
    int64_t id; /* 0: none */
    int64_t ttl_ms;
    km_ns confirmed_at; /* boot clock: when the answered keepalive was sent */
    enum km_membership_lease state;
    unsigned pending; /* keepalives without an answer */
    unsigned dropped; /* those of earlier leases */
    struct km_timer timer;
    struct km_timer doubt_timer;
    struct km_backoff backoff;
};

enum km_list_state {
    KM_LIST_FREE,
    KM_LIST_SENT,
    KM_LIST_SENT_AND_WANTED /* another one is wanted after it */
};

struct km_follow {
    bool is_on;
    bool is_watching;
    enum km_list_state list;
    bool sent_registered; /* the list was sent after the registration */
    bool own_seen;        /* the own id has been seen in the registry */
    bool own_key_present; /* somebody's record is at the own address */
    km_ns planned_at;     /* of the next list; 0: none is planned */
    km_ns sent_at;
    int64_t sent_revision;
    int64_t revision; /* the last one; 0: none yet */
    bool has_stamp;
    uint64_t stamp; /* hash of the value of `registry` */
    bool knows_joins;
    int64_t joins;
    km_ns watch_since;
    struct km_timer timer;
    struct km_backoff list_backoff;
    struct km_backoff watch_backoff;
    km_ns junk_logged_at; /* 0: never */
};

struct km_membership {
    const kama_allocator *mem;
    struct km_membership_env env;
    const struct km_registry_ops *ops;
    void *registry;
    const struct km_membership_events *events;
    void *owner;
    uint16_t port;
    int64_t lease_ttl_ms;
    struct km_record own; /* own.member.address is "" until it is known */
    char service[KM_CLUSTER_NAME_BYTES_MAX + 1];
    char prefix[KM_MEMBERSHIP_PREFIX_BYTES];
    char member_key[KM_MEMBERSHIP_KEY_BYTES];
    char sister_key[KM_MEMBERSHIP_KEY_BYTES];
    char joins_key[KM_MEMBERSHIP_KEY_BYTES];
    char stamp_key[KM_MEMBERSHIP_KEY_BYTES];
    struct km_registration registration;
    struct km_lease lease;
    struct km_follow follow;
    struct km_directory directory;
    struct km_timer directory_timer;
    unsigned published;   /* directory.changes of the last view */
    unsigned goodbyes;    /* and directory.goodbyes */
    struct km_view *view; /* the last one that was told, or NULL */
    struct km_membership_stats stats;
};

/* -- membership.c ---------------------------------------------------------- */

km_ns km_membership_now(const struct km_membership *m);
/* Arms a timer anew. */
void km_membership_arm(struct km_membership *m, struct km_timer *timer,
                       km_ns at);
void km_membership_disarm(struct km_membership *m, struct km_timer *timer);
/* Returns the time of the next attempt. */
km_ns km_membership_later(struct km_membership *m, struct km_backoff *backoff);
/* Writes a line: level 1 info, 2 warn, 3 error. */
void km_membership_log(struct km_membership *m, int level, const char *name,
                       const char *fmt, ...) KAMA_PRINTF(4, 5);
/* Takes an address for the own one, and makes the keys of it. */
kama_status km_membership_set_address(struct km_membership *m,
                                      const char *address);

/* -- registration.c -------------------------------------------------------- */

/* Returns whether a request of a kind may be sent now; if not, it is sent when
 * the one under way was answered. */
bool km_registration_may_send(struct km_membership *m,
                              enum km_request_kind kind);
/* Notes an answer. Returns false if another request was wanted meanwhile: then
 * the answer is to be dropped, and the state's request is sent again. */
bool km_registration_answered(struct km_membership *m,
                              enum km_request_kind kind);
/* Enters a state, and sends its request. */
void km_registration_enter(struct km_membership *m,
                           enum km_registration_state state);
/* Sends the request of the present state again after a while. */
void km_registration_retry(struct km_membership *m,
                           const struct km_registry_result *result);
/* Draws the id of the next registration. */
void km_registration_draw_id(struct km_membership *m);
/* Registers with a new id. */
void km_registration_begin(struct km_membership *m);
/* The own record is there. Tells the registration, and not yet the view. */
void km_registration_done(struct km_membership *m);
/* The registration is impossible: a start fails, and a node that has been
 * registered before goes on trying. */
void km_registration_give_up(struct km_membership *m, kama_status status,
                             const char *text);
/* A list was read. refusal: why this node must not start, because there was nothing in it
 * but records of nodes that it has nothing to do with; else NULL. */
void km_registration_listed(struct km_membership *m, const char *refusal);
/* The own record is gone or replaced, although the lease lives. */
void km_registration_resign(struct km_membership *m, const char *why);
/* The lease is gone. */
void km_registration_lease_lost(struct km_membership *m);
/* Writes the record with the wanted state and goodbye, if it says something else. */
void km_registration_update(struct km_membership *m);
/* Ends a lease. */
void km_registration_revoke(struct km_membership *m, int64_t lease);
void km_registration_on_timer(struct km_timer *timer);
/* Answers of the registry. */
void km_registration_on_stamped(void *owner,
                                const struct km_registry_result *result);
void km_registration_on_granted(void *owner,
                                const struct km_registry_result *result,
                                int64_t lease, int64_t ttl_ms);
void km_registration_on_updated(void *owner,
                                const struct km_registry_result *result,
                                enum km_registry_verdict verdict);
void km_registration_on_revoked(void *owner,
                                const struct km_registry_result *result);

/* -- leaving.c ------------------------------------------------------------- */

/* Tells once that the record says `leaving`, or that it does not matter any more. */
void km_leaving_say(struct km_membership *m);
/* In PARTING, the record was written, or was not in time. If that was an older request
 * than that of the goodbye, the goodbye follows. */
void km_leaving_part(struct km_membership *m, bool done);
/* Closes the registry. */
void km_leaving_end(struct km_membership *m);
void km_leaving_on_timer(struct km_timer *timer);

/* -- claim.c --------------------------------------------------------------- */

/* Sends the claim. */
void km_claim_send(struct km_membership *m);
/* Asks how long the lease of the found record lasts. */
void km_claim_ask(struct km_membership *m);
/* Nobody has answered the probe in time. */
void km_claim_nobody(struct km_membership *m);
/* The found record is gone, or its time is over. */
void km_claim_again(struct km_membership *m);
void km_claim_on_claimed(void *owner, const struct km_registry_result *result,
                         enum km_registry_verdict verdict,
                         const struct km_registry_record *records, size_t count,
                         int64_t revision);
void km_claim_on_left(void *owner, const struct km_registry_result *result,
                      int64_t ttl_ms);

/* -- lease.c --------------------------------------------------------------- */

/* Begins to keep a lease that was asked for at sent_at of the boot clock. */
void km_lease_begin(struct km_membership *m, int64_t id, int64_t ttl_ms,
                    km_ns sent_at);
/* Forgets the lease. */
void km_lease_stop(struct km_membership *m);
/* Sends a keepalive now. */
void km_lease_keep(struct km_membership *m);
/* Says the state of the lease, if it is another one. */
void km_lease_say(struct km_membership *m, enum km_membership_lease state);
void km_lease_on_timer(struct km_timer *timer);
void km_lease_on_doubt_timer(struct km_timer *timer);
void km_lease_on_kept(void *owner, const struct km_registry_result *result,
                      int64_t ttl_ms, km_ns sent_at);

/* -- follow.c -------------------------------------------------------------- */

/* Begins to read and to watch. */
void km_follow_start(struct km_membership *m);
void km_follow_stop(struct km_membership *m);
/* Reads the members at `at`, or earlier if that was planned. */
void km_follow_list_at(struct km_membership *m, km_ns at);
/* The node has registered with a new id, which nobody has seen yet. */
void km_follow_registered(struct km_membership *m);
/* Takes the records that the claim has read: tells the view as of the claim,
 * even if a later one is known already, because each member of it may act by a
 * view in which this node is. */
void km_follow_claimed(struct km_membership *m,
                       const struct km_registry_record *records, size_t count,
                       int64_t revision);
/* Settles the directory, and tells the view if it has changed. */
void km_follow_publish(struct km_membership *m);
void km_follow_on_timer(struct km_timer *timer);
void km_follow_on_directory_timer(struct km_timer *timer);
void km_follow_on_listed(void *owner, const struct km_registry_result *result,
                         const struct km_registry_record *records, size_t count,
                         int64_t revision);
void km_follow_on_changed(void *owner, int64_t revision,
                          const struct km_registry_record *records,
                          size_t count);
void km_follow_on_watch_ended(void *owner,
                              const struct km_registry_result *result,
                              int64_t compact_revision);

/* -- step.c ---------------------------------------------------------------- */

/* The contents of a list, or of all changes of one revision. */
struct km_step {
    bool is_list;
    int64_t since;      /* the revision before: newer changes count once */
    int64_t lives;      /* registrations that were seen */
    int64_t joins;      /* the version of `joins`; -1: not in this step */
    size_t members;     /* records of the own cluster */
    bool differs;       /* it has said something new */
    bool own_key;       /* the own address has a record; of a list */
    bool has_stamp;     /* of a list: `registry` is there */
    bool touches_stamp; /* of changes: `registry` was written or deleted */
    uint64_t stamp;
    /* Why the first record of another cluster or protocol is no member's; "": there is
     * none. */
    char refusal[KM_EVENT_BYTES_MAX];
};

/* Reads the record `registry`. */
void km_step_read_stamp(const struct km_membership *m, struct km_step *step,
                        const struct km_registry_record *records, size_t count);
/* Makes the view that the records of a whole list say, without the directory. */
KAMA_NODISCARD kama_status km_step_view(
    const struct km_membership *m, const struct km_registry_record *records,
    size_t count, struct km_view **ret_view);
/* Puts the records into the directory. Errors: KAMA_ERR_NO_MEMORY, after which
 * the members must be read anew. */
kama_status km_step_apply(struct km_membership *m, struct km_step *step,
                          const struct km_registry_record *records,
                          size_t count);
