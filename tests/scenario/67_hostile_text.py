#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Text of others in messages: nothing from arguments, the environment, a loader
or a server forges a line or steers a terminal, and no character is halved."""
import unittest

import kamatest
from clikit import FakeNode, cli
from kamatest import CLI, Client, Daemon, Folder, run

import grpc

EVIL = "a\nts=forged level=error\x1b]0;t\x07\x1b[31m\u202e\u009b\x7f"
SETTINGS = ("LISTEN INSECURE THREADS MAX_CONNECTIONS START_TIMEOUT "
            "DRAIN_TIMEOUT GROUP LOADER_PATH LOG_LEVEL LOG_FORMAT ETCD").split()
GROUPS = ('"%s":ttl=5', '"%s"', "%s", "g:%s=1", 'g:ttl="%s"', 'g:ttl="%s"x',
          'g:policy="%s"', 'g:loader="%s"', 'g:loader="sqlite:%s?query=x"',
          'g:loader="http:%s"', 'g:loader="exec:/%s"')
FAR = "日" * 120
LOADER = """
case $1 in
far) printf '%s' >&2 ;;
evil) printf 'x\\033[31m\\302\\233\\377y\\n' >&2 ;;
esac
exit 3
""" % FAR


class HostileText(unittest.TestCase):
    def check(self, text):
        """Only newlines of ours, and nothing that is not shown."""
        self.assertFalse([c for c in text if (ord(c) < 0x20 and c != "\n") or
                          0x7f <= ord(c) <= 0x9f or c in "\u202e\ufffd"], text)
        self.assertFalse([line for line in text.split("\n")
                          if line.startswith("ts=forged")], text)

    def check_run(self, *arguments, **kwargs):
        result = run(*arguments, **kwargs)
        self.check(result.stdout)
        self.check(result.stderr)
        return result

    def test_settings(self):
        # A loader that is none ends a daemon that would begin to serve.
        end = ("--group", "end:loader=nosuch:")
        for name in SETTINGS:
            flag = "--" + name.lower().replace("_", "-")
            with self.subTest(name=name):
                for action in ("--check-config", "--print-config"):
                    self.check_run(action, env={"KAMACACHE_" + name: EVIL})
                self.check_run("--check-config", flag + "=" + EVIL, *end)
                self.check_run(flag + "=" + EVIL, *end)
                self.check_run("--log-format=json", flag + "=" + EVIL, *end)
        for argument in (EVIL, "--" + EVIL, "-" + EVIL, "--no-" + EVIL + "=x"):
            self.check_run(argument)

    def test_groups(self):
        for form in GROUPS:
            text = form % EVIL
            with self.subTest(form=form):
                for action in ("--check-config", "--print-config"):
                    self.check_run(action, "--group", text)
                    self.check_run(action, env={"KAMACACHE_GROUP": text})
                self.check_run("--group", text, "--group=end:loader=nosuch:")

    def test_client(self):
        for name in ("ENDPOINT", "GROUP", "TIMEOUT"):
            self.check_run("-e", "127.0.0.1:1", "get", "k", program=CLI,
                           env={"KAMACACHE_" + name: EVIL})
        for arguments in (["-e", EVIL, "ping"], ["-e", EVIL + ":1", "ping"],
                          [EVIL], ["--" + EVIL], ["-" + EVIL], ["-q", "get",
                          '"' + EVIL], ["--timeout=" + EVIL, "ping"],
                          ["set", "k", "v", "--ttl=" + EVIL]):
            self.check_run(*arguments, program=CLI)

    def test_server(self):
        """A server's sentence is cut and shown, whatever is in it."""
        def refuse(_, context):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, EVIL + FAR)
        with FakeNode({"/kama.v2.Cache/Get": refuse}) as node:
            done = cli(node, "get", "k")
        self.check(done.stderr.decode())
        self.assertIn("日日", done.stderr.decode())

    def test_loader(self):
        """A loader's sentence, over gRPC, in the client and in the log."""
        with Folder() as folder:
            script = folder.script("load", LOADER)
            loader = "exec:%s {key}" % script
            with Daemon("--group", kamatest.group("g", loader=loader)) \
                    as node, Client(node) as client:
                for key in (b"far", b"evil"):
                    status, text = client.error(key, "g")
                    self.assertEqual(status, "KAMA_ERR_LOADER")
                    self.check(text)
                    done = cli(node, "-g", "g", "get", key)
                    self.check(done.stderr.decode())
                self.assertIn("x\\x1b[31m\\xc2\\x9b\\xffy", text)
            self.check("\n".join(node.raw))


if __name__ == "__main__":
    kamatest.main()
