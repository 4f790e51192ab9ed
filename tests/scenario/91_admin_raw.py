#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""The admin port and clients that do not behave: whatever they send, they get an
answer that says why not, or the end of the connection, and others are served."""
import http.client
import random
import socket
import struct
import time
import unittest
from concurrent import futures

import kamatest
from kamatest import Client, Daemon, wait_until

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


class Raw:
    """A connection of bytes to the admin port."""

    def __init__(self, node):
        host, port = node.admin.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)))
        self.sock.settimeout(60 * kamatest.SLOWDOWN)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # the node has closed; what it said is read
        return self

    def answer(self):
        """(code, {header: value}, body) of one answer; None at the end."""
        try:
            answer = http.client.HTTPResponse(self.sock)
            answer.begin()
            return (answer.status, dict(answer.getheaders()), answer.read())
        except (http.client.BadStatusLine, ConnectionError):
            return None

    def rest(self):
        """All bytes up to the end."""
        data = b""
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    return data
                data += more
        except ConnectionError:
            return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class AdminRaw(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--threads=2", "--group=big:max_bytes=64m",
                          "--group=default")
        cls.addClassCleanup(cls.node.stop)

    def tearDown(self):
        """Whatever came before, the next client is served."""
        self.assertEqual(self.say(GET)[0], 200)

    def say(self, data):
        with Raw(self.node) as raw:
            return raw.send(data).answer()

    def refused(self, code, data):
        """The answer has the code, and the connection ends behind it."""
        with Raw(self.node) as raw:
            answer = raw.send(data).answer()
            self.assertIsNotNone(answer, data[:80])
            self.assertEqual(answer[0], code, (data[:80], answer))
            self.assertEqual(answer[1]["Connection"], "close")
            self.assertEqual(raw.rest(), b"")

    def test_methods_and_versions(self):
        for method in (b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS",
                       b"TRACE", b"PROPFIND", b"M-SEARCH"):
            target = b"a:1" if method == b"CONNECT" else b"/healthz"
            self.refused(405, method + b" " + target + b" HTTP/1.1\r\n" +
                         HOST + b"\r\n")
        for line in (b"FETCH / HTTP/1.1", b"get / HTTP/1.1", b"GET",
                     b" GET / HTTP/1.1", b"GET / HTTQ/1.1", b"GET  HTTP/1.1"):
            self.refused(400, line + b"\r\n" + HOST + b"\r\n")
        for line in (b"GET /", b"GET / HTTP/0.9", b"GET / HTTP/2.0",
                     b"GET / HTTP/1.9", b"PRI * HTTP/2.0"):
            self.refused(505, line + b"\r\n" + HOST + b"\r\n")

    def test_other_protocols(self):
        """TLS, gRPC, Redis, and nothing at all."""
        self.refused(505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        self.refused(400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" +
                     bytes(200))
        self.refused(400, b"*1\r\n$4\r\nPING\r\n")
        self.refused(400, bytes(1000))
        self.refused(400, b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n")

    def test_bodies(self):
        head = b"GET /healthz HTTP/1.1\r\n" + HOST
        self.refused(413, head + b"Content-Length: 3\r\n\r\nabc")
        self.refused(400, head + b"Transfer-Encoding: chunked\r\n\r\n"
                     b"3\r\nabc\r\n0\r\n\r\n")
        for both in (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                     b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                     b"Content-Length: 3\r\nContent-Length: 4\r\n",
                     b"Content-Length: 3, 3\r\n", b"Content-Length: +3\r\n",
                     b"Transfer-Encoding: chunked, identity\r\n"):
            self.refused(400, head + both + b"\r\n" + GET)
        self.refused(405, b"POST / HTTP/1.1\r\n" + HOST +
                     b"Content-Length: 1000000\r\n\r\n" + bytes(1000000))

    def test_targets(self):
        for target in (b"http://localhost/healthz", b"/%00", b"/../etc/passwd",
                       b"/%2e%2e/%2e%2e/etc/passwd", b"/healthz%20",
                       b"/..%2f", b"//localhost/../x", b"*", b"healthz",
                       b"/a\\..\\b", b"/healthz#top"):
            self.refused(400, b"GET " + target + b" HTTP/1.1\r\n" + HOST +
                         b"\r\n")

    def test_hosts(self):
        for headers in (b"", HOST + HOST, b"Host : localhost\r\n",
                        b"Host: " + 256 * b"h" + b"\r\n"):
            self.refused(400, b"GET / HTTP/1.1\r\n" + headers + b"\r\n")
        for host in (b"evil.example", b"localhost.evil.example", b"[::1",
                     b"localhost:99999", b"a b"):
            answer = self.say(b"GET / HTTP/1.1\r\nHost: " + host +
                              b"\r\n\r\n")
            self.assertEqual(answer[0], 403, host)

    def test_sizes(self):
        line = b"GET / HTTP/1.1\r\n" + HOST
        fill = 8192 - len(line) - len(b"X: \r\n\r\n")
        self.assertEqual(self.say(line + b"X: " + fill * b"x" +
                                  b"\r\n\r\n")[0], 200)
        self.refused(431, line + b"X: " + (fill + 1) * b"x" + b"\r\n\r\n")
        self.refused(431, line + 100 * b"a: b\r\n" + b"\r\n")
        self.refused(431, line + b"X: " + 1000000 * b"x")
        self.refused(414, b"GET /" + 10000 * b"x" + b" HTTP/1.1\r\n\r\n")

    def test_pipelining(self):
        """Requests in one packet: the first is answered, and the client is told to
        ask again. A request that comes during an answer is answered next."""
        with Raw(self.node) as raw:
            code, headers, _ = raw.send(GET + GET + GET).answer()
            self.assertEqual((code, headers["Connection"]), (200, "close"))
            self.assertEqual(raw.rest(), b"")
        with Raw(self.node) as raw:
            for _ in range(50):
                self.assertEqual(raw.send(GET).answer()[0], 200)
                raw.send(b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertEqual(raw.answer()[2], b"ready\n")

    def test_head(self):
        with Raw(self.node) as raw:
            for _ in range(3):
                raw.send(b"HEAD /api/v1/groups HTTP/1.1\r\n" + HOST + b"\r\n")
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += raw.sock.recv(1)
                self.assertIn(b"200 OK", head)
            self.assertEqual(raw.send(GET).answer()[0], 200)

    def test_half_closed(self):
        """A client that shuts its half gets its answer."""
        with Raw(self.node) as raw:
            raw.send(GET).sock.shutdown(socket.SHUT_WR)
            self.assertEqual(raw.answer()[0], 200)
            self.assertEqual(raw.rest(), b"")
        with Raw(self.node) as raw:
            raw.send(b"GET /hea").sock.shutdown(socket.SHUT_WR)
            self.assertEqual(raw.rest(), b"")

    def test_one_byte_per_second(self):
        """The whole request has 5 s."""
        with Raw(self.node) as raw:
            begin = time.monotonic()
            raw.sock.settimeout(1)
            answer = b""
            for byte in GET:
                raw.send(bytes([byte]))
                try:
                    answer = raw.sock.recv(4096)
                    break
                except TimeoutError:
                    pass
            took = time.monotonic() - begin
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
            self.assertGreater(took, 4)
            self.assertLess(took, 10 * kamatest.SLOWDOWN)

    def test_idle(self):
        """A connection on which nothing comes is closed after 30 s."""
        with Raw(self.node) as silent, Raw(self.node) as used:
            begin = time.monotonic()
            self.assertEqual(used.send(GET).answer()[0], 200)
            self.assertEqual(silent.rest(), b"")
            self.assertEqual(used.rest(), b"")
            took = time.monotonic() - begin
            self.assertGreater(took, 28)
            self.assertLess(took, 40 * kamatest.SLOWDOWN)

    def fill_up(self, raws):
        """Adds clients that are busy until another one is refused. One that is
        served has come before the node has read what the others sent."""
        for _ in range(64):
            with Raw(self.node) as raw:
                if raw.send(GET).answer() is None:
                    return
            raws.append(Raw(self.node).send(GET[:-2]))
        self.fail("nobody is refused")

    def test_many_connections(self):
        """64 may be open. Clients that say nothing keep nobody out: the one that
        has been idle for longest is closed for another one. If all are busy, it is
        the other one that is closed, until one of them has ended."""
        raws = [Raw(self.node) for _ in range(64)]
        try:
            for raw in raws:
                self.assertEqual(raw.send(GET).answer()[0], 200)
            raws.append(Raw(self.node))
            self.assertEqual(raws[-1].send(GET).answer()[0], 200)
            with raws.pop(0) as closed:
                self.assertIsNone(closed.send(GET).answer())
            for raw in raws:
                raw.send(GET[:-2])
            self.fill_up(raws)
            raws.pop().sock.close()

            def has_place():
                with Raw(self.node) as raw:
                    return raw.send(GET).answer() is not None
            wait_until(has_place, what="a place")
        finally:
            for raw in raws:
                raw.sock.close()
        wait_until(lambda: self.say(GET) is not None)

    def test_answers_that_are_not_read(self):
        """They hold the memory of one answer each, whatever is asked behind it."""
        with Client(self.node) as client:
            for i in range(1000):
                client.set(b"%04d" % i + 1000 * b"k", b"v", group="big")
        ask = (b"GET /api/v1/keys?group=big&limit=1000 HTTP/1.1\r\n" + HOST +
               b"\r\n")
        before = self.node.memory_kib()
        raws = []
        try:
            for _ in range(60):
                raw = Raw(self.node)
                raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raws.append(raw)
                raw.send(ask)
            for raw in raws:
                raw.sock.setblocking(False)
                try:
                    for _ in range(100):
                        raw.sock.send(1000 * ask)
                except OSError:
                    pass
            self.assertEqual(self.say(GET)[0], 200)
            if not kamatest.SANITIZER:  # which keeps what is freed
                self.assertLess(self.node.memory_kib() - before, 128 << 10)
        finally:
            for raw in raws:
                raw.sock.close()

    def test_resets(self):
        """Clients that vanish while they ask."""
        for cut in range(0, len(GET) + 1, 7):
            with Raw(self.node) as raw:
                raw.send(GET[:cut]).sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))

    def test_garbage(self):
        """Requests in which bytes are changed: an answer with a code of the
        table, or the end; never silence."""
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        for _ in range(300):
            data = bytearray(b"GET /api/v1/keys?group=big&limit=1 HTTP/1.1\r\n" +
                             HOST + b"Accept: */*\r\n\r\n")
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with Raw(self.node) as raw:
                raw.send(bytes(data)).sock.shutdown(socket.SHUT_WR)
                answer = raw.answer()
                self.assertIn(answer and answer[0],
                              (None, 200, 400, 403, 404, 405, 413, 505),
                              "seed %d: %r" % (seed, bytes(data)))

    def test_the_data_port_goes_on(self):
        """While the admin port is flooded, gets of the data port are answered;
        and the node is alive according to both."""
        stop = []

        def flood():
            count = 0
            while not stop:
                with Raw(self.node) as raw:
                    raw.send(b"GET /api/v1/keys?group=big&glob=nothing* "
                             b"HTTP/1.1\r\n" + HOST + b"\r\n").answer()
                    count += 1
            return count
        with futures.ThreadPoolExecutor(4) as pool, \
                Client(self.node) as client:
            floods = [pool.submit(flood) for _ in range(4)]
            try:
                for i in range(500):
                    client.set(b"key", b"%d" % i)
                    self.assertEqual(client.get(b"key"), b"%d" % i)
                self.assertEqual(self.say(GET)[2], b"ok\n")
            finally:
                stop.append(True)
            self.assertGreater(sum(f.result() for f in floods), 4)


if __name__ == "__main__":
    kamatest.main()
