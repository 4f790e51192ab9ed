# SPDX-License-Identifier: MIT
"""Functions of an application that do not return: a C++ exception, pthread_exit
and a cancelled thread, from every kind of function that the library calls. The
process ends with a sentence, whoever would catch the exception, or the call goes
on; nothing is left locked. With gcc and clang, shared and static."""
# ctest: labels=nosan
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

SOURCE_DIR = os.environ.get(
    "KAMA_SOURCE_DIR",
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIB_DIR = os.path.join(os.environ.get("KAMA_BUILD_DIR", "build"), "lib")

PROGRAM = r"""
#include <kamacache/flight.h>
#include <kamacache/kamacache.h>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <unistd.h>

static std::string mode;
static std::atomic<int> entered(0);
static std::atomic<bool> go(false);

static void leave()
{
    if (mode.find("exit") != std::string::npos) {
        pthread_exit(nullptr);
    }
    throw std::runtime_error("boom");
}

static bool is(const char *what)
{
    return mode.compare(0, std::strlen(what), what) == 0;
}

/* Waits in a cancellation point until it may go on. */
static void linger()
{
    entered++;
    while (!go) {
        usleep(1000);
    }
}

static kama_status load(void *, const kama_load *req, kama_sink *out)
{
    if (is("loader")) {
        leave();
    }
    if (is("cancel")) {
        linger();
    }
    return kama_sink_set(out, req->key, nullptr);
}

static void loader_free(void *)
{
    if (is("loader_free")) {
        leave();
    }
}

static void got(void *, kama_status, kama_value *value)
{
    kama_value_unref(value);
    leave();
}

static void got_many(void *, kama_status, const kama_item *items, size_t)
{
    kama_value_unref(items[0].value);
    leave();
}

static int entry(void *, const kama_entry *)
{
    if (is("cancel scan")) {
        linger();
        return 0;
    }
    leave();
    return 0;
}

static void *alloc(void *, size_t size)
{
    if (entered > 0) {
        leave();
    }
    return std::malloc(size);
}
static void *resize(void *, void *p, size_t size) { return std::realloc(p, size); }
static void release(void *, void *p) { std::free(p); }

static std::uint64_t hash(int) { return 1; }
/* equal was called: it runs under the lock under which its caller parks, so that
 * whoever ends the call finds that caller there. */
static std::atomic<bool> compared(false);

static int equal(int a, int b)
{
    compared = true;
    if (is("equal")) {
        leave();
    }
    return a == b;
}
static void ref(int) { if (is("ref")) { leave(); } }
static void unref(int) { if (is("unref")) { leave(); } }
KAMA_FLIGHT_DEFINE_REF(flight, int, int, hash, equal, ref, unref)
static flight calls;

static kama_status work(void *, int, int *ret_result)
{
    if (is("flight")) {
        leave();
    }
    linger();
    *ret_result = 1;
    return KAMA_OK;
}

static kama_group *group;

static void *lead(void *)
{
    int result;
    (void)!flight_do(&calls, 1, work, nullptr, 0, &result, nullptr);
    return nullptr;
}

static void *get(void *key)
{
    kama_value *value;
    const char *text = static_cast<const char *>(key);
    kama_status st = kama_get(group, KAMA_STR(text), nullptr, &value);
    std::printf("get %s\n", kama_status_name(st));
    std::fflush(stdout);
    if (st == KAMA_OK) {
        kama_value_unref(value);
    }
    pthread_testcancel();
    std::puts("not cancelled");
    return nullptr;
}

static void *scan(void *)
{
    std::uint64_t cursor = 0;
    (void)!kama_scan(group, &cursor, KAMA_STR(""), entry, nullptr);
    std::puts("scanned");
    std::fflush(stdout);
    pthread_testcancel();
    std::puts("not cancelled");
    return nullptr;
}

static void await(bool (*done)())
{
    while (!done()) {
        usleep(1000);
    }
}

/* Two threads in the library, one inside the loader, one that waits for it;
 * both are cancelled, and end when their calls have returned. */
static void cancel_gets()
{
    char key[] = "k";
    pthread_t leader, waiter;
    pthread_create(&leader, nullptr, get, key);
    await([] { return entered == 1; });
    pthread_create(&waiter, nullptr, get, key);
    await([] {
        kama_group_stats stats;
        kama_group_stats_get(group, &stats);
        return stats.loads_coalesced == 1;
    });
    pthread_cancel(leader);
    pthread_cancel(waiter);
    go = true;
    pthread_join(leader, nullptr);
    pthread_join(waiter, nullptr);
    get(key);
}

static void cancel_scan()
{
    pthread_t scanner;
    (void)!kama_set(group, KAMA_STR("k"), KAMA_STR("v"), nullptr);
    pthread_create(&scanner, nullptr, scan, nullptr);
    await([] { return entered == 1; });
    pthread_cancel(scanner);
    go = true;
    pthread_join(scanner, nullptr);
}

static void use_flight()
{
    int result;
    pthread_t thread;
    if (flight_init(&calls) != KAMA_OK) {
        return;
    }
    pthread_create(&thread, nullptr, lead, nullptr);
    if (!is("flight")) {
        await([] { return entered == 1; });
        if (is("equal")) {
            (void)!flight_do(&calls, 1, work, nullptr, 0, &result, nullptr);
        }
        pthread_t waiter;
        pthread_create(&waiter, nullptr, [](void *) -> void * {
            (void)!flight_do(&calls, 1, work, nullptr, 0, nullptr, nullptr);
            return nullptr;
        }, nullptr);
        await([] { return compared.load(); });
        go = true;
        pthread_join(waiter, nullptr);
    }
    pthread_join(thread, nullptr);
}

static void *run(void *)
{
    kama_value *value;
    kama_bytes key = KAMA_STR("k");
    std::uint64_t cursor = 0;
    if (is("loader_free")) {
        kama_group_free(group);
    } else if (is("loader")) {
        (void)!kama_get(group, key, nullptr, &value);
    } else if (is("get_async")) {
        (void)!kama_get_async(group, key, nullptr, got, nullptr);
        sleep(20);
    } else if (is("mget_async")) {
        (void)!kama_mget_async(group, &key, 1, nullptr, got_many, nullptr);
        sleep(20);
    } else if (is("scan")) {
        (void)!kama_set(group, key, KAMA_STR("v"), nullptr);
        (void)!kama_scan(group, &cursor, KAMA_STR(""), entry, nullptr);
    } else if (is("alloc")) {
        entered = 1;
        (void)!kama_set(group, key, KAMA_STR("v"), nullptr);
    } else if (is("cancel scan")) {
        cancel_scan();
    } else if (is("cancel")) {
        cancel_gets();
    } else {
        use_flight();
    }
    return nullptr;
}

int main(int, char **argv)
{
    kama_group_options options;
    kama_allocator allocator = {alloc, resize, release, nullptr};
    mode = argv[1];
    kama_group_options_init(&options);
    options.name = "users";
    options.loader = load;
    options.loader_free = loader_free;
    if (is("alloc")) {
        options.allocator = &allocator;
    }
    if (kama_group_new(&options, &group) != KAMA_OK) {
        return 1;
    }
    if (mode.find("thread") != std::string::npos) {
        pthread_t thread;
        pthread_create(&thread, nullptr, run, nullptr);
        pthread_join(thread, nullptr);
    } else {
        try {
            run(nullptr);
        } catch (const std::exception &e) {
            std::printf("caught %s\n", e.what());
        }
    }
    mode = "done";
    kama_group_free(group);
    std::puts("end");
    return 0;
}
"""

# Mode, and who the sentence says it was.
LEAVERS = [
    ("loader", 'group users: the loader %s (key "k")'),
    ("loader_free", "group users: loader_free %s"),
    ("get_async", "group users: the callback of kama_get_async %s"),
    ("mget_async", "group users: the callback of kama_mget_async %s"),
    ("scan", 'group users: the callback of kama_scan %s (key "k")'),
    ("alloc", "alloc of the allocator %s"),
    ("flight", "the function of a flight %s"),
    ("equal", "equal_fn of a flight %s"),
    ("ref", "ref_fn of a flight %s"),
    ("unref", "unref_fn of a flight %s"),
]
THREW = ("threw an exception; functions that KamaCache calls must return "
         "normally, so the process ends")
ENDED = ("ended its thread (pthread_exit or cancellation) instead of "
         "returning; the process ends, because the call cannot be completed")


class Callbacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        source = os.path.join(cls.folder.name, "program.cc")
        with open(source, "w", encoding="ascii") as text:
            text.write(PROGRAM)
        cls.programs = {}
        for compiler in ("g++", "clang++"):
            for kind in ("shared", "static"):
                if shutil.which(compiler):
                    cls.build(compiler, kind, source)
        assert cls.programs

    @classmethod
    def build(cls, compiler, kind, source):
        path = os.path.join(cls.folder.name, compiler + "-" + kind)
        library = ([os.path.join(LIB_DIR, "libkamacache-core.a")]
                   if kind == "static" else
                   ["-L" + LIB_DIR, "-lkamacache-core",
                    "-Wl,-rpath," + LIB_DIR])
        subprocess.run(
            [compiler, "-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror",
             "-I" + os.path.join(SOURCE_DIR, "include"), source, "-o", path,
             *library, "-pthread"], check=True)
        cls.programs[compiler, kind] = path

    def run_program(self, path, mode):
        return subprocess.run([path, mode], capture_output=True, text=True,
                              timeout=60, check=False)

    def expect_end(self, mode, sentence):
        for name, path in self.programs.items():
            with self.subTest(program=name, mode=mode):
                done = self.run_program(path, mode)
                self.assertEqual(done.returncode, -signal.SIGABRT, done)
                self.assertEqual(done.stdout, "")
                self.assertEqual(done.stderr.splitlines()[0],
                                 "kamacache: " + sentence)
                return_text = "what():  boom" in done.stderr
                self.assertEqual(return_text, "threw" in sentence, done.stderr)

    def test_an_exception_ends_the_process_with_a_sentence(self):
        """Whether somebody would have caught it, or nobody."""
        for mode, sentence in LEAVERS:
            self.expect_end(mode, sentence % THREW)
            self.expect_end(mode + " thread", sentence % THREW)

    def test_the_end_of_a_thread_ends_the_process_with_a_sentence(self):
        for mode, sentence in LEAVERS:
            self.expect_end(mode + " exit thread", sentence % ENDED)

    def test_a_cancelled_thread_completes_its_call(self):
        for name, path in self.programs.items():
            with self.subTest(program=name):
                done = self.run_program(path, "cancel")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(
                    done.stdout, "get KAMA_OK\n" * 3 + "not cancelled\nend\n")
                done = self.run_program(path, "cancel scan")
                self.assertEqual((done.returncode, done.stdout),
                                 (0, "scanned\nend\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
