/* SPDX-License-Identifier: MIT */
/* The exec plug-in with real programs: their input, the values that they print,
 * and that they leave nothing behind, however they end. */
#include "helpers/plugin_host.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "loaders/failing_malloc.h"

static char folder[64];
static char script[128];
static int descriptors_before;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kama-exec-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(script, sizeof script, "%s/load", folder);
    descriptors_before = host_count_descriptors();
    return 0;
}

/* Asserts that no test leaves a descriptor or a process behind. */
static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(host_count_descriptors(), descriptors_before);
    assert_false(host_has_children());
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void write_script(const char *body)
{
    FILE *out = fopen(script, "w");
    assert_non_null(out);
    fprintf(out, "#!/bin/sh\n%s\n", body);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(script, 0755), 0);
}

/* Opens the loader with the script and these arguments. */
static void open_script(struct host_plugin *plugin, const char *body,
                        const char *arguments,
                        void (*change)(kama_loader_config *config))
{
    char config[512];
    write_script(body);
    snprintf(config, sizeof config, "%s %s", script, arguments);
    host_open(plugin, "exec", config, change);
    if (plugin->status != KAMA_OK) {
        fail_msg("%s", plugin->error);
    }
}

static void expect_script_value(const char *body, const char *arguments,
                                const char *value)
{
    struct host_plugin plugin;
    open_script(&plugin, body, arguments, NULL);
    host_expect_value(&plugin, KAMA_STR("tom"), kama_bytes_str(value), 0);
    host_close(&plugin);
}

static void expect_script_status(const char *body, kama_status status,
                                 const char *sentence)
{
    struct host_plugin plugin;
    open_script(&plugin, body, "", NULL);
    host_expect_status(&plugin, KAMA_STR("tom"), status, sentence);
    host_close(&plugin);
}

/* Every byte of the key comes on standard input, and nothing else does. */
static void test_key_on_stdin(void **state)
{
    (void)state;
    struct host_plugin plugin;
    host_open(&plugin, "exec", "/bin/cat", NULL);
    assert_int_equal(plugin.status, KAMA_OK);
    host_expect_value(&plugin, KAMA_STR("tom"), KAMA_STR("tom"), 0);
    host_expect_value(&plugin, KAMA_BYTES("-\0\n\xff", 4),
                      KAMA_BYTES("-\0\n\xff", 4), 0);
    char longest[4096];
    memset(longest, 'k', sizeof longest);
    kama_bytes key = kama_bytes_make(longest, sizeof longest);
    host_expect_value(&plugin, key, key, 0);
    host_close(&plugin);
}

/* Each {key} in an argument becomes the key. Words may be quoted. */
static void test_arguments(void **state)
{
    (void)state;
    static const char PRINT[] = "for a; do printf '<%s>' \"$a\"; done";
    expect_script_value(PRINT, "", "");
    expect_script_value(PRINT, "{key}", "<tom>");
    expect_script_value(PRINT, "--id={key}:{key} x", "<--id=tom:tom><x>");
    expect_script_value(PRINT, "a\\ b  \"c  d\"\t\"\" \"q\\\"\\\\\" $HOME *",
                        "<a b><c  d><><q\"\\><$HOME><*>");
    expect_script_value(PRINT, "{ke {key {{key}}", "<{ke><{key><{tom}>");
}

/* Characters of the key are never syntax. */
static void test_key_is_not_syntax(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_script(&plugin, "printf '<%s>' \"$@\"", "-- {key}", NULL);
    static const char KEY[] = "$(id) \"; {key} -x `ls`\n\\";
    char value[64];
    snprintf(value, sizeof value, "<--><%s>", KEY);
    host_expect_value(&plugin, KAMA_STR(KEY), KAMA_STR(value), 0);
    host_close(&plugin);
}

/* Arguments, a key that is refused for them, and a part of the sentence. */
static const struct {
    const char *arguments;
    const char *key;
    size_t len; /* 0 for the length of the string */
    const char *text;
} REFUSED[] = {
    {"{key}", "a\0b", 3, "NUL"},
    {"--id={key}", "\0", 1, "NUL"},
    {"{key}", "-x", 0, "option"},
    {"{key}", "--", 0, "option"},
    {"{key}={key}", "-x", 0, "option"},
    {"-n {key}", "-", 0, "option"},
    {"{key} --", "-x", 0, "option"},
    {"/srv/users/{key}", "../admin", 0, "dots"},
    {"-- /srv/{key}.txt", "a/../../b", 0, "dots"},
    {"--file=/srv/{key}/row", "..", 0, "dots"},
    {"./{key}", "..", 0, "dots"},
    {"http://o/users/{key}", "%2e%2e/admin", 0, "dots"},
};

/* A key that would be an option of the program, would lead out of a path, or
 * would be cut at a NUL byte is refused, and nothing is started. */
static void test_key_stays_in_its_argument(void **state)
{
    (void)state;
    char body[160];
    struct host_plugin plugin;
    snprintf(body, sizeof body, ": > '%s/started'", folder);
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        size_t len =
            REFUSED[i].len != 0 ? REFUSED[i].len : strlen(REFUSED[i].key);
        print_message("%zu: %s\n", i, REFUSED[i].arguments);
        open_script(&plugin, body, REFUSED[i].arguments, NULL);
        host_expect_status(&plugin, KAMA_BYTES(REFUSED[i].key, len),
                           KAMA_ERR_INVALID, REFUSED[i].text);
        host_close(&plugin);
    }
    snprintf(body, sizeof body, "%s/started", folder);
    assert_int_equal(access(body, F_OK), -1);
}

/* A key may begin with a dash behind other characters of the configuration, and
 * may contain dots where the configuration writes no path. */
static void test_keys_that_look_alike(void **state)
{
    (void)state;
    static const char PRINT[] = "for a; do printf '<%s>' \"$a\"; done";
    static const struct {
        const char *arguments;
        const char *key;
        const char *value;
    } taken[] = {
        {"-- {key}", "-x", "<--><-x>"},
        {"--id={key}", "-x", "<--id=-x>"},
        {"-i{key}", "-x", "<-i-x>"},
        {"-- -{key}", "x", "<--><-x>"},
        {"{key}", "../x", "<../x>"},
        {"../a/{key}", "..b", "<../a/..b>"},
        {"/srv/{key}", "/etc/x", "</srv//etc/x>"},
    };
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        struct host_plugin plugin;
        open_script(&plugin, PRINT, taken[i].arguments, NULL);
        host_expect_value(&plugin, kama_bytes_str(taken[i].key),
                          kama_bytes_str(taken[i].value), 0);
        host_close(&plugin);
    }
}

/* A program need not read its input. */
static void test_unread_input(void **state)
{
    (void)state;
    expect_script_value("exec <&-; printf hi", "", "hi");
    expect_script_value("exit 0", "", "");
}

/* Exit code 4 is a miss, and other codes are errors that show the first line of
 * stderr. */
static void test_exit_codes(void **state)
{
    (void)state;
    expect_script_status("exit 4", KAMA_MISS, NULL);
    expect_script_status("echo partial; exit 4", KAMA_MISS, NULL);
    expect_script_status("exit 1", KAMA_ERR_LOADER, "load: exit code 1");
    expect_script_status("echo 'no host'; exit 255", KAMA_ERR_LOADER,
                         "exit code 255");
    expect_script_status("printf 'no \\033[1mhost\\nmore' >&2; exit 3",
                         KAMA_ERR_LOADER, "exit code 3: no \\x1b[1mhost");
    expect_script_status("kill -SEGV $$", KAMA_ERR_LOADER, "died of signal 11");
    expect_script_status("kill -KILL $$", KAMA_ERR_LOADER, "died of signal 9");
}

/* Standard error is no part of the value, and a program that writes much of it
 * is not blocked. */
static void test_much_stderr(void **state)
{
    (void)state;
    expect_script_value("head -c 300000 /dev/zero >&2; printf value", "",
                        "value");
    expect_script_status("head -c 300000 /dev/zero >&2; exit 9",
                         KAMA_ERR_LOADER, "exit code 9: \\x00");
}

/* If the program has vanished or cannot be executed, the load fails. */
static void test_cannot_start(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_script(&plugin, "exit 0", "", NULL);
    assert_int_equal(unlink(script), 0);
    host_expect_status(&plugin, KAMA_STR("tom"), KAMA_ERR_LOADER,
                       "cannot start: No such file");
    FILE *out = fopen(script, "w");
    assert_non_null(out);
    fputs("#!/nowhere/shell\n", out);
    fclose(out);
    assert_int_equal(chmod(script, 0755), 0);
    host_expect_status(&plugin, KAMA_STR("tom"), KAMA_ERR_LOADER,
                       "cannot start");
    host_close(&plugin);
}

/* Mistakes that can be noticed when the loader is opened are errors there. */
static void test_refused_at_the_start(void **state)
{
    (void)state;
    host_expect_refused("exec", "", "no program");
    host_expect_refused("exec", "  \t", "no program");
    host_expect_refused("exec", "cat", "not a path");
    host_expect_refused("exec", "/bin/{key}", "cannot contain {key}");
    host_expect_refused("exec", "/bin/cat -{key}", "choose an option");
    host_expect_refused("exec", "/bin/cat --{key}=1", "choose an option");
    host_expect_refused("exec", "/bin/cat \"open", "not closed");
    host_expect_refused("exec", "/bin/cat end\\", "backslash");
    host_expect_refused("exec", "/nowhere/cat", "No such file");
    host_expect_refused("exec", "/tmp", "not a program");
    host_expect_refused("exec", "/etc/passwd", "not a program");
}

static void allow_1000_bytes(kama_loader_config *config)
{
    config->max_value_bytes = 1000;
}

/* Output of the greatest length is a value, and one more byte ends the
 * program. */
static void test_output_limit(void **state)
{
    (void)state;
    static const char zeros[1000];
    struct host_plugin plugin;
    open_script(&plugin, "head -c 1000 /dev/zero", "", allow_1000_bytes);
    host_expect_value(&plugin, KAMA_STR("k"), KAMA_BYTES(zeros, 1000), 0);
    host_close(&plugin);
    open_script(&plugin, "head -c 1001 /dev/zero", "", allow_1000_bytes);
    host_expect_status(&plugin, KAMA_STR("k"), KAMA_ERR_TOO_LARGE, "1000");
    host_close(&plugin);
    open_script(&plugin, "exec cat /dev/zero", "", NULL);
    host_expect_status(&plugin, KAMA_STR("k"), KAMA_ERR_TOO_LARGE, "1048576");
    host_close(&plugin);
}

static void expect_timeout(const char *body)
{
    struct host_plugin plugin;
    struct host_result result;
    open_script(&plugin, body, "", NULL);
    host_load(&plugin, KAMA_STR("tom"), 200, &result);
    if (result.status != KAMA_ERR_TIMEOUT) {
        fail_msg("status %d: %s", result.status, result.sentence);
    }
    assert_in_range(result.took_ms, 199, 3000);
    host_result_fini(&result);
    host_close(&plugin);
}

/* A program is killed at the deadline, whatever it is doing. */
static void test_deadline(void **state)
{
    (void)state;
    expect_timeout("sleep 60");
    expect_timeout("exec sleep 60");
    expect_timeout("trap '' TERM INT HUP; while :; do sleep 1; done");
    expect_timeout("exec >&- 2>&-; sleep 60");
    expect_timeout("exec cat /dev/zero >&2");
    expect_timeout("printf value; sleep 60");
}

static void wait_until_gone(pid_t pid)
{
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_int_not_equal(kill(pid, 0), 0);
}

/* Processes that the program has started end with it. That they hold the output
 * open delays nothing. */
static void test_descendants(void **state)
{
    (void)state;
    struct host_plugin plugin;
    struct host_result result;
    open_script(&plugin, "sleep 60 & echo $!", "", NULL);
    host_load(&plugin, KAMA_STR("tom"), 20000, &result);
    assert_int_equal(result.status, KAMA_OK);
    assert_in_range(result.took_ms, 0, 10000);
    wait_until_gone((pid_t)atoi(result.value));
    host_result_fini(&result);
    host_close(&plugin);
}

/* The program has default signal handling, no blocked signal and only three
 * descriptors, although this thread blocks and ignores signals. */
static void test_clean_environment(void **state)
{
    (void)state;
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &all, &old), 0);
    void (*old_pipe)(int) = signal(SIGPIPE, SIG_IGN);
    int leak = open("/dev/null", O_RDONLY);
    assert_true(leak >= 0);
    /* The last 7 digits are signals 1..28; libc keeps 32 and 33 for itself. */
    expect_script_value("sed -nE 's/^Sig(Blk|Ign):.*(.{7})$/\\1\\2/p'"
                        " /proc/self/status | tr '\\n' ' ';"
                        " cd /proc/self/fd; for f in *; do"
                        " case $(readlink /proc/$$/fd/$f) in"
                        " /dev/null) printf '<%s>' $f ;; esac; done",
                        "", "Blk0000000 Ign0000000 ");
    close(leak);
    signal(SIGPIPE, old_pipe);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

/* In a host without standard descriptors the pipes get their numbers, and are
 * connected correctly nevertheless. */
static void test_closed_standard_descriptors(void **state)
{
    (void)state;
    struct host_plugin plugin;
    struct host_result result;
    open_script(&plugin, "cat; printf oops >&2", "", NULL);
    int saved[3];
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    host_load(&plugin, KAMA_STR("tom"), 5000, &result);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    assert_int_equal(result.status, KAMA_OK);
    assert_string_equal(result.value, "tom");
    host_result_fini(&result);
    host_close(&plugin);
}

struct runner {
    const struct host_plugin *plugin;
    char key[16];
    int good;
    char wrong[300];
};

static void *run_many(void *arg)
{
    struct runner *runner = arg;
    for (int i = 0; i < 8; i++) {
        struct host_result result;
        host_load(runner->plugin, kama_bytes_str(runner->key), 60000, &result);
        if (result.status == KAMA_OK &&
            strcmp(result.value, runner->key) == 0) {
            runner->good++;
        } else {
            snprintf(runner->wrong, sizeof runner->wrong, "%d: %s",
                     result.status, result.sentence);
        }
        host_result_fini(&result);
    }
    return NULL;
}

/* The programs of 16 threads do not hold each other's pipes open, so that each
 * sees the end of its input at once. */
static void test_many_threads(void **state)
{
    (void)state;
    struct host_plugin plugin;
    host_open(&plugin, "exec", "/bin/cat", NULL);
    assert_int_equal(plugin.status, KAMA_OK);
    pthread_t threads[16];
    struct runner runners[16];
    memset(runners, 0, sizeof runners);
    for (int i = 0; i < 16; i++) {
        runners[i].plugin = &plugin;
        snprintf(runners[i].key, sizeof runners[i].key, "key %d", i);
        assert_int_equal(
            pthread_create(&threads[i], NULL, run_many, &runners[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(runners[i].wrong, "");
        assert_int_equal(runners[i].good, 8);
    }
    host_close(&plugin);
}

/* When the n-th allocation fails, for every n, there is an error and nothing
 * leaks. */
static void test_allocation_failures(void **state)
{
    (void)state;
    expect_allocation_failures("exec", "/bin/cat", KAMA_STR("tom"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_on_stdin),
        TEST(test_arguments),
        TEST(test_key_is_not_syntax),
        TEST(test_key_stays_in_its_argument),
        TEST(test_keys_that_look_alike),
        TEST(test_unread_input),
        TEST(test_exit_codes),
        TEST(test_much_stderr),
        TEST(test_cannot_start),
        TEST(test_refused_at_the_start),
        TEST(test_output_limit),
        TEST(test_deadline),
        TEST(test_descendants),
        TEST(test_clean_environment),
        TEST(test_closed_standard_descriptors),
        TEST(test_many_threads),
        TEST(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
