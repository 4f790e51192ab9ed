/* SPDX-License-Identifier: MIT */
/*
 * A map that loads the values that it does not have: one standalone group,
 * without a node, a socket or a thread.
 *
 * The program gets a value as a view and as a copy, asks for a key that does
 * not exist, stores and deletes a value, and prints the figures of the group.
 * The loader is called twice for three gets, because "tom" is in memory after
 * the first one.
 */
#include <kamacache/kamacache.h>
#include <stdio.h>

/* A stand-in for a database, which counts its queries. */
struct db {
    unsigned queries;
};

static const char *db_find(struct db *db, const void *key, size_t len)
{
    static const struct {
        const char *key;
        const char *row;
    } rows[] = {{"tom", "Tom, 630 points"}, {"jack", "Jack, 589 points"}};
    db->queries++;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].key) == len && memcmp(rows[i].key, key, len) == 0) {
            return rows[i].row;
        }
    }
    return NULL;
}

/*
 * Loads one row. The group calls this once at a time for each key. A second
 * load of the key can only begin while the first one still runs if the first
 * was overtaken by a set, del or clear, or has timed out. KAMA_MISS says "does
 * not exist"; it is not an error.
 */
static kama_status load_user(void *arg, const kama_load *req, kama_sink *out)
{
    struct db *db = arg;
    const char *row = db_find(db, req->key.data, req->key.len);
    if (row == NULL) {
        return KAMA_MISS;
    }
    return kama_sink_set(out, KAMA_STR(row), NULL);
}

static int failed(const char *what, kama_status st)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    fprintf(stderr, "%s: %s (%s)\n", what, kama_strerror(st), sentence);
    return 1;
}

static int read_users(kama_group *users)
{
    kama_value *v;
    kama_status st = kama_get(users, KAMA_STR("tom"), NULL, &v);
    if (st != KAMA_OK) {
        return failed("kama_get", st);
    }
    kama_bytes b = kama_value_bytes(v);
    printf("a view: %.*s\n", (int)b.len, (const char *)b.data);
    kama_value_unref(v);

    char buf[256];
    size_t len;
    st = kama_get_copy(users, KAMA_STR("tom"), NULL, buf, sizeof buf, &len);
    if (st != KAMA_OK) {
        return failed("kama_get_copy", st);
    }
    printf("a copy: %.*s\n", (int)len, buf);

    st = kama_get_copy(users, KAMA_STR("nobody"), NULL, buf, sizeof buf, &len);
    printf("nobody: %s\n", kama_strerror(st));
    return st == KAMA_MISS ? 0 : failed("kama_get_copy", st);
}

static int change_users(kama_group *users)
{
    kama_set_options set;
    kama_set_options_init(&set);
    set.ttl_ms = 5000;
    kama_status st =
        kama_set(users, KAMA_STR("tom"), KAMA_BYTES("\0\1", 2), &set);
    if (st != KAMA_OK) {
        return failed("kama_set", st);
    }
    st = kama_del(users, KAMA_STR("tom"), NULL);
    printf("del: %s\n", kama_strerror(st));
    if (st != KAMA_OK) {
        return failed("kama_del", st);
    }
    st = kama_group_clear(users);
    return st == KAMA_OK ? 0 : failed("kama_group_clear", st);
}

int main(void)
{
    struct db db = {0};
    kama_group_options opts;
    kama_group_options_init(&opts);
    opts.name = "users";
    opts.max_bytes = 64 << 20;
    opts.ttl_ms = 60 * 1000;
    opts.loader = load_user;
    opts.loader_arg = &db;

    kama_group *users;
    kama_status st = kama_group_new(&opts, &users);
    if (st != KAMA_OK) {
        return failed("kama_group_new", st);
    }
    int rc = read_users(users);
    if (rc == 0) {
        rc = change_users(users);
    }

    kama_group_stats stats;
    kama_group_stats_get(users, &stats);
    printf("%llu gets, %llu hits, %llu loads, %u queries, %llu entries\n",
           (unsigned long long)stats.gets, (unsigned long long)stats.hits,
           (unsigned long long)stats.loads, db.queries,
           (unsigned long long)stats.entries);
    kama_group_free(users);
    return rc;
}
