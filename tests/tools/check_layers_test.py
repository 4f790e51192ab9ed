#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""The layer checker finds what it has to find, and nothing in a good tree."""
import os
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.environ["KAMA_SOURCE_DIR"], "tools/check_layers.py")

GOOD = {
    "include/kamacache/kamacache.h": "",
    "include/kamacache/loader.h": "#include <kamacache/kamacache.h>\n",
    "src/base/buf.h": "",
    "src/base/log.h": "",
    "src/base/limits.h": "#define KM_RPC_GAP_MS 100\n#define KM_TTL_MS 1\n",
    "src/store/store.h": '#include "base/buf.h"\n',
    "src/net/conn.h": "#include <uv.h>\n",
    "src/wire/h2/h2.h": "#include <nghttp2/nghttp2.h>\n",
    "src/wire/msg/msg.h": "",
    "src/services/v1.c": '#include "wire/msg/msg.h"\n',
    "src/group/group.h": '#include "store/store.h"\n'
                         '#define KM_GROUP_SIZE KM_TTL_MS\n',
    "src/rpc/server.h": '#include "net/conn.h"\n#include "wire/h2/h2.h"\n'
                        "int gap = KM_RPC_GAP_MS;\n",
    "src/peers/pool.h": "#include \"rpc/server.h\"\n",
    "src/sync/log.h": '#include "base/log.h"\n',
    "src/admin/http.h": '#include "net/conn.h"\n',
    "src/node/node.c": '#include "net/conn.h"\n#include "wire/h2/h2.h"\n'
                       '#include "peers/pool.h"\n#include "sync/log.h"\n',
    "src/loaders/exec.c": "#include <kamacache/loader.h>\n#include <spawn.h>\n",
    "src/apps/common/manual.h": '#include "base/buf.h"\n',
    "src/apps/kamacached/args.h": "",
    "src/group/options.h": "",
    "src/group/counters.h": '#include "base/metric.h"\n',
    "src/base/metric.h": "",
    "src/apps/kamacached/main.c": "#include <kamacache/kamacache.h>\n"
                                  '#include "args.h"\n'
                                  '#include "apps/common/manual.h"\n'
                                  '#include "group/options.h"\n'
                                  '#include "kamacache_build.h"\n'
                                  '#include "apps/kamacache-cli/options.h"\n',
    "src/apps/kamacache-cli/options.h": "",
    "src/apps/kamacache-cli/main.c": '#include "rpc/server.h"\n'
                                     '#include "group/counters.h"\n'
                                     '#include "wire/h2/h2.h"\n',
}

# One line that is added to the good tree, and what is said about it.
BAD = (
    ("src/base/buf.h", '#include "store/store.h"', "store (level 1)"),
    ("src/store/store.h", '#include "net/conn.h"', "of one level (1)"),
    ("src/net/conn.h", '#include "wire/h2/h2.h"', "of one level (1)"),
    ("src/wire/h2/h2.h", '#include "store/store.h"', "of one level (1)"),
    ("src/group/group.h", '#include "net/conn.h"', "only base, flight, store"),
    ("src/group/group.h", '#include "rpc/server.h"', "of one level (2)"),
    ("src/rpc/server.h", '#include "node/node.c"', "node (level 4)"),
    ("src/peers/pool.h", '#include "sync/log.h"', "of one level (3)"),
    ("src/peers/pool.h", '#include "net/conn.h"', "may include src/net/"),
    ("src/services/v1.c", '#include "wire/h2/h2.h"', "may include src/wire/"),
    ("src/services/v1.c", '#include "sync/log.h"', "of one level (3)"),
    ("src/net/conn.h", "int gap = KM_RPC_GAP_MS;", "belongs to rpc"),
    ("src/base/buf.h", "int gap = KM_RPC_GAP_MS;", "belongs to rpc"),
    ("src/store/store.h", "int size = KM_GROUP_SIZE;", "belongs to group"),
    ("src/store/store.h", "#include <uv.h>", "may use <uv.h>"),
    ("src/wire/h2/h2.h", "#include <sys/socket.h>", "may use <sys/socket.h>"),
    ("src/loaders/exec.c", '#include "base/buf.h"', "kamacache/loader.h"),
    ("src/loaders/exec.c", "#include <kamacache/kamacache.h>",
     "kamacache/loader.h"),
    ("src/apps/kamacached/main.c", '#include "group/counters.h"',
     "base, include/kamacache of ours"),
    ("src/apps/kamacached/main.c", '#include "rpc/server.h"',
     "base, include/kamacache of ours"),
    ("src/apps/kamacache-cli/main.c", '#include "apps/kamacached/args.h"',
     "include/kamacache, rpc, wire of ours"),
    ("src/apps/kamacache-cli/main.c", '#include "group/group.h"',
     "include/kamacache, rpc, wire of ours"),
    ("src/apps/kamacache-cli/main.c", '#include "group/options.h"',
     "include/kamacache, rpc, wire of ours"),
    ("src/apps/common/manual.h", '#include "rpc/server.h"',
     "base, include/kamacache of ours"),
    ("include/kamacache/kamacache.h", '#include "../../src/base/buf.h"',
     "include/kamacache of ours"),
    ("src/base/buf.h", '#include "base/missing.h"', "not in the tree"),
    ("src/node/node.c", '#include "apps/kamacached/args.h"', "may not"),
)


def check(files):
    """(exit status, output) of the tool on a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="ascii") as out:
                out.write(text)
        done = subprocess.run([sys.executable, TOOL, root], text=True,
                              capture_output=True, check=False)
    return done.returncode, done.stdout


class CheckLayersTest(unittest.TestCase):
    def test_good_tree_passes(self):
        status, output = check(GOOD)
        self.assertEqual((status, output.count("\n")), (0, 1), output)

    def test_each_violation_is_found(self):
        for path, line, reason in BAD:
            with self.subTest(path=path, line=line):
                text = GOOD[path] + line + "\n"
                status, output = check(dict(GOOD, **{path: text}))
                number = text.count("\n")
                self.assertEqual(status, 1, output)
                self.assertEqual(output.count("\n"), 2, output)
                self.assertIn(reason, output)
                if "uses both" not in reason:
                    self.assertIn(f"{path}:{number}: ", output)

    def test_unknown_folder_fails(self):
        files = dict(GOOD, **{"src/misc/x.c": '#include "base/buf.h"\n'})
        status, output = check(files)
        self.assertEqual(status, 1)
        self.assertIn("src/misc/x.c:1: ", output)

    def test_empty_tree_fails(self):
        self.assertEqual(check({})[0], 1)


if __name__ == "__main__":
    sys.exit(unittest.main())
