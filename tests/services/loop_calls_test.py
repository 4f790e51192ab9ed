#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The handlers of src/services run on event loops, and so they call nothing that
can wait: of the public API only the functions below, and no function of base/
that waits. (In a cluster, kama_set and its relatives wait for another node.)"""
import glob
import os
import re
import unittest

SOURCE = os.environ["KAMA_SOURCE_DIR"]

# Views, references, contexts, names, counters, and a scan of the own memory.
NEVER_WAIT = {
    "kama_bytes_make", "kama_bytes_str", "kama_ctx_init", "kama_group_name",
    "kama_group_stats_get", "kama_scan", "kama_strerror", "kama_value_bytes",
    "kama_value_etag", "kama_value_ref", "kama_value_ttl_ms",
    "kama_value_unref", "kama_value_version",
    "kama_version",
}
WAITS = re.compile(r"\b(km_event_wait|km_cond_wait\w*|km_group_mutate|"
                   r"km_pool_\w*wait\w*|km_client_\w+|nanosleep|usleep|"
                   r"sleep|poll)\s*\(")
# km_cluster_wait_ready and km_service_env_settle are for threads of the caller.
MAY_WAIT = {"cluster.c", "env.c"}


def code_of(path):
    """The file without its comments."""
    with open(path, encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)


class LoopCalls(unittest.TestCase):
    def setUp(self):
        self.files = glob.glob(os.path.join(SOURCE, "src/services/*.c"))
        self.assertGreater(len(self.files), 20)

    def test_public_functions_never_wait(self):
        for path in self.files:
            called = set(re.findall(r"\b(kama_[a-z_0-9]+)\(", code_of(path)))
            self.assertEqual(called - NEVER_WAIT, set(),
                             os.path.basename(path))

    def test_nothing_waits(self):
        for path in self.files:
            if os.path.basename(path) not in MAY_WAIT:
                self.assertIsNone(WAITS.search(code_of(path)), path)


if __name__ == "__main__":
    unittest.main()
