#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=300
"""A node recognises itself by its id, however its address is spelled: it is in its
own view once, marked as itself, and never becomes its own peer. Spellings that
cannot lead to the node are refused; tests/scenario/75_cluster_start.py has those
that lead to another one, or to nobody."""
import os
import socket
import unittest

import etcdkit
import kamatest
from clikit import OK, cli, cli_json
from clusterkit import node_port
from etcdkit import Etcd, TcpProxy
from kamatest import Client, Daemon, pb2, run, v2, wait_until

HOST = socket.gethostname()


def resolves(name):
    """The addresses of a name, as texts."""
    try:
        return {info[4][0] for info in socket.getaddrinfo(
            name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def outward_address():
    """The machine's IPv4 address on the way to elsewhere, or None. Nothing is
    sent."""
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.connect(("198.51.100.1", 9))
            return s.getsockname()[0]
    except OSError:
        return None


class Own(Daemon):
    """A node whose .address is the one that it advertises."""

    def __init__(self, etcd, service, listen, *arguments):
        super().__init__("--etcd", etcd, "--service", service, "--insecure",
                         "--threads=1", "--start-timeout=30s",
                         "--require-discovery", *arguments, listen=listen,
                         ready=False)
        try:
            self.summary = self.wait_line("summary", 30)
            self.address = self.summary["advertise"]
        except BaseException:
            self.kill()
            raise

    def ask(self, method):
        with Client(self) as client:
            return v2(client.channel, method,
                      getattr(pb2(), method + "Request")())

    def connections_to_itself(self):
        """TCP connections whose two ends are sockets of this process."""
        inodes = set()
        folder = "/proc/%d/fd" % self.pid
        for name in os.listdir(folder):
            try:
                inodes.add(os.readlink(os.path.join(folder, name)))
            except OSError:
                continue  # closed meanwhile
        ends = set()
        for table in ("tcp", "tcp6"):
            with open("/proc/%d/net/%s" % (self.pid, table),
                      encoding="ascii") as rows:
                for row in rows.readlines()[1:]:
                    cells = row.split()
                    if "socket:[%s]" % cells[9] in inodes:
                        ends.add((cells[1], cells[2]))
        return {(here, there) for here, there in ends
                if (there, here) in ends}


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class OwnAddress(unittest.TestCase):
    services = 0

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()
        cls.addClassCleanup(cls.etcd.close)

    def start(self, service, listen, advertise, etcd=None):
        """A node; "PORT" in the addresses is a port of its own."""
        port = str(node_port())
        more = ["--advertise", advertise.replace("PORT", port)] \
            if advertise else []
        node = Own(etcd or self.etcd.address, service,
                   listen.replace("PORT", port), *more)
        self.addCleanup(node.kill)
        return node, port

    def check(self, listen, advertise, expected, etcd=None):
        """Two nodes that are spelled so. `expected` are the addresses of which
        each must advertise one."""
        OwnAddress.services += 1
        service = "s%d" % OwnAddress.services
        pairs = [self.start(service, listen, advertise, etcd)
                 for _ in range(2)]
        nodes = [node for node, _ in pairs]
        for node, port in pairs:
            self.assertIn(node.address,
                          {text.replace("PORT", port) for text in expected})
        addresses = sorted(node.address for node in nodes)
        for node in nodes:
            wait_until(lambda n=node: sum(
                member.state == 2 for member in n.ask("Members").members) == 2,
                what="two active members")
            wait_until(lambda n=node: n.ask("Node").settled)
        for node in nodes:
            self.check_view(node, addresses)
        self.check_gets(nodes)
        for node in nodes:
            self.check_no_peer_is_itself(node)
        for node in nodes:
            node.stop()

    def check_view(self, node, addresses):
        facts = node.ask("Node")
        members = node.ask("Members").members
        own = [member for member in members if member.self]
        self.assertEqual([bytes(member.id) for member in own], [facts.id])
        self.assertEqual([member.address for member in members], addresses)
        self.assertEqual(own[0].address, facts.advertise)
        self.assertEqual((facts.peer_count, facts.ready, facts.degraded),
                         (1, True, ""))
        # What people see agrees.
        code, view = cli_json(node, "peers")
        self.assertEqual(code, OK)
        self.assertEqual(sorted(member["reach"] for member in
                                view["members"]), ["self", "up"])
        self.assertEqual(cli(node, "ping", "--cluster").returncode, OK)

    def check_gets(self, nodes):
        """Keys of either owner, through either node."""
        owners = set()
        with Client(nodes[0]) as a, Client(nodes[1]) as b:
            for i in range(16):
                key = b"key-%d" % i
                a.set(key, b"value")
                self.assertEqual((a.get(key), b.get(key)),
                                 (b"value", b"value"))
                owners.add(v2(a.channel, "Owner", pb2().OwnerRequest(
                    key=key)).addresses[0])
        self.assertEqual(owners, {node.address for node in nodes})

    def check_no_peer_is_itself(self, node):
        """It has sent no request to itself, and keeps no connection to
        itself; only the dial-back of its start had one."""
        own, = [member for member in node.ask("Members").members
                if member.self]
        self.assertEqual((own.fills, own.mutations, own.served,
                          own.latency_ns), (0, 0, 0, 0))
        wait_until(lambda: not node.connections_to_itself(),
                   what="no connection of the node to itself")

    # -- what is accepted --------------------------------------------------

    def test_all_addresses_without_advertise(self):
        """The address of the connection to etcd; so `:8001` is enough."""
        for listen in (":PORT", "0.0.0.0:PORT", "*:PORT") + (
                ("[::]:PORT",) if has_ipv6() else ()):
            with self.subTest(listen=listen):
                self.check(listen, None, {"127.0.0.1:PORT"})

    def test_one_address(self):
        for listen in ("127.0.0.1:PORT", "127.0.0.2:PORT"):
            with self.subTest(listen=listen):
                self.check(listen, None, {listen})

    def test_a_port_that_the_system_chooses(self):
        OwnAddress.services += 1
        node = Own(self.etcd.address, "s%d" % OwnAddress.services, ":0")
        self.addCleanup(node.kill)
        port = node.summary["listen"].rsplit(":", 1)[1]
        self.assertEqual(node.address, "127.0.0.1:" + port)
        self.assertEqual([member.self for member in
                          node.ask("Members").members], [True])

    def test_localhost(self):
        self.check("localhost:PORT", None, {"127.0.0.1:PORT", "[::1]:PORT"})
        self.check("127.0.0.1:PORT", "localhost:PORT", {"localhost:PORT"})
        self.check(":PORT", "LocalHost:PORT", {"localhost:PORT"})

    @unittest.skipUnless(resolves(HOST), "the machine does not know its name")
    def test_the_name_of_the_machine(self):
        self.check(":PORT", HOST + ":PORT", {HOST.lower() + ":PORT"})
        host = sorted(resolves(HOST))[0]
        if len(resolves(HOST)) == 1 and host.startswith("127."):
            self.check(HOST + ":PORT", None, {host + ":PORT"})

    @unittest.skipUnless(has_ipv6(), "there is no IPv6")
    def test_ipv6(self):
        self.check("[::1]:PORT", None, {"[::1]:PORT"})
        self.check("[::]:PORT", "[0:0:0:0:0:0:0:1]:PORT", {"[::1]:PORT"})
        self.check(":PORT", "[::1]:PORT", {"[::1]:PORT"})

    @unittest.skipUnless(has_ipv6(), "there is no IPv6")
    def test_all_addresses_when_etcd_is_reached_by_ipv6(self):
        with TcpProxy(self.etcd.address, host="::1") as proxy:
            self.check(":PORT", None, {"[::1]:PORT"}, etcd=proxy.address)

    @unittest.skipUnless(outward_address(), "the machine has no other address")
    def test_an_address_of_the_machine(self):
        host = outward_address()
        self.check(":PORT", host + ":PORT", {host + ":PORT"})
        self.check(host + ":PORT", None, {host + ":PORT"})

    def test_the_address_of_a_proxy_that_leads_to_the_node(self):
        """It is not the node's own at all, and its id says that it is."""
        OwnAddress.services += 1
        service = "s%d" % OwnAddress.services
        port = node_port()
        with TcpProxy("127.0.0.1:%d" % port) as proxy:
            node = Own(self.etcd.address, service, "127.0.0.1:%d" % port,
                       "--advertise", proxy.address)
            self.addCleanup(node.kill)
            other, _ = self.start(service, "127.0.0.1:PORT", None)
            for one in (node, other):
                wait_until(lambda n=one: n.ask("Node").settled and sum(
                    member.state == 2 for member in
                    n.ask("Members").members) == 2)
                self.check_view(one, sorted([proxy.address, other.address]))
            self.check_gets([node, other])
            self.check_no_peer_is_itself(node)

    # -- what is refused ---------------------------------------------------

    def refusal(self, advertise):
        """The last line of a node that is refused before it begins."""
        done = run("--etcd", self.etcd.address, "--listen",
                   "127.0.0.1:%d" % node_port(), "--advertise", advertise)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertNotIn("listening", done.stderr)
        return done.stderr.splitlines()[-1].replace('\\"', '"')

    def test_an_advertised_address_that_stands_for_all(self):
        """A port alone cannot be advertised: the sentence says what can."""
        for text in (":8001", "*:8001", "0.0.0.0:8001", "[::]:8001"):
            self.assertIn("--advertise: nobody can connect to %s; it must be "
                          "the host and the port at which others reach this "
                          "node" % text, self.refusal(text))

    def test_other_spellings_of_all_addresses(self):
        for text in ("[::ffff:0.0.0.0]:8001", "[0:0:0:0:0:0:0:0]:8001"):
            said = self.refusal(text)
            self.assertIn("--advertise: address", said)
            self.assertIn("it stands for all addresses of a machine", said)
            self.assertIn("name one address", said)

    def test_what_libc_alone_would_take_for_an_address(self):
        self.assertIn("four decimal numbers", self.refusal("127.1:8001"))
        self.assertIn("host name", self.refusal("a..b:8001"))


if __name__ == "__main__":
    kamatest.main()
