# SPDX-License-Identifier: MIT
"""Nodes in network namespaces of their own, between which packets can vanish.

    with Net(3) as net, NetCluster(net, "--group", "g") as cluster:
        net.part([0, 1], [2])      # nothing arrives any more, and nobody is told
        net.cut_etcd([2])
        net.heal()

All namespaces are joined by a bridge, at which the test and etcd have an address each.
Two places are parted by a wrong hardware address in the neighbour tables of both, so
that connections stay and packets vanish. It needs root, and leaves nothing behind.
"""
import os
import random
import subprocess

from clusterkit import Cluster, ClusterNode
from etcdkit import Etcd
from kamatest import Daemon

PORT = 8001


def _ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = "kmt%d" % os.getpid()
    try:
        _ip("link", "add", name, "type", "bridge")
        _ip("link", "del", name)
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return "no network namespaces: %s" % error
    return None


MISSING = _missing()


class Net:
    """count namespaces, numbered from 0; .host and .etcd are the addresses of the
    test's side."""

    def __init__(self, count):
        self.tag = "%04x" % random.randrange(1 << 16)
        self.subnet = "10.%d.%d." % (random.randrange(64, 250),
                                     random.randrange(250))
        self.bridge = "kmb" + self.tag
        self.host = self.subnet + "254"
        self.etcd = self.subnet + "253"
        self.names = ["kmn%s%d" % (self.tag, i) for i in range(count)]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        _ip("link", "add", self.bridge, "type", "bridge")
        for address in (self.host, self.etcd):
            _ip("addr", "add", address + "/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for i, name in enumerate(self.names):
            veth = "kmv%s%d" % (self.tag, i)
            _ip("netns", "add", name)
            _ip("link", "add", veth, "type", "veth", "peer", "name", "eth0",
                "netns", name)
            _ip("link", "set", veth, "master", self.bridge, "up")
            _ip("-n", name, "addr", "add", self.address(i) + "/24", "dev",
                "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def address(self, i):
        return self.subnet + "%d" % (i + 1)

    def _lose(self, i, address):
        """What the namespace sends to the address vanishes."""
        _ip("-n", self.names[i], "neigh", "replace", address, "lladdr",
            "02:00:00:00:00:01", "nud", "permanent", "dev", "eth0")

    def part(self, some, others):
        for i in some:
            for j in others:
                self._lose(i, self.address(j))
                self._lose(j, self.address(i))

    def cut_etcd(self, some):
        for i in some:
            self._lose(i, self.etcd)

    def heal(self):
        for name in self.names:
            _ip("-n", name, "neigh", "flush", "nud", "permanent", "dev", "eth0")
            _ip("-n", name, "neigh", "flush", "all")

    def close(self):
        for name in self.names:
            _ip("netns", "del", name, check=False)
        _ip("link", "del", self.bridge, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class NetNode(ClusterNode):
    """A node in a namespace."""

    def __init__(self, net, number, arguments):
        super().__init__("http://%s" % net.etcd_address, arguments, False,
                         False)
        self.number = number
        self.net = net
        self.address = self.advertise = "%s:%d" % (net.address(number), PORT)

    def begin(self, *extra):
        self.forget_client()
        self.daemon = Daemon(
            "--etcd", self.etcd, "--insecure", "--admin=off", *self.arguments,
            *extra, listen=self.address, ready=False,
            wrap=("ip", "netns", "exec", self.net.names[self.number]))
        return self


class NetCluster(Cluster):
    """A node in each namespace of a Net."""

    def __init__(self, net, *arguments):
        self.net = net
        etcd = Etcd(start=False)
        etcd.address = "%s:%s" % (net.etcd, etcd.address.rsplit(":", 1)[1])
        net.etcd_address = etcd.address
        etcd.start()
        self._opened = etcd
        super().__init__(len(net.names), *arguments, etcd=etcd)

    def add(self, *extra):
        node = NetNode(self.net, len(self.nodes), [*self.arguments, *extra])
        self.nodes.append(node)
        return node

    def close(self, error=None):
        super().close(error)
        self._opened.close()
