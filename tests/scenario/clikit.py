# SPDX-License-Identifier: MIT
"""The client as a process, for the tests of it; and a server that answers it
with what no honest node would say."""
import json
import subprocess
from concurrent import futures

import grpc

from kamatest import CLI, SLOWDOWN, environment, pb2

OK, MISS, USAGE, UNREACHABLE, REFUSED, OTHER = range(6)


def client_environment(extra=None):
    """As environment(). A sanitizer's exit code must not look like a miss."""
    env = environment(extra)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        env[name] = env.get(name, "") + ":exitcode=99"
    return env


def address_of(node):
    return node if isinstance(node, str) else node.address


def cli(node, *arguments, stdin=b"", env=None, timeout=20, **kwargs):
    """The client, run against node ("" for no -e), to its end. Arguments are
    text or bytes; .stdout and .stderr are bytes."""
    endpoint = ["-e", address_of(node)] if node else []
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([CLI, *endpoint, *arguments],
                          env=client_environment(env),
                          timeout=timeout * SLOWDOWN, check=False,
                          input=stdin, **kwargs)


def cli_json(node, *arguments, **kwargs):
    """(exit code, the JSON on stdout)."""
    done = cli(node, "--json", *arguments, **kwargs)
    return done.returncode, json.loads(done.stdout)


class FakeNode:
    """A gRPC server: answers maps "/service/Method" to a function (request
    bytes, context) that returns bytes, or an iterable of bytes for a stream.
    """

    def __init__(self, answers, streams=()):
        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                answer = answers.get(details.method)
                if answer is None:
                    return None
                if details.method in streams:
                    return grpc.unary_stream_rpc_method_handler(answer)
                return grpc.unary_unary_rpc_method_handler(answer)

        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((Handler(),))
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = "127.0.0.1:%d" % port
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None).wait()


def health(status):
    """A Health/Check that answers status, a number."""
    module = pb2("grpc.health.v1.health")
    return lambda *_: module.HealthCheckResponse(
        status=status).SerializeToString()
