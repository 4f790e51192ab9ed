# SPDX-License-Identifier: MIT
"""A group whose origin is an SQLite database: values, misses, time to live,
writers, a lock, a replaced file, and every mistake found at the start."""
import os
import sqlite3
import unittest

from kamatest import (DAEMON, Client, Daemon, Folder, group, main, run,
                      wait_until)

QUERY = "?query=SELECT value, ttl AS ttl_ms FROM t WHERE key=?1"


def make(path, rows):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (key TEXT PRIMARY KEY, value, ttl)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    db.close()


class SqliteTest(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.addCleanup(folder.__exit__)
        self.path = os.path.join(folder.path, "data.db")
        make(self.path, [("tom", "cat", None), ("n", 42, None),
                         ("blob", b"\0\xff", None), ("empty", "", None),
                         ("brief", "1", 50), ("big", "x" * 2000, None)])

    def node(self, **options):
        return Daemon("--group", group(
            "g", loader="sqlite:" + self.path + QUERY, **options))

    def execute(self, sql):
        with sqlite3.connect(self.path) as db:
            db.execute(sql)
        db.close()

    def test_values(self):
        with self.node() as node, Client(node) as client:
            for key, value in ((b"tom", b"cat"), (b"n", b"42"), (b"empty", b""),
                               (b"blob", b"\0\xff")):
                self.assertEqual(client.get(key, "g"), value)
            for key in (b"nobody", b"tom\0", b"\xff", b"' OR 1=1 --"):
                self.assertEqual(client.error(key, "g")[0], "KAMA_MISS")

    def test_kept_until_deleted_or_expired(self):
        with self.node() as node, Client(node) as client:
            for key in (b"tom", b"brief"):
                client.get(key, "g")
            self.execute("UPDATE t SET value='new'")
            self.assertEqual(client.get(b"tom", "g"), b"cat")
            wait_until(lambda: client.get(b"brief", "g") == b"new")
            client.delete(b"tom", "g")
            self.assertEqual(client.get(b"tom", "g"), b"new")

    def test_locked_and_replaced(self):
        with self.node(loader_timeout="300ms") as node, Client(node) as client:
            db = sqlite3.connect(self.path, isolation_level=None)
            db.execute("BEGIN EXCLUSIVE")
            self.assertEqual(client.error(b"tom", "g")[0], "KAMA_ERR_TIMEOUT")
            db.execute("COMMIT")
            db.close()
            make(self.path + ".new", [("tom", "other", None)])
            os.rename(self.path + ".new", self.path)
            self.assertEqual(client.get(b"tom", "g"), b"other")

    def test_too_large(self):
        with self.node(max_value_bytes="1000") as node, \
                Client(node) as client:
            status, sentence = client.error(b"big", "g")
            self.assertEqual(status, "KAMA_ERR_TOO_LARGE")
            self.assertIn("1000", sentence)

    def test_mistakes_are_found_at_the_start(self):
        for config, text in (("/nowhere" + QUERY, "no such file"),
                             (self.path, "PATH?query=SQL"),
                             (self.path + "?query=SELECT nix", "nix"),
                             (self.path + "?query=DELETE FROM t WHERE key=?1",
                              "writes")):
            done = run("--check-config", "--group",
                       group("g", loader="sqlite:" + config))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(text, done.stdout + done.stderr)

    def test_wal_without_shm(self):
        """WAL mode in a folder that cannot be written: said, with what to
        do."""
        db = sqlite3.connect(self.path)
        db.execute("PRAGMA journal_mode=WAL")
        db.close()
        result = self.check_read_only(os.path.dirname(self.path))
        self.assertEqual(result.returncode, 2, result.stderr)
        for text in ("WAL mode", "-shm", "journal_mode=DELETE"):
            self.assertIn(text, result.stderr)

    def check_read_only(self, folder):
        """--check-config where the folder is mounted read-only."""
        script = ('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && '
                  'exec "$@"')
        unshare = ["unshare", "--mount", "/bin/sh", "-c", script, folder]
        if run(*unshare[1:], "/bin/true",
               program=unshare[0]).returncode != 0:
            self.skipTest("folders cannot be mounted here")
        return run(*unshare[1:], DAEMON, "--check-config", "--group",
                   group("g", loader="sqlite:" + self.path + QUERY),
                   program=unshare[0])


if __name__ == "__main__":
    main()
