# SPDX-License-Identifier: MIT
"""A group whose origin is a web server: values, misses, Cache-Control, and a
server that is slow, sick, too generous or gone."""
import contextlib
import posixpath
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

import grpc
from h2 import config as h2_config
from h2 import connection as h2_connection
from h2 import events as h2_events

from kamatest import (Client, Daemon, HttpOrigin, group, kama_status, main,
                      run, wait_until)

release = threading.Event()


def answer(path):
    if path == "/hang":
        release.wait(60)
    if path == "/kept":
        return 200, b"k", {"Cache-Control": "max-age=60"}
    if path == "/unkept":
        return 200, b"u", {"Cache-Control": "no-store"}
    if path.startswith("/404-"):
        return 404, b"", {"Cache-Control": path[5:].replace("_", "=")}
    if path == "/huge":
        return 200, b"x" * 3000
    if path[1:].isdigit():
        return int(path[1:]), b"no value"
    return 200, path.encode()


FILES = {"/users/tom": b"row of tom", "/admin/secret": b"secret"}


def careless_answer(path):
    """As a server that decodes a path before it resolves its dots."""
    plain = urllib.parse.unquote(path).replace("\\", "/")
    body = FILES.get(posixpath.normpath(plain))
    return (404, b"") if body is None else (200, body)


class KeyTest(unittest.TestCase):
    def test_a_key_stays_in_its_url(self):
        with HttpOrigin(careless_answer) as origin:
            text = group("users", loader="http:" + origin.url + "users/{key}")
            with Daemon("--group", text) as node, Client(node) as client:
                self.assertEqual(client.get(b"tom", "users"), b"row of tom")
                for key in (b"../admin/secret", b"..\\admin\\secret",
                            b"%2e%2e/admin/secret", b"x/../../admin/secret"):
                    status, sentence = client.error(key, "users")
                    self.assertEqual(status, "KAMA_ERR_INVALID", key)
                    self.assertIn("path segment made of dots", sentence)
            self.assertEqual(origin.requests, ["/users/tom"])


def certify(folder):
    """The paths of a key and of a certificate for localhost that no system
    trusts, both made in this folder."""
    key, certificate = folder + "/key.pem", folder + "/certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return key, certificate


class GoodbyeOrigin:
    """Speaks HTTP/2. Answers one request of a connection; to the second one
    it says GOAWAY, and that it has not looked at it."""

    def __init__(self, context):
        self.context = context
        context.set_alpn_protocols(["h2"])
        self.protocols = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(plain,),
                                 daemon=True).start()

    def serve(self, plain):
        with contextlib.suppress(OSError), \
                self.context.wrap_socket(plain, server_side=True) as conn:
            self.protocols.add(conn.selected_alpn_protocol())
            h2 = h2_connection.H2Connection(
                h2_config.H2Configuration(client_side=False))
            h2.initiate_connection()
            conn.sendall(h2.data_to_send())
            ended = []
            while len(ended) < 2:
                for event in h2.receive_data(conn.recv(65536)):
                    if isinstance(event, h2_events.StreamEnded):
                        ended.append(event.stream_id)
                        if len(ended) == 1:
                            h2.send_headers(ended[0], [(":status", "200")])
                            h2.send_data(ended[0], b"value", True)
                        else:
                            h2.close_connection(last_stream_id=ended[0])
                conn.sendall(h2.data_to_send())


class CertificateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        key, self.certificate = certify(folder.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context = context
        context.load_cert_chain(self.certificate, key)
        self.origin = HttpOrigin(answer, context)
        self.addCleanup(self.origin.__exit__)

    def load(self, host="localhost", **env):
        """The value of one load, or the name and the sentence of its error."""
        url = "http:https://%s:%d/{key}" % (host, self.origin.port)
        with Daemon("--group", group("g", loader=url), env=env) as node, \
                Client(node) as client:
            try:
                return client.get(b"k", "g")
            except grpc.RpcError as error:
                return kama_status(error), error.details()

    def test_an_unknown_authority_is_refused(self):
        status, sentence = self.load()
        self.assertEqual(status, "KAMA_ERR_LOADER")
        self.assertIn("certificate", sentence)
        self.assertEqual(self.origin.requests, [])

    def test_an_authority_of_the_environment(self):
        self.assertEqual(self.load(SSL_CERT_FILE=self.certificate), b"/k")

    def test_an_origin_says_goodbye(self):
        """HTTP/2: each connection is for one request, which the client
        learns only when it has sent another one."""
        origin = GoodbyeOrigin(self.context)
        self.addCleanup(origin.listener.close)
        text = group("g", loader="http:https://localhost:%d/{key}" %
                     origin.port)
        env = {"SSL_CERT_FILE": self.certificate}
        with Daemon("--group", text, env=env) as node, \
                Client(node) as client:
            for i in range(20):
                self.assertEqual(client.get(b"%d" % i, "g"), b"value")
        self.assertEqual(origin.protocols, {"h2"})

    def test_an_empty_variable_does_not_count(self):
        self.assertEqual(self.load(SSL_CERT_FILE="", SSL_CERT_DIR="")[0],
                         "KAMA_ERR_LOADER")

    def test_another_host_is_refused(self):
        status, sentence = self.load("127.0.0.1",
                                     SSL_CERT_FILE=self.certificate)
        self.assertEqual(status, "KAMA_ERR_LOADER")
        self.assertIn("127.0.0.1", sentence)
        self.assertEqual(self.origin.requests, [])


class StartTest(unittest.TestCase):
    def test_wrong_configurations(self):
        """What can be known without the origin is an error at the start, and
        the password is not told."""
        for url, text in (("http://host:99999/{key}", "in 1..65535"),
                          ("http://host:port/{key}", "in 1..65535"),
                          ("http://me:secret@/{key}", "cannot be read"),
                          ("http://me:secret@[::1/{key}", "cannot be read"),
                          ("http://me:secret@host/", "no {key}"),
                          ("http://host/{key} redirect=any", "redirects=any"),
                          ("http:ftp://host/{key}", "http or https")):
            done = run("--check-config", "--group", group("g", loader=url))
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("group g: loader http: ", done.stderr)
            self.assertIn(text, done.stderr)
            self.assertNotIn("secret", done.stderr)


class HttpTest(unittest.TestCase):
    def setUp(self):
        release.clear()
        self.origin = HttpOrigin(answer)
        self.addCleanup(self.origin.__exit__)
        self.addCleanup(release.set)

    def asked(self, path):
        return self.origin.requests.count(path)

    def test_values_and_errors(self):
        text = self.origin.group("g", max_value_bytes="2000")
        with Daemon("--group", text) as node, Client(node) as client:
            self.assertEqual(client.get(b"a b/\0\xff", "g"),
                             b"/a%20b%2F%00%FF")
            for key in (b"404", b"410"):
                self.assertEqual(client.error(key, "g")[0], "KAMA_MISS")
            for key in (b"500", b"403"):
                status, sentence = client.error(key, "g")
                self.assertEqual(status, "KAMA_ERR_LOADER")
                self.assertIn("HTTP status " + key.decode(), sentence)
            self.assertEqual(client.error(b"huge", "g")[0],
                             "KAMA_ERR_TOO_LARGE")

    def test_cache_control(self):
        text = self.origin.group("g", ttl="30ms")
        with Daemon("--group", text) as node, Client(node) as client:
            for key in (b"kept", b"unkept", b"plain"):
                client.get(key, "g")

            def asked_again(key):
                client.get(key, "g")
                return self.asked("/" + key.decode()) > 1
            wait_until(lambda: asked_again(b"unkept"))
            wait_until(lambda: asked_again(b"plain"))
            client.get(b"kept", "g")
            self.assertEqual(self.asked("/kept"), 1)

    def test_absence_is_kept_as_the_origin_says(self):
        text = self.origin.group("g", negative_ttl="60s")
        with Daemon("--group", text) as node, Client(node) as client:
            for key in (b"404", b"404-no-store", b"404-max-age_0",
                        b"404-max-age_60"):
                for _ in range(2):
                    self.assertEqual(client.error(key, "g")[0], "KAMA_MISS")
            self.assertEqual(
                [self.asked("/" + key) for key in
                 ("404", "404-no-store", "404-max-age_0",
                  "404-max-age_60")], [1, 2, 2, 1])

    def test_absence_ends_with_its_age(self):
        """The shorter of max-age and negative_ttl counts."""
        text = self.origin.group("g", negative_ttl="60s")
        brief = self.origin.group("brief", negative_ttl="30ms")
        with Daemon("--group", text, "--group", brief) as node, \
                Client(node) as client:
            for name, path in (("g", "404-max-age_1"),
                               ("brief", "404-max-age_3600")):
                def asked_again():
                    self.assertEqual(client.error(path.encode(), name)[0],
                                     "KAMA_MISS")
                    return self.asked("/" + path) > 1
                wait_until(asked_again)

    def test_slow_origin(self):
        text = self.origin.group("g", loader_timeout="200ms")
        with Daemon("--group", text) as node, Client(node) as client:
            self.assertEqual(client.error(b"hang", "g")[0],
                             "KAMA_ERR_TIMEOUT")
            self.assertEqual(client.get(b"next", "g"), b"/next")
            release.set()
            self.assertEqual(client.get(b"hang", "g"), b"/hang")

    def test_nobody_listens(self):
        text = group("g", loader="http://name:secret@127.0.0.1:1/{key}")
        with Daemon("--group", text) as node, Client(node) as client:
            status, sentence = client.error(b"k", "g")
            self.assertEqual(status, "KAMA_ERR_LOADER")
            self.assertIn("http://127.0.0.1:1", sentence)
            self.assertNotIn("secret", sentence)


if __name__ == "__main__":
    main()
