# SPDX-License-Identifier: MIT
"""An etcd as a process, and a proxy that makes its connection worse.

    with Etcd() as etcd:
        etcd.put("/key", "value")
        etcd.kill(); etcd.start()             # with its data
        etcd.kill(); etcd.start(empty=True)   # without
        with TcpProxy(etcd.address) as proxy:
            node = Daemon("--etcd", proxy.address)
            proxy.delay(0.2)      # every byte, each way
            proxy.stall()         # bytes are held back, until flow()
            proxy.swallow()       # bytes are lost, the connections stay
            proxy.cut()           # connections are reset, and so are new ones
            proxy.flow()          # all is well again

Ports are free loopback ports, processes are ended by their id, and everything
waits for a condition with a deadline. EtcdCluster starts several members.
"""
import base64
import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

from kamatest import free_port, wait_until

ETCD = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
ETCDCTL = shutil.which("etcdctl", path="/usr/bin:/usr/local/bin")
MISSING = None if ETCD and ETCDCTL else "etcd-server or etcd-client is missing"


class Etcd:
    """One etcd. .address is "127.0.0.1:PORT" for clients, .url with http."""

    def __init__(self, start=True, name="one"):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="kama-etcd-")
        self.address = "127.0.0.1:%d" % free_port()
        self.peer = self.address
        while self.peer == self.address:
            self.peer = "127.0.0.1:%d" % free_port()
        self.cluster = "%s=http://%s" % (name, self.peer)
        self.process = None
        self.user = None  # "name:password", for etcdctl
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    @property
    def url(self):
        return "http://" + self.address

    @property
    def log(self):
        with open(os.path.join(self.folder, "log"), "rb") as log:
            return log.read().decode("utf-8", "backslashreplace")

    # -- the process -------------------------------------------------------

    def begin(self, empty=False):
        """Starts the process and does not wait."""
        assert self.process is None, "etcd runs already"
        if empty:
            shutil.rmtree(os.path.join(self.folder, "data"),
                          ignore_errors=True)
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [ETCD, "--name", self.name,
                 "--data-dir", os.path.join(self.folder, "data"),
                 "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url,
                 "--listen-peer-urls", "http://" + self.peer,
                 "--initial-advertise-peer-urls", "http://" + self.peer,
                 "--initial-cluster", self.cluster, "--logger", "zap"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self, empty=False):
        """Starts the process and waits until it answers."""
        self.begin(empty)
        self.wait_healthy()
        return self

    def is_healthy(self):
        if self.process.poll() is not None:
            raise AssertionError("etcd has ended:\n" + self.log)
        try:
            with urllib.request.urlopen(self.url + "/health",
                                        timeout=2) as answer:
                return json.load(answer)["health"] == "true"
        except (OSError, ValueError):
            return False

    def wait_healthy(self, seconds=60):
        wait_until(self.is_healthy, seconds, "etcd")

    def kill(self):
        """Ends the process at once (SIGKILL)."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self, empty=False):
        self.kill()
        return self.start(empty)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # all threads stand still

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- etcdctl -----------------------------------------------------------

    def ctl(self, *arguments, check=True, text=None):
        """etcdctl; returns what it prints."""
        env = dict(os.environ, ETCDCTL_API="3")
        user = ["--user", self.user] if self.user else []
        done = subprocess.run(
            [ETCDCTL, "--endpoints", self.address, *user, *arguments], env=env,
            input=text, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError("etcdctl %s: %s" % (arguments, done.stderr))
        return done.stdout

    def put(self, key, value, lease=None):
        options = ["--lease", "%x" % lease] if lease else []
        self.ctl("put", *options, "--", key, value)

    def get(self, key):
        """The value, or None."""
        lines = self.ctl("get", "--", key).splitlines()
        return "\n".join(lines[1:]) if lines else None

    def delete(self, key, prefix=False):
        self.ctl("del", *(["--prefix"] if prefix else []), "--", key)

    def records(self, prefix):
        """{key: {value, lease, version, mod_revision}} below the prefix."""
        answer = json.loads(self.ctl("get", "--prefix", "-w", "json", "--",
                                     prefix))
        return {base64.b64decode(kv["key"]).decode(): {
            "value": base64.b64decode(kv.get("value", "")).decode(),
            "lease": kv.get("lease", 0), "version": kv["version"],
            "mod_revision": kv["mod_revision"]}
            for kv in answer.get("kvs", [])}

    def revision(self):
        return json.loads(self.ctl("get", "-w", "json", "--", "/"))[
            "header"]["revision"]

    def compact(self, revision=None):
        """Forgets the history up to the revision (the current one)."""
        self.ctl("compact", str(revision or self.revision()))

    def leases(self):
        lines = self.ctl("lease", "list").splitlines()
        return [int(line, 16) for line in lines
                if not line.startswith("found")]

    def revoke(self, lease):
        self.ctl("lease", "revoke", "%x" % lease)

    def enable_auth(self, user, password, prefixes, root="rootpw"):
        """A user who may read and write below the prefixes."""
        self.ctl("user", "add", "root:" + root)
        self.ctl("user", "add", "%s:%s" % (user, password))
        self.ctl("role", "add", "kama")
        for prefix in prefixes:
            self.ctl("role", "grant-permission", "--prefix=true", "kama",
                     "readwrite", prefix)
        self.ctl("user", "grant-role", user, "kama")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")
        self.user = "root:" + root


class EtcdCluster:
    """Several etcds as the members of one cluster; .endpoints is a list for
    --etcd."""

    def __init__(self, count=3):
        self.members = [Etcd(start=False, name="n%d" % i)
                        for i in range(count)]
        whole = ",".join(member.cluster for member in self.members)
        try:
            for member in self.members:
                member.cluster = whole
                member.begin()
            for member in self.members:
                member.wait_healthy()
        except BaseException:
            self.close()
            raise

    @property
    def endpoints(self):
        return ",".join(member.url for member in self.members)

    def leader(self):
        """The member that leads now."""
        for member in self.members:
            if member.process is None:
                continue
            status = json.loads(member.ctl("endpoint", "status", "-w",
                                           "json"))[0]["Status"]
            # There is no "leader" during an election.
            if status.get("leader") == status["header"]["member_id"]:
                return member
        return None

    def close(self):
        for member in self.members:
            member.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class TcpProxy:
    """Passes bytes between clients and `target` ("host:port"); .address is
    where it listens, on the loopback address `host`. The modes apply to open
    connections and to new ones."""

    def __init__(self, target, host="127.0.0.1"):
        self.target = target
        self._listener = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host
            else socket.AF_INET)
        self.address = ("[%s]:%d" if ":" in host else "%s:%d") % (
            host, self._listener.getsockname()[1])
        self._change = threading.Condition()
        self._mode = "flow"
        self._delay = 0.0
        self._sockets = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.accepted = 0  # connections so far
        self.bytes = 0     # passed on so far, both ways
        self._threads[0].start()

    @property
    def url(self):
        return "http://" + self.address

    @property
    def connections(self):
        """How many connections are open now."""
        with self._change:
            return len(self._sockets) // 2

    # -- modes -------------------------------------------------------------

    def _set(self, mode, delay=0.0):
        with self._change:
            self._mode = mode
            self._delay = delay
            self._change.notify_all()

    def flow(self):
        self._set("flow")

    def delay(self, seconds):
        self._set("flow", seconds)

    def stall(self):
        self._set("stall")

    def swallow(self):
        self._set("swallow")

    def cut(self):
        """Resets all connections, and each new one, until flow()."""
        self._set("cut")
        self.reset()

    def reset(self):
        """Resets all connections once."""
        with self._change:
            for sock in list(self._sockets):
                self._reset(sock)

    @staticmethod
    def _reset(sock):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    # -- the threads -------------------------------------------------------

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._mode == "cut":
                self._reset(client)
                client.close()
                continue
            host, port = self.target.rsplit(":", 1)
            try:
                server = socket.create_connection((host, int(port)), 5)
            except OSError:
                self._reset(client)
                client.close()
                continue
            self._open(client, server)

    def _open(self, client, server):
        server.settimeout(None)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._change:
            self._sockets |= {client, server}
            if self._mode == "cut":  # since it was accepted
                self._reset(client)
                self._reset(server)
        left = [2]
        for source, sink in ((client, server), (server, client)):
            thread = threading.Thread(
                target=self._pump, args=(source, sink, client, server, left),
                daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pump(self, source, sink, client, server, left):
        """Reads; what was read is sent by another thread when its time has
        come, so that a delay holds nothing up."""
        chunks = queue.Queue()
        sender = threading.Thread(target=self._send, args=(chunks, sink),
                                  daemon=True)
        sender.start()
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                chunks.put((time.monotonic() + self._delay, data))
        except OSError:
            pass
        chunks.put(None)
        sender.join()
        for sock in (client, server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self._change:
            left[0] -= 1
            if left[0] == 0:
                self._sockets -= {client, server}
                client.close()
                server.close()

    def _send(self, chunks, sink):
        alive = True
        for due, data in iter(chunks.get, None):
            with self._change:
                self._change.wait_for(
                    lambda: self._mode == "cut" or self._closed,
                    max(0, due - time.monotonic()))
            try:
                alive = alive and self._pass_on(data, sink)
            except OSError:
                alive = False
            if not alive:  # the reader ends, too
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, data, sink):
        """Sends the data when the mode lets it; False: the end."""
        with self._change:
            self._change.wait_for(lambda: self._mode != "stall" or
                                  self._closed)
            if self._mode == "swallow":
                return not self._closed
            if self._mode == "cut" or self._closed:
                return False
        sink.sendall(data)
        self.bytes += len(data)
        return True

    def close(self):
        with self._change:
            self._closed = True
            self._change.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
