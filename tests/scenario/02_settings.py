#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""The command line and the environment: what is accepted, refused, printed."""
import os
import re
import unittest

import kamatest
from kamatest import Daemon, Client, run

LATER = ("config etcd-ca etcd-cert etcd-key peers tls-cert tls-key "
         "tls-ca auth-token-file memory-limit").split()


class Settings(unittest.TestCase):
    def refused(self, *arguments, says, env=None):
        result = run("--check-config", *arguments, env=env)
        self.assertEqual((result.returncode, result.stdout), (2, ""),
                         result.stderr)
        self.assertIn(says, result.stderr)
        self.assertIn("kamacached: ", result.stderr)

    def accepted(self, *arguments, env=None):
        result = run("--check-config", *arguments, env=env)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "the settings are good\n")

    def test_help(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for flag in ("listen group threads loader-path max-connections "
                     "start-timeout drain-timeout log-level log-format "
                     "insecure check-config print-config version help").split():
            self.assertIn("--" + flag, result.stdout)
        for line in result.stdout.splitlines():
            self.assertLessEqual(len(line), 80)
        for flag in ("etcd etcd-user etcd-password-file advertise cluster "
                     "service labels weight require-discovery").split():
            self.assertIn("--" + flag, result.stdout)
        self.assertNotIn("--etcd-ca", result.stdout)
        self.assertEqual(run("-h").stdout, result.stdout)

    def test_version(self):
        short, long = run("--version"), run("--version", "-v")
        self.assertRegex(short.stdout, r"^kamacached \d+\.\d+\.\d+\n$")
        self.assertEqual((short.returncode, long.returncode), (0, 0))
        self.assertTrue(long.stdout.startswith(short.stdout))
        for word in ("revision: ", "compiler: ", "build: ", "features: "):
            self.assertIn("\n" + word, long.stdout)
        # The folder in use: plug-ins are found beside a moved program.
        folder = re.search(r"^loaders: (.*)$", long.stdout, re.M)[1]
        self.assertTrue(os.path.exists(os.path.join(folder, "exec.so")), folder)
        # An image's own KAMACACHE_VERSION is none of our settings.
        self.accepted(env={"KAMACACHE_VERSION": "0.1.0"})

    def test_unknown(self):
        self.refused("--lisen=:0", says="did you mean --listen?")
        self.refused("--nonsense", says="--nonsense: unknown option")
        self.refused("-v", says="-v: unknown option")
        self.refused("extra", says="extra")
        self.refused("--listen", says="needs a value")
        self.refused("--threads=65", says='65 is outside 0..64')
        self.refused("--threads=two", says="--threads")
        self.refused("--drain-timeout=5x", says="--drain-timeout")
        self.refused("--log-level=loud", says="--log-level")
        self.refused("--log-format=xml", says="--log-format")

    def test_times_need_a_unit(self):
        """As a flag, as a variable, in a group, and in a group of a variable;
        only 0 stands alone."""
        says = "5 what? write 5s or 5ms"
        for flag in ("start-timeout", "drain-timeout"):
            variable = "KAMACACHE_" + flag.upper().replace("-", "_")
            self.refused("--%s=5" % flag, says="--%s: %s" % (flag, says))
            self.refused(env={variable: "5"}, says=variable + ": " + says)
        for key in ("ttl", "negative_ttl", "loader_timeout"):
            group = "users:%s=5" % key
            self.refused("--group", group, says="users: %s: %s" % (key, says))
            self.refused(env={"KAMACACHE_GROUP": group},
                         says="users: %s: %s" % (key, says))
        self.accepted("--drain-timeout=0", "--group=a:ttl=0,negative_ttl=0")
        self.accepted("--group=a:ttl=forever,negative_ttl=forever",
                      "--group=b:max_bytes=65536")
        for wrong in ("--drain-timeout=forever", "--start-timeout=0",
                      "--group=a:loader_timeout=forever"):
            self.refused(wrong, says="timeout: ")

    def test_later(self):
        """Flags of a later version are known, and refused."""
        for flag in LATER:
            self.refused("--%s=x" % flag, says="--%s: not in this version"
                         % flag)
            variable = "KAMACACHE_" + flag.upper().replace("-", "_")
            self.refused(env={variable: "x"}, says="not in this version")

    def test_cluster(self):
        """The options of a cluster are named as they were written."""
        self.refused("--etcd=https://e:1", says="--etcd: https:// is not in this")
        self.refused(env={"KAMACACHE_ETCD": "e"}, says="KAMACACHE_ETCD: ")
        self.refused("--weight=17", says="17 is outside 1..16")
        self.refused("--weight=0", says="0 is outside 1..16")
        self.refused("--advertise=0.0.0.0:1",
                     says="--advertise: nobody can connect to 0.0.0.0:1")
        self.refused("--labels=a,,b", says="--labels: a name of 0 bytes")
        self.refused("--etcd=e:1", "--etcd-user=u",
                     says="--etcd-user: a user and a password file are given "
                          "together")
        self.refused("--etcd=e:1", "--etcd-user=u",
                     "--etcd-password-file=/nonexistent",
                     says="--etcd-password-file: /nonexistent: No such file")
        self.refused("--etcd=e:1", "--service=a/b", says="--service: ")
        self.refused("--require-discovery",
                     says="--require-discovery: no endpoint of etcd is given")
        self.refused(env={"KAMACACHE_REQUIRE_DISCOVERY": "true"},
                     says="KAMACACHE_REQUIRE_DISCOVERY: no endpoint")
        self.accepted("--cluster=blue", "--labels=zone-a,ssd", "--weight=16",
                      "--etcd=e:1", "--require-discovery", "--advertise=h:1")
        self.accepted(env={"KAMACACHE_CLUSTER": "blue",
                           "KAMACACHE_ETCD": "e:1",
                           "KAMACACHE_REQUIRE_DISCOVERY": "true",
                           "KAMACACHE_WEIGHT": "2"})

    def test_listen(self):
        self.refused("--listen=nonsense", says='--listen: address "nonsense": ')
        self.refused("--listen=0.0.0.0:0", says="; --insecure permits it\n")
        self.refused("--listen=*:0", says="--listen: *:0 is reachable")
        self.refused("--listen=http://127.0.0.1:0", says="--listen: address "
                     '"http://127.0.0.1:0": it must be host:port, without scheme')
        # As it was written: a variable names variables.
        env = {"KAMACACHE_LISTEN": "0.0.0.0:0"}
        self.refused(env=env, says="; KAMACACHE_INSECURE=true permits it\n")
        self.refused(env=env, says="KAMACACHE_LISTEN: 0.0.0.0:0 is reachable")
        self.accepted(env=dict(env, KAMACACHE_INSECURE="true"))
        self.refused("--listen=*:0", env=env, says="; --insecure permits it\n")
        self.refused(env={"KAMACACHE_LISTEN": "x"},
                     says='KAMACACHE_LISTEN: address "x": ')
        for name in ("LEVEL", "FORMAT"):
            self.refused(env={"KAMACACHE_LOG_" + name: "loud"},
                         says='KAMACACHE_LOG_%s: "loud" is not ' % name)
        self.accepted("--listen=0.0.0.0:0", "--insecure")
        self.accepted("--listen=[::1]:0")

    def test_groups(self):
        self.accepted("--group", "a:max_bytes=1g,ttl=5m,policy=lru",
                      "--group", "b", "--group", '"c:d":ttl="5s"')
        for text in ("", ":ttl=5s", '"":ttl=5s'):
            self.refused("--group", text, says='group "": a name is needed')
        self.refused("--group", "a:max_byte=1g", says="did you mean max_bytes?")
        self.refused("--group", "users,ttl=5m", says="group users,ttl=5m: "
                     "NAME:KEY=VALUE has a colon behind the name")
        self.accepted("--group", '"users,ttl=5m"')
        self.refused("--group", "a:loader=http://h/{key}?a=1,2",
                     says='"2" is not KEY=VALUE; a value with commas stands in')
        self.refused("--group", "a:ttl", says="is not KEY=VALUE\n")
        self.refused("--group", "a:", says="is not KEY=VALUE")
        self.refused("--group", "a:ttl=5s,", says="is not KEY=VALUE")
        self.refused("--group", "a:ttl=5s,ttl=6s", says="ttl: given twice")
        self.refused("--group", 'a:ttl="5s', says="a quote is not closed")
        self.refused("--group", 'a:ttl="5s"x', says="follows a closing quote")
        self.refused("--group", "a:loader=exec:/bin/echo x", says="blanks")
        self.refused("--group", "a:sync=shard:17", says="must be 1 to 16")
        self.refused("--group", "a:sync=peers:a:1+b", says="sync: peers:")
        self.refused("--group", "a:sync=all", says="none of broadcast, inv")
        self.refused("--group", "a", "--group", "a", says="exists already")
        self.refused("--group", "a:max_bytes=1m,max_value_bytes=1m",
                     says="max_value_bytes")

    def test_wrong_values_of_groups(self):
        """The sentence names the group, the key, the value and the limit."""
        for key, value, says in (
                ("loader_concurrency", "0",
                 '0 is outside 1..1024'),
                ("loader_concurrency", "99999999999999999999",
                 '"99999999999999999999" is too large; write a number in '
                 "1..1024"),
                ("max_bytes", "99999999999g",
                 '"99999999999g" is too large; the largest size is '
                 "17179869183g"),
                ("ttl", "9999999999999999h",
                 '"9999999999999999h" is too large; the longest duration is '
                 "2562047788015h"),
                ("ttl", "soon", '"soon" is not a duration such as 250ms, 5s, '
                 "3m, 1h, or forever"),
                ("max_bytes", "1k", "1k is outside 64k..65536g"),
                ("policy", "fifo", '"fifo" is none of s3fifo+, s3fifo and lru'),
                ("ttl_jitter", "51", '51 is outside 0..50')):
            says = "group users: %s: %s" % (key, says)
            text = 'users:%s="%s"' % (key, value)
            self.refused("--group", text, says=says)
            self.refused(env={"KAMACACHE_GROUP": text}, says=says)
        self.refused("--group", '"用户:x":ttl=5', says="group 用户:x: ttl: 5 what?")
        self.refused("--threads=99999999999999999999", says="too large")
        self.refused("--max-connections=99999999999999999999",
                     says="--max-connections: \"99999999999999999999\" is too "
                     "large; write a number in 0..10000000")

    def test_group_limit(self):
        """1024 groups, one per line, and not one more."""
        lines = ["g%d" % i for i in range(1025)]
        self.accepted(env={"KAMACACHE_GROUP": "\n".join(lines[:1024])})
        self.refused(env={"KAMACACHE_GROUP": "\n".join(lines)}, says="1024")

    def test_loaders(self):
        self.refused("--group", "a:loader=nosuch:x", says="nosuch.so")
        there_are = "no such loader; there are exec, http, sqlite"
        self.refused("--group", "a:loader=nosuch:x", says="group a: loader "
                     "nosuch: " + there_are + " (")
        self.refused("--group", "a:loader=https://127.0.0.1/{key}",
                     says="group a: loader https: " + there_are +
                     "; did you mean http:https://...?")
        self.refused("--group", "a:loader=sqlit:/x?query=y",
                     says=there_are + "; did you mean sqlite?")
        self.refused("--group", "a:loader=../x:y",
                     says='group a: loader: "../x:y" is not NAME:CONFIG')
        self.refused("--group", 'a:loader="sqlite:/nonexistent/db?query=x"',
                     says="group a: loader sqlite: ")
        # What there is, is what is found.
        with kamatest.Folder() as folder:
            for name in ("redis.so", "UPPER.so", "text.txt", "mine.so"):
                folder.file(name)
            self.refused("--loader-path", folder.path, "--group",
                         "a:loader=reddis:x",
                         says="there are exec, http, mine, redis, sqlite; did "
                         "you mean redis?")
        # A shared object that is something else.
        with kamatest.Folder() as folder:
            folder.file("text.so", "this is no shared object")
            self.refused("--loader-path", folder.path, "--group",
                         "a:loader=text:x", says="text.so")

    def test_loader_path(self):
        """A list of folders, searched in its order and before the built-in
        one, which stays."""
        with kamatest.Folder() as first, kamatest.Folder() as second:
            both = "--loader-path=%s:%s" % (first.path, second.path)
            self.accepted(both, "--group", "a:loader=exec:/bin/true")
            for path in ("", "/nonexistent"):
                self.accepted("--loader-path=" + path, "--group",
                              "a:loader=exec:/bin/true")
            self.refused(both, "--group", "a:loader=odd:x",
                         says="(no odd.so in %s, %s, " % (first.path,
                                                       second.path))
            self.refused("--loader-path=/nonexistent", "--group",
                         "a:loader=odd:x",
                         says="in /nonexistent (no such folder), ")
            # A file that is there is not passed over.
            second.file("exec.so", "this is no shared object")
            self.refused(both, "--group", "a:loader=exec:/bin/true",
                         says=second.path + "/exec.so: ")
            first.file("exec.so", "neither is this")
            self.refused(both, "--group", "a:loader=exec:/bin/true",
                         says=first.path + "/exec.so: ")
            self.refused(env={"KAMACACHE_LOADER_PATH": first.path,
                              "KAMACACHE_GROUP": "a:loader=exec:/bin/true"},
                         says=first.path + "/exec.so: ")
        for wrong in (":", "/tmp:", ":/tmp", "/tmp::/tmp"):
            self.refused("--loader-path=" + wrong,
                         says=": --loader-path: a folder's name is empty")
            self.refused(env={"KAMACACHE_LOADER_PATH": wrong},
                         says=": KAMACACHE_LOADER_PATH: a folder's name is")
        self.accepted("--loader-path=" + ":".join(16 * ["/tmp"]))
        self.refused("--loader-path=" + ":".join(17 * ["/tmp"]),
                     says="more than 16 folders")

    def test_print_config(self):
        """Each value, and where it comes from; no password."""
        result = run("--print-config", "--threads=3", "--group",
                     'g:loader="http://user:secret@host/{key}"',
                     env={"KAMACACHE_DRAIN_TIMEOUT": "7s",
                          "KAMACACHE_THREADS": "5"})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = result.stdout.splitlines()
        self.assertIn('listen = "127.0.0.1:8001"  # default', lines)
        self.assertIn("threads = 3  # flag", lines)
        self.assertIn("drain-timeout = 7s  # environment", lines)
        self.assertIn("//user:***@host/", result.stdout)
        self.assertNotIn("secret", result.stdout)

    def test_environment(self):
        """Variables count, flags win, lines are groups."""
        env = {"KAMACACHE_GROUP": "one\ntwo:ttl=5s\n",
               "KAMACACHE_LOG_LEVEL": "debug"}
        with Daemon(env=env) as node, Client(node) as client:
            client.set(b"k", b"v", group="two")
            names = [line["name"] for line in node.lines
                     if line["msg"] == "recognized environment variable"]
            self.assertEqual(names, ["KAMACACHE_GROUP", "KAMACACHE_LOG_LEVEL"])
        with Daemon("--group=three", env=env) as node, \
                Client(node) as client:
            self.assertEqual(client.error(b"k", group="two")[0],
                             "KAMA_ERR_NO_GROUP")
        self.refused(env={"KAMACACHE_THREADS": "many"},
                     says="KAMACACHE_THREADS")

    UNKNOWN = "kamacached: warning: %s: unknown variable"

    def test_unknown_variables(self):
        """A warning with what was probably meant, and nothing else changes."""
        env = {"KAMACACHE_LISEN": "x", "KAMACACHE_GROUPS": "y",
               "KAMACACHE_FROBNICATE": "z", "KAMACACHE_\n\x1b[31m": "1"}
        for action in ("--check-config", "--print-config"):
            result = run(action, env=env)
            self.assertEqual(result.returncode, 0)
            for name, nearest in (("LISEN", ", did you mean KAMACACHE_LISTEN?"),
                                  ("GROUPS", ", did you mean KAMACACHE_GROUP?"),
                                  ("FROBNICATE", ""), ("\\n\\x1b[31m", "")):
                self.assertIn(self.UNKNOWN % ("KAMACACHE_" + name) + nearest +
                              "\n", result.stderr)
            self.assertNotIn("\x1b", result.stderr)
        with Daemon(env=env) as node:
            warned = {line["name"]: line.get("did_you_mean")
                      for line in node.lines
                      if line["msg"] == "unknown environment variable"}
            self.assertEqual(warned, {
                "KAMACACHE_LISEN": "KAMACACHE_LISTEN",
                "KAMACACHE_GROUPS": "KAMACACHE_GROUP",
                "KAMACACHE_FROBNICATE": None, "KAMACACHE_\n\x1b[31m": None})
            self.assertEqual(node.wait_line("unknown environment variable")
                             ["level"], "warn")

    def test_variables_of_others(self):
        """No warning of the client's variables, of an image's version, and of
        what Kubernetes sets beside services called kamacache and
        kamacache-admin; none of it is a setting."""
        kubernetes = {}
        for service in ("KAMACACHE", "KAMACACHE_ADMIN"):
            port = service + "_PORT_8001_TCP"
            kubernetes.update({
                service + "_SERVICE_HOST": "10.0.0.11",
                service + "_SERVICE_PORT": "8001",
                service + "_SERVICE_PORT_GRPC": "8001",
                service + "_PORT": "tcp://10.0.0.11:8001",
                port: "tcp://10.0.0.11:8001", port + "_PROTO": "tcp",
                port + "_PORT": "8001", port + "_ADDR": "10.0.0.11"})
        env = {"KAMACACHE_ENDPOINT": "x", "KAMACACHE_TIMEOUT": "5s",
               "KAMACACHE_VERSION": "0.1.0", **kubernetes}
        result = run("--print-config", env=env)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, run("--print-config").stdout)
        with Daemon(env=env) as node:
            self.assertFalse([line for line in node.lines
                              if "environment variable" in line["msg"]])

    def test_document(self):
        """docs/OPTIONS.md says what the rows say."""
        table = run("--help=markdown").stdout
        with open(kamatest.SOURCE + "/docs/OPTIONS.md",
                  encoding="utf-8") as document:
            text = document.read()
        self.assertIn(table, text)
        # A unit test compares the keys of groups; --help lists the same.
        keys = re.findall(r"^\| `(\w+)=", text, re.M)
        self.assertIn("max_bytes", keys)
        usage = run("--help").stdout
        head, tail = usage.split("\nKeys of a group:\n")
        self.assertIn("--group", head)
        self.assertEqual(re.findall(r"^  (\w+)=[\w:]+(?: |$)", tail, re.M), keys)
        self.assertIn("[default: 64m]", tail)


if __name__ == "__main__":
    kamatest.main()
