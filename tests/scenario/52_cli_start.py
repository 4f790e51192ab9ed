# SPDX-License-Identifier: MIT
"""kamacache-cli before and without an answer: help, options, usage errors, a
node that is not there, comes later, is something else, or never answers."""
import signal
import socket
import subprocess
import threading
import time
import unittest

from clikit import (MISS, OK, OTHER, REFUSED, UNREACHABLE, USAGE, FakeNode,
                    cli, client_environment, health)
from kamatest import CLI, SLOWDOWN, Daemon, free_port, main

COMMANDS = ("get", "set", "del", "mget", "mset", "mdel", "exists", "ttl",
            "touch", "keys", "clear", "resize",
            "hotkeys", "stats", "groups", "ping")


class OptionsTest(unittest.TestCase):
    def assert_usage(self, *arguments, says):
        done = cli("", *arguments)
        self.assertEqual((done.returncode, done.stdout), (USAGE, b""), done)
        self.assertIn(says.encode(), done.stderr)
        self.assertIn(b"--help", done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_help(self):
        texts = {}
        for arguments in ([], *([name] for name in COMMANDS)):
            for flag in ("--help", "-h"):
                if arguments and flag == "-h":
                    continue  # short options stand before the command
                done = cli("", *arguments, flag)
                self.assertEqual((done.returncode, done.stderr), (OK, b""))
                lines = done.stdout.decode("ascii").split("\n")
                self.assertLessEqual(max(map(len, lines)), 80)
                self.assertFalse([l for l in lines if l != l.rstrip()])
                texts[" ".join(arguments)] = done.stdout.decode()
        commands = texts[""].split("Commands:\n")[1].split("\n\n")[0]
        for line in commands.split("\n"):
            self.assertTrue(line.startswith("  "), "not indented: " + line)
        for name in COMMANDS:
            self.assertIn("\n  %s" % name, texts[""])
            self.assertTrue(texts[name].startswith(
                "Usage: kamacache-cli [OPTION...] " + name))

    def test_version(self):
        done = cli("", "--version")
        self.assertRegex(done.stdout, rb"^kamacache-cli \d+\.\d+\.\d+\n$")
        for arguments in (["--version", "-v"], ["-v", "--version"]):
            long = cli("", *arguments).stdout
            self.assertTrue(long.startswith(done.stdout))
            for word in (b"revision: ", b"compiler: ", b"build: "):
                self.assertIn(b"\n" + word, long)

    def test_usage_errors(self):
        self.assert_usage(says="a command is missing")
        self.assert_usage("-v", "ping", says="--version")
        self.assert_usage("gte", "k", says="did you mean get?")
        self.assert_usage("grups", says="did you mean groups?")
        self.assert_usage("gropus", says="did you mean groups?")
        for other in ("help", "put", "repl", "lst"):
            self.assert_usage(other, says="no command %s\n" % other)
        self.assert_usage("clear", "x", says="usage: clear\n")
        for option in ("-e", "-g", "-q"):
            self.assert_usage("ttl", "k", option, "x", says="usage: ttl KEY "
                              "(%s stands before the command)\n" % option)
        self.assert_usage("frobnicate\x1b", says="no command frobnicate\\x1b")
        self.assert_usage("", says="no command")
        self.assert_usage("--jsn", "ping", says="did you mean --json?")
        self.assert_usage("get", "k", "--tiemout=1s",
                          says="did you mean --timeout?")
        self.assert_usage("get", "--key", says="--key: unknown option (behind "
                          "-- it is an argument)")
        self.assert_usage("set", "k", "--v=1", says="--v: unknown option "
                          "(behind -- it is an argument)")
        self.assert_usage("--key", "get", says="--key: unknown option\n")
        self.assert_usage("--bo\x1bgus", "ping", says="unknown option")
        self.assert_usage("-x", "ping", says="-x: unknown option")
        self.assert_usage("--json", "--raw", "ping",
                          says="cannot be used together")
        self.assert_usage("--json=maybe", "ping", says="--json")
        self.assert_usage("-e", says="needs a value")
        self.assert_usage("ping", "--endpoint", says="needs a value")
        for command in ("get", "set", "del", "mget"):
            self.assert_usage(command, says="usage: %s KEY" % command)
        self.assert_usage("get", "a", "b", says="usage: get KEY")
        self.assert_usage("set", "a", "b", "c", says="usage: set KEY")
        self.assert_usage("mget", "--", says="usage: mget KEY")
        for command in ("clear", "groups", "ping"):
            self.assert_usage(command, "x", says="usage: " + command)
        for words in (["x"], ["-n"], ["-n", "5", "6"], ["-m", "5"]):
            self.assert_usage("hotkeys", *words,
                              says="usage: hotkeys [-n N] [--largest]")
        for text in ("0", "1025", "-1", "x", ""):
            self.assert_usage("hotkeys", "-n", text, says="hotkeys: -n: ")
        self.assert_usage("hotkeys", "--limit=1025",
                          says="hotkeys: --limit: 1025 is outside 1..1024")
        self.assert_usage("keys", "--largest",
                          says="--largest: not an option of this command")
        self.assert_usage("keys", "*", "-n", "5", says="usage: keys [GLOB] "
                          "[--limit=N] (-n stands before the command)")
        self.assert_usage("resize", "g", says="usage: resize GROUP SIZE\n")
        for text in ("", "-1m", "1.5g", "64mb", "64 m", "9" * 40, "m"):
            self.assert_usage("resize", "g", "--", text, says="resize: SIZE: ")
        self.assert_usage("get", "a", "--ttl=5s", says="--ttl")
        self.assert_usage("set", "a", "b", "--limit=5", says="--limit")
        self.assert_usage("stats", "--bytes", says="--bytes: not an option")
        for limit in ("0", "-1", "x", "", "99999999999999999999"):
            self.assert_usage("keys", "--limit=" + limit, says="--limit")
        for text in ("0", "-1s", "x", "", "25h", "1y", "5", "forever"):
            self.assert_usage("--timeout=" + text, "ping", says="--timeout: ")
        for text in ("0", "-1", "", "25h", "86401", "forever"):
            self.assert_usage("--wait=" + text, "ping", says="--wait: ")
        for text in ("nowhere", "a:b", "1.2.3.4", ":70000", "x:-1", "\x1b"):
            self.assert_usage("-e", text, "ping", says="--endpoint: ")

    def test_endpoint_is_no_url(self):
        """Who pastes a URL is told what is wanted instead."""
        says = 'address "%s": it must be host:port, without scheme'
        for text in ("http://127.0.0.1:8001", "https://localhost", "grpc://x:1",
                     "http://[::1]:8001/"):
            self.assert_usage("-e", text, "ping",
                              says="--endpoint: " + says % text)
            done = cli("", "ping", env={"KAMACACHE_ENDPOINT": text})
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(("KAMACACHE_ENDPOINT: " + says % text).encode(),
                          done.stderr)

    def test_times_need_a_unit(self):
        """A bare number would be seconds to one reader, and milliseconds to
        another. No node is asked."""
        for option in ("--timeout", "--wait", "--ttl"):
            for number in ("5", "1", "60000"):
                self.assert_usage(
                    "set", "k", "v", option + "=" + number,
                    says="{0}: {1} what? write {1}s or {1}ms".format(
                        option, number))
        done = cli("", "ping", env={"KAMACACHE_TIMEOUT": "5"})
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"KAMACACHE_TIMEOUT: 5 what? write 5s or 5ms",
                      done.stderr)

    def test_environment(self):
        env = {"KAMACACHE_TIMEOUT": "never"}
        done = cli("", "ping", env=env)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"KAMACACHE_TIMEOUT", done.stderr)
        # These are no settings of ours.
        self.assertEqual(cli("", "--version", env={
            "KAMACACHE_VERSION": "1", "KAMACACHE_JSON": "x"}).returncode, OK)
        with Daemon("--group", "users", "--group", '"a b"') as node:
            for value in ("users", "users:ttl=5s\nother:loader=\"x:y\""):
                env = {"KAMACACHE_GROUP": value}
                self.assertEqual(cli(node, "get", "k", env=env).returncode,
                                 MISS)
                done = cli(node, "stats", env=env)
                self.assertTrue(done.stdout.startswith(b"group users\n"))
                self.assertNotIn(b"\nnode", done.stdout)
            for group in ("a b", '"a b"', '"a\\x20b"'):
                self.assertEqual(cli(node, "-q", "-g", group, "get", "k")
                                 .returncode, MISS)
            self.assertEqual(cli(node, "-q", "stats", '"a b"').returncode, OK)

    def test_unknown_variables(self):
        """A warning on stderr, with what was probably meant."""
        address = "127.0.0.1:%d" % free_port()
        done = cli(address, "ping", env={
            "KAMACACHE_ENDPIONT": "x", "KAMACACHE_\x1b[31m": "1"})
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(b"kamacache-cli: warning: KAMACACHE_ENDPIONT: unknown "
                      b"variable, did you mean KAMACACHE_ENDPOINT?\n",
                      done.stderr)
        self.assertIn(b"KAMACACHE_\\x1b[31m: unknown variable\n", done.stderr)
        # The daemon's variables, now and later, and those of Kubernetes.
        with Daemon() as node:
            done = cli(node, "ping", env={
                "KAMACACHE_LISTEN": "x", "KAMACACHE_ETCD": "x",
                "KAMACACHE_VERSION": "1", "KAMACACHE_PORT": "tcp://10.0.0.1:1",
                "KAMACACHE_SERVICE_HOST": "10.0.0.1",
                "KAMACACHE_PORT_8001_TCP_ADDR": "10.0.0.1"})
            self.assertEqual((done.returncode, done.stderr), (OK, b""))

    def test_places_of_options(self):
        with Daemon() as node:
            where = node.address
            for arguments in (["-e", where, "get", "k"],
                              ["-e" + where, "get", "k"],
                              ["--endpoint", where, "get", "k"],
                              ["get", "--endpoint=" + where, "k"],
                              ["get", "k", "--endpoint", where],
                              ["-e", where, "--", "get", "k"],
                              ["-e", where, "get", "--", "--help"]):
                self.assertEqual(cli("", *arguments).returncode, MISS,
                                 arguments)
            cli(node, "set", "--", "--key", "-v")
            cli(node, "set", "-k", "1")
            cli(node, "-q", "set", '"--q"', "2")
            for command, value in ((["--", "--key"], b"-v\n"),
                                   (["-k"], b"1\n"), (["--", "--q"], b"2\n")):
                self.assertEqual(cli(node, "get", *command).stdout, value)


class UnreachableTest(unittest.TestCase):
    def test_nobody_there(self):
        address = "127.0.0.1:%d" % free_port()
        for command in (["get", "k"], ["set", "k", "v"], ["del", "k"],
                        ["mget", "k"], ["keys"], ["clear"], ["stats"],
                        ["resize", "g", "64m"], ["hotkeys"], ["groups"],
                        ["ping"]):
            begin = time.monotonic()
            done = cli(address, "--json", *command)
            self.assertLess(time.monotonic() - begin, 2 * SLOWDOWN)
            self.assertEqual((done.returncode, done.stdout),
                             (UNREACHABLE, b""), done)
            self.assertIn(b"KAMA_ERR_UNREACHABLE", done.stderr)
            self.assertIn(("Is a node running at %s?" % address).encode(),
                          done.stderr)
        done = cli("no-such-host.invalid:1", "ping")
        self.assertEqual(done.returncode, UNREACHABLE)

    def test_wait_gives_up(self):
        address = "127.0.0.1:%d" % free_port()
        begin = time.monotonic()
        done = cli(address, "--wait=1s", "get", "k")
        took = time.monotonic() - begin
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertTrue(0.9 < took < 3 * SLOWDOWN, took)
        self.assertIn(b"no node serves after 1s of", done.stderr)

    def test_wait_until_it_starts(self):
        address = "127.0.0.1:%d" % free_port()
        waiting = subprocess.Popen(
            [CLI, "-e", address, "--wait=30s", "set", "k", "v"],
            env=client_environment(), stderr=subprocess.PIPE)
        time.sleep(0.3)  # some attempts fail; the outcome does not depend
        self.assertIsNone(waiting.poll())
        with Daemon(listen=address) as node:
            _, errors = waiting.communicate(timeout=30 * SLOWDOWN)
            self.assertEqual((waiting.returncode, errors), (OK, b""))
            self.assertEqual(cli(node, "--wait", "get", "k").stdout, b"v\n")

    def test_wait_until_it_serves(self):
        states = [2, 2, 2, 1]
        seen = []

        def check(*_):
            seen.append(states[min(len(seen), 3)])
            return health(seen[-1])()
        path = "/grpc.health.v1.Health/Check"
        with FakeNode({path: check}) as node:
            done = cli(node, "--wait=20s", "ping")
        self.assertEqual((done.returncode, seen), (OK, states + [1]))

    def test_something_else_answers(self):
        def serve(listener, reply):
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(100)
                    peer.sendall(reply)
        for reply in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b""):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                thread = threading.Thread(target=serve,
                                          args=(listener, reply), daemon=True)
                thread.start()
                done = cli("127.0.0.1:%d" % listener.getsockname()[1], "ping")
                self.assertIn(done.returncode, (UNREACHABLE, OTHER), done)
                self.assertEqual(done.stdout, b"")
                self.assertTrue(done.stderr.startswith(b"kamacache-cli: ping"))
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(10)

    def test_no_answer(self):
        with Daemon() as node:
            node.signal(signal.SIGSTOP)
            try:
                begin = time.monotonic()
                done = cli(node, "--timeout=500ms", "get", "k")
                self.assertLess(time.monotonic() - begin, 3 * SLOWDOWN)
                self.assertIn(done.returncode, (UNREACHABLE, OTHER), done)
                done = cli(node, "--timeout=500ms", "keys")
                self.assertIn(done.returncode, (UNREACHABLE, OTHER), done)
                # The client ends although the node is mute.
                done = cli(node, "--wait=1s", "ping")
                self.assertEqual(done.returncode, UNREACHABLE, done)
            finally:
                node.signal(signal.SIGCONT)
            self.assertEqual(cli(node, "get", "k").returncode, MISS)

    def test_mute_peer_takes_the_whole_time(self):
        """A peer that accepts and never speaks ends the call when --timeout
        is over, not before, as a node that cannot be reached."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "127.0.0.1:%d" % listener.getsockname()[1]
            for command in (["get", "k"], ["keys"], ["ping"]):
                begin = time.monotonic()
                done = cli(address, "--timeout=1s", *command)
                self.assertGreaterEqual(time.monotonic() - begin, 1)
                self.assertEqual(done.returncode, UNREACHABLE, done)
                self.assertIn(b"connected, but there was no answer in time",
                              done.stderr)
                self.assertIn(("Is a node running at %s?" % address).encode(),
                              done.stderr)

    def test_slow_answer(self):
        release = threading.Event()
        with FakeNode({"/kama.v2.Cache/Get":
                       lambda *_: release.wait(30) and b""}) as node:
            done = cli(node, "--timeout=300ms", "get", "k")
            release.set()
        self.assertEqual(done.returncode, OTHER, done)
        self.assertIn(b"KAMA_ERR_TIMEOUT", done.stderr)
        self.assertIn(b"--timeout (now 300 ms)", done.stderr)

    def test_unsupported(self):
        with FakeNode({}) as node:
            done = cli(node, "clear")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn(b"KAMA_ERR_UNSUPPORTED", done.stderr)


if __name__ == "__main__":
    main()
