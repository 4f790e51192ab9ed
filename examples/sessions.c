/* SPDX-License-Identifier: MIT */
/*
 * The sessions of a web site, in a group without a loader. The program stores
 * several sessions in one call, gives a session more time at each request, and
 * ends several of them at a logout.
 */
#include <kamacache/kamacache.h>

#include <stdio.h>

#define SESSION_MS (30 * 60 * 1000)

static int failed(const char *what, kama_status st)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    fprintf(stderr, "%s: %s (%s)\n", what, kama_strerror(st), sentence);
    return 1;
}

/* Restores the sessions that were saved before a restart. Either every session
 * is accepted or none is. A session that did not fit into memory has a status
 * that says so. */
static int restore(kama_group *sessions)
{
    const kama_set_item saved[3] = {
        {KAMA_STR("s1"), KAMA_STR("tom"), SESSION_MS},
        {KAMA_STR("s2"), KAMA_STR("ann"), SESSION_MS},
        {KAMA_STR("s3"), KAMA_STR("the scheduler"), KAMA_TTL_FOREVER}};
    kama_status statuses[3];
    kama_status st = kama_mset(sessions, saved, 3, NULL, statuses);
    if (st != KAMA_OK) {
        return failed("kama_mset", st);
    }
    for (int i = 0; i < 3; i++) {
        if (statuses[i] != KAMA_OK) {
            return failed("one session", statuses[i]);
        }
    }
    return 0;
}

/* Handles a request with a session: the session lives for half an hour more. */
static int keep_alive(kama_group *sessions, kama_bytes id)
{
    int64_t left_ms;
    kama_status st = kama_touch(sessions, id, SESSION_MS, NULL);
    if (st == KAMA_MISS) {
        printf("%.*s: please log in\n", (int)id.len, (const char *)id.data);
        return 0;
    }
    if (st == KAMA_OK) {
        st = kama_ttl(sessions, id, NULL, &left_ms);
    }
    if (st != KAMA_OK) {
        return failed("kama_touch", st);
    }
    printf("%.*s: %lld minutes left\n", (int)id.len, (const char *)id.data,
           (long long)((left_ms + 59999) / 60000));
    return 0;
}

/* Ends the sessions of Tom, who logs out on all his devices. */
static int log_out(kama_group *sessions)
{
    const kama_bytes ids[2] = {KAMA_STR("s1"), KAMA_STR("s9")};
    kama_status removed[2];
    kama_status st = kama_mdel(sessions, ids, 2, NULL, removed);
    if (st != KAMA_OK) {
        return failed("kama_mdel", st);
    }
    printf("s1: %s, s9: %s\n", kama_strerror(removed[0]),
           kama_strerror(removed[1]));
    st = kama_exists(sessions, ids[0], NULL);
    printf("s1 exists: %s\n", st == KAMA_OK ? "yes" : "no");
    return st == KAMA_MISS ? 0 : failed("kama_exists", st);
}

int main(void)
{
    kama_group_options opts;
    kama_group_options_init(&opts);
    opts.name = "sessions";

    kama_group *sessions;
    kama_status st = kama_group_new(&opts, &sessions);
    if (st != KAMA_OK) {
        return failed("kama_group_new", st);
    }
    int rc = restore(sessions);
    if (rc == 0) {
        rc = keep_alive(sessions, KAMA_STR("s2"));
    }
    if (rc == 0) {
        rc = keep_alive(sessions, KAMA_STR("unknown"));
    }
    if (rc == 0) {
        rc = log_out(sessions);
    }
    kama_group_free(sessions);
    return rc;
}
