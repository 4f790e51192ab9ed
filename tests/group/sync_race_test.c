/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/*
 * Threads on all nodes of a synchronized group read and write the same keys at the same
 * time, while the streams between the nodes carry what they do. What each of them has
 * done it reads afterwards, and in the end all nodes agree.
 *
 *     loaded keys    a thread writes the database, and then deletes the key: nobody may
 *                    keep an older value for long, and the thread not at all
 *     set keys       each thread sets and deletes the keys: all nodes keep the same
 */
#include "fake_sync.h"
#include "helpers/draw.h"
#include "helpers/require.h"

enum { KEYS = 4, CLIENTS = 6, ROUNDS = 400 };

static struct fake_log logs[FAKE_NODES];

/* The origin of the loaded keys: a number that grows. */
static _Atomic unsigned database[KEYS];

static unsigned key_number(kama_bytes key)
{
    return (unsigned)(((const char *)key.data)[key.len - 1] - '0') % KEYS;
}

static kama_status load_number(void *arg, const kama_load *req, kama_sink *out)
{
    char text[16];
    (void)arg;
    unsigned n = atomic_load(&database[key_number(req->key)]);
    return kama_sink_set(
        out,
        kama_bytes_make(text, (size_t)snprintf(text, sizeof text, "%u", n)),
        NULL);
}

static void free_nothing(void *arg)
{
    (void)arg;
}

/* Returns the number that a node shows for a key. */
static unsigned read_number(kama_group *group, kama_bytes key)
{
    char text[16] = "";
    size_t len;
    REQUIRE(kama_get_copy(group, key, NULL, text, sizeof text - 1, &len) ==
            KAMA_OK);
    text[len] = '\0';
    return (unsigned)strtoul(text, NULL, 10);
}

struct world {
    struct fake_cluster *cluster;
    atomic_bool stop;
};

struct client {
    pthread_t thread;
    struct world *world;
    unsigned number;
    uint64_t random;
};

/* Changes a value of the origin and deletes the key: no later get of this thread, on its
 * node, returns an older one. */
static void change_and_read(struct client *client, kama_group *group)
{
    char name[] = "db-0";
    unsigned i = draw(&client->random, KEYS);
    name[3] = (char)('0' + i);
    kama_bytes key = kama_bytes_str(name);
    if (draw(&client->random, 4) == 0) {
        unsigned n = atomic_fetch_add(&database[i], 1) + 1;
        REQUIRE((int)kama_del(group, key, NULL) >= 0);
        for (unsigned times = 0; times < 3; times++) {
            REQUIRE(read_number(group, key) >= n);
        }
    } else {
        (void)read_number(group, key);
    }
}

/* Sets a key that is only this client's: it reads what it has set, and nothing older. A
 * clear by somebody else may come in between, and then it reads a loaded number, which is
 * small. */
static void set_and_read(struct client *client, kama_group *group,
                         unsigned round)
{
    char name[] = "own-0";
    char text[16];
    name[4] = (char)('0' + client->number);
    kama_bytes key = kama_bytes_str(name);
    kama_bytes value = kama_bytes_make(
        text, (size_t)snprintf(text, sizeof text, "%u", round + 1000000));
    REQUIRE(kama_set(group, key, value, NULL) == KAMA_OK);
    unsigned n = read_number(group, key);
    REQUIRE(n == round + 1000000 || n < 1000000);
}

/* Changes a key that all clients change. */
static void set_shared(struct client *client, kama_group *group)
{
    char name[] = "set-0";
    name[4] = (char)('0' + draw(&client->random, KEYS));
    kama_bytes key = kama_bytes_str(name);
    switch (draw(&client->random, 4)) {
    case 0:
        REQUIRE((int)kama_del(group, key, NULL) >= 0);
        break;
    case 1:
        REQUIRE((int)kama_touch(group, key, 60000, NULL) >= 0);
        break;
    default:
        REQUIRE(kama_set(group, key,
                         client->number % 2 ? KAMA_STR("1") : KAMA_STR("22"),
                         NULL) == KAMA_OK);
        break;
    }
    if (draw(&client->random, 64) == 0) {
        REQUIRE(kama_group_clear(group) == KAMA_OK);
    }
}

static void *client_run(void *arg)
{
    struct client *client = arg;
    struct fake_cluster *c = client->world->cluster;
    kama_group *group = c->nodes[client->number % FAKE_NODES].group;
    for (unsigned round = 0; round < ROUNDS; round++) {
        change_and_read(client, group);
        set_and_read(client, group, round);
        set_shared(client, group);
    }
    return NULL;
}

/* Carries the records of one node to the others, as its streams do. */
struct stream {
    pthread_t thread;
    struct world *world;
    unsigned from;
};

static unsigned deliver(unsigned from)
{
    unsigned n = 0;
    for (unsigned to = 0; to < FAKE_NODES; to++) {
        n += to == from ? 0 : fake_deliver(&logs[from], &logs[to]);
    }
    return n;
}

static void *stream_run(void *arg)
{
    struct stream *stream = arg;
    while (!atomic_load(&stream->world->stop)) {
        if (deliver(stream->from) == 0) {
            struct timespec pause = {0, 300000};
            (void)nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* Returns the text in the memory of a node, or "". */
static const char *memory_of(kama_group *group, const char *name, char text[16])
{
    kama_ctx ctx;
    size_t len = 0;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    kama_status st =
        kama_get_copy(group, kama_bytes_str(name), &ctx, text, 15, &len);
    text[st == KAMA_OK ? len : 0] = '\0';
    return text;
}

/* Asserts that each node has the value of a key in memory, or none. want: the value; "":
 * all agree on whichever it is. */
static void check_key(struct fake_cluster *c, const char *name,
                      const char *want)
{
    char first[16];
    char text[16];
    (void)snprintf(first, sizeof first, "%s", want);
    for (unsigned n = 0; n < FAKE_NODES; n++) {
        (void)memory_of(c->nodes[n].group, name, text);
        if (first[0] == '\0') {
            (void)snprintf(first, sizeof first, "%s", text);
        }
        if (text[0] != '\0') {
            assert_string_equal(text, first);
        }
    }
}

/* When all streams are idle, the nodes agree on what was set, and have nothing that is
 * older than the origin. */
static void check_agreement(struct fake_cluster *c)
{
    char name[16];
    char number[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof name, "set-%u", i);
        check_key(c, name, "");
        (void)snprintf(name, sizeof name, "db-%u", i);
        (void)snprintf(number, sizeof number, "%u", atomic_load(&database[i]));
        check_key(c, name, number);
    }
}

static void run_once(uint64_t seed)
{
    struct fake_cluster *c = fake_new();
    struct world world = {.cluster = c};
    struct client clients[CLIENTS];
    struct stream streams[FAKE_NODES];
    kama_group_options options;
    fake_options(c, &options);
    options.loader = load_number;
    options.loader_free = free_nothing;
    fake_synced_open_with(c, logs, options);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        streams[i] = (struct stream){.world = &world, .from = i};
        assert_int_equal(
            pthread_create(&streams[i].thread, NULL, stream_run, &streams[i]),
            0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){
            .world = &world, .number = i, .random = seed * 100 + i};
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, client_run, &clients[i]),
            0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
    }
    AWAIT(atomic_load(&c->calls) == 0);
    atomic_store(&world.stop, true);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        (void)pthread_join(streams[i].thread, NULL);
        (void)deliver(i);
    }
    check_agreement(c);
    kama_group_stats s = fake_stats(&c->nodes[0]);
    assert_true(s.fills_kept > 0 && s.hits > 0 && s.sync_applied > 0);
    fake_close(c);
}

static void test_races(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        run_once(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
