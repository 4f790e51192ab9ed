/* SPDX-License-Identifier: MIT */
/* Option tables: every origin and every kind of value, and every refusal with
 * its sentence. */
#include "base/option.h"

#include "base/option_argv.h"
#include "base/option_env.h"
#include "base/option_help.h"
#include "base/option_text.h"
#include "base/option_value.h"
#include "base/status.h"
#include "helpers/failmalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS(X)                                                             \
    X(network, HEADING, NULL, NULL, 0, 0, "Network")                           \
    X(listen, STRING, "ADDR", "127.0.0.1:0", 0, 0, "Where to listen.")         \
    X(max_connections, UINT, "N", "10", 1, 1000, "At most N connections.")     \
    X(group, LIST, "SPEC", NULL, 0, 0,                                         \
      "A group, as a name and its settings, in a sentence so long that it "    \
      "needs a second line.")                                                  \
    X(memory, HEADING, NULL, NULL, 0, 0, "Memory and time")                    \
    X(max_bytes, BYTES, "SIZE", "64m", 65536, 0, "The bound.")                 \
    X(page, BYTES, "SIZE", "4k", 1024, 8192, "The page.")                      \
    X(drain_timeout, DURATION, "TIME", "5s", 10, 3600000, "How long.")         \
    X(lifetime, TTL, "TIME", "forever", 1, 3600000, "How long it lives.")      \
    X(a_name_that_takes_the_whole_column, STRING, "X", NULL, 0, 0, "Long.")    \
    X(insecure, BOOL, NULL, NULL, 0, 0, "Without credentials.")                \
    X(color, BOOL, NULL, "true", 0, 0, "In color.")                            \
    X(any, UINT, "N", NULL, 0, 0, "Any number.")                               \
    X(cluster, HEADING, NULL, NULL, 0, 0, "Cluster")                           \
    X(etcd, LATER, "URL", NULL, 0, 0, "Where etcd is.")

struct settings {
    OPTIONS(KM_OPTION_FIELD)
};

#define KM_OPTION_STRUCT struct settings
static const struct km_option rows[] = {OPTIONS(KM_OPTION_ROW)};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

struct fixture {
    struct km_options o;
    struct settings s;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0xee, sizeof f); /* init has to write every member */
    assert_int_equal(km_options_init(&f.o, rows, ROW_COUNT, &f.s), KAMA_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    km_options_fini(&f->o);
    return 0;
}

static kama_status set_flag(struct fixture *f, const char *name,
                            const char *value)
{
    return km_options_set(&f->o, name, value, KM_ORIGIN_FLAG);
}

/* Parses a command line whose words are separated by blanks. */
static kama_status parse_line(struct fixture *f, char *line, char **words,
                              int *ret_rest)
{
    int argc = 1;
    words[0] = "program";
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
        words[argc++] = word;
    }
    return km_options_from_argv(&f->o, argc, words, ret_rest);
}

static void check_refused(struct fixture *f, const char *line,
                          kama_status expected, const char *sentence)
{
    char copy[256];
    char *words[32];
    int rest = -1;
    (void)snprintf(copy, sizeof copy, "%s", line);
    assert_int_equal(parse_line(f, copy, words, &rest), expected);
    assert_string_equal(km_last_error(), sentence);
    assert_int_equal(rest, -1);
}

/* Members have their defaults, and are zero without one. */
static void test_defaults(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(f->s.listen, "127.0.0.1:0");
    assert_int_equal(f->s.max_connections, 10);
    assert_int_equal(f->s.max_bytes, 64 << 20);
    assert_int_equal(f->s.drain_timeout, 5000);
    assert_true(f->s.lifetime == KAMA_TTL_FOREVER);
    assert_int_equal(f->s.insecure, 0);
    assert_int_equal(f->s.color, 1);
    assert_int_equal(f->s.any, 0);
    assert_int_equal(f->s.group.count, 0);
    assert_null(f->s.a_name_that_takes_the_whole_column);
}

/* Both spellings of a flag are read, and operands stay in their order. */
static void test_argv(void **state)
{
    struct fixture *f = *state;
    char line[] = "get --listen=:1 --max-connections 20 - --insecure key "
                  "--no-color --max_bytes=1g --group a --group=b= -- --any";
    char *words[32];
    int rest;
    assert_int_equal(parse_line(f, line, words, &rest), KAMA_OK);
    assert_int_equal(rest, 4);
    assert_string_equal(words[0], "program");
    assert_string_equal(words[1], "get");
    assert_string_equal(words[2], "-");
    assert_string_equal(words[3], "key");
    assert_string_equal(words[4], "--any");
    assert_string_equal(f->s.listen, ":1");
    assert_int_equal(f->s.max_connections, 20);
    assert_int_equal(f->s.insecure, 1);
    assert_int_equal(f->s.color, 0);
    assert_int_equal(f->s.max_bytes, 1 << 30);
    assert_int_equal(f->s.group.count, 2);
    assert_string_equal(f->s.group.items[1], "b=");
}

/* An empty argv, even without the name of the program, is accepted. */
static void test_argv_empty(void **state)
{
    struct fixture *f = *state;
    char *none[] = {NULL};
    int rest = -1;
    assert_int_equal(km_options_from_argv(&f->o, 0, none, &rest), KAMA_OK);
    assert_int_equal(rest, 0);
}

/* Each refusal names the flag, the value and the accepted values. */
static void test_refusals(void **state)
{
    struct fixture *f = *state;
    check_refused(f, "--max-conections=3", KAMA_ERR_INVALID,
                  "--max-conections: unknown option, did you mean "
                  "--max-connections?");
    check_refused(f, "--max-conencitons=3", KAMA_ERR_INVALID,
                  "--max-conencitons: unknown option, did you mean "
                  "--max-connections?");
    check_refused(f, "--xyzzy", KAMA_ERR_INVALID, "--xyzzy: unknown option");
    check_refused(f, "--yna", KAMA_ERR_INVALID, "--yna: unknown option");
    check_refused(f, "-listen", KAMA_ERR_INVALID,
                  "-listen: unknown option, did you mean --listen?");
    check_refused(f, "-h", KAMA_ERR_INVALID, "--help: unknown option");
    check_refused(f, "--max-connections=0", KAMA_ERR_INVALID,
                  "--max-connections: 0 is outside 1..1000");
    check_refused(f, "--max-connections=1001", KAMA_ERR_INVALID,
                  "--max-connections: 1001 is outside 1..1000");
    check_refused(f, "--max-connections", KAMA_ERR_INVALID,
                  "--max-connections: needs a value (N)");
    check_refused(f, "--any=-1", KAMA_ERR_INVALID,
                  "--any: \"-1\" is not a number from 0");
    check_refused(f, "--max-bytes=63k", KAMA_ERR_INVALID,
                  "--max-bytes: 63k is less than 64k");
    check_refused(f, "--page=8193", KAMA_ERR_INVALID,
                  "--page: 8193 is outside 1k..8k");
    check_refused(f, "--drain-timeout=9ms", KAMA_ERR_INVALID,
                  "--drain-timeout: 9ms is outside 10ms..1h");
    check_refused(f, "--drain-timeout=10", KAMA_ERR_INVALID,
                  "--drain-timeout: 10 what? write 10s or 10ms");
    check_refused(f, "--drain-timeout=forever", KAMA_ERR_INVALID,
                  "--drain-timeout: \"forever\" is not a duration such as "
                  "250ms, 5s, 3m or 1h");
    check_refused(f, "--lifetime=7", KAMA_ERR_INVALID,
                  "--lifetime: 7 what? write 7s or 7ms");
    check_refused(f, "--lifetime=0", KAMA_ERR_INVALID,
                  "--lifetime: 0 is outside 1ms..1h");
    check_refused(f, "--insecure=maybe", KAMA_ERR_INVALID,
                  "--insecure: \"maybe\" is not true or false");
    check_refused(f, "--no-color=1", KAMA_ERR_INVALID,
                  "--no-color: takes no value");
    check_refused(f, "--no-listen", KAMA_ERR_INVALID,
                  "--no-listen: unknown option");
    check_refused(f, "--network", KAMA_ERR_INVALID,
                  "--network: unknown option");
    check_refused(f, "--etcd", KAMA_ERR_UNSUPPORTED,
                  "--etcd: not in this version");
    check_refused(f, "--etcd=x", KAMA_ERR_UNSUPPORTED,
                  "--etcd: not in this version");
}

/* Values at the bounds are accepted. */
static void test_bounds(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set_flag(f, "max-connections", "1"), KAMA_OK);
    assert_int_equal(set_flag(f, "max-connections", "1000"), KAMA_OK);
    assert_int_equal(set_flag(f, "page", "1k"), KAMA_OK);
    assert_int_equal(set_flag(f, "page", "8192"), KAMA_OK);
    assert_int_equal(set_flag(f, "drain_timeout", "10ms"), KAMA_OK);
    assert_int_equal(set_flag(f, "drain_timeout", "1h"), KAMA_OK);
    assert_int_equal(set_flag(f, "lifetime", "1h"), KAMA_OK);
    assert_true(f->s.lifetime == 3600000);
    assert_int_equal(set_flag(f, "lifetime", "forever"), KAMA_OK);
    assert_true(f->s.lifetime == KAMA_TTL_FOREVER);
    assert_int_equal(set_flag(f, "any", "18446744073709551615"), KAMA_OK);
    assert_true(f->s.any == UINT64_MAX);
}

/* A higher origin wins in any order, a list is replaced as a whole, and a value
 * of a lower origin is checked nevertheless. */
static void test_origins(void **state)
{
    struct fixture *f = *state;
    struct km_options *o = &f->o;
    assert_int_equal(km_options_set(o, "any", "3", KM_ORIGIN_FLAG), KAMA_OK);
    assert_int_equal(km_options_set(o, "any", "2", KM_ORIGIN_FILE), KAMA_OK);
    assert_int_equal(km_options_set(o, "any", "x", KM_ORIGIN_FILE),
                     KAMA_ERR_INVALID);
    assert_string_equal(km_last_error(), "any: \"x\" is not a number from 0");
    assert_int_equal(f->s.any, 3);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(km_options_set(o, "group", "f", KM_ORIGIN_FILE),
                         KAMA_OK);
    }
    assert_int_equal(f->s.group.count, 5);
    assert_int_equal(km_options_set(o, "group", "e", KM_ORIGIN_ENV), KAMA_OK);
    assert_int_equal(km_options_set(o, "group", "f", KM_ORIGIN_FILE), KAMA_OK);
    assert_int_equal(km_options_set(o, "group", "e2", KM_ORIGIN_ENV), KAMA_OK);
    assert_int_equal(f->s.group.count, 2);
    assert_string_equal(f->s.group.items[0], "e");
    assert_string_equal(f->s.group.items[1], "e2");
}

/* A list accepts its maximum of values and no more. */
static void test_list_limit(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < KM_OPTION_LIST_MAX; i++) {
        assert_int_equal(set_flag(f, "group", "g"), KAMA_OK);
    }
    assert_int_equal(set_flag(f, "group", "g"), KAMA_ERR_TOO_LARGE);
    assert_int_equal(f->s.group.count, KM_OPTION_LIST_MAX);
}

/* Variables are found by their prefix, a list takes one value per line, and
 * errors name the variable. */
static void test_env(void **state)
{
    struct fixture *f = *state;
    setenv("KMT_MAX_CONNECTIONS", "77", 1);
    setenv("KMT_GROUP", "one\n\ntwo=2\n", 1);
    setenv("KMT_INSECURE", "yes", 1);
    assert_int_equal(km_options_from_env(&f->o, "KMT"), KAMA_OK);
    assert_int_equal(f->s.max_connections, 77);
    assert_int_equal(f->s.insecure, 1);
    assert_int_equal(f->s.group.count, 2);
    assert_string_equal(f->s.group.items[0], "one");
    assert_string_equal(f->s.group.items[1], "two=2");
    setenv("KMT_ANY", "no", 1);
    assert_int_equal(km_options_from_env(&f->o, "KMT"), KAMA_ERR_INVALID);
    assert_string_equal(km_last_error(),
                        "KMT_ANY: \"no\" is not a number from 0");
    unsetenv("KMT_ANY");
    setenv("KMT_ETCD", "x", 1);
    assert_int_equal(km_options_from_env(&f->o, "KMT"), KAMA_ERR_UNSUPPORTED);
    unsetenv("KMT_ETCD");
    unsetenv("KMT_MAX_CONNECTIONS");
    unsetenv("KMT_GROUP");
    unsetenv("KMT_INSECURE");
}

/* Variables that Kubernetes sets beside a service of that name are recognised,
 * and settings with similar names are not. */
static void test_injected_variables(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *value;
        bool injected;
    } names[] = {
        {"KMT_SERVICE_HOST", "10.0.0.11", true},
        {"KMT_SERVICE_PORT", "8001", true},
        {"KMT_SERVICE_PORT_GRPC", "8001", true},
        {"KMT_PORT", "tcp://10.0.0.11:8001", true},
        {"KMT_PORT", "8001", true},
        {"KMT_PORT_8001_TCP", "tcp://10.0.0.11:8001", true},
        {"KMT_PORT_8001_TCP_PROTO", "tcp", true},
        {"KMT_PORT_8001_TCP_PORT", "8001", true},
        {"KMT_PORT_8001_TCP_ADDR", "10.0.0.11", true},
        {"KMT_PORT_53_UDP", "udp://10.0.0.11:53", true},
        {"KMT_PORT_53_SCTP_ADDR", "10.0.0.11", true},
        {"KMT_PEERS_SERVICE_HOST", "10.0.0.12", true},
        {"KMT_PEERS_PORT", "tcp://10.0.0.12:8001", true},
        {"KMT_PEERS_PORT_8001_TCP", "tcp://10.0.0.12:8001", true},
        {"KMT_PEERS_PORT", "8001", false},
        {"KMT_PORTS", "x", false},
        {"KMT_PORT_TCP", "x", false},
        {"KMT_PORT_8001_TCP_NAME", "x", false},
        {"KMT_PORT_8001_XTP", "x", false},
        {"KMT_SERVICE", "x", false},
        {"KMT_SERVICE_HOSTS", "x", false},
        {"KMT_SERVICE_PORTS", "x", false},
        {"KMT_LISTEN", "x", false},
        {"KMT_", "x", false},
        {"KMT", "x", false},
        {"KMTX_SERVICE_HOST", "x", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (km_option_is_injected("KMT", names[i].variable, names[i].value) !=
            names[i].injected) {
            fail_msg("%s=%s", names[i].variable, names[i].value);
        }
    }
}

/* An option whose variable Kubernetes sets does not take that value. */
static void test_injected_values_are_not_read(void **state)
{
    static const struct km_option port_rows[] = {
        {"port", KM_OPTION_STRING, 0, "PORT", "7", 0, 0, "A port."},
        {"service_host", KM_OPTION_STRING, sizeof(char *), "HOST", NULL, 0, 0,
         "A host."},
    };
    const char *values[2];
    struct km_options o;
    (void)state;
    assert_int_equal(km_options_init(&o, port_rows, 2, values), KAMA_OK);
    setenv("KMT_PORT", "tcp://10.0.0.11:8001", 1);
    setenv("KMT_SERVICE_HOST", "10.0.0.11", 1);
    assert_int_equal(km_options_from_env(&o, "KMT"), KAMA_OK);
    assert_string_equal(values[0], "7");
    assert_null(values[1]);
    unsetenv("KMT_PORT");
    unsetenv("KMT_SERVICE_HOST");
    km_options_fini(&o);
}

struct unknown {
    unsigned count;
    char variable[300];
    char nearest[100];
};

static void note_unknown(void *arg, const char *variable, const char *nearest)
{
    struct unknown *unknown = arg;
    unknown->count++;
    (void)snprintf(unknown->variable, sizeof unknown->variable, "%s", variable);
    (void)snprintf(unknown->nearest, sizeof unknown->nearest, "%s",
                   nearest != NULL ? nearest : "none");
}

/* Asserts that there is one unknown variable, and which one was probably
 * meant. */
static void check_unknown(struct fixture *f, const char *variable,
                          const char *nearest)
{
    static const struct km_option others[] = {
        {"endpoint", KM_OPTION_STRING, 0, NULL, NULL, 0, 0, NULL}};
    struct unknown unknown = {0};
    setenv(variable, "value", 1);
    km_options_unknown_env(&f->o, "KMT", others, 1, note_unknown, &unknown);
    unsetenv(variable);
    assert_int_equal(unknown.count, nearest != NULL);
    if (nearest != NULL) {
        assert_string_equal(unknown.variable, variable);
        assert_string_equal(unknown.nearest, nearest);
    }
}

static void test_unknown_variables(void **state)
{
    struct fixture *f = *state;
    char longer[400];
    check_unknown(f, "KMT_LISEN", "KMT_LISTEN");
    check_unknown(f, "KMT_MAX_CONNECTION", "KMT_MAX_CONNECTIONS");
    check_unknown(f, "KMT_XYZZY", "none");
    check_unknown(f, "KMT_NETWORK", "none"); /* a heading is not an option */
    check_unknown(f, "KMT_", "none");
    check_unknown(f, "KMT_LISTEN", NULL);
    check_unknown(f, "KMT_ETCD", NULL);
    check_unknown(f, "KMT_ENDPOINT", NULL);
    check_unknown(f, "KMT_SERVICE_HOST", NULL);
    check_unknown(f, "KMTX_LISEN", NULL);
    check_unknown(f, "kmt_lisen", NULL);
    memset(longer, 'X', sizeof longer);
    memcpy(longer, "KMT_", 4);
    longer[255] = '\0';
    check_unknown(f, longer, "none");
}

/* A message names an option in the user's spelling. */
static void test_spelling(void **state)
{
    struct fixture *f = *state;
    char spelling[KM_OPTION_SPELLING_BYTES];
    km_options_spelling(&f->o, "KMT", "max_connections", spelling);
    assert_string_equal(spelling, "--max-connections");
    assert_int_equal(
        km_options_set(&f->o, "max_connections", "7", KM_ORIGIN_ENV), KAMA_OK);
    km_options_spelling(&f->o, "KMT", "max_connections", spelling);
    assert_string_equal(spelling, "KMT_MAX_CONNECTIONS");
    assert_int_equal(set_flag(f, "max-connections", "8"), KAMA_OK);
    km_options_spelling(&f->o, "KMT", "max_connections", spelling);
    assert_string_equal(spelling, "--max-connections");
}

/* Dashes and underscores are equal, and the nearest name is at most two edits
 * away. */
static void test_names(void **state)
{
    (void)state;
    assert_ptr_equal(km_option_find(rows, ROW_COUNT, KM_LIT("max-bytes")),
                     km_option_find(rows, ROW_COUNT, KM_LIT("max_bytes")));
    assert_null(km_option_find(rows, ROW_COUNT, KM_LIT("max")));
    assert_null(km_option_find(rows, ROW_COUNT, KM_LIT("")));
    assert_string_equal(km_option_nearest(rows, ROW_COUNT, KM_LIT("lsten")),
                        "listen");
    assert_string_equal(km_option_nearest(rows, ROW_COUNT, KM_LIT("listn_")),
                        "listen");
    assert_null(km_option_nearest(rows, ROW_COUNT, KM_LIT("li")));
    assert_null(km_option_nearest(rows, ROW_COUNT, KM_LIT("")));
    assert_null(km_option_nearest(rows, ROW_COUNT, KM_LIT("etcd")));
}

/* -- listings ------------------------------------------------------------ */

/* Returns the listing as a string that the caller frees. */
static char *listing(struct fixture *f,
                     kama_status (*list)(const struct km_options *,
                                         struct km_buf *))
{
    struct km_buf out;
    km_buf_init(&out, NULL, SIZE_MAX);
    assert_int_equal(list(&f->o, &out), KAMA_OK);
    char *text =
        km_mem_strndup(km_mem_default(), (const char *)out.data, out.len);
    km_buf_fini(&out);
    return text;
}

/* The help has headings, no row of a later version, and no line over 80
 * columns. */
static void test_help(void **state)
{
    struct fixture *f = *state;
    char *help = listing(f, km_options_help);
    assert_int_equal(strncmp(help, "Network:\n", 9), 0);
    assert_non_null(strstr(help, "\n\nMemory and time:\n"));
    assert_non_null(strstr(help, "  --max-connections=N       At most N "
                                 "connections. [default: 10]\n"));
    assert_non_null(strstr(help, "\n  --a-name-that-takes-the-whole-column=X\n"
                                 "                            Long.\n"));
    assert_non_null(strstr(help, "  --[no-]color "));
    assert_non_null(strstr(help, "(repeatable)"));
    assert_null(strstr(help, "etcd"));
    assert_null(strstr(help, "Cluster"));
    for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) {
        assert_in_range(strlen(line), 1, 80);
        assert_int_not_equal(line[strlen(line) - 1], ' ');
    }
    km_mem_free(km_mem_default(), help);
}

/* Rows that are not flags are listed as NAME=ARG, in the same columns. */
static void test_keys_help(void **state)
{
    static const struct km_option keys[] = {
        {"ttl", KM_OPTION_TTL, 0, "TIME", "forever", 0, 0, "How long."},
        {"loader_timeout", KM_OPTION_DURATION, 0, "TIME", NULL, 0, 0,
         "A time."},
        {"later", KM_OPTION_LATER, 0, NULL, NULL, 0, 0, ""},
    };
    struct km_buf out;
    (void)state;
    km_buf_init(&out, NULL, SIZE_MAX);
    assert_int_equal(km_option_keys_help(keys, 3, &out), KAMA_OK);
    assert_int_equal(km_buf_append(&out, "", 1), KAMA_OK);
    assert_string_equal(
        (const char *)out.data,
        "  ttl=TIME                  How long. [default: forever]\n"
        "  loader_timeout=TIME       A time.\n");
    km_buf_fini(&out);
}

/* A number is compared with the bounds of its row as the kind says. */
static void test_allows(void **state)
{
    struct km_option row = {.kind = KM_OPTION_UINT, .min = 1, .max = 10};
    (void)state;
    assert_false(km_option_allows(&row, 0));
    assert_true(km_option_allows(&row, 1));
    assert_true(km_option_allows(&row, 10));
    assert_false(km_option_allows(&row, 11));
    assert_false(km_option_allows(&row, UINT64_MAX));
    row.max = 0;
    assert_true(km_option_allows(&row, UINT64_MAX));
    row.kind = KM_OPTION_DURATION;
    assert_true(km_option_allows(&row, INT64_MAX));
    assert_false(km_option_allows(&row, (uint64_t)KAMA_TTL_FOREVER));
    assert_false(km_option_allows(&row, (uint64_t)INT64_MIN));
    row.kind = KM_OPTION_TTL;
    row.max = 10;
    assert_true(km_option_allows(&row, (uint64_t)KAMA_TTL_FOREVER));
    assert_false(km_option_allows(&row, (uint64_t)-2));
    assert_false(km_option_allows(&row, 11));
}

/* Every value is printed with its origin, and unusual characters are quoted. */
static void test_print(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set_flag(f, "listen", "a\n\"b"), KAMA_OK);
    assert_int_equal(km_options_set(&f->o, "group", "g1", KM_ORIGIN_ENV),
                     KAMA_OK);
    assert_int_equal(km_options_set(&f->o, "group", "g2", KM_ORIGIN_ENV),
                     KAMA_OK);
    char *text = listing(f, km_options_print);
    assert_string_equal(
        text, "listen = \"a\\n\\\"b\"  # flag\n"
              "max-connections = 10  # default\n"
              "group = \"g1\"  # environment\n"
              "group = \"g2\"  # environment\n"
              "max-bytes = 64m  # default\n"
              "page = 4k  # default\n"
              "drain-timeout = 5s  # default\n"
              "lifetime = forever  # default\n"
              "a-name-that-takes-the-whole-column = (none)  # default\n"
              "insecure = false  # default\n"
              "color = true  # default\n"
              "any = 0  # default\n");
    km_mem_free(km_mem_default(), text);
}

static kama_status document(const struct km_options *o, struct km_buf *out)
{
    return km_options_document(o, "KMT", out);
}

/* There is a table per heading, with flags and variables. */
static void test_document(void **state)
{
    struct fixture *f = *state;
    char *text = listing(f, document);
    assert_int_equal(strncmp(text, "## Network\n\n| flag |", 20), 0);
    assert_non_null(strstr(text, "\n| `--max-connections=N` | "
                                 "`KMT_MAX_CONNECTIONS` | `10` | At most N "
                                 "connections. |\n"));
    assert_non_null(strstr(text, "\n\n## Memory and time\n\n| flag |"));
    assert_null(strstr(text, "etcd"));
    km_mem_free(km_mem_default(), text);
}

/* -- failures ------------------------------------------------------------ */

static kama_status use_options(const kama_allocator *mem, void *arg)
{
    struct km_options o;
    struct settings s;
    struct km_buf out;
    kama_status status = km_options_init_with(&o, mem, rows, ROW_COUNT, &s);
    (void)arg;
    if (status != KAMA_OK) {
        return status;
    }
    km_buf_init(&out, mem, SIZE_MAX);
    status = km_options_from_env(&o, "KMT");
    for (int i = 0; i < 3 && status == KAMA_OK; i++) {
        status = km_options_set(&o, "group", "x", KM_ORIGIN_FLAG);
    }
    if (status == KAMA_OK) {
        status = km_options_help(&o, &out);
    }
    if (status == KAMA_OK) {
        status = km_options_print(&o, &out);
    }
    km_buf_fini(&out);
    km_options_fini(&o);
    return status;
}

/* When an allocation fails, there is an error and nothing leaks. */
static void test_no_memory(void **state)
{
    (void)state;
    setenv("KMT_GROUP", "one\ntwo\nthree", 1);
    assert_true(km_test_fail_each(use_options, NULL) > 6);
    unsetenv("KMT_GROUP");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_argv),
        TEST(test_argv_empty),
        TEST(test_refusals),
        TEST(test_bounds),
        TEST(test_origins),
        TEST(test_list_limit),
        TEST(test_env),
        TEST(test_injected_variables),
        TEST(test_injected_values_are_not_read),
        TEST(test_unknown_variables),
        TEST(test_spelling),
        TEST(test_names),
        TEST(test_help),
        TEST(test_keys_help),
        TEST(test_allows),
        TEST(test_print),
        TEST(test_document),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
