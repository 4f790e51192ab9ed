#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""Behind haproxy, nginx and nghttpx: a client gets the same answers as without them,
also when the node answers before it has read the whole request."""
import os
import subprocess
import tempfile
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon

HAPROXY = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:%(port)d proto h2
    default_backend node
backend node
    server node %(node)s proto h2
"""

NGINX = """
daemon off;
pid %(folder)s/pid;
error_log %(folder)s/error.log;
worker_processes 1;
events {}
http {
    access_log off;
    client_max_body_size 0;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    server {
        listen 127.0.0.1:%(port)d http2;
        location / { grpc_pass grpc://%(node)s; }
    }
}
"""

NGHTTPX = """
frontend=127.0.0.1,%(port)d;no-tls
backend=%(host)s,%(node_port)s;;proto=h2
workers=1
"""


class Proxies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        cls.addClassCleanup(cls.node.stop)

    def start(self, program, text, arguments):
        """A client of a proxy that has this configuration."""
        folder = tempfile.TemporaryDirectory(prefix="kama-proxy-")
        self.addCleanup(folder.cleanup)
        port = kamatest.free_port()
        path = os.path.join(folder.name, "config")
        with open(path, "w", encoding="ascii") as config:
            host, node_port = self.node.address.rsplit(":", 1)
            config.write(text % {"port": port, "folder": folder.name,
                                 "node": self.node.address, "host": host,
                                 "node_port": node_port})
        process = subprocess.Popen([program, *arguments, path],
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        client = Client("127.0.0.1:%d" % port, options=(
            ("grpc.max_send_message_length", -1),))
        self.addCleanup(client.close)
        client.set(b"warm", b"up", wait_for_ready=True)
        return client

    def check(self, client):
        client.set(b"k", b"v" * 1000)
        self.assertEqual(client.get(b"k"), b"v" * 1000)
        self.assertEqual(client.error(b"absent")[0], "KAMA_MISS")
        for size, sentence in (
                (2000000, "max_value_bytes"),        # read whole
                (5000000, "the message is larger"),  # answered early
                (50000000, "the message is larger")):
            with self.assertRaises(grpc.RpcError) as caught:
                client.set(b"k", b"v" * size)
            error = caught.exception
            self.assertEqual((error.code(), kamatest.kama_status(error)),
                             (grpc.StatusCode.RESOURCE_EXHAUSTED,
                              "KAMA_ERR_TOO_LARGE"))
            self.assertIn(sentence, error.details())
        self.assertEqual(client.get(b"k"), b"v" * 1000)
        self.check_uploads(client)

    def check_uploads(self, client):
        """More at a time than the node holds of one connection. A proxy with
        a small window of its own cannot choose which of them goes on."""
        calls = [client.set_future(b"u%d" % i, b"v" * 1000000)
                 for i in range(40)]
        for call in calls:
            call.result(timeout=20 * kamatest.SLOWDOWN)

    def test_haproxy(self):
        self.check(self.start("haproxy", HAPROXY, ["-db", "-f"]))

    def test_nginx(self):
        self.check(self.start("nginx", NGINX, ["-c"]))

    def test_nghttpx(self):
        self.check(self.start("nghttpx", NGHTTPX, ["--conf"]))


if __name__ == "__main__":
    kamatest.main()
