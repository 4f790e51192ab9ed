# SPDX-License-Identifier: MIT
"""What the tests of synchronized groups have in common: waiting until the nodes
show the same, and counting what each of them has applied.

    with SyncCluster(3) as cluster:
        cluster.set(cluster.nodes[0], b"key", b"value")
        cluster.wait_same([b"key"])              # the same on every node
        cluster.wait_applied()                   # each mutation on each peer, once
"""
import time

import grpc

from clusterkit import Cluster
from kamatest import SLOWDOWN, pb2, wait_until

GROUP = "s"
# How long a mutation may take to the others, with what a busy machine adds.
SOON = 10


class SyncCalls:
    """What a cluster with a synchronized group can be asked and told."""

    # -- calls -------------------------------------------------------------

    def set(self, node, key, value, ttl_ms=0):
        node.call("Set", group=GROUP, key=key, value=value, ttl_ms=ttl_ms)

    def delete(self, node, key):
        return node.call("Delete", group=GROUP, key=key).removed

    def mset(self, node, pairs):
        entries = [pb2().MSetEntry(key=key, value=value)
                   for key, value in pairs]
        node.call("MSet", group=GROUP, entries=entries)

    def here(self, node, key, group=GROUP):
        """What the node itself has in memory: the value, or None."""
        try:
            reply = node.call("Get", group=group, key=key, no_load=True,
                              local_only=True)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return None
        return reply.value if reply.found else None

    # -- conditions ----------------------------------------------------------

    def agreed(self, nodes):
        """As of every cluster, and each node has heard from each other one where
        its stream begins. Before that a node may yet learn of a gap, which covers
        what was set until then, and drops what it has."""
        view = super().agreed(nodes)
        return view if view and self._streams_have_begun(nodes) else None

    @staticmethod
    def _streams_have_begun(nodes):
        try:
            seen = {node: node.members() for node in nodes}
        except grpc.RpcError:
            return False

        def stream(node, other):
            return seen[node].get(other.advertise, pb2().Member()).stream
        return all(stream(origin, node).up and
                   stream(node, origin).applied >= stream(origin, node).acked
                   for origin in nodes for node in nodes if node is not origin)

    def shown(self, node, keys):
        """What the node itself has in memory of the keys."""
        return [self.here(node, key) for key in keys]

    def wait_shown(self, node, key, value, seconds=SOON):
        """Waits until the node has the value, and returns after how long."""
        begin = time.monotonic()
        wait_until(lambda: self.here(node, key) == value, seconds,
                   "%r on %r" % (value, node))
        return time.monotonic() - begin

    def wait_heard(self, origin, nodes=None, group=GROUP, seconds=SOON):
        """Waits until the nodes have applied, or know that they have missed, all
        that the origin has written before. It writes marks until each node has
        shown one: a single mark may be evicted at the origin before it is sent,
        and may come to a node that lets nothing in which is so old."""
        nodes = self.running() if nodes is None else nodes
        prefix = b"mark-%d-" % time.monotonic_ns()
        missing = set(nodes)

        def heard():
            for node in list(missing):
                shown = self.here(node, b"mark", group) or b""
                if shown.startswith(prefix):
                    missing.discard(node)
            if missing:
                origin.call("Set", group=group, key=b"mark",
                            value=prefix + b"%d" % time.monotonic_ns())
            return not missing
        wait_until(heard, seconds, "%r to be heard by all" % origin)

    def wait_same(self, keys, nodes=None, seconds=SOON):
        """Waits until the nodes show the same of each key, and returns it."""
        nodes = self.running() if nodes is None else nodes

        def same():
            shown = [self.shown(node, keys) for node in nodes]
            return shown if all(s == shown[0] for s in shown) else None
        try:
            return wait_until(same, seconds, "all nodes to agree")[0]
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (
                error, "\n".join(list(self.differences(keys, nodes))[:20]))) from None

    def wait_agree(self, keys, nodes=None, seconds=SOON):
        """Waits until no two nodes show different values of a key. A node may show
        none: a set that is late is not kept where something newer was deleted in
        its slot. Returns what each node shows."""
        nodes = self.running() if nodes is None else nodes

        def agree():
            shown = [self.shown(node, keys) for node in nodes]
            return shown if all(len(set(values) - {None}) <= 1
                                for values in zip(*shown)) else None
        return wait_until(agree, seconds, "no two nodes to differ")

    def differences(self, keys, nodes):
        """The first keys of which the nodes show different values."""
        for key in keys:
            shown = [self.here(node, key) for node in nodes]
            if len(set(shown)) > 1:
                yield "%r: %r" % (key, [value and value[:40]
                                        for value in shown])

    # -- counters ------------------------------------------------------------

    def originated(self, nodes=None):
        return sum(node.stats(GROUP).sync_originated
                   for node in nodes or self.running())

    def applied(self, nodes=None):
        return sum(node.stats(GROUP).sync_applied
                   for node in nodes or self.running())

    def wait_applied(self, seconds=SOON):
        """Waits until each mutation was applied once by each other node, and not
        more than once."""
        others = len(self.running()) - 1
        wait_until(lambda: self.applied() >= others * self.originated(),
                   seconds, "every node to apply everything")
        assert self.applied() == others * self.originated(), (
            "applied %d, originated %d" % (self.applied(), self.originated()))


class SyncCluster(SyncCalls, Cluster):
    """A cluster with one synchronized group without a loader, or the one that is
    given as `spec`."""

    def __init__(self, count=3, spec=GROUP, *more, **options):
        super().__init__(count, "--group", spec, *more, **options)


def quietly(act):
    """Calls act, and returns whether it was answered."""
    try:
        act()
        return True
    except grpc.RpcError:
        return False


def deadline(seconds):
    """A time so many seconds from now, later with a sanitizer."""
    return time.monotonic() + seconds * SLOWDOWN
