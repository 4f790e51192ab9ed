/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240 serial */
/* The registry against a real etcd, which the tests start and kill. */
#include "membership/etcd.h"

#include "helpers/etcd_server.h"
#include "helpers/failmalloc.h"
#include "membership/etcd_kit.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#define CTL(etcd, ...)                                                         \
    etcd_server_ctl(etcd, (const char *const[]){__VA_ARGS__, NULL})

static struct etcd_server server;

static int start_server(void **state)
{
    (void)state;
    etcd_server_init(&server);
    etcd_server_start(&server);
    return 0;
}

static int end_server(void **state)
{
    (void)state;
    etcd_server_fini(&server);
    return 0;
}

/* Deletes the keys of the test before. */
static int clean(void **state)
{
    (void)state;
    CTL(&server, "del", "--prefix", "/");
    return 0;
}

/* -- requests ------------------------------------------------------------- */

/* etcd grants two seconds where one was asked for; the granted time counts. */
static void a_lease_lasts_as_long_as_etcd_says(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 1000);
    assert_true(lease != 0);
    assert_true(r.seen[GRANTED].ttl_ms >= 2000);
    assert_int_equal(
        get_ok(&r, make_ask(LEFT, NULL, NULL, lease))->ttl_ms / 1000, 1);
    struct seen *kept = get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
    assert_int_equal(kept->ttl_ms, r.seen[GRANTED].ttl_ms);
    assert_true(kept->sent_at > 0 && kept->sent_at <= km_clock_boot());
    (void)get_ok(&r, make_ask(REVOKED, NULL, NULL, lease));
    assert_int_equal(get_ok(&r, make_ask(LEFT, NULL, NULL, lease))->ttl_ms, -1);
    assert_int_equal(get_ok(&r, make_ask(KEPT, NULL, NULL, lease))->ttl_ms, 0);
    (void)get_ok(&r, make_ask(REVOKED, NULL, NULL, lease));
    registry_end(&r);
}

/* Twenty keepalives at once have twenty answers. */
static void keepalives_are_answered_in_order(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    for (int i = 0; i < 20; i++) {
        (void)ask(&r, make_ask(KEPT, NULL, NULL, lease));
    }
    wait_for(&r, KEPT, 20);
    assert_int_equal(r.seen[KEPT].status, KAMA_OK);
    assert_int_equal(r.seen[KEPT].ttl_ms, 10000);
    registry_end(&r);
}

static void a_stamp_is_written_once(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    (void)get_ok(&r, make_ask(STAMPED, PREFIX "registry", "first", 0));
    (void)get_ok(&r, make_ask(STAMPED, PREFIX "registry", "second", 0));
    struct seen *listed = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_string_equal(listed->records, PREFIX "registry=first ");
    registry_end(&r);
}

static void a_claim_writes_three_keys_or_shows_the_holder(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    struct seen *seen = get_ok(&r, claim_of(lease, "one", 0));
    assert_int_equal(seen->verdict, KM_REGISTRY_DONE);
    assert_string_equal(seen->records,
                        PREFIX "joins=1 " PREFIX "members/a:1=one ");
    int64_t claimed_at = seen->revision;
    seen = get_ok(&r, claim_of(lease, "two", 0));
    assert_int_equal(seen->verdict, KM_REGISTRY_REFUSED);
    assert_string_equal(seen->records, PREFIX "members/a:1=one ");
    assert_int_equal(seen->lease, lease);
    int64_t holder = seen->revision;
    assert_int_equal(holder, claimed_at);
    assert_int_equal(get_ok(&r, claim_of(lease, "three", holder - 1))->verdict,
                     KM_REGISTRY_REFUSED);
    assert_int_equal(get_ok(&r, claim_of(lease, "three", holder))->verdict,
                     KM_REGISTRY_DONE);
    assert_string_equal(get_ok(&r, make_ask(LISTED, "/", NULL, 0))->records,
                        PREFIX "joins=1 " PREFIX
                               "members/a:1=three /services/t/a:1=a:1 ");
    (void)get_ok(&r, make_ask(REVOKED, NULL, NULL, lease));
    assert_string_equal(get_ok(&r, make_ask(LISTED, "/", NULL, 0))->records,
                        PREFIX "joins=1 ");
    seen = get(&r, claim_of(lease, "four", 0));
    assert_int_equal(seen->status, KAMA_ERR_STATE);
    assert_non_null(strstr(seen->text, "lease not found"));
    assert_int_equal(get_ok(&r, claim_of(grant(&r, 10000), "x", 7))->verdict,
                     KM_REGISTRY_REFUSED);
    assert_int_equal(r.seen[CLAIMED].count, 0);
    registry_end(&r);
}

/* In the transaction that writes the record, so that a client of another
 * implementation calls no node that has not begun or is leaving. */
static void an_update_puts_and_deletes_the_sister_key(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    struct ask claim = claim_of(lease, "one", 0);
    claim.claim.sister_key = (kama_bytes){0};
    (void)get_ok(&r, claim);
    const char *key = PREFIX "members/a:1";
    struct ask update = make_ask(UPDATED, key, "two", lease);
    update.sister = "a:1";
    assert_int_equal(get_ok(&r, update)->verdict, KM_REGISTRY_DONE);
    assert_string_equal(get_ok(&r, make_ask(LISTED, "/", NULL, 0))->records,
                        PREFIX "joins=1 " PREFIX
                               "members/a:1=two /services/t/a:1=a:1 ");
    update.sister = NULL;
    update.number = grant(&r, 10000);
    assert_int_equal(get_ok(&r, update)->verdict, KM_REGISTRY_REFUSED);
    assert_non_null(strstr(get_ok(&r, make_ask(LISTED, "/", NULL, 0))->records,
                           "/services/"));
    update.number = lease;
    assert_int_equal(get_ok(&r, update)->verdict, KM_REGISTRY_DONE);
    assert_string_equal(get_ok(&r, make_ask(LISTED, "/", NULL, 0))->records,
                        PREFIX "joins=1 " PREFIX "members/a:1=two ");
    registry_end(&r);
}

static void only_the_own_lease_updates_and_removes(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t mine = grant(&r, 10000);
    int64_t other = grant(&r, 10000);
    (void)get_ok(&r, claim_of(mine, "one", 0));
    const char *key = PREFIX "members/a:1";
    assert_int_equal(get_ok(&r, make_ask(UPDATED, key, "bad", other))->verdict,
                     KM_REGISTRY_REFUSED);
    (void)get_ok(&r, make_ask(REMOVED, key, NULL, other));
    assert_int_equal(get_ok(&r, make_ask(UPDATED, key, "good", mine))->verdict,
                     KM_REGISTRY_DONE);
    assert_non_null(strstr(
        get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->records, "a:1=good"));
    (void)get_ok(&r, make_ask(REMOVED, key, NULL, mine));
    assert_null(
        strstr(get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->records, "a:1"));
    assert_int_equal(get_ok(&r, make_ask(UPDATED, key, "gone", mine))->verdict,
                     KM_REGISTRY_REFUSED);
    registry_end(&r);
}

static void a_connection_says_where_it_comes_from(void **state)
{
    (void)state;
    struct registry r;
    char expected[128];
    registry_begin(&r, server.address, NULL, NULL);
    (void)grant(&r, 10000);
    (void)snprintf(expected, sizeof expected, "%s from 127.0.0.1",
                   server.address);
    wait_for(&r, CONNECTED, 1);
    assert_string_equal(r.seen[CONNECTED].text, expected);
    assert_int_equal(count_of(&r, DISCONNECTED), 0);
    registry_end(&r);
}

/* -- watches -------------------------------------------------------------- */

static void each_revision_comes_whole(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    (void)get_ok(&r, claim_of(lease, "one", 0));
    wait_for(&r, CHANGED, 1);
    assert_int_equal(r.seen[CHANGED].count, 2); /* the member and joins */
    assert_int_equal(r.seen[CHANGED].revision, revision + 1);
    (void)get_ok(&r, make_ask(REVOKED, NULL, NULL, lease));
    wait_for(&r, CHANGED, 2);
    assert_string_equal(r.seen[CHANGED].records, PREFIX "members/a:1! ");
    registry_end(&r);
}

static void a_watch_begins_in_the_past(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    for (int i = 0; i < 3; i++) {
        CTL(&server, "put", PREFIX "k", i == 0 ? "0" : i == 1 ? "1" : "2");
    }
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    wait_for(&r, CHANGED, 3);
    assert_string_equal(r.history,
                        PREFIX "k=0 | " PREFIX "k=1 | " PREFIX "k=2 | ");
    registry_end(&r);
}

/* etcd divides answers over 1.5 MiB; here one revision has 60 values of
 * 60,000 bytes. */
static void fragments_are_joined(void **state)
{
    (void)state;
    enum { KEYS = 60, BYTES = 60000 };
    struct registry r;
    char value[BYTES + 1];
    memset(value, 'v', BYTES);
    value[BYTES] = '\0';
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 60000);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    for (int i = 0; i < KEYS; i++) {
        char key[64];
        char number[32];
        (void)snprintf(key, sizeof key, PREFIX "k%02d", i);
        (void)snprintf(number, sizeof number, "--lease=%llx",
                       (unsigned long long)lease);
        CTL(&server, "put", key, value, number);
    }
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    wait_for(&r, CHANGED, KEYS);
    (void)get_ok(&r, make_ask(REVOKED, NULL, NULL, lease));
    wait_for(&r, CHANGED, KEYS + 1);
    assert_int_equal(r.seen[CHANGED].count, KEYS);
    assert_int_equal(r.seen[CHANGED].revision, revision + KEYS + 1);
    registry_end(&r);
}

static void a_compacted_watch_says_from_where_on(void **state)
{
    (void)state;
    struct registry r;
    char number[32];
    registry_begin(&r, server.address, NULL, NULL);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    for (int i = 0; i < 5; i++) {
        CTL(&server, "put", PREFIX "k", "v");
    }
    (void)snprintf(number, sizeof number, "%lld", (long long)(revision + 4));
    CTL(&server, "compact", number);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision));
    wait_for(&r, WATCH_ENDED, 1);
    assert_true(r.seen[WATCH_ENDED].compact_revision >= revision + 4);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_TRY_AGAIN);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 5));
    wait_for(&r, CHANGED, 1);
    registry_end(&r);
}

/* A new watch takes the place of the old one, and an unwatched one is silent. */
static void a_watch_is_replaced_and_dropped(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX "a", NULL, revision + 1));
    (void)ask(&r, make_ask(CHANGED, PREFIX "b", NULL, revision + 1));
    CTL(&server, "put", PREFIX "a", "1");
    CTL(&server, "put", PREFIX "b", "2");
    wait_for(&r, CHANGED, 1);
    assert_string_equal(r.history, PREFIX "b=2 | ");
    (void)ask(&r, make_ask(WATCH_ENDED, NULL, NULL, 0));
    CTL(&server, "put", PREFIX "b", "3");
    (void)get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    (void)ask(&r, make_ask(CHANGED, PREFIX "a", NULL, revision + 1));
    wait_for(&r, CHANGED, 2);
    assert_string_equal(r.history, PREFIX "b=2 | " PREFIX "a=1 | ");
    assert_int_equal(count_of(&r, WATCH_ENDED), 0);
    registry_end(&r);
}

/* -- outages -------------------------------------------------------------- */

static void an_etcd_that_is_down_is_named(void **state)
{
    (void)state;
    struct registry r;
    char expected[128];
    registry_begin(&r, "http://127.0.0.1:1", NULL, NULL);
    static const enum event events[] = {STAMPED, GRANTED, KEPT,    REVOKED,
                                        LEFT,    UPDATED, REMOVED, LISTED};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct seen *seen = get(&r, make_ask(events[i], "k", "v", 7));
        assert_int_equal(seen->status, KAMA_ERR_UNREACHABLE);
        (void)snprintf(expected, sizeof expected,
                       "127.0.0.1:1: connection refused; is etcd running?");
        assert_string_equal(seen->text, expected);
    }
    assert_int_equal(get(&r, claim_of(7, "v", 0))->status,
                     KAMA_ERR_UNREACHABLE);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 1));
    wait_for(&r, WATCH_ENDED, 1);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_UNREACHABLE);
    assert_int_equal(count_of(&r, CONNECTED), 0);
    assert_int_equal(count_of(&r, DISCONNECTED), 0);
    registry_end(&r);
}

static void the_next_endpoint_is_tried(void **state)
{
    (void)state;
    struct registry r;
    char endpoints[128];
    (void)snprintf(endpoints, sizeof endpoints,
                   "http://127.0.0.1:1, 127.0.0.1:2,http://%s/",
                   server.address);
    registry_begin(&r, endpoints, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    assert_int_equal(get_ok(&r, make_ask(KEPT, NULL, NULL, lease))->ttl_ms,
                     10000);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    CTL(&server, "put", PREFIX "k", "v");
    wait_for(&r, CHANGED, 1);
    registry_end(&r);
}

/* A listener that the kernel answers for, and nobody else. */
static int open_silent(char address[32])
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    (void)snprintf(address, 32, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

/* Returns how many connections have come. */
static int count_accepted(int fd)
{
    int count = 0;
    for (int one = accept(fd, NULL, NULL); one >= 0;
         one = accept(fd, NULL, NULL)) {
        close(one);
        count++;
    }
    return count;
}

/* The watch does not wait for the silent one again. */
static void a_watch_begins_at_the_endpoint_that_answers(void **state)
{
    (void)state;
    struct registry r;
    char silent[32];
    char endpoints[128];
    int fd = open_silent(silent);
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", silent,
                   server.address);
    registry_begin(&r, endpoints, NULL, NULL);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    CTL(&server, "put", PREFIX "k", "v");
    wait_for(&r, CHANGED, 1);
    assert_int_equal(count_of(&r, WATCH_ENDED), 0);
    assert_int_equal(count_accepted(fd), 1);
    registry_end(&r);
    close(fd);
}

/* A silent endpoint is left before the time of a whole request, 5 s, is over. */
static void a_silent_endpoint_is_left_soon(void **state)
{
    (void)state;
    struct registry r;
    char silent[32];
    char endpoints[128];
    int fd = open_silent(silent);
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", silent,
                   server.address);
    km_ns begun_at = kit_now();
    registry_begin(&r, endpoints, NULL, NULL);
    (void)get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_true(kit_now() < begun_at + 4500 * KM_NS_PER_MS);
    registry_end(&r);
    close(fd);
}

/* A lease outlives the server, and so does the registry. */
static void a_killed_etcd_comes_back(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 20000);
    int64_t revision = get_ok(&r, claim_of(lease, "one", 0))->revision;
    revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    etcd_server_kill(&server);
    wait_for(&r, WATCH_ENDED, 1);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_UNREACHABLE);
    assert_int_equal(get(&r, make_ask(KEPT, NULL, NULL, lease))->status,
                     KAMA_ERR_UNREACHABLE);
    assert_int_equal(count_of(&r, DISCONNECTED), 1);
    assert_int_equal(get(&r, make_ask(LISTED, PREFIX, NULL, 0))->status,
                     KAMA_ERR_UNREACHABLE);
    assert_int_equal(count_of(&r, DISCONNECTED), 1);
    etcd_server_start(&server);
    while (get(&r, make_ask(KEPT, NULL, NULL, lease))->status != KAMA_OK) {
    }
    assert_true(r.seen[KEPT].ttl_ms > 0);
    assert_int_equal(count_of(&r, CONNECTED), 2);
    assert_non_null(strstr(
        get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->records, "a:1=one"));
    registry_end(&r);
}

static void an_etcd_that_lost_its_data_knows_no_lease(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 20000);
    (void)get_ok(&r, claim_of(lease, "one", 0));
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    etcd_server_kill(&server);
    etcd_server_wipe(&server);
    etcd_server_start(&server);
    while (get(&r, make_ask(KEPT, NULL, NULL, lease))->status != KAMA_OK) {
    }
    assert_int_equal(r.seen[KEPT].ttl_ms, 0);
    assert_true(get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision <
                revision);
    assert_int_equal(r.seen[LISTED].count, 0);
    registry_end(&r);
}

/* A frozen etcd accepts connections and says nothing. All that waits for it is
 * told within ten seconds; the limit is the contract. */
static void a_frozen_etcd_is_found_out(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 60000);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision + 1));
    CTL(&server, "put", PREFIX "k", "v");
    wait_for(&r, CHANGED, 1);
    etcd_server_freeze(&server);
    km_ns frozen_at = kit_now();
    (void)ask(&r, make_ask(KEPT, NULL, NULL, lease));
    (void)ask(&r, make_ask(LISTED, PREFIX, NULL, 0));
    wait_for(&r, KEPT, 2);
    wait_for(&r, LISTED, 2);
    wait_for(&r, WATCH_ENDED, 1);
    assert_true(kit_now() - frozen_at < 10 * KM_NS_PER_S);
    assert_int_equal(r.seen[KEPT].status, KAMA_ERR_TIMEOUT);
    assert_true(r.seen[LISTED].status == KAMA_ERR_TIMEOUT ||
                r.seen[LISTED].status == KAMA_ERR_UNREACHABLE);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_UNREACHABLE);
    assert_int_equal(count_of(&r, DISCONNECTED), 1);
    etcd_server_thaw(&server);
    while (get(&r, make_ask(KEPT, NULL, NULL, lease))->status != KAMA_OK) {
    }
    assert_true(r.seen[KEPT].ttl_ms > 0);
    registry_end(&r);
}

/* -- closing -------------------------------------------------------------- */

static void closing_is_silent(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    registry_end(&r); /* never used */
    registry_begin(&r, server.address, NULL, NULL);
    (void)ask(&r, make_ask(LISTED, PREFIX, NULL, 0)); /* connecting */
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 1));
    registry_end(&r);
    registry_begin(&r, server.address, NULL, NULL);
    int64_t lease = grant(&r, 10000);
    (void)get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 1));
    (void)ask(&r, make_ask(KEPT, NULL, NULL, lease));
    (void)ask(&r, make_ask(GRANTED, NULL, NULL, 10000));
    registry_end(&r);
}

static void an_event_may_close_the_registry(void **state)
{
    (void)state;
    static const enum event events[] = {LISTED, KEPT, CHANGED, GRANTED};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct registry r;
        registry_begin(&r, server.address, NULL, NULL);
        int64_t lease = grant(&r, 10000);
        int64_t revision =
            get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
        (void)get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
        CTL(&server, "put", PREFIX "k", "1");
        CTL(&server, "put", PREFIX "k", "2");
        r.close_in = events[i];
        r.close_armed = true;
        (void)ask(&r, make_ask(events[i], PREFIX, NULL,
                               events[i] == KEPT ? lease : revision + 1));
        wait_for(&r, CLOSED, 1);
        registry_end(&r);
    }
}

/* The failures come by other ways than the answers. */
static void a_failure_may_close_the_registry(void **state)
{
    (void)state;
    static const struct {
        enum event asked, closed_in;
    } cases[] = {{STAMPED, STAMPED}, {KEPT, KEPT}, {CHANGED, WATCH_ENDED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct registry r;
        registry_begin(&r, "127.0.0.1:1", NULL, NULL);
        r.close_in = cases[i].closed_in;
        r.close_armed = true;
        (void)ask(&r, make_ask(cases[i].asked, "k", "v", 7));
        wait_for(&r, CLOSED, 1);
        registry_end(&r);
    }
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    r.close_in = CONNECTED;
    r.close_armed = true;
    (void)ask(&r, make_ask(LISTED, PREFIX, NULL, 0));
    wait_for(&r, CLOSED, 1);
    registry_end(&r);
}

/* -- users ---------------------------------------------------------------- */

/* etcd forgets the tokens of a user that is deleted. */
static void make_user_again(void)
{
    CTL(&server, "--user=root:rootpw", "user", "delete", "kama");
    CTL(&server, "--user=root:rootpw", "user", "add", "kama:secret");
    CTL(&server, "--user=root:rootpw", "user", "grant-role", "kama", "cache");
}

static void users_log_in(void **state)
{
    (void)state;
    struct registry r;
    registry_begin(&r, server.address, "kama", "secret");
    (void)grant(&r, 10000); /* etcd does not ask for users yet */
    CTL(&server, "user", "add", "root:rootpw");
    CTL(&server, "user", "add", "kama:secret");
    CTL(&server, "role", "add", "cache");
    CTL(&server, "role", "grant-permission", "--prefix=true", "cache",
        "readwrite", "/kamacache/v1/t/");
    CTL(&server, "role", "grant-permission", "--prefix=true", "cache",
        "readwrite", "/services/t/");
    CTL(&server, "user", "grant-role", "kama", "cache");
    CTL(&server, "user", "grant-role", "root", "root");
    CTL(&server, "auth", "enable");
    int64_t lease = grant(&r, 10000); /* the client logs in by itself */
    assert_int_equal(get_ok(&r, claim_of(lease, "one", 0))->verdict,
                     KM_REGISTRY_DONE);
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision));
    wait_for(&r, CHANGED, 1);
    assert_int_equal(get(&r, make_ask(LISTED, "/other/", NULL, 0))->status,
                     KAMA_ERR_PERMISSION);
    (void)ask(&r, make_ask(CHANGED, "/other/", NULL, revision));
    wait_for(&r, WATCH_ENDED, 1);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_PERMISSION);
    /* The revision of the auth store changes, and the token becomes old. */
    CTL(&server, "--user=root:rootpw", "user", "add", "another:pw");
    (void)get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    (void)get_ok(&r, make_ask(UPDATED, PREFIX "members/a:1", "two", lease));
    make_user_again();
    (void)get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    make_user_again();
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision));
    wait_for(&r, CHANGED, 2);
    registry_end(&r);

    registry_begin(&r, server.address, "kama", "wrong");
    struct seen *seen = get(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_int_equal(seen->status, KAMA_ERR_UNAUTHENTICATED);
    assert_non_null(strstr(seen->text, server.address));
    assert_non_null(strstr(seen->text, "\"kama\""));
    assert_null(strstr(seen->text, "wrong"));
    assert_int_equal(get(&r, make_ask(KEPT, NULL, NULL, 7))->status,
                     KAMA_ERR_UNAUTHENTICATED);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 1));
    wait_for(&r, WATCH_ENDED, 1);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_UNAUTHENTICATED);
    registry_end(&r);

    registry_begin(&r, server.address, NULL, NULL);
    seen = get(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_int_equal(seen->status, KAMA_ERR_UNAUTHENTICATED);
    assert_non_null(strstr(seen->text, "etcd-user"));
    registry_end(&r);
    CTL(&server, "--user=root:rootpw", "auth", "disable");
}

/* -- three members -------------------------------------------------------- */

/* Returns the index of the member that leads. */
static int leader_of(const struct etcd_server *servers)
{
    for (int i = 0;; i = (i + 1) % 3) {
        if (etcd_server_leads(&servers[i])) {
            return i;
        }
    }
}

/* The connection goes to the leader, which is killed; the others elect another
 * one, and the lease and the watch go on with them. */
static void a_killed_leader_is_survived(void **state)
{
    (void)state;
    struct etcd_server servers[3];
    struct registry r;
    char endpoints[128];
    for (int i = 0; i < 3; i++) {
        etcd_server_init(&servers[i]);
    }
    etcd_server_join(servers, 3);
    for (int i = 0; i < 3; i++) {
        etcd_server_begin(&servers[i]);
    }
    for (int i = 0; i < 3; i++) {
        etcd_server_wait(&servers[i]);
    }
    int leader = leader_of(servers);
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s,%s",
                   servers[leader].address, servers[(leader + 1) % 3].address,
                   servers[(leader + 2) % 3].address);
    registry_begin(&r, endpoints, NULL, NULL);
    int64_t lease = grant(&r, 30000);
    (void)get_ok(&r, claim_of(lease, "one", 0));
    (void)get_ok(&r, make_ask(KEPT, NULL, NULL, lease));
    int64_t revision = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->revision;
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision));
    wait_for(&r, CHANGED, 1);
    etcd_server_kill(&servers[leader]);
    wait_for(&r, WATCH_ENDED, 1);
    while (get(&r, make_ask(KEPT, NULL, NULL, lease))->status != KAMA_OK) {
    }
    assert_true(r.seen[KEPT].ttl_ms > 0);
    while (get(&r, make_ask(LISTED, PREFIX, NULL, 0))->status != KAMA_OK) {
    }
    assert_int_equal(r.seen[LISTED].count, 2);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, revision));
    wait_for(&r, CHANGED, 2);
    registry_end(&r);
    for (int i = 0; i < 3; i++) {
        etcd_server_fini(&servers[i]);
    }
}

/* -- memory --------------------------------------------------------------- */

/* One of everything; returns the first error. */
static kama_status use_all(const kama_allocator *mem, void *arg)
{
    static const enum event events[] = {STAMPED, LEFT, LISTED, KEPT, REVOKED};
    struct registry r;
    (void)arg;
    const struct km_etcd_options options = {.mem = mem,
                                            .endpoints = server.address};
    kama_status status = registry_try(&r, &options);
    if (status != KAMA_OK) {
        return status;
    }
    const struct seen *seen = get(&r, make_ask(GRANTED, NULL, NULL, 10000));
    status = seen->status;
    int64_t lease = seen->lease;
    if (status == KAMA_OK) {
        status = get(&r, claim_of(lease, "one", 0))->status;
    }
    if (status == KAMA_OK) {
        (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 1));
        while (count_of(&r, WATCH_ENDED) + count_of(&r, CHANGED) == 0) {
            (void)sched_yield();
        }
        status = count_of(&r, WATCH_ENDED) > 0 ? r.seen[WATCH_ENDED].status
                                               : KAMA_OK;
    }
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (status == KAMA_OK) {
            status = get(&r, make_ask(events[i], PREFIX, "v", lease))->status;
        }
    }
    registry_end(&r);
    return status;
}

static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    (void)state;
    CTL(&server, "put", PREFIX "k", "v");
    assert_true(km_test_fail_each(use_all, NULL) > 50);
}

/* -- many records --------------------------------------------------------- */

static void a_thousand_keys_are_listed(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    struct registry r;
    registry_begin(&r, server.address, NULL, NULL);
    for (int i = 0; i < KEYS; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, PREFIX "junk/%d", i);
        (void)get_ok(&r, make_ask(STAMPED, key, "x", 0));
    }
    assert_int_equal(get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0))->count,
                     KEYS);
    registry_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_lease_lasts_as_long_as_etcd_says, clean),
        cmocka_unit_test_setup(keepalives_are_answered_in_order, clean),
        cmocka_unit_test_setup(a_stamp_is_written_once, clean),
        cmocka_unit_test_setup(a_claim_writes_three_keys_or_shows_the_holder,
                               clean),
        cmocka_unit_test_setup(an_update_puts_and_deletes_the_sister_key,
                               clean),
        cmocka_unit_test_setup(only_the_own_lease_updates_and_removes, clean),
        cmocka_unit_test_setup(a_connection_says_where_it_comes_from, clean),
        cmocka_unit_test_setup(each_revision_comes_whole, clean),
        cmocka_unit_test_setup(a_watch_begins_in_the_past, clean),
        cmocka_unit_test_setup(fragments_are_joined, clean),
        cmocka_unit_test_setup(a_compacted_watch_says_from_where_on, clean),
        cmocka_unit_test_setup(a_watch_is_replaced_and_dropped, clean),
        cmocka_unit_test_setup(an_etcd_that_is_down_is_named, clean),
        cmocka_unit_test_setup(the_next_endpoint_is_tried, clean),
        cmocka_unit_test_setup(a_watch_begins_at_the_endpoint_that_answers,
                               clean),
        cmocka_unit_test_setup(a_silent_endpoint_is_left_soon, clean),
        cmocka_unit_test_setup(a_killed_etcd_comes_back, clean),
        cmocka_unit_test_setup(an_etcd_that_lost_its_data_knows_no_lease,
                               clean),
        cmocka_unit_test_setup(a_frozen_etcd_is_found_out, clean),
        cmocka_unit_test_setup(closing_is_silent, clean),
        cmocka_unit_test_setup(an_event_may_close_the_registry, clean),
        cmocka_unit_test_setup(a_failure_may_close_the_registry, clean),
        cmocka_unit_test_setup(running_out_of_memory_is_an_ordinary_error,
                               clean),
        cmocka_unit_test_setup(a_thousand_keys_are_listed, clean),
        cmocka_unit_test_setup(a_killed_leader_is_survived, clean),
        cmocka_unit_test_setup(users_log_in, clean),
    };
    if (!etcd_is_installed()) {
        (void)printf("etcd is not installed: nothing is tested\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, start_server, end_server);
}
