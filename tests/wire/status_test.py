#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kama.v2.Status has the names and numbers of the C library's statuses."""
import os
import re
import unittest

SOURCE = os.environ.get("KAMA_SOURCE_DIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


class StatusTest(unittest.TestCase):
    def test_same(self):
        rows = re.findall(r"X\((KAMA_\w+), (-?\d+), ",
                          read("include", "kamacache", "kamacache.h"))
        proto = read("proto", "kama", "v2", "cache.proto")
        enum = re.search(r"enum Status \{(.*?)\n\}", proto, re.S).group(1)
        self.assertGreater(len(rows), 30)
        self.assertEqual(re.findall(r"(KAMA_\w+) = (-?\d+);", enum), rows)


if __name__ == "__main__":
    unittest.main()
