#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Loader plug-ins of others: what is wrong with one is said at the start; one
that works uses the whole table of the host, and what it returns is checked."""
import ctypes
import os
import subprocess
import unittest

import kamatest
from kamatest import Client, Daemon, Folder, run

COMMON = """
#include <kamacache/loader.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifndef ABI
#define ABI KAMA_LOADER_ABI_VERSION
#endif
static const kama_loader_host *host;
static kama_status start(const kama_loader_host *h,
                         const kama_loader_config *config, char *error,
                         size_t cap, void **ret_loader)
{
    if (strcmp(config->config, "fail") == 0) {
        snprintf(error, cap, "no %s here", config->config);
        return KAMA_ERR_IO;
    }
    host = h;
    host->log(2, "odd", "opened for somebody");
    *ret_loader = malloc(1);
    return KAMA_OK;
}
struct later { pthread_t thread; kama_deferred *deferred; char key[64]; };
static void *finish(void *arg)
{
    struct later *later = arg;
    host->load_finish(later->deferred, KAMA_OK, KAMA_STR(later->key), NULL);
    free(later);
    return NULL;
}
static kama_status defer(const char *key, kama_sink *out)
{
    struct later *later = calloc(1, sizeof *later);
    snprintf(later->key, sizeof later->key, "%s", key);
    later->deferred = host->load_defer(out);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_create(&later->thread, &detached, finish, later);
    return KAMA_DEFERRED;
}
static kama_status load(void *loader, const kama_load *req, kama_sink *out)
{
    char key[64] = "";
    (void)loader;
    memcpy(key, req->key.data, req->key.len < 63 ? req->key.len : 63);
    if (strcmp(key, "set") == 0) {
        kama_sink_options options;
        memset(&options, 0, sizeof options);
        options.struct_size = sizeof options;
        options.ttl_ms = 60000;
        options.version = 7;
        return host->sink_set(out, KAMA_STR("value"), &options);
    }
    if (strcmp(key, "absent") == 0) {
        kama_sink_options options = {sizeof options, KAMA_NO_STORE, 0, 0};
        return host->sink_absent(out, &options);
    }
    if (strcmp(key, "later") == 0) { return defer(key, out); }
    if (strcmp(key, "nothing") == 0) { return KAMA_OK; }
    if (strcmp(key, "deferred") == 0) { return KAMA_DEFERRED; }
    if (strcmp(key, "odd") == 0) { return (kama_status)4711; }
    if (strcmp(key, "wrong") == 0) { return (kama_status)-4711; }
    if (strcmp(key, "would") == 0) { return KAMA_WOULD_LOAD; }
    if (strcmp(key, "miss") == 0) { return KAMA_MISS; }
    if (strcmp(key, "ttl") == 0) {
        kama_sink_options options = {sizeof options, 0, -5, 0};
        return host->sink_set(out, KAMA_STR("value"), &options);
    }
    if (strcmp(key, "busy") == 0) { return KAMA_ERR_OVERLOADED; }
    if (strcmp(key, "refused") == 0) { return KAMA_ERR_INVALID; }
    while (strcmp(key, "hang") == 0) { pause(); }
    host->sink_error(out, "the sentence of the plug-in");
    return KAMA_ERR_NO_GROUP;
}
static void end(void *loader) { free(loader); }
#ifndef WITHOUT
static const kama_loader_plugin_info INFO = {
    .struct_size = SIZE, .abi_version = ABI, .name = "odd", .version = "1",
    .help = "odd:\\n", .open = start, .load = LOAD, .close = end,
};
const kama_loader_plugin_info *kama_loader_plugin(void)
{
    (void)&load;
    return RESULT;
}
#else
int other(void);
int other(void) { (void)&load; (void)&start; (void)&end; return 0; }
#endif
"""
DEFAULTS = {"SIZE": "sizeof INFO", "LOAD": "load", "RESULT": "&INFO"}


class Plugins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        cls.source = cls.folder.file("odd.c", COMMON)
        cls.build("good")

    @classmethod
    def build(cls, name, **defines):
        path = os.path.join(cls.folder.path, name + ".so")
        words = ["-D%s=%s" % item for item in {**DEFAULTS, **defines}.items()]
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-I",
             os.path.join(kamatest.SOURCE, "include"), *words, cls.source,
             "-o", path], check=True)
        return path

    def refused(self, name, config, says):
        result = run("--check-config", "--loader-path", self.folder.path,
                     "--group", "g:loader=%s:%s" % (name, config))
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn(says, result.stderr)

    def test_wrong_ones(self):
        self.build("abi", ABI="7")
        self.refused("abi", "x", "loader ABI 7, and this program has ABI 1")
        self.build("short", SIZE="8")
        self.refused("short", "x", "not complete")
        self.build("noload", LOAD="0")
        self.refused("noload", "x", "not complete")
        self.build("null", RESULT="0")
        self.refused("null", "x", "not complete")
        self.build("none", WITHOUT="1")
        self.refused("none", "x", "no function kama_loader_plugin")
        self.refused("missing", "x", "missing.so")
        self.refused("good", "fail", "group g: loader good: no fail here")

    def test_links_nothing(self):
        """Neither this one nor those of the tree need a library of ours."""
        ctypes.CDLL(os.path.join(self.folder.path, "good.so"))
        for name in ("sqlite", "http", "exec"):
            lines = subprocess.run(
                ["readelf", "-d", os.path.join(kamatest.LOADERS,
                                               name + ".so")],
                text=True, capture_output=True, check=True).stdout
            self.assertNotIn("libkamacache", lines)
            if kamatest.SANITIZER:  # brings names of its own
                continue
            names = subprocess.run(
                ["nm", "-D", "--defined-only",
                 os.path.join(kamatest.LOADERS, name + ".so")],
                text=True, capture_output=True, check=True).stdout
            self.assertEqual([line.split()[-1] for line in
                              names.splitlines()], ["kama_loader_plugin"])

    def test_answers(self):
        with Daemon("--loader-path", self.folder.path, "--group",
                    "g:loader=good:x,loader_timeout=500ms,"
                    "negative_ttl=60s") as node, \
                Client(node) as client:
            self.assertEqual(node.wait_line("opened for somebody")["level"],
                             "warn")
            self.assertEqual(client.get(b"set", "g"), b"value")
            pb2 = kamatest.pb2()
            reply = kamatest.v2(client.channel, "Get",
                                pb2.GetRequest(group="g", key=b"set"))
            self.assertEqual(reply.version, 7)
            self.assertTrue(0 < reply.ttl_ms <= 60000)
            self.assertEqual(client.get(b"later", "g"), b"later")
            for key, status in (
                    (b"nothing", "KAMA_ERR_LOADER"),
                    (b"deferred", "KAMA_ERR_LOADER"),
                    (b"odd", "KAMA_ERR_LOADER"),
                    (b"wrong", "KAMA_ERR_LOADER"),
                    (b"would", "KAMA_ERR_LOADER"),
                    (b"ttl", "KAMA_ERR_LOADER"),
                    (b"busy", "KAMA_ERR_OVERLOADED"),
                    (b"refused", "KAMA_ERR_INVALID"),
                    (b"miss", "KAMA_MISS"),
                    (b"absent", "KAMA_MISS"),
                    (b"other", "KAMA_ERR_LOADER")):
                self.assertEqual(client.error(key, "g")[0], status, key)
            for key, did in (
                    (b"nothing", "returned KAMA_OK without a value"),
                    (b"odd", "returned 4711, which is no kama_status"),
                    (b"refused", "returned KAMA_ERR_INVALID and gave no "
                                "reason")):
                self.assertEqual(
                    client.error(key, "g")[1],
                    'group g: the loader %s (key "%s")' % (did, key.decode()))
            self.assertEqual(client.error(b"other", "g")[1],
                             "the sentence of the plug-in")
            # The last one returns behind its answer.
            kamatest.wait_until(lambda: client.stats("g").loads_running == 0)
            loads = client.stats("g").loads
            for key in (b"miss", b"absent"):
                self.assertEqual(client.error(key, "g")[0], "KAMA_MISS")
            self.assertEqual(client.stats("g").loads, loads + 1)

    def test_a_load_that_hangs_past_its_time(self):
        """It counts as running, holds its slot, and not the daemon's end."""
        with Daemon("--loader-path", self.folder.path, "--group",
                    "g:loader=good:x,loader_timeout=200ms,"
                    "loader_concurrency=1") as node, \
                Client(node) as client:
            self.assertEqual(client.error(b"hang", "g")[0],
                             "KAMA_ERR_TIMEOUT")
            self.assertEqual(client.stats("g").loads_running, 1)
            self.assertEqual(client.error(b"set", "g")[0], "KAMA_ERR_TIMEOUT")
            self.assertEqual(client.stats("g").loads, 1)
            node.signal()
            self.assertEqual(node.wait(10), 0)
            node.wait_line("loads that are still running are abandoned")


if __name__ == "__main__":
    kamatest.main()
