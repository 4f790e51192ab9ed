#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A start that hangs, here in the open of a loader, ends: after
--start-timeout with an error, at a signal at once."""
import os
import signal
import subprocess
import time
import unittest

import kamatest
from kamatest import Daemon, Folder, run

PLUGIN = """
#include <kamacache/loader.h>
#include <unistd.h>
static kama_status hang(const kama_loader_host *host,
                        const kama_loader_config *config, char *error,
                        size_t cap, void **ret_loader)
{
    (void)host; (void)config; (void)error; (void)cap; (void)ret_loader;
    for (;;) { pause(); }
}
static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg; (void)req; (void)out;
    return KAMA_MISS;
}
static void end(void *loader) { (void)loader; }
static const kama_loader_plugin_info INFO = {
    .struct_size = sizeof INFO, .abi_version = KAMA_LOADER_ABI_VERSION,
    .name = "hang", .version = "1", .help = "hang:\\n",
    .open = hang, .load = load, .close = end,
};
const kama_loader_plugin_info *kama_loader_plugin(void) { return &INFO; }
"""


class StartTimeout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        source = cls.folder.file("hang.c", PLUGIN)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-I",
             os.path.join(kamatest.SOURCE, "include"), source, "-o",
             os.path.join(cls.folder.path, "hang.so")], check=True)
        cls.arguments = ("--loader-path", cls.folder.path, "--group",
                         "g:loader=hang:x")

    def test_timeout(self):
        node = Daemon("--start-timeout=300ms", *self.arguments, ready=False)
        self.addCleanup(node.kill)
        self.assertEqual(node.wait(), 1)
        line = node.wait_line("cannot start")
        self.assertIn("--start-timeout", line["reason"])
        self.assertEqual(line["start_timeout_ms"], 300)

    def test_signals(self):
        """Nothing is served yet: there is nothing to drain."""
        for number in (signal.SIGTERM, signal.SIGINT):
            node = Daemon("--start-timeout=1h", *self.arguments, ready=False)
            self.addCleanup(node.kill)
            node.wait_line("starting")
            begin = time.monotonic()
            node.signal(number)
            self.assertEqual(node.wait(), 0)
            self.assertLess(time.monotonic() - begin, 5 * kamatest.SLOWDOWN)
            self.assertEqual(
                node.wait_line("stopped before it was ready")["signal"],
                signal.Signals(number).name)

    def test_check_config(self):
        result = run("--check-config", "--start-timeout=300ms",
                     *self.arguments)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--start-timeout (300 ms)", result.stderr)

    def test_limits(self):
        for text in ("0", "0ms", "61m"):
            result = run("--check-config", "--start-timeout=" + text)
            self.assertEqual(result.returncode, 2, text)
            self.assertIn("--start-timeout", result.stderr)
        for text in ("1ms", "1h"):
            result = run("--print-config", "--start-timeout=" + text)
            self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    kamatest.main()
