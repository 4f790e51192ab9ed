# SPDX-License-Identifier: MIT
"""What scenario tests share: a kamacached as a process, gRPC clients for it,
origins for its loaders. Everything waits for a condition with a deadline;
processes are stopped by their id.

    with Daemon("--group", "users") as node:
        with Client(node) as client:
            client.set(b"key", b"value", group="users")
"""
import contextlib
import glob
import http.server
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

SOURCE = os.environ.get("KAMA_SOURCE_DIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("KAMA_BUILD_DIR", os.path.join(SOURCE, "build"))
SANITIZER = os.environ.get("KAMA_SANITIZE", "")
SLOWDOWN = 5 if SANITIZER else 1
DAEMON = os.path.join(BUILD, "bin", "kamacached")
CLI = os.path.join(BUILD, "bin", "kamacache-cli")
LOADERS = os.path.join(BUILD, "lib", "kamacache", "loaders")
V1 = "/kama.v1.KamaCacheService/"


def wait_until(condition, seconds=10, what="a condition"):
    """Returns condition()'s first true result; fails after the deadline."""
    end = time.monotonic() + seconds * SLOWDOWN
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("waited %d s for %s" % (seconds, what))
        time.sleep(0.005)


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(extra=None):
    """The environment without KAMACACHE_ variables, plus extra."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("KAMACACHE_")}
    env.update(extra or {})
    return env


def run(*arguments, program=DAEMON, env=None, timeout=20, **kwargs):
    """A program to its end; .returncode, .stdout and .stderr as text."""
    return subprocess.run(
        [program, *arguments], env=environment(env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=timeout * SLOWDOWN, check=False, **kwargs)


class Daemon:
    """A kamacached on a port of its own. Its log is JSON: .lines are dicts."""

    def __init__(self, *arguments, listen="127.0.0.1:0", env=None, ready=True,
                 preexec=None, wrap=(), log=("--log-format=json",),
                 program=(DAEMON,)):
        self.address = None
        self.lines = []
        self.raw = []
        self._news = threading.Condition()
        self._ended = False
        if not listen.endswith(":0") and not any(
                a.startswith("--admin") for a in arguments):
            # The port beside that of a test may be another test's.
            arguments = ("--admin=127.0.0.1:0", *arguments)
        # Arguments that the shell's limits need come before the program.
        self.process = subprocess.Popen(
            [*wrap, *program, "--listen", listen, *log, *arguments],
            env=environment(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=preexec)
        self._threads = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)]
        for thread in self._threads:
            thread.start()
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def _read(self, stream):
        for raw in iter(stream.readline, b""):
            text = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self._news:
                self.raw.append(text)
                if text.startswith("{"):
                    with contextlib.suppress(ValueError):
                        self.lines.append(json.loads(text))
                self._news.notify_all()
        stream.close()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self):
        return self.process.pid

    @property
    def admin(self):
        """The address of the admin port."""
        return self.wait_line("admin port")["addr"]

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def wait_line(self, msg, seconds=10, **fields):
        """The first log line with this msg and these fields."""
        def find():
            return next((line for line in self.lines if line["msg"] == msg and
                         all(line.get(k) == v for k, v in fields.items())),
                        None)
        with self._news:
            self._news.wait_for(lambda: find() or self._ended,
                                seconds * SLOWDOWN)
            line = find()
        if line is None:
            raise AssertionError("no line %r %r in:\n%s" % (
                msg, fields, "\n".join(self.raw)))
        return line

    def wait_ready(self):
        self.wait_line("ready")
        self.address = self.wait_line("listening")["addr"]

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=20):
        """The exit status; every log line has been read then."""
        code = self.process.wait(seconds * SLOWDOWN)
        for thread in self._threads:
            thread.join(seconds)
        return code

    def stop(self):
        """SIGTERM; the node must drain and exit 0."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.wait()
        if code != 0:
            raise AssertionError("exit %d:\n%s" % (code, "\n".join(self.raw)))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(10)

    def alive(self):
        return self.process.poll() is None

    def memory_kib(self, field="VmRSS"):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError("no %s" % field)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as stat_file:
            fields = stat_file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()
            sys.stderr.write("\n".join(self.raw[-40:]) + "\n")


# -- messages, by hand: field numbers as on the wire -------------------------

def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    """(number, bytes or int) pairs as a protobuf message."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + bytes(value)
    return out


def _read_varint(data, at):
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7f) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def parse(data):
    """{number: last value} of a message of varints and bytes."""
    fields = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if tag & 7 == 2:
            fields[tag >> 3] = data[at:at + value]
            at += value
        else:
            fields[tag >> 3] = value
    return fields


CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1),
                   ("grpc.max_send_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1),
                   ("grpc.initial_reconnect_backoff_ms", 100),
                   ("grpc.max_reconnect_backoff_ms", 500))


def insecure_channel(address, options=()):
    """A channel of the official client; nothing is connected yet."""
    return grpc.insecure_channel(address, options=CHANNEL_OPTIONS + options)


def connected_channel(address, options=(), seconds=10):
    """A channel that has a connection, if that can be."""
    channel = insecure_channel(address, options)
    try:
        grpc.channel_ready_future(channel).result(seconds * SLOWDOWN)
    except grpc.FutureTimeoutError:
        pass
    return channel


class Client:
    """kama.v1 over one connection of the official client. Errors are
    grpc.RpcError; see code() and kama_status().

    Of a daemon the connection is up when this returns, if that can be: an
    attempt of grpcio's to connect may fail on a busy machine and is repeated
    only for those who wait."""

    def __init__(self, target, options=(), connected=True):
        connected = connected and not isinstance(target, str)
        address = target if isinstance(target, str) else target.address
        open_channel = connected_channel if connected else insecure_channel
        self.channel = open_channel(address, tuple(options))
        self._get = self.channel.unary_unary(V1 + "Get")
        self._set = self.channel.unary_unary(V1 + "Set")
        self._del = self.channel.unary_unary(V1 + "Delete")

    def get(self, key, group="default", timeout=10, wait_for_ready=None):
        reply = self._get(message((1, group.encode()), (2, key)),
                          timeout=timeout * SLOWDOWN,
                          wait_for_ready=wait_for_ready)
        return parse(reply).get(1, b"")

    def get_future(self, key, group="default", timeout=10):
        """The call, not awaited: .result(), .cancel()."""
        return self._get.future(message((1, group.encode()), (2, key)),
                                timeout=timeout * SLOWDOWN)

    def set(self, key, value, group="default", timeout=10,
            wait_for_ready=None):
        self._set(message((1, group.encode()), (2, key), (3, value)),
                  timeout=timeout * SLOWDOWN, wait_for_ready=wait_for_ready)

    def set_future(self, key, value, group="default", timeout=10):
        """The call, not awaited."""
        return self._set.future(
            message((1, group.encode()), (2, key), (3, value)),
            timeout=timeout * SLOWDOWN)

    def delete(self, key, group="default", timeout=10):
        reply = self._del(message((1, group.encode()), (2, key)),
                          timeout=timeout * SLOWDOWN)
        return bool(parse(reply).get(1, 0))

    def error(self, key, group="default", timeout=10):
        """The kama-status and sentence of a get that must fail."""
        try:
            value = self.get(key, group, timeout)
        except grpc.RpcError as error:
            return kama_status(error), error.details()
        raise AssertionError("got %r" % value)

    def stats(self, group="default"):
        """The counters of a group, as kama.v2 knows them."""
        reply = v2(self.channel, "Stats", pb2().StatsRequest(group=group))
        return reply.groups[0]

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def kama_status(error):
    """The kama-status trailer of a grpc.RpcError, or its code's name."""
    for name, value in error.trailing_metadata() or ():
        if name == "kama-status":
            return value
    return error.code().name


_generated = {}


def pb2(name="kama.v2.cache"):
    """A generated module of proto/ ("kama.v1.kama", "kama.v2.cache") or of
    Debian's grpc-proto ("grpc.health.v1.health", ...): its messages."""
    if not _generated:
        folder = tempfile.mkdtemp(prefix="kama-pb2-")
        unittest.addModuleCleanup(shutil.rmtree, folder, True)
        own = os.path.join(SOURCE, "proto")
        debian = "/usr/share/grpc-proto"
        files = glob.glob(own + "/kama/**/*.proto", recursive=True) + [
            debian + "/grpc/health/v1/health.proto",
            debian + "/grpc/reflection/v1/reflection.proto",
            debian + "/grpc/reflection/v1alpha/reflection.proto"]
        subprocess.run(["protoc", "-I", own, "-I", debian,
                        "--python_out", folder, *files], check=True)
        # The installed grpc package shadows the generated folder grpc/.
        sys.path.insert(0, folder)
        grpc.__path__.append(os.path.join(folder, "grpc"))
        _generated["folder"] = folder
    return importlib.import_module(name + "_pb2")


def unary(channel, path, request, reply_type):
    """A unary method of generated messages."""
    return channel.unary_unary(
        path, request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=reply_type.FromString)(
            request, timeout=10 * SLOWDOWN)


def v2(channel, method, request):
    """A unary method of kama.v2.Cache; its reply is METHODResponse."""
    return unary(channel, "/kama.v2.Cache/" + method, request,
                 getattr(pb2(), method + "Response"))


# -- origins ------------------------------------------------------------------

class HttpOrigin:
    """A web server for the http loader. answer(path) returns (status, body)
    or (status, body, headers); .requests lists the paths that were asked.
    With an SSL context it speaks https."""

    def __init__(self, answer, context=None):
        origin = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are written apart, and must not wait 40 ms for
            # each other.
            disable_nagle_algorithm = True

            def do_GET(self):
                origin.requests.append(self.path)
                status, body, *more = answer(self.path)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    for header in (more[0] if more else {}).items():
                        self.send_header(*header)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d/" % self.port
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket,
                                                     server_side=True)
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def group(self, name, **options):
        """A --group whose loader asks this origin."""
        return group(name, loader="http:" + self.url + "{key}", **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def group(name, **options):
    """The text of a --group, every value quoted."""
    pairs = ",".join('%s="%s"' % (key, str(value).replace("\\", "\\\\")
                                  .replace('"', '\\"'))
                     for key, value in options.items())
    return name + (":" + pairs if pairs else "")


class Folder:
    """A temporary folder with scripts for the exec loader."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="kama-test-")

    def file(self, name, text="", executable=False):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        if executable:
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def script(self, name, text):
        """An executable shell script: the key is $1."""
        return self.file(name, "#!/bin/sh\n" + text, executable=True)

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as source:
            return source.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def limit_descriptors(count):
    """For Daemon(preexec=...): at most count descriptors."""
    def apply():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return apply


def allow_descriptors(count):
    """Lets this process open count descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


main = unittest.main
