/* SPDX-License-Identifier: MIT */
/* The sqlite plug-in with real databases: rows that are values, configurations
 * that are refused, and databases that are slow, locked or replaced. */
#include "helpers/plugin_host.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loaders/failing_malloc.h"

static char folder[64];
static char path[128];
static char config_text[512];

static void run_sql(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", sql, error);
    }
}

static sqlite3 *open_writable(const char *file)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    return db;
}

static void make_database(const char *file, const char *sql)
{
    sqlite3 *db = open_writable(file);
    run_sql(db, sql);
    sqlite3_close(db);
}

static const char ROWS[] =
    "CREATE TABLE t (key TEXT PRIMARY KEY, value, ttl INTEGER);"
    "INSERT INTO t VALUES"
    " ('tom', 'cat', 1500),"
    " ('empty', '', NULL),"
    " ('emptyblob', x'', 0),"
    " ('null', NULL, 1),"
    " ('int', 42, -1),"
    " ('real', 1.5, -2),"
    " ('blob', x'00ff00', 7),"
    " ('big', zeroblob(2000), 0),"
    " ('huge', zeroblob(3000000), 0);"
    "CREATE TABLE b (key BLOB PRIMARY KEY, value);"
    "INSERT INTO b VALUES (x'6100ff', 'binary');";

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kama-sqlite-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/data.db", folder);
    make_database(path, ROWS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Returns the configuration PATH?TAIL. */
static const char *config(const char *tail)
{
    snprintf(config_text, sizeof config_text, "%s?%s", path, tail);
    return config_text;
}

static void open_query(struct host_plugin *plugin, const char *tail)
{
    host_open(plugin, "sqlite", config(tail), NULL);
    if (plugin->status != KAMA_OK) {
        fail_msg("%s", plugin->error);
    }
}

/* Texts, blobs and numbers are values, and NULL and no row are misses. */
static void test_values(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value FROM t WHERE key=?1");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    host_expect_value(&plugin, KAMA_STR("empty"), KAMA_STR(""), 0);
    host_expect_value(&plugin, KAMA_STR("emptyblob"), KAMA_STR(""), 0);
    host_expect_value(&plugin, KAMA_STR("int"), KAMA_STR("42"), 0);
    host_expect_value(&plugin, KAMA_STR("real"), KAMA_STR("1.5"), 0);
    host_expect_value(&plugin, KAMA_STR("blob"), KAMA_BYTES("\0\xff\0", 3), 0);
    host_expect_status(&plugin, KAMA_STR("null"), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_STR("nobody"), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_BYTES("tom\0x", 5), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_STR("' OR 1=1 --"), KAMA_MISS, NULL);
    host_close(&plugin);
}

/* The key is a value of the query, TEXT or BLOB as the option says. It is never
 * SQL, whatever its bytes are. */
static void test_key_is_a_value(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "1",     "NULL",        "?1",  "x'6162'", "'||1||'", "; DROP TABLE t",
        "tom\n", "/* */ \"t\"", "-- x"};
    struct host_plugin text;
    struct host_plugin blob;
    open_query(&text, "query=SELECT typeof(?1) || ' ' || ?1");
    char blob_config[sizeof config_text];
    snprintf(blob_config, sizeof blob_config,
             "%s?bind=blob&query=SELECT typeof(?1) || ' ' || ?1", path);
    host_open(&blob, "sqlite", blob_config, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char value[64];
        snprintf(value, sizeof value, "text %s", keys[i]);
        host_expect_value(&text, kama_bytes_str(keys[i]), kama_bytes_str(value),
                          0);
        snprintf(value, sizeof value, "blob %s", keys[i]);
        host_expect_value(&blob, kama_bytes_str(keys[i]), kama_bytes_str(value),
                          0);
    }
    host_close(&text);
    host_close(&blob);
}

/* A second column called ttl_ms is the time to live. */
static void test_ttl_column(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value, ttl ttl_ms FROM t WHERE key=?1");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 1500);
    host_expect_value(&plugin, KAMA_STR("empty"), KAMA_STR(""), 0);
    host_expect_value(&plugin, KAMA_STR("int"), KAMA_STR("42"), -1);
    host_expect_status(&plugin, KAMA_STR("real"), KAMA_ERR_LOADER,
                       "ttl_ms is -2; it has to be a whole number");
    host_close(&plugin);
}

/* The content of a column ttl_ms, and the time to live or a part of the
 * sentence. */
static const struct {
    const char *sql;
    int64_t ttl_ms;
    const char *text; /* NULL if it is accepted */
} TTLS[] = {
    {"NULL", 0, NULL},
    {"0", 0, NULL},
    {"-1", -1, NULL},
    {"1500", 1500, NULL},
    {"1500.0", 1500, NULL},
    {"9223372036854775807", INT64_MAX, NULL},
    {"-2", 0, "ttl_ms is -2;"},
    {"-9223372036854775808", 0, "ttl_ms is -9223372036854775808;"},
    {"1.5", 0, "ttl_ms is 1.5;"},
    {"-1.5", 0, "ttl_ms is -1.5;"},
    {"1e300", 0, "ttl_ms is 1.0e+300;"},
    {"9e999", 0, "ttl_ms is Inf;"},
    {"'soon'", 0, "ttl_ms is the text \"soon\";"},
    {"'1500'", 0, "ttl_ms is the text \"1500\";"},
    {"''", 0, "ttl_ms is the text \"\";"},
    {"x'05'", 0, "ttl_ms is the blob \"\\x05\";"},
};

/* A ttl_ms that is not a number fails the load. If it counted as 0, the value
 * would live as long as the group says, perhaps for ever. */
static void test_ttl_is_a_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof TTLS / sizeof TTLS[0]; i++) {
        struct host_plugin plugin;
        char tail[128];
        snprintf(tail, sizeof tail, "query=SELECT ?1, %s AS ttl_ms",
                 TTLS[i].sql);
        print_message("%s\n", TTLS[i].sql);
        open_query(&plugin, tail);
        if (TTLS[i].text == NULL) {
            host_expect_value(&plugin, KAMA_STR("v"), KAMA_STR("v"),
                              TTLS[i].ttl_ms);
        } else {
            host_expect_status(&plugin, KAMA_STR("v"), KAMA_ERR_LOADER,
                               TTLS[i].text);
        }
        host_close(&plugin);
    }
}

/* With bind=blob, keys are found in BLOB columns and in no others. */
static void test_bind_blob(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "bind=blob&query=SELECT value FROM b WHERE key=?1");
    host_expect_value(&plugin, KAMA_BYTES("a\0\xff", 3), KAMA_STR("binary"), 0);
    host_close(&plugin);
    open_query(&plugin, "bind=text&query=SELECT value FROM b WHERE key=?1");
    host_expect_status(&plugin, KAMA_BYTES("a\0\xff", 3), KAMA_MISS, NULL);
    host_close(&plugin);
}

/* The SQL is not decoded: it may contain ?query=, %, ; and a comment. */
static void test_sql_is_undecoded(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT '?query=%20&bind=blob' || ?1; -- end");
    host_expect_value(&plugin, KAMA_STR("+"), KAMA_STR("?query=%20&bind=blob+"),
                      0);
    host_close(&plugin);
}

/* Mistakes that can be noticed when the loader is opened are errors there. */
static void test_refused_at_the_start(void **state)
{
    (void)state;
    host_expect_refused("sqlite", "", "PATH?query=SQL");
    host_expect_refused("sqlite", "/x.db", "PATH?query=SQL");
    host_expect_refused("sqlite", "?query=SELECT ?1", "no path");
    host_expect_refused("sqlite", "/x?query=", "no SQL");
    host_expect_refused("sqlite", "/x?bind=int&query=SELECT ?1", "text&query");
    host_expect_refused("sqlite", "/nowhere/x.db?query=SELECT ?1",
                        "no such file");
    host_expect_refused("sqlite", "/tmp?query=SELECT ?1", "regular file");
    host_expect_refused("sqlite", config("query=SELEC ?1"), "syntax error");
    host_expect_refused("sqlite", config("query=SELECT x FROM nix WHERE y=?1"),
                        "no such table: nix");
    host_expect_refused("sqlite", config("query=DELETE FROM t WHERE key=?1"),
                        "writes");
    host_expect_refused("sqlite", config("query=BEGIN"), "no column");
    host_expect_refused("sqlite", config("query=SELECT 1"), "one parameter");
    host_expect_refused("sqlite", config("query=SELECT ?1, ?2"), "ttl_ms");
    host_expect_refused("sqlite", config("query=SELECT ?1 || ?2"),
                        "one parameter");
    host_expect_refused("sqlite", config("query=SELECT ?1; SELECT 2"),
                        "more than one");
    host_expect_refused("sqlite", config("query= -- nothing"), "empty");
}

/* For a file that is not a database, the sentence says so. */
static void test_not_a_database(void **state)
{
    (void)state;
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (int i = 0; i < 1000; i++) {
        fputs("not a database\n", out);
    }
    fclose(out);
    host_expect_refused("sqlite",
                        config("query=SELECT value FROM t WHERE key=?1"),
                        "not a database");
}

static void allow_2000_bytes(kama_loader_config *config)
{
    config->max_value_bytes = 2000;
}

static void allow_1999_bytes(kama_loader_config *config)
{
    config->max_value_bytes = 1999;
}

/* A value of the greatest length is accepted and one more byte is not. A value
 * that SQLite itself refuses is too large as well. */
static void test_value_limit(void **state)
{
    (void)state;
    static const char zeros[2000];
    const char *query = config("query=SELECT value FROM t WHERE key=?1");
    struct host_plugin plugin;
    host_open(&plugin, "sqlite", query, allow_2000_bytes);
    host_expect_value(&plugin, KAMA_STR("big"), KAMA_BYTES(zeros, 2000), 0);
    host_expect_status(&plugin, KAMA_STR("huge"), KAMA_ERR_TOO_LARGE, "2000");
    host_close(&plugin);
    host_open(&plugin, "sqlite", query, allow_1999_bytes);
    host_expect_status(&plugin, KAMA_STR("big"), KAMA_ERR_TOO_LARGE, "1999");
    host_close(&plugin);
}

static void expect_timeout(const struct host_plugin *plugin, const char *key)
{
    struct host_result result;
    host_load(plugin, kama_bytes_str(key), 200, &result);
    if (result.status != KAMA_ERR_TIMEOUT) {
        fail_msg("status %d: %s", result.status, result.sentence);
    }
    assert_in_range(result.took_ms, 150, 3000);
    host_result_fini(&result);
}

/* A query that would run for ever ends at the deadline, and the connection can
 * be used again. */
static void test_slow_query(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                        " SELECT i+1 FROM n WHERE ?1='slow' OR i<3)"
                        " SELECT max(i) FROM n");
    expect_timeout(&plugin, "slow");
    host_expect_value(&plugin, KAMA_STR("quick"), KAMA_STR("3"), 0);
    host_close(&plugin);
}

/* A load waits for a lock until its deadline, and succeeds if the lock is
 * released before. */
static void test_locked(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value FROM t WHERE key=?1");
    sqlite3 *db = open_writable(path);
    run_sql(db, "BEGIN EXCLUSIVE");
    expect_timeout(&plugin, "tom");
    run_sql(db, "COMMIT");
    sqlite3_close(db);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    host_close(&plugin);
}

/* A load leaves no lock behind. Writers can go on, and loads see their changes
 * of rows and of the schema. */
static void test_writers_are_seen(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT * FROM (SELECT value FROM t WHERE"
                        " key=?1)");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    sqlite3 *db = open_writable(path);
    run_sql(db, "UPDATE t SET value='dog' WHERE key='tom'");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("dog"), 0);
    run_sql(db, "ALTER TABLE t ADD COLUMN more DEFAULT 1");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("dog"), 0);
    run_sql(db, "DROP TABLE t");
    host_expect_status(&plugin, KAMA_STR("tom"), KAMA_ERR_LOADER, "no such");
    run_sql(db, "CREATE TABLE t (key, value);"
                "INSERT INTO t VALUES ('tom', 1)");
    sqlite3_close(db);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("1"), 0);
    host_close(&plugin);
}

/* A loader notices that its database was replaced by renaming, or removed. */
static void test_replaced_file(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value FROM t WHERE key=?1");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    char other[160];
    snprintf(other, sizeof other, "%s.new", path);
    make_database(other, "CREATE TABLE t (key, value);"
                         "INSERT INTO t VALUES ('tom', 'new')");
    assert_int_equal(rename(other, path), 0);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("new"), 0);
    assert_int_equal(unlink(path), 0);
    host_expect_status(&plugin, KAMA_STR("tom"), KAMA_ERR_LOADER,
                       "no such file");
    host_close(&plugin);
}

/* Readers and a writer of a database in WAL mode do not block each other. */
static void test_wal(void **state)
{
    (void)state;
    sqlite3 *db = open_writable(path);
    run_sql(db, "PRAGMA journal_mode=WAL");
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value FROM t WHERE key=?1");
    run_sql(db, "BEGIN IMMEDIATE; UPDATE t SET value='dog' WHERE key='tom'");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    run_sql(db, "COMMIT");
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("dog"), 0);
    host_close(&plugin);
    sqlite3_close(db);
}

/* Runs a process that changes so much in one transaction that a part of it is
 * written to the database file, and that then dies. */
static void leave_hot_journal(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db = NULL;
        if (sqlite3_open(path, &db) == SQLITE_OK) {
            (void)sqlite3_exec(
                db,
                "PRAGMA cache_size=5;"
                "CREATE TABLE many (key, value);"
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " WHERE i < 2000) INSERT INTO many SELECT i, zeroblob(500)"
                " FROM n;"
                "BEGIN; UPDATE t SET value = 'half' WHERE key = 'tom';"
                "UPDATE many SET value = zeroblob(501);",
                NULL, NULL, NULL);
        }
        (void)raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* A hot journal is reported with its remedy, at the start and by a load. After
 * the remedy, loads work again. */
static void test_hot_journal(void **state)
{
    (void)state;
    static const char QUERY[] = "query=SELECT value FROM t WHERE key=?1";
    struct host_plugin plugin;
    open_query(&plugin, QUERY);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    leave_hot_journal();
    host_expect_status(&plugin, KAMA_STR("tom"), KAMA_ERR_LOADER,
                       "hot journal");
    host_expect_refused("sqlite", config(QUERY), "hot journal");
    host_expect_refused("sqlite", config(QUERY), "sqlite3 FILE .tables");
    sqlite3 *db = open_writable(path);
    run_sql(db, "SELECT count(*) FROM t");
    sqlite3_close(db);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("cat"), 0);
    host_close(&plugin);
}

struct reader {
    const struct host_plugin *plugin;
    int good;
    char wrong[300];
};

static void *read_many(void *arg)
{
    struct reader *reader = arg;
    for (int i = 0; i < 50; i++) {
        struct host_result result;
        host_load(reader->plugin, KAMA_STR("tom"), 20000, &result);
        if (result.status == KAMA_OK && strcmp(result.value, "cat") == 0) {
            reader->good++;
        } else {
            snprintf(reader->wrong, sizeof reader->wrong, "%d: %s",
                     result.status, result.sentence);
        }
        host_result_fini(&result);
    }
    return NULL;
}

/* 16 loads at a time use at most 16 connections, and close closes every
 * descriptor. */
static void test_many_threads(void **state)
{
    (void)state;
    int before = host_count_descriptors();
    struct host_plugin plugin;
    open_query(&plugin, "query=SELECT value FROM t WHERE key=?1");
    pthread_t threads[16];
    struct reader readers[16];
    memset(readers, 0, sizeof readers);
    for (int i = 0; i < 16; i++) {
        readers[i].plugin = &plugin;
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(readers[i].wrong, "");
        assert_int_equal(readers[i].good, 50);
    }
    assert_in_range(host_count_descriptors() - before, 1, 16);
    host_close(&plugin);
    assert_int_equal(host_count_descriptors(), before);
}

/* When the n-th allocation fails, for every n, there is an error and nothing
 * leaks. */
static void test_allocation_failures(void **state)
{
    (void)state;
    expect_allocation_failures("sqlite",
                               config("query=SELECT value FROM t WHERE key=?1"),
                               KAMA_STR("tom"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_key_is_a_value),
        TEST(test_ttl_column),
        TEST(test_ttl_is_a_number),
        TEST(test_bind_blob),
        TEST(test_sql_is_undecoded),
        TEST(test_refused_at_the_start),
        TEST(test_not_a_database),
        TEST(test_value_limit),
        TEST(test_slow_query),
        TEST(test_locked),
        TEST(test_writers_are_seen),
        TEST(test_replaced_file),
        TEST(test_wal),
        TEST(test_hot_journal),
        TEST(test_many_threads),
        TEST(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
