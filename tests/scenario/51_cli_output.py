# SPDX-License-Identifier: MIT
"""What kamacache-cli prints: quoting that can be typed again, a terminal that
gets no foreign controls, JSON that is whole, output that cannot be written."""
import json
import random
import signal
import subprocess
import unittest

import grpc
import pexpect

from clikit import (MISS, OK, OTHER, REFUSED, UNREACHABLE, USAGE, FakeNode,
                    address_of, cli, cli_json, client_environment, health)
from kamatest import CLI, SLOWDOWN, Client, Daemon, main, pb2

CONTROLS = set(range(0x20)) - {0x0a} | {0x7f}
EVIL = "\x1b]0;title\x07\x1b[31m\u202e\u009b1m\r\n"


def on_terminal(node, *arguments):
    """(exit code, output) of the client on a terminal, its newlines as \\n."""
    child = pexpect.spawn(CLI, ["-e", address_of(node), *arguments],
                          env=client_environment(),
                                  timeout=20 * SLOWDOWN,
                          dimensions=(24, 200))
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before.replace(b"\r\n", b"\n")


class QuotingTest(unittest.TestCase):
    def test_what_is_listed_can_be_typed(self):
        rng = random.Random(7)
        keys = {bytes(rng.randrange(256) for _ in range(rng.randint(1, 40)))
                for _ in range(60)}
        keys |= {b"-x", b"--json", b"(miss)", b'"', b'"q"', b"\\", b" ", b"\0",
                 b"a\nb", b"../..", b"\xff", b"\x1b[2J", "😀日本".encode(),
                 "\u202eabc".encode(), b"x" * 4096, b"\0" * 4096}
        with Daemon() as node, Client(node) as client:
            for key in keys:
                client.set(key, b"v" + key, wait_for_ready=True)
            lines = cli(node, "keys").stdout.split(b"\n")
            self.assertEqual(lines.pop(), b"")
            self.assertEqual(len(lines), len(keys))
            found = set()
            for line in lines:
                self.assertFalse(CONTROLS & set(line), line)
                done = cli(node, "-q", "--raw", "get", line)
                self.assertEqual(done.returncode, OK, (line, done))
                found.add(done.stdout[1:])
            self.assertEqual(found, keys)
            # All of them in one mget: its lines name the keys that way, too.
            answers = cli(node, "-q", "mget", *lines).stdout.split(b"\n")
            for line, answer in zip(lines, answers):
                self.assertTrue(answer.startswith(line + b": "), answer)
                self.assertFalse(CONTROLS & set(answer), answer)
            code, got = cli_json(node, "mget", "--quoted", *lines)
            self.assertEqual((code, len(got)), (OK, len(keys)))

    def test_raw_keys(self):
        with Daemon() as node:
            cli(node, "-q", "set", '"a b\\xff"', "v")
            self.assertEqual(cli(node, "keys", "--raw").stdout, b"a b\xff\n")

    def test_malformed_quotes(self):
        for text in ('"', '"a', '"a\\"', '"\\q"', '"\\x1"', '"a"b'):
            for command in ("get", "del", "keys", "stats", "mget"):
                done = cli("127.0.0.1:1", "-q", command, text)
                self.assertEqual(done.returncode, USAGE, (command, text))
                self.assertIn(b"argument 1", done.stderr)
                # Without -q this is a key like any other.
                self.assertEqual(cli("127.0.0.1:1", command, text).returncode,
                                 UNREACHABLE)
            done = cli("127.0.0.1:1", "-q", "-g", text, "keys")
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(b"--group: ", done.stderr)


class ResizeTest(unittest.TestCase):
    def test_memory_that_is_held_is_named(self):
        """A bound that values which are still referenced exceed is in force,
        and the client says so."""
        def resize(*_):
            return pb2().ResizeResponse(old_max_bytes=1 << 30,
                                        bytes=3 << 20).SerializeToString()
        with FakeNode({"/kama.v2.Cache/Resize": resize}) as fake:
            done = cli(fake, "resize", "g", "2m")
            self.assertEqual((done.returncode, done.stdout), (OK, b""))
            self.assertEqual(done.stderr, b"kamacache-cli: resize: warning: the "
                             b"group uses 3m, because values are still "
                             b"referenced; the bound is kept to when they are "
                             b"given back\n")
            done = cli(fake, "resize", "g", "3m")
            self.assertEqual((done.returncode, done.stderr), (OK, b""))


class PeopleTest(unittest.TestCase):
    def test_terminal(self):
        with Daemon() as node, Client(node) as client:
            values = {"text": "a b\n\té".encode(), "esc": b"\x1b[31m",
                      "quote": b'"x"', "nul": b"\0", "none": b""}
            for key, value in values.items():
                client.set(key.encode(), value, wait_for_ready=True)
            for key, shown in (("text", "a b\n\té\n".encode()),
                               ("esc", b'"\\x1b[31m"\n'),
                               ("quote", b'"\\"x\\""\n'),
                               ("nul", b'"\\x00"\n'), ("none", b"\n")):
                self.assertEqual(on_terminal(node, "get", key), (OK, shown))
            self.assertEqual(on_terminal(node, "get", "absent"),
                             (MISS, b"(miss)\n"))
            self.assertEqual(on_terminal(node, "set", "k", "v"),
                             (OK, b"OK\n"))
            self.assertEqual(on_terminal(node, "--raw", "get", "k"),
                             (OK, b"v"))
            self.assertEqual(on_terminal(node, "del", "k"), (OK, b"1\n"))
            self.assertEqual(on_terminal(node, "mget", "quote", "k"),
                             (MISS, b'quote: "\\"x\\""\nk: (miss)\n'))
            self.assertEqual(on_terminal(node, "clear"), (OK, b"OK\n"))
            self.assertEqual(on_terminal(node, "resize", "default", "32m"),
                             (OK, b"OK\n"))
            self.assertEqual(on_terminal(node, "keys"), (OK, b""))
            code, text = on_terminal(node, "-g", EVIL, "get", EVIL)
            self.assertEqual(code, REFUSED)
            self.assertFalse(CONTROLS & set(text), text)

    def test_typing_a_value(self):
        with Daemon() as node:
            child = pexpect.spawn(CLI, ["-e", node.address, "set", "k"],
                                  env=client_environment(),
                                  timeout=20 * SLOWDOWN, echo=False)
            child.expect_exact("kamacache-cli: set: reading the value from "
                               "standard input; Ctrl-D ends it\r\n")
            child.send("typed\n\x04")
            child.expect("OK\r\n")
            child.expect(pexpect.EOF)
            self.assertEqual(cli(node, "--raw", "get", "k").stdout, b"typed\n")
            # Nothing is said when there is nothing to wait for.
            self.assertEqual(on_terminal(node, "set", "k", "v"), (OK, b"OK\n"))
            self.assertEqual(cli(node, "set", "k", stdin=b"piped").stderr, b"")

    def test_interrupted(self):
        child = pexpect.spawn(CLI, ["-e", "127.0.0.1:1", "--wait=60s", "ping"],
                              env=client_environment(), timeout=20 * SLOWDOWN)
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual(child.signalstatus, signal.SIGINT)


class NodeTest(unittest.TestCase):
    def node_lines(self, **fields):
        p = pb2()
        reply = p.StatsResponse(node=[p.Metric(name="connections", value=3)],
                                **fields)
        answer = {"/kama.v2.Cache/Stats": lambda *_: reply.SerializeToString()}
        with FakeNode(answer) as node:
            done = cli(node, "stats")
        self.assertEqual(done.returncode, OK)
        return [line.split(None, 1) for line in
                done.stdout.decode().splitlines()]

    def test_uptime_is_for_people(self):
        for ms, shown in ((0, "0s"), (59999, "59s"), (60000, "1m 0s"),
                          (3600000, "1h 0m 0s"),
                          (93784005, "1d 2h 3m 4s"),
                          (2**64 - 1, "213503982334d 14h 25m 51s")):
            self.assertEqual(
                self.node_lines(version="1.2.3", uptime_ms=ms, rss_bytes=7),
                [["node"], ["version", "1.2.3"], ["uptime", shown],
                 ["rss_bytes", "7"], ["connections", "3"]])

    def test_node_of_the_first_version(self):
        """It says nothing of itself."""
        self.assertEqual(self.node_lines(), [["node"], ["connections", "3"]])
        self.assertNotIn("\x1b", str(self.node_lines(version=EVIL)))


class GroupsTest(unittest.TestCase):
    """The columns of `groups`, of a node that says what the test wants."""

    def lines(self, groups, *arguments):
        p = pb2()
        reply = p.GroupsResponse(groups=[p.GroupInfo(
            name=name, entries=entries, bytes=size, max_bytes=most,
            policy="lru", has_loader=loader)
            for name, entries, size, most, loader in groups])
        answer = {"/kama.v2.Cache/Groups": lambda *_: reply.SerializeToString()}
        with FakeNode(answer) as node:
            done = cli(node, "groups", *arguments)
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        return done.stdout.decode().splitlines()

    def test_columns_are_aligned(self):
        groups = [("g", 1, 2000, 64 << 20, False),
                  ("用户", 123456, 5 << 20, 1 << 30, True),
                  ("e\u0301", 0, 0, 100 << 10, False),
                  ("with blank", 7, 1536, 1 << 20, True)]
        self.assertEqual(self.lines(groups), [
            "g                  1 entries  2.0k of  64m  lru",
            "用户          123456 entries    5m of   1g  lru  loader",
            "e\u0301                  0 entries     0 of 100k  lru",
            '"with blank"       7 entries  1.5k of   1m  lru  loader'])
        self.assertEqual(self.lines(groups, "--bytes"), [
            "g                  1 entries     2000 of   67108864 bytes  lru",
            "用户          123456 entries  5242880 of 1073741824 bytes  lru  "
            "loader",
            "e\u0301                  0 entries        0 of     102400 bytes  "
            "lru",
            '"with blank"       7 entries     1536 of    1048576 bytes  lru  '
            "loader"])

    def test_sizes_are_for_people(self):
        for size, shown in ((0, "0"), (1023, "1023"), (1024, "1k"),
                            (1536, "1.5k"), (10188, "9.9k"), (10240, "10k"),
                            (1048575, "1.0m"), (1 << 20, "1m"),
                            (1 << 40, "1024g"), (2**64 - 1, "17179869184g")):
            line, = self.lines([("g", 0, size, size, False)])
            self.assertEqual(line, "g  0 entries  %s of %s  lru" % (shown,
                                                                    shown))


class EvilNodeTest(unittest.TestCase):
    """A node that answers with controls, with garbage, or not to the end."""

    def test_sentences(self):
        def refuse(_, context):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no " + EVIL)
        with FakeNode({"/kama.v2.Cache/Get": refuse}) as node:
            done = cli(node, "get", "k")
            self.assertEqual(done.returncode, REFUSED)
            self.assertIn(b"no \\x1b]0;title\\x07\\x1b[31m\\xe2", done.stderr)
            self.assertFalse(CONTROLS & set(done.stderr), done.stderr)
            # Methods it does not have.
            self.assertEqual(cli(node, "del", "k").returncode, REFUSED)

    def test_names(self):
        p = pb2()
        answers = {
            "/kama.v2.Cache/Groups": p.GroupsResponse(groups=[p.GroupInfo(
                name=EVIL, policy=EVIL, options=[p.GroupOption(
                    name=EVIL, value=EVIL)])]),
            "/kama.v2.Cache/Stats": p.StatsResponse(
                groups=[p.GroupStats(name=EVIL, gets=2**64 - 1)],
                node=[p.Metric(name=EVIL, value=2**64 - 1)])}
        with FakeNode({path: lambda *_, m=m: m.SerializeToString()
                       for path, m in answers.items()}) as node:
            for command in ("groups", "stats"):
                done = cli(node, command)
                self.assertEqual(done.returncode, OK, done)
                self.assertFalse(CONTROLS & set(done.stdout), done.stdout)
                self.assertNotIn("\u202e".encode(), done.stdout)
                code, got = cli_json(node, command)
                self.assertEqual(code, OK)
                group, = got["groups"] if command == "stats" else got
                self.assertEqual(group["name"], EVIL)

    def test_json_hides_what_steers_a_terminal(self):
        """Controls of ISO 6429 and marks of direction are escaped in JSON,
        too, and mean the same when it is read."""
        value = EVIL + "\x7f\u0085\u2028\U000e0041é日\U0001f600"
        reply = pb2().GetResponse(found=True, value=value.encode())
        answer = {"/kama.v2.Cache/Get": lambda *_: reply.SerializeToString()}
        with FakeNode(answer) as node:
            done = cli(node, "--json", "get", value)
            self.assertEqual(done.returncode, OK, done)
            text = done.stdout.decode()
            for hidden in "\u202e\u009b\x7f\u0085\u2028\U000e0041":
                self.assertNotIn(hidden, text)
            self.assertIn("é日\U0001f600", text)
            self.assertFalse(CONTROLS & set(done.stdout), text)
            got = json.loads(text)
            self.assertEqual((got["key"], got["value"]), (value, value))

    def test_garbage(self):
        garbage = {"/kama.v2.Cache/" + method: lambda *_: b"\xff\xff\xff"
                   for method in ("Get", "Delete", "MGet", "Scan", "Stats",
                                  "Groups")}
        with FakeNode(garbage) as node:
            for command in (["get", "k"], ["del", "k"], ["mget", "k"],
                            ["keys"], ["stats"], ["groups"]):
                for mode in ([], ["--json"], ["--raw"]):
                    done = cli(node, *mode, *command)
                    self.assertEqual(done.returncode, OTHER, done)
                    self.assertIn(b"KAMA_ERR_PROTOCOL", done.stderr)
                    self.assertEqual(done.stdout, b"")

    def test_wrong_number_of_answers(self):
        p = pb2()
        for count, word in ((1, b"fewer"), (3, b"more")):
            reply = p.MGetResponse(
                items=[p.MGetItem(value=b"v")] * count).SerializeToString()
            with FakeNode({"/kama.v2.Cache/MGet": lambda *_: reply}) as node:
                done = cli(node, "mget", "a", "b")
                self.assertEqual(done.returncode, OTHER)
                self.assertIn(word, done.stderr)
                done = cli(node, "--json", "mget", "a", "b")
                self.assertEqual((done.returncode, done.stdout), (OTHER, b""))

    def test_mget_of_answers_that_fit_one_value(self):
        """Each call brings one value more; one that never comes ends it. An
        error on the way leaves nothing behind that was printed."""
        p = pb2()
        calls = []

        def answer(request, context):
            keys = list(p.MGetRequest.FromString(request).keys)
            calls.append(keys)
            if keys[0] == b"fail" and len(keys) < 3:
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            first = next((k for k in keys if k != b"huge"), None)
            return p.MGetResponse(items=[
                p.MGetItem(value=b"v" + key) if key == first else
                p.MGetItem(status=p.KAMA_ERR_TOO_LARGE)
                for key in keys]).SerializeToString()
        with FakeNode({"/kama.v2.Cache/MGet": answer}) as node:
            done = cli(node, "mget", "a", "huge", "b", "c")
            self.assertEqual(done.returncode, REFUSED)
            self.assertEqual(done.stdout, b"a: va\nhuge: (KAMA_ERR_TOO_LARGE)"
                             b"\nb: vb\nc: vc\n")
            self.assertEqual(calls, [
                [b"a", b"huge", b"b", b"c"], [b"huge", b"b", b"c"],
                [b"huge", b"c"], [b"huge"]])
            for mode in ([], ["--json"], ["--raw"]):
                done = cli(node, *mode, "mget", "first", "fail", "b")
                self.assertEqual((done.returncode, done.stdout), (OTHER, b""))
                self.assertIn(b"broken", done.stderr)

    def test_keys_that_break_off(self):
        p = pb2()

        def scan(sent, context):
            for i in range(sent):
                yield p.ScanResponse(entries=[p.ScanEntry(
                    key=b"k%d" % i)]).SerializeToString()
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        for sent in (0, 2):
            path = "/kama.v2.Cache/Scan"
            answer = {path: lambda _, c, sent=sent: scan(sent, c)}
            with FakeNode(answer, streams=(path,)) as node:
                done = cli(node, "--json", "keys")
                self.assertEqual(done.returncode, OTHER)
                self.assertIn(b"broken", done.stderr)
                if sent == 0:
                    self.assertEqual(done.stdout, b"")
                else:
                    self.assertEqual(len(json.loads(done.stdout)), sent)

    def test_not_serving(self):
        check = "/grpc.health.v1.Health/Check"
        with FakeNode({check: health(2)}) as node:
            done = cli(node, "ping")
            self.assertEqual(done.returncode, UNREACHABLE)
            self.assertTrue(done.stdout.startswith(b"NOT_SERVING "))
            done = cli(node, "--wait=1s", "ping")
            self.assertEqual((done.returncode, done.stdout),
                             (UNREACHABLE, b""))
            self.assertIn(b"no node serves after 1s of", done.stderr)
        # Without a health service, an answer is enough.
        with FakeNode({}) as node:
            self.assertEqual(cli(node, "--wait=5s", "get", "k").returncode,
                             REFUSED)


class DescriptorsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        with Client(cls.node) as client:
            for i in range(20000):
                client.set(b"key %d" % i, b"", wait_for_ready=True)
            client.set(b"one", b"v")

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def shell(self, script):
        return subprocess.run(
            ["bash", "-c", script, "sh", CLI, self.node.address],
            env=client_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=30 * SLOWDOWN, check=False)

    def test_reader_that_leaves(self):
        done = self.shell('set -o pipefail; "$1" -e "$2" keys | head -1')
        self.assertEqual((done.returncode, done.stderr), (OTHER, b""))
        self.assertEqual(done.stdout.count(b"\n"), 1)
        for mode in ("--json", "--raw"):
            done = self.shell('set -o pipefail; "$1" -e "$2" %s keys | '
                              'head -1' % mode)
            self.assertEqual((done.returncode, done.stderr), (OTHER, b""))

    def test_full(self):
        for command in ("get one", "keys", "--json keys", "stats", "--help",
                        "--version", "ping", "--json get one"):
            done = self.shell('"$1" -e "$2" %s >/dev/full' % command)
            self.assertEqual(done.returncode, OTHER, (command, done))
            self.assertIn(b"No space left", done.stderr, command)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)

    def test_closed(self):
        done = self.shell('"$1" -e "$2" get one >&-')
        self.assertEqual(done.returncode, OTHER)
        self.assertIn(b"standard output", done.stderr)
        done = self.shell('"$1" -e "$2" set two <&-')
        self.assertEqual(done.returncode, OTHER)
        self.assertIn(b"standard input", done.stderr)
        done = self.shell('"$1" -e "$2" get one 2>&-')
        self.assertEqual((done.returncode, done.stdout), (OK, b"v\n"))
        done = self.shell('"$1" -e "$2" get one <&- >&- 2>&-')
        self.assertEqual(done.returncode, OTHER)
        # A miss prints nothing, which works without a stdout.
        done = self.shell('"$1" -e "$2" get none >&-')
        self.assertEqual(done.returncode, MISS)

    def test_slow_reader(self):
        done = self.shell('"$1" -e "$2" keys | (read -r first; '
                          'sleep 11; wc -l)')
        self.assertEqual((done.stdout, done.stderr), (b"20000\n", b""))


if __name__ == "__main__":
    main()
