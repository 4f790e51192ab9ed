#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The admin port of a daemon: where it listens, and what its pages say, beside
what the client says of the same node."""
import base64
import http.client
import json
import socket
import unittest

import kamatest
import metricskit
from clikit import cli_json
from kamatest import Client, Daemon, free_port, run


def ask(address, path, method="GET", **headers):
    """(code, headers, body) of one request."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port),
                                            timeout=10 * kamatest.SLOWDOWN)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def ask_json(node, path, code=200):
    status, headers, body = ask(node.admin, path)
    assert status == code, (status, body)
    assert headers["Content-Type"] == "application/json", headers
    return json.loads(body)


def two_ports():
    """A port and the one that is 1000 higher, both free a moment ago."""
    while True:
        port = free_port()
        if port > 64535:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port + 1000))
                return port
            except OSError:
                continue


class Where(unittest.TestCase):
    def test_beside_the_data_port(self):
        port = two_ports()
        # The empty value stands for no value: the port beside.
        with Daemon("--admin=", listen="127.0.0.1:%d" % port) as node:
            self.assertEqual(node.admin, "127.0.0.1:%d" % (port + 1000))
            self.assertEqual(ask(node.admin, "/readyz")[0], 200)
            _, view = cli_json(node, "peers")
            self.assertEqual(view["members"][0]["admin_address"], node.admin)

    def test_any_free_port(self):
        with Daemon() as node:
            self.assertRegex(node.admin, r"^127\.0\.0\.1:[1-9]\d+$")

    def test_off(self):
        with Daemon("--admin=off") as node:
            node.stop()
            self.assertNotIn("admin port", [line["msg"] for line in node.lines])

    def test_other_addresses(self):
        with Daemon("--admin=[::1]:0") as node:
            self.assertEqual(ask(node.admin, "/healthz")[0], 200)
        with Daemon(env={"KAMACACHE_ADMIN": "127.0.0.1:0"}) as node:
            self.assertEqual(ask(node.admin, "/healthz")[0], 200)
        with Daemon("--admin=0.0.0.0:0", "--insecure") as node:
            port = node.admin.rsplit(":", 1)[1]
            self.assertEqual(ask("127.0.0.1:" + port, "/healthz")[0], 200)
            _, view = cli_json(node, "peers")
            self.assertEqual(view["members"][0]["admin_address"],
                             "127.0.0.1:" + port)

    def refused(self, *arguments, code, says):
        done = run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        for part in says:
            self.assertIn(part, done.stderr)

    def test_refused(self):
        self.refused("--listen=127.0.0.1:64536", code=2,
                     says=["--listen: ", "64536 + 1000", "--admin"])
        self.refused("--admin=0.0.0.0:0", "--listen=127.0.0.1:0", code=2,
                     says=["--admin: 0.0.0.0:0 is reachable", "--insecure"])
        self.refused("--admin=nonsense", "--listen=127.0.0.1:0", code=2,
                     says=["--admin: address ", "nonsense", ":PORT"])
        self.refused("--admin-host=http://a", "--listen=127.0.0.1:0", code=2,
                     says=["--admin-host: ", "http://a"])
        self.refused("--check-config", "--listen=127.0.0.1:64536", code=2,
                     says=["--admin"])

    def test_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused("--listen=127.0.0.1:0", "--admin", address, code=1,
                         says=[address, "in use", "is another kamacached running?",
                               "--admin names another"])
            done = run("--check-config", "--admin", address)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_hint_of_the_data_port(self):
        with Daemon() as node:
            code, _, body = ask(node.address, "/metrics")
            self.assertEqual(code, 400)
            self.assertIn(node.admin, body.decode())


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "users:ttl=1h,ttl_jitter=5", "--group",
                          "pages", "--group=keys", "--admin-host=cache.example", "--threads=2")
        cls.addClassCleanup(cls.node.stop)
        cls.client = Client(cls.node)
        cls.addClassCleanup(cls.client.close)

    def test_node(self):
        of_port = ask_json(self.node, "/api/v1/node")
        _, of_client = cli_json(self.node, "node")
        for facts in (of_port, of_client):
            facts.pop("uptime_ms")
        self.assertEqual(of_port, of_client)

    def test_cluster(self):
        of_port = ask_json(self.node, "/api/v1/cluster")
        _, of_client = cli_json(self.node, "peers")
        for facts in (of_port, of_client):
            facts["members"][0].pop("since_ms")
        self.assertEqual(of_port, of_client)

    def test_explain(self):
        """The same as the client's, for a key that is there and one that is
        not; the port has the exact bytes beside it."""
        self.client.set(b"a", b"value", group="pages")
        for key in ("a", "absent"):
            of_port = ask_json(self.node, "/api/v1/explain?group=pages&key="
                               + key)
            _, of_client = cli_json(self.node, "-g", "pages", "explain", key)
            self.assertEqual(base64.b64decode(of_port.pop("key_base64")),
                             key.encode())
            self.assertEqual(of_port, of_client)

    def test_groups(self):
        self.client.set(b"a", b"value", group="pages")
        self.client.get(b"a", group="pages")
        of_port = ask_json(self.node, "/api/v1/groups")["groups"]
        _, stats = cli_json(self.node, "stats")
        by_name = {group["name"]: group for group in stats["groups"]}
        for group in of_port:
            # A node sends no latency without a load.
            self.assertEqual(group.pop("stats"), {
                name: value for name, value in by_name[group["name"]].items()
                if name != "name"})
        _, of_client = cli_json(self.node, "groups")
        self.assertEqual(of_port, of_client)

    def test_keys(self):
        keys = {b"key:%d" % i for i in range(250)} | {b"\x00\xff", b"<b>"}
        for key in keys:
            self.client.set(key, b"12345", group="keys")
        found, cursor = {}, ""
        while True:
            page = ask_json(self.node, "/api/v1/keys?group=keys&limit=100"
                            "&cursor=" + cursor)
            self.assertLessEqual(len(page["keys"]), 100)
            for entry in page["keys"]:
                found[base64.b64decode(entry["key_base64"])] = entry
            cursor = page["cursor"]
            if not cursor:
                break
        self.assertEqual(set(found), keys)
        self.assertEqual(found[b"key:7"]["key"], "key:7")
        self.assertEqual(found[b"\x00\xff"]["key"], "\\x00\\xff")
        self.assertEqual(found[b"key:7"]["value_bytes"], 5)
        self.assertEqual(found[b"key:7"]["ttl_ms"], -1)
        page = ask_json(self.node, "/api/v1/keys?group=keys&prefix=key:24")
        self.assertEqual(sorted(entry["key"] for entry in page["keys"]),
                         ["key:24"] + ["key:24%d" % i for i in range(10)])

    def test_key(self):
        self.client.set(b"a b\x00", b"value", group="users")
        gets = self.client.stats("users").gets
        held = ask_json(self.node, "/api/v1/key?group=users&key=a%20b%00")
        _, owner = cli_json(self.node, "-g", "users", "owner", "x")
        self.assertEqual((held["found"], held["value_bytes"]), (True, 5))
        self.assertGreater(held["ttl_ms"], 3000000)
        self.assertEqual(held["owner"]["addresses"], [self.node.address])
        self.assertEqual(set(held["owner"]), set(owner))
        absent = ask_json(self.node, "/api/v1/key?group=users&key=absent")
        self.assertFalse(absent["found"])
        self.assertEqual(self.client.stats("users").gets, gets)

    def test_ring(self):
        ring = ask_json(self.node, "/api/v1/ring?group=users")
        self.assertEqual(ring["members"], [{
            "address": self.node.address, "state": "active", "weight": 1,
            "share_ppm": 1000000, "self": True}])

    def test_metrics(self):
        """The text of the library, in the format that is asked for."""
        code, headers, body = ask(self.node.admin, "/metrics")
        self.assertEqual(code, 200)
        self.assertEqual(headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        self.assertTrue(b'kamacache_entries{group="pages"}' in body)
        self.assertFalse(b"# EOF" in body)
        if metricskit.NO_PROMTOOL is None:
            self.assertEqual(metricskit.check(body.decode()), "")
        code, headers, body = ask(
            self.node.admin, "/metrics",
            Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        self.assertEqual(code, 200)
        self.assertEqual(
            headers["Content-Type"],
            "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertTrue(body.endswith(b"# EOF\n"))

    def test_errors(self):
        for path, code, error in (
                ("/nothing", 404, "KAMA_ERR_UNSUPPORTED"),
                ("/api/v1/keys", 400, "KAMA_ERR_INVALID"),
                ("/api/v1/keys?group=none", 404, "KAMA_ERR_NO_GROUP"),
                ("/api/v1/key?group=users&key=%zz", 400, "KAMA_ERR_INVALID"),
                ("/api/v1/explain?group=users", 400, "KAMA_ERR_INVALID"),
                ("/api/v1/explain?group=users&key=", 400, "KAMA_ERR_INVALID"),
                ("/api/v1/explain?group=none&key=a", 404, "KAMA_ERR_NO_GROUP"),
                ("/api/v1/key?group=users&key=" + 4097 * "k", 413,
                 "KAMA_ERR_TOO_LARGE"),
                ("/api/v1/node?x=1", 400, "KAMA_ERR_INVALID")):
            said = ask_json(self.node, path, code)
            self.assertEqual((said["error"], said["status"]), (error, code))
            self.assertGreater(len(said["message"]), 10)

    def test_errors_of_groups_say_where_they_are_listed(self):
        for path, code in (("/api/v1/keys", 400),
                           ("/api/v1/keys?group=none", 404)):
            said = ask_json(self.node, path, code)
            self.assertIn("/api/v1/groups lists", said["message"])

    def test_page(self):
        """Each link of the page leads to an answer."""
        code, headers, body = ask(self.node.admin, "/")
        self.assertEqual(code, 200)
        self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
        links = [part.split('"')[0].replace("&amp;", "&")
                 for part in body.decode().split('href="')[1:]]
        self.assertGreater(len(links), 8)
        for link in links:
            self.assertEqual(ask(self.node.admin, link)[0], 200, link)

    def test_headers(self):
        for path in ("/", "/healthz", "/readyz", "/api/v1/node", "/nothing"):
            _, headers, body = ask(self.node.admin, path)
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("default-src 'none'",
                          headers["Content-Security-Policy"])
            code, of_head, nothing = ask(self.node.admin, path, "HEAD")
            self.assertEqual(nothing, b"")
            if path != "/api/v1/node":  # whose uptime may have one digit more
                self.assertEqual(of_head["Content-Length"], str(len(body)))

    def test_hosts(self):
        for host, code in (("localhost", 200), ("127.0.0.1", 200),
                           ("[::1]:9001", 200), ("10.0.0.1:80", 200),
                           ("cache.example", 200), ("Cache.Example:1", 200),
                           ("evil.example", 403), ("", 403),
                           ("127.0.0.1.evil.example", 403)):
            self.assertEqual(ask(self.node.admin, "/healthz", Host=host)[0],
                             code, host)

    def test_nothing_changes(self):
        self.client.set(b"stays", b"value", group="pages")
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            code, headers, _ = ask(self.node.admin,
                                   "/api/v1/key?group=pages&key=stays", method)
            self.assertEqual((code, headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.client.get(b"stays", group="pages"), b"value")


if __name__ == "__main__":
    kamatest.main()
