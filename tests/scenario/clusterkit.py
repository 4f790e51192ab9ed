# SPDX-License-Identifier: MIT
"""Several kamacached that are one cluster, over an etcd of their own.

    with Cluster(3, "--group", "users") as cluster:
        a, b, c = cluster.nodes
        a.client.set(b"key", b"value", "users")
        cluster.owner(b"key", "users").kill()
        cluster.wait_view()           # the nodes that run agree and are settled
        cluster.loads("users")        # of all nodes that run, together

A node is passed to Client() and cli() as a Daemon is. It keeps its address when
it is started again. Cluster(etcd_proxies=True) puts a TcpProxy between each
node and etcd (node.etcd_proxy), and Cluster(peer_proxies=True) advertises the
address of a TcpProxy before each node (node.peer_proxy).
"""
import contextlib
import os
import random
import signal
import socket

import grpc

from etcdkit import Etcd, TcpProxy
from kamatest import Client, Daemon, kama_status, pb2, v2, wait_until

LEASE_SECONDS = 10  # what a node asks of etcd, without a slowdown
SERVICE = "kama-cache"


def node_port():
    """A free loopback port that no outgoing connection is given meanwhile, so
    that a node can be started on it again."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def until_done(act, nodes, seconds=30):
    """Calls act(client), with the clients of the nodes in turn, until a call
    succeeds, as a careful client does that must not give up."""
    said = []

    def attempt():
        client = nodes[len(said) % len(nodes)].client
        try:
            return [act(client)]
        except grpc.RpcError as error:
            said.append("%s: %s" % (kama_status(error), error.details()))
            return None
    try:
        return wait_until(attempt, seconds, "a call to succeed")[0]
    except AssertionError as error:
        raise AssertionError("%s\n%s" % (error, "\n".join(said[-5:]))) from None


class PeerProxy(TcpProxy):
    """A TcpProxy that can cut off one process, and let the others pass."""

    def __init__(self, target):
        self._refused = None
        super().__init__(target)

    def refuse(self, node):
        """Resets what this node has opened and will open; None lets all
        pass."""
        self._refused = node
        self._reset_all_of(node)

    def _reset_all_of(self, node):
        if node is not None:
            with self._change:
                for sock in list(self._sockets):
                    if self._is_of(node, sock):
                        self._reset(sock)

    @staticmethod
    def _is_of(node, sock):
        with contextlib.suppress(OSError):
            return node.has_socket(sock.getpeername()[1])
        return False

    def _open(self, client, server):
        if self._refused is not None and self._is_of(self._refused, client):
            self._reset(client)
            client.close()
            server.close()
            return
        super()._open(client, server)
        self._reset_all_of(self._refused)  # since it was asked for above


class ClusterNode:
    """One kamacached: .address is where it listens, .advertise where the others
    reach it, .daemon the process that runs (or the last one that did)."""

    def __init__(self, etcd, arguments, etcd_proxy, peer_proxy):
        self.address = "127.0.0.1:%d" % node_port()
        self.arguments = list(arguments)
        self.etcd_proxy = TcpProxy(etcd) if etcd_proxy else None
        self.peer_proxy = PeerProxy(self.address) if peer_proxy else None
        self.etcd = self.etcd_proxy.address if etcd_proxy else etcd
        self.advertise = (self.peer_proxy.address if peer_proxy
                          else self.address)
        self.daemon = None
        self._client = None

    # -- the process -------------------------------------------------------

    def begin(self, *extra):
        """Starts the process and does not wait."""
        assert not self.runs(), "the node runs already"
        self.forget_client()
        more = (["--advertise", self.advertise] if self.peer_proxy else [])
        self.daemon = Daemon("--etcd", self.etcd, *more, *self.arguments,
                             *extra, listen=self.address, ready=False)
        return self

    def start(self, *extra):
        """Starts the process and waits until it is ready."""
        self.begin(*extra)
        try:
            self.daemon.wait_line("ready", 30)
        except BaseException:
            self.daemon.kill()
            raise
        self.daemon.address = self.address
        return self

    def stop(self):
        """SIGTERM; the node must say goodbye and exit 0."""
        self.daemon.stop()
        self.forget_client()

    def kill(self):
        """SIGKILL."""
        self.daemon.kill()
        self.forget_client()

    def freeze(self):
        self.daemon.signal(signal.SIGSTOP)
        os.waitpid(self.daemon.pid, os.WUNTRACED)  # all threads stand still

    def thaw(self):
        self.daemon.signal(signal.SIGCONT)

    def has_socket(self, port):
        """Whether the process has a connection from this local port."""
        inodes = set()
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                fields = line.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add("socket:[%s]" % fields[9])
        folder = "/proc/%d/fd" % self.daemon.pid
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if os.readlink(os.path.join(folder, name)) in inodes:
                        return True
        return False

    def runs(self):
        return self.daemon is not None and self.daemon.alive()

    def close(self):
        if self.daemon is not None:
            self.daemon.kill()
        self.forget_client()
        for proxy in (self.etcd_proxy, self.peer_proxy):
            if proxy is not None:
                proxy.close()

    # -- questions ---------------------------------------------------------

    @property
    def client(self):
        """A Client that is kept until the process ends: to close one takes
        0.2 s."""
        if self._client is None:
            self._client = Client(self)
        return self._client

    def forget_client(self):
        if self._client is not None:
            self._client.close()
            self._client = None

    def call(self, method, **fields):
        """A method of kama.v2.Cache by its name."""
        request = getattr(pb2(), method + "Request")(**fields)
        return v2(self.client.channel, method, request)

    def node(self):
        """The answer of kama.v2 Node."""
        return self.call("Node")

    def members(self):
        """{advertised address: Member}, as this node sees them."""
        return {m.address: m for m in self.call("Members").members}

    def stats(self, group="default"):
        return self.call("Stats", group=group).groups[0]

    def entries(self, group="default"):
        return self.stats(group).entries

    def __repr__(self):
        return "node %s" % self.advertise


class Cluster:
    """count nodes with the same arguments, ready and agreed when this
    returns. .etcd is the Etcd, .nodes are the nodes."""

    def __init__(self, count=3, *arguments, etcd_proxies=False,
                 peer_proxies=False, etcd=None):
        self.arguments = arguments
        self._proxies = (etcd_proxies, peer_proxies)
        self._own_etcd = etcd is None
        self.etcd = etcd or Etcd()
        self.nodes = []
        try:
            for _ in range(count):
                self.add()
            for node in self.nodes:
                node.begin()
            for node in self.nodes:
                node.daemon.wait_line("ready", 30)
                node.daemon.address = node.address
            self.wait_view()
        except BaseException as error:
            self.close(error)
            raise

    def add(self, *extra):
        """One more node, which is not started."""
        node = ClusterNode(self.etcd.address, [*self.arguments, *extra],
                           *self._proxies)
        self.nodes.append(node)
        return node

    def running(self):
        return [node for node in self.nodes if node.runs()]

    # -- the view ----------------------------------------------------------

    def agreed(self, nodes):
        """The view id, if exactly these nodes are in the view of each of
        them, all are active and settled, and each one reaches each other."""
        ids = set()
        addresses = {node.advertise for node in nodes}
        for node in nodes:
            try:
                state, view = node.node(), node.call("Members")
            except grpc.RpcError:
                return None
            if not (state.ready and state.settled and
                    state.registration == "active" and
                    {m.address for m in view.members} == addresses and
                    all(m.state == pb2().MEMBER_STATE_ACTIVE and
                        m.reach in (pb2().REACH_UP, pb2().REACH_SELF)
                        for m in view.members)):
                return None
            ids.add(view.view_id)
        return ids.pop() if len(ids) == 1 else None

    def wait_view(self, nodes=None, seconds=30):
        """Waits until the nodes (those that run) agree; returns the view."""
        nodes = self.running() if nodes is None else nodes
        try:
            return wait_until(lambda: self.agreed(nodes), seconds,
                              "one view of %s" % nodes)
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, self.describe())) from None

    def describe(self):
        """What each node says about itself and the others."""
        lines = []
        for node in self.nodes:
            try:
                lines.append("%r\n%s%s" % (node, node.node(),
                                           node.call("Members")))
            except grpc.RpcError as error:
                lines.append("%r: %s" % (node, error.details()))
        return "\n".join(lines)

    # -- a node that is cut off ----------------------------------------------

    def isolate(self, node):
        """Cuts the node off from etcd and from all others, both ways. Clients
        still reach it. Needs etcd_proxies and peer_proxies."""
        node.etcd_proxy.cut()
        for other in self.others(node):
            other.peer_proxy.refuse(node)
        node.peer_proxy.cut()

    def heal(self, node):
        """Ends isolate()."""
        for other in self.others(node):
            other.peer_proxy.refuse(None)
        node.peer_proxy.flow()
        node.etcd_proxy.flow()

    # -- keys and counters ---------------------------------------------------

    def by_address(self, address):
        """The node that advertises the address."""
        return next(n for n in self.nodes if n.advertise == address)

    def owner(self, key, group="default", via=None):
        """The node that owns the key, as `via` sees it."""
        via = via or self.running()[0]
        return self.by_address(
            via.call("Owner", group=group, key=key).addresses[0])

    def key_of(self, node, group="default", prefix=b"key", via=None):
        """A key that the node owns, as `via` (the node) sees it."""
        return next(self.keys_of(node, group, prefix, via))

    def keys_of(self, node, group="default", prefix=b"key", via=None):
        """An endless iterator over keys that the node owns."""
        number = 0
        while True:
            key = b"%s-%d" % (prefix, number)
            if self.owner(key, group, via or node) is node:
                yield key
            number += 1

    def others(self, *nodes):
        """The nodes that run, without these."""
        return [node for node in self.running() if node not in nodes]

    def total(self, counter, group="default"):
        """The sum of a counter of GroupStats over the nodes that run."""
        return sum(getattr(node.stats(group), counter)
                   for node in self.running())

    def loads(self, group="default"):
        return self.total("loads", group)

    # -- the end -------------------------------------------------------------

    def close(self, error=None):
        """Ends everything; after an error with the ends of the logs."""
        for node in self.nodes:
            if node.daemon is not None and error is not None:
                print("-- %r\n%s" % (node, "\n".join(node.daemon.raw[-40:])))
            node.close()
        if self._own_etcd:
            self.etcd.close()

    def stop(self):
        """All nodes say goodbye, one after the other, and exit 0."""
        for node in self.running():
            node.stop()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        try:
            if kind is None:
                self.stop()
        finally:
            self.close(error)
